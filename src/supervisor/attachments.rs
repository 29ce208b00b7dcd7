//! Who is attached: clients of the attach socket, and those that asked for descriptors of the streams.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use conward_protocol::body::{Attached, Body, Descriptor, Joined};
use conward_protocol::limits::{ATTACHMENTS_MAX, REPLAY_MAX};
use conward_protocol::request::{self, Stdin};
use conward_protocol::{Cause, ErrorCode, Failure, Op, State, Tag, What};

use super::requests::Answer;
use super::stats::name;
use super::{Source, Supervisor};
use crate::data::{Attachment, ChannelId, Ender, Gone, Kind, Why};
use crate::error::reason;
use crate::plan::{Stdio, Stream};
use crate::reactor::{Ready, Watch};
use crate::serve::control::ControlId;
use crate::sys::file::sealed;

/// The next numbers: none is used twice.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    attachment: u64,
    channel: ChannelId,
}

/// What a client is to get of the streams of a process.
#[derive(Debug)]
struct Wanted {
    streams: Vec<Stream>,
    stdin: Stdin,
    /// Bytes of each stream.
    replay: Option<usize>,
}

/// Descriptors for a client.
#[derive(Debug, Default)]
struct Handed {
    names: Vec<Descriptor>,
    fds: Vec<OwnedFd>,
    streams: Vec<Joined>,
}

impl Handed {
    fn add(&mut self, name: Descriptor, fd: impl Into<OwnedFd>) {
        self.names.push(name);
        self.fds.push(fd.into());
    }
}

impl Supervisor {
    /// Gives descriptors of the streams.
    pub(super) fn attach(&mut self, id: ControlId, tag: Option<&Tag>, asked: &request::Attach) -> Answer {
        let wanted = self.wanted(asked)?;
        let of = self.next_attachment(Some(id as u64));
        let handed = self.hand_out(of, &wanted).map_err(|error| {
            for fd in self.pump.clients.abandon(of) {
                self.close(fd);
            }
            Failure::new(ErrorCode::Internal, format!("attach: make a descriptor: {}", reason(&error)))
        })?;
        let cause = Cause::Client { client: id as u64, op: Some(Op::Attach) };
        self.tell_attached(of, &wanted, cause);
        let body = Attached { attachment: of.number, descriptors: handed.names, streams: handed.streams };
        self.reply_with(id, tag.cloned(), Body::Attached(body), handed.fds);
        Ok(None)
    }

    /// What can be given of what was asked for.
    fn wanted(&self, asked: &request::Attach) -> Result<Wanted, Failure> {
        if asked.exec.is_some() {
            let message = "attach: this version of the supervisor has no exec sessions";
            return Err(Failure::new(ErrorCode::NoSuchExec, message));
        }
        if self.plan.stdio == Stdio::Passthrough {
            let message = "attach: the container has the streams of its caller";
            return Err(Failure::new(ErrorCode::Unsupported, message));
        }
        let heard = self.output_streams().iter().copied();
        let streams: Vec<Stream> = heard.filter(|stream| asked.streams.contains(&name(*stream))).collect();
        if streams.is_empty() && asked.stdin == Stdin::None {
            let why = "there would be nothing to hear, and nothing to write to";
            return Err(Failure::field(Op::Attach, "streams", why));
        }
        self.check_writer(asked.stdin)?;
        if self.pump.clients.requested() >= ATTACHMENTS_MAX {
            let message = format!("attach: {ATTACHMENTS_MAX} clients are attached already");
            return Err(Failure::new(ErrorCode::Busy, message));
        }
        let replay = asked.replay.map(|count| usize::try_from(count).unwrap_or(REPLAY_MAX));
        Ok(Wanted { streams, stdin: asked.stdin, replay })
    }

    /// With a terminal there is no stderr: what the runtime says there is nothing that its process writes.
    fn output_streams(&self) -> &'static [Stream] {
        match self.plan.stdio {
            Stdio::Pipes { .. } => &[Stream::Stdout, Stream::Stderr],
            Stdio::Terminal { .. } => &[Stream::Stdout],
            Stdio::Passthrough => &[],
        }
    }

    /// Whether another writer may come.
    fn check_writer(&self, stdin: Stdin) -> Result<(), Failure> {
        let clients = &self.pump.clients;
        let taken = match stdin {
            Stdin::None => return Ok(()),
            Stdin::Shared => clients.has_writer(true),
            Stdin::Once => clients.has_writer(true) || clients.has_writer(false),
        };
        if self.life.state == State::Stopped || !self.input.is_open() {
            let message = "attach: the container has no input, or it has ended";
            return Err(Failure::new(ErrorCode::NoStdin, message));
        }
        if taken {
            return Err(Failure::new(ErrorCode::Busy, "attach: another client writes to the input"));
        }
        Ok(())
    }

    /// Makes what is to be handed out, in the order of [`Descriptor`]. No output is passed on meanwhile, so
    /// replays end where the channels begin.
    fn hand_out(&mut self, of: Attachment, wanted: &Wanted) -> io::Result<Handed> {
        let mut handed = Handed::default();
        if wanted.stdin != Stdin::None {
            let kind = Kind::Input { once: wanted.stdin == Stdin::Once };
            handed.add(Descriptor::Stdin, self.open_channel(of, kind, true)?);
        }
        for &stream in &wanted.streams {
            let live = self.pump.junction(stream, 0).live;
            let name = if stream == Stream::Stdout { Descriptor::Stdout } else { Descriptor::Stderr };
            handed.add(name, self.open_channel(of, Kind::Output(stream), live)?);
        }
        for &stream in &wanted.streams {
            let junction = self.pump.junction(stream, wanted.replay.unwrap_or(0));
            let replayed = junction.last.iter().map(|part| part.len() as u64).sum();
            handed.streams.push(Joined { stream: name(stream), live_from: junction.passed, replayed });
            if wanted.replay.is_some() {
                let name = match stream {
                    Stream::Stdout => Descriptor::ReplayStdout,
                    Stream::Stderr => Descriptor::ReplayStderr,
                };
                handed.add(name, sealed(name.name(), &junction.last)?);
            }
        }
        Ok(handed)
    }

    /// The client's end of a new channel; with nothing behind it, if nothing will come.
    fn open_channel(&mut self, of: Attachment, kind: Kind, live: bool) -> io::Result<OwnedFd> {
        let (ours, theirs) = kind.pair()?;
        if live {
            self.add_channel(of, kind, ours)?;
        }
        Ok(theirs)
    }

    fn add_channel(&mut self, of: Attachment, kind: Kind, fd: OwnedFd) -> io::Result<()> {
        let id = self.numbers.channel;
        self.numbers.channel += 1;
        let watch = match kind {
            Kind::Packets => Watch::Both,
            Kind::Output(_) => Watch::Writes,
            Kind::Input { .. } => Watch::Reads,
        };
        self.reactor.watch(&fd, Source::Channel(id).id(), watch)?;
        self.pump.clients.add(id, of, kind, fd);
        Ok(())
    }

    fn next_attachment(&mut self, client: Option<u64>) -> Attachment {
        self.numbers.attachment += 1;
        Attachment { number: self.numbers.attachment, client }
    }

    /// Takes in a client of the attach socket.
    pub(super) fn add_client(&mut self, fd: OwnedFd) {
        let of = self.next_attachment(None);
        if let Err(error) = self.add_channel(of, Kind::Packets, fd) {
            log::warn!("cannot watch an attach client: {}", reason(&error));
            return;
        }
        let stdin = if self.input.is_open() { Stdin::Shared } else { Stdin::None };
        let wanted = Wanted { streams: self.output_streams().to_vec(), stdin, replay: None };
        self.tell_attached(of, &wanted, Cause::Caller);
    }

    /// Lets one channel go on.
    pub(super) fn on_channel(&mut self, id: ChannelId, ready: Ready) {
        if ready.writable {
            self.pump.clients.flush(id);
        }
        if ready.readable {
            self.pump.clients.note_input(id);
            self.move_input();
        }
        if ready.hung_up {
            self.pump.clients.hang_up(id);
        }
    }

    /// Closes channels that are over; another client may have waited for a descriptor.
    pub(super) fn retire_channels(&mut self, now: Instant) {
        let over = self.pump.clients.retire(now);
        if !over.is_empty() {
            self.reactor.again(Ready::to_read(Source::Attach.id()));
        }
        for fd in over {
            self.close(fd);
        }
        self.tell_gone();
    }

    fn tell_attached(&mut self, of: Attachment, wanted: &Wanted, cause: Cause) {
        let streams = wanted.streams.iter().copied().map(name).collect();
        let what = What::ClientAttached { attachment: of.number, streams, stdin: wanted.stdin, exec: None };
        self.announce(what, cause);
        if !self.pump.clients.has(of) {
            self.announce(What::ClientDetached { attachment: of.number }, Cause::Container);
        }
    }

    /// Tells which attachments are no more.
    pub(super) fn tell_gone(&mut self) {
        for Gone { of, why } in self.pump.clients.take_gone() {
            let detached = What::ClientDetached { attachment: of.number };
            match why {
                Why::Left => self.announce(detached, by(of)),
                Why::Ended => self.announce(detached, Cause::Container),
                Why::Lagged(lost) => {
                    let attachment = Some(of.number);
                    let dropped = What::ClientDropped { client: None, attachment, lost: lost as u64 };
                    self.announce(dropped, Cause::Supervisor);
                }
            }
        }
    }

    /// The input is over: who only writes is to see that. Whoever asked for it by request has told.
    pub(super) fn note_end_of_input(&mut self, ender: Ender) {
        self.pump.clients.end_input();
        let cause = match ender {
            Ender::Caller => return,
            Ender::Container => Cause::Container,
            Ender::Client(of) => by(of),
        };
        self.announce(What::StdinClosed { exec: None }, cause);
    }
}

/// Who is behind an attachment.
fn by(of: Attachment) -> Cause {
    of.client.map_or(Cause::Caller, |client| Cause::Client { client, op: None })
}
