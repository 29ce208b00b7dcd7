//! A runtime that fails, or takes its time, when a manager asks for it.

use conward_protocol::codec::Message;
use conward_protocol::limits::MESSAGE_MAX;
use conward_protocol::{Cause, ErrorCode, Op, Outcome, State, What};
use conward_testkit::{Script, Step, To, children, wait_until};

use crate::client::{Client, tag};
use crate::{container, launch, place};

#[test]
fn its_text_comes_back_and_nothing_has_changed() {
    for (op, state, ready) in [
        ("start", State::Created, &[][..]),
        ("pause", State::Running, &["start"]),
        ("resume", State::Paused, &["start", "pause"]),
        ("kill 18 all", State::Running, &["start"]),
    ] {
        let place = place();
        let verb = op.split(' ').next().unwrap();
        let fails = [Step::err("no such cgroup\n"), Step::err("more of it\n"), Step::Exit(3)];
        let mut container = container(&place, Script::default().at(verb, fails), &[]);
        for request in ready {
            container.client.ok(request);
        }
        let before = container.client.state();
        assert_eq!(before.state, state);
        let failure = container.client.refused(op);
        assert_eq!(failure.code, ErrorCode::RuntimeFailed, "{failure:?}");
        assert!(failure.message.starts_with(verb), "{failure:?}");
        assert!(failure.message.contains("no such cgroup\nmore of it"), "{failure:?}");
        assert_eq!(container.client.state(), before, "{op}");
        container.end();
    }
}

#[test]
fn its_end_without_a_word_and_a_flood_of_words_are_told_too() {
    let silent = vec![Step::Die(9)];
    let text = "a long story. ".repeat(300_000 / 14);
    let flood = vec![Step::err("first\n"), Step::Write(To::Stderr, text.into_bytes()), Step::Exit(1)];
    for (steps, wanted) in [(silent, "9"), (flood, "first")] {
        let place = place();
        let mut container = container(&place, Script::default().at("start", steps), &[]);
        let failure = container.client.refused("start");
        assert_eq!(failure.code, ErrorCode::RuntimeFailed, "{failure:?}");
        assert!(failure.message.contains(wanted) && failure.message.len() <= MESSAGE_MAX, "{failure:?}");
        assert_eq!(container.client.state().state, State::Created);
        container.end();
    }
}

#[test]
fn what_it_leaves_behind_does_not_hold_up_the_answer() {
    let place = place();
    // A grandchild that keeps the runtime's stderr open.
    let steps = [Step::Fork(vec![Step::Await(place.path("grandchild"))])];
    let mut gate = place.gate("grandchild");
    let mut container = container(&place, Script::default().at("start", steps), &[]);
    container.client.ok("start");
    assert_eq!(container.client.state().state, State::Running);
    gate.open();
    container.end();
}

#[test]
fn one_that_hangs_holds_up_nothing_else() {
    let place = place();
    let mut gate = place.gate("runtime");
    let hangs = [Step::Touch(place.path("hangs")), Step::Await(gate.path().to_owned())];
    let mut container = container(&place, Script::default().at("pause", hangs), &[]);
    let client = &mut container.client;
    client.ok("start");
    client.ok("subscribe");
    client.send("pause tag=slow\n");
    place.await_file("hangs");
    assert_eq!(client.state().state, State::Running);
    client.ok("kill CONT");
    client.ok("kill CONT all");
    let mut other = Client::connect(&place);
    assert_eq!(other.greeting.state, State::Running);
    other.ok("kill CONT");
    container.running.monitor().must_be_quiet();
    let client = &mut container.client;
    gate.open();
    assert_eq!(tag(&client.reply()), Some("slow"));
    assert_eq!(client.state().state, State::Paused);
    let names: Vec<What> = (0..4).map(|_| client.event().what).collect();
    assert_eq!(names[3], What::Paused, "{names:?}");
    container.end();
}

#[test]
fn one_that_hangs_while_the_container_ends_goes_with_the_supervisor() {
    let place = place();
    let gate = place.gate("runtime");
    let hangs = [Step::Touch(place.path("hangs")), Step::Await(gate.path().to_owned())];
    let mut container = container(&place, Script::default().at("pause", hangs), &[]);
    container.client.ok("start");
    container.client.send("pause tag=slow\n");
    place.await_file("hangs");
    assert_eq!(children(container.running.monitor().pid()).len(), 2, "the container and the runtime");
    let (status, told) = container.end();
    assert_eq!(status, 137);
    let answers: Vec<_> = told
        .iter()
        .filter_map(|message| match message {
            Message::Reply(reply) if tag(reply) == Some("slow") => Some(&reply.outcome),
            _ => None,
        })
        .collect();
    assert!(
        matches!(answers[..], [Outcome::Error(failure)] if failure.code == ErrorCode::Gone),
        "each request gets one answer: {told:?}"
    );
}

#[test]
fn all_processes_get_a_signal_by_the_runtime() {
    let place = place();
    let mut container = container(&place, Script::default(), &[]);
    container.client.ok("start");
    container.client.ok("subscribe");
    container.client.ok("kill TERM all");
    // The container may have ended before the runtime has.
    let event = std::iter::from_fn(|| Some(container.client.event()))
        .find(|event| matches!(event.what, What::Signalled { .. }))
        .expect("an event");
    let What::Signalled { signal, all: true, exec: None } = event.what else { panic!("{event:?}") };
    assert_eq!(signal.number(), 15);
    let client = container.client.greeting.client;
    assert_eq!(event.cause, Cause::Client { client, op: Some(Op::Kill) });
    assert_eq!(container.client.ok("wait")["exit"]["signal"], 15);
    container.end();
}

/// Who has killed the container then was not who has tried before.
#[test]
fn a_signal_that_was_not_sent_is_nobodys() {
    let place = place();
    let fails = [Step::err("no such cgroup\n"), Step::Exit(3)];
    let mut container = container(&place, Script::default().at("kill", fails), &[]);
    container.client.ok("start");
    container.client.refused("kill KILL all");
    container.client.ok("subscribe 0");
    let (status, told) = container.end();
    let exited = told.iter().find_map(|message| match message {
        Message::Event(event) if matches!(event.what, What::Exited { .. }) => Some(&event.cause),
        _ => None,
    });
    assert_eq!((status, exited), (137, Some(&Cause::Container)));
}

/// Its program is short, and nothing holds up the supervisor's end but the runtime.
#[test]
fn a_start_is_answered_though_the_container_ends_before_the_runtime() {
    for in_time in [true, false] {
        let place = place();
        let mut gate = place.gate("runtime");
        let hangs = [Step::Touch(place.path("hangs")), Step::Await(gate.path().to_owned()), Step::Exit(0)];
        place.script(&Script::of([Step::AwaitStart, Step::Exit(7)]).at("start", hangs));
        let mut running = launch(&place).exit_command("exit").start();
        running.go();
        let pid = running.pid();
        let mut client = Client::connect(&place);
        client.send("start tag=start\n");
        place.await_file("hangs");
        place.start_container();
        assert_eq!(client.ok("wait recorded")["exit"]["code"], 7);
        assert!(!place.path("exit").exists(), "it may still need the container");
        if in_time {
            gate.open();
        }
        let reply = client.reply();
        assert_eq!(tag(&reply), Some("start"));
        assert_eq!(reply.outcome, Outcome::Ok(serde_json::json!({"pid": pid})));
        assert_eq!(running.status(), 7);
        assert!(place.path("exit").exists());
    }
}

/// A container whose program ends before the runtime that started it, or is seen before that.
#[test]
fn a_start_is_told_before_the_runtime_has_ended() {
    let sleep = vec!["/bin/sleep".to_owned(), "1000".to_owned()];
    for (step, exit) in [(Step::Exit(7), Some(7)), (Step::Become(sleep), None)] {
        let place = place();
        let mut gate = place.gate("runtime");
        let mut end = place.gate("end");
        let hangs = [Step::Touch(place.path("hangs")), Step::Await(gate.path().to_owned())];
        place.script(&Script::of([Step::AwaitStart, step]).at("start", hangs));
        let mut running = launch(&place).gated_exit_command("exit", &end).start();
        running.go();
        let pid = running.pid();
        let mut client = Client::connect(&place);
        client.ok("subscribe");
        client.send("start tag=start\n");
        place.await_file("hangs");
        place.start_container();
        let by = Cause::Client { client: client.greeting.client, op: Some(Op::Start) };
        if let Some(code) = exit {
            assert_eq!(client.ok("wait")["exit"]["code"], code);
            gate.open();
            assert_eq!(tag(&client.reply()), Some("start"));
        } else {
            let exe = format!("/proc/{pid}/exe");
            wait_until("it runs", || std::fs::read_link(&exe).unwrap().ends_with("sleep"));
            assert_eq!(client.state().state, State::Running);
            gate.open();
            let reply = client.reply();
            assert_eq!(tag(&reply), Some("start"));
            assert_eq!(reply.outcome, Outcome::Ok(serde_json::json!({"pid": pid})));
            client.ok("kill KILL");
        }
        let (first, second) = (client.event(), client.event());
        assert_eq!((first.what, first.cause), (What::Started, by));
        assert!(!matches!(second.what, What::Started));
        assert!(client.state().times.started.is_some());
        end.open();
        running.status();
    }
}
