//! The control fifo.

use crate::place;
use conward_testkit::{Launch, Pattern, Running, Script, Step, To, Watch, joined, parse_log};
use std::time::Duration;

/// Lines that must be passed over, each of them alone.
const BAD: [&[u8]; 14] = [
    b"\n",
    b"junk\n",
    b"1 2\n",
    b"1\n",
    b"1 -1 80\n",
    b"1 24 1001\n",
    b"1 99999999999999999999 1\n",
    b"3 24 80\n",
    b"0 24 80\n",
    b"1 0x18 0x50\n",
    b"1 24.5 80\n",
    b"\0\0\0\n",
    b"1 24\x0080 3\n",
    b"\xff\xfe 1 2 3\n",
];

#[test]
fn a_line_sets_the_size() {
    let place = place();
    let (mut running, client) = Running::of_sizes(&place);
    for (line, size) in [
        ("1 24 80\n", "size 24 80\r\n"),
        ("1 25 81 and more words\n", "size 25 81\r\n"),
        ("  1 0026 082\n", "size 26 82\r\n"),
        ("1 1000 1000\n", "size 1000 1000\r\n"),
        ("1 1 80\n", "size 1 80\r\n"),
    ] {
        place.ctl(line.as_bytes());
        client.read_until(size);
    }
    assert_eq!(running.status(), 0);
}

#[test]
fn bad_lines_are_passed_over_one_by_one() {
    let place = place();
    let (_running, client) = Running::of_sizes(&place);
    for (number, bad) in BAD.into_iter().enumerate() {
        // In one write with a good line, which must not be lost.
        let rows = 10 + number;
        place.ctl(&[bad, format!("1 {rows} 80\n").as_bytes()].concat());
        client.read_until(&format!("size {rows} 80\r\n"));
    }
    for (number, bad) in BAD.into_iter().enumerate() {
        // Byte by byte.
        bad.iter().for_each(|byte| place.ctl(&[*byte]));
        let rows = 110 + number;
        place.ctl(format!("1 {rows} 80\n").as_bytes());
        client.read_until(&format!("size {rows} 80\r\n"));
    }
    place.ctl(b"1 1 1\n");
}

#[test]
fn a_line_may_come_in_pieces() {
    let place = place();
    let (_running, client) = Running::of_sizes(&place);
    for piece in ["1", " 2", "4 8", "0", "\n1 25 ", "81\n"] {
        place.ctl(piece.as_bytes());
    }
    client.read_until("size 25 81\r\n");
    place.ctl(b"1 1 1\n");
}

#[test]
fn an_endless_line_is_given_up() {
    let place = place();
    let (mut running, client) = Running::of_sizes(&place);
    for _ in 0..50 {
        place.ctl(&[b'1'; 4000]);
    }
    running.monitor().must_be_quiet();
    place.ctl(b"\n1 33 44\n");
    client.read_until("size 33 44\r\n");
    place.ctl(b"1 1 1\n");
}

#[test]
fn a_size_that_came_before_the_terminal_is_not_lost() {
    let place = place();
    let mut gate = place.gate("gate");
    let before = vec![Step::Touch(place.path("there")), Step::Await(gate.path().to_owned())];
    place.script(&Script { before, ..Script::of([Step::AwaitStart, Step::TtySize]) });
    let mut running = Launch::create(&place).arg("-t").start();
    running.go();
    place.await_file("there");
    place.ctl(b"1 42 142\n");
    let client = running.attach();
    gate.open();
    running.pid();
    place.start_container();
    client.read_until("42 142\r\n");
}

#[test]
fn sizes_without_a_terminal_do_no_harm() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart, Step::out("x"), Step::Exit(3)]));
    let mut running = Launch::create(&place).start().created();
    // More than a fifo holds (64 KiB, pipe(7)).
    for _ in 0..200 {
        place.ctl("1 24 80\n".repeat(100).as_bytes());
    }
    running.monitor().must_be_quiet();
    place.start_container();
    assert_eq!(running.status(), 3);
}

#[test]
fn the_other_fifo_sets_the_size_too() {
    let place = place();
    let (_running, client) = Running::of_sizes(&place);
    std::fs::write(place.bundle().join("winsz"), "55 66\n").expect("winsz");
    client.read_until("size 55 66\r\n");
    place.ctl(b"1 1 1\n");
}

#[test]
fn reopening_starts_a_new_file_and_says_so_with_a_create_event() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart, Step::EchoLine, Step::EchoLine]));
    let running = Launch::create(&place).arg("-i").start().created();
    let client = running.attach();
    place.start_container();
    client.send(b"first\n");
    client.read_until("first\n");
    std::fs::rename(place.log(), place.path("old.log")).expect("move the log away");
    let mut watch = Watch::new(&place, &["."]);
    place.ctl(b"2 0 0\n");
    watch.wait(&place, "+./ctr.log");
    client.send(b"second\n");
    client.read_to_end();
    drop(running);
    let old = parse_log(&std::fs::read(place.path("old.log")).expect("old log"));
    assert_eq!(joined(&old, "stdout"), b"first\n");
    assert_eq!(joined(&place.log_records(), "stdout"), b"second\n");
}

#[test]
fn no_line_is_lost_while_the_log_is_reopened_again_and_again() {
    let place = place();
    let pattern = Pattern { seed: 21, bytes: 4 << 20, line: 3000 };
    place.script(&Script::of([Step::AwaitStart, Step::Generate(To::Stdout, pattern)]));
    let mut running = Launch::create(&place).start().created();
    let mut watch = Watch::new(&place, &["."]);
    place.start_container();
    let mut all = Vec::new();
    for number in 0.. {
        let old = place.path(format!("old.{number}"));
        std::fs::rename(place.log(), &old).expect("move the log away");
        let before = watch.events(&place, &["./ctr.log"]).len();
        // The supervisor may be at its end already.
        place.try_ctl(b"2 0 0\n");
        let pause = Duration::from_millis(1);
        let mut reopened = || watch.events(&place, &["./ctr.log"]).len() > before;
        while !reopened() && !running.monitor().ended_within(pause) {}
        all.extend(parse_log(&std::fs::read(&old).expect("old log")));
        if running.monitor().ended_within(Duration::ZERO) {
            break;
        }
    }
    running.status();
    // It may have ended before it saw the last line, or after it.
    if place.log().exists() {
        all.extend(place.log_records());
    }
    let (seen, expected) = (joined(&all, "stdout"), pattern.bytes());
    assert_eq!(seen.len(), expected.len());
    assert!(seen == expected, "the log differs");
}
