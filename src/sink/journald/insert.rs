//! Lines of exec sessions in the journal, beside those of the container.
//!
//! A container's line is an entry, sent when it ends, so others fit between any two. Only a line that is
//! too long for one entry is open in the journal: between its entries nobody is let in.

use std::time::Instant;

use super::JournalSink;
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

    /// Logs the lines for which there is a place, or that have waited long enough.
    pub(super) fn insert_ready(&mut self, now: Instant) {
        for stream in STREAMS {
            let is_place = !self.valve.log.line_is_open(stream) || self.guests.are_due(now, stream);
            if self.guests.wait_for(stream) && is_place {
                self.insert(Timestamp::now(), stream);
            }
        }
    }

    /// Logs the lines that wait, unless the journal takes nothing now. The container's line, if one is open,
    /// ends before them.
    pub(super) fn insert(&mut self, now: Timestamp, stream: Stream) {
        if self.valve.blocks(stream) {
            return;
        }
        let lines = self.guests.take(stream);
        if !lines.is_empty() {
            self.valve.write(now, stream, Whose::Session, &lines);
        }
    }

    /// When lines have waited long enough; while the journal takes nothing, time does not matter.
    pub(super) fn guests_deadline(&self) -> Option<Instant> {
        let of = |stream: Stream| self.guests.deadline(stream).filter(|_| !self.valve.blocks(stream));
        STREAMS.into_iter().filter_map(of).min()
    }
}
