//! A log file that is replaced, rotated or was removed.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use super::writer::FileWriter;
use crate::error::reason;
use crate::sink::policy::{Log, Refusal, Why};
use crate::sink::{Amount, STREAMS};
use crate::sys::clock::Timestamp;

/// When to try again, and how long after the attempt before it.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    at: Instant,
    delay: Duration,
}

/// The shortest and the longest time between two attempts to get a new file. They do not wait for
/// output: a manager may be waiting for the file of a silent container (CRI-O, without a limit).
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(64));

impl FileWriter {
    /// When to try again to get a new file, if one could not be had.
    pub fn retry_at(&self) -> Option<Instant> {
        self.overdue.map(|retry| retry.at)
    }

    /// Replaces the file (ctl `2 0 0`), rotating if that was asked for. Returns whether a new one is there.
    pub fn reopen(&mut self) -> bool {
        let renewed = match self.keep {
            Some(keep) => self.trail.place.rotate(keep),
            None => self.trail.place.replace(),
        };
        match renewed {
            Ok(file) => {
                if self.overdue.take().is_some() {
                    log::warn!("{}: a new one is in place now", self.name());
                }
                self.adopt(file, 0);
            }
            Err(error) => {
                let delay = match self.overdue {
                    Some(retry) => (retry.delay * 2).min(RETRY.1),
                    None => {
                        log::warn!("cannot renew {}, the old one grows: {}", self.name(), reason(&error));
                        RETRY.0
                    }
                };
                self.overdue = Some(Retry { at: Instant::now() + delay, delay });
            }
        }
        self.overdue.is_none()
    }

    /// Once a second while there is output: finds out whether the file was removed, and opens it again
    /// as soon as that can be done.
    pub(super) fn look_after(&mut self, now: Timestamp) {
        match self.linked() {
            // Not what was counted: somebody may have cut the file short in place.
            Some(size) => self.size = size,
            None => {
                self.lose_unseen(now);
                self.open_again();
            }
        }
        for state in &mut self.streams {
            state.see(now);
        }
    }

    /// The size of the file; `None` if there is none, or it has no name any more. One that cannot be looked
    /// at is taken to be as it was.
    pub(super) fn linked(&self) -> Option<u64> {
        match self.file.as_ref().ok()?.metadata() {
            Ok(metadata) => (metadata.nlink() > 0).then_some(metadata.len()),
            Err(_) => Some(self.size),
        }
    }

    /// Counts what went into a removed file as lost, as far back as it was known to have a name.
    pub(super) fn lose_unseen(&mut self, now: Timestamp) {
        for stream in STREAMS {
            let state = &mut self.streams[stream as usize];
            let mut lost = Amount::default();
            for logged in &mut state.of {
                lost += logged.lose_unseen();
            }
            let refusal = Refusal { why: Why::Error, cause: "the log file was removed".into() };
            self.gaps.add(stream, lost, (state.seen, now), &refusal);
            if lost.bytes > 0 {
                self.trail.lose(stream, self.size);
            }
        }
    }

    /// Opens or creates the file that was removed.
    fn open_again(&mut self) {
        match self.trail.place.open().and_then(|file| Ok((file.metadata()?.len(), file))) {
            Ok((size, file)) => {
                log::warn!("{} was removed; it is open again", self.name());
                self.adopt(file, size);
            }
            Err(error) => {
                if self.file.is_ok() {
                    log::warn!("{} was removed and cannot be opened again: {}", self.name(), reason(&error));
                }
                self.file = Err(reason(&error));
                self.size = 0;
            }
        }
    }

    /// Goes on in another file. No line of it is unfinished.
    fn adopt(&mut self, file: File, size: u64) {
        self.trail.add(&file);
        self.file = Ok(file);
        self.size = size;
        for state in &mut self.streams {
            state.see(state.seen);
        }
    }
}
