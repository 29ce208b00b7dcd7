//! The bytes of a log.

use crate::compare::Subject;
use crate::life::{finish, log_text};
use conward_testkit::{Launch, PidFile, Place, Script, Step, To, joined, parse_log};

/// Runs a container whose output has all been written before its pid is known. The reference reads
/// none of it before then, so that it sees the same bytes in the same pieces each time.
fn all_at_once(subject: &mut Subject, place: &Place, steps: Vec<Step>, words: &[&str]) {
    place.script(&Script { pid_file: PidFile::AfterExit, ..Script::of(steps) });
    let mut running = Launch::create(place).args(words).start();
    running.go();
    running.raw_message();
    finish(subject, place, &mut running);
}

pub fn lines(subject: &mut Subject) {
    let place = subject.place();
    let out = Step::out("one\n\n two \nthree\r\nunfinished");
    all_at_once(subject, &place, vec![out, Step::err("error\n")], &[]);
    let log = std::fs::read(place.log()).expect("log");
    let first = parse_log(&log)[0].time.clone();
    // 2026-11-21T17:32:00.226934934+00:00
    let form: String = first.chars().map(|c| if c.is_ascii_digit() { 'd' } else { c }).collect();
    subject.note("form of a time", form.replace('-', "+"));
}

pub fn long_lines(subject: &mut Subject) {
    // One write each: it is in the pipe as a whole before anyone can read of it (pipe(7)).
    let lines = "y".repeat(20_000) + "\nnext\n";
    all_at_once(subject, &subject.place(), vec![Step::out(&lines), Step::err(&"z".repeat(10_000))], &[]);
}

pub fn read_boundaries(subject: &mut Subject) {
    let lines = "x".repeat(99) + "\n";
    all_at_once(subject, &subject.place(), vec![Step::out(&lines.repeat(200))], &[]);
}

/// A line that comes in two pieces, the second when the first was read.
pub fn pieces(subject: &mut Subject) {
    let place = subject.place();
    place.script(&Script::of([Step::AwaitStart, Step::out("one "), Step::EchoLine, Step::err("tail")]));
    let mut running = Launch::create(&place).arg("-i").start();
    running.go();
    running.raw_message();
    let client = running.attach();
    place.start_container();
    client.read_until("one ");
    client.send(b"two\n");
    client.read_to_end();
    finish(subject, &place, &mut running);
    let records = place.log_records();
    subject.note("joined", joined(&records, "stdout").escape_ascii());
}

pub fn binary(subject: &mut Subject) {
    let all: Vec<u8> = (0..=255).chain(*b"\n").collect();
    all_at_once(subject, &subject.place(), vec![Step::Write(To::Stdout, all)], &[]);
}

pub fn size_max(subject: &mut Subject) {
    // Records of 145 bytes: the third does not fit.
    let lines = ["a", "b", "c"].map(|letter| letter.repeat(99) + "\n").concat();
    all_at_once(subject, &subject.place(), vec![Step::out(&lines)], &["--log-size-max", "300"]);
}

pub fn global_size_max(subject: &mut Subject) {
    let lines = ["a", "b", "c", "d"].map(|letter| letter.repeat(99) + "\n").concat();
    all_at_once(subject, &subject.place(), vec![Step::out(&lines)], &["--log-global-size-max", "290"]);
}

pub fn reopen(subject: &mut Subject) {
    let place = subject.place();
    place.script(&Script::of([Step::AwaitStart, Step::EchoLine, Step::EchoLine]));
    let mut running = Launch::create(&place).arg("-i").start();
    running.go();
    running.raw_message();
    let client = running.attach();
    place.start_container();
    client.send(b"first\n");
    client.read_until("first\n");
    std::fs::rename(place.log(), place.path("old.log")).expect("move the log away");
    let mut watch = conward_testkit::Watch::new(&place, &["."]);
    place.ctl(b"2 0 0\n");
    watch.wait(&place, "+./ctr.log");
    client.send(b"second\n");
    client.read_to_end();
    finish(subject, &place, &mut running);
    let old = parse_log(&std::fs::read(place.path("old.log")).expect("old log"));
    subject.note("old log", log_text(&old, "stdout"));
    subject.note("events", watch.events(&place, &["./ctr.log", "./ctr.log.tmp"]).join(" "));
}

pub fn colon_in_path(subject: &mut Subject) {
    let place = subject.place();
    place.script(&Script::of([Step::out("x\n")]));
    let log = format!("k8s-file:{}", place.path("a:b").display());
    let mut running = Launch::create(&place).args(["-l", &log]).start();
    running.go();
    running.raw_message();
    finish(subject, &place, &mut running);
    subject.note("a:b", place.mode("a:b"));
    subject.note("a", place.mode("a"));
}
