//! Output: from the container's streams to the logs, then to the clients.
//!
//! One chunk of at most 64 KiB is passed on whole before the next one is made. While a log that is to
//! block, or a client, is behind, nothing is read: the container waits, as it would for a slow terminal. A
//! client that takes nothing at all is waited for no longer than its grace time, a log as its policy says.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::Clients;
use super::outbox::Output;
use super::replay::Replay;
use super::tap::{Read, Tap};
use crate::plan::Stream;
use crate::sink::Sinks;
use crate::sys::clock::Timestamp;

/// Bytes of a read that are worth giving the buffer back for, when nothing more comes.
const LARGE: usize = 8 * 1024;
/// Bytes of a runtime's stderr that are held back until it is known whether they are an error text
/// or the container's output. At the bound they are output.
const HELD_MAX: usize = 64 * 1024;
/// Bytes of a runtime's stderr that are kept for the message to the caller.
const TEXT_MAX: usize = 8191;
/// What came of a read.
#[derive(Debug)]
pub enum Turn {
    /// A chunk, which is to be given to [`Pump::pass_on`]; there may be more to read at once.
    Chunk,
    /// Nothing more now: an edge, or [`Pump::resume`], will say when.
    Dry,
    /// The stream has ended: this is to be closed.
    Ended(OwnedFd),
}

/// What was read from an output stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Which.
    pub stream: Stream,
    /// Bytes.
    pub bytes: u64,
    /// Whether it was read to its end: nobody has it open any more.
    pub ended: bool,
}

/// The runtime's stderr: an error text, or the first output of the container.
#[derive(Debug)]
enum Held {
    /// It is not known yet which of the two.
    Undecided(Vec<u8>),
    /// Output, which the logs or clients could not take at once.
    Output(Vec<u8>),
    /// Nothing is held back.
    Nothing,
}

/// The streams of one process, and the clients that hear them. The logs, which get everything first,
/// belong to the supervisor, and are lent.
#[derive(Debug)]
pub struct Pump {
    /// The attached clients.
    pub clients: Clients,
    taps: Vec<Tap>,
    /// One for each stream there ever was.
    taken: Vec<Taken>,
    /// How long the last write to the logs took.
    write_time: Duration,
    buffer: Vec<u8>,
    /// A read was [`LARGE`] since the last time somebody asked.
    large: bool,
    held: Held,
    /// The beginning of the runtime's stderr, for the message to the caller.
    text: Vec<u8>,
    draining: bool,
    /// Nothing more will be passed on.
    over: bool,
    /// The last output of each stream, if somebody may ask for it.
    replays: Option<[Replay; 2]>,
}

/// Where a new client comes into a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Junction<'a> {
    /// Bytes of the stream that went by before it came.
    pub passed: u64,
    /// The last of them, in two parts.
    pub last: [&'a [u8]; 2],
    /// Whether there may be more.
    pub live: bool,
}

impl Default for Pump {
    /// A pump without streams. It holds stderr back until [`Pump::release_stderr`].
    fn default() -> Pump {
        Pump {
            clients: Clients::default(),
            taps: Vec::new(),
            taken: Vec::new(),
            write_time: Duration::ZERO,
            buffer: Vec::new(),
            large: false,
            held: Held::Undecided(Vec::new()),
            text: Vec::new(),
            draining: false,
            over: false,
            replays: None,
        }
    }
}

impl Pump {
    /// From here on the last `max` bytes of each stream are held for clients that come late. To be called
    /// before anything is passed on.
    pub fn keep_replays(&mut self, max: usize) {
        self.replays = Some([(); 2].map(|()| Replay::new(max)));
    }

    /// Where a client that is added now comes into this stream, and the last `count` bytes before. What
    /// is held back of stderr is still to come.
    pub fn junction(&self, stream: Stream, count: usize) -> Junction<'_> {
        let live = !self.over && !self.has_ended(stream);
        match &self.replays {
            Some(replays) => {
                let replay = &replays[stream as usize];
                Junction { passed: replay.total(), last: replay.last(count), live }
            }
            None => Junction { passed: 0, last: [&[]; 2], live },
        }
    }

    /// Adds a non-blocking stream.
    pub fn add(&mut self, stream: Stream, fd: OwnedFd, terminal: bool) {
        self.taps.push(Tap::new(stream, fd, terminal));
        self.taken.push(Taken { stream, bytes: 0, ended: false });
    }

    /// The descriptor of a stream that has not ended.
    pub fn fd(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        self.taps.iter().find(|tap| tap.stream == stream).map(|tap| tap.fd.as_fd())
    }

    /// Reads one chunk.
    pub fn read(&mut self, stream: Stream, sinks: &Sinks) -> Turn {
        let Some(at) = self.taps.iter().position(|tap| tap.stream == stream) else { return Turn::Dry };
        // What is held back goes neither to logs nor to clients, so it waits for none of them.
        let paused = self.paused(stream, sinks) && !(stream == Stream::Stderr && self.undecided());
        let tap = &mut self.taps[at];
        tap.waiting = paused;
        if paused || tap.is_done() {
            return Turn::Dry;
        }
        let read = tap.read(&mut self.buffer);
        self.large |= self.buffer.len() >= LARGE;
        self.note(stream, read);
        match read {
            Read::Bytes => Turn::Chunk,
            Read::Empty => Turn::Dry,
            Read::End => {
                let fd = self.taps.remove(at).fd;
                self.tell_ends();
                Turn::Ended(fd)
            }
        }
    }

    /// Passes on what the last read gave.
    pub fn pass_on(&mut self, stream: Stream, sinks: &mut Sinks) {
        let chunk = std::mem::take(&mut self.buffer);
        match &mut self.held {
            Held::Undecided(held) if stream == Stream::Stderr => {
                let room = TEXT_MAX - self.text.len();
                self.text.extend_from_slice(&chunk[..chunk.len().min(room)]);
                held.extend_from_slice(&chunk);
                if held.len() > HELD_MAX {
                    self.held = Held::Output(std::mem::take(held));
                    self.deliver_held(sinks);
                }
            }
            Held::Undecided(_) | Held::Output(_) | Held::Nothing => self.deliver(stream, &chunk, sinks),
        }
        self.buffer = chunk;
    }

    /// Whether a read took more of the buffer since the last call than little output does.
    pub fn took_much(&mut self) -> bool {
        std::mem::take(&mut self.large)
    }

    /// Frees the buffer until there is something to read again.
    pub fn give_back(&mut self) {
        self.buffer = Vec::new();
    }

    /// Whether it is not known yet what the runtime's stderr is.
    pub fn undecided(&self) -> bool {
        matches!(self.held, Held::Undecided(_))
    }

    /// The launch has succeeded: what the runtime wrote to stderr is the container's output.
    pub fn release_stderr(&mut self, sinks: &mut Sinks) {
        self.text = Vec::new();
        if let Held::Undecided(held) = std::mem::replace(&mut self.held, Held::Nothing) {
            self.held = Held::Output(held);
            self.deliver_held(sinks);
        }
    }

    /// The launch has failed: what the runtime wrote to stderr, at most 8191 bytes, is the reason.
    pub fn take_text(&mut self) -> Vec<u8> {
        self.held = Held::Nothing;
        std::mem::take(&mut self.text)
    }

    /// The container has ended: from here on each stream is read until it is empty once, or until
    /// everything was read that was there at this moment.
    pub fn begin_drain(&mut self) {
        self.draining = true;
        self.clients.excuse();
        for tap in &mut self.taps {
            tap.begin_drain();
        }
    }

    /// Whether each stream was read until it was empty, or ended.
    pub fn streams_are_read(&self) -> bool {
        self.taps.iter().all(Tap::is_done)
    }

    /// Whether draining is complete: streams read, logs written, clients served.
    pub fn drained(&self, sinks: &Sinks) -> bool {
        self.streams_are_read()
            && matches!(self.held, Held::Nothing)
            && !sinks.holds()
            && self.clients.settled()
    }

    /// Draining is over, complete or not: what is still there to be read goes to the logs without
    /// waiting for one of them. Each counts what it cannot take.
    pub fn end_drain(&mut self, sinks: &mut Sinks) {
        sinks.stop_waiting();
        if let Held::Output(held) = std::mem::replace(&mut self.held, Held::Nothing) {
            self.deliver(Stream::Stderr, &held, sinks);
        }
        for mut tap in std::mem::take(&mut self.taps) {
            while !tap.is_done() {
                let read = tap.read(&mut self.buffer);
                self.note(tap.stream, read);
                if read != Read::Bytes {
                    break;
                }
                self.pass_on(tap.stream, sinks);
            }
            self.taps.push(tap);
        }
        self.over = true;
    }

    /// What was held up, if it can now go on: output is delivered, and the streams that had
    /// something to read are returned.
    pub fn resume(&mut self, sinks: &mut Sinks) -> Vec<Stream> {
        self.deliver_held(sinks);
        let mut streams = Vec::new();
        for at in 0..self.taps.len() {
            if self.taps[at].waiting && !self.paused(self.taps[at].stream, sinks) {
                self.taps[at].waiting = false;
                streams.push(self.taps[at].stream);
            }
        }
        streams
    }

    /// Takes all streams out, to be closed.
    pub fn close_streams(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.taps).into_iter().map(|tap| tap.fd).collect()
    }

    /// Whether nothing more will be passed on.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// When time alone will change something, if it will.
    pub fn deadline(&self) -> Option<Instant> {
        self.clients.deadline()
    }

    /// What was read from each stream so far.
    pub fn taken(&self) -> &[Taken] {
        &self.taken
    }

    /// How long the last write to the logs took.
    pub fn write_time(&self) -> Duration {
        self.write_time
    }

    fn note(&mut self, stream: Stream, read: Read) {
        if let Some(taken) = self.taken.iter_mut().find(|taken| taken.stream == stream) {
            taken.bytes += self.buffer.len() as u64;
            taken.ended |= read == Read::End;
        }
    }

    /// Held output goes first. A log may hold up the last output for as long as draining lasts,
    /// but a client may not: what is left then is bounded, so its queue may grow by that.
    fn paused(&self, stream: Stream, sinks: &Sinks) -> bool {
        matches!(self.held, Held::Output(_)) || self.receivers_are_behind(stream, sinks)
    }

    fn receivers_are_behind(&self, stream: Stream, sinks: &Sinks) -> bool {
        sinks.blocks(stream) || (self.clients.full() && !self.draining)
    }

    fn deliver_held(&mut self, sinks: &mut Sinks) {
        if self.receivers_are_behind(Stream::Stderr, sinks) {
            return;
        }
        match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Output(held) => self.deliver(Stream::Stderr, &held, sinks),
            other => self.held = other,
        }
        self.tell_ends();
    }

    /// Whether all of a stream was passed on, to its end.
    fn has_ended(&self, stream: Stream) -> bool {
        let held = stream == Stream::Stderr && !matches!(self.held, Held::Nothing);
        !held && self.taken.iter().any(|taken| taken.stream == stream && taken.ended)
    }

    fn tell_ends(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if self.has_ended(stream) {
                self.clients.end_output(stream);
            }
        }
    }

    /// The logs first, the clients second.
    fn deliver(&mut self, stream: Stream, chunk: &[u8], sinks: &mut Sinks) {
        if chunk.is_empty() {
            return;
        }
        let begun = Instant::now();
        sinks.write(Timestamp::now(), stream, chunk);
        self.write_time = begun.elapsed();
        if let Some(replays) = &mut self.replays {
            replays[stream as usize].push(chunk);
        }
        if !self.clients.is_empty() {
            self.clients.offer(&Output { now: Instant::now(), stream, chunk });
        }
    }
}
