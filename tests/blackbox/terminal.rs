//! Containers with a terminal.

use crate::place;
use conward_testkit::{Ending, Launch, Pattern, Script, Step, Sum, To, joined};

#[test]
fn newlines_come_with_a_carriage_return_and_all_output_is_stdout() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart, Step::out("one\n"), Step::err("two\n"), Step::Exit(3)]));
    let mut running = Launch::create(&place).arg("-t").start().created();
    let client = running.attach();
    place.start_container();
    let heard = client.read_to_end();
    assert_eq!((heard.stdout.as_slice(), heard.stderr.as_slice()), (&b"one\r\ntwo\r\n"[..], &b""[..]));
    assert_eq!(heard.ending, Ending::Eof);
    assert_eq!(running.status(), 3);
    assert_eq!(joined(&place.log_records(), "stdout"), b"one\r\ntwo\r\n");
}

#[test]
fn input_reaches_the_terminal_and_is_echoed() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart, Step::EchoLine]));
    let running = Launch::create(&place).arg("-t").start().created();
    let client = running.attach();
    client.send(b"typed\n");
    place.start_container();
    assert_eq!(client.read_to_end().stdout, b"typed\r\ntyped\r\n");
}

#[test]
fn no_output_is_lost_at_the_hang_up() {
    let place = place();
    let pattern = Pattern { seed: 31, bytes: 1 << 20, line: 200 };
    place.script(&Script::of([Step::AwaitStart, Step::Generate(To::Stdout, pattern)]));
    let mut running = Launch::create(&place).arg("-t").start().created();
    let client = running.attach();
    place.start_container();
    let expected: Vec<u8> =
        String::from_utf8(pattern.bytes()).expect("text").replace('\n', "\r\n").into_bytes();
    assert_eq!(Sum::of(&client.read_to_end().stdout), Sum::of(&expected));
    running.status();
    assert_eq!(Sum::of(&joined(&place.log_records(), "stdout")), Sum::of(&expected));
}

#[test]
fn detaching_leaves_the_terminal_open() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart, Step::EchoLine]));
    let running = Launch::create(&place).arg("-t").start().created();
    place.start_container();
    let first = running.attach();
    first.shut_write();
    drop(first);
    let second = running.attach();
    second.send(b"again\n");
    assert_eq!(second.read_to_end().stdout, b"again\r\nagain\r\n");
}

#[test]
fn a_terminal_can_be_closed_and_opened_again() {
    let place = place();
    let mut gate = place.gate("gate");
    let reopen = Step::ReopenTty(place.path("closed"), gate.path().to_owned());
    place.script(&Script::of([
        Step::AwaitStart,
        Step::out("one\n"),
        reopen,
        Step::out("two\n"),
        Step::Exit(4),
    ]));
    let mut running = Launch::create(&place).arg("-t").start().created();
    let client = running.attach();
    place.start_container();
    client.read_until("one\r\n");
    place.await_file("closed");
    // The reference looks every 100 ms; that is allowed, a busy loop is not.
    running.monitor().must_be_quiet();
    gate.open();
    client.read_until("two\r\n");
    assert_eq!(running.status(), 4);
}

#[test]
fn what_the_runtime_says_is_output_on_stderr() {
    let place = place();
    let script = Script::of([Step::AwaitStart, Step::out("ctr\n")]);
    place.script(&Script { before: vec![Step::err("a warning\n")], ..script });
    let mut running = Launch::create(&place).arg("-t").start().created();
    place.start_container();
    running.status();
    let records = place.log_records();
    assert_eq!(joined(&records, "stderr"), b"a warning\n");
    assert_eq!(joined(&records, "stdout"), b"ctr\r\n");
}

#[test]
fn a_grandchild_on_the_terminal_does_not_delay_the_end() {
    let place = place();
    let mut gate = place.gate("gate");
    // Without SIGHUP, which the end of the session's leader would send it.
    let stay = Step::Fork(vec![Step::Block(vec![libc::SIGHUP]), Step::Await(gate.path().to_owned())]);
    place.script(&Script::of([Step::AwaitStart, stay, Step::out("x"), Step::Exit(6)]));
    let mut running = Launch::create(&place).arg("-t").start().created();
    place.start_container();
    place.await_file(format!("exits/{}", place.id()));
    gate.open();
    assert_eq!(running.status(), 6);
}

#[test]
fn the_console_socket_is_gone_as_soon_as_it_was_used() {
    let place = place();
    std::fs::create_dir(place.path("tmp")).expect("TMPDIR of the test");
    place.script(&Script::of([Step::AwaitStart]));
    let mut running = Launch::create(&place).arg("-t").env("TMPDIR", place.path("tmp")).start().created();
    assert_eq!(std::fs::read_dir(place.path("tmp")).expect("TMPDIR").count(), 0);
    place.start_container();
    running.status();
}
