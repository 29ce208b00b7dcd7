//! The attached clients. Each has one channel or several, which share the number of its attachment; what
//! it may hear and write is a matter of their kinds.

mod channel;
#[cfg(test)]
mod tests;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use super::outbox::{Output, QUEUE_MAX};
use crate::plan::Stream;
use channel::Channel;
pub use channel::Kind;

/// Names a channel; never used twice by one supervisor.
pub type ChannelId = usize;

/// Memory for the queues of all clients together, as long as each has its minimum of one read.
const MEMORY_MAX: usize = 16 << 20;
/// The same for the clients of one exec session, of which there may be many.
const SESSION_MEMORY_MAX: usize = 1 << 20;
const SHARE_MIN: usize = 64 * 1024;
/// Channels that have gone, whose last input waits for a container that does not read. At the bound
/// the one that has waited longest is given up.
const GONE_MAX: usize = 16;

/// Who is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The number by which events name it; never used twice by one supervisor.
    pub number: u64,
    /// The client of the control socket that asked for it; none of the attach socket has.
    pub client: Option<u64>,
}

/// What came through a channel.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// So many bytes were appended to the buffer.
    Bytes(usize),
    /// No more input comes from this client, by a channel of this kind; it still gets output.
    End(Attachment, Kind),
    /// Nothing now.
    Nothing,
}

/// An attachment that is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Which.
    pub of: Attachment,
    /// Why.
    pub why: Why,
}

/// Why an attachment is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The client has closed it.
    Left,
    /// The streams have ended.
    Ended,
    /// The client did not read, and so many bytes are lost to it.
    Lagged(usize),
}

/// The channels, in the order in which they came.
#[derive(Debug)]
pub struct Clients {
    list: Vec<Channel>,
    /// Memory for all their queues.
    memory: usize,
    /// To be told. One for each attachment at most.
    gone: Vec<Gone>,
    /// How many were dropped since they did not read.
    dropped: u64,
}

impl Default for Clients {
    /// Nobody yet; those of a container.
    fn default() -> Clients {
        Clients { list: Vec::new(), memory: MEMORY_MAX, gone: Vec::new(), dropped: 0 }
    }
}

impl Clients {
    /// Nobody yet; those of an exec session.
    pub fn of_session() -> Clients {
        Clients { memory: SESSION_MEMORY_MAX, ..Clients::default() }
    }

    /// Adds a channel. `fd` is the connection, or our end of [`Kind::pair`]; it must not block.
    pub fn add(&mut self, id: ChannelId, of: Attachment, kind: Kind, fd: OwnedFd) {
        self.list.push(Channel::new(id, of, kind, fd));
    }

    /// The channel's descriptor, to watch it.
    pub fn fd(&self, id: ChannelId) -> Option<BorrowedFd<'_>> {
        self.list.iter().find(|c| c.id == id).map(|c| c.fd.as_fd())
    }

    /// Takes an attachment that did not come about out of the list. Returns what is to be closed.
    pub fn abandon(&mut self, of: Attachment) -> Vec<OwnedFd> {
        self.list.extract_if(.., |c| c.of == of).map(Channel::close).collect()
    }

    /// Sends output to everybody who is to hear it, or queues it.
    pub fn offer(&mut self, output: &Output<'_>) {
        let hearing = self.list.iter().filter(|c| c.hears(None)).count();
        let bound = (self.memory / hearing.max(1)).clamp(SHARE_MIN, QUEUE_MAX);
        for channel in self.list.iter_mut().filter(|c| c.hears(Some(output.stream))) {
            channel.offer(output, bound);
        }
    }

    /// The channel has room again.
    pub fn flush(&mut self, id: ChannelId) {
        if let Some(channel) = self.channel(id) {
            channel.flush();
        }
    }

    /// The client has closed a channel. It stays until what was sent before is read.
    pub fn hang_up(&mut self, id: ChannelId) {
        if let Some(channel) = self.channel(id) {
            channel.stop_output();
        }
    }

    /// This output stream has ended: who hears nothing else sees that as soon as all was sent.
    pub fn end_output(&mut self, stream: Stream) {
        for channel in self.list.iter_mut().filter(|c| c.kind == Kind::Output(stream)) {
            channel.outbox.seal();
        }
    }

    /// The container takes no more input: who only writes is to see that.
    pub fn end_input(&mut self) {
        for channel in self.list.iter_mut().filter(|c| matches!(c.kind, Kind::Input { .. })) {
            channel.outbox.seal();
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

    /// When [`Clients::retire`] will have something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.list.iter().flat_map(|c| [c.outbox.deadline(), c.outbox.again()]).flatten().min()
    }

    /// Sends what the kernel had no memory for, to whom that is due.
    fn retry(&mut self, now: Instant) {
        let due = |channel: &&mut Channel| channel.outbox.again().is_some_and(|again| now >= again);
        self.list.iter_mut().filter(due).for_each(Channel::flush);
    }

    /// Takes out the channels that are closed or served to the end, and the attachments that are behind for
    /// too long, with all their channels. Returns what is to be closed.
    pub fn retire(&mut self, now: Instant) -> Vec<OwnedFd> {
        self.retry(now);
        let mut fds = Vec::new();
        let late: Vec<Attachment> = self.list.iter().filter(|c| c.is_late(now)).map(|c| c.of).collect();
        for of in late {
            self.drop_late(of, &mut fds);
        }
        let mut surplus = self.list.iter().filter(|c| c.waits_to_be_read()).count().saturating_sub(GONE_MAX);
        let give_up = |channel: &mut Channel| {
            let give_up = surplus > 0 && channel.waits_to_be_read();
            if give_up {
                surplus -= 1;
                let number = channel.of.number;
                log::warn!("attachment {number} has gone, and what was sent last is not read: lost");
            }
            give_up
        };
        self.take_out(&mut fds, give_up, Why::Left);
        self.take_out(&mut fds, |channel| channel.is_over(), Why::Left);
        self.take_out(&mut fds, |channel| channel.outbox.is_done(), Why::Ended);
        if self.list.is_empty() {
            self.list = Vec::new();
        }
        fds
    }

    fn drop_late(&mut self, of: Attachment, fds: &mut Vec<OwnedFd>) {
        let late: Vec<Channel> = self.list.extract_if(.., |c| c.of == of).collect();
        // Two of its channels may be late.
        if late.is_empty() {
            return;
        }
        let lost = late.iter().map(|c| c.outbox.unsent()).sum();
        log::warn!("attachment {} does not read: dropped with {lost} bytes unsent", of.number);
        self.dropped += 1;
        self.gone.push(Gone { of, why: Why::Lagged(lost) });
        fds.extend(late.into_iter().map(Channel::close));
    }

    fn take_out(&mut self, fds: &mut Vec<OwnedFd>, which: impl FnMut(&mut Channel) -> bool, why: Why) {
        let out: Vec<Channel> = self.list.extract_if(.., which).collect();
        for channel in out {
            let of = channel.of;
            if !self.has(of) && self.gone.iter().all(|gone| gone.of != of) {
                self.gone.push(Gone { of, why });
            }
            fds.push(channel.close());
        }
    }

    /// The attachments that are no more since this was last asked.
    pub fn take_gone(&mut self) -> Vec<Gone> {
        std::mem::take(&mut self.gone)
    }

    /// Notes that a client has sent something.
    pub fn note_input(&mut self, id: ChannelId) {
        if let Some(channel) = self.channel(id) {
            channel.has_input = channel.sends;
        }
    }

    /// The channel whose input is to be read next. It goes to the end of the list, so that they
    /// take turns.
    pub fn next_with_input(&mut self) -> Option<ChannelId> {
        let at = self.list.iter().position(|c| c.has_input)?;
        self.list[at..].rotate_left(1);
        self.list.last().map(|c| c.id)
    }

    /// Reads once from a channel into the spare room of `buffer`; a packet whole.
    pub fn receive(&mut self, id: ChannelId, buffer: &mut Vec<u8>) -> Received {
        self.channel(id).map_or(Received::Nothing, |channel| channel.receive(buffer))
    }

    /// Whether a client writes that is to be the only one, or one that writes beside others. Clients of
    /// the attach socket are neither: they ask nobody.
    pub fn has_writer(&self, once: bool) -> bool {
        self.list.iter().any(|c| c.kind == Kind::Input { once })
    }

    /// The container has ended: whoever made it wait is not dropped for that any more.
    pub fn excuse(&mut self) {
        for channel in &mut self.list {
            channel.outbox.excuse();
        }
    }

    /// The container's end is recorded: nothing will be added any more. Takes out those that
    /// have everything. The others stay until they have it, or have used up their time.
    pub fn part(&mut self, now: Instant) -> Vec<OwnedFd> {
        let mut fds = Vec::new();
        self.take_out(&mut fds, |channel| channel.outbox.is_empty(), Why::Ended);
        for channel in &mut self.list {
            channel.outbox.part(now);
        }
        fds
    }

    /// How many are attached, the bytes and overhead that wait for them, and how many were dropped
    /// since they did not read.
    pub fn load(&self) -> (usize, usize, u64) {
        let queued = self.list.iter().map(|channel| channel.outbox.cost()).sum();
        (self.attachments(|_| true), queued, self.dropped)
    }

    /// How many are attached by request.
    pub fn requested(&self) -> usize {
        self.attachments(|of| of.client.is_some())
    }

    /// Whether this attachment has a channel still.
    pub fn has(&self, of: Attachment) -> bool {
        self.list.iter().any(|c| c.of == of)
    }

    /// Whether nobody is attached.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn attachments(&self, which: impl Fn(&Attachment) -> bool) -> usize {
        let mut numbers: Vec<u64> =
            self.list.iter().map(|c| c.of).filter(which).map(|of| of.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.len()
    }

    fn channel(&mut self, id: ChannelId) -> Option<&mut Channel> {
        self.list.iter_mut().find(|c| c.id == id)
    }
}
