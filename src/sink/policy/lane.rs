//! One stream on its way into one log.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use memchr::memchr;

use super::backlog::Backlog;
use super::meter::Meter;
use super::{Log, Loss, Patience, Refusal, Why};
use crate::plan::{LogLimits, LogPolicy, Stream};
use crate::sink::Whose;
use crate::sys::clock::Timestamp;

/// Bytes that `drop-oldest` keeps of a stream for a log; beyond that the oldest lines are lost. Where the
/// stream is not read meanwhile, what waits is what was read last: a chunk, and lines of sessions.
pub const BACKLOG_MAX: usize = 256 * 1024;

/// With `block`: how long a log that fails is waited for. A disk or a queue that is full is waited for as
/// long as the container lives, since to wait is what was asked for, and somebody can make room; but what
/// is broken may never come back, and the container is not to hang for ever on its log.
const BLOCK_ERROR: Duration = Duration::from_secs(10);

/// Why lines are lost that are over the rate.
static OVER_RATE: Refusal = Refusal { why: Why::Rate, cause: Cow::Borrowed("more than --log-rate allows") };

/// Why lines of sessions are lost for which there is no room beside a line of the container that is open.
const TOO_MANY: Refusal =
    Refusal { why: Why::Room, cause: Cow::Borrowed("too many lines of exec sessions wait") };

/// One stream and what holds for it. What few streams need is kept apart, since each container has four of
/// these, and each session.
#[derive(Debug)]
pub struct Lane {
    stream: Stream,
    policy: Option<LogPolicy>,
    patience: Patience,
    meter: Option<Box<Meter>>,
    backlog: Backlog,
    /// When to try again what waits.
    retry: Option<Instant>,
    trouble: Option<Box<Trouble>>,
    /// Where a policy was asked for: the last line of the container that was lost had no end yet. What comes
    /// of it is lost too, for the same reason, so that the log goes on with a line.
    cut: Option<Box<Refusal>>,
}

/// How long a log takes nothing until a diagnostic tells that output waits. A queue that is full a hundred
/// times a second and moves on is no news.
const NEWS: Duration = Duration::from_secs(1);

/// Something of this stream was refused. Patience is about the log: whatever it takes, be it of the other
/// stream, renews it.
#[derive(Debug)]
struct Trouble {
    /// The log has taken nothing since.
    since: Instant,
    /// What the log had taken up to then.
    progress: u64,
    /// A diagnostic has told of it.
    told: bool,
    refusal: Refusal,
    /// From the last attempt to the next.
    pause: Duration,
    /// For what kind of refusal nothing waits any more.
    given_up: Option<Why>,
}

impl Lane {
    /// A stream of which nothing was logged yet.
    pub fn new(stream: Stream, limits: LogLimits, by_itself: Patience) -> Lane {
        let patience = match limits.policy {
            None => by_itself,
            Some(LogPolicy::Block) => Patience { room: None, error: Some(BLOCK_ERROR) },
            Some(LogPolicy::DropOldest) => Patience { room: None, error: None },
            Some(LogPolicy::DropNewest) => Patience::NONE,
        };
        Lane {
            stream,
            policy: limits.policy,
            patience,
            meter: limits.rate.map(|rate| Box::new(Meter::new(rate, Instant::now()))),
            backlog: Backlog::default(),
            retry: None,
            trouble: None,
            cut: None,
        }
    }

    /// What waits.
    pub fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// Whether the stream is to be read no further.
    #[inline]
    pub fn blocks(&self) -> bool {
        !self.backlog.is_empty() && self.policy != Some(LogPolicy::DropOldest)
    }

    /// When to try again what waits.
    pub fn deadline(&self) -> Option<Instant> {
        self.retry.filter(|_| !self.backlog.is_empty())
    }

    /// The rate holds no longer.
    pub fn lift_rate(&mut self) {
        if let Some(meter) = &mut self.meter {
            meter.lift();
        }
    }

    /// Nothing is to wait any more.
    pub fn stop_waiting(&mut self) {
        self.lift_rate();
        self.patience = Patience::NONE;
    }

    /// Logs a chunk that arrives now, or does what the policy says.
    pub fn write<L: Log>(&mut self, log: &mut L, now: Timestamp, whose: Whose, chunk: &[u8]) {
        if self.meter.is_none() && self.backlog.is_empty() && self.cut.is_none() {
            self.pass(log, now, whose, chunk);
        } else {
            self.write_held_up(log, now, whose, chunk);
        }
    }

    /// The same where something waits, is lost or has to be counted.
    #[cold]
    #[inline(never)]
    fn write_held_up<L: Log>(&mut self, log: &mut L, now: Timestamp, whose: Whose, chunk: &[u8]) {
        if log.is_complete() {
            self.cut = None;
            self.release(log, Instant::now());
            self.pass(log, now, whose, chunk);
            return;
        }
        let chunk = self.skip(log, now, whose, chunk);
        if self.policy == Some(LogPolicy::DropNewest) {
            self.sift(log, now, whose, chunk);
        } else {
            self.keep(log, now, whose, chunk);
            let now = Instant::now();
            if self.retry.is_none_or(|retry| now >= retry) {
                self.release(log, now);
            }
        }
    }

    /// Logs what waits, as far as rate and log allow.
    pub fn release<L: Log>(&mut self, log: &mut L, now: Instant) {
        let clock = Timestamp::now();
        while let Some((at, whose, bytes)) = self.backlog.front() {
            let allowed = match &mut self.meter {
                Some(meter) if !log.is_complete() => meter.admit(now, whose, bytes),
                Some(_) | None => bytes.len(),
            };
            if allowed == 0 {
                self.retry = self.meter.as_ref().map(|meter| meter.ready_at());
                return;
            }
            let (taken, result) = log.take(clock, at, self.stream, whose, &bytes[..allowed]);
            if let Some(meter) = &mut self.meter {
                meter.spend(whose, &bytes[..taken]);
            }
            self.backlog.pop(taken);
            match result {
                Ok(()) => self.recover(log),
                Err(refusal) => {
                    self.retry = self.try_again(log, now, taken > 0, &refusal);
                    if self.retry.is_some() {
                        return;
                    }
                    self.lose_front(log, allowed - taken, &refusal);
                }
            }
        }
        self.retry = None;
    }

    /// Straight to the log. Returns how much it took at once.
    #[inline]
    fn pass<L: Log>(&mut self, log: &mut L, now: Timestamp, whose: Whose, chunk: &[u8]) -> usize {
        let (taken, result) = log.take(now, now, self.stream, whose, chunk);
        match result {
            Ok(()) if self.trouble.is_none() => {}
            Ok(()) => self.recover(log),
            Err(refusal) => self.refused(log, now, whose, (chunk, taken), &refusal),
        }
        taken
    }

    /// So much of a chunk was taken, and what follows was not: it waits or is lost.
    #[cold]
    #[inline(never)]
    fn refused<L: Log>(
        &mut self,
        log: &mut L,
        now: Timestamp,
        whose: Whose,
        (chunk, taken): (&[u8], usize),
        refusal: &Refusal,
    ) {
        self.retry = self.try_again(log, Instant::now(), taken > 0, refusal);
        match self.retry.is_some() {
            true => self.keep(log, now, whose, &chunk[taken..]),
            false => self.lose(log, now, whose, &chunk[taken..], refusal),
        }
    }

    /// Loses the rest of a line of which the beginning is lost. Returns what follows.
    fn skip<'a, L: Log>(&mut self, log: &mut L, now: Timestamp, whose: Whose, chunk: &'a [u8]) -> &'a [u8] {
        let Some(refusal) = self.cut.take_if(|_| whose == Whose::Container) else { return chunk };
        let end = memchr(b'\n', chunk).map_or(chunk.len(), |end| end + 1);
        let (rest, next) = chunk.split_at(end);
        self.lose(log, now, whose, rest, &refusal);
        next
    }

    /// What the rate allows to the log; the rest is lost.
    fn sift<L: Log>(&mut self, log: &mut L, now: Timestamp, whose: Whose, chunk: &[u8]) {
        let passed = match &mut self.meter {
            Some(meter) if !chunk.is_empty() => meter.sift(Instant::now(), whose, chunk),
            Some(_) | None => chunk.len(),
        };
        let (head, rest) = chunk.split_at(passed);
        let taken = if head.is_empty() { 0 } else { self.pass(log, now, whose, head) };
        if let Some(meter) = &mut self.meter {
            meter.spend(whose, &head[..taken]);
            if taken < chunk.len() {
                meter.restart(whose);
            }
        }
        if log.is_complete() && !rest.is_empty() {
            self.pass(log, now, whose, rest);
        } else {
            self.lose(log, now, whose, rest, &OVER_RATE);
        }
    }

    /// Lets a chunk wait. Over the bound the oldest lines are lost, where the stream is read on.
    fn keep<L: Log>(&mut self, log: &mut L, now: Timestamp, whose: Whose, chunk: &[u8]) {
        self.backlog.push(now, whose, chunk);
        if self.policy != Some(LogPolicy::DropOldest) {
            return;
        }
        loop {
            let excess = self.backlog.excess(BACKLOG_MAX);
            if excess == 0 {
                return;
            }
            let refusal = self.trouble.as_ref().map_or(&OVER_RATE, |trouble| &trouble.refusal).clone();
            self.lose_front(log, excess, &refusal);
        }
    }

    /// Loses so many bytes of the chunk that has waited longest, and the rest of the line that they end in.
    fn lose_front<L: Log>(&mut self, log: &mut L, bytes: usize, refusal: &Refusal) {
        let Some((whose, mut loss)) = self.backlog.lose(bytes) else { return };
        if let Some(meter) = &mut self.meter {
            meter.restart(whose);
        }
        log.lose(self.stream, whose, &loss, refusal);
        // Lines of sessions that stand between the pieces of a line remain.
        while self.policy.is_some() && whose == Whose::Container && !loss.ends_line {
            match self.backlog.lose_rest_of_line() {
                Some(rest) => loss = rest,
                None => {
                    self.cut = Some(Box::new(refusal.clone()));
                    return;
                }
            }
            log.lose(self.stream, whose, &loss, refusal);
        }
    }

    /// Lines of a session come for which there is no room where they wait.
    pub fn turn_away<L: Log>(&mut self, log: &mut L, now: Timestamp, lines: &[u8]) {
        let refusal = match &self.trouble {
            Some(trouble) => trouble.refusal.clone(),
            None if self.backlog.is_empty() => TOO_MANY,
            None => OVER_RATE.clone(),
        };
        self.lose(log, now, Whose::Session, lines, &refusal);
    }

    /// Loses what has just come.
    fn lose<L: Log>(&mut self, log: &mut L, now: Timestamp, whose: Whose, bytes: &[u8], refusal: &Refusal) {
        if bytes.is_empty() {
            return;
        }
        let loss = Loss::of(now, bytes);
        log.lose(self.stream, whose, &loss, refusal);
        if self.policy.is_some() && whose == Whose::Container {
            self.cut = (!loss.ends_line).then(|| Box::new(refusal.clone()));
        }
    }

    /// Something was refused, after something had been taken (`moved`) or not. Returns when to try it again;
    /// `None`: it is lost. Who has given up does not begin to wait again before something is taken.
    fn try_again<L: Log>(
        &mut self,
        log: &L,
        now: Instant,
        moved: bool,
        refusal: &Refusal,
    ) -> Option<Instant> {
        let (first, most) = L::PAUSE;
        let patience = match refusal.why {
            Why::Rate | Why::Room => self.patience.room,
            Why::Error => self.patience.error,
        };
        let progress = log.progress();
        if self.trouble.as_ref().is_some_and(|trouble| moved || trouble.progress != progress) {
            self.recover(log);
        }
        let fresh = || Trouble {
            since: now,
            progress,
            told: false,
            refusal: refusal.clone(),
            pause: first,
            given_up: None,
        };
        let trouble = self.trouble.get_or_insert_with(|| Box::new(fresh()));
        if trouble.refusal != *refusal {
            if trouble.refusal.why != refusal.why {
                trouble.since = now;
            }
            trouble.refusal = refusal.clone();
        }
        let until = patience.map(|patience| trouble.since + patience);
        let over = patience == Some(Duration::ZERO) || until.is_some_and(|until| now >= until);
        if over || trouble.given_up == Some(refusal.why) {
            trouble.given_up = Some(refusal.why);
            return None;
        }
        if self.policy.is_some() && !trouble.told && now.saturating_duration_since(trouble.since) >= NEWS {
            trouble.told = true;
            log::warn!("{}: {} waits until this changes: {}", log.name(), self.stream.name(), refusal.cause);
        }
        let next = now + trouble.pause;
        trouble.pause = (trouble.pause * 2).min(most);
        Some(until.map_or(next, |until| until.min(next)))
    }

    /// The log takes output again.
    #[cold]
    fn recover<L: Log>(&mut self, log: &L) {
        if self.trouble.take().is_some_and(|trouble| trouble.told && trouble.given_up.is_none()) {
            log::warn!("{}: {} waits no longer", log.name(), self.stream.name());
        }
    }
}
