//! The state file, and what stays when the supervisor has gone.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use conward_protocol::body::State as Body;
use conward_protocol::limits::LINE_MAX;
use conward_protocol::{Exit, Outcome, RECORD_FILE, SOCKET_FILE, STATE_FILE, State, Step as Stopping};
use conward_testkit::{Place, Script, Step, wait_until};
use nix::sys::signal::Signal;

use crate::client::{Client, connect};
use crate::{container, created, directory, launch, place, socket, started};

fn file(place: &Place) -> PathBuf {
    directory(place).join(STATE_FILE)
}

/// The state on disk; whatever is there is whole.
fn on_disk(place: &Place) -> Option<Body> {
    let text = fs::read(file(place)).ok()?;
    Some(serde_json::from_slice(&text).expect("a whole state"))
}

fn becomes(place: &Place, state: State) -> Body {
    wait_until(&format!("the file says {state}"), || {
        on_disk(place).is_some_and(|found| found.state == state)
    });
    on_disk(place).expect("a state")
}

fn names(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(directory(place)).expect("the control directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect();
    names.sort();
    names
}

fn pausing() -> Script {
    Script::of([Step::AwaitStart, Step::Pause])
}

#[test]
fn the_file_follows_each_transition() {
    let place = place();
    let mut container = created(&place);
    let at = becomes(&place, State::Created);
    assert_eq!(at, container.client.state(), "the same as the answer");
    assert_eq!((at.pid, at.supervisor), (container.pid, container.running.monitor().pid()));
    assert_eq!(place.mode(file(&place)), "f600");
    for (request, state) in [("start", State::Running), ("pause", State::Paused), ("resume", State::Running)]
    {
        container.client.ok(request);
        assert_eq!(becomes(&place, state), container.client.state());
    }
    container.client.ok("kill KILL");
    container.client.ok("wait recorded");
    let at = becomes(&place, State::Stopped);
    assert_eq!((at.exit, at.pid, at.step), (Some(Exit::Signal(9)), None, Some(Stopping::Recorded)));
    assert_eq!(at.record.as_deref(), directory(&place).join(RECORD_FILE).to_str());
    assert_eq!(names(&place), [SOCKET_FILE, RECORD_FILE, STATE_FILE]);
    container.end();
}

#[test]
fn a_supervisor_that_was_killed_leaves_what_it_knew() {
    for (requests, state) in [(&["start"][..], State::Running), (&["start", "pause"], State::Paused)] {
        let place = place();
        let mut container = container(&place, Script::default(), &[]);
        let supervisor = container.running.monitor().pid();
        for request in requests {
            container.client.ok(request);
        }
        becomes(&place, state);
        container.running.kill(Signal::SIGKILL);
        assert_eq!(container.running.status(), 137);
        let left = on_disk(&place).expect("a state");
        assert_eq!((left.state, left.supervisor, left.exit), (state, supervisor, None));
        assert!(connect(&place).is_err() && socket(&place).exists());
        let orphan = nix::unistd::Pid::from_raw(container.pid.expect("a pid"));
        nix::sys::signal::kill(orphan, Signal::SIGKILL).expect("the container is there");
    }
}

#[test]
fn files_stay_and_say_how_it_ended() {
    let place = place();
    let script = Script::of([Step::AwaitStart, Step::Exit(7)]);
    let (mut running, client) = started(&place, script, &["--keep-state"]);
    let supervisor = running.monitor().pid();
    drop(client);
    assert_eq!(running.status(), 7);
    assert_eq!(names(&place), [RECORD_FILE, STATE_FILE]);
    let left = on_disk(&place).expect("a state");
    assert_eq!(
        (left.state, left.step, left.exit),
        (State::Stopped, Some(Stopping::Announced), Some(Exit::Code(7)))
    );
    assert_eq!((left.supervisor, left.pid), (supervisor, None));
    assert_eq!(left.record.as_deref(), directory(&place).join(RECORD_FILE).to_str());
}

#[test]
fn the_supervisor_stays_while_somebody_is_connected() {
    let place = place();
    let (mut running, mut first) = started(&place, pausing(), &["--keep-state"]);
    let mut second = Client::connect(&place);
    first.ok("kill KILL");
    second.ok("wait recorded");
    drop(first);
    assert!(second.is_silent(), "it stays, and has nothing to say");
    let third = Client::connect(&place);
    assert_eq!(third.greeting.state, State::Stopped);
    running.monitor().must_be_quiet();
    drop((second, third));
    assert_eq!(running.status(), 137);
}

#[test]
fn a_signal_ends_one_that_only_rests() {
    let place = place();
    let (mut running, mut client) = started(&place, pausing(), &["--keep-state"]);
    client.ok("kill KILL");
    client.ok("wait recorded");
    client.send("wait deleted tag=end\n");
    assert!(client.is_silent());
    running.kill(Signal::SIGTERM);
    let told = client.messages_to_end();
    assert!(
        matches!(told.as_slice(), [conward_protocol::codec::Message::Reply(reply)]
            if matches!(&reply.outcome, Outcome::Error(failure) if failure.code == conward_protocol::ErrorCode::Gone)),
        "{told:?}"
    );
    assert_eq!(running.status(), 137);
    assert_eq!(names(&place), [RECORD_FILE, STATE_FILE]);
}

#[test]
fn nothing_is_kept_of_a_container_that_was_not_made() {
    let place = place();
    place.script(&Script::failing([Step::err("no\n"), Step::Exit(1)]));
    let mut running = launch(&place).args(["--keep-state", "--delete-on-exit"]).start();
    running.go();
    running.message();
    assert_eq!(running.status(), 1);
    assert!(!directory(&place).exists());
}

#[test]
fn annotations_are_those_of_the_bundle_if_they_fit() {
    let place = place();
    let config = |annotations: &BTreeMap<String, String>| {
        let text =
            serde_json::json!({"ociVersion": "1.0.2", "process": {"args": []}, "annotations": annotations});
        fs::write(place.bundle().join("config.json"), text.to_string()).expect("config.json");
    };
    let few = BTreeMap::from([("a".to_owned(), "b".to_owned()), ("org.x/y".to_owned(), "\u{1}ü".to_owned())]);
    config(&few);
    let mut container = created(&place);
    assert_eq!(container.client.state().annotations, few);
    assert_eq!(becomes(&place, State::Created).annotations, few);
    // What is one byte in the file is six in a line.
    let many = BTreeMap::from([("long".to_owned(), "\u{1}".repeat(LINE_MAX / 6))]);
    config(&many);
    let state = container.client.state();
    assert_eq!(
        (state.annotations.len(), state.omitted.as_slice()),
        (0, ["annotations".to_owned()].as_slice())
    );
    container.client.ok("start");
    assert_eq!(becomes(&place, State::Running).annotations, many, "a file has no limit");
    fs::write(place.bundle().join("config.json"), "{").expect("config.json");
    let state = container.client.state();
    assert!(state.annotations.is_empty() && state.omitted.is_empty(), "{state:?}");
    container.end();
}
