//! What a client writes, and who may.

use std::io::{Read, Write};

use conward_protocol::body::Descriptor::{Stdin as Input, Stdout};
use conward_protocol::request::{Attach, CloseStdin, Stdin, Stream, Subscribe};
use conward_protocol::{Cause, ErrorCode, Event, Op, Request, What};
use conward_testkit::{Launch, Pattern, Place, Script, Step, Sum, wait_until};

use super::{attach, await_event, await_gone, both, manager, refused, rest, stats, watcher, writer};
use crate::{launch, place};

/// Ways of supervising a container with an input, and whether clients of the attach socket end it.
const OPEN: [&[&str]; 2] = [&["-i"], &["-i", "--leave-stdin-open"]];

fn echo(place: &Place) -> Launch<'_> {
    place.script(&Script::of([Step::AwaitStart, Step::Echo, Step::out("end")]));
    launch(place)
}

#[test]
fn eight_megabytes_go_both_ways() {
    for args in OPEN {
        let place = place();
        let mut running = echo(&place).args(args).start().created();
        let mut streams = attach(&mut manager(&place), writer(Stdin::Once));
        assert_eq!(streams.names(), ["stdin", "stdout", "stderr"]);
        place.start_container();
        let pattern = Pattern { seed: 31, bytes: 8 << 20, line: 900 };
        let mut input = streams.take(Input);
        let sender = std::thread::spawn(move || {
            for (nth, chunk) in pattern.chunks().enumerate() {
                // Of many sizes, so that pieces begin and end anywhere.
                let (first, second) = chunk.split_at(chunk.len() * (nth % 7) / 7);
                input.write_all(first).and_then(|()| input.write_all(second)).expect("input is taken");
            }
        });
        let heard = rest(&streams.take(Stdout));
        sender.join().expect("the sender");
        // Its end was the end of the input, whatever `--leave-stdin-open` says.
        assert_eq!(heard.len(), (8 << 20) + 3);
        assert_eq!(Sum::of(&heard[..8 << 20]), Sum::of(&pattern.bytes()), "{args:?}");
        assert_eq!(running.status(), 0);
    }
}

#[test]
fn writers_beside_each_other_end_nothing() {
    for args in OPEN {
        let place = place();
        let mut running = echo(&place).args(args).start().created();
        let (mut client, mut watcher) = (manager(&place), watcher(&place));
        let mut observer = attach(&mut client, both());
        place.start_container();
        let mut stdout = observer.take(Stdout);
        let mut heard = Vec::new();
        for round in 0..20 {
            let mut streams = attach(&mut client, Attach { streams: vec![], ..writer(Stdin::Shared) });
            assert_eq!(streams.names(), ["stdin"]);
            let line = format!("line {round}\n");
            streams.take(Input).write_all(line.as_bytes()).expect("input is taken");
            // It has closed, and what it sent counts.
            assert_eq!(await_gone(&mut watcher, streams.number), None);
            heard.resize(line.len(), 0);
            stdout.read_exact(&mut heard).expect("the echo");
            assert_eq!(heard, line.as_bytes());
        }
        client.call(Request::CloseStdin(CloseStdin { exec: None })).expect("the end of the input");
        assert_eq!(rest(&stdout), b"end");
        assert_eq!(running.status(), 0);
    }
}

#[test]
fn one_who_writes_alone_keeps_others_out() {
    let place = place();
    let mut running = echo(&place).args(["-i", "--leave-stdin-open"]).start().created();
    let (mut client, mut watcher) = (manager(&place), watcher(&place));
    let (once, shared) = (writer(Stdin::Once), writer(Stdin::Shared));
    let first = attach(&mut client, shared.clone());
    let second = attach(&mut client, shared.clone());
    assert_eq!(refused(&mut client, once.clone()), ErrorCode::Busy);
    drop(first);
    assert_eq!(refused(&mut client, once.clone()), ErrorCode::Busy);
    let number = second.number;
    drop(second);
    await_gone(&mut watcher, number);
    let mut alone = attach(&mut client, once.clone());
    assert_eq!(refused(&mut client, once.clone()), ErrorCode::Busy);
    assert_eq!(refused(&mut client, shared.clone()), ErrorCode::Busy);
    // Who only listens may always come.
    attach(&mut client, both());
    place.start_container();
    drop(alone.take(Input));
    let cause = await_event(&mut watcher, |event| {
        matches!(event.what, What::StdinClosed { exec: None }).then(|| event.cause.clone())
    });
    assert_eq!(cause, Cause::Client { client: client.greeting().client, op: None });
    assert_eq!(rest(&alone.take(Stdout)), b"end");
    assert_eq!(running.status(), 0);
}

#[test]
fn input_that_has_ended_is_no_input() {
    let place = place();
    let mut gate = place.gate("gate");
    place.script(&Script::of([Step::AwaitStart, Step::Echo, Step::Await(gate.path().into())]));
    let mut running = launch(&place).arg("-i").start().created();
    let (mut client, mut watcher) = (manager(&place), watcher(&place));
    place.start_container();
    drop(attach(&mut client, writer(Stdin::Once)));
    await_event(&mut watcher, |event| matches!(event.what, What::StdinClosed { .. }).then_some(()));
    for stdin in [Stdin::Once, Stdin::Shared] {
        assert_eq!(refused(&mut client, writer(stdin)), ErrorCode::NoStdin);
    }
    attach(&mut client, both());
    gate.open();
    running.status();
}

/// A full pipe puts the end off, whoever asks for it meanwhile: the first has ended it.
#[test]
fn the_end_is_told_once_and_when_it_has_come() {
    let place = place();
    let mut gate = place.gate("gate");
    let steps = [Step::AwaitStart, Step::Await(gate.path().into()), Step::Checksum];
    place.script(&Script::of(steps));
    let mut running = launch(&place).args(["-i", "--leave-stdin-open"]).start().created();
    let (mut client, mut other) = (manager(&place), manager(&place));
    let mut streams = attach(&mut client, writer(Stdin::Shared));
    let stdout = streams.take(Stdout);
    place.start_container();
    // More than a pipe holds, and less than is taken of a client at once.
    streams.take(Input).write_all(&[b'x'; 100_000]).expect("input is taken");
    // What it holds is 64 KiB, or one page where a user has many (pipe(7)): it takes no more.
    let mut before = 0;
    wait_until("the pipe is full", || {
        let now = stats(&mut client).stdin;
        std::mem::replace(&mut before, now) == now && now >= 4096
    });
    client.call(Request::Subscribe(Subscribe { since: None })).expect("a subscription");
    let end = || Request::CloseStdin(CloseStdin { exec: None });
    client.call(end()).expect("an end");
    other.call(end()).expect("an end");
    client.call(end()).expect("an end");
    stats(&mut client);
    let told = |event: &Event| match &event.what {
        What::StdinClosed { .. } => Some(Some(event.cause.clone())),
        What::Exited { .. } => Some(None),
        _ => None,
    };
    assert_eq!(
        std::iter::from_fn(|| client.try_receive().expect("no failure")).count(),
        0,
        "it has not ended"
    );
    gate.open();
    let by = Cause::Client { client: client.greeting().client, op: Some(Op::CloseStdin) };
    assert_eq!(await_event(&mut client, told), Some(by));
    assert_eq!(await_event(&mut client, told), None);
    assert_eq!(rest(&stdout), format!("{}\n", Sum::of(&[b'x'; 100_000])).into_bytes());
    running.status();
}

#[test]
fn a_container_that_closes_its_input_is_told_to_who_writes() {
    let place = place();
    let mut gate = place.gate("gate");
    let close = Step::Close(conward_testkit::To::Stdin);
    let wait = Step::Await(gate.path().into());
    place.script(&Script::of([Step::AwaitStart, close, Step::Touch(place.path("closed")), wait]));
    let mut running = launch(&place).args(["-i", "--leave-stdin-open"]).start().created();
    let (mut client, mut watcher) = (manager(&place), watcher(&place));
    let mut streams = attach(&mut client, Attach { streams: vec![], ..writer(Stdin::Shared) });
    place.start_container();
    place.await_file("closed");
    let mut input = streams.take(Input);
    // The first bytes are lost as in a pipe; then the writer hears that nobody reads.
    let error = (0..).find_map(|_| input.write_all(b"x").err()).expect("an error");
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    let cause = await_event(&mut watcher, |event| {
        matches!(event.what, What::StdinClosed { .. }).then(|| event.cause.clone())
    });
    assert_eq!(cause, Cause::Container);
    assert_eq!(await_gone(&mut watcher, streams.number), None);
    gate.open();
    running.status();
}

#[test]
fn without_an_input_there_is_nobody_to_write_to() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart]));
    let mut running = launch(&place).start().created();
    let mut client = manager(&place);
    for stdin in [Stdin::Once, Stdin::Shared] {
        assert_eq!(refused(&mut client, writer(stdin)), ErrorCode::NoStdin);
    }
    let nothing = Attach { streams: vec![], ..both() };
    assert_eq!(refused(&mut client, nothing), ErrorCode::BadRequest);
    let session = Attach { exec: Some("e".to_owned()), ..both() };
    assert_eq!(refused(&mut client, session), ErrorCode::NoSuchExec);
    place.start_container();
    running.status();
}

#[test]
fn streams_that_were_passed_through_cannot_be_had() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart]));
    let mut running = Launch::least(&place)
        .args(["-l", "passthrough"])
        .arg("--control-dir")
        .arg(place.path("control"))
        .start();
    running.pid();
    let mut client = manager(&place);
    assert_eq!(refused(&mut client, both()), ErrorCode::Unsupported);
    assert_eq!(refused(&mut client, writer(Stdin::Once)), ErrorCode::Unsupported);
    place.start_container();
    running.status();
}

/// A terminal has no end of input but a character, so the next writer finds it open.
#[test]
fn writers_of_a_terminal_may_come_one_after_the_other() {
    let place = place();
    let steps = [Step::AwaitStart, Step::EchoLine, Step::EchoLine, Step::Exit(3)];
    place.script(&Script::of(steps));
    let mut running = launch(&place).args(["-t", "-i"]).start().created();
    let (mut client, mut watcher) = (manager(&place), watcher(&place));
    let mut observer = attach(&mut client, Attach { streams: vec![Stream::Stdout], ..both() });
    place.start_container();
    for line in ["one\n", "two\n"] {
        let mut streams = attach(&mut client, writer(Stdin::Once));
        assert_eq!(streams.names(), ["stdin", "stdout"]);
        streams.take(Input).write_all(line.as_bytes()).expect("input is taken");
        let number = streams.number;
        drop(streams);
        await_gone(&mut watcher, number);
    }
    let heard = String::from_utf8(rest(&observer.take(Stdout))).expect("text");
    assert!(heard.contains("one") && heard.contains("two"), "{heard:?}");
    assert_eq!(running.status(), 3);
}
