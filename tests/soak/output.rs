//! A day of output in minutes, rotated by the supervisor and by a manager.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use conward_protocol::request::{Stage, Wait};
use conward_protocol::{Body, Record, Request};
use conward_testkit::{
    Count, Footprint, LogRecord, Numbered, PATIENCE, Place, Running, Script, Step, To, parse_log, wait_for,
    wait_until,
};

use crate::report::{Pace, await_flat, scaled};
use crate::{ask, launch, manager, place};

/// How long a day may take.
const DAY_LIMIT: Duration = Duration::from_secs(600);

/// The lines of one stream, as records of one file after the other bring them.
struct Stream {
    name: &'static str,
    count: Count,
    /// The beginning of a line. `None`: of one that is lost with an older file.
    line: Option<Vec<u8>>,
}

impl Stream {
    /// All of it, from its first line on.
    fn whole(name: &'static str) -> Stream {
        Stream { name, count: Count::from(0), line: Some(Vec::new()) }
    }

    /// The end of it, which may begin within a line.
    fn end(name: &'static str) -> Stream {
        Stream { name, count: Count::from_any(), line: None }
    }

    fn take(&mut self, records: &[LogRecord]) {
        for record in records.iter().filter(|record| record.stream == self.name) {
            if let Some(line) = &mut self.line {
                line.extend_from_slice(&record.content);
            }
            if record.full {
                let line = self.line.replace(Vec::new());
                line.map_or(Ok(()), |line| self.count.take(&line))
                    .unwrap_or_else(|e| panic!("{}: {e}", self.name));
            }
        }
    }
}

/// What the exit record says, which comes when the container has ended.
fn record(place: &Place, end: impl FnOnce()) -> Record {
    let mut client = manager(place);
    let wait = Request::Wait(Wait { stage: Stage::Recorded, exec: None });
    let ticket = client.send(wait).expect("sent");
    end();
    let Body::Waited(waited) = client.answer(ticket).expect("an end").body else { panic!("no record") };
    waited.record.expect("a record")
}

/// So many bytes were read of each stream, and all of them were logged.
fn check_counts(record: &Record, bytes: [u64; 2]) {
    assert!(record.log_complete, "{record:?}");
    for (stream, bytes) in record.streams.iter().zip(bytes) {
        assert_eq!((stream.read, stream.ended), (bytes, true), "{record:?}");
    }
    for (sink, bytes) in record.sinks.iter().zip(bytes) {
        assert_eq!((sink.logged, sink.dropped, sink.withheld), (bytes, 0, 0), "{record:?}");
    }
}

fn read(place: &Place) -> Vec<u64> {
    let Body::Stats(stats) = ask(&mut manager(place), Request::Stats) else { panic!("no stats") };
    stats.streams.iter().map(|stream| stream.read).collect()
}

fn end(mut running: Running) {
    assert_eq!(running.status(), 7);
}

/// A thousand lines a second for 24 hours, and a few on stderr. What rotation keeps is the end of it without a gap,
/// in files that are full but not too full; what it does not keep was in the log.
#[test]
fn a_day_of_output_with_rotation() {
    const OLD_FILES: usize = 5;
    let (lines, size) = (scaled(2_000_000, 24 * 3600 * 1000), scaled(2 << 20, 16 << 20));
    let place = place();
    let [mut begin, mut finish] = ["begin", "finish"].map(|name| place.gate(name));
    let first = Numbered { first: 0, lines: lines / 100 };
    let rest = Numbered { first: first.lines, lines: lines - first.lines };
    let errors = Numbered { first: 0, lines: lines / 20 };
    place.script(&Script::of([
        Step::AwaitStart,
        Step::Number(To::Stdout, first),
        Step::Await(begin.path().to_owned()),
        Step::Fork(vec![Step::Number(To::Stderr, errors)]),
        Step::Number(To::Stdout, rest),
        Step::Await(finish.path().to_owned()),
        Step::Exit(7),
    ]));
    let (size_text, files) = (size.to_string(), OLD_FILES.to_string());
    let options = ["--log-size-max", &size_text, "--log-rotate", "--log-max-files", &files];
    let mut running = launch(&place).args(options).start().created();
    let supervisor = running.monitor().pid();
    place.start_container();
    wait_until("the first lines", || read(&place)[0] == first.bytes());
    let before = Footprint::of(supervisor);
    let bytes = [first.bytes() + rest.bytes(), errors.bytes()];
    let mut pace = Pace::of((bytes[0] + bytes[1] - first.bytes()) >> 20);
    begin.open();
    let mut done = 0;
    wait_for("a day of output", DAY_LIMIT, || {
        let now = read(&place);
        let megabytes = (now[0] + now[1] - first.bytes()) >> 20;
        pace.advance(megabytes - std::mem::replace(&mut done, megabytes));
        (now == bytes).then_some(())
    });
    let after = await_flat("the supervisor", before, || Footprint::of(supervisor));
    check_counts(&record(&place, || finish.open()), bytes);
    end(running);
    let files: Vec<PathBuf> =
        (1..=OLD_FILES).rev().map(|number| place.path(format!("ctr.log.{number}"))).collect();
    assert!(!place.path(format!("ctr.log.{}", OLD_FILES + 1)).exists(), "one old file too many");
    let mut log = Vec::new();
    for file in files {
        let more = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let full = size - 1024..=size;
        assert!(full.contains(&(more.len() as u64)), "{} has {} bytes", file.display(), more.len());
        log.extend(more);
    }
    log.extend(fs::read(place.log()).expect("the log"));
    let records = parse_log(&log);
    for (name, last) in [("stdout", lines), ("stderr", errors.lines)] {
        let mut stream = Stream::end(name);
        stream.take(&records);
        let kept = stream.count.lines();
        assert!(kept.lines == 0 || kept.first + kept.lines == last, "{name} ends with {kept:?}");
        assert!(name == "stderr" || kept.lines > 0);
    }
    pace.report("a day of output, rotated (MiB)", before, after);
}

/// Each file that a manager has moved away is complete when the supervisor says that it has a new one; and no line
/// is in none of them, or in two.
#[test]
fn a_log_that_is_taken_away_again_and_again() {
    let (count, first) = (scaled(100, 1_000), 10);
    let place = place();
    let mut gate = place.gate("gate");
    let burst = Numbered { first: 0, lines: 50 };
    let output = Step::NumberUntil(To::Stdout, burst, 1000, gate.path().to_owned());
    place.script(&Script::of([Step::AwaitStart, output, Step::Exit(7)]));
    let mut running = launch(&place).start().created();
    let supervisor = running.monitor().pid();
    let mut manager = manager(&place);
    ask(&mut manager, Request::Start);
    let mut stream = Stream::whole("stdout");
    let mut reopen = |number: u64| {
        let old = place.path("old.log");
        wait_until("some output", || fs::metadata(place.log()).is_ok_and(|log| log.len() > 0));
        fs::rename(place.log(), &old).expect("move the log away");
        if number.is_multiple_of(2) {
            ask(&mut manager, Request::ReopenLogs);
        } else {
            place.ctl(b"2 0 0\n");
            wait_for("a new log", PATIENCE, || place.log().exists().then_some(()));
        }
        stream.take(&parse_log(&fs::read(&old).expect("the old log")));
    };
    (0..first).for_each(&mut reopen);
    let before = Footprint::of(supervisor);
    let mut pace = Pace::of(count);
    for number in first..first + count {
        reopen(number);
        pace.lap();
    }
    let after = await_flat("the supervisor", before, || Footprint::of(supervisor));
    let record = record(&place, || gate.open());
    end(running);
    stream.take(&place.log_records());
    let lines = stream.count.lines();
    assert!(lines.lines > burst.lines * count / 10);
    check_counts(&record, [lines.bytes(), 0]);
    pace.report("logs taken away by a manager", before, after);
}
