//! Those who talk to the supervisor: attached clients, `conwardctl`, the manager that has started it.

use std::fs;
use std::process::{Child, Stdio};
use std::time::Duration;

use conward_testkit::{
    Client, Launch, PATIENCE, Place, Script, Step, conward, conwardctl, descriptors, fake_runtime, joined,
    wait_until,
};

use super::{Moments, pass, rounds};
use crate::control::Control;

/// `conwardctl` with these words, its output thrown away.
fn ctl(place: &Place, words: &[&str]) -> Child {
    let mut command = place.marked(conwardctl());
    command.arg("--control-dir").arg(place.path("control")).args(words);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("conwardctl")
}

/// Clients that are killed while the container writes: whatever they wait for, they leave nothing, and neither the
/// container nor its log miss a byte.
#[test]
fn clients_of_the_control_socket() {
    let mut moments = Moments::new();
    let place = Place::new(conward());
    let gate = place.gate("gate");
    let line = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n";
    let lines = 20_000;
    place.script(&Script::of([
        Step::AwaitStart,
        Step::out(&line.repeat(lines)),
        Step::Touch(place.path("written")),
        Step::Await(gate.path().to_owned()),
        Step::Exit(7),
    ]));
    let launch = Launch::create(&place).arg("-i").control();
    let mut running = launch.start().created();
    let supervisor = running.monitor().pid();
    let before = descriptors(supervisor).len();
    place.start_container();
    let uses: [&[&str]; 5] =
        [&["attach"], &["logs", "-f"], &["events"], &["wait"], &["attach", "--replay", "32768"]];
    for round in rounds(40) {
        let [verb, options @ ..] = uses[round % uses.len()] else { panic!("a verb") };
        let mut client = ctl(&place, &[&[verb, place.id()][..], options].concat());
        pass(moments.next(Duration::from_millis(12)));
        client.kill().and_then(|()| client.wait()).expect("its end");
    }
    place.await_file("written");
    wait_until("nothing is left of them", || descriptors(supervisor).len() == before);
    wait_until("it rests", || running.monitor().is_quiet());
    let mut gate = gate;
    gate.open();
    assert_eq!(running.status(), 7);
    let log = joined(&place.log_records(), "stdout");
    assert!(log == line.repeat(lines).into_bytes(), "the log is not what was written");
}

/// The manager that is about to create and run a container: either a supervisor is in place and can be had by the next
/// one, with a container that is whole, or there is none, and nothing of it.
#[test]
fn the_manager() {
    let mut moments = Moments::new();
    let (mut alive, mut gone) = (0, 0);
    for round in rounds(40) {
        let place = Place::new(conward());
        let gate = place.gate("gate");
        let steps =
            [Step::AwaitStart, Step::out("a line\n"), Step::Await(gate.path().to_owned()), Step::Exit(7)];
        place.script(&Script::of(steps));
        let config = r#"{"ociVersion":"1.0.2","root":{"path":"/"},"process":{"args":["x"],"cwd":"/","user":{"uid":0,"gid":0}}}"#;
        fs::write(place.bundle().join("config.json"), config).expect("config.json");
        let log = format!("k8s-file:{}", place.log().display());
        let (bundle, state) =
            (place.bundle().display().to_string(), place.path("state").display().to_string());
        let (program, runtime) = (conward().display().to_string(), fake_runtime().display().to_string());
        let root = format!("--runtime-arg={state}");
        let mut words = vec!["run", "--bundle", &bundle, "--conward", &program, "--runtime", &runtime];
        words.extend(["--runtime-arg=--root", &root, "--log", &log, place.id()]);
        let mut manager = ctl(&place, &words);
        pass(moments.next(Duration::from_millis(25)));
        manager.kill().and_then(|()| manager.wait()).expect("its end");
        // What goes on by itself has come to its end, or is in place.
        let socket = place.path("control").join(place.id()).join("control.sock");
        let settled = || {
            place.is_deserted()
                || Control::connect(&place, PATIENCE).is_ok_and(|mut client| {
                    client.ask("state").is_ok_and(|state| !state.contains("\"creating\""))
                })
        };
        wait_until("it is settled", settled);
        let Ok(mut next) = Control::connect(&place, PATIENCE) else {
            wait_until("nothing runs", || place.is_deserted());
            assert!(!socket.exists(), "round {round}: a socket of nobody");
            gone += 1;
            continue;
        };
        alive += 1;
        let state = next.ask("state").expect("an answer");
        if state.contains("\"state\":\"created\"") {
            // Its predecessor may have asked for that too, and be first.
            let answer = next.ask("start").expect("an answer");
            assert!(answer.contains("\"ok\"") || answer.contains("not created"), "round {round}: {answer}");
        }
        fs::write(place.path("gate"), "\0").expect("a gate");
        let end = next.ask("wait,\"stage\":\"recorded\"").expect("an answer");
        assert!(end.contains("\"exit\":{\"code\":7}"), "round {round}: {end}");
        let log = joined(&place.log_records(), "stdout");
        assert_eq!(log, b"a line\n", "round {round}");
        let answer = next.ask("delete").expect("an answer");
        assert!(answer.contains("\"ok\""), "round {round}: {answer}");
        drop(next);
        wait_until("nothing runs after the delete", || place.is_deserted());
        assert!(!place.path("control").join(place.id()).exists(), "round {round}");
    }
    println!("{alive} were in place, {gone} were not");
    assert!(alive > 0 && gone > 0, "the moments are no good: {alive}, {gone}");
}

/// Attached clients that vanish, however much they owe or are owed, cost the container and the log nothing.
#[test]
fn clients() {
    let mut moments = Moments::new();
    let place = Place::new(conward());
    let gate = place.gate("gate");
    let line = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n";
    let lines = 20_000;
    place.script(&Script::of([
        Step::AwaitStart,
        Step::out(&line.repeat(lines)),
        Step::Touch(place.path("written")),
        Step::Await(gate.path().to_owned()),
        Step::Exit(7),
    ]));
    let mut running = Launch::create(&place).arg("-i").start().created();
    place.start_container();
    let path = place.bundle().join("attach");
    for _ in rounds(200) {
        let client = Client::connect(&path);
        client.try_send(b"typed\n");
        pass(moments.next(Duration::from_micros(500)));
        // What a kill does to it: the kernel closes the connection, with everything unread in it.
        drop(client);
    }
    place.await_file("written");
    let mut gate = gate;
    gate.open();
    assert_eq!(running.status(), 7);
    let log = joined(&place.log_records(), "stdout");
    assert_eq!(log.len(), lines * line.len());
    assert!(log == line.repeat(lines).into_bytes(), "the log is not what was written");
}
