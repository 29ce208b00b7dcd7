//! `wait`, before and after each stage of the end.

use conward_protocol::codec::Message;
use conward_protocol::request::Stage;
use conward_protocol::{Exit, Outcome, State, Step as Stopping};
use conward_testkit::{Script, Step};

use crate::client::{Client, tag};
use crate::{created, launch, place};

#[test]
fn each_stage_is_told_when_it_is_reached() {
    let place = place();
    let mut container = created(&place);
    for stage in Stage::ALL {
        container.client.send(format!("wait {stage} tag={stage}\n"));
    }
    container.client.ok("start");
    assert!(container.client.is_silent());
    container.client.send("kill KILL tag=kill\n");
    for told in ["kill", "exited", "recorded"] {
        assert_eq!(tag(&container.client.reply()), Some(told));
    }
    // The exit command, which is gated, runs only after the record.
    place.await_file("exit");
    assert!(container.client.is_silent(), "it is not deleted yet");
    assert_eq!(place.exit_file().as_deref(), Some("137"));

    let mut late = Client::connect(&place);
    assert_eq!(late.greeting.state, State::Stopped);
    for stage in [Stage::Exited, Stage::Recorded] {
        let body = late.ok(&format!("wait {stage}"));
        assert_eq!(body["stage"], stage.name());
        assert_eq!(serde_json::from_value::<Exit>(body["exit"].clone()).unwrap(), Exit::Signal(9));
    }
    let state = late.state();
    assert_eq!((state.state, state.pid, state.exit), (State::Stopped, None, Some(Exit::Signal(9))));
    assert!(state.step >= Some(Stopping::Recorded), "{:?}", state.step);
    let times = [state.times.created, state.times.started, state.times.finished];
    assert!(times.iter().all(Option::is_some) && times.is_sorted(), "{times:?}");
    late.send("wait deleted tag=late\n");
    assert!(late.is_silent());

    container.gate.open();
    for (client, wanted) in [(&mut container.client, "deleted"), (&mut late, "late")] {
        let told = client.messages_to_end();
        let [Message::Reply(reply)] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(tag(reply), Some(wanted));
        let Outcome::Ok(body) = &reply.outcome else { panic!("{reply:?}") };
        assert_eq!(serde_json::from_value::<Exit>(body["exit"].clone()).unwrap(), Exit::Signal(9));
    }
    assert_eq!(container.running.status(), 137);
}

#[test]
fn every_status_is_told_as_it_was() {
    for (step, exit) in [
        (Step::Exit(0), Exit::Code(0)),
        (Step::Exit(7), Exit::Code(7)),
        (Step::Exit(255), Exit::Code(255)),
        (Step::Exit(137), Exit::Code(137)),
        (Step::Die(9), Exit::Signal(9)),
        (Step::Die(15), Exit::Signal(15)),
    ] {
        let place = place();
        place.script(&Script::of([Step::AwaitStart, step]));
        let running = launch(&place).start().created();
        let mut client = Client::connect(&place);
        client.send("wait deleted tag=end\nstart\n");
        let replies: Vec<_> = client.messages_to_end();
        let end = replies.iter().find_map(|message| match message {
            Message::Reply(reply) if tag(reply) == Some("end") => Some(reply.outcome.clone()),
            _ => None,
        });
        let Some(Outcome::Ok(body)) = end else { panic!("{replies:?}") };
        assert_eq!(serde_json::from_value::<Exit>(body["exit"].clone()).unwrap(), exit);
        drop(running);
    }
}

#[test]
fn a_container_that_was_not_made_has_no_status() {
    let place = place();
    let gate = place.gate("gate");
    let before = [
        Step::Touch(place.path("asked")),
        Step::Await(gate.path().to_owned()),
        Step::err("no\n"),
        Step::Exit(1),
    ];
    place.script(&Script::failing(before));
    let mut running = launch(&place).start();
    running.go();
    place.await_file("asked");
    let mut client = Client::connect(&place);
    client.ok("subscribe 0");
    for stage in Stage::ALL {
        client.send(format!("wait {stage} tag={stage}\n"));
    }
    let mut gate = gate;
    gate.open();
    let told = client.messages_to_end();
    let mut stages = Vec::new();
    let mut names = Vec::new();
    for message in &told {
        match message {
            Message::Event(event) => names.push(serde_json::to_value(&event.what).unwrap()["event"].clone()),
            Message::Reply(reply) => {
                let Outcome::Ok(body) = &reply.outcome else { panic!("{reply:?}") };
                assert!(body.get("exit").is_none(), "nobody can know a status: {body}");
                stages.push(tag(reply).unwrap());
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(names, ["create-failed", "deleted"], "{told:?}");
    stages.sort();
    assert_eq!(stages, ["deleted", "exited", "recorded"], "{told:?}");
    running.message();
    assert_eq!(running.status(), 1);
}
