//! Output: from the container's streams to the logs, then to the clients.
//!
//! One read of at most 64 KiB is passed on whole before the next one is made. While a journal or a
//! client is behind, nothing is read: the container waits as it would for a slow terminal, and for
//! no longer than the grace time of whoever is behind.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use super::Clients;
use crate::error::reason;
use crate::plan::Stream;
use crate::sink::Sinks;
use crate::sys::clock::Timestamp;
use crate::sys::fds::readable_bytes;
use crate::sys::io::read_into;

/// Bytes of one read, and the size of the one buffer.
const READ_MAX: usize = 64 * 1024;
/// Bytes of a runtime's stderr that are held back until it is known whether they are an error text
/// or the container's output. At the bound they are output.
const HELD_MAX: usize = 64 * 1024;
/// Bytes of a runtime's stderr that are kept for the message to the caller.
const TEXT_MAX: usize = 8191;
/// Bytes that are read from a stream after the container has ended, at least; more if more was
/// there at that moment. A pipe holds no more, unless its owner made it larger.
const DRAIN_MIN: usize = 1 << 20;

/// What came of a turn.
#[derive(Debug)]
pub enum Turn {
    /// There may be more to read at once.
    More,
    /// Nothing more now: an edge, or [`Pump::take_waiting`], will say when.
    Dry,
    /// The stream has ended: this is to be closed.
    Ended(OwnedFd),
}

/// One output stream being read.
#[derive(Debug)]
struct Tap {
    stream: Stream,
    fd: OwnedFd,
    /// A terminal: it has no end, since it can be opened again, and a short read says nothing.
    terminal: bool,
    /// There was something to read while the pump could not take it.
    waiting: bool,
    /// Nobody writes any more, and no further edge will come.
    hung_up: bool,
    /// While draining: how many more bytes may be read. 0: done.
    left: Option<usize>,
}

/// The streams, and all that their output goes to.
#[derive(Debug)]
pub struct Pump {
    /// The logs, which get everything first.
    pub sinks: Sinks,
    /// The attached clients.
    pub clients: Clients,
    taps: Vec<Tap>,
    buffer: Vec<u8>,
    draining: bool,
    /// The runtime's stderr while it is not known what it is.
    held: Option<Vec<u8>>,
    text: Vec<u8>,
}

impl Pump {
    /// A pump without streams. It holds stderr back until [`Pump::release`].
    pub fn new(sinks: Sinks) -> Pump {
        Pump {
            sinks,
            clients: Clients::default(),
            taps: Vec::new(),
            buffer: Vec::new(),
            draining: false,
            held: Some(Vec::new()),
            text: Vec::new(),
        }
    }

    /// Adds a non-blocking stream.
    pub fn add(&mut self, stream: Stream, fd: OwnedFd, terminal: bool) {
        self.taps.push(Tap { stream, fd, terminal, waiting: false, hung_up: false, left: None });
    }

    /// The descriptor of a stream that has not ended.
    pub fn fd(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        self.taps.iter().find(|tap| tap.stream == stream).map(|tap| tap.fd.as_fd())
    }

    /// Reads once, and passes on what came. `hung_up`: nobody writes any more.
    pub fn turn(&mut self, stream: Stream, hung_up: bool) -> Turn {
        let Some(at) = self.taps.iter().position(|tap| tap.stream == stream) else { return Turn::Dry };
        // What is held back goes neither to logs nor to clients, so it waits for none of them.
        let paused = self.paused() && !(stream == Stream::Stderr && self.holds());
        let tap = &mut self.taps[at];
        tap.waiting = paused;
        tap.hung_up |= hung_up;
        if paused || tap.left == Some(0) {
            return Turn::Dry;
        }
        self.buffer.clear();
        self.buffer.reserve_exact(READ_MAX);
        match read_into(&tap.fd, &mut self.buffer) {
            Ok(0) if !tap.terminal => Turn::Ended(self.taps.remove(at).fd),
            Ok(count) => {
                // A pipe that gave less than was asked for is empty; a new edge tells of more
                // (epoll(7), question 9). A terminal gives a line or a page at a time.
                let dry = count == 0 || (count < READ_MAX && !tap.terminal && !tap.hung_up);
                tap.left = tap.left.map(|left| if dry { 0 } else { left.saturating_sub(count) });
                self.pass_on(stream);
                if dry { Turn::Dry } else { Turn::More }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Turn::More,
            Err(error) => {
                // EIO: nobody has the terminal open just now (tty_ioctl(4) has the hang-up).
                if error.kind() != io::ErrorKind::WouldBlock && error.raw_os_error() != Some(libc::EIO) {
                    log::warn!("cannot read the container's {}: {}", stream.name(), reason(&error));
                }
                tap.left = tap.left.map(|_| 0);
                Turn::Dry
            }
        }
    }

    /// Whether stderr is still held back.
    pub fn holds(&self) -> bool {
        self.held.is_some()
    }

    /// The launch has succeeded: what the runtime wrote to stderr is the container's output.
    pub fn release(&mut self) {
        self.text = Vec::new();
        if let Some(held) = self.held.take()
            && !held.is_empty()
        {
            self.deliver(Stream::Stderr, &held);
        }
    }

    /// The launch has failed: what the runtime wrote to stderr, at most 8191 bytes, is the reason.
    pub fn take_text(&mut self) -> Vec<u8> {
        self.held = None;
        std::mem::take(&mut self.text)
    }

    /// The container has ended: from here on each stream is read until it is empty once, or until
    /// everything was read that was there at this moment.
    pub fn begin_drain(&mut self) {
        self.draining = true;
        for tap in &mut self.taps {
            tap.left = Some(DRAIN_MIN.max(readable_bytes(&tap.fd)));
        }
    }

    /// Whether draining is complete: streams read, logs written, clients served.
    pub fn drained(&self) -> bool {
        self.taps.iter().all(|tap| tap.left == Some(0)) && !self.sinks.blocked() && self.clients.settled()
    }

    /// Draining is over, complete or not: what is still there to be read goes to the logs without
    /// waiting for one of them. Each counts what it cannot take.
    pub fn end_drain(&mut self) {
        for mut tap in std::mem::take(&mut self.taps) {
            while tap.left.is_some_and(|left| left > 0) {
                self.buffer.clear();
                self.buffer.reserve_exact(READ_MAX);
                let count = read_into(&tap.fd, &mut self.buffer).unwrap_or(0);
                tap.left = tap.left.filter(|_| count > 0).map(|left| left.saturating_sub(count));
                self.sinks.write(Timestamp::now(), tap.stream, &self.buffer);
            }
            self.taps.push(tap);
        }
        self.sinks.finish(Timestamp::now());
    }

    /// Streams that had something to read while the pump could not take it, if it now can.
    pub fn take_waiting(&mut self) -> Vec<Stream> {
        if self.paused() {
            return Vec::new();
        }
        let waiting = self.taps.iter_mut().filter(|tap| tap.waiting);
        waiting
            .map(|tap| {
                tap.waiting = false;
                tap.stream
            })
            .collect()
    }

    /// Takes all streams out, to be closed.
    pub fn close_all(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.taps).into_iter().map(|tap| tap.fd).collect()
    }

    /// When time alone will change something, if it will.
    pub fn deadline(&self) -> Option<Instant> {
        [self.sinks.deadline(), self.clients.deadline()].into_iter().flatten().min()
    }

    /// A journal may hold up the last output for as long as draining lasts, but a client may not:
    /// what is left then is bounded, so its queue may grow by that.
    fn paused(&self) -> bool {
        self.sinks.blocked() || (self.clients.full() && !self.draining)
    }

    fn pass_on(&mut self, stream: Stream) {
        let chunk = std::mem::take(&mut self.buffer);
        match (stream, self.held.take()) {
            (Stream::Stderr, Some(held)) => self.hold(held, &chunk),
            (_, held) => {
                self.held = held;
                self.deliver(stream, &chunk);
            }
        }
        self.buffer = chunk;
    }

    /// Holds a chunk of stderr back, while there is room; then everything is passed on as one chunk.
    fn hold(&mut self, mut held: Vec<u8>, chunk: &[u8]) {
        let room = TEXT_MAX - self.text.len();
        self.text.extend_from_slice(&chunk[..chunk.len().min(room)]);
        held.extend_from_slice(chunk);
        if held.len() <= HELD_MAX {
            self.held = Some(held);
        } else {
            self.deliver(Stream::Stderr, &held);
        }
    }

    /// The logs first, the clients second.
    fn deliver(&mut self, stream: Stream, chunk: &[u8]) {
        self.sinks.write(Timestamp::now(), stream, chunk);
        if !self.clients.is_empty() {
            self.clients.offer(Instant::now(), stream, chunk);
        }
    }
}
