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
/// What a packet costs beside its bytes, so that many tiny ones are bounded too.
const PACKET_COST: usize = 48;

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

/// A bounded queue of packets for one client, oldest first.
#[derive(Debug, Default)]
pub struct Outbox {
    packets: VecDeque<Box<[u8]>>,
    cost: usize,
    bound: usize,
    /// When the client must have caught up, or at the end taken everything.
    deadline: Option<Instant>,
    /// When to try again what the kernel had no memory for.
    again: Option<Instant>,
    /// Nothing will be added any more.
    sealed: bool,
}

impl Outbox {
    /// Sends output, or keeps it for later; `bound` is the client's share of the memory for queues.
    /// An error means that the client is gone.
    pub fn send(&mut self, to: BorrowedFd<'_>, output: &Output<'_>, bound: usize) -> io::Result<()> {
        let Output { now, stream, chunk } = *output;
        let header = [match stream {
            Stream::Stdout => 2,
            Stream::Stderr => 3,
        }];
        for payload in chunk.chunks(PAYLOAD_MAX) {
            if !(self.packets.is_empty()
                && self.try_send(to, &[IoSlice::new(&header), IoSlice::new(payload)])?)
            {
                self.packets.push_back([&header, payload].concat().into_boxed_slice());
                self.cost += header.len() + payload.len() + PACKET_COST;
            }
        }
        self.bound = bound;
        if self.cost >= bound {
            self.deadline.get_or_insert(now + GRACE);
        }
        Ok(())
    }

    /// Sends what was kept, as far as the client takes it.
    pub fn flush(&mut self, to: BorrowedFd<'_>) -> io::Result<()> {
        while let Some(packet) = self.packets.pop_front() {
            if !self.try_send(to, &[IoSlice::new(&packet)])? {
                self.packets.push_front(packet);
                break;
            }
            self.cost -= packet.len() + PACKET_COST;
        }
        if self.packets.is_empty() {
            self.packets = VecDeque::new();
        }
        if !self.sealed && self.cost <= self.bound / 2 {
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
        self.packets = VecDeque::new();
        self.cost = 0;
        (self.deadline, self.again) = (None, None);
    }

    /// The end is recorded: what is kept is all that will come.
    pub fn seal(&mut self, now: Instant) {
        self.sealed = true;
        self.deadline = Some(now + PARTING_LIMIT);
    }

    /// Whether everything that will ever come was sent.
    pub fn is_done(&self) -> bool {
        self.sealed && self.packets.is_empty()
    }

    /// Whether everything was sent.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Bytes and overhead of what was kept.
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// When the client's time is over, while it has to hurry.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// When [`Outbox::flush`] may do better than it did, although the client has done nothing.
    pub fn again(&self) -> Option<Instant> {
        self.again
    }

    /// Sends one packet whole; `false` if there is no room for it now.
    fn try_send(&mut self, to: BorrowedFd<'_>, parts: &[IoSlice<'_>]) -> io::Result<bool> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        self.again = None;
        loop {
            match sendmsg::<()>(to.as_raw_fd(), parts, &[], flags, None) {
                Ok(_) => return Ok(true),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(false),
                // The kernel is short of memory for sockets (in this cgroup), which passes.
                Err(Errno::ENOBUFS | Errno::ENOMEM) => {
                    self.again = Some(Instant::now() + MEMORY_PAUSE);
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
