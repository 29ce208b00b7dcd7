//! Clocks that are set while a container runs: the wall clock, back and forth, and the monotonic one as after a long
//! time in which the supervisor did not run.

use std::time::{Duration, Instant};

use conward_testkit::{
    Clocks, Launch, PATIENCE, Place, Running, Script, Step, conward, joined, reference, wait_until,
};
use serde_json::Value;

use crate::control::Control;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// A created container with these steps. `--sync`, since only the spawned process has these clocks.
fn created<'a>(place: &'a Place, script: &Script, args: &[&str]) -> (Running<'a>, Clocks) {
    place.script(script);
    let launch = Launch::create(place).control().args(args).sync();
    let launch = launch.args(["--runtime-arg", "--root", "--runtime-arg"]).arg(place.path("state"));
    let (mut running, clocks) = launch.exit_command("hook.json").start_with_clocks();
    running.go();
    running.pid();
    (running, clocks)
}

fn client(place: &Place) -> Control {
    Control::connect(place, PATIENCE).expect("a client")
}

fn ended_well(place: &Place, running: &mut Running, status: i32) {
    assert_eq!(running.status(), status);
    assert_eq!(place.exit_file(), Some(status.to_string()));
    assert!(place.path("hook.json").exists());
}

/// The log has every line once, and its times do not go back, whatever the wall clock does. They are those of the
/// clock where that goes forward.
#[test]
fn the_wall_clock_goes_back_and_forth() {
    let place = Place::new(conward());
    let steps = [0, -HOUR, DAY, DAY - 1, -30 * DAY, 400 * DAY];
    let mut gates: Vec<_> = (0..steps.len()).map(|nth| place.gate(&format!("gate{nth}"))).collect();
    let lines = gates.iter().zip(0..);
    let lines =
        lines.flat_map(|(gate, nth)| [Step::Await(gate.path().to_owned()), Step::out(&format!("{nth}\n"))]);
    let steps_of_it: Vec<Step> = [Step::AwaitStart].into_iter().chain(lines).chain([Step::Exit(7)]).collect();
    let (mut running, clocks) = created(&place, &Script::of(steps_of_it), &["--timeout", "300"]);
    // The reference has no socket to ask by.
    let mut client = (conward() != reference()).then(|| client(&place));
    match &mut client {
        Some(client) => drop(client.ask("start").expect("an answer")),
        None => place.start_container(),
    }
    for (nth, offset) in steps.into_iter().enumerate() {
        clocks.set_wall(offset);
        gates[nth].open();
        if nth + 1 < steps.len() {
            wait_until("the line is logged", || place.log_records().len() > nth);
            if let Some(client) = &mut client {
                let state = client.ask("state").expect("an answer");
                assert!(state.contains("\"state\":\"running\""), "{offset}: {state}");
            }
            wait_until("it rests", || running.monitor().is_quiet());
        }
    }
    drop(client);
    ended_well(&place, &mut running, 7);
    let records = place.log_records();
    assert_eq!(joined(&records, "stdout"), b"0\n1\n2\n3\n4\n5\n");
    let text = std::fs::read_to_string(place.log()).expect("the log");
    let times: Vec<&str> = text.lines().map(|line| &line[..35]).collect();
    assert!(times.is_sorted(), "{text}");
    // They stand still until the clock has caught up, and follow it where it goes on.
    assert!(times[1] == times[0] && times[4] == times[2], "{text}");
    assert!(times[2] > times[1] && times[5] > times[4], "{text}");
    assert_ne!(times[2][..10], times[1][..10], "a day later: {text}");
}

/// Its time is up after a second of the monotonic clock, whatever the wall clock shows.
#[test]
fn a_time_limit_is_not_the_wall_clocks() {
    for offset in [-DAY, DAY] {
        let place = Place::new(conward());
        let script = Script::of([Step::AwaitStart, Step::Pause]);
        let since = Instant::now();
        let (mut running, clocks) = created(&place, &script, &["--timeout", "1"]);
        clocks.set_wall(offset);
        place.start_container();
        assert!(running.monitor().ended_within(PATIENCE));
        assert!(since.elapsed() >= Duration::from_secs(1), "{offset}: after {:?}", since.elapsed());
        running.status();
        let record = place.path("control").join(place.id());
        assert!(!record.exists(), "{offset}: left behind");
    }
}

/// Events keep their order, and the record is whole, where the end comes before the beginning.
#[test]
fn an_end_before_the_beginning() {
    let place = Place::new(conward());
    let script = Script::of([Step::AwaitStart, Step::out("a line\n"), Step::Exit(7)]);
    let (mut running, clocks) = created(&place, &script, &["--keep-state"]);
    let mut client = client(&place);
    clocks.set_wall(-30 * DAY);
    client.ask("start").expect("an answer");
    let answer = client.ask("wait,\"stage\":\"recorded\"").expect("an answer");
    assert!(answer.contains("\"exit\":{\"code\":7}"), "{answer}");
    let record = std::fs::read(place.path("control").join(place.id()).join("exit.json")).expect("the record");
    let record: Value = serde_json::from_slice(&record).expect("JSON");
    assert_eq!(record["exit"]["code"], 7, "{record}");
    assert_eq!(record["log_complete"], true, "{record}");
    let answer = client.ask("logs").expect("an answer");
    assert!(answer.contains("\"text\":\"a line\""), "{answer}");
    drop(client);
    ended_well(&place, &mut running, 7);
}

/// What has a time limit has reached it when the monotonic clock has: the runtime at work for a request is killed
/// after its 120 seconds, and that is the answer.
#[test]
fn a_runtime_that_hangs_has_its_time() {
    for verb in ["pause", "ps", "exec", "checkpoint"] {
        let place = Place::new(conward());
        let gate = place.gate("gate");
        let hangs = [Step::Touch(place.path("asked")), Step::Pause];
        let steps = [Step::AwaitStart, Step::Touch(place.path("ran")), Step::Await(gate.path().to_owned())];
        let script = Script::of([&steps[..], &[Step::Exit(7)]].concat()).at(verb, hangs.clone());
        let (mut running, clocks) = created(&place, &script, &[]);
        let mut client = client(&place);
        client.ask("start").expect("an answer");
        place.await_file("ran");
        let mut asker = Control::connect(&place, PATIENCE).expect("a client");
        let process = Script { before: hangs.to_vec(), ..Script::of([]) };
        let process = serde_json::to_string(&process).expect("JSON");
        let request = match verb {
            "exec" => format!("exec,\"process\":{{\"args\":[\"x\"],\"cwd\":\"/\",\"script\":{process}}}"),
            "checkpoint" => "checkpoint,\"image\":\"/nonexistent\",\"leave_running\":true".to_owned(),
            verb => verb.to_owned(),
        };
        asker.begin(&request);
        place.await_file("asked");
        // The runtime may be quicker than the supervisor, which has looked at its clock when it answers.
        client.ask("state").expect("an answer");
        clocks.set_monotonic(119);
        client.ask("state").expect("an answer");
        assert!(asker.is_silent(), "{verb}: it was given up too early");
        clocks.set_monotonic(121);
        client.ask("state").expect("an answer");
        let answer = asker.finish(&request).expect("an answer");
        assert!(answer.contains("\"timed-out\""), "{verb}: {answer}");
        wait_until("it rests", || running.monitor().is_quiet());
        drop((client, asker));
        std::fs::write(gate.path(), "\0").expect("a gate");
        ended_well(&place, &mut running, 7);
    }
}
