//! The `journald` sink: an entry a line, and no waiting for journald beyond a bound.

mod fields;
mod lines;
mod socket;
mod writer;

pub use socket::PATH as SOCKET;

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Instant;

use crate::error::Error;
use crate::plan::{Identity, JournalLog, LogLimits, Stream};
use crate::sink::Whose;
use crate::sink::policy::Valve;
use crate::sys::clock::Timestamp;
use writer::JournalWriter;

/// The journal, and what is on its way into it.
///
/// A container's line is an entry, sent when it ends, so lines of sessions fit between any two. Only a line that
/// is too long for one entry is open in the journal: between its entries nobody is let in, nor into a line that
/// waits, since nobody knows yet how long it will be.
#[derive(Debug)]
pub struct JournalSink {
    /// The journal behind its policies.
    pub valve: Valve<JournalWriter>,
}

impl JournalSink {
    /// A sink for this container. Nothing is sent, and nobody need listen yet.
    pub fn open(
        plan: &JournalLog,
        limits: [LogLimits; 2],
        identity: &Identity,
        path: &Path,
    ) -> Result<JournalSink, Error> {
        Ok(JournalSink { valve: Valve::new(JournalWriter::open(plan, identity, path)?, limits) })
    }

    /// Logs a chunk of the container's output, and lines of sessions for which there is a place then.
    pub fn write(&mut self, now: Timestamp, stream: Stream, chunk: &[u8]) {
        self.valve.write(now, stream, Whose::Container, chunk);
        if self.valve.guests().wait() {
            self.valve.let_in_ready(Instant::now());
        }
    }

    /// The descriptor to watch for writability, the same for life; connected or not.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.valve.log.fd()
    }

    /// Goes on with what waits, or gives it up if its time is over, and tells of gaps. It is called when the
    /// socket has room, and an attempt is one system call, so nothing waits for its time here. Lets lines of sessions
    /// in for which there is a place then.
    pub fn turn(&mut self, now: Instant) {
        self.valve.turn_all(now);
        if !self.valve.holds() {
            // A refusal changes nothing.
            let _ = self.valve.log.tell_gaps(Timestamp::now());
        }
        self.valve.let_in_ready(now);
    }

    /// Ends the log: nothing waits any longer, unfinished lines become partial entries. Does not wait.
    pub fn finish(&mut self, now: Timestamp) {
        self.valve.empty(now);
        self.valve.log.finish(now);
    }
}
