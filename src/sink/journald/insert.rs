//! Lines of exec sessions in the journal, beside those of the container.
//!
//! A container's line is an entry, sent when it ends, so others fit between any two. Only a line that is
//! too long for one entry is open in the journal: between its entries nobody is let in, nor into a line that
//! waits, since nobody knows yet how long it will be.

use std::time::Instant;

use super::JournalSink;
use crate::plan::Stream;
use crate::sink::STREAMS;
use crate::sink::guests::Guests;
use crate::sys::clock::Timestamp;

impl JournalSink {
    /// Logs whole lines of a session, now or as soon as it can be done.
    pub fn admit(&mut self, now: Instant, stream: Stream, lines: &[u8]) {
        self.valve.keep_out(&mut self.guests, now, stream, lines);
        self.insert_ready(now);
    }

    /// The lines that wait.
    pub fn guests(&self) -> &Guests {
        &self.guests
    }

    /// Logs the lines for which there is a place, or that have waited long enough.
    pub(super) fn insert_ready(&mut self, now: Instant) {
        for stream in STREAMS {
            let is_place = !self.valve.line_is_open(stream) || self.guests.are_due(now, stream);
            if self.guests.wait_for(stream) && is_place {
                self.valve.let_in(&mut self.guests, Timestamp::now(), stream);
            }
        }
    }
}
