//! The `journald` sink: an entry a line, and no waiting for journald beyond a bound.

mod fields;
mod insert;
mod lines;
mod socket;
mod writer;

pub use socket::PATH as SOCKET;

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Instant;

use crate::error::Error;
use crate::plan::{Identity, JournalLog, LogLimits, Stream};
use crate::sink::guests::Guests;
use crate::sink::policy::Valve;
use crate::sink::{Counts, STREAMS, Whose};
use crate::sys::clock::Timestamp;
use writer::JournalWriter;

/// The journal, and what is on its way into it.
#[derive(Debug)]
pub struct JournalSink {
    valve: Valve<JournalWriter>,
    guests: Guests,
}

impl JournalSink {
    /// A sink for this container. Nothing is sent, and nobody need listen yet.
    pub fn open(
        plan: &JournalLog,
        limits: [LogLimits; 2],
        identity: &Identity,
        path: &Path,
    ) -> Result<JournalSink, Error> {
        let writer = JournalWriter::open(plan, identity, path)?;
        Ok(JournalSink { valve: Valve::new(writer, limits), guests: Guests::default() })
    }

    /// Logs a chunk of the container's output, and lines of sessions for which there is a place then.
    pub fn write(&mut self, now: Timestamp, stream: Stream, chunk: &[u8]) {
        self.valve.write(now, stream, Whose::Container, chunk);
        if self.guests.wait() {
            self.insert_ready(Instant::now());
        }
    }

    /// The journal, and what waits for it.
    pub fn valve(&mut self) -> &mut Valve<JournalWriter> {
        &mut self.valve
    }

    /// Whether this stream is to be read no further.
    pub fn blocks(&self, stream: Stream) -> bool {
        self.valve.blocks(stream)
    }

    /// Whether output waits for the journal.
    pub fn holds(&self) -> bool {
        self.valve.holds()
    }

    /// The descriptor to watch for writability, the same for life; connected or not.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.valve.log.fd()
    }

    /// When [`JournalSink::turn`] must be called at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        if !self.valve.holds() && !self.guests.wait() {
            return None;
        }
        self.valve.deadline().into_iter().chain(self.valve.guests_deadline(&self.guests)).min()
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
        self.insert_ready(now);
    }

    /// Ends the log: nothing waits any longer, unfinished lines become partial entries. Does not wait.
    pub fn finish(&mut self, now: Timestamp) {
        self.valve.stop_waiting(Instant::now());
        for stream in STREAMS {
            self.valve.let_in(&mut self.guests, now, stream);
        }
        self.valve.log.finish(now);
    }

    /// What became of this stream's bytes.
    pub fn counts(&self, stream: Stream, whose: Whose) -> Counts {
        Counts { waiting: self.valve.waiting(stream, whose), ..self.valve.log.counts(stream, whose) }
    }
}
