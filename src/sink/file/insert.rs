//! Lines of exec sessions in the log file, between those of the container.

use std::time::Instant;

use memchr::memrchr;

use super::FileSink;
use crate::plan::Stream;
use crate::sink::guests::Guests;
use crate::sink::{STREAMS, Whose};
use crate::sys::clock::Timestamp;

impl FileSink {
    /// Logs a chunk of the container's output, and lines of sessions where one of its own ends.
    pub fn write(&mut self, now: Timestamp, stream: Stream, chunk: &[u8]) {
        let end = memrchr(b'\n', chunk).filter(|_| self.guests.wait_for(stream)).map_or(0, |end| end + 1);
        let (lines, rest) = chunk.split_at(end);
        if !lines.is_empty() {
            self.valve.write(now, stream, Whose::Container, lines);
            self.valve.let_in(&mut self.guests, now, stream);
        }
        if !rest.is_empty() {
            self.valve.write(now, stream, Whose::Container, rest);
        }
    }

    /// Logs whole lines of a session, now or as soon as the container's line ends.
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
