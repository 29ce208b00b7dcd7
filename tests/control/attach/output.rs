//! What a client hears: all of it, in order, from a place that it knows.

use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use conward_protocol::State;
use conward_protocol::body::Descriptor::{self, ReplayStdout, Stderr, Stdout};
use conward_protocol::request::{Attach, Stream};
use conward_testkit::{Pattern, Script, Step, Sum, To, joined, wait_until};

use super::{attach, both, manager, rest, watcher, with_replay};
use crate::{in_state, launch, place};

/// A program that counts, one write a number, and what it writes.
fn counting(to: u32) -> (Step, Vec<u8>) {
    let script = format!("i=0; while [ $i -lt {to} ]; do echo $i; i=$((i+1)); done");
    let text = (0..to).map(|number| format!("{number}\n")).collect::<String>().into_bytes();
    (Step::Become(["/bin/sh", "-c", &script].map(str::to_owned).to_vec()), text)
}

#[test]
fn a_replay_ends_where_the_live_stream_begins() {
    let place = place();
    let (count, text) = counting(150_000);
    place.script(&Script::of([Step::AwaitStart, count]));
    let mut gate = place.gate("gate");
    let mut running = launch(&place).gated_exit_command("hook", &gate).start().created();
    let mut client = manager(&place);
    place.start_container();
    let mut readers = Vec::new();
    let (mut random, mut amidst) = (1u64, 0);
    // Some hear it to the end, and others leave as soon as they have heard something.
    while readers.len() < 40 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut streams = attach(&mut client, with_replay(random >> 48));
        let from = streams.live_from(Stream::Stdout);
        let replay = streams.replay(Stream::Stdout);
        amidst += usize::from(from > 0 && from < text.len());
        let wanted = (random >> 48).min(32 * 1024).min(from as u64) as usize;
        assert_eq!(replay.len(), wanted, "at {from}");
        assert!(text[from - replay.len()..].starts_with(&replay), "a gap or a repeat before {from}");
        let mut stdout = streams.take(Stdout);
        let stays = random >> 40 & 1 == 0;
        let text = text.clone();
        readers.push(std::thread::spawn(move || {
            if stays {
                assert!(rest(&stdout) == text[from..], "not what comes after {from}");
            } else if from < text.len() {
                let mut some = vec![0; 3000];
                let count = stdout.read(&mut some).expect("output");
                assert!(text[from..].starts_with(&some[..count]), "not what comes after {from}");
            }
        }));
        std::thread::sleep(Duration::from_micros(random >> 50));
    }
    readers.into_iter().for_each(|reader| reader.join().expect("a reader"));
    assert!(amidst >= 10, "{amidst} while it ran");
    place.await_file("hook");
    gate.open();
    assert_eq!(running.status(), 0);
}

#[test]
fn streams_are_apart_and_can_be_had_one_by_one() {
    let place = place();
    let mut gate = place.gate("gate");
    place.script(&Script::of([
        Step::AwaitStart,
        Step::out("out\n"),
        Step::err("err\n"),
        Step::Close(To::Stdout),
        Step::Await(gate.path().to_owned()),
        Step::err("later\n"),
    ]));
    let mut running = launch(&place).start().created();
    let mut client = manager(&place);
    let mut all = attach(&mut client, both());
    let mut one = attach(&mut client, Attach { streams: vec![Stream::Stderr], ..with_replay(5) });
    assert_eq!(all.names(), ["stdout", "stderr"]);
    assert_eq!(one.names(), ["stderr", "replay-stderr"]);
    assert_ne!(all.number, one.number);
    place.start_container();
    // One that is closed ends, while the other goes on.
    assert_eq!(rest(&all.take(Stdout)), b"out\n");
    let mut late = attach(&mut client, with_replay(100));
    assert_eq!((rest(&late.take(Stdout)), late.replay(Stream::Stdout)), (vec![], b"out\n".to_vec()));
    gate.open();
    assert_eq!(rest(&all.take(Stderr)), b"err\nlater\n");
    assert_eq!(rest(&one.take(Stderr)), b"err\nlater\n");
    running.status();
}

#[test]
fn eight_megabytes_reach_all_observers() {
    let place = place();
    let pattern = Pattern { seed: 21, bytes: 8 << 20, line: 700 };
    place.script(&Script::of([Step::AwaitStart, Step::Generate(To::Stdout, pattern), Step::Exit(5)]));
    let mut running = launch(&place).start().created();
    let mut client = manager(&place);
    let streams = [(); 3].map(|()| attach(&mut client, both()).take(Stdout));
    let legacy = running.attach();
    // The connection that they were asked for by is of no importance to them.
    drop(client);
    place.start_container();
    let readers = streams.map(|stdout| std::thread::spawn(move || Sum::of(&rest(&stdout))));
    let expected = Sum::of(&pattern.bytes());
    assert_eq!(Sum::of(&legacy.read_to_end().stdout), expected);
    for reader in readers {
        assert_eq!(reader.join().expect("a reader"), expected);
    }
    assert_eq!(running.status(), 5);
    assert_eq!(Sum::of(&joined(&place.log_records(), "stdout")), expected);
}

#[test]
fn before_there_is_a_container_streams_begin_at_their_first_byte() {
    let place = place();
    let mut gate = place.gate("gate");
    let before =
        vec![Step::Touch(place.path("asked")), Step::err("warning\n"), Step::Await(gate.path().into())];
    place
        .script(&Script { before, ..Script::of([Step::AwaitStart, Step::out("first\n"), Step::err("x\n")]) });
    let mut running = launch(&place).start();
    running.go();
    place.await_file("asked");
    let mut client = manager(&place);
    let mut streams = attach(&mut client, with_replay(100));
    assert!(streams.joined.iter().all(|joined| (joined.live_from, joined.replayed) == (0, 0)));
    gate.open();
    running.pid();
    place.start_container();
    assert_eq!(rest(&streams.take(Stdout)), b"first\n");
    // What the runtime said was held back, and is output now.
    assert_eq!(rest(&streams.take(Stderr)), b"warning\nx\n");
}

#[test]
fn a_launch_that_fails_ends_the_streams() {
    let place = place();
    let mut gate = place.gate("gate");
    let before = [Step::Touch(place.path("asked")), Step::Await(gate.path().into()), Step::Exit(1)];
    place.script(&Script::failing(before));
    let mut running = launch(&place).start();
    running.go();
    place.await_file("asked");
    let mut streams = attach(&mut manager(&place), both());
    gate.open();
    assert_eq!((rest(&streams.take(Stdout)), rest(&streams.take(Stderr))), (vec![], vec![]));
    running.message();
}

#[test]
fn after_the_end_there_is_the_replay() {
    let place = place();
    let mut gate = place.gate("gate");
    let pattern = Pattern { seed: 22, bytes: 100_000, line: 70 };
    place.script(&Script::of([Step::AwaitStart, Step::Generate(To::Stdout, pattern), Step::err("bye\n")]));
    let mut running = launch(&place).gated_exit_command("hook", &gate).start().created();
    place.start_container();
    place.await_file("hook");
    let mut watcher = watcher(&place);
    let mut client = manager(&place);
    let mut streams = attach(&mut client, with_replay(u64::MAX >> 11));
    let text = pattern.bytes();
    assert_eq!(streams.live_from(Stream::Stdout), text.len());
    assert_eq!(streams.replay(Stream::Stdout), text[text.len() - 32 * 1024..]);
    assert_eq!(streams.replay(Stream::Stderr), b"bye\n");
    assert_eq!((rest(&streams.take(Stdout)), rest(&streams.take(Stderr))), (vec![], vec![]));
    // It is told like any other.
    assert_eq!(super::await_gone(&mut watcher, streams.number), None);
    assert_eq!(super::stats(&mut client).attachments, 0);
    gate.open();
    running.status();
}

#[test]
fn a_replay_cannot_be_changed() {
    let place = place();
    let mut gate = place.gate("gate");
    let wait = Step::Await(gate.path().into());
    place.script(&Script::of([Step::AwaitStart, Step::out("precious"), wait]));
    let mut running = launch(&place).start().created();
    let mut client = manager(&place);
    place.start_container();
    wait_until("output", || super::stats(&mut client).streams[0].read == 8);
    let mut first = attach(&mut client, with_replay(3));
    let mut file = first.take(ReplayStdout);
    assert!(file.write_all(b"x").is_err() && file.set_len(0).is_err());
    assert_eq!(nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_GET_SEALS).expect("seals"), 0xf);
    let mut text = String::new();
    file.rewind().expect("the beginning");
    file.read_to_string(&mut text).expect("the replay");
    assert_eq!(text, "ous");
    gate.open();
    running.status();
}

#[test]
fn a_terminal_has_one_stream() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart, Step::out("out\n"), Step::err("err\n")]));
    let mut running = launch(&place).arg("-t").start().created();
    let mut client = manager(&place);
    let mut streams = attach(&mut client, with_replay(10));
    assert_eq!(streams.names(), ["stdout", "replay-stdout"]);
    let only_stderr = Attach { streams: vec![Stream::Stderr], ..both() };
    assert_eq!(super::refused(&mut client, only_stderr), conward_protocol::ErrorCode::BadRequest);
    place.start_container();
    assert_eq!(rest(&streams.take(Stdout)), b"out\r\nerr\r\n");
    running.status();
}

#[test]
fn a_client_that_comes_back_to_reading_finds_the_rest() {
    let place = place();
    let pattern = Pattern { seed: 23, bytes: 3 << 20, line: 100 };
    place.script(&Script::of([Step::AwaitStart, Step::Generate(To::Stdout, pattern), Step::Exit(7)]));
    let mut running = launch(&place).start().created();
    let mut streams = attach(&mut manager(&place), both());
    place.start_container();
    wait_until("the end is recorded", || place.exit_file().as_deref() == Some("7"));
    assert_eq!(Sum::of(&rest(&streams.take(Stdout))), Sum::of(&pattern.bytes()));
    assert_eq!(running.status(), 7);
}

#[test]
fn streams_have_ended_before_the_exit_file_is_there() {
    let place = place();
    let mut gate = place.gate("gate");
    place.script(&Script::of([Step::AwaitStart, Step::out("x")]));
    let mut running = launch(&place).gated_exit_command("hook", &gate).start().created();
    let mut streams = attach(&mut manager(&place), both());
    place.start_container();
    wait_until("the exit file", || place.exit_file().is_some());
    let stdout = streams.take(Stdout);
    assert!(conward_testkit::readable(stdout.as_fd(), Duration::ZERO));
    nix::fcntl::fcntl(&stdout, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).expect("flags");
    let mut heard = Vec::new();
    (&stdout).read_to_end(&mut heard).expect("the end is there already");
    assert_eq!(heard, b"x");
    place.await_file("hook");
    gate.open();
    running.status();
}

#[test]
fn in_each_state_the_answer_names_its_descriptors() {
    for state in [State::Creating, State::Created, State::Running, State::Paused, State::Stopped] {
        let place = place();
        let container = in_state(&place, state);
        let mut client = manager(&place);
        let mut streams = attach(&mut client, with_replay(1));
        let all: Vec<&str> = Descriptor::ALL[1..].iter().map(|name| name.name()).collect();
        assert_eq!(streams.names(), all, "{state}");
        drop(client);
        let stdout = streams.take(Stdout);
        container.end();
        assert_eq!(rest(&stdout), b"", "{state}");
    }
}
