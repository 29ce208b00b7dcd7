//! Containers that Podman has started, seen by conwardctl: their supervisors have a control socket too.

use std::process::Stdio;

use conward_testkit::podman::{IMAGE, LIMIT, Podman};
use conward_testkit::sandbox::{feed, succeed};
use conward_testkit::{conwardctl, wait_for};
use serde_json::{Value, json};

fn ctl(podman: &Podman, args: &[&str]) -> std::process::Command {
    let mut command = podman.sandbox.limited(conwardctl().to_str().expect("a path of ASCII"));
    command.args(args);
    command
}

fn told(podman: &Podman, args: &[&str]) -> Value {
    let text = succeed(&mut ctl(podman, args), &format!("conwardctl {args:?}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("conwardctl {args:?}: {error}: {text}"))
}

#[test]
fn seen_asked_and_waited_for() {
    let podman = Podman::root();
    let script = "echo hello; sleep 1000";
    let id = podman.ok(&["run", "-d", "--name", "c", "--annotation", "role=web", IMAGE, "sh", "-c", script]);
    let id = id.trim();
    for (filters, found) in [
        (&["--filter=annotation=role=web", "--filter=status=running"][..], 1),
        (&["--filter=annotation=role=db"], 0),
    ] {
        let listed = told(&podman, &[&["ls", "--format=json"], filters].concat());
        assert_eq!(listed.as_array().expect("an array").len(), found, "{filters:?}: {listed}");
    }
    // An id may be shortened, as with Podman.
    let state = told(&podman, &["state", &id[..12]]);
    assert_eq!((&state["id"], &state["state"], &state["name"]), (&json!(id), &json!("running"), &json!("c")));
    assert_eq!(state["pid"].to_string(), podman.inspect("c", ".State.Pid"));
    wait_for("its output is counted", LIMIT, || {
        (told(&podman, &["stats", id])["streams"][0]["read"] == 6).then_some(())
    });
    assert_eq!(succeed(&mut ctl(&podman, &["logs", id]), "logs"), "hello\n");

    let waiting = ctl(&podman, &["wait", id]).stdout(Stdio::piped()).spawn().expect("conwardctl wait");
    podman.ok(&["kill", "c"]);
    let waited = waiting.wait_with_output().expect("conwardctl wait");
    assert_eq!((waited.stdout.as_slice(), waited.status.code()), (&b"137\n"[..], Some(137)));
    wait_for("nothing of it is left", LIMIT, || {
        (told(&podman, &["ls", "--format=json"]) == json!([])).then_some(())
    });
    assert_eq!(podman.inspect("c", ".State.ExitCode"), "137");
}

#[test]
fn attached_to_beside_podman() {
    let podman = Podman::root();
    podman.ok(&[
        "run",
        "-d",
        "-i",
        "--name",
        "c",
        IMAGE,
        "sh",
        "-c",
        "echo ready; read x; echo got $x; exit 5",
    ]);
    let id = podman.inspect("c", ".Id");
    wait_for("it is ready", LIMIT, || podman.ok(&["logs", "c"]).contains("ready").then_some(()));
    let attached = feed(&mut ctl(&podman, &["attach", "--replay=100", &id]), b"it\n", "conwardctl attach");
    assert_eq!(String::from_utf8_lossy(&attached.stdout), "ready\ngot it\n");
    assert_eq!(attached.status.code(), Some(5));
    assert_eq!(podman.ok(&["wait", "c"]).trim(), "5");
    assert_eq!(podman.ok(&["logs", "c"]), "ready\ngot it\n");
}
