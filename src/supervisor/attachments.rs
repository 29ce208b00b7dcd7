//! Who is attached: clients of the attach socket, and those that asked for descriptors of the streams.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use conward_protocol::body::{Attached, Body, Descriptor, Joined};
use conward_protocol::limits::{ATTACHMENTS_MAX, REPLAY_MAX};
use conward_protocol::request::{self, Stdin};
use conward_protocol::{Cause, ErrorCode, Failure, Op, Tag, What};

use super::process::Process;
use super::requests::Answer;
use super::source::{CONTAINER, ProcessId};
use super::stats::name;
use super::{At, Source, Supervisor};
use crate::data::{Attachment, ChannelId, Ender, Gone, Kind, Why};
use crate::error::reason;
use crate::plan::{Stdio, Stream};
use crate::reactor::{Reactor, Ready, Watch};
use crate::serve::control::ControlId;
use crate::sys::file::sealed;

/// The next numbers: none is used twice, whichever process it is for.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    attachment: u64,
    channel: ChannelId,
}

/// What a client is to get of the streams of a process.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// By which request.
    pub op: Op,
    pub streams: &'a [request::Stream],
    pub stdin: Stdin,
    /// The last so many bytes of each stream as well.
    pub replay: Option<u64>,
}

/// An attachment that the client is still to get.
#[derive(Debug)]
pub(super) struct Handover {
    pub of: Attachment,
    pub attached: Attached,
    stdin: Stdin,
    /// As the answer names them.
    pub fds: Vec<OwnedFd>,
}

impl Supervisor {
    /// Gives descriptors of the streams.
    pub(super) fn attach(&mut self, id: ControlId, tag: Option<&Tag>, asked: &request::Attach) -> Answer {
        let request::Attach { streams, stdin, replay, exec } = asked;
        let whom = self.target(Op::Attach, exec.as_deref())?;
        let wanted = Wanted { op: Op::Attach, streams, stdin: *stdin, replay: *replay };
        let handover = self.prepare_attachment(whom, id, &wanted)?;
        self.tell_attached(whom, &handover, Cause::Client { client: id as u64, op: Some(Op::Attach) });
        self.reply_with(id, tag.cloned(), Body::Attached(handover.attached), handover.fds);
        Ok(None)
    }

    /// Attaches a client to a process that is looked after.
    pub(super) fn prepare_attachment(
        &mut self,
        whom: ProcessId,
        client: ControlId,
        wanted: &Wanted<'_>,
    ) -> Result<Handover, Failure> {
        let Some(At { process, reactor, numbers, .. }) = self.at(whom) else {
            return Err(Failure::new(ErrorCode::Internal, "the process is not looked after any more"));
        };
        process.check(wanted)?;
        let of = numbers.next_attachment(Some(client as u64));
        let (attached, fds) = process.hand_out(reactor, numbers, of, wanted).map_err(|error| {
            process.pump.clients.abandon(of).into_iter().for_each(|fd| reactor.close(fd));
            let message = format!("{}: make a descriptor: {}", wanted.op, reason(&error));
            Failure::new(ErrorCode::Internal, message)
        })?;
        Ok(Handover { of, attached, stdin: wanted.stdin, fds })
    }

    /// Tells that somebody is attached.
    pub(super) fn tell_attached(&mut self, whom: ProcessId, handover: &Handover, cause: Cause) {
        let attachment = handover.of.number;
        let streams = handover.attached.streams.iter().map(|joined| joined.stream).collect();
        let exec = self.session_name(whom);
        self.announce(What::ClientAttached { attachment, streams, stdin: handover.stdin, exec }, cause);
        // With all streams at their end there is nothing to be attached to.
        if self.at(whom).is_none_or(|At { process, .. }| !process.pump.clients.has(handover.of)) {
            self.announce(What::ClientDetached { attachment }, Cause::Container);
        }
    }

    /// Takes in a client of the attach socket.
    pub(super) fn add_client(&mut self, fd: OwnedFd) {
        let of = self.numbers.next_attachment(None);
        let added = self.container.add_channel(&self.reactor, &mut self.numbers, of, Kind::Packets, fd);
        if let Err(error) = added {
            log::warn!("cannot watch an attach client: {}", reason(&error));
            return;
        }
        let streams = self.container.output_streams().iter().copied().map(name).collect();
        let stdin = if self.container.takes_input() { Stdin::Shared } else { Stdin::None };
        let attached = What::ClientAttached { attachment: of.number, streams, stdin, exec: None };
        self.announce(attached, Cause::Caller);
    }

    /// Lets one channel go on.
    pub(super) fn on_channel(&mut self, id: ChannelId, ready: Ready) {
        let whom = self.sessions.of_channel(id).unwrap_or(CONTAINER);
        let Some(At { process, reactor, .. }) = self.at(whom) else { return };
        let clients = &mut process.pump.clients;
        if ready.writable {
            clients.flush(id);
        }
        if ready.hung_up {
            clients.hang_up(id);
        }
        if ready.readable {
            clients.note_input(id);
            process.move_input(reactor);
        }
    }

    /// Closes channels that are over; another client may have waited for a descriptor.
    pub(super) fn retire_channels(&mut self, whom: ProcessId, now: Instant) {
        let Some(At { process, reactor, .. }) = self.at(whom) else { return };
        let over = process.pump.clients.retire(now);
        if !over.is_empty() {
            reactor.again(Ready::to_read(Source::Attach.id()));
        }
        over.into_iter().for_each(|fd| reactor.close(fd));
        self.tell_changes(whom);
    }

    /// Tells whether the input has ended, and which attachments are no more.
    pub(super) fn tell_changes(&mut self, whom: ProcessId) {
        let Some(At { process, .. }) = self.at(whom) else { return };
        let (ended, gone) = (process.input_ended.take(), process.pump.clients.take_gone());
        if let Some(ender) = ended {
            let cause = match ender {
                Ender::Container => Cause::Container,
                Ender::Client(of) => by(of),
                Ender::Request(client) => Cause::Client { client, op: Some(Op::CloseStdin) },
            };
            let exec = self.session_name(whom);
            self.announce(What::StdinClosed { exec }, cause);
        }
        for Gone { of, why } in gone {
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
}

impl Numbers {
    fn next_attachment(&mut self, client: Option<u64>) -> Attachment {
        self.attachment += 1;
        Attachment { number: self.attachment, client }
    }
}

impl Process {
    /// Whether that can be given.
    fn check(&self, wanted: &Wanted<'_>) -> Result<(), Failure> {
        let failure = |code, why: &str| Err(Failure::new(code, format!("{}: {why}", wanted.op)));
        let clients = &self.pump.clients;
        let taken = match wanted.stdin {
            Stdin::None => false,
            Stdin::Shared => clients.has_writer(true),
            Stdin::Once => clients.has_writer(true) || clients.has_writer(false),
        };
        if self.stdio == Stdio::Passthrough {
            return failure(ErrorCode::Unsupported, "the container has the streams of its caller");
        }
        if wanted.stdin == Stdin::None && self.heard(wanted).next().is_none() {
            let why = "there would be nothing to hear, and nothing to write to";
            return Err(Failure::field(wanted.op, "streams", why));
        }
        if wanted.stdin != Stdin::None && !self.takes_input() {
            return failure(ErrorCode::NoStdin, "there is no input, or it has ended");
        }
        if taken {
            return failure(ErrorCode::Busy, "another client writes to the input");
        }
        if clients.requested() >= ATTACHMENTS_MAX {
            return failure(ErrorCode::Busy, &format!("{ATTACHMENTS_MAX} clients are attached already"));
        }
        Ok(())
    }

    fn heard(&self, wanted: &Wanted<'_>) -> impl Iterator<Item = Stream> {
        self.output_streams().iter().copied().filter(|stream| wanted.streams.contains(&name(*stream)))
    }

    /// Makes what is to be handed out, in the order of [`Descriptor`]. No output is passed on meanwhile, so
    /// replays end where the channels begin.
    fn hand_out(
        &mut self,
        reactor: &Reactor,
        numbers: &mut Numbers,
        of: Attachment,
        wanted: &Wanted<'_>,
    ) -> io::Result<(Attached, Vec<OwnedFd>)> {
        let (mut names, mut fds, mut streams) = (Vec::new(), Vec::new(), Vec::new());
        let mut open = |process: &mut Process, kind: Kind, live: bool| -> io::Result<OwnedFd> {
            let (ours, theirs) = kind.pair()?;
            // With nothing behind it, it is at its end.
            if live {
                process.add_channel(reactor, numbers, of, kind, ours)?;
            }
            Ok(theirs)
        };
        let heard: Vec<Stream> = self.heard(wanted).collect();
        if wanted.stdin != Stdin::None {
            names.push(Descriptor::Stdin);
            fds.push(open(self, Kind::Input { once: wanted.stdin == Stdin::Once }, true)?);
        }
        for &stream in &heard {
            let live = self.pump.junction(stream, 0).live;
            names.push(if stream == Stream::Stdout { Descriptor::Stdout } else { Descriptor::Stderr });
            fds.push(open(self, Kind::Output(stream), live)?);
        }
        for &stream in &heard {
            let count = wanted.replay.map(|count| usize::try_from(count).unwrap_or(REPLAY_MAX));
            let junction = self.pump.junction(stream, count.unwrap_or(0));
            let replayed = junction.last.iter().map(|part| part.len() as u64).sum();
            streams.push(Joined { stream: name(stream), live_from: junction.passed, replayed });
            if count.is_some() {
                let name = match stream {
                    Stream::Stdout => Descriptor::ReplayStdout,
                    Stream::Stderr => Descriptor::ReplayStderr,
                };
                names.push(name);
                fds.push(sealed(name.name(), &junction.last)?.into());
            }
        }
        Ok((Attached { attachment: of.number, descriptors: names, streams }, fds))
    }

    fn add_channel(
        &mut self,
        reactor: &Reactor,
        numbers: &mut Numbers,
        of: Attachment,
        kind: Kind,
        fd: OwnedFd,
    ) -> io::Result<()> {
        let id = numbers.channel;
        numbers.channel += 1;
        let watch = match kind {
            Kind::Packets => Watch::Both,
            Kind::Output(_) => Watch::Writes,
            Kind::Input { .. } => Watch::Reads,
        };
        reactor.watch(&fd, Source::Channel(id).id(), watch)?;
        self.pump.clients.add(id, of, kind, fd);
        Ok(())
    }
}

/// Who is behind an attachment.
fn by(of: Attachment) -> Cause {
    of.client.map_or(Cause::Caller, |client| Cause::Client { client, op: None })
}
