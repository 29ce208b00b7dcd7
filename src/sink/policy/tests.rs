//! Policies before a log that takes what the test lets it take.

mod conservation;
mod ends;

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::lane::BACKLOG_MAX;
use super::{Log, Loss, Patience, Refusal, Valve, Why};
use crate::plan::{LogLimits, LogPolicy, LogRate, Stream};
use crate::sink::{Counts, Whose};
use crate::sys::clock::Timestamp;

const OUT: Stream = Stream::Stdout;
const CONTAINER: Whose = Whose::Container;

/// A log that has room for so many bytes, or fails. It takes whole lines, or the last piece of one.
#[derive(Debug)]
struct Paper {
    room: usize,
    broken: bool,
    text: String,
    /// Bytes and lines lost, by the reason.
    lost: [(u64, u64); 3],
    attempts: usize,
    progress: u64,
    /// It is complete from this progress on.
    complete: u64,
    withheld: usize,
    /// How often its name was asked for, which is for diagnostics.
    named: Cell<usize>,
}

/// Where something is missing in its text.
const GAP: char = '#';

impl Log for Paper {
    const PATIENCE: Patience = Patience { room: Some(Duration::from_secs(1)), error: Some(Duration::ZERO) };
    const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(300));

    fn name(&self) -> String {
        self.named.set(self.named.get() + 1);
        "paper".to_owned()
    }

    fn take(
        &mut self,
        _now: Timestamp,
        _at: Timestamp,
        _stream: Stream,
        _whose: Whose,
        bytes: &[u8],
    ) -> (usize, Result<(), Refusal>) {
        self.attempts += 1;
        if self.is_complete() {
            self.withheld += bytes.len();
            return (bytes.len(), Ok(()));
        }
        let fits = if self.broken { 0 } else { self.room.min(bytes.len()) };
        let whole = match fits == bytes.len() {
            true => fits,
            false => bytes[..fits].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1),
        };
        self.text.push_str(std::str::from_utf8(&bytes[..whole]).expect("text"));
        self.room -= whole;
        self.progress += whole as u64;
        let why = if self.broken { Why::Error } else { Why::Room };
        let refusal = Refusal { why, cause: "it is so".into() };
        (whole, if whole < bytes.len() { Err(refusal) } else { Ok(()) })
    }

    fn is_complete(&self) -> bool {
        self.progress >= self.complete
    }

    fn line_is_open(&self, _: Stream) -> bool {
        self.text.ends_with(|last| last != '\n' && last != GAP)
    }

    fn counts(&self, _: Stream, _: Whose) -> Counts {
        Counts::default()
    }

    fn progress(&self) -> u64 {
        self.progress
    }

    fn lose(&mut self, _: Stream, _: Whose, loss: &Loss, refusal: &Refusal) {
        let lost = &mut self.lost[refusal.why as usize];
        *lost = (lost.0 + loss.bytes, lost.1 + loss.lines);
        if !self.text.ends_with(GAP) {
            self.text.push(GAP);
        }
    }
}

fn valve(policy: Option<LogPolicy>, rate: Option<LogRate>) -> Valve<Paper> {
    let log = Paper {
        room: 0,
        broken: false,
        text: String::new(),
        lost: [(0, 0); 3],
        attempts: 0,
        progress: 0,
        complete: u64::MAX,
        withheld: 0,
        named: Cell::new(0),
    };
    Valve::new(log, [LogLimits { policy, rate }; 2])
}

fn write(valve: &mut Valve<Paper>, text: &str) {
    valve.write(Timestamp::now(), OUT, CONTAINER, text.as_bytes());
}

#[test]
fn without_a_policy_the_log_has_its_own() {
    let mut valve = valve(None, None);
    valve.log.room = 4;
    write(&mut valve, "one\ntwo\n");
    assert!(valve.blocks(OUT) && !valve.blocks(Stream::Stderr));
    let begun = valve.deadline().expect("another attempt") - Duration::from_millis(100);
    valve.turn(begun + Duration::from_millis(999));
    assert!(valve.blocks(OUT));
    valve.turn(begun + Duration::from_secs(2));
    assert!(!valve.blocks(OUT) && valve.deadline().is_none());
    write(&mut valve, "three\n");
    assert!(!valve.blocks(OUT), "it has waited long enough");
    valve.log.room = 100;
    write(&mut valve, "four\n");
    valve.log.room = 0;
    write(&mut valve, "five\n");
    assert!(valve.blocks(OUT), "it is another time");
    valve.turn(Instant::now() + Duration::from_secs(2));
    valve.log.broken = true;
    write(&mut valve, "six\n");
    assert_eq!((valve.log.text.as_str(), valve.log.lost), ("one\n#four\n#", [(0, 0), (15, 3), (4, 1)]));
}

#[test]
fn to_block_is_to_wait_for_room_as_long_as_it_takes() {
    let mut valve = valve(Some(LogPolicy::Block), None);
    valve.log.room = 4;
    write(&mut valve, "one\ntwo\nthree");
    let mut now = Instant::now();
    let mut pauses = Vec::new();
    for _ in 0..1000 {
        let next = valve.deadline().expect("another attempt");
        pauses.push(next.saturating_duration_since(now).as_millis());
        now = next;
        valve.turn(now);
        assert!(valve.blocks(OUT));
    }
    assert!(pauses[0] <= 100 && pauses[1..4] == [200, 300, 300], "{:?}", &pauses[..4]);
    valve.log.room = 4;
    valve.turn_all(now);
    assert_eq!((valve.blocks(OUT), valve.counts(OUT, CONTAINER).waiting), (true, 5));
    valve.log.room = 100;
    valve.turn_all(now);
    assert!(!valve.blocks(OUT) && valve.deadline().is_none());
    assert_eq!((valve.log.text.as_str(), valve.log.lost), ("one\ntwo\nthree", [(0, 0); 3]));
}

#[test]
fn to_block_is_not_to_hang_on_what_is_broken() {
    let mut valve = valve(Some(LogPolicy::Block), None);
    valve.log.broken = true;
    write(&mut valve, "one\n");
    let begun = valve.deadline().expect("another attempt") - Duration::from_millis(100);
    valve.turn(begun + Duration::from_millis(9_999));
    assert!(valve.blocks(OUT));
    valve.turn(begun + Duration::from_secs(10));
    assert!(!valve.blocks(OUT));
    write(&mut valve, "two\n");
    assert_eq!((valve.blocks(OUT), valve.log.lost), (false, [(0, 0), (0, 0), (8, 2)]));
    (valve.log.broken, valve.log.room) = (false, 0);
    write(&mut valve, "three\n");
    assert!(valve.blocks(OUT), "a full disk is another matter");
}

#[test]
fn the_newest_lines_are_dropped_whole() {
    let mut valve = valve(Some(LogPolicy::DropNewest), None);
    valve.log.room = 4;
    write(&mut valve, "one\ntwo\nthr");
    valve.log.room = 100;
    write(&mut valve, "e");
    write(&mut valve, "e\nfour\n");
    assert!(!valve.blocks(OUT) && valve.deadline().is_none());
    assert_eq!((valve.log.text.as_str(), valve.log.lost), ("one\n#four\n", [(0, 0), (10, 2), (0, 0)]));
}

#[test]
fn the_oldest_lines_are_dropped_whole() {
    let mut valve = valve(Some(LogPolicy::DropOldest), None);
    let lines = |from: usize, to: usize| (from..to).map(|n| format!("{n:07}\n")).collect::<String>();
    for chunk in 0..100 {
        write(&mut valve, &lines(chunk * 1000, (chunk + 1) * 1000));
        assert!(!valve.blocks(OUT));
    }
    assert!(valve.log.attempts < 50, "{} attempts: it is tried from time to time", valve.log.attempts);
    let waiting = valve.counts(OUT, CONTAINER).waiting;
    assert!(waiting <= BACKLOG_MAX as u64 && waiting > BACKLOG_MAX as u64 - 4096, "{waiting}");
    assert_eq!(valve.log.lost[Why::Room as usize], (800_000 - waiting, 100_000 - waiting / 8));
    valve.log.room = 1_000_000;
    valve.turn_all(Instant::now());
    let first = 100_000 - usize::try_from(waiting / 8).expect("a number");
    assert_eq!(valve.log.text, format!("#{}", lines(first, 100_000)));
    assert!(valve.deadline().is_none() && !valve.holds());
}

#[test]
fn a_rate_makes_the_stream_wait_where_nothing_else_is_said() {
    let rate = Some(LogRate { bytes: 1, burst: 10 });
    for policy in [None, Some(LogPolicy::Block)] {
        let mut valve = valve(policy, rate);
        valve.log.room = 1000;
        write(&mut valve, "12345\n789\n");
        assert!(!valve.blocks(OUT));
        write(&mut valve, "two\nthree\n");
        assert!(valve.blocks(OUT));
        let due = valve.deadline().expect("another attempt");
        valve.turn(due);
        assert_eq!(valve.log.text, "12345\n789\ntwo\n");
        assert_eq!(valve.deadline(), Some(due + Duration::from_secs(4)), "the debt, and one");
        valve.lift_rates(due);
        assert_eq!(valve.log.text, "12345\n789\ntwo\nthree\n");
        write(&mut valve, "the rest\n");
        assert!(!valve.blocks(OUT) && valve.log.text.ends_with("three\nthe rest\n"));
    }
}

#[test]
fn a_rate_makes_a_log_drop_what_it_is_told_to() {
    let rate = Some(LogRate { bytes: 1, burst: 8 });
    let mut newest = valve(Some(LogPolicy::DropNewest), rate);
    newest.log.room = 1000;
    write(&mut newest, "one\ntwo\nthree\nfo");
    write(&mut newest, "ur\nfive\n");
    newest.lift_rates(Instant::now());
    write(&mut newest, "six\n");
    assert_eq!((newest.log.text.as_str(), newest.log.lost), ("one\ntwo\n#six\n", [(16, 3), (0, 0), (0, 0)]));

    let mut oldest = valve(Some(LogPolicy::DropOldest), rate);
    oldest.log.room = usize::MAX;
    write(&mut oldest, "one\ntwo\nthree\n");
    write(&mut oldest, &"x".repeat(BACKLOG_MAX / 2));
    write(&mut oldest, &"x".repeat(BACKLOG_MAX));
    write(&mut oldest, "\nlast\n");
    assert!(!oldest.blocks(OUT));
    oldest.stop_waiting(Instant::now());
    let length = BACKLOG_MAX as u64 * 3 / 2 + 1 + 6;
    assert_eq!((oldest.log.text.as_str(), oldest.log.lost[0]), ("one\ntwo\n#last\n", (length, 2)));
}

#[test]
fn at_the_end_nothing_waits() {
    for policy in [LogPolicy::Block, LogPolicy::DropOldest] {
        let mut valve = valve(Some(policy), None);
        write(&mut valve, "one\ntwo\n");
        valve.log.room = 4;
        valve.stop_waiting(Instant::now());
        write(&mut valve, "three\n");
        assert!(!valve.holds() && !valve.blocks(OUT) && valve.deadline().is_none());
        assert_eq!((valve.log.text.as_str(), valve.log.lost[Why::Room as usize]), ("one\n#", (10, 2)));
    }
}

#[test]
fn no_stream_starves_beside_one_that_fills_the_log() {
    for policy in [None, Some(LogPolicy::Block)] {
        let mut valve = valve(policy, None);
        write(&mut valve, &"o\n".repeat(1000));
        valve.write(Timestamp::now(), Stream::Stderr, CONTAINER, b"e\n");
        for _ in 0..2 {
            valve.log.room = 4;
            valve.turn_all(Instant::now());
        }
        assert!(valve.blocks(OUT) && !valve.blocks(Stream::Stderr), "{policy:?}");
        assert_eq!(valve.log.text, "o\no\ne\no\n");
    }
}

#[test]
fn what_a_log_takes_of_one_stream_renews_the_patience_for_the_other() {
    let mut valve = valve(None, None);
    valve.write(
        Timestamp::now(),
        Stream::Stderr,
        CONTAINER,
        b"a line that is too long for what room there is\n",
    );
    let mut now = Instant::now();
    for _ in 0..8 {
        // Straight to the log, as long as the stream itself is not held up.
        valve.log.room = 2;
        write(&mut valve, "o\n");
        now += Duration::from_millis(400);
        valve.turn(now);
        assert!(valve.blocks(Stream::Stderr));
    }
    now += Duration::from_millis(1000);
    valve.turn(now);
    assert!(!valve.blocks(Stream::Stderr));
    assert_eq!(valve.log.lost[Why::Room as usize].1, 1);
}

#[test]
fn a_log_that_moves_on_is_no_news() {
    log::set_max_level(log::LevelFilter::Warn);
    let mut valve = valve(Some(LogPolicy::Block), None);
    let mut now = Instant::now();
    for _ in 0..1000 {
        write(&mut valve, "one\ntwo\n");
        valve.log.room = 8;
        now += Duration::from_millis(10);
        valve.turn_all(now);
        assert!(!valve.blocks(OUT));
    }
    assert_eq!(valve.log.named.get(), 0);
    write(&mut valve, "one\n");
    (0..10).for_each(|nth| valve.turn_all(now + Duration::from_secs(nth)));
    assert_eq!(valve.log.named.get(), 1, "that it waits");
    valve.log.room = 4;
    valve.turn_all(now);
    assert_eq!(valve.log.named.get(), 2, "that it waits no longer");
}

#[test]
fn what_is_not_due_is_not_tried() {
    let mut valve = valve(Some(LogPolicy::Block), None);
    write(&mut valve, "one\n");
    let (due, attempts) = (valve.deadline().expect("another attempt"), valve.log.attempts);
    (0..10).for_each(|_| valve.turn(due - Duration::from_millis(1)));
    assert_eq!((valve.deadline(), valve.log.attempts), (Some(due), attempts));
    valve.turn(due);
    assert_eq!(valve.log.attempts, attempts + 1);
}
