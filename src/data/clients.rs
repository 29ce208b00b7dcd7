//! The attached clients: each gets all output, and any of them may send input.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::sys::socket::Shutdown;

use super::outbox::{Outbox, Output, QUEUE_MAX};
use crate::error::reason;
use crate::sys::io::receive_into;

/// Names a client; never used twice by one supervisor.
pub type ClientId = usize;

/// Memory for the queues of all clients together, as long as each has its minimum of one read.
const MEMORY_MAX: usize = 16 << 20;
const SHARE_MIN: usize = 64 * 1024;
/// Clients that have gone, whose last input waits for a container that does not read. At the bound
/// the one that has waited longest is given up.
const GONE_MAX: usize = 16;
/// Packets of a client that are thrown away at the end, at most; a client that goes on sending sees
/// a reset.
const DISCARDED_MAX: usize = 1024;

/// What came from a client.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// A packet of this length was appended to the buffer.
    Packet(usize),
    /// The client sends no more input; it still gets output.
    End,
    /// Nothing now.
    Nothing,
}

/// The clients, in the order in which they came.
#[derive(Debug, Default)]
pub struct Clients {
    list: Vec<Client>,
    next: ClientId,
    /// How many were dropped since they did not read.
    dropped: u64,
}

#[derive(Debug)]
struct Client {
    id: ClientId,
    fd: OwnedFd,
    outbox: Outbox,
    /// It may still send.
    sends: bool,
    /// It has sent something, for which there was no room yet.
    has_input: bool,
    /// It takes no more output. What it has sent before still counts.
    deaf: bool,
}

impl Clients {
    /// Adds a connected client.
    pub fn add(&mut self, fd: OwnedFd) -> ClientId {
        let id = self.next;
        self.next += 1;
        self.list.push(Client {
            id,
            fd,
            outbox: Outbox::default(),
            sends: true,
            has_input: false,
            deaf: false,
        });
        id
    }

    /// The client's connection, to watch it.
    pub fn fd(&self, id: ClientId) -> Option<BorrowedFd<'_>> {
        self.list.iter().find(|c| c.id == id).map(|c| c.fd.as_fd())
    }

    /// Takes a client out of the list; the caller closes the connection.
    pub fn remove(&mut self, id: ClientId) -> Option<OwnedFd> {
        let at = self.list.iter().position(|c| c.id == id)?;
        let client = self.list.remove(at);
        if self.list.is_empty() {
            self.list = Vec::new();
        }
        Some(client.close())
    }

    /// Sends output to every client, or queues it.
    pub fn offer(&mut self, output: &Output<'_>) {
        let bound = (MEMORY_MAX / self.list.len().max(1)).clamp(SHARE_MIN, QUEUE_MAX);
        for client in self.list.iter_mut().filter(|c| !c.deaf) {
            let sent = client.outbox.send(client.fd.as_fd(), output, bound);
            client.note(sent);
        }
    }

    /// The client has room again.
    pub fn flush(&mut self, id: ClientId) {
        if let Some(client) = self.list.iter_mut().find(|c| c.id == id && !c.deaf) {
            let sent = client.outbox.flush(client.fd.as_fd());
            client.note(sent);
        }
    }

    /// The client has closed its connection. It stays until what it sent before was read.
    pub fn hang_up(&mut self, id: ClientId) {
        if let Some(client) = self.list.iter_mut().find(|c| c.id == id) {
            client.stop_output();
        }
    }

    /// Whether a client's queue is full, so that no more output may be read.
    pub fn full(&self) -> bool {
        self.list.iter().any(|c| c.outbox.deadline().is_some())
    }

    /// Whether every client has been sent everything.
    pub fn settled(&self) -> bool {
        self.list.iter().all(|c| c.outbox.is_empty())
    }

    /// When [`Clients::overdue`] will have something to say, or [`Clients::retry`] something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.list.iter().flat_map(|c| [c.outbox.deadline(), c.outbox.again()]).flatten().min()
    }

    /// Sends what the kernel had no memory for, to whom that is due.
    pub fn retry(&mut self, now: Instant) {
        let due = |client: &&mut Client| client.outbox.again().is_some_and(|again| now >= again);
        for client in self.list.iter_mut().filter(due) {
            let sent = client.outbox.flush(client.fd.as_fd());
            client.note(sent);
        }
    }

    /// Clients to be removed: gone, served to the end, or behind for too long.
    pub fn overdue(&mut self, now: Instant) -> Vec<ClientId> {
        let mut overdue = Vec::new();
        let mut surplus = self.list.iter().filter(|c| c.deaf).count().saturating_sub(GONE_MAX);
        for client in &self.list {
            if (client.deaf && !client.sends) || client.outbox.is_done() {
                overdue.push(client.id);
            } else if client.deaf && surplus > 0 {
                surplus -= 1;
                log::warn!("attached client {} has gone, and what it sent last is not read: lost", client.id);
                overdue.push(client.id);
            } else if client.outbox.deadline().is_some_and(|deadline| now >= deadline) {
                let bytes = client.outbox.cost();
                log::warn!("attached client {} does not read: dropped with {bytes} bytes unsent", client.id);
                self.dropped += 1;
                overdue.push(client.id);
            }
        }
        overdue
    }

    /// Notes that a client has sent something.
    pub fn note_input(&mut self, id: ClientId) {
        if let Some(client) = self.list.iter_mut().find(|c| c.id == id) {
            client.has_input = client.sends;
        }
    }

    /// The client whose input is to be read next. It goes to the end of the list, so that they
    /// take turns by packet.
    pub fn next_with_input(&mut self) -> Option<ClientId> {
        let at = self.list.iter().position(|c| c.has_input)?;
        self.list[at..].rotate_left(1);
        self.list.last().map(|c| c.id)
    }

    /// Reads one packet of a client into the spare room of `buffer`.
    pub fn receive(&mut self, id: ClientId, buffer: &mut Vec<u8>) -> Received {
        let Some(client) = self.list.iter_mut().find(|c| c.id == id) else { return Received::Nothing };
        let before = buffer.len();
        match receive_into(&client.fd, buffer) {
            Ok(0) => {
                // After an empty packet the other side may still try to send; now it is told.
                let _ = nix::sys::socket::shutdown(client.fd.as_raw_fd(), Shutdown::Read);
                client.sends = false;
                client.has_input = false;
                Received::End
            }
            Ok(length) => {
                let kept = buffer.len() - before;
                if length > kept {
                    log::warn!(
                        "attached client {id}: packet of {length} bytes, {} of them lost",
                        length - kept
                    );
                }
                Received::Packet(kept)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                client.has_input = false;
                Received::Nothing
            }
            // It still has input.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Received::Nothing,
            Err(error) => {
                log::debug!("attached client {id}: {}", reason(&error));
                client.sends = false;
                client.has_input = false;
                Received::End
            }
        }
    }

    /// The container has ended: whoever made it wait is not dropped for that any more.
    pub fn excuse(&mut self) {
        self.list.iter_mut().for_each(|client| client.outbox.excuse());
    }

    /// The container has ended, and its end is about to be recorded: takes out all clients that
    /// have everything. The others stay until they have it, or have used up their time.
    pub fn part(&mut self, now: Instant) -> Vec<OwnedFd> {
        let (done, behind) = std::mem::take(&mut self.list).into_iter().partition(|c| c.outbox.is_empty());
        self.list = behind;
        for client in &mut self.list {
            client.outbox.seal(now);
        }
        Vec::into_iter(done).map(Client::close).collect()
    }

    /// How many are attached, the bytes and overhead that wait for them, and how many were dropped
    /// since they did not read.
    pub fn load(&self) -> (usize, usize, u64) {
        (self.list.len(), self.list.iter().map(|client| client.outbox.cost()).sum(), self.dropped)
    }

    /// Whether nobody is attached.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl Client {
    /// Throws away what the client sent and nobody read: a peer whose data is thrown away by
    /// close(2) sees ECONNRESET instead of the end.
    fn close(self) -> OwnedFd {
        let mut buffer = Vec::with_capacity(4096);
        for _ in 0..DISCARDED_MAX {
            buffer.clear();
            if !matches!(receive_into(&self.fd, &mut buffer), Ok(1..)) {
                break;
            }
        }
        self.fd
    }

    fn note(&mut self, sent: io::Result<()>) {
        if let Err(error) = sent {
            log::debug!("attached client {} takes no more output: {}", self.id, reason(&error));
            self.stop_output();
        }
    }

    fn stop_output(&mut self) {
        self.deaf = true;
        self.outbox.discard();
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};

    use super::super::outbox::{PARTING_LIMIT, PAYLOAD_MAX};
    use super::*;
    use crate::plan::Stream;

    /// `count` clients, and their other sides.
    fn clients(count: usize) -> (Clients, Vec<OwnedFd>) {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let mut clients = Clients::default();
        let add = |_| {
            let (ours, theirs) =
                socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).expect("socketpair");
            clients.add(ours);
            theirs
        };
        let others = (0..count).map(add).collect();
        (clients, others)
    }

    fn offer_until_full(clients: &mut Clients, now: Instant) {
        let chunk = [b'x'; PAYLOAD_MAX];
        while !clients.full() {
            clients.offer(&Output { now, stream: Stream::Stdout, chunk: &chunk });
        }
    }

    fn receive_one(other: &OwnedFd) -> bool {
        recv(other.as_raw_fd(), &mut [0; PAYLOAD_MAX + 1], MsgFlags::empty()).is_ok_and(|size| size > 0)
    }

    #[test]
    fn all_queues_together_are_bounded() {
        for count in [1, 2, 4, 10, 100, 500] {
            let (mut clients, _others) = clients(count);
            offer_until_full(&mut clients, Instant::now());
            let costs = clients.list.iter().map(|client| client.outbox.cost());
            let (sum, most) = (costs.clone().sum::<usize>(), costs.max().expect("clients"));
            // Each may be beyond its share by one packet.
            let slack = count * 2 * PAYLOAD_MAX;
            assert!(sum <= MEMORY_MAX.max(count * SHARE_MIN) + slack, "{count} clients: {sum} bytes");
            let least = if count <= 4 { QUEUE_MAX } else { SHARE_MIN };
            assert!((least..least.max(MEMORY_MAX / count) + slack).contains(&most), "{count}: {most} bytes");
        }
    }

    #[test]
    fn who_reads_slowly_after_the_end_gets_no_more_time_for_that() {
        let (mut clients, others) = clients(1);
        let recorded = Instant::now();
        offer_until_full(&mut clients, recorded);
        clients.excuse();
        assert!(clients.part(recorded).is_empty());
        let limit = recorded + PARTING_LIMIT;
        for _ in 0..50 {
            assert!(receive_one(&others[0]));
            clients.flush(0);
            assert_eq!(clients.deadline(), Some(limit));
        }
        assert_eq!(clients.overdue(limit - std::time::Duration::from_millis(1)), [0; 0]);
        assert_eq!(clients.overdue(limit), [0]);
        // Whoever has everything is let go before.
        while receive_one(&others[0]) {
            clients.flush(0);
        }
        assert_eq!(clients.overdue(recorded), [0]);
    }

    #[test]
    fn a_few_of_those_that_have_gone_may_wait_for_their_input_to_be_read() {
        let (mut clients, others) = clients(100);
        for other in others {
            send(other.as_raw_fd(), b"typed", MsgFlags::empty()).expect("room for input");
        }
        for id in 0..100 {
            clients.note_input(id);
            clients.hang_up(id);
        }
        let lost: Vec<ClientId> = (0..100 - GONE_MAX).collect();
        assert_eq!(clients.overdue(Instant::now()), lost, "the longest waiting first");
        lost.into_iter().for_each(|id| drop(clients.remove(id)));
        assert_eq!(clients.overdue(Instant::now()), [0; 0]);
    }
}
