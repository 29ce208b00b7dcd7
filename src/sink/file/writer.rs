//! One log file that is limited, replaced or rotated, and outlives a full disk or a directory that went
//! away.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use super::renew::Retry;
use super::state::StreamState;
use crate::error::{Error, reason};
use crate::plan::{FileLog, Stream};
use crate::sink::gap::Gaps;
use crate::sink::k8s::{Kept, Records, Room, first_cost};
use crate::sink::place::{FileId, Place};
use crate::sink::policy::{Log, Loss, Patience, Refusal, Why};
use crate::sink::stamp::Stamps;
use crate::sink::trail::Trail;
use crate::sink::{Amount, Counts, STREAMS, Whose};
use crate::sys::clock::Timestamp;
use crate::sys::fds;

/// A log file and what is left of its limits.
#[derive(Debug)]
pub struct FileWriter {
    pub(super) trail: Trail,
    size_max: u64,
    global_max: u64,
    pub(super) keep: Option<u32>,
    sync: bool,
    /// `Err`: it went away and could not be opened again, for this reason.
    pub(super) file: Result<File, String>,
    /// Bytes in the file.
    pub(super) size: u64,
    /// Bytes ever written to it and its predecessors, and what the first one began with.
    total: u64,
    /// A new file was wanted, but could not be had; the old one grows until then.
    pub(super) overdue: Option<Retry>,
    /// The second in which the file was last looked after.
    looked: Option<i64>,
    records: Records,
    stamps: Stamps,
    pub(super) gaps: Gaps,
    pub(super) streams: [StreamState; 2],
}

impl FileWriter {
    /// Opens or creates the file. What is in it already counts towards its limits.
    pub fn open(plan: &FileLog) -> Result<FileWriter, Error> {
        let failed =
            |error| Error::io(format_args!("Failed to open log file {}", plan.path.display()), error);
        let place = Place::new(&plan.path, &plan.allowed_dirs).map_err(failed)?;
        let file = place.open().map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        Ok(FileWriter {
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
        })
    }

    /// Ends the log: a last attempt to tell of gaps, unless the log is complete.
    pub fn finish(&mut self, now: Timestamp) {
        if self.linked().is_none() {
            self.lose_unseen(now);
        } else if !self.gaps.is_empty() && !self.is_complete() {
            self.begin(now);
            if let Err((_, error)) = self.flush(Stream::Stdout, Whose::Container, 0) {
                log::warn!("{} does not tell of its gap: {}", self.name(), reason(&error));
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
            log::warn!("cannot sync {}: {}", self.name(), reason(&error));
        }
    }

    /// The files that make up the log, and its gaps.
    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    /// Opens the file that is written to, wherever it has been moved, to read it. `None`: it is another one.
    pub fn open_current(&self, id: FileId) -> Option<io::Result<File>> {
        let file = self.file.as_ref().ok()?;
        let current = FileId::of(file).is_ok_and(|current| current == id);
        current.then(|| File::open(fds::path(file)))
    }

    /// Closes the file. What is known of it stays.
    pub fn close(self) -> Trail {
        self.trail
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
    /// ends with a whole record, and so many bytes of output at the end of the buffer are not in it.
    fn flush(&mut self, stream: Stream, whose: Whose, output: usize) -> Result<(), (usize, io::Error)> {
        let (written, result) = match &mut self.file {
            Ok(file) => write_whole(file, self.records.bytes()),
            Err(cause) => (0, Err(io::Error::other(cause.clone()))),
        };
        let kept = match &result {
            Ok(()) => Kept { bytes: written, lost: Amount::default() },
            Err(_) => self.cut(written),
        };
        self.size += kept.bytes as u64;
        self.total += kept.bytes as u64;
        if self.records.has_markers() && kept.bytes > 0 {
            self.told();
        }
        let state = &mut self.streams[stream as usize];
        state.unfinished = self.records.unfinished(kept.bytes).unwrap_or(state.unfinished);
        state.of[whose as usize].add(Amount {
            bytes: output as u64 - kept.lost.bytes,
            lines: self.records.lines(output) - kept.lost.lines,
        });
        self.records.clear();
        result.map_err(|error| (usize::try_from(kept.lost.bytes).unwrap_or(output), error))
    }

    /// Takes a torn record off the end of the file, after only `written` bytes of the buffer got
    /// there. Says what of the buffer remains.
    fn cut(&self, written: usize) -> Kept {
        let kept = self.records.kept(written);
        if let (Ok(file), true) = (&self.file, written > kept.bytes) {
            let torn = (written - kept.bytes) as u64;
            let cut = file.metadata().and_then(|metadata| file.set_len(metadata.len().saturating_sub(torn)));
            if let Err(error) = cut {
                log::warn!("{} has a torn record that cannot be cut off: {}", self.name(), reason(&error));
            }
        }
        kept
    }

    /// The markers are in the file.
    fn told(&mut self) {
        let mut bytes = 0;
        for stream in STREAMS {
            let Some(told) = self.gaps.told(stream) else { continue };
            self.streams[stream as usize].unfinished = false;
            if told.why != Why::Rate {
                bytes += told.amount.bytes;
            }
        }
        if bytes > 0 {
            log::warn!("{}: output is logged again, {bytes} bytes are missing", self.name());
        }
    }

    /// Counts output that is beyond the limit of the log.
    fn withhold(&mut self, stream: Stream, whose: Whose, bytes: usize) {
        self.streams[stream as usize].of[whose as usize].counts.withheld += bytes as u64;
        self.trail.lose(stream, self.size);
    }
}

impl Log for FileWriter {
    /// It is tried with each chunk, and costs the container nothing.
    const PATIENCE: Patience = Patience::NONE;
    /// Nobody tells of room on a disk.
    const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

    fn name(&self) -> String {
        format!("log file {}", self.trail.place.path().display())
    }

    fn take(
        &mut self,
        now: Timestamp,
        at: Timestamp,
        stream: Stream,
        whose: Whose,
        bytes: &[u8],
    ) -> (usize, Result<(), Refusal>) {
        let state = &mut self.streams[stream as usize];
        let at = at.max(state.latest);
        state.latest = at;
        if self.is_complete() {
            self.withhold(stream, whose, bytes.len());
            return (bytes.len(), Ok(()));
        }
        if self.looked.replace(now.secs) != Some(now.secs) {
            self.look_after(now.max(at));
        }
        self.begin(at);
        if whose == Whose::Session && self.streams[stream as usize].unfinished && !self.gaps.has(stream) {
            self.records.end_line(stream);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some(room) = self.room(rest) else {
                self.withhold(stream, whose, rest.len());
                break;
            };
            let (head, tail) = rest.split_at(self.records.fill(stream, rest, room));
            rest = tail;
            if let Err((lost, error)) = self.flush(stream, whose, head.len()) {
                return (bytes.len() - rest.len() - lost, Err(refusal(&error)));
            }
        }
        (bytes.len(), Ok(()))
    }

    fn is_complete(&self) -> bool {
        self.total >= self.global_max
    }

    fn line_is_open(&self, stream: Stream) -> bool {
        let goes_on = self.file.is_ok() && !self.is_complete() && !self.gaps.has(stream);
        self.streams[stream as usize].unfinished && goes_on
    }

    fn counts(&self, stream: Stream, whose: Whose) -> Counts {
        self.streams[stream as usize].of[whose as usize].counts
    }

    fn progress(&self) -> u64 {
        self.total
    }

    fn lose(&mut self, stream: Stream, whose: Whose, loss: &Loss, refusal: &Refusal) {
        if refusal.why != Why::Rate && !self.gaps.are_trouble() && self.file.is_ok() {
            log::warn!("{}: output is lost until this changes: {}", self.name(), refusal.cause);
        }
        let amount = Amount { bytes: loss.bytes, lines: loss.lines };
        self.streams[stream as usize].of[whose as usize].counts.drop(refusal.why, amount);
        self.gaps.add(stream, amount, (loss.at, loss.at), refusal);
        self.trail.lose(stream, self.size);
    }
}

/// Of which kind an error of the file is.
fn refusal(error: &io::Error) -> Refusal {
    let why = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Why::Room,
        _ => Why::Error,
    };
    Refusal { why, cause: reason(error).into() }
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
