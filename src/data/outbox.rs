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
/// Bytes a client may lag behind. At the bound no more output is read from the container until the
/// client has caught up to half of it, or its grace time is over; then the client is dropped.
pub const QUEUE_MAX: usize = 4 << 20;
/// How long a client may take to catch up while the container has to wait for it.
pub const GRACE: Duration = Duration::from_secs(3);
/// How long a client may take nothing of the rest after the container has ended, when nobody waits
/// for it any more: somebody may be reading it page by page.
pub const PARTING_GRACE: Duration = Duration::from_secs(60);
/// What a packet costs beside its bytes, so that many tiny ones are bounded too.
const PACKET_COST: usize = 48;

/// A bounded queue of packets for one client, oldest first.
#[derive(Debug, Default)]
pub struct Outbox {
    packets: VecDeque<Box<[u8]>>,
    cost: usize,
    /// Since when the client owes us something: to catch up, or at the end to take anything at all.
    owes_since: Option<Instant>,
    /// Nothing will be added any more.
    last: bool,
}

impl Outbox {
    /// Sends output, or keeps it for later. An error means that the client is gone.
    pub fn send(&mut self, to: BorrowedFd<'_>, now: Instant, stream: Stream, chunk: &[u8]) -> io::Result<()> {
        let header = [match stream {
            Stream::Stdout => 2,
            Stream::Stderr => 3,
        }];
        for payload in chunk.chunks(PAYLOAD_MAX) {
            if !(self.packets.is_empty() && sent(to, &[IoSlice::new(&header), IoSlice::new(payload)])?) {
                self.keep(now, &header, payload);
            }
        }
        Ok(())
    }

    /// Sends what was kept, as far as the client takes it.
    pub fn flush(&mut self, to: BorrowedFd<'_>, now: Instant) -> io::Result<()> {
        let before = self.cost;
        while let Some(packet) = self.packets.front() {
            if !sent(to, &[IoSlice::new(packet)])? {
                break;
            }
            self.cost -= packet.len() + PACKET_COST;
            self.packets.pop_front();
        }
        if self.packets.is_empty() {
            self.packets = VecDeque::new();
        }
        if self.last && self.cost < before {
            self.owes_since = Some(now);
        } else if !self.last && self.cost <= QUEUE_MAX / 2 {
            self.owes_since = None;
        }
        Ok(())
    }

    /// The container has ended and need not wait any more, so neither does the client owe it anything.
    pub fn excuse(&mut self) {
        self.owes_since = None;
    }

    /// The end is recorded: what is kept is all that will come.
    pub fn seal(&mut self, now: Instant) {
        self.last = true;
        self.owes_since = Some(now);
    }

    /// Whether everything that will ever come was sent.
    pub fn is_done(&self) -> bool {
        self.last && self.packets.is_empty()
    }

    /// Whether everything was sent.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Bytes and overhead of what was kept.
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// When the grace time is over, while the client owes us something.
    pub fn deadline(&self) -> Option<Instant> {
        let grace = if self.last { PARTING_GRACE } else { GRACE };
        self.owes_since.map(|since| since + grace)
    }

    fn keep(&mut self, now: Instant, header: &[u8], payload: &[u8]) {
        self.packets.push_back([header, payload].concat().into_boxed_slice());
        self.cost += header.len() + payload.len() + PACKET_COST;
        if self.cost >= QUEUE_MAX {
            self.owes_since.get_or_insert(now);
        }
    }
}

/// Sends one packet whole; `false` if there is no room for it now.
fn sent(to: BorrowedFd<'_>, parts: &[IoSlice<'_>]) -> io::Result<bool> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    match sendmsg::<()>(to.as_raw_fd(), parts, &[], flags, None) {
        Ok(_) => Ok(true),
        // ENOBUFS: the kernel is short of memory for sockets, which passes.
        Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
