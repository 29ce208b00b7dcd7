//! What stands before a log: the policy for output that it does not take, or not so fast.
//!
//! Output goes straight through as long as the log takes it. Only then a policy comes in: the rest waits
//! here, while the stream is not read or while the oldest of it is lost, or is lost at once. Whatever
//! waits is tried again when its time has come, and at the end of the log for the last time. Lines of exec
//! sessions wait here too, for a place between those of the container.

mod backlog;
mod bucket;
mod lane;
mod meter;

use std::borrow::Cow;
use std::time::{Duration, Instant};

use crate::plan::{LogLimits, Stream};
use crate::sink::guests::Guests;
use crate::sink::{Counts, STREAMS, Whose};
use crate::sys::clock::Timestamp;
use lane::Lane;

/// What a log is, to its policy.
pub trait Log {
    /// What it does by itself about output that it does not take, where no policy was asked for.
    const PATIENCE: Patience;
    /// The time from one attempt at what waits to the next: at first, and at most. It doubles.
    const PAUSE: (Duration, Duration);

    /// What it is, for diagnostics.
    fn name(&self) -> String;

    /// Logs output that arrived at `at`, now. Returns how much of it was taken, from its beginning on, and why
    /// not all of it. What is not taken counts as nothing yet: it is offered again, or lost.
    fn take(
        &mut self,
        now: Timestamp,
        at: Timestamp,
        stream: Stream,
        whose: Whose,
        bytes: &[u8],
    ) -> (usize, Result<(), Refusal>);

    /// Whether it has reached its last size. It takes and counts what comes then, and writes nothing.
    fn is_complete(&self) -> bool;

    /// Whether the last it has of this stream is a piece of a line of the container, and what comes next
    /// would belong to it.
    fn line_is_open(&self, stream: Stream) -> bool;

    /// A number that grows whenever it has logged output, of whichever stream.
    fn progress(&self) -> u64;

    /// What became of this stream's bytes, but for those that wait elsewhere.
    fn counts(&self, stream: Stream, whose: Whose) -> Counts;

    /// Counts output that will not be logged, and tells of it when something is logged again.
    fn lose(&mut self, stream: Stream, whose: Whose, loss: &Loss, refusal: &Refusal);
}

/// How long what a log refuses waits until it is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// While there is no room: a disk or a queue is full. `None`: for ever.
    pub room: Option<Duration>,
    /// While the log fails. `None`: for ever.
    pub error: Option<Duration>,
}

impl Patience {
    /// Nothing waits.
    pub const NONE: Patience = Patience { room: Some(Duration::ZERO), error: Some(Duration::ZERO) };
}

/// Why output is not logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Of which kind.
    pub why: Why,
    /// In words.
    pub cause: Cow<'static, str>,
}

/// The kinds of reasons why output is not logged, which are counted each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is more than its rate allows.
    Rate,
    /// There is no room for it: the disk, or the queue of the journal, is full.
    Room,
    /// The log fails: it cannot be reached, written or opened.
    Error,
}

/// Output that is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// When it had arrived.
    pub at: Timestamp,
    /// Bytes.
    pub bytes: u64,
    /// Ends of lines among them.
    pub lines: u64,
    /// Whether it ends with one.
    pub ends_line: bool,
}

/// A log behind its policies, one for each stream, and who waits to be let in.
#[derive(Debug)]
pub struct Valve<L> {
    /// The log itself.
    pub log: L,
    lanes: [Lane; 2],
    guests: Guests,
    /// The stream that the log took something of in the last turn. Next time the other one begins: where
    /// there is room for a little only, each gets its share.
    served: Stream,
    /// A moment that is past, for what is due at once.
    begun: Instant,
}

impl<L: Log> Valve<L> {
    /// Puts a log behind what was asked for.
    pub fn new(log: L, limits: [LogLimits; 2]) -> Valve<L> {
        let lane = |stream| Lane::new(stream, limits[stream as usize], L::PATIENCE);
        let (guests, served, begun) = (Guests::default(), Stream::Stderr, Instant::now());
        Valve { log, lanes: STREAMS.map(lane), guests, served, begun }
    }

    /// Logs a chunk that arrives now, or does what the policy says. Never fails.
    pub fn write(&mut self, now: Timestamp, stream: Stream, whose: Whose, chunk: &[u8]) {
        self.lanes[stream as usize].write(&mut self.log, now, whose, chunk);
    }

    /// Whether this stream is to be read no further. Ends by [`Valve::turn`].
    pub fn blocks(&self, stream: Stream) -> bool {
        self.lanes[stream as usize].blocks()
    }

    /// What became of this stream's bytes.
    pub fn counts(&self, stream: Stream, whose: Whose) -> Counts {
        let waiting = self.lanes[stream as usize].backlog().bytes(whose);
        Counts { waiting, ..self.log.counts(stream, whose) }
    }

    /// The lines of sessions that wait to be let in.
    pub fn guests(&self) -> &Guests {
        &self.guests
    }

    /// Whether output waits here, other than lines of sessions that were not let in.
    pub fn holds(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.backlog().is_empty())
    }

    /// Whether the last that is logged or waits of this stream is a piece of a line, and what comes next
    /// would belong to it.
    fn line_is_open(&self, stream: Stream) -> bool {
        let waiting = self.lanes[stream as usize].backlog().ends_within_a_line();
        waiting.unwrap_or_else(|| self.log.line_is_open(stream))
    }

    /// When [`Valve::turn`] and [`Valve::let_in_ready`] must be called at the latest; `None` unless output or
    /// lines of sessions wait.
    pub fn deadline(&self) -> Option<Instant> {
        let holds = self.holds();
        // Asked in each round of the loop.
        if !holds && !self.guests.wait() {
            return None;
        }
        if holds && self.log.is_complete() {
            return Some(self.begun);
        }
        // While their stream is held up, time does not matter to lines of sessions.
        let of = |stream: Stream| self.guests.deadline(stream).filter(|_| !self.blocks(stream));
        let guests = STREAMS.into_iter().filter_map(of);
        self.lanes.iter().filter_map(Lane::deadline).chain(guests).min()
    }

    /// Tries again what has waited until its time. Harmless at any time.
    pub fn turn(&mut self, now: Instant) {
        self.release(now, |lane| lane.deadline().is_some_and(|retry| now >= retry));
    }

    /// Tries again all that waits: something has changed.
    pub fn turn_all(&mut self, now: Instant) {
        self.release(now, |_| true);
    }

    fn release(&mut self, now: Instant, is_due: impl Fn(&Lane) -> bool) {
        let order = match self.served {
            Stream::Stdout => [Stream::Stderr, Stream::Stdout],
            Stream::Stderr => STREAMS,
        };
        for stream in order {
            let lane = &mut self.lanes[stream as usize];
            if !lane.backlog().is_empty() && (is_due(lane) || self.log.is_complete()) {
                let before = self.log.progress();
                lane.release(&mut self.log, now);
                if self.log.progress() != before {
                    self.served = stream;
                }
            }
        }
    }

    /// Logs whole lines of a session, now or as soon as the container's line ends. Those for which there is no
    /// room to wait are lost.
    pub fn admit(&mut self, now: Instant, stream: Stream, lines: &[u8]) {
        let kept = self.guests.add(now, stream, lines);
        if kept < lines.len() {
            self.lanes[stream as usize].turn_away(&mut self.log, Timestamp::now(), &lines[kept..]);
        }
        self.let_in_ready(now);
    }

    /// Logs the lines of sessions for which there is a place, or that have waited long enough.
    pub fn let_in_ready(&mut self, now: Instant) {
        for stream in STREAMS {
            let is_place = !self.line_is_open(stream) || self.guests.are_due(now, stream);
            if self.guests.wait_for(stream) && is_place {
                self.let_in(Timestamp::now(), stream);
            }
        }
    }

    /// Logs the lines of sessions that wait, unless the stream is held up. The container's line, if one is
    /// open, ends before them.
    pub fn let_in(&mut self, now: Timestamp, stream: Stream) {
        if self.blocks(stream) {
            return;
        }
        let lines = self.guests.take(stream);
        if !lines.is_empty() {
            self.write(now, stream, Whose::Session, &lines);
        }
    }

    /// Nobody writes any more, so nobody is to be slowed down: what is still to come may pass as fast as it
    /// can.
    pub fn lift_rates(&mut self, now: Instant) {
        self.lanes.iter_mut().for_each(Lane::lift_rate);
        self.turn_all(now);
    }

    /// From here on nothing waits: what the log does not take at once is lost.
    pub fn stop_waiting(&mut self, now: Instant) {
        self.lanes.iter_mut().for_each(Lane::stop_waiting);
        self.turn_all(now);
    }

    /// Nothing more will come: all that waits is logged now, or lost.
    pub fn empty(&mut self, now: Timestamp) {
        self.stop_waiting(Instant::now());
        for stream in STREAMS {
            self.let_in(now, stream);
        }
    }
}

#[cfg(test)]
mod tests;
