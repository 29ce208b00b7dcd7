//! Disks that are full while a container writes.

use std::fs;

use conward_testkit::{Host, Launch, Place, Script, Step, joined, parse_log, wait_until};

use super::{Case, LINE, LINES, lines, log, log_file, logged, numbers, place};
use crate::space::Tmpfs;

/// One for the log, with room for all of it.
fn small_disk(place: &Place) -> Tmpfs {
    Tmpfs::over(place.path("logs"), 2 << 20)
}

#[test]
fn a_full_disk_blocks_the_container_until_there_is_room() {
    let place = place();
    let disk = small_disk(&place);
    let mut case = Case::begin(&place, &["--log-policy", "block"]);
    disk.fill();
    case.get_stuck();
    disk.free();
    let sink = case.end();
    assert_eq!((sink["dropped"].as_u64(), sink.get("drops")), (Some(0), None));
    assert_eq!(logged(&place), (lines(0..LINES + 1), 0));
}

#[test]
fn a_container_that_is_blocked_by_a_full_disk_can_be_ended() {
    let place = place();
    let disk = small_disk(&place);
    let mut case = Case::begin(&place, &["--log-policy", "block"]);
    disk.fill();
    case.get_stuck();
    let sink = case.kill();
    assert!(sink["drops"]["room"]["bytes"].as_u64() > Some(60_000), "{sink}");
    assert!(sink["drops"]["room"]["lines"].as_u64() > Some(1_000), "{sink}");
}

#[test]
fn a_full_disk_costs_the_newest_lines() {
    let place = place();
    let disk = small_disk(&place);
    let mut case = Case::begin(&place, &["--log-policy", "drop-newest"]);
    disk.fill();
    case.go_on();
    wait_until("all to be read", || case.count("read") == (LINES * LINE) as u64);
    disk.free();
    let sink = case.end();
    let (text, markers) = logged(&place);
    let numbers = numbers(&text);
    // What was left of the log's own page was used.
    assert!(numbers.len() < 1000 && markers == 1, "{} lines, {markers} markers", numbers.len());
    assert_eq!((numbers[0], numbers.last()), (0, Some(&LINES)));
    let lost = LINES + 1 - numbers.len();
    assert_eq!(sink["drops"]["room"]["lines"].as_u64(), Some(lost as u64), "{sink}");
    assert_eq!(sink["dropped"].as_u64(), Some((lost * LINE) as u64), "{sink}");
    assert_eq!(case.heard, lines(0..LINES + 1).into_bytes(), "a client hears what the log has not");
}

#[test]
fn a_full_disk_costs_the_oldest_lines() {
    let place = place();
    let disk = small_disk(&place);
    let mut case = Case::begin(&place, &["--log-policy", "drop-oldest"]);
    disk.fill();
    case.go_on();
    wait_until("all to be read", || case.count("read") == (LINES * LINE) as u64);
    let waiting = case.count("waiting");
    assert!(waiting > (250 << 10) && waiting <= 256 << 10, "{waiting}");
    disk.free();
    wait_until("it to be logged", || case.count("waiting") == 0);
    let sink = case.end();
    let (text, markers) = logged(&place);
    let numbers = numbers(&text);
    assert_eq!(markers, 1);
    let kept = (waiting as usize) / LINE;
    assert_eq!(numbers[numbers.len() - kept - 1..], *(LINES - kept..=LINES).collect::<Vec<_>>());
    let lost = LINES + 1 - numbers.len();
    assert_eq!(sink["drops"]["room"]["lines"].as_u64(), Some(lost as u64), "{sink}");
    assert_eq!(case.heard, lines(0..LINES + 1).into_bytes());
}

/// One stream waits for room, the other does not.
#[test]
fn each_stream_has_its_own_policy() {
    let place = place();
    let host = Host::new(&place);
    let disk = Tmpfs::over(place.path("logs"), 1 << 20);
    let mut gate = place.gate("gate");
    place.script(&Script::of([
        Step::AwaitStart,
        Step::Fork(vec![Step::out(&lines(0..LINES)), Step::Touch(place.path("out"))]),
        Step::err(&lines(0..LINES)),
        Step::Touch(place.path("err")),
        Step::Await(gate.path().to_owned()),
        Step::Exit(7),
    ]));
    disk.fill();
    // The file is there; there is no room for a byte of it.
    let policies = ["--log-policy", "drop-newest", "--log-policy", "stdout=block"];
    let launch = Launch::create(&place).host(&host).arg("-l").arg(log(&place)).args(policies);
    let mut running = launch.start().created();
    place.start_container();
    place.await_file("err");
    assert!(!place.path("out").exists(), "stdout does not wait");
    disk.free();
    place.await_file("out");
    gate.open();
    assert_eq!(running.status(), 7);
    let records = parse_log(&fs::read(log_file(&place)).expect("the log"));
    assert_eq!(joined(&records, "stdout"), lines(0..LINES).into_bytes());
    let stderr = String::from_utf8(joined(&records, "stderr")).expect("text");
    // What the pipe still held may have come when there was room again.
    let shown = stderr.lines().count();
    assert!(stderr.starts_with("[conward: ") && shown < LINES / 2, "{shown} lines");
    assert_eq!(stderr.matches("[conward: ").count(), 1);
}
