//! The `k8s-file` sink: a log file behind its policies, with lines of exec sessions between those of the
//! container.

mod renew;
mod state;
mod writer;

use std::fs::File;
use std::io;
use std::time::Instant;

use memchr::memrchr;

use crate::error::Error;
use crate::plan::{FileLog, LogLimits, Stream};
use crate::sink::Whose;
use crate::sink::place::FileId;
use crate::sink::policy::{Log, Valve};
use crate::sink::trail::Trail;
use crate::sys::clock::Timestamp;
use writer::FileWriter;

/// A log file, and what is on its way into it.
#[derive(Debug)]
pub struct FileSink {
    /// The file behind its policies.
    pub valve: Valve<FileWriter>,
}

impl FileSink {
    /// Opens or creates the file. What is in it already counts towards its limits.
    pub fn open(plan: &FileLog, limits: [LogLimits; 2]) -> Result<FileSink, Error> {
        Ok(FileSink { valve: Valve::new(FileWriter::open(plan)?, limits) })
    }

    /// Logs a chunk of the container's output, and lines of sessions where one of its own ends.
    pub fn write(&mut self, now: Timestamp, stream: Stream, chunk: &[u8]) {
        let newline = if self.valve.guests().wait_for(stream) { memrchr(b'\n', chunk) } else { None };
        let end = newline.map_or(0, |end| end + 1);
        let (lines, rest) = chunk.split_at(end);
        if !lines.is_empty() {
            self.valve.write(now, stream, Whose::Container, lines);
            self.valve.let_in(now, stream);
        }
        if !rest.is_empty() {
            self.valve.write(now, stream, Whose::Container, rest);
        }
    }

    /// Replaces the file (ctl `2 0 0`), rotating if that was asked for. Returns whether a new one is there.
    pub fn reopen(&mut self) -> bool {
        self.valve.log.reopen()
    }

    /// When [`FileSink::turn`] must be called; `None` unless a new file is overdue, or output or lines wait.
    pub fn deadline(&self) -> Option<Instant> {
        self.valve.log.retry_at().into_iter().chain(self.valve.deadline()).min()
    }

    /// Tries again what has waited long enough: to get a new file, to log what waits, to let lines in.
    pub fn turn(&mut self, now: Instant) {
        if self.valve.log.retry_at().is_some_and(|at| at <= now) {
            self.reopen();
        }
        self.valve.turn(now);
        self.valve.let_in_ready(now);
    }

    /// Ends the log: nobody waits any longer, and a last attempt to tell of gaps.
    pub fn finish(&mut self, now: Timestamp) {
        self.valve.empty(now);
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
        self.valve.log.progress()
    }

    /// Opens the file that is written to, wherever it has been moved, to read it. `None`: it is another one.
    pub fn open_current(&self, id: FileId) -> Option<io::Result<File>> {
        self.valve.log.open_current(id)
    }

    /// Closes the file. What is known of it stays.
    pub fn close(self) -> Trail {
        self.valve.log.close()
    }
}
