//! A runtime that is killed, fails without a word, lies or hangs, at each verb after `create`. (At `create`
//! and `exec`: `tests/blackbox/failing.rs`.)

use std::fs;

use conward_testkit::{
    Launch, PATIENCE, Place, Process, Running, Script, Step, children, conward, wait_until,
};
use nix::sys::signal::Signal;

use crate::control::Control;

/// What the runtime is asked for, and by which request.
const VERBS: [(&str, &str); 6] = [
    ("start", "start"),
    ("pause", "pause"),
    ("resume", "resume"),
    ("kill", "kill,\"signal\":\"WINCH\",\"all\":true"),
    ("checkpoint", "checkpoint,\"image\":\"/nonexistent\",\"leave_running\":true"),
    ("delete", "delete,\"force\":true"),
];

/// A created container, whose runtime does these steps at that verb, and a client.
fn created<'a>(place: &'a Place, verb: &str, steps: &[Step]) -> (Running<'a>, Control) {
    let gate = place.gate("gate");
    let container = [
        Step::AwaitStart,
        Step::Touch(place.path("ran")),
        Step::Await(gate.path().to_owned()),
        Step::Exit(7),
    ];
    place.script(&Script::of(container).at(verb, steps));
    let launch = Launch::create(place).arg("--control-dir").arg(place.path("control"));
    let launch = launch.args(["--runtime-arg", "--root", "--runtime-arg"]).arg(place.path("state"));
    let running = launch.exit_command("hook.json").start().created();
    let client = Control::connect(place, PATIENCE).expect("a client");
    (running, client)
}

/// Brings the container to where the verb makes sense.
fn prepare(place: &Place, client: &mut Control, verb: &str) {
    let before: &[&str] = match verb {
        "start" | "delete" => &[],
        "resume" => &["start", "pause"],
        _ => &["start"],
    };
    for request in before {
        let answer = client.ask(request).expect("an answer");
        assert!(answer.contains("\"ok\""), "{answer}");
        wait_until("the container runs", || place.path("ran").exists());
    }
}

/// Lets the container end by itself, in whatever state it was left. (A thaw that the runtime refuses comes
/// from elsewhere.)
fn end(place: &Place, mut running: Running, verb: &str, fault: &str) {
    if !place.path("ran").exists() {
        place.start_container();
    }
    fs::write(place.path("gate"), "\0").expect("a gate");
    if verb == "resume" {
        let init = fs::read_to_string(place.path("pidfile")).expect("the pid file").parse().expect("a pid");
        Process::open(init).expect("the container").kill(Signal::SIGCONT);
    }
    assert_eq!(running.status(), 7, "{verb}, {fault}");
    assert_eq!(place.exit_file().as_deref(), Some("7"), "{verb}, {fault}");
    assert_eq!(place.persist_exit().as_deref(), Some("7"), "{verb}, {fault}");
    assert!(place.path("hook.json").exists(), "{verb}, {fault}");
}

#[test]
fn killed_or_failing_without_a_word() {
    for (verb, request) in VERBS.into_iter().filter(|(verb, _)| *verb != "delete") {
        for (fault, step) in [("killed", Step::Die(9)), ("silent", Step::Exit(3))] {
            let place = Place::new(conward());
            let (running, mut client) = created(&place, verb, &[step]);
            prepare(&place, &mut client, verb);
            let answer = client.ask(request).unwrap_or_else(|missed| panic!("{verb}, {fault}: {missed}"));
            assert!(answer.contains("\"runtime-failed\""), "{verb}, {fault}: {answer}");
            drop(client);
            end(&place, running, verb, fault);
        }
    }
}

#[test]
fn lying() {
    for (verb, request) in VERBS.into_iter().filter(|(verb, _)| *verb != "delete") {
        let place = Place::new(conward());
        let (running, mut client) = created(&place, verb, &[Step::Exit(0)]);
        prepare(&place, &mut client, verb);
        client.ask(request).unwrap_or_else(|missed| panic!("{verb}: {missed}"));
        // Whatever it said: what is asked next is answered, and the end is the true one.
        client.ask("state").unwrap_or_else(|missed| panic!("{verb}: {missed}"));
        drop(client);
        end(&place, running, verb, "lying");
    }
}

#[test]
fn hanging_while_the_container_ends() {
    for (verb, request) in VERBS.into_iter().filter(|(verb, _)| *verb != "delete") {
        let place = Place::new(conward());
        let (mut running, mut client) =
            created(&place, verb, &[Step::Touch(place.path("asked")), Step::Pause]);
        prepare(&place, &mut client, verb);
        client.send(request);
        place.await_file("asked");
        // Others are answered meanwhile.
        client.ask("state").unwrap_or_else(|missed| panic!("{verb}: {missed}"));
        drop(client);
        if verb == "checkpoint" {
            // What follows the record waits for the image, for as long as a runtime may take; the record does not.
            fs::write(place.path("gate"), "\0").expect("a gate");
            wait_until("the exit file", || place.exit_file().as_deref() == Some("7"));
            let supervisor = running.monitor().pid();
            let hanging = children(supervisor).into_iter().filter_map(Process::open);
            hanging.for_each(|runtime| assert!(runtime.kill(Signal::SIGKILL)));
        }
        end(&place, running, verb, "hanging");
        wait_until("the runtime goes with the supervisor", || place.processes().is_empty());
    }
}

/// At the end of a life nothing but the answer depends on it.
#[test]
fn at_delete() {
    for (fault, step) in [("killed", Step::Die(9)), ("silent", Step::Exit(3)), ("lying", Step::Exit(0))] {
        let place = Place::new(conward());
        let (mut running, mut client) = created(&place, "delete", &[step]);
        prepare(&place, &mut client, "pause");
        let answer = client.ask(VERBS[5].1).unwrap_or_else(|missed| panic!("{fault}: {missed}"));
        let failed = answer.contains("\"runtime-failed\"");
        assert_eq!(failed, fault != "lying", "{fault}: {answer}");
        drop(client);
        // It was killed for that.
        assert_eq!(running.status(), 137, "{fault}");
        assert_eq!(place.exit_file().as_deref(), Some("137"), "{fault}");
    }
}
