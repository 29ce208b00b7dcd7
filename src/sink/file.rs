//! The `k8s-file` sink: one log file that is limited, replaced or rotated, and outlives a full disk
//! or a directory that went away.

mod insert;
mod state;

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use crate::error::{Error, reason};
use crate::plan::{FileLog, Stream};
use crate::sink::gap::Gaps;
use crate::sink::guests::Guests;
use crate::sink::k8s::{Records, Room, first_cost};
use crate::sink::place::{FileId, Place};
use crate::sink::stamp::Stamps;
use crate::sink::trail::Trail;
use crate::sink::{Counts, STREAMS, Whose};
use crate::sys::clock::Timestamp;
use state::{Logged, StreamState};

/// A log file and what is left of its limits.
#[derive(Debug)]
pub struct FileSink {
    trail: Trail,
    size_max: u64,
    global_max: u64,
    keep: Option<u32>,
    sync: bool,
    /// `Err`: it went away and could not be opened again, for this reason.
    file: Result<File, String>,
    /// Bytes in the file.
    size: u64,
    /// Bytes ever written to it and its predecessors, and what the first one began with.
    total: u64,
    /// A new file was wanted, but could not be had; the old one grows until then.
    overdue: Option<Retry>,
    /// The second in which the file was last looked after.
    looked: Option<i64>,
    records: Records,
    stamps: Stamps,
    gaps: Gaps,
    streams: [StreamState; 2],
    guests: Guests,
}

/// When to try again, and how long after the attempt before it.
#[derive(Clone, Copy, Debug)]
struct Retry {
    at: Instant,
    delay: Duration,
}

/// The shortest and the longest time between two attempts to get a new file. They do not wait for
/// output: a manager may be waiting for the file of a silent container (CRI-O, without a limit).
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(64));

impl FileSink {
    /// Opens or creates the file. What is in it already counts towards its limits.
    pub fn open(plan: &FileLog) -> Result<FileSink, Error> {
        let failed =
            |error| Error::io(format_args!("Failed to open log file {}", plan.path.display()), error);
        let place = Place::new(&plan.path, &plan.allowed_dirs).map_err(failed)?;
        let file = place.open().map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        Ok(FileSink {
            trail: Trail::new(place, &file).map_err(failed)?,
            size_max: plan.size_max.unwrap_or(u64::MAX),
            global_max: plan.global_max.unwrap_or(u64::MAX),
            keep: plan.keep,
            sync: plan.sync,
            file: Ok(file),
            size,
            total: size,
            overdue: None,
            looked: None,
            records: Records::new(),
            stamps: Stamps::default(),
            gaps: Gaps::default(),
            streams: Default::default(),
            guests: Guests::default(),
        })
    }

    /// Logs a chunk. What cannot be written is counted; the next chunk tries again.
    fn log(&mut self, now: Timestamp, stream: Stream, whose: Whose, chunk: &[u8]) {
        let state = &mut self.streams[stream as usize];
        let second = now.secs;
        let now = now.max(state.latest);
        state.latest = now;
        if self.total >= self.global_max {
            self.withhold(stream, whose, chunk.len());
            return;
        }
        if self.looked.replace(second) != Some(second) {
            self.look_after(now);
        }
        self.begin(now);
        if whose == Whose::Session && self.streams[stream as usize].unfinished && !self.gaps.has(stream) {
            self.records.end_line(stream);
        }
        let mut rest = chunk;
        while !rest.is_empty() {
            let Some(room) = self.room(rest) else {
                self.withhold(stream, whose, rest.len());
                return;
            };
            let (head, tail) = rest.split_at(self.records.fill(stream, rest, room));
            rest = tail;
            if let Err(error) = self.flush(stream, whose, head.len()) {
                self.lose(stream, whose, rest.len() as u64, now, &reason(&error));
                return;
            }
        }
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
                    log::warn!("log file {}: a new one is in place now", self.trail.place.path().display());
                }
                self.adopt(file, 0);
            }
            Err(error) => {
                let delay = match self.overdue {
                    Some(retry) => (retry.delay * 2).min(RETRY.1),
                    None => {
                        let path = self.trail.place.path().display();
                        log::warn!("cannot renew log file {path}, the old one grows: {}", reason(&error));
                        RETRY.0
                    }
                };
                self.overdue = Some(Retry { at: Instant::now() + delay, delay });
            }
        }
        self.overdue.is_none()
    }

    /// When [`FileSink::turn`] must be called; `None` unless a new file is overdue, or lines wait.
    pub fn deadline(&self) -> Option<Instant> {
        self.overdue.map(|retry| retry.at).into_iter().chain(self.guests.deadline()).min()
    }

    /// Tries again to get a new file, and lets lines in that have waited long enough, if it is time.
    pub fn turn(&mut self, now: Instant) {
        if self.overdue.is_some_and(|retry| retry.at <= now) {
            self.reopen();
        }
        self.insert_overdue(now);
    }

    /// Ends the log: nobody waits any longer, and a last attempt to tell of gaps.
    pub fn finish(&mut self, now: Timestamp) {
        for stream in STREAMS {
            self.insert(now, stream);
        }
        if self.linked().is_none() {
            self.lose_unseen(now);
        } else if !self.gaps.is_empty() {
            self.begin(now);
            if let Err(error) = self.flush(Stream::Stdout, Whose::Container, 0) {
                let path = self.trail.place.path().display();
                log::warn!("log file {path} does not tell of its gap: {}", reason(&error));
            }
        }
    }

    /// Frees the buffer until the next write.
    pub fn give_back(&mut self) {
        self.records.give_back();
    }

    /// Brings the log to the disk, if that was asked for.
    pub fn sync(&self) {
        if let (Ok(file), true) = (&self.file, self.sync)
            && let Err(error) = file.sync_all()
        {
            log::warn!("cannot sync log file {}: {}", self.trail.place.path().display(), reason(&error));
        }
    }

    /// The files that make up the log, and its gaps.
    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    /// Bytes written so far. It changes whenever there is something new to be read.
    pub fn written(&self) -> u64 {
        self.total
    }

    /// Opens the file that is written to, wherever it has been moved, to read it. `None`: it is another one.
    pub fn open_current(&self, id: FileId) -> Option<io::Result<File>> {
        let file = self.file.as_ref().ok()?;
        let current = FileId::of(file).is_ok_and(|current| current == id);
        current.then(|| File::open(format!("/proc/self/fd/{}", file.as_raw_fd())))
    }

    /// Closes the file. What is known of it stays.
    pub fn close(self) -> Trail {
        self.trail
    }

    /// What became of this stream's bytes.
    pub fn counts(&self, stream: Stream, whose: Whose) -> Counts {
        self.streams[stream as usize].of[whose as usize].counts
    }

    /// Once a second while there is output: finds out whether the file was removed, and opens it again
    /// as soon as that can be done.
    fn look_after(&mut self, now: Timestamp) {
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
    fn linked(&self) -> Option<u64> {
        match self.file.as_ref().ok()?.metadata() {
            Ok(metadata) => (metadata.nlink() > 0).then_some(metadata.len()),
            Err(_) => Some(self.size),
        }
    }

    /// Counts what went into a removed file as lost, as far back as it was known to have a name.
    fn lose_unseen(&mut self, now: Timestamp) {
        for stream in STREAMS {
            let state = &mut self.streams[stream as usize];
            let bytes = state.of.iter_mut().map(Logged::lose_unseen).sum();
            self.gaps.add(stream, bytes, state.seen, now, "the log file was removed");
            if bytes > 0 {
                self.trail.lose(stream, self.size);
            }
        }
    }

    /// Opens or creates the file that was removed.
    fn open_again(&mut self) {
        let path = self.trail.place.path().display();
        match self.trail.place.open().and_then(|file| Ok((file.metadata()?.len(), file))) {
            Ok((size, file)) => {
                log::warn!("log file {path} was removed; it is open again");
                self.adopt(file, size);
            }
            Err(error) => {
                if self.file.is_ok() {
                    log::warn!("log file {path} was removed, its output is lost: {}", reason(&error));
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

    /// Begins a buffer, with markers for what was lost since.
    fn begin(&mut self, now: Timestamp) {
        self.records.begin(self.stamps.at(now));
        for stream in STREAMS {
            if let Some(text) = self.gaps.marker(stream) {
                self.records.mark(stream, self.streams[stream as usize].unfinished, &text);
            }
        }
    }

    /// How far the file and the log may grow; `None` if the log is complete. Changes to a new file
    /// where the next record does not fit into this one.
    fn room(&mut self, rest: &[u8]) -> Option<Room> {
        let until = self.global_max.checked_sub(self.total).filter(|&left| left > 0)?;
        let pending = self.records.bytes().len() as u64;
        let next = pending + first_cost(rest);
        // An empty file is not worth a change, even if a single record exceeds the limit.
        if self.size > 0 && self.size.saturating_add(next) > self.size_max && self.overdue.is_none() {
            self.reopen();
        }
        let before = match self.overdue.is_some() {
            true => u64::MAX,
            false => self.size_max.saturating_sub(self.size).max(next),
        };
        Some(Room { before, until })
    }

    /// Writes the buffer, which holds markers and `output` bytes of this stream. On an error the file
    /// ends with a whole record, and what is missing was counted.
    fn flush(&mut self, stream: Stream, whose: Whose, output: usize) -> io::Result<()> {
        let (written, result) = match &mut self.file {
            Ok(file) => write_whole(file, self.records.bytes()),
            Err(cause) => (0, Err(io::Error::other(cause.clone()))),
        };
        let (kept, lost) = match &result {
            Ok(()) => (written, 0),
            Err(_) => self.cut(written),
        };
        self.size += kept as u64;
        self.total += kept as u64;
        if self.records.has_markers() && kept > 0 {
            self.told();
        }
        let state = &mut self.streams[stream as usize];
        state.unfinished = self.records.unfinished(kept).unwrap_or(state.unfinished);
        state.of[whose as usize].add(output as u64 - lost);
        let latest = state.latest;
        if let Err(error) = &result {
            self.lose(stream, whose, lost, latest, &reason(error));
        }
        self.records.clear();
        result
    }

    /// Takes a torn record off the end of the file, after only `written` bytes of the buffer got
    /// there. Says how many bytes of the buffer remain, and how many bytes of output do not.
    fn cut(&self, written: usize) -> (usize, u64) {
        let kept = self.records.kept(written);
        if let (Ok(file), true) = (&self.file, written > kept.bytes) {
            let torn = (written - kept.bytes) as u64;
            let cut = file.metadata().and_then(|metadata| file.set_len(metadata.len().saturating_sub(torn)));
            if let Err(error) = cut {
                let path = self.trail.place.path().display();
                log::warn!("log file {path} has a torn record that cannot be cut off: {}", reason(&error));
            }
        }
        (kept.bytes, kept.lost)
    }

    /// The markers are in the file.
    fn told(&mut self) {
        let mut bytes = 0;
        for stream in STREAMS {
            let missing = self.gaps.told(stream);
            if missing > 0 {
                self.streams[stream as usize].unfinished = false;
            }
            bytes += missing;
        }
        if bytes > 0 {
            let path = self.trail.place.path().display();
            log::warn!("log file {path}: output is logged again, {bytes} bytes are missing");
        }
    }

    /// Counts output that could not be logged.
    fn lose(&mut self, stream: Stream, whose: Whose, bytes: u64, now: Timestamp, cause: &str) {
        if bytes > 0 && self.gaps.is_empty() && self.file.is_ok() {
            let path = self.trail.place.path().display();
            log::warn!("log file {path}: output is lost until this changes: {cause}");
        }
        self.streams[stream as usize].of[whose as usize].counts.lost += bytes;
        self.gaps.add(stream, bytes, now, now, cause);
        if bytes > 0 {
            self.trail.lose(stream, self.size);
        }
    }

    /// Counts output that is beyond the limit of the log.
    fn withhold(&mut self, stream: Stream, whose: Whose, bytes: usize) {
        self.streams[stream as usize].of[whose as usize].counts.withheld += bytes as u64;
        self.trail.lose(stream, self.size);
    }
}

/// Writes all of `bytes`, or as much as the file takes. Says how much that was.
fn write_whole(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}
