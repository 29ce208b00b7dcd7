//! Lines of exec sessions in the journal, beside those of the container.
//!
//! A container's line is an entry, sent when it ends, so others fit between any two. Only a line that is
//! too long for one entry is open in the journal: between its entries nobody is let in.

use std::time::Instant;

use super::socket::Refusal;
use super::{Counts, Held, JournalSink, PATIENCE};
use crate::plan::Stream;
use crate::sink::guests::Guests;
use crate::sink::{STREAMS, Whose};
use crate::sys::clock::Timestamp;

impl JournalSink {
    /// Logs whole lines of a session, now or as soon as it can be done.
    pub fn admit(&mut self, now: Instant, stream: Stream, lines: &[u8]) {
        self.guests.add(now, stream, lines);
        self.insert_ready(now);
    }

    /// The lines that wait.
    pub fn guests(&self) -> &Guests {
        &self.guests
    }

    /// Logs the lines for which there is a place.
    pub(super) fn insert_ready(&mut self, now: Instant) {
        for stream in STREAMS {
            let open = self.streams[stream as usize].lines.is_open();
            let waits = self.guests.wait_for(stream) && open && !self.guests.are_due(now, stream);
            if self.guests.wait_for(stream) && !waits && self.held.is_none() {
                self.insert(Timestamp::now(), stream);
            }
        }
    }

    /// Logs the lines that wait, or holds them back while the queue is full. The container's line, if one
    /// is open, ends before them.
    pub(super) fn insert(&mut self, now: Timestamp, stream: Stream) {
        let lines = self.guests.take(stream);
        let ready = match self.held.is_some() {
            true => Err(Refusal::Full),
            false => self.out.prepare(now).and_then(|()| self.cut(now, stream)),
        };
        let (done, refusal) = match ready {
            Ok(()) => self.push(now, stream, Whose::Session, &lines),
            Err(refusal) => (0, Err(refusal)),
        };
        let rest = &lines[done..];
        match refusal {
            Ok(()) => {}
            Err(Refusal::Full) if self.held.is_none() => {
                let (whose, until) = (Whose::Session, Instant::now() + PATIENCE);
                self.held = Some(Held { stream, whose, at: now, bytes: rest.to_vec(), until });
            }
            Err(refusal) => self.lose(stream, Whose::Session, rest, now, now, refusal),
        }
    }

    /// Ends the container's line where it is, if it is open.
    pub(super) fn cut(&mut self, now: Timestamp, stream: Stream) -> Result<(), Refusal> {
        let state = &mut self.streams[stream as usize];
        let Counts { logged, .. } = &mut state.counts[Whose::Container as usize];
        let out = &mut self.out;
        state.lines.cut(|entry, bytes| {
            out.send(now, entry)?;
            *logged += bytes as u64;
            Ok(())
        })
    }
}
