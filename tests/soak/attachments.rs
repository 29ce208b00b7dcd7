//! Clients that attach and leave, over and over, while output flows.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use conward_protocol::body::Descriptor;
use conward_protocol::client::Client as Manager;
use conward_protocol::request::{Attach, Stdin, Stream};
use conward_protocol::{Body, Request};
use conward_testkit::{Client, Count, Footprint, Numbered, PATIENCE, Script, Step, To, joined, wait_until};

use crate::report::{Pace, await_flat, scaled};
use crate::{ask, launch, manager, place};

/// What is asked for as replay.
const REPLAY: u64 = 4096;

/// The whole lines in a piece of the output, which must follow each other.
fn check(piece: &[u8]) {
    let lines: Vec<&[u8]> = piece.split(|&byte| byte == b'\n').collect();
    let mut count = Count::from_any();
    for line in lines.iter().take(lines.len() - 1).skip(1) {
        count.take(line).expect("lines without a gap");
    }
}

/// By request, with the last output before it, which the first live bytes must follow.
fn attach(manager: &mut Manager) -> Vec<(Descriptor, OwnedFd)> {
    let (streams, stdin) = (Stream::ALL.to_vec(), Stdin::None);
    let request = Request::Attach(Attach { streams, stdin, replay: Some(REPLAY), exec: None });
    let answer = manager.call(request).expect("descriptors");
    assert!(matches!(answer.body, Body::Attached(_)));
    assert_eq!(answer.descriptors.len(), 4);
    answer.descriptors
}

fn hear(descriptors: Vec<(Descriptor, OwnedFd)>) {
    let mut files = descriptors.into_iter().map(|(name, fd)| (name, File::from(fd)));
    let mut find = |wanted| files.find(|(name, _)| *name == wanted).expect("a descriptor").1;
    let (mut stdout, mut replay) = (find(Descriptor::Stdout), find(Descriptor::ReplayStdout));
    let (mut piece, mut live) = (Vec::new(), [0; 4096]);
    replay.read_to_end(&mut piece).expect("a replay");
    let size = stdout.read(&mut live).expect("live output");
    assert!(size > 0, "the stream has ended");
    piece.extend_from_slice(&live[..size]);
    check(&piece);
}

#[test]
fn attaching_and_detaching_costs_nothing_that_stays() {
    let (cycles, first) = (scaled(5_000, 100_000), 500);
    let place = place();
    let mut gate = place.gate("gate");
    let burst = Numbered { first: 0, lines: 5 };
    let output = Step::NumberUntil(To::Stdout, burst, 100, gate.path().to_owned());
    place.script(&Script::of([Step::AwaitStart, output, Step::Exit(7)]));
    let mut running = launch(&place).start().created();
    let supervisor = running.monitor().pid();
    let mut manager = manager(&place);
    ask(&mut manager, Request::Start);
    // Its answer may come before the state file is written, whose descriptor would be counted.
    ask(&mut manager, Request::State);
    let socket = place.bundle().join("attach");
    let mut cycle = |number: u64| match number % 4 {
        0 => {
            let client = Client::connect(&socket);
            let packet = client.packet(PATIENCE).expect("output").expect("no end");
            assert_eq!(packet[0], 2, "stdout");
            check(&packet[1..]);
        }
        1 => drop(Client::connect(&socket)),
        2 => hear(attach(&mut manager)),
        _ => drop(attach(&mut manager)),
    };
    let descriptors = Footprint::of(supervisor).descriptors;
    (0..first).for_each(&mut cycle);
    wait_until("the first have gone", || Footprint::of(supervisor).descriptors == descriptors);
    let before = Footprint::of(supervisor);
    let mut pace = Pace::of(cycles);
    for number in 0..cycles {
        cycle(number);
        pace.lap();
    }
    let after = await_flat("the supervisor", before, || Footprint::of(supervisor));
    gate.open();
    assert_eq!(running.status(), 7);
    let logged = joined(&place.log_records(), "stdout");
    let mut count = Count::from(0);
    for line in logged.strip_suffix(b"\n").expect("whole lines").split(|&byte| byte == b'\n') {
        count.take(line).expect("the log is complete");
    }
    assert!(count.lines().lines >= burst.lines);
    pace.report("attach and detach", before, after);
}
