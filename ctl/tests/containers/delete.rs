//! What is left of containers, and `delete`.

use conward_testkit::wait_until;
use serde_json::json;

use crate::{Ctl, known};

#[test]
fn one_that_has_ended_is_known_until_it_is_deleted() {
    let ctl = Ctl::new("echo out; exit 7");
    let id = ctl.id();
    assert_eq!(ctl.make("run", &[]).status, 7);
    wait_until("its supervisor has ended", || ctl.list(&["state=stopped"])[0]["alive"] == false);
    let found = &ctl.list(&["state=stopped"])[0];
    assert_eq!((&found["exit"], &found["record"]["exit"]), (&json!({"code": 7}), &json!({"code": 7})));
    assert_eq!((found.get("pid"), found.get("supervisor")), (None, None));
    assert_eq!(ctl.list(&["state=dead"]).len(), 0);
    let table = ctl.ctl(&["ls"]).ok();
    let row: Vec<&str> = table.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(row[..5], [id, "stopped", "7", "-", "-"], "{table}");
    assert_eq!((&ctl.state()["state"], &ctl.state()["exit"]), (&json!("stopped"), &json!({"code": 7})));
    let waited = ctl.ctl(&["wait", "--stage=deleted", id]);
    assert_eq!((waited.status, waited.out.as_str()), (7, "7\n"));
    assert_eq!(ctl.ctl(&["logs", id]).ok(), "out\n");
    let message = ctl.ctl(&["kill", id]).failed(125);
    assert!(message.contains("its supervisor has ended"), "{message}");

    let message = ctl.make("run", &[]).failed(125);
    assert!(message.contains("delete it first"), "{message}");
    assert!(known(&ctl), "runc keeps it");
    assert_eq!(ctl.ctl(&["delete", id]).ok(), format!("{id}\n"));
    assert_eq!((known(&ctl), ctl.list(&[]).len()), (false, 0));
    assert_eq!(ctl.make("run", &["--rm"]).status, 7, "the id is free again");
}

#[test]
fn one_that_runs_is_deleted_by_force_only() {
    let ctl = Ctl::new("sleep 1000");
    let id = ctl.id();
    ctl.make("run", &["-d"]).ok();
    let done = ctl.ctl(&["delete", "nope", id, "neither"]);
    assert!(
        done.err.contains("nope: no container") && done.err.contains("neither: no container"),
        "{done:?}"
    );
    assert!(done.err.contains("delete: the container is running, not stopped"), "{done:?}");
    assert_eq!((done.status, ctl.state()["state"].as_str()), (125, Some("running")));
    let done = ctl.ctl(&["rm", "-f", "nope", id]);
    assert_eq!((done.status, done.out), (125, format!("{id}\n")));
    assert_eq!((known(&ctl), ctl.list(&[]).len()), (false, 0));
}

#[test]
fn one_whose_supervisor_was_killed() {
    let ctl = Ctl::new("sleep 1000");
    let id = ctl.id();
    ctl.make("run", &["-d"]).ok();
    let supervisor = ctl.state()["supervisor"].to_string();
    ctl.container.sandbox.script(&format!("kill -KILL {supervisor}"));
    wait_until("the supervisor is dead", || ctl.list(&["state=dead"]).len() == 1);
    let message = ctl.ctl(&["wait", id]).failed(125);
    assert!(message.contains("its supervisor has ended"), "nobody knows: {message}");
    let message = ctl.ctl(&["delete", id]).failed(125);
    assert!(message.contains("it is running without a supervisor: -f kills it"), "{message}");
    assert!(known(&ctl));
    ctl.ctl(&["delete", "-f", id]).ok();
    assert_eq!((known(&ctl), ctl.list(&[]).len()), (false, 0));
}

#[test]
fn one_that_the_runtime_has_forgotten() {
    let ctl = Ctl::new("true");
    let id = ctl.id();
    ctl.make("run", &[]).ok();
    wait_until("its supervisor has ended", || ctl.list(&["state=stopped"])[0]["alive"] == false);
    assert!(ctl.container.runc(&["delete", id]).status.success());
    assert_eq!(ctl.ctl(&["delete", id]).ok(), format!("{id}\n"));
    assert_eq!(ctl.list(&[]).len(), 0);
    // A directory that says nothing.
    ctl.container.sandbox.script(&format!("mkdir /run/conward/{id}"));
    let message = ctl.ctl(&["delete", id]).failed(125);
    assert!(message.contains("has left no state file"), "{message}");
    ctl.ctl(&["delete", "-f", id]).ok();
    assert_eq!(ctl.list(&[]).len(), 0);
}

#[test]
fn filters_by_annotation() {
    let ctl = Ctl::new("sleep 1000");
    ctl.change(|config| config["annotations"] = json!({"org.example.role": "web", "empty": ""}));
    ctl.make("run", &["-d"]).ok();
    for (filters, found) in [
        (&["annotation=org.example.role"][..], 1),
        (&["annotation=org.example.role=web"], 1),
        (&["annotation=org.example.role=db"], 0),
        (&["annotation=none"], 0),
        (&["annotation=empty=", "annotation=org.example.role=web", "state=running"], 1),
        (&["annotation=empty=", "state=paused"], 0),
    ] {
        assert_eq!(ctl.list(filters).len(), found, "{filters:?}");
    }
    ctl.ctl(&["kill", ctl.id()]).ok();
    wait_until("it has ended", || ctl.list(&["annotation=org.example.role=web", "state=stopped"]).len() == 1);
}
