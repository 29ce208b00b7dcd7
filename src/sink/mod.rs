//! Where output is kept: chunks of the container's streams become log records.
//!
//! A sink never fails upwards. What it cannot log it counts, and tells of in the log as soon as the
//! log takes output again; the other sink and the attached clients see nothing of it.

mod file;
mod gap;
mod guests;
mod journald;
mod k8s;
mod place;
mod policy;
mod reader;
mod stamp;
mod trail;

use std::fs::File;
use std::io;
use std::ops::AddAssign;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Instant;

use crate::error::Error;
use crate::plan::{Identity, LogPlan, Stream};
use crate::sys::clock::Timestamp;
use file::FileSink;
use guests::{Gathered, Guests};
use journald::JournalSink;
use place::FileId;
use trail::Trail;

pub use policy::Why;
pub use reader::{Reader, Turn};

/// Both streams, in the order of their numbers.
const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

/// An amount of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Bytes.
    pub bytes: u64,
    /// Ends of lines among them.
    pub lines: u64,
}

impl AddAssign for Amount {
    fn add_assign(&mut self, more: Amount) {
        self.bytes += more.bytes;
        self.lines += more.lines;
    }
}

/// What became of the output of one stream in one sink, in bytes as the container wrote them; of exec
/// sessions, in bytes as they were cut into lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes that are in the log.
    pub logged: u64,
    /// What is not, by [`Why`] not.
    dropped: [Amount; 3],
    /// Bytes that are not, because the log had reached its global limit.
    pub withheld: u64,
    /// Bytes that wait for the log to take them.
    pub waiting: u64,
}

impl Counts {
    /// What is not in the log, for this reason.
    pub fn dropped(&self, why: Why) -> Amount {
        self.dropped[why as usize]
    }

    /// What is not in the log, for whatever reason.
    pub fn lost(&self) -> Amount {
        let mut lost = Amount::default();
        self.dropped.iter().for_each(|&amount| lost += amount);
        lost
    }

    fn drop(&mut self, why: Why, amount: Amount) {
        self.dropped[why as usize] += amount;
    }
}

/// Whose output it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The container's.
    Container,
    /// An exec session's.
    Session,
}

/// The log of one container: its sinks, in the order in which they see a chunk. Or what an exec session
/// has in the place of a log.
#[derive(Debug, Default)]
pub struct Sinks {
    file: Option<FileSink>,
    journal: Option<JournalSink>,
    /// Of a session: output on its way to the log of the container.
    gathered: Option<Gathered>,
    /// What they had counted when they were closed, by whose output it was and the numbers of the streams.
    last: [[Tally; 2]; 2],
    /// Of the log file, after it was closed.
    trail: Option<Trail>,
    finished: bool,
}

/// What each sink counts for one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Of the log file; `None` if there is no such sink.
    pub file: Option<Counts>,
    /// Of the journal; `None` if there is no such sink.
    pub journal: Option<Counts>,
}

impl Sinks {
    /// Opens the sinks. Call it before anything is forked, while the caller can still be told: a log
    /// file that cannot be opened is fatal, a journal that nobody listens to is not.
    pub fn open(plan: &LogPlan, identity: &Identity) -> Result<Sinks, Error> {
        Sinks::open_at(plan, identity, Path::new(journald::SOCKET))
    }

    /// The same with another path of the journal's socket.
    pub fn open_at(plan: &LogPlan, identity: &Identity, socket: &Path) -> Result<Sinks, Error> {
        let limits = plan.limits;
        let journal = plan.journal.as_ref().map(|plan| JournalSink::open(plan, limits, identity, socket));
        let journal = journal.transpose()?;
        let file = plan.file.as_ref().map(|plan| FileSink::open(plan, limits)).transpose()?;
        Ok(Sinks { file, journal, ..Sinks::default() })
    }

    /// The sinks of an exec session: its output goes to no log, or, by [`Sinks::pass_on`], to that of the
    /// container.
    pub fn of_session(logged: bool) -> Sinks {
        Sinks { gathered: logged.then(Gathered::default), ..Sinks::default() }
    }

    /// Passes the whole lines that a session has written on to the log of its container. With `end`, what
    /// there is of a line is one.
    pub fn pass_on(&mut self, container: &mut Sinks, end: bool) {
        let Some(gathered) = &mut self.gathered else { return };
        if end {
            gathered.end();
        }
        for stream in STREAMS {
            let lines = gathered.take(stream);
            if !lines.is_empty() {
                container.admit(Instant::now(), stream, &lines);
            }
        }
    }

    /// Whether this is where the output of a session is logged.
    pub fn gathers(&self) -> bool {
        self.gathered.is_some()
    }

    /// Logs whole lines of a session, now or after the container's own line. After the end of the log
    /// nobody would read them.
    fn admit(&mut self, now: Instant, stream: Stream, lines: &[u8]) {
        if self.finished {
            return;
        }
        if let Some(file) = &mut self.file {
            file.valve.admit(now, stream, lines);
        }
        if let Some(journal) = &mut self.journal {
            journal.valve.admit(now, stream, lines);
        }
    }

    /// Whether lines of sessions wait for the container's own line to end. This ends by [`Sinks::turn`].
    pub fn guests_wait(&self) -> bool {
        self.guests().any(Guests::wait)
    }

    /// Whether there is room for lines of sessions. Else their output must wait; this too ends by
    /// [`Sinks::turn`].
    pub fn has_room_for_guests(&self) -> bool {
        !self.blocked() && self.guests().all(Guests::have_room)
    }

    fn guests(&self) -> impl Iterator<Item = &Guests> {
        let file = self.file.as_ref().map(|file| file.valve.guests());
        file.into_iter().chain(self.journal.as_ref().map(|journal| journal.valve.guests()))
    }

    /// Logs a chunk of at most 128 KiB that arrived at `now`. Never fails. Call it only while the stream is
    /// not [`Sinks::blocks`]: a chunk that comes nevertheless waits with the others.
    pub fn write(&mut self, now: Timestamp, stream: Stream, chunk: &[u8]) {
        if let Some(file) = &mut self.file {
            file.write(now, stream, chunk);
        }
        if let Some(journal) = &mut self.journal {
            journal.write(now, stream, chunk);
        }
        if let Some(gathered) = &mut self.gathered {
            gathered.write(stream, chunk);
        }
    }

    /// Whether a sink holds output of this stream back, so that no more of it may be read. Ends by
    /// [`Sinks::turn`]; for a session by [`Sinks::pass_on`].
    #[inline]
    pub fn blocks(&self, stream: Stream) -> bool {
        self.gathered.as_ref().is_some_and(Gathered::has_lines)
            || self.file.as_ref().is_some_and(|file| file.valve.blocks(stream))
            || self.journal.as_ref().is_some_and(|journal| journal.valve.blocks(stream))
    }

    /// The same of any stream.
    pub fn blocked(&self) -> bool {
        STREAMS.into_iter().any(|stream| self.blocks(stream))
    }

    /// Whether output waits in a sink, be its stream read on or not.
    pub fn holds(&self) -> bool {
        let gathered = self.gathered.as_ref().is_some_and(Gathered::has_lines);
        let journal = self.journal.as_ref().is_some_and(|journal| journal.valve.holds());
        gathered || journal || self.file.as_ref().is_some_and(|file| file.valve.holds())
    }

    /// The container has ended: what it has left is logged as fast as the logs take it.
    pub fn lift_rates(&mut self) {
        let now = Instant::now();
        if let Some(file) = &mut self.file {
            file.valve.lift_rates(now);
        }
        if let Some(journal) = &mut self.journal {
            journal.valve.lift_rates(now);
        }
    }

    /// From here on nothing waits for a log: what it does not take at once is lost.
    pub fn stop_waiting(&mut self) {
        let now = Instant::now();
        if let Some(file) = &mut self.file {
            file.valve.stop_waiting(now);
        }
        if let Some(journal) = &mut self.journal {
            journal.valve.stop_waiting(now);
        }
    }

    /// The journal's socket, to be watched for writability (edges will do) from launch to end. It
    /// stays the same descriptor whatever happens to journald.
    pub fn journal_fd(&self) -> Option<BorrowedFd<'_>> {
        self.journal.as_ref().map(JournalSink::fd)
    }

    /// When [`Sinks::turn`] must be called at the latest; `None` unless output waits for a log or its rate,
    /// a new log file could not be had, or lines of sessions wait.
    pub fn deadline(&self) -> Option<Instant> {
        let file = self.file.as_ref().and_then(FileSink::deadline);
        let journal = self.journal.as_ref().and_then(|journal| journal.valve.deadline());
        file.into_iter().chain(journal).min()
    }

    /// The journal's socket is writable, or the deadline has passed. Harmless at any other time.
    pub fn turn(&mut self, now: Instant) {
        if let Some(file) = &mut self.file {
            file.turn(now);
        }
        if let Some(journal) = &mut self.journal {
            journal.turn(now);
        }
    }

    /// Replaces the log file by a new one, or rotates it. If that fails, the old one is written to,
    /// and [`Sinks::turn`] tries again until it can be done. Returns how many files are new.
    pub fn reopen(&mut self) -> u64 {
        self.file.as_mut().map_or(0, |file| u64::from(file.reopen()))
    }

    /// Ends the log, after the last chunk: unfinished lines go to the journal, gaps are told of.
    pub fn finish(&mut self, now: Timestamp) {
        if let Some(journal) = &mut self.journal {
            journal.finish(now);
        }
        if let Some(file) = &mut self.file {
            file.finish(now);
        }
        self.finished = true;
    }

    /// Whether the last chunk is in the log.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Frees buffers that are only needed while output flows.
    pub fn give_back(&mut self) {
        if let Some(file) = &mut self.file {
            file.give_back();
        }
    }

    /// fsync(2) of the log file, if the plan says so. This may wait for a disk, so it belongs after the
    /// end was recorded.
    pub fn sync(&self) {
        if let Some(file) = &self.file {
            file.sync();
        }
    }

    /// Closes the log. Nothing can be written or reopened any more.
    pub fn close(&mut self) {
        let counts = |whose| STREAMS.map(|stream| self.counts_of(stream, whose));
        self.last = [Whose::Container, Whose::Session].map(counts);
        self.trail = self.file.take().map(FileSink::close);
        self.journal = None;
    }

    /// A number that changes whenever there is something new to be read from the log file.
    pub fn written(&self) -> u64 {
        self.file.as_ref().map_or(0, FileSink::written)
    }

    /// The files that make up the log; `None` without a log file.
    fn trail(&self) -> Option<&Trail> {
        self.file.as_ref().map(FileSink::trail).or(self.trail.as_ref())
    }

    /// Opens a file of the log to read it. `None`: it is gone.
    fn open_to_read(&self, id: FileId) -> io::Result<Option<File>> {
        match self.file.as_ref().and_then(|file| file.open_current(id)) {
            Some(current) => current.map(Some),
            None => self.trail().map_or(Ok(None), |trail| trail.place.find(id)),
        }
    }

    /// What became of the container's bytes of this stream. What the journal keeps as an unfinished line is in
    /// no count before [`Sinks::finish`].
    pub fn counts(&self, stream: Stream) -> Tally {
        self.counts_of(stream, Whose::Container)
    }

    /// The same of the container, or of all exec sessions together.
    pub fn counts_of(&self, stream: Stream, whose: Whose) -> Tally {
        let last = self.last[whose as usize][stream as usize];
        let file = self.file.as_ref().map(|file| file.valve.counts(stream, whose));
        let journal = self.journal.as_ref().map(|journal| journal.valve.counts(stream, whose));
        Tally { file: file.or(last.file), journal: journal.or(last.journal) }
    }
}

#[cfg(test)]
mod tests;
