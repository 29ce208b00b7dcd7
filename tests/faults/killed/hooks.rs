//! What the supervisor runs at the end: hooks, the exit command.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use conward_testkit::{
    Launch, PATIENCE, Place, Process, Script, Step, children, conward, wait_for, wait_until,
};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Moments, pass, rounds};

/// A shell script that is a hook.
fn hook(place: &Place, name: &str, text: &str) -> String {
    let path = place.path(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a hook");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    path.display().to_string()
}

/// A hook that is killed is told as that in the record, which was there before; it changes no status, and the
/// next one runs.
#[test]
fn a_hook() {
    let mut moments = Moments::new();
    for round in rounds(30) {
        let place = Place::new(conward());
        place.script(&Script::of([Step::AwaitStart, Step::Exit(7)]));
        let pid = place.path("hook.pid").display().to_string();
        let hangs =
            hook(&place, "hangs", &format!("echo $$ >{pid}.new; mv {pid}.new {pid}; exec sleep 1000"));
        let after = hook(&place, "after", &format!("cp /dev/stdin {}", place.path("state.json").display()));
        let launch = Launch::create(&place).control();
        let launch = launch.arg(format!("--hook=exited={hangs}")).arg(format!("--hook=exited={after}"));
        let mut running = launch.exit_command("hook.json").start().created();
        let supervisor = running.monitor().pid();
        place.start_container();
        // In half of the rounds before its first word is out.
        let early = round % 2 == 0;
        let hook = if early {
            wait_until("the exit file", || place.exit_file().is_some());
            let record = place.path("control").join(place.id()).join("exit.json");
            wait_until("the record", || record.exists());
            wait_for("the hook", PATIENCE, || children(supervisor).pop())
        } else {
            place.await_file("hook.pid").trim().parse().expect("a pid")
        };
        pass(moments.next(Duration::from_millis(3)));
        assert!(Process::open(hook).expect("the hook").kill(Signal::SIGKILL), "round {round}");
        assert_eq!(running.status(), 7, "round {round}");
        assert_eq!(place.exit_file().as_deref(), Some("7"), "round {round}");
        assert!(place.path("hook.json").exists(), "round {round}");
        // The state that the next hook was given has the record of before.
        let state: Value = serde_json::from_str(&place.await_file("state.json")).expect("JSON");
        let record = state["annotations"].as_object().and_then(|all| all.values().next()).expect("a record");
        let record: Value = serde_json::from_str(record.as_str().expect("text")).expect("JSON");
        assert_eq!(record["exit"]["code"], 7, "round {round}: {record}");
        assert_eq!(record["hooks"][0]["exit"]["signal"], 9, "round {round}: {record}");
    }
}

/// An exit command that is killed changes no status, and the supervisor ends.
#[test]
fn the_exit_command() {
    let mut moments = Moments::new();
    for round in rounds(30) {
        let place = Place::new(conward());
        let gate = place.gate("gate");
        place.script(&Script::of([Step::AwaitStart, Step::Exit(7)]));
        let mut running = Launch::create(&place).gated_exit_command("hook.json", &gate).start().created();
        let supervisor = running.monitor().pid();
        place.start_container();
        let hook = wait_for("the exit command", PATIENCE, || children(supervisor).pop());
        pass(moments.next(Duration::from_millis(3)));
        // It may be the container, which is about to be reaped.
        let hook = Process::open(hook);
        if place.exit_file().is_some() {
            hook.map(|hook| hook.kill(Signal::SIGKILL));
        }
        wait_until("the exit file", || place.exit_file().is_some());
        children(supervisor).into_iter().filter_map(Process::open).for_each(|hook| {
            hook.kill(Signal::SIGKILL);
        });
        // One that came after all of this is let go.
        let mut gate = gate;
        gate.open();
        assert_eq!(running.status(), 7, "round {round}");
        assert_eq!(place.persist_exit().as_deref(), Some("7"), "round {round}");
    }
}
