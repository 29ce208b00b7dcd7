//! `run` without a terminal.

use std::process::Stdio;

use conward_testkit::wait_until;

use crate::{Ctl, known};

#[test]
fn streams_and_status_are_passed_through() {
    let ctl = Ctl::new("cat; echo err >&2; exit 7");
    let done = ctl.run_with_input(&["--rm", "-i"], b"in\n");
    assert_eq!((done.status, done.out.as_str(), done.err.as_str()), (7, "in\n", "err\n"));
    assert!(!known(&ctl), "removed");
    assert_eq!(ctl.list(&[]).len(), 0);
}

#[test]
fn much_input_and_much_output_come_whole() {
    let ctl = Ctl::new("cat");
    let input: Vec<u8> = (0..400_000).flat_map(|number: u32| format!("{number}\n").into_bytes()).collect();
    let done = ctl.run_with_input(&["--rm", "-i"], &input);
    assert_eq!(done.status, 0, "{}", done.err);
    assert!(done.out.as_bytes() == input, "{} bytes came back of {}", done.out.len(), input.len());
}

#[test]
fn without_input_there_is_none() {
    let ctl = Ctl::new("cat; echo over");
    let done = ctl.run_with_input(&[], b"ignored\n");
    assert_eq!((done.status, done.out.as_str()), (0, "over\n"), "{}", done.err);
    assert!(known(&ctl), "without --rm the runtime keeps it");
}

#[test]
fn attached_to_one_without_input() {
    let ctl = Ctl::new("echo ready; trap 'echo over; exit 6' USR1; while :; do sleep 0.05; done");
    ctl.make("run", &["-d"]).ok();
    wait_until("it is ready", || ctl.ctl(&["logs", ctl.id()]).out == "ready\n");
    let command = &mut ctl.command(&["attach", "--replay=100", ctl.id()]);
    let child = command.stdout(Stdio::piped()).spawn().expect("conwardctl attach");
    wait_until("it is attached", || {
        let stats: serde_json::Value =
            serde_json::from_str(&ctl.ctl(&["stats", ctl.id()]).ok()).expect("JSON");
        stats["attachments"] == 1
    });
    ctl.ctl(&["kill", "-s", "USR1", ctl.id()]).ok();
    let output = child.wait_with_output().expect("conwardctl attach");
    assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"ready\nover\n"[..], Some(6)));
}

#[test]
fn signals_are_passed_on() {
    let ctl = Ctl::new("trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.05; done");
    let mut command = ctl.making("run", &["--rm"]);
    let child = command.stdout(Stdio::piped()).spawn().expect("conwardctl run");
    let log = ctl.container.bundle.path("ctr.log");
    wait_until("it is ready", || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("ready")));
    ctl.container.sandbox.script("kill -TERM $(pidof conwardctl)");
    let output = child.wait_with_output().expect("conwardctl run");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ready\ncaught\n");
    assert_eq!(output.status.code(), Some(9));
}

#[test]
fn one_that_is_removed_at_its_end_needs_no_client_for_that() {
    let ctl = Ctl::new("sleep 1000");
    assert_eq!(ctl.make("run", &["-d", "--rm"]).ok(), format!("{}\n", ctl.id()));
    assert_eq!(ctl.ctl(&["kill", ctl.id()]).ok(), format!("{}\n", ctl.id()));
    wait_until("it is removed", || !known(&ctl));
}

#[test]
fn killed_by_a_signal() {
    let ctl = Ctl::new("echo ready; sleep 1000");
    let child = ctl.making("run", &["--rm"]).stdout(Stdio::piped()).spawn().expect("conwardctl run");
    wait_until("it runs", || ctl.list(&["state=running"]).len() == 1);
    ctl.ctl(&["kill", "--signal=SIGKILL", ctl.id()]).ok();
    assert_eq!(child.wait_with_output().expect("conwardctl run").status.code(), Some(137));
}
