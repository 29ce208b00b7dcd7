//! Streams handed out as descriptors.

mod input;
mod leaving;
mod output;
mod sessions;

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use conward_protocol::body::{Descriptor, Joined};
use conward_protocol::client::{Client, Error, Incoming};
use conward_protocol::request::{Attach, Stdin, Stream, Subscribe};
use conward_protocol::{Body, ErrorCode, Event, Request, What, body};
use conward_testkit::{PATIENCE, Place, read_to_end};

use crate::socket;

/// The client that managers written in Rust use.
fn manager(place: &Place) -> Client {
    let client = Client::connect(&socket(place)).expect("a greeting");
    client.set_timeout(Some(PATIENCE)).expect("a time limit");
    client
}

/// One that hears events from the first on.
fn watcher(place: &Place) -> Client {
    let mut client = manager(place);
    client.call(Request::Subscribe(Subscribe { since: Some(0) })).expect("a subscription");
    client
}

/// The next event that the function has an answer for.
fn await_event<T>(client: &mut Client, wanted: impl Fn(&Event) -> Option<T>) -> T {
    loop {
        if let Incoming::Event(event) = client.receive().expect("an event")
            && let Some(found) = wanted(&event)
        {
            return found;
        }
    }
}

/// Waits until this attachment is no more; how many bytes it has lost, if it was dropped.
fn await_gone(client: &mut Client, number: u64) -> Option<u64> {
    await_event(client, |event| match event.what {
        What::ClientDetached { attachment } if attachment == number => Some(None),
        What::ClientDropped { attachment: Some(attachment), lost, .. } if attachment == number => {
            Some(Some(lost))
        }
        _ => None,
    })
}

fn stats(client: &mut Client) -> body::Stats {
    match client.call(Request::Stats).expect("numbers").body {
        Body::Stats(stats) => *stats,
        other => panic!("{other:?}"),
    }
}

/// Both streams, or what else is asked for.
fn both() -> Attach {
    Attach { streams: Stream::ALL.to_vec(), stdin: Stdin::None, replay: None, exec: None }
}

fn with_replay(count: u64) -> Attach {
    Attach { replay: Some(count), ..both() }
}

fn writer(stdin: Stdin) -> Attach {
    Attach { stdin, ..both() }
}

/// What came with an answer.
struct Streams {
    number: u64,
    joined: Vec<Joined>,
    descriptors: Vec<(Descriptor, OwnedFd)>,
}

fn attach(client: &mut Client, request: Attach) -> Streams {
    let answer = client.call(Request::Attach(request)).expect("descriptors");
    let Body::Attached(attached) = answer.body else { panic!("{:?}", answer.body) };
    let names: Vec<Descriptor> = answer.descriptors.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, attached.descriptors);
    Streams { number: attached.attachment, joined: attached.streams, descriptors: answer.descriptors }
}

fn refused(client: &mut Client, request: Attach) -> ErrorCode {
    match client.call(Request::Attach(request)) {
        Err(Error::Refused(failure)) => failure.code,
        other => panic!("{other:?}"),
    }
}

impl Streams {
    fn names(&self) -> Vec<&str> {
        self.descriptors.iter().map(|(name, _)| name.name()).collect()
    }

    /// Takes a descriptor out.
    fn take(&mut self, name: Descriptor) -> File {
        let at = self.descriptors.iter().position(|(found, _)| *found == name);
        let (_, fd) = self.descriptors.swap_remove(at.unwrap_or_else(|| panic!("no {name}")));
        File::from(fd)
    }

    fn live_from(&self, stream: Stream) -> usize {
        let joined = self.joined.iter().find(|joined| joined.stream == stream);
        joined.unwrap_or_else(|| panic!("no {stream}")).live_from as usize
    }

    /// All that is in a replay, which must be as long as was said.
    fn replay(&mut self, stream: Stream) -> Vec<u8> {
        let name = if stream == Stream::Stdout { Descriptor::ReplayStdout } else { Descriptor::ReplayStderr };
        let mut bytes = Vec::new();
        self.take(name).read_to_end(&mut bytes).expect("a replay");
        let joined = self.joined.iter().find(|joined| joined.stream == stream).expect("a stream");
        assert_eq!(joined.replayed, bytes.len() as u64);
        bytes
    }
}

/// All that comes from a stream, up to its end.
fn rest(stream: &File) -> Vec<u8> {
    read_to_end(stream, PATIENCE, "a stream")
}
