//! `delete`, by request and at the end.

use std::fs;

use conward_protocol::codec::Message;
use conward_protocol::record::{Record, Teardown};
use conward_protocol::{Cause, ErrorCode, Exit, Op, Outcome, RECORD_FILE, State, Step as Stopping, What};
use conward_testkit::{Place, Script, Step};

use crate::client::{Client, tag};
use crate::{directory, in_state, launch, place, started};

fn pausing() -> Script {
    Script::of([Step::AwaitStart, Step::Pause])
}

/// Whether the runtime still knows the container.
fn known(place: &Place) -> bool {
    place.path("state").join(place.id()).exists()
}

/// The last events, the answer to the request with this tag, and nothing after the end.
fn end(client: &mut Client, wanted: &str) -> (Vec<What>, Vec<Outcome<serde_json::Value>>) {
    let (mut events, mut answers) = (Vec::new(), Vec::new());
    for message in client.messages_to_end() {
        match message {
            Message::Event(event) => events.push(event.what),
            Message::Reply(reply) if tag(&reply) == Some(wanted) => answers.push(reply.outcome),
            other => panic!("{other:?}"),
        }
    }
    (events, answers)
}

fn teardown(outcome: &Outcome<serde_json::Value>) -> Teardown {
    let Outcome::Ok(body) = outcome else { panic!("{outcome:?}") };
    serde_json::from_value(body["teardown"].clone()).expect("a teardown")
}

#[test]
fn a_container_that_is_kept_is_deleted_with_all_its_files() {
    let place = place();
    let (mut running, mut client) = started(&place, pausing(), &["--keep-state"]);
    client.ok("kill KILL");
    client.ok("wait recorded");
    let mut other = Client::connect(&place);
    other.ok("subscribe");
    client.send("wait deleted tag=wait\n");
    other.send("delete tag=d\n");
    let (events, answers) = end(&mut other, "d");
    assert!(!directory(&place).exists(), "gone before the connection is closed");
    let [answer] = answers.as_slice() else { panic!("{answers:?}") };
    let done = teardown(answer);
    assert_eq!((done.exit, &done.error), (Some(Exit::Code(0)), &None));
    assert_eq!(events, [What::Deleting, What::Deleted { teardown: Some(done.clone()) }]);
    let (_, waited) = end(&mut client, "wait");
    let [Outcome::Ok(waited)] = waited.as_slice() else { panic!("{waited:?}") };
    let record: Record = serde_json::from_value(waited["record"].clone()).expect("a record");
    assert_eq!((record.exit, record.teardown), (Exit::Signal(9), Some(done)));
    assert!(!known(&place));
    assert_eq!(running.status(), 137);
}

#[test]
fn by_force_in_every_state_that_has_a_container() {
    for state in [State::Created, State::Running, State::Paused, State::Stopped] {
        let place = place();
        let mut container = in_state(&place, state);
        container.client.ok("subscribe 0");
        container.client.send("delete force tag=d\n");
        // The exit command comes first: it may want the container.
        place.await_file("exit");
        assert!(known(&place), "{state}");
        container.gate.open();
        let (events, answers) = end(&mut container.client, "d");
        let [answer] = answers.as_slice() else { panic!("{state}: {answers:?}") };
        assert_eq!(teardown(answer).exit, Some(Exit::Code(0)), "{state}");
        let tail: Vec<&What> =
            events.iter().skip_while(|what| !matches!(what, What::Exited { .. })).collect();
        assert!(
            matches!(
                tail[..],
                [
                    What::Exited { exit: Exit::Signal(9), .. },
                    What::Drained { .. },
                    What::Recorded { .. },
                    What::Deleting,
                    What::Deleted { teardown: Some(_) }
                ]
            ),
            "{state}: {events:?}"
        );
        assert!(!known(&place) && !directory(&place).exists(), "{state}");
        assert_eq!(container.running.status(), 137);
    }
}

#[test]
fn one_that_lives_is_not_deleted_without_force() {
    for state in [State::Created, State::Running, State::Paused] {
        let place = place();
        let mut container = in_state(&place, state);
        let failure = container.client.refused("delete");
        assert_eq!(failure.code, ErrorCode::WrongState);
        assert!(failure.message.contains("stopped"), "{failure:?}");
        assert_eq!(container.client.state().state, state);
        container.end();
    }
}

/// Without `--keep-state` too, the supervisor does not leave one alone whose request has failed.
#[test]
fn a_runtime_that_fails_is_told_and_may_be_asked_again() {
    for args in [&["--keep-state"][..], &[]] {
        let place = place();
        let script = pausing().at("delete", [Step::err("device busy\n"), Step::Exit(1)]);
        let (mut running, mut client) = started(&place, script, args);
        client.ok("subscribe");
        let failure = client.refused("delete force");
        assert_eq!(failure.code, ErrorCode::RuntimeFailed);
        assert_eq!(failure.message, "delete: device busy");
        let state = client.state();
        assert_eq!((state.state, state.step), (State::Stopped, Some(Stopping::Deleting)));
        let text = fs::read(directory(&place).join(RECORD_FILE)).expect("the record");
        let record: Record = serde_json::from_slice(&text).expect("a record");
        let failed = record.teardown.expect("an outcome");
        assert_eq!(
            (record.exit, failed.exit, failed.error.as_deref()),
            (Exit::Signal(9), Some(Exit::Code(1)), Some("device busy"))
        );

        assert_eq!(client.ok("reopen-logs")["files"], 0, "all is logged, and the file closed");
        place.script(&pausing());
        client.send("delete tag=d\n");
        let (events, answers) = end(&mut client, "d");
        assert_eq!(teardown(&answers[0]).exit, Some(Exit::Code(0)));
        assert!(
            matches!(events.last(), Some(What::Deleted { teardown: Some(done) }) if done.error.is_none())
        );
        assert!(!known(&place) && !directory(&place).exists());
        assert_eq!(running.status(), 137);
    }
}

#[test]
fn who_leaves_after_a_failure_leaves_nothing_behind_that_was_not_to_be_kept() {
    let place = place();
    let script = pausing().at("delete", [Step::Exit(1)]);
    let (mut running, mut client) = started(&place, script, &[]);
    client.refused("delete force");
    drop(client);
    assert_eq!(running.status(), 137);
    assert!(known(&place) && !directory(&place).exists());
}

#[test]
fn two_who_ask_are_both_answered_and_it_is_done_once() {
    let place = place();
    let mut gate = place.gate("runtime");
    let hangs = [Step::Touch(place.path("hangs")), Step::Await(gate.path().to_owned())];
    let (mut running, mut first) = started(&place, pausing().at("delete", hangs), &["--keep-state"]);
    first.ok("kill KILL");
    first.ok("wait recorded");
    first.send("delete tag=d\n");
    place.await_file("hangs");
    let mut second = Client::connect(&place);
    assert_eq!(second.greeting.step, Some(Stopping::Deleting));
    second.ok("subscribe 0");
    second.send("delete force tag=d\n");
    second.ok("state");
    gate.open();
    let (events, answers) = end(&mut second, "d");
    assert_eq!(answers.len(), 1);
    assert_eq!(events.iter().filter(|what| matches!(what, What::Deleting)).count(), 1, "{events:?}");
    assert_eq!(end(&mut first, "d").1, answers);
    assert_eq!(running.status(), 137);
}

#[test]
fn force_does_not_mind_a_container_that_the_runtime_has_forgotten() {
    let place = place();
    let (mut running, mut client) = started(&place, pausing(), &["--keep-state"]);
    client.ok("kill KILL");
    client.ok("wait recorded");
    fs::remove_dir_all(place.path("state").join(place.id())).expect("the runtime forgets it");
    let failure = client.refused("delete");
    assert!(failure.message.contains("does not exist"), "{failure:?}");
    client.send("delete force tag=d\n");
    let (_, answers) = end(&mut client, "d");
    assert_eq!(teardown(&answers[0]).exit, Some(Exit::Code(0)));
    assert_eq!(running.status(), 137);
}

/// The runtime finds the record, and the exit files.
#[test]
fn at_the_end_it_comes_after_the_record() {
    let place = place();
    let copy = place.path("copy");
    let record = directory(&place).join(RECORD_FILE);
    let words = format!("cp {} {}", record.display(), copy.display());
    let copies = vec!["/bin/sh".to_owned(), "-c".to_owned(), words];
    place.script(&Script::of([Step::AwaitStart, Step::Exit(7)]).at("delete", [Step::Become(copies)]));
    let gate = place.gate("gate");
    let mut running =
        launch(&place).arg("--delete-on-exit").gated_exit_command("exit", &gate).start().created();
    let mut client = Client::connect(&place);
    client.ok("subscribe");
    client.send("start tag=start\n");
    place.await_file("exit");
    assert!(!copy.exists(), "the exit command comes first");
    let mut gate = gate;
    gate.open();
    let (events, _) = end(&mut client, "start");
    assert!(
        matches!(&events[events.len() - 2..], [What::Deleting, What::Deleted { teardown: Some(done) }] if done.exit == Some(Exit::Code(0))),
        "{events:?}"
    );
    let seen: Record = serde_json::from_slice(&fs::read(&copy).expect("a copy")).expect("a record");
    assert_eq!((seen.exit, seen.teardown), (Exit::Code(7), None));
    assert_eq!(running.status(), 7);
}

#[test]
fn at_the_end_its_failure_changes_no_status() {
    for (steps, exit) in
        [(vec![Step::err("busy\n"), Step::Exit(1)], Exit::Code(1)), (vec![Step::Die(9)], Exit::Signal(9))]
    {
        let place = place();
        let script = Script::of([Step::AwaitStart, Step::Exit(7)]).at("delete", steps);
        let (mut running, client) = started(&place, script, &["--delete-on-exit", "--keep-state"]);
        drop(client);
        assert_eq!(running.status(), 7);
        assert_eq!(place.exit_file().as_deref(), Some("7"));
        let text = fs::read(directory(&place).join(RECORD_FILE)).expect("it is kept: there is a container");
        let record: Record = serde_json::from_slice(&text).expect("a record");
        let teardown = record.teardown.expect("an outcome");
        assert_eq!((record.exit, teardown.exit), (Exit::Code(7), Some(exit)));
        assert!(teardown.error.is_some());
    }
}

#[test]
fn at_the_end_nothing_is_kept_of_what_was_deleted() {
    let place = place();
    let script = Script::of([Step::AwaitStart, Step::Exit(7)]);
    let (mut running, mut client) = started(&place, script, &["--delete-on-exit", "--keep-state"]);
    let told = client.messages_to_end();
    assert!(!directory(&place).exists() && !known(&place), "{told:?}");
    assert_eq!(running.status(), 7);
}

#[test]
fn the_cause_of_an_end_by_force_is_who_asked() {
    let place = place();
    let (mut running, mut client) = started(&place, pausing(), &[]);
    client.ok("subscribe");
    let by = Cause::Client { client: client.greeting.client, op: Some(Op::Delete) };
    client.send("delete force tag=d\n");
    let told = client.messages_to_end();
    for wanted in ["signalled", "exited", "deleting"] {
        let event = told.iter().find_map(|message| match message {
            Message::Event(event) if serde_json::to_value(&event.what).unwrap()["event"] == wanted => {
                Some(event)
            }
            _ => None,
        });
        assert_eq!(event.map(|event| &event.cause), Some(&by), "{wanted}: {told:?}");
    }
    assert_eq!(running.status(), 137);
}
