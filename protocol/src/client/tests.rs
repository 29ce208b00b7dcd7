use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::{Client, Error, Incoming};
use crate::body::{Descriptor, Started};
use crate::request::{Attach, Stdin};
use crate::{Body, ErrorCode, Request, What};

const GREETING: &str =
    r#"{"protocol":1,"version":"0","id":"c","state":"running","supervisor":1,"client":1,"seq":0,"ops":[]}"#;
const EVENT: &str = r#"{"event":"paused","seq":1,"time":"2026-08-01T12:00:00Z","cause":{"by":"container"}}"#;

/// A client, and the other end of its socket, on which these lines have been written.
fn pair(lines: &[&str]) -> (Result<Client, Error>, UnixStream) {
    let (near, mut far) = UnixStream::pair().expect("a pair");
    for line in lines {
        writeln!(far, "{line}").expect("room");
    }
    (Client::over(near), far)
}

fn attach() -> Request {
    Request::Attach(Attach { streams: Vec::new(), stdin: Stdin::Shared, replay: None, exec: None })
}

#[test]
fn answers_find_their_requests_in_any_order() {
    let (client, mut far) = pair(&[
        GREETING,
        r#"{"tag":2,"ok":{}}"#,
        EVENT,
        r#"{"tag":1,"error":{"code":"busy","message":"m"}}"#,
        r#"{"brand":"new"}"#,
        r#"{"tag":3,"ok":{"pid":7}}"#,
    ]);
    let mut client = client.expect("a client");
    let first = client.send(Request::Pause).expect("sent");
    let second = client.send(Request::Resume).expect("sent");
    let answer = client.call(Request::Start).expect("an answer");
    assert_eq!(answer.body, Body::Started(Started { pid: 7 }));
    assert!(matches!(client.answer(first), Err(Error::Refused(failure)) if failure.code == ErrorCode::Busy));
    assert!(matches!(client.try_receive(), Ok(Some(Incoming::Answered(ticket))) if ticket == second));
    assert!(client.answer(second).is_ok());
    assert!(client.answer(second).is_err());
    assert!(matches!(client.receive(), Ok(Incoming::Event(event)) if event.what == What::Paused));
    assert!(matches!(client.try_receive(), Ok(None)));
    let mut sent = [0; 200];
    let count = far.read(&mut sent).expect("requests");
    let text = std::str::from_utf8(&sent[..count]).expect("text");
    assert_eq!(text.lines().count(), 3, "{text}");
    drop(far);
    assert!(matches!(client.receive(), Err(Error::Closed)));
    assert!(matches!(client.call(Request::Ps), Err(Error::Closed)));
}

#[test]
fn descriptors_come_with_the_answer_that_names_them() {
    let (client, far) = pair(&[GREETING]);
    let mut client = client.expect("a client");
    let mut ends = Vec::new();
    for tag in 1..=3 {
        let (ours, mut theirs) = std::io::pipe().expect("a pipe");
        write!(theirs, "{tag}").expect("room");
        ends.push(theirs);
        let line = format!(
            "{EVENT}\n{{\"tag\":{tag},\"ok\":{{\"attachment\":1,\"descriptors\":[\"stdout\"],\"streams\":[]}}}}\n"
        );
        let (before, line) = line.split_at(EVENT.len() + 1);
        (&far).write_all(before.as_bytes()).expect("room");
        let fds = [ours.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        sendmsg(&far, &[IoSlice::new(line.as_bytes())], &mut control, SendFlags::empty()).expect("room");
    }
    let tickets = [(); 3].map(|()| client.send(attach()).expect("sent"));
    for (nth, ticket) in tickets.into_iter().enumerate().rev() {
        let mut descriptors = client.answer(ticket).expect("an answer").descriptors;
        let (name, descriptor) = descriptors.pop().expect("a descriptor");
        assert_eq!((name, descriptors.len()), (Descriptor::Stdout, 0));
        let mut first = [0];
        std::fs::File::from(descriptor).read_exact(&mut first).expect("a byte");
        assert_eq!(usize::from(first[0] - b'0'), nth + 1);
    }
}

#[test]
fn peers_that_speak_otherwise_are_told_apart() {
    let refused = pair(&[r#"{"error":{"code":"denied","message":"m"}}"#]).0;
    assert!(matches!(refused, Err(Error::Refused(failure)) if failure.code == ErrorCode::Denied));
    for line in ["HTTP/1.1 400", r#"{"ok":{}}"#, &GREETING.replace("\"protocol\":1", "\"protocol\":2")] {
        assert!(matches!(pair(&[line]).0, Err(Error::Protocol(_))), "{line}");
    }
    for line in [
        r#"{"tag":1,"ok":{"pid":"x"}}"#,
        r#"{"tag":9,"ok":{}}"#,
        r#"{"tag":2,"ok":{"attachment":1,"descriptors":["stdout"],"streams":[]}}"#,
        &"x".repeat(70_000),
    ] {
        let (client, _far) = pair(&[GREETING, line]);
        let mut client = client.expect("a client");
        client.send(Request::Start).expect("sent");
        client.send(attach()).expect("sent");
        assert!(matches!(client.receive(), Err(Error::Protocol(_))), "{:.60}", line);
    }
}

#[test]
fn paths_may_be_long() {
    let directory =
        std::env::temp_dir().join(format!("{}-{}", "conward-protocol".repeat(8), std::process::id()));
    std::fs::create_dir(&directory).expect("a directory");
    let socket = directory.join("control.sock");
    let name = std::fs::File::open(&directory).expect("the directory");
    let short = format!("/proc/self/fd/{}/control.sock", std::os::fd::AsRawFd::as_raw_fd(&name));
    let listener = UnixListener::bind(short).expect("a socket");
    let client = std::thread::spawn({
        let socket = socket.clone();
        move || Client::connect(&socket)
    });
    let (mut peer, _) = listener.accept().expect("a client");
    writeln!(peer, "{GREETING}").expect("room");
    let client = client.join().expect("no panic");
    std::fs::remove_dir_all(&directory).expect("removed");
    assert_eq!(client.expect("a client").greeting().id, "c");
}
