//! The `journald` sink: an entry a line, and no waiting for journald beyond a bound.
//!
//! When the queue is full, the rest of the chunk is held back and its owner reads no further
//! ([`JournalSink::blocked`]); so a short burst loses nothing. After [`PATIENCE`] without progress
//! output is dropped and counted, because a log may not stop a container for good.

mod fields;
mod insert;
mod lines;
mod socket;

pub use socket::PATH as SOCKET;

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, reason};
use crate::plan::{Identity, JournalLog, Stream};
use crate::sink::gap::Gaps;
use crate::sink::guests::Guests;
use crate::sink::{Counts, STREAMS, Whose};
use crate::sys::clock::Timestamp;
use nix::errno::Errno;

use fields::{Entry, Fields, default_priority};
use lines::Lines;
use socket::{Refusal, Socket};

/// How long output waits for a queue that does not move.
const PATIENCE: Duration = Duration::from_secs(1);

/// The journal, as this container sees it.
#[derive(Debug)]
pub struct JournalSink {
    out: Output,
    streams: [StreamState; 2],
    held: Option<Held>,
    guests: Guests,
}

/// What the journal knows of one stream.
#[derive(Debug)]
struct StreamState {
    /// Of the container.
    lines: Lines,
    /// By whose output it is.
    counts: [Counts; 2],
}

/// What entries go through.
#[derive(Debug)]
struct Output {
    socket: Socket,
    fields: Fields,
    link: Link,
    gaps: Gaps,
}

/// Whether somebody listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// Nobody asked yet.
    Untried,
    /// As far as is known.
    Up,
    /// Not in this second, for this reason.
    Down { second: i64, errno: Errno },
}

/// The rest of a chunk (at most 128 KiB), or of lines of sessions, that waits for the queue.
#[derive(Debug)]
struct Held {
    stream: Stream,
    whose: Whose,
    at: Timestamp,
    bytes: Vec<u8>,
    until: Instant,
}

impl JournalSink {
    /// A sink for this container. Nothing is sent, and nobody need listen yet.
    pub fn open(plan: &JournalLog, identity: &Identity, path: &Path) -> Result<JournalSink, Error> {
        let socket = Socket::new(path).map_err(|errno| {
            Error::io(format_args!("Failed to make a socket for the journal at {}", path.display()), errno)
        })?;
        let state = |stream| StreamState {
            lines: Lines::new(stream, plan.priority_prefix),
            counts: Default::default(),
        };
        Ok(JournalSink {
            out: Output {
                socket,
                fields: Fields::new(plan, identity),
                link: Link::Untried,
                gaps: Gaps::default(),
            },
            streams: STREAMS.map(state),
            held: None,
            guests: Guests::default(),
        })
    }

    /// Logs a chunk of the container's output. Call it only while not [`JournalSink::blocked`]: a chunk
    /// for which there is no room to wait is lost.
    pub fn write(&mut self, now: Timestamp, stream: Stream, chunk: &[u8]) {
        self.log(now, stream, chunk);
        if self.guests.wait() {
            self.insert_ready(Instant::now());
        }
    }

    fn log(&mut self, now: Timestamp, stream: Stream, chunk: &[u8]) {
        let whose = Whose::Container;
        let (done, refusal) = match self.held.is_some() {
            true => (0, Err(Refusal::Full)),
            false => match self.out.prepare(now) {
                Ok(()) => self.push(now, stream, whose, chunk),
                Err(refusal) => return self.lose(stream, whose, chunk, now, now, refusal),
            },
        };
        match refusal {
            Ok(()) => {}
            Err(Refusal::Full) if self.held.is_none() => {
                let bytes = chunk[done..].to_vec();
                self.held = Some(Held { stream, whose, at: now, bytes, until: Instant::now() + PATIENCE });
            }
            Err(refusal) => self.lose(stream, whose, &chunk[done..], now, now, refusal),
        }
    }

    /// Whether a full queue holds output back: read no more until this is over.
    pub fn blocked(&self) -> bool {
        self.held.is_some()
    }

    /// The descriptor to watch for writability, the same for life; connected or not.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.out.socket.fd().as_fd()
    }

    /// When [`JournalSink::turn`] must be called at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.held {
            Some(held) => Some(held.until),
            None => self.guests.deadline(),
        }
    }

    /// Goes on with what was held back, or gives it up if its time is over; else tells of a gap. Lets
    /// lines of sessions in for which there is a place then.
    pub fn turn(&mut self, now: Instant) {
        self.go_on(now);
        self.insert_ready(now);
    }

    fn go_on(&mut self, now: Instant) {
        let Some(mut held) = self.held.take() else {
            if !self.out.gaps.is_empty() {
                // A refusal changes nothing: the next chunk, or the next event, tries again.
                let _ = self.out.prepare(Timestamp::now());
            }
            return;
        };
        let (done, result) = self.push_held(&held);
        if done > 0 {
            held.bytes.drain(..done);
            held.until = now + PATIENCE;
        }
        match result {
            Ok(()) => {}
            Err(Refusal::Full) if now < held.until => self.held = Some(held),
            Err(refusal) => {
                self.lose(held.stream, held.whose, &held.bytes, held.at, Timestamp::now(), refusal);
            }
        }
    }

    /// Ends the log: lines of sessions wait no longer, unfinished lines become partial entries. Does not
    /// wait.
    pub fn finish(&mut self, now: Timestamp) {
        if let Some(held) = self.held.take()
            && let (done, Err(refusal)) = self.push_held(&held)
        {
            self.lose(held.stream, held.whose, &held.bytes[done..], held.at, now, refusal);
        }
        for stream in STREAMS {
            if self.guests.wait_for(stream) {
                self.insert(now, stream);
            }
            let state = &mut self.streams[stream as usize];
            let counts = &mut state.counts[Whose::Container as usize];
            let out = &mut self.out;
            let sent = state.lines.finish(|entry, bytes| {
                out.prepare(now)?;
                out.send(now, entry)?;
                counts.logged += bytes as u64;
                Ok(())
            });
            if let Err(refusal) = sent {
                self.lose(stream, Whose::Container, b"", now, now, refusal);
            }
        }
        if !self.out.gaps.is_empty() && self.out.prepare(now).is_err() {
            log::warn!("the journal does not tell of its gap");
        }
    }

    /// What became of this stream's bytes.
    pub fn counts(&self, stream: Stream, whose: Whose) -> Counts {
        self.streams[stream as usize].counts[whose as usize]
    }

    /// The same for what was held back. Lines of sessions may wait because the container's could not be ended
    /// before them.
    fn push_held(&mut self, held: &Held) -> (usize, Result<(), Refusal>) {
        if held.whose == Whose::Session
            && let Err(refusal) = self.cut(held.at, held.stream)
        {
            return (0, Err(refusal));
        }
        self.push(held.at, held.stream, held.whose, &held.bytes)
    }

    /// Sends what is complete in `output`. Returns how much of it was taken.
    fn push(
        &mut self,
        now: Timestamp,
        stream: Stream,
        whose: Whose,
        output: &[u8],
    ) -> (usize, Result<(), Refusal>) {
        let StreamState { lines, counts } = &mut self.streams[stream as usize];
        let (counts, out) = (&mut counts[whose as usize], &mut self.out);
        // That of a session is cut anew each time: it comes in whole lines.
        let mut fresh = lines.fresh();
        let lines = if whose == Whose::Session { &mut fresh } else { lines };
        lines.push(output, |entry, bytes| {
            out.send(now, entry)?;
            counts.logged += bytes as u64;
            Ok(())
        })
    }

    /// Counts output that could not be logged, and the unfinished line before it.
    fn lose(
        &mut self,
        stream: Stream,
        whose: Whose,
        output: &[u8],
        from: Timestamp,
        to: Timestamp,
        refusal: Refusal,
    ) {
        let StreamState { lines, counts } = &mut self.streams[stream as usize];
        let carried = if whose == Whose::Container { lines.skip(output) } else { 0 };
        let bytes = (carried + output.len()) as u64;
        counts[whose as usize].lost += bytes;
        let path = self.out.socket.path().display();
        let cause = match refusal {
            Refusal::Full => "the queue of the journal is full".to_owned(),
            Refusal::Absent(errno) => format!("cannot reach {path}: {}", reason(&errno.into())),
            Refusal::Failed(errno) => format!("cannot send to {path}: {}", reason(&errno.into())),
        };
        if bytes > 0 && self.out.gaps.is_empty() {
            log::warn!("journal: output is lost until this changes: {cause}");
        }
        self.out.gaps.add(stream, bytes, from, to, &cause);
    }
}

impl Output {
    /// Makes sure that somebody listens, and that entries tell of all gaps.
    fn prepare(&mut self, now: Timestamp) -> Result<(), Refusal> {
        match self.link {
            Link::Up => {}
            Link::Down { second, errno } if second == now.secs => return Err(Refusal::Absent(errno)),
            Link::Untried | Link::Down { .. } => self.connect(now)?,
        }
        let mut missing = 0;
        for stream in STREAMS {
            if let Some(text) = self.gaps.marker(stream) {
                // Not a warning: Podman's reader knows no other priorities than these two.
                let priority = default_priority(stream);
                self.send(now, Entry { message: (text.as_bytes(), b"\n"), priority, partial: false })?;
                missing += self.gaps.told(stream);
            }
        }
        if missing > 0 {
            log::warn!("journal: output is logged again, {missing} bytes are missing");
        }
        Ok(())
    }

    /// Sends an entry. If journald was restarted, the new one gets it.
    fn send(&mut self, now: Timestamp, entry: Entry<'_>) -> Result<(), Refusal> {
        let first = self.fields.with(entry, |parts| self.socket.send(parts));
        let Err(Refusal::Absent(_)) = first else { return first };
        self.connect(now)?;
        self.fields.with(entry, |parts| self.socket.send(parts))
    }

    fn connect(&mut self, now: Timestamp) -> Result<(), Refusal> {
        match self.socket.connect() {
            Ok(()) => {
                self.link = Link::Up;
                Ok(())
            }
            Err(errno) => {
                self.link = Link::Down { second: now.secs, errno };
                Err(Refusal::Absent(errno))
            }
        }
    }
}
