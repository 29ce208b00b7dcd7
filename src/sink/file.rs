//! The `k8s-file` sink: a log file behind its policies, with lines of exec sessions between those of the
//! container.

mod insert;
mod renew;
mod state;
mod writer;

use std::fs::File;
use std::io;
use std::time::Instant;

use crate::error::Error;
use crate::plan::{FileLog, LogLimits, Stream};
use crate::sink::guests::Guests;
use crate::sink::place::FileId;
use crate::sink::policy::Valve;
use crate::sink::trail::Trail;
use crate::sink::{Counts, STREAMS, Whose};
use crate::sys::clock::Timestamp;
use writer::FileWriter;

/// A log file, and what is on its way into it.
#[derive(Debug)]
pub struct FileSink {
    valve: Valve<FileWriter>,
    guests: Guests,
}

impl FileSink {
    /// Opens or creates the file. What is in it already counts towards its limits.
    pub fn open(plan: &FileLog, limits: [LogLimits; 2]) -> Result<FileSink, Error> {
        Ok(FileSink { valve: Valve::new(FileWriter::open(plan)?, limits), guests: Guests::default() })
    }

    /// Replaces the file (ctl `2 0 0`), rotating if that was asked for. Returns whether a new one is there.
    pub fn reopen(&mut self) -> bool {
        self.valve.log.reopen()
    }

    /// The file, and what waits for it.
    pub fn valve(&mut self) -> &mut Valve<FileWriter> {
        &mut self.valve
    }

    /// Whether this stream is to be read no further.
    pub fn blocks(&self, stream: Stream) -> bool {
        self.valve.blocks(stream)
    }

    /// Whether output waits for the file.
    pub fn holds(&self) -> bool {
        self.valve.holds()
    }

    /// When [`FileSink::turn`] must be called; `None` unless a new file is overdue, or output or lines wait.
    pub fn deadline(&self) -> Option<Instant> {
        let renewal = self.valve.log.retry_at();
        // Asked in each round of the loop.
        if renewal.is_none() && !self.valve.holds() && !self.guests.wait() {
            return None;
        }
        renewal.into_iter().chain(self.valve.deadline()).chain(self.valve.guests_deadline(&self.guests)).min()
    }

    /// Tries again what has waited long enough: to get a new file, to log what waits, to let lines in.
    pub fn turn(&mut self, now: Instant) {
        if self.valve.log.retry_at().is_some_and(|at| at <= now) {
            self.reopen();
        }
        self.valve.turn(now);
        self.insert_ready(now);
    }

    /// Ends the log: nobody waits any longer, and a last attempt to tell of gaps.
    pub fn finish(&mut self, now: Timestamp) {
        self.valve.stop_waiting(Instant::now());
        for stream in STREAMS {
            self.valve.let_in(&mut self.guests, now, stream);
        }
        self.valve.log.finish(now);
    }

    /// Frees the buffer until the next write.
    pub fn give_back(&mut self) {
        self.valve.log.give_back();
    }

    /// Brings the log to the disk, if that was asked for.
    pub fn sync(&self) {
        self.valve.log.sync();
    }

    /// The files that make up the log, and its gaps.
    pub fn trail(&self) -> &Trail {
        self.valve.log.trail()
    }

    /// Bytes written so far. It changes whenever there is something new to be read.
    pub fn written(&self) -> u64 {
        self.valve.log.written()
    }

    /// Opens the file that is written to, wherever it has been moved, to read it. `None`: it is another one.
    pub fn open_current(&self, id: FileId) -> Option<io::Result<File>> {
        self.valve.log.open_current(id)
    }

    /// Closes the file. What is known of it stays.
    pub fn close(self) -> Trail {
        self.valve.log.close()
    }

    /// What became of this stream's bytes.
    pub fn counts(&self, stream: Stream, whose: Whose) -> Counts {
        Counts { waiting: self.valve.waiting(stream, whose), ..self.valve.log.counts(stream, whose) }
    }
}
