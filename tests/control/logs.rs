//! `logs`: the container's log, read back by the supervisor.

use std::fs;

use conward_protocol::codec::Message;
use conward_protocol::limits::{IN_FLIGHT_MAX, LOG_TEXT_MAX, LOGS_MAX};
use conward_protocol::request::Stream;
use conward_protocol::{ErrorCode, Outcome, Tag};
use conward_testkit::{Launch, Pattern, Place, Running, Script, Step, Sum, To, descriptors, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::client::{Client, tag};
use crate::{launch, place, socket};

/// What came for a request `logs`.
#[derive(Default)]
struct Told {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    records: u64,
    /// The last record of each stream was none of a whole line.
    partial: [bool; 2],
}

impl Told {
    /// Takes in what comes for this tag, up to its answer, or until `enough`.
    fn hear(&mut self, client: &mut Client, wanted: &str, enough: impl Fn(&Told) -> bool) -> Option<Value> {
        while !enough(self) {
            match client.message().expect("records, and an answer") {
                Message::Log { tag: Some(Tag::Text(tag)), record } if tag == wanted => {
                    let bytes = record.bytes().expect("text or base64");
                    assert!(bytes.len() <= LOG_TEXT_MAX && record.time.to_string().ends_with('Z'));
                    let stream =
                        if record.stream == Stream::Stdout { &mut self.stdout } else { &mut self.stderr };
                    stream.extend(bytes);
                    stream.extend((!record.partial).then_some(b'\n'));
                    self.partial[record.stream as usize] = record.partial;
                    self.records += 1;
                }
                Message::Reply(reply) if tag(&reply) == Some(wanted) => match reply.outcome {
                    Outcome::Ok(body) => {
                        assert_eq!(body["records"], self.records);
                        return Some(body["complete"].clone());
                    }
                    Outcome::Error(failure) => panic!("{failure:?}"),
                },
                other => panic!("{other:?}"),
            }
        }
        None
    }

    fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Asks, and hears all of it. The rest of the line, and what was told.
fn logs(client: &mut Client, words: &str) -> (Told, bool) {
    client.send(format!("logs {words} tag=l\n"));
    let mut told = Told::default();
    let complete = told.hear(client, "l", |_| false);
    (told, complete == Some(Value::Bool(true)))
}

/// A container that does these steps once it is started.
fn doing<'a>(
    place: &'a Place,
    steps: impl IntoIterator<Item = Step>,
    args: &[&str],
) -> (Running<'a>, Client) {
    place.script(&Script::of(Vec::from_iter([Step::AwaitStart].into_iter().chain(steps))));
    let running = launch(place).args(args).start().created();
    let client = Client::connect(place);
    (running, client)
}

#[test]
fn all_or_the_last_or_of_one_stream() {
    let place = place();
    let written = place.path("written");
    let steps = [
        Step::out("one\n\ntwo\n"),
        Step::Write(To::Stdout, b"\xff\n".to_vec()),
        Step::out("three"),
        Step::Touch(written),
        Step::Pause,
    ];
    let (mut running, mut client) = doing(&place, steps, &[]);
    assert_eq!(logs(&mut client, "").0.records, 0);
    client.ok("start");
    place.await_file("written");
    wait_until("all is logged", || place.log_records().len() == 5);
    let (told, complete) = logs(&mut client, "");
    assert_eq!((told.stdout.as_slice(), complete), (&b"one\n\ntwo\n\xff\nthree"[..], true));
    assert_eq!(told.partial, [true, false]);
    assert_eq!(logs(&mut client, "2").0.stdout, b"\xff\nthree");
    assert_eq!(logs(&mut client, "0").0.records, 0);
    assert_eq!(logs(&mut client, "9 stream=stderr").0.records, 0);
    assert_eq!(logs(&mut client, "since=2999-01-01T00:00:00Z").0.records, 0);
    assert_eq!(logs(&mut client, "since=1999-01-01T00:00:00Z").0.records, 5);
    client.ok("kill KILL");
    running.status();
}

#[test]
fn who_follows_hears_all_until_the_end() {
    let place = place();
    let gate = place.gate("go");
    let pattern = Pattern { seed: 5, bytes: 1 << 20, line: 20_000 };
    let steps = [
        Step::out("first\n"),
        Step::Await(gate.path().to_owned()),
        Step::err("second\n"),
        Step::Generate(To::Stdout, pattern),
    ];
    // Without an exit command the supervisor is at its end as soon as the container is.
    let (mut running, mut client) = doing(&place, steps, &[]);
    let mut late = Client::connect(&place);
    client.send("logs follow tag=f\n");
    late.ok("start");
    let mut told = Told::default();
    told.hear(&mut client, "f", |told| told.records == 1);
    assert_eq!(told.stdout, b"first\n");
    assert!(client.is_silent(), "there is nothing new");
    running.monitor().must_be_quiet();
    late.send("logs 0 follow tag=f\n");
    late.ok("state");
    let mut gate = gate;
    gate.open();
    // Nobody reads before the container has ended.
    wait_until("it has ended", || place.exit_file().is_some());
    for (client, mut told, before) in [(&mut client, told, 6), (&mut late, Told::default(), 0)] {
        let complete = told.hear(client, "f", |_| false);
        assert_eq!(complete, Some(Value::Bool(true)));
        assert_eq!(told.stderr, b"second\n");
        assert_eq!(Sum::of(&told.stdout[before..]), Sum::of(&pattern.bytes()));
        assert!(client.message().is_none(), "the supervisor has ended");
    }
    assert_eq!(running.status(), 0);
}

#[test]
fn a_slow_client_is_neither_dropped_nor_served_from_memory() {
    let place = place();
    let pattern = Pattern { seed: 6, bytes: 2 << 20, line: 300 };
    let steps = [Step::Generate(To::Stdout, pattern), Step::Pause];
    let (mut running, mut client) = doing(&place, steps, &[]);
    client.ok("start");
    let logged = |client: &mut Client| client.ok("stats")["sinks"][0]["logged"].as_u64();
    wait_until("all is logged", || logged(&mut client) == Some(pattern.bytes));
    let mut slow: Vec<Client> = (0..3).map(|_| Client::connect(&place)).collect();
    for client in &mut slow {
        client.send("logs tag=f\n");
    }
    // Each socket takes some 200 KiB; behind it little waits.
    let queued = |client: &mut Client| client.ok("stats")["queued"].as_u64().unwrap();
    wait_until("their queues are full", || queued(&mut client) > 3 * 1024);
    running.monitor().must_be_quiet();
    assert!(queued(&mut client) < 3 * 200 * 1024, "{}", queued(&mut client));
    for client in &mut slow {
        let mut told = Told::default();
        assert_eq!(told.hear(client, "f", |_| false), Some(Value::Bool(true)));
        let mut want = pattern.bytes();
        want.truncate(told.stdout.len());
        assert_eq!(Sum::of(&told.stdout), Sum::of(&want));
        assert!(told.stdout.len() as u64 >= pattern.bytes);
    }
    client.ok("kill KILL");
    running.status();
}

#[test]
fn rotation_hides_nothing_from_who_keeps_up() {
    let place = place();
    let pattern = Pattern { seed: 7, bytes: 2 << 20, line: 500 };
    let args = ["--log-size-max", "65536", "--log-rotate", "--log-max-files", "60"];
    let (mut running, mut client) = doing(&place, [Step::Generate(To::Stdout, pattern)], &args);
    client.send("logs follow tag=f\n");
    place.start_container();
    let mut told = Told::default();
    assert_eq!(told.hear(&mut client, "f", |_| false), Some(Value::Bool(true)));
    assert_eq!(Sum::of(&told.stdout), Sum::of(&pattern.bytes()));
    running.status();
    assert!(place.path("ctr.log.20").exists());
}

#[test]
fn what_was_rotated_away_is_missed_and_said() {
    let place = place();
    let gate = place.gate("go");
    let line = "x".repeat(200) + "\n";
    let mut steps = vec![Step::out("first\n"), Step::Touch(place.path("written"))];
    steps.extend([Step::Await(gate.path().to_owned()), Step::out(&line.repeat(20_000)), Step::Pause]);
    let args = ["--log-size-max", "65536", "--log-rotate"];
    let (mut running, mut client) = doing(&place, steps, &args);
    client.ok("start");
    place.await_file("written");
    let mut slow = Client::connect(&place);
    slow.send("logs follow tag=f\n");
    let mut told = Told::default();
    told.hear(&mut slow, "f", |told| told.records == 1);
    let mut gate = gate;
    gate.open();
    let logged = |client: &mut Client| client.ok("stats")["sinks"][0]["logged"].as_u64();
    wait_until("all is logged", || logged(&mut client) == Some(6 + 201 * 20_000));
    client.ok("kill KILL");
    assert_eq!(told.hear(&mut slow, "f", |_| false), Some(Value::Bool(false)));
    let lines = told.out();
    assert!(lines.starts_with("first\nxxx") && lines.len() < 3 << 20, "{} bytes", lines.len());
    assert!(lines.lines().skip(1).all(|told| told.len() == 200), "each line is whole");
    running.status();
}

#[test]
fn another_program_may_move_the_file_away() {
    let place = place();
    let steps = [Step::Echo];
    let (mut running, mut client) = doing(&place, steps, &["-i", "--leave-stdin-open"]);
    client.ok("start");
    let attached = running.attach();
    let mut follower = Client::connect(&place);
    follower.send("logs follow tag=f\n");
    let mut told = Told::default();
    let mut records = 0;
    for (text, moved) in [("a\n", None), ("b\n", Some("ctr.log.old")), ("c\n", None)] {
        attached.send(text.as_bytes());
        records += 1;
        told.hear(&mut follower, "f", |told| told.records == records);
        if let Some(name) = moved {
            fs::rename(place.log(), place.path(name)).unwrap();
            // It is still written to.
            attached.send(b"moved\n");
            records += 1;
            told.hear(&mut follower, "f", |told| told.records == records);
            assert_eq!(logs(&mut client, "").0.out(), "a\nb\nmoved\n");
            assert_eq!(client.ok("reopen-logs")["files"], 1);
        }
    }
    assert_eq!(told.out(), "a\nb\nmoved\nc\n");
    assert_eq!(logs(&mut client, "").0.out(), "c\n");
    client.ok("kill KILL");
    assert_eq!(told.hear(&mut follower, "f", |_| false), Some(Value::Bool(true)));
    running.status();
}

#[test]
fn without_a_file_there_is_nothing_to_read() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart, Step::Pause]));
    let mut running =
        Launch::least(&place).args(["-l", "none"]).arg("--control-dir").arg(place.path("control")).start();
    running.pid();
    let mut client = Client::connect(&place);
    assert_eq!(client.refused("logs").code, ErrorCode::Unsupported);
    client.ok("kill KILL");
    running.status();
}

#[test]
fn requests_at_once_are_bounded_and_leave_nothing() {
    let place = place();
    let (mut running, mut client) = doing(&place, [Step::out("x\n"), Step::Pause], &[]);
    client.ok("start");
    wait_until("it is logged", || place.log_records().len() == 1);
    let before = descriptors(running.monitor().pid()).len();
    let mut many = Client::connect(&place);
    many.send("logs follow\n".repeat(IN_FLIGHT_MAX) + "state tag=end\n");
    let mut records = 0;
    while records < LOGS_MAX {
        match many.message().expect("records") {
            Message::Log { .. } => records += 1,
            Message::Reply(reply) => assert_eq!(tag(&reply), Some("end")),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(many.refused("wait").code, ErrorCode::Busy);
    // They are as many as there may be, of all clients.
    assert_eq!(client.refused("logs").code, ErrorCode::Busy);
    assert!(descriptors(running.monitor().pid()).len() > before + LOGS_MAX);
    drop(many);
    wait_until("it is forgotten", || descriptors(running.monitor().pid()).len() == before);
    assert_eq!(logs(&mut client, "").0.stdout, b"x\n");
    client.ok("kill KILL");
    running.status();
}

/// Who lags is served after the end, and may still ask; there is nothing any more that could be waited for.
#[test]
fn who_asks_at_the_end_for_the_delete_is_told_that_it_is_too_late() {
    let place = place();
    let pattern = Pattern { seed: 7, bytes: 4 << 20, line: 1000 };
    let (mut running, mut client) = doing(&place, [Step::Generate(To::Stdout, pattern)], &["--keep-state"]);
    client.ok("start");
    client.ok("wait recorded");
    client.send("logs tag=l\n");
    // It is at work before the signal comes.
    Client::connect(&place).ok("state");
    running.kill(Signal::SIGTERM);
    wait_until("it has ended", || !socket(&place).exists());
    client.send("delete tag=d\nwait deleted tag=w\n");
    let (mut records, mut refused) = (0, Vec::new());
    for message in client.messages_to_end() {
        match message {
            Message::Log { .. } => records += 1,
            Message::Reply(reply) => match &reply.outcome {
                Outcome::Error(failure) => {
                    refused.push((tag(&reply).unwrap_or_default().to_owned(), failure.code))
                }
                Outcome::Ok(_) => assert_eq!(tag(&reply), Some("l")),
            },
            other => panic!("{other:?}"),
        }
    }
    assert!(records > 0);
    assert_eq!(refused, [("d".to_owned(), ErrorCode::Gone), ("w".to_owned(), ErrorCode::Gone)]);
    assert_eq!(running.status(), 0);
}
