//! Waiting for descriptors.
//!
//! mio is edge-triggered: it says once that a source became ready. A source that did not use up
//! its readiness (its budget was spent) is put on a list with [`Reactor::again`] and runs in the
//! next round without a wait; so nobody starves, and the work of one round is bounded.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::error::reason;

/// How many sources one wait can report; the rest come with the next one.
const EVENTS_A_ROUND: usize = 64;

/// Who watches: whatever the owner of the descriptors can tell apart by a number.
pub type SourceId = usize;

/// A source that may be able to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The number it was watched under.
    pub id: SourceId,
    /// There may be something to read, or the other side has closed.
    pub readable: bool,
    /// There may be room to write, or nobody reads any more.
    pub writable: bool,
    /// Both directions are closed.
    pub hung_up: bool,
}

impl Ready {
    /// Readiness to read, as if an edge had come.
    pub fn to_read(id: SourceId) -> Ready {
        Ready { id, readable: true, writable: false, hung_up: false }
    }

    /// Room to write, as if an edge had come.
    pub fn to_write(id: SourceId) -> Ready {
        Ready { id, readable: false, writable: true, hung_up: false }
    }
}

/// The sources that are watched.
#[derive(Debug)]
pub struct Reactor {
    poll: Poll,
    events: Events,
    carried: Vec<Ready>,
}

/// What to watch a source for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Something to read.
    Reads,
    /// Room to write.
    Writes,
    /// Either.
    Both,
}

impl Reactor {
    /// An empty set.
    pub fn new() -> io::Result<Reactor> {
        Ok(Reactor { poll: Poll::new()?, events: Events::with_capacity(EVENTS_A_ROUND), carried: Vec::new() })
    }

    /// Watches `fd`, which its owner must [`forget`](Reactor::forget) before closing it.
    /// Regular files cannot be watched (EPERM).
    pub fn watch(&self, fd: impl AsFd, id: SourceId, watch: Watch) -> io::Result<()> {
        let interest = match watch {
            Watch::Reads => Interest::READABLE,
            Watch::Writes => Interest::WRITABLE,
            Watch::Both => Interest::READABLE | Interest::WRITABLE,
        };
        self.poll.registry().register(&mut SourceFd(&fd.as_fd().as_raw_fd()), Token(id), interest)
    }

    /// Stops watching `fd`. To be called before it is closed: a duplicate in another process would
    /// keep reporting it (epoll(7), question 6).
    pub fn forget(&self, fd: impl AsFd) {
        if let Err(error) = self.poll.registry().deregister(&mut SourceFd(&fd.as_fd().as_raw_fd())) {
            log::debug!("a source was not watched: {}", reason(&error));
        }
    }

    /// Stops watching a descriptor and closes it, in this order.
    pub fn close(&self, fd: OwnedFd) {
        self.forget(&fd);
    }

    /// Runs this source in the next round, which will not wait.
    pub fn again(&mut self, ready: Ready) {
        merge(&mut self.carried, ready);
    }

    /// Waits until a source is ready or the deadline has passed, and puts what is ready into `out`.
    /// May return early with nothing.
    pub fn wait(&mut self, deadline: Option<Instant>, out: &mut Vec<Ready>) -> io::Result<()> {
        let timeout = if self.carried.is_empty() {
            deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
        } else {
            Some(Duration::ZERO)
        };
        out.clear();
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        for event in &self.events {
            let ready = Ready {
                id: event.token().0,
                readable: event.is_readable() || event.is_read_closed() || event.is_error(),
                writable: event.is_writable() || event.is_write_closed() || event.is_error(),
                hung_up: event.is_write_closed() && event.is_read_closed(),
            };
            merge(out, ready);
        }
        for ready in self.carried.drain(..) {
            merge(out, ready);
        }
        Ok(())
    }
}

/// A source stands in a list once, with all that is known of it.
fn merge(list: &mut Vec<Ready>, ready: Ready) {
    match list.iter_mut().find(|known| known.id == ready.id) {
        Some(known) => {
            known.readable |= ready.readable;
            known.writable |= ready.writable;
            known.hung_up |= ready.hung_up;
        }
        None => list.push(ready),
    }
}
