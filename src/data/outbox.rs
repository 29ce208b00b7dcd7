//! What one attached client has not taken yet.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, sendmsg};

use crate::plan::Stream;

/// The most payload bytes of one packet; with the stream's byte in front, 8193, which is the
/// buffer of the clients that exist.
pub const PAYLOAD_MAX: usize = 8192;
/// Bytes a client may lag behind, if it is one of few. While the container lives no more output is
/// read at the bound, until the client has caught up to half of it, or its grace time is over; then
/// the client is dropped. (The last output is read all the same; it is bounded by itself.)
pub const QUEUE_MAX: usize = 4 << 20;
/// How long a client may take to catch up while the container has to wait for it.
pub const GRACE: Duration = Duration::from_secs(3);
/// How long a client may take for the rest after the container's end was recorded. Others wait for
/// the end of the supervisor, so this is not prolonged by reading slowly.
pub const PARTING_LIMIT: Duration = Duration::from_secs(30);
/// How long the kernel is given to find memory for a packet: nothing says when it has some.
const MEMORY_PAUSE: Duration = Duration::from_millis(20);
/// Pieces for which a queue has room at once. Growing from few would leave freed arrays of less than 1 KiB in
/// the cache of malloc(3), which malloc_trim(3) does not empty, scattered over pages that are then kept.
const PIECES_MIN: usize = 64;
/// What a piece costs beside its bytes, so that many tiny ones are bounded too.
const PIECE_COST: usize = 48;

/// Output on its way to the clients.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// When it was read.
    pub now: Instant,
    /// Where it comes from.
    pub stream: Stream,
    /// The bytes.
    pub chunk: &'a [u8],
}

/// How output is put on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// In packets, with the stream's byte in front of each.
    Packets,
    /// As it is.
    Bytes,
}

/// A bounded queue of pieces for one connection, oldest first.
#[derive(Debug)]
pub struct Outbox {
    framing: Framing,
    /// Packets, or runs of bytes.
    pieces: VecDeque<Vec<u8>>,
    /// Bytes of the oldest piece that were sent. A packet goes whole.
    begun: usize,
    cost: usize,
    bound: usize,
    /// When the client must have caught up, or at the end taken everything.
    deadline: Option<Instant>,
    /// When to try again what the kernel had no memory for.
    again: Option<Instant>,
    /// Nothing will be added any more.
    sealed: bool,
    /// The deadline is the last one.
    parting: bool,
}

impl Outbox {
    /// An empty one.
    pub fn new(framing: Framing) -> Outbox {
        Outbox {
            framing,
            pieces: VecDeque::new(),
            begun: 0,
            cost: 0,
            bound: 0,
            deadline: None,
            again: None,
            sealed: false,
            parting: false,
        }
    }

    /// Sends output, or keeps it for later; `bound` is the client's share of the memory for queues.
    /// An error means that the client is gone.
    pub fn send(&mut self, to: BorrowedFd<'_>, output: &Output<'_>, bound: usize) -> io::Result<()> {
        match self.framing {
            Framing::Packets => self.send_packets(to, output)?,
            Framing::Bytes => self.send_bytes(to, output.chunk)?,
        }
        self.bound = bound;
        if self.cost >= bound {
            self.deadline.get_or_insert(output.now + GRACE);
        }
        Ok(())
    }

    fn send_packets(&mut self, to: BorrowedFd<'_>, output: &Output<'_>) -> io::Result<()> {
        let header = [match output.stream {
            Stream::Stdout => 2,
            Stream::Stderr => 3,
        }];
        for payload in output.chunk.chunks(PAYLOAD_MAX) {
            let parts = [IoSlice::new(&header), IoSlice::new(payload)];
            if !(self.pieces.is_empty() && self.try_send(to, &parts)?.is_some()) {
                self.keep([&header, payload].concat());
            }
        }
        Ok(())
    }

    fn send_bytes(&mut self, to: BorrowedFd<'_>, mut rest: &[u8]) -> io::Result<()> {
        while self.pieces.is_empty() && !rest.is_empty() {
            let Some(sent) = self.try_send(to, &[IoSlice::new(rest)])? else { break };
            rest = &rest[sent..];
        }
        match self.pieces.back_mut() {
            _ if rest.is_empty() => {}
            // A program that writes a word at a time must not cost many times its bytes.
            Some(last) if last.len() + rest.len() <= PAYLOAD_MAX => {
                last.reserve_exact(PAYLOAD_MAX - last.len());
                last.extend_from_slice(rest);
                self.cost += rest.len();
            }
            Some(_) | None => self.keep(rest.to_vec()),
        }
        Ok(())
    }

    fn keep(&mut self, piece: Vec<u8>) {
        if self.pieces.capacity() == 0 {
            self.pieces.reserve_exact(PIECES_MIN);
        }
        self.cost += piece.len() + PIECE_COST;
        self.pieces.push_back(piece);
    }

    /// Sends what was kept, as far as the client takes it.
    pub fn flush(&mut self, to: BorrowedFd<'_>) -> io::Result<()> {
        while let Some(piece) = self.pieces.pop_front() {
            let sent = self.try_send(to, &[IoSlice::new(&piece[self.begun..])])?;
            self.begun += sent.unwrap_or(0);
            self.cost -= sent.unwrap_or(0);
            if self.begun == piece.len() {
                self.begun = 0;
                self.cost -= PIECE_COST;
                continue;
            }
            self.pieces.push_front(piece);
            if sent.is_none() {
                break;
            }
        }
        if self.pieces.is_empty() {
            self.pieces = VecDeque::new();
        }
        if !self.parting && self.cost <= self.bound / 2 {
            self.deadline = None;
        }
        Ok(())
    }

    /// The container has ended and need not wait any more, so neither does the client owe it anything.
    pub fn excuse(&mut self) {
        self.deadline = None;
    }

    /// Throws away what was kept: nobody will take it.
    pub fn discard(&mut self) {
        self.pieces = VecDeque::new();
        self.begun = 0;
        self.cost = 0;
        (self.deadline, self.again) = (None, None);
    }

    /// The stream has ended: what is kept is all that will come.
    pub fn seal(&mut self) {
        self.sealed = true;
    }

    /// The end of the container is recorded: what is kept is all that will come, and the time for it
    /// runs.
    pub fn part(&mut self, now: Instant) {
        self.seal();
        self.parting = true;
        self.deadline = Some(now + PARTING_LIMIT);
    }

    /// Whether everything that will ever come was sent.
    pub fn is_done(&self) -> bool {
        self.sealed && self.pieces.is_empty()
    }

    /// Whether everything was sent.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes and overhead of what was kept.
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// Bytes of output that were kept.
    pub fn unsent(&self) -> usize {
        let header = match self.framing {
            Framing::Packets => 1,
            Framing::Bytes => 0,
        };
        self.cost - self.pieces.len() * (PIECE_COST + header)
    }

    /// When the client's time is over, while it has to hurry.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// When [`Outbox::flush`] may do better than it did, although the client has done nothing.
    pub fn again(&self) -> Option<Instant> {
        self.again
    }

    /// Sends what there is room for, a packet whole or not at all; `None` if there is none now.
    fn try_send(&mut self, to: BorrowedFd<'_>, parts: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        self.again = None;
        loop {
            match sendmsg::<()>(to.as_raw_fd(), parts, &[], flags, None) {
                Ok(sent) => return Ok(Some(sent)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                // The kernel is short of memory for sockets (in this cgroup), which passes.
                Err(Errno::ENOBUFS | Errno::ENOMEM) => {
                    self.again = Some(Instant::now() + MEMORY_PAUSE);
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
