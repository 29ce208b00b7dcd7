//! `checkpoint`, and a container restored from one.

use conward_protocol::codec::Message;
use conward_protocol::{Cause, ErrorCode, Exit, Op, State, What};
use conward_testkit::{Record, Script, Step, wait_until};
use serde_json::json;

use crate::client::{Client, tag};
use crate::{Container, container, launch, place};

fn by(container: &Container) -> Cause {
    Cause::Client { client: container.client.greeting.client, op: Some(Op::Checkpoint) }
}

#[test]
fn a_container_ends_with_its_checkpoint_unless_it_is_to_run_on() {
    let place = place();
    let image = place.path("image").display().to_string();
    let mut container = container(&place, Script::default(), &[]);
    let by = by(&container);
    let client = &mut container.client;
    client.ok("start");
    client.ok("subscribe");
    let answer = client.ok(&format!("checkpoint {image} leave_running"));
    assert_eq!(answer, json!({"image": image, "running": true}));
    let event = client.event();
    assert_eq!((event.what, &event.cause), (What::Checkpointed { image: image.clone() }, &by));
    assert!(place.path("image/dumped").exists());
    assert_eq!(client.state().state, State::Running);

    client.ok("pause");
    assert_eq!(client.event().what, What::Paused);
    let answer = client.ok(&format!("checkpoint {image}"));
    assert_eq!(answer, json!({"image": image, "running": false}));
    assert_eq!(client.ok("wait")["exit"], json!({"signal": 9}));
    // The runtime's end may be seen before the container's, or after.
    let (_, told) = container.end();
    let caused = |what: &What| {
        let same = |message: &&Message| matches!(message, Message::Event(event) if event.what == *what);
        match told.iter().find(same) {
            Some(Message::Event(event)) => event.cause.clone(),
            _ => panic!("no {what:?}: {told:?}"),
        }
    };
    assert_eq!(caused(&What::Checkpointed { image }), by);
    assert_eq!(caused(&What::Exited { exit: Exit::Signal(9), core_dumped: false }), by);
}

#[test]
fn its_options_are_the_runtimes() {
    let place = place();
    let record = place.path("record");
    let steps = [Step::Record(record.clone())];
    let mut container = container(&place, Script::default().at("checkpoint", steps), &[]);
    container.client.ok("start");
    let (image, work) = (place.path("image"), place.path("work"));
    let request = json!({"op": "checkpoint", "image": image, "work": work, "leave_running": true,
        "tcp_established": true, "file_locks": true});
    container.client.ok(&request.to_string());
    let argv = Record::read(&record).expect("a record").argv;
    let from = argv.iter().position(|word| word == "checkpoint").expect("the verb");
    let expected = [
        "checkpoint".to_owned(),
        format!("--image-path={}", image.display()),
        format!("--work-path={}", work.display()),
        "--leave-running".to_owned(),
        "--tcp-established".to_owned(),
        "--file-locks".to_owned(),
        place.id().to_owned(),
    ];
    assert_eq!(argv[from..], expected);
    container.end();
}

#[test]
fn a_refusal_has_the_reason_of_criu() {
    let runc = "criu failed: type NOTIFY errno 0\nlog file: /somewhere/dump.log\n";
    let log = "(00.01) fine\n(00.02) Error (criu/tty.c:1): tty: Found dangling tty\n";
    let why = format!("checkpoint: {}: criu: tty: Found dangling tty", runc.trim_end());
    let silent = "checkpoint: container is busy".to_owned();
    for (said, work, message) in
        [(runc, false, why.clone()), (runc, true, why), ("container is busy\n", false, silent)]
    {
        let place = place();
        let image = place.path("image");
        let logs = if work { place.path("work") } else { image.clone() };
        std::fs::create_dir(&logs).expect("making a directory");
        std::fs::write(logs.join("dump.log"), log).expect("writing criu's log");
        let script = Script::default().at("checkpoint", [Step::err(said), Step::Exit(1)]);
        let mut container = container(&place, script, &[]);
        container.client.ok("start");
        let work = if work { format!(" work={}", logs.display()) } else { String::new() };
        let failure = container.client.refused(format!("checkpoint {}{work}", image.display()));
        assert_eq!((failure.code, failure.message), (ErrorCode::RuntimeFailed, message));
        container.client.ok("subscribe 0");
        assert_eq!(container.client.state().state, State::Running);
        // Who ends it now is not who has tried before.
        container.client.ok("kill KILL");
        container.client.ok("wait");
        let exited = std::iter::from_fn(|| Some(container.client.event()))
            .find(|event| matches!(event.what, What::Exited { .. }));
        let by = Cause::Client { client: container.client.greeting.client, op: Some(Op::Kill) };
        assert_eq!(exited.expect("an event").cause, by);
        container.end();
    }
}

#[test]
fn what_follows_the_record_waits_for_the_runtime() {
    let place = place();
    let mut gate = place.gate("runtime");
    let hangs = [Step::Touch(place.path("hangs")), Step::Await(gate.path().to_owned())];
    let mut container = container(&place, Script::default().at("checkpoint", hangs), &[]);
    container.gate.open();
    let client = &mut container.client;
    client.ok("start");
    client.send(format!("checkpoint {} tag=slow\n", place.path("image").display()));
    place.await_file("hangs");
    client.ok("kill KILL");
    client.ok("wait recorded");
    assert!(client.is_silent());
    assert!(!place.path("exit").exists(), "the exit command has run while the runtime was at work");
    gate.open();
    let reply = client.reply();
    assert_eq!(tag(&reply), Some("slow"));
    assert!(format!("{reply:?}").contains("Gone"), "{reply:?}");
    wait_until("the exit command has run", || place.path("exit").exists());
    assert_eq!(container.running.status(), 137);
}

#[test]
fn a_restored_container_runs_at_once() {
    let place = place();
    place.script(&Script::of([Step::Pause]));
    let mut running = launch(&place).args(["--restore", "/image"]).start();
    running.go();
    let pid = running.pid();
    let mut client = Client::connect(&place);
    let state = client.state();
    assert_eq!((state.state, state.pid), (State::Running, Some(pid)));
    assert!(state.times.started.is_some());
    client.ok("subscribe 0");
    let told = [client.event(), client.event()];
    assert_eq!((&told[0].what, &told[1].what), (&What::Created { pid }, &What::Started));
    assert_eq!(told[1].cause, Cause::Runtime);
    client.ok("kill KILL");
    assert_eq!(running.status(), 137);
}
