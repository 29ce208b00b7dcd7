//! Managers that come and go.

use conward_protocol::{Cause, Exit, Op, State, What};
use conward_testkit::{PATIENCE, Script, Step, descriptors, wait_for, wait_until};

use crate::client::{Client, connect, line};
use crate::states::request;
use crate::{container, created, in_state, place};

/// Whether the operation ends the container, or the supervisor.
fn ends(op: Op) -> bool {
    matches!(op, Op::Stop | Op::Delete)
}

#[test]
fn right_after_any_request_that_does_not_end_it() {
    for &op in Op::ALL.iter().filter(|&&op| !ends(op)) {
        let state = [State::Running, State::Created, State::Paused].into_iter().find(|s| op.allowed_in(*s));
        let place = place();
        let mut container = in_state(&place, state.expect("a state that allows it"));
        let mut manager = Client::connect(&place);
        manager.request("lost", request(&place, op));
        drop(manager);
        // A new one finds the container, and every event; and the old one still gets its answers.
        container.client.ok("state");
        let mut next = Client::connect(&place);
        assert_eq!(next.greeting.pid, container.pid, "{op}");
        next.send("wait tag=w\n");
        next.ok("subscribe 0");
        next.ok("kill KILL");
        let mut seq = 0;
        let exit = loop {
            let event = next.event();
            seq += 1;
            assert_eq!(event.seq, seq, "{op}: {event:?}");
            if let What::Exited { exit, .. } = event.what {
                break exit;
            }
        };
        assert_eq!(exit, Exit::Signal(9), "{op}");
        assert_eq!(container.end().0, 137, "{op}");
    }
}

/// The container ends all the same, and its status is told to who comes next.
#[test]
fn right_after_a_request_that_ends_the_container() {
    for state in [State::Created, State::Running, State::Paused] {
        let place = place();
        let mut container = in_state(&place, state);
        let mut manager = Client::connect(&place);
        manager.send("stop KILL 0\n");
        drop(manager);
        place.await_file("exit");
        let mut next = Client::connect(&place);
        assert_eq!((next.greeting.state, next.greeting.pid), (State::Stopped, None), "{state}");
        assert_eq!(next.ok("wait")["exit"]["signal"], 9, "{state}");
        next.ok("subscribe 0");
        let seen: Vec<u64> = (0..next.greeting.seq).map(|_| next.event().seq).collect();
        assert!(seen.into_iter().eq(1..=next.greeting.seq), "{state}");
        container.gate.open();
        assert_eq!(container.running.status(), 137, "{state}");
    }
}

#[test]
fn while_the_runtime_works_for_it() {
    for (verb, ready, after) in [
        ("start", &[][..], State::Running),
        ("pause", &["start"], State::Paused),
        ("resume", &["start", "pause"], State::Running),
    ] {
        let place = place();
        let mut gate = place.gate("runtime");
        let hangs = [Step::Touch(place.path("hangs")), Step::Await(gate.path().to_owned())];
        let mut container = container(&place, Script::default().at(verb, hangs), &[]);
        for request in ready {
            container.client.ok(request);
        }
        let mut manager = Client::connect(&place);
        let number = manager.greeting.client;
        manager.send(format!("{verb}\n"));
        place.await_file("hangs");
        drop(manager);
        let mut next = Client::connect(&place);
        next.ok(&format!("subscribe {}", next.greeting.seq));
        gate.open();
        // What was asked for goes on, and is told to who is there.
        let event = next.event();
        assert!(
            matches!(event.cause, Cause::Client { client, op: Some(op) } if client == number && op.name() == verb),
            "{event:?}"
        );
        assert_eq!(next.state().state, after, "{verb}");
        container.end();
    }
}

#[test]
fn nothing_of_them_stays() {
    let place = place();
    let mut container = created(&place);
    container.client.ok("state");
    let pid = container.running.monitor().pid();
    let before = descriptors(pid).len();
    for number in 0..200 {
        let line =
            ["", "state\n", "wait\n", "subscribe 0\n", "{\"half\":", "resume\nnonsense\nwait deleted\n"]
                [number % 6];
        if number % 2 == 0 {
            // They come faster than their going is noticed.
            let mut manager = wait_for("room", PATIENCE, || Client::try_connect(&place).ok());
            manager.send(line);
        } else {
            // It does not even wait for its greeting.
            drop(connect(&place).expect("connect"));
        }
    }
    wait_until("all descriptors are closed", || descriptors(pid).len() == before);
    container.client.ok("state");
    container.end();
}

#[test]
fn beside_idle_clients_the_supervisor_is_quiet() {
    let place = place();
    let mut container = container(&place, Script::default(), &["-t"]);
    container.client.ok("start");
    let mut waiting = Client::connect(&place);
    waiting.send("wait\nsubscribe\n");
    // One that will send nothing more, one in the middle of a line, one whose answers fill its socket.
    let mut half = Client::connect(&place);
    half.send("wait\n");
    half.half_close();
    let mut broken = Client::connect(&place);
    broken.send("{\"op\":");
    let mut deaf = Client::connect(&place);
    deaf.send("state\n".repeat(600));
    container.client.ok("state");
    container.running.monitor().must_be_quiet();
    drop((waiting, half, broken, deaf));
    container.client.ok("state");
    container.running.monitor().must_be_quiet();
    container.end();
}

/// A listener tells of them once, and nobody tells when descriptors have become free.
#[test]
fn clients_that_cannot_be_accepted_are_accepted_later() {
    let place = place();
    let mut container = container(&place, Script::default(), &[]);
    container.client.ok("start");
    container.client.ok("subscribe");
    let pid = container.running.monitor().pid();
    let limit = |number: u32| {
        let mut prlimit = std::process::Command::new("prlimit");
        let status = prlimit.args(["--pid", &pid.to_string(), &format!("--nofile={number}:")]).status();
        assert!(status.expect("prlimit").success());
    };
    limit(0);
    let mut manager = connect(&place).expect("a connection");
    let _attached = container.running.attach();
    // It has looked at the listeners before it answers the second.
    container.client.ok("kill CONT");
    container.client.ok("kill CONT");
    limit(256);
    let greeting = line(&mut manager, &mut Vec::new()).expect("a greeting");
    assert!(greeting.starts_with(b"{"), "{}", String::from_utf8_lossy(&greeting));
    while !matches!(container.client.event().what, What::ClientAttached { .. }) {}
    container.end();
}
