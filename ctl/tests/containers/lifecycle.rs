//! From `create` to `wait`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use conward_testkit::wait_until;

use crate::Ctl;

#[test]
fn create_start_pause_resume_kill_wait() {
    let ctl = Ctl::new("sleep 1000");
    let id = ctl.id();
    assert_eq!(ctl.make("create", &[]).ok(), format!("{id}\n"));
    assert_eq!(ctl.state()["state"], "created");
    let waiting = ctl.command(&["wait", id]).stdout(Stdio::piped()).spawn().expect("conwardctl wait");
    // The last letters may be left out.
    for (verb, state) in [("start", "running"), ("pause", "paused"), ("resume", "running")] {
        assert_eq!(ctl.ctl(&[verb, &id[..id.len() - 1]]).ok(), format!("{id}\n"));
        assert_eq!(ctl.state()["state"], state, "after {verb}");
    }
    assert_eq!(ctl.container.status(), "running");
    let again = ctl.ctl(&["start", id]).failed(125);
    assert!(again.contains("start: the container is running, not created"), "{again}");

    let following = ctl.command(&["events", "-f", "--since=0", id]).stdout(Stdio::piped()).spawn();
    let mut following = following.expect("conwardctl events");
    let mut lines = BufReader::new(following.stdout.take().expect("piped stdout")).lines();
    let mut heard = || lines.next().map(|line| line.expect("text"));
    while heard().expect("an event").split_whitespace().nth(2) != Some("resumed") {}
    let held = ctl.ctl(&["events", "--format=json", id]).ok();
    let named = |line: &str| -> String {
        let event: serde_json::Value = serde_json::from_str(line).expect("an event");
        event["event"].as_str().expect("a name").to_owned()
    };
    let names: Vec<String> = held.lines().map(named).collect();
    assert_eq!(names, ["created", "started", "paused", "resumed"]);

    assert_eq!(ctl.ctl(&["kill", id]).ok(), format!("{id}\n"));
    let waited = waiting.wait_with_output().expect("conwardctl wait");
    assert_eq!((waited.stdout.as_slice(), waited.status.code()), (&b"137\n"[..], Some(137)));
    assert_eq!(ctl.ctl(&["delete", id]).ok(), format!("{id}\n"));
    let followed: String = std::iter::from_fn(heard).collect();
    assert!(following.wait().expect("conwardctl events").success());
    let at = |text: &str| followed.find(text).unwrap_or_else(|| panic!("{text}: {followed}"));
    assert!(at(" signalled ") < at(" exited ") && at(" deleting") < at(" deleted "), "{followed}");
    assert!(followed.contains("exit.signal=9"), "{followed}");
}

#[test]
fn ls_shows_the_living_and_the_dead() {
    let ctl = Ctl::new("sleep 1000");
    let id = ctl.id();
    assert_eq!(ctl.list(&[]), Vec::<serde_json::Value>::new());
    ctl.make("run", &["-d"]).ok();
    let table = ctl.ctl(&["ls"]).ok();
    let mut lines = table.lines();
    assert!(lines.next().expect("headings").starts_with("ID "), "{table}");
    let row = lines.next().expect("a row");
    assert!(row.starts_with(id) && row.contains(" running "), "{table}");
    assert_eq!(ctl.ctl(&["ls", "-q"]).ok(), format!("{id}\n"));
    let found = ctl.list(&["state=running"]);
    assert_eq!((&found[0]["id"], &found[0]["alive"]), (&id.into(), &true.into()));
    assert_eq!(ctl.list(&["state=created"]).len(), 0);
    assert_eq!(ctl.list(&["state=created", "state=running"]).len(), 1);

    let supervisor = ctl.state()["supervisor"].to_string();
    ctl.container.sandbox.script(&format!("kill -KILL {supervisor}"));
    wait_until("the supervisor is dead", || ctl.list(&["state=dead"]).len() == 1);
    let found = ctl.list(&[]);
    assert_eq!((&found[0]["state"], &found[0]["alive"]), (&"dead".into(), &false.into()));
    assert!(ctl.ctl(&["ls"]).ok().contains(" dead "));
    let message = ctl.ctl(&["kill", id]).failed(125);
    assert!(message.contains("its supervisor has ended"), "{message}");
}

#[test]
fn logs_are_the_output() {
    let ctl = Ctl::new("printf 'a\\nb\\nc'; echo oops >&2; read x; echo end");
    let id = ctl.id();
    ctl.make("create", &["-i"]).ok();
    let following = ctl.command(&["logs", "-f", id]).stdout(Stdio::piped()).spawn().expect("logs -f");
    ctl.ctl(&["start", id]).ok();
    wait_until("all is logged", || ctl.ctl(&["logs", id]).ok() == "a\nb\nc");
    assert_eq!(ctl.ctl(&["logs", id]).err, "oops\n");
    assert_eq!(ctl.ctl(&["logs", "--tail=1", "-t", id]).out.len(), 0, "the last is of stderr");
    assert_eq!(ctl.ctl(&["logs", "-n0", id]).out, "");
    assert_eq!(ctl.ctl(&["logs", "--since=1h", id]).ok(), "a\nb\nc");
    assert_eq!(ctl.ctl(&["logs", "--since=2999-01-01T00:00:00Z", id]).ok(), "");
    assert!(ctl.ctl(&["logs", "--since=yesterday", id]).failed(125).contains("how long ago"));
    let stamped = ctl.ctl(&["logs", "-t", "--tail=3", id]).ok();
    assert!(stamped.lines().all(|line| line.starts_with("20") && line.contains("Z ")), "{stamped}");
    assert_eq!(stamped.lines().count(), 2, "{stamped}");
    let attached = conward_testkit::sandbox::feed(&mut ctl.command(&["attach", id]), b"go\n", "attach");
    assert_eq!(String::from_utf8_lossy(&attached.stdout), "end\n");
    assert_eq!(attached.status.code(), Some(0));
    let followed = following.wait_with_output().expect("logs -f");
    assert_eq!(String::from_utf8_lossy(&followed.stdout), "a\nb\ncend\n");
    assert_eq!(followed.status.code(), Some(0));
}

#[test]
fn the_log_of_a_dead_supervisor_is_read_from_its_files() {
    let ctl = Ctl::new("echo a; echo b; echo oops >&2; sleep 1000");
    let id = ctl.id();
    ctl.make("run", &["-d"]).ok();
    wait_until("all is logged", || ctl.ctl(&["logs", id]).err == "oops\n");
    let alive = [ctl.ctl(&["logs", id]), ctl.ctl(&["logs", "-t", "-n1", id])];
    let log = ctl.state()["log"].as_str().expect("a log file").to_owned();
    let (state, supervisor) = (ctl.state().to_string(), ctl.state()["supervisor"].to_string());
    ctl.container.sandbox.script(&format!("kill -KILL {supervisor}"));
    wait_until("the supervisor is dead", || ctl.list(&["state=dead"]).len() == 1);
    ctl.container.sandbox.script(&format!("echo '{state}' >/run/conward/{id}/state.json"));
    for (alive, dead) in alive.into_iter().zip([ctl.ctl(&["logs", id]), ctl.ctl(&["logs", "-t", "-n1", id])])
    {
        assert_eq!((alive.out, alive.err), (dead.out, dead.err));
    }
    std::fs::write(format!("{log}.1"), "2026-11-21T17:32:00.5+00:00 stdout F old\n").expect("an old file");
    assert_eq!(ctl.ctl(&["logs", "-n9", id]).ok(), "old\na\nb\n");
    assert_eq!(ctl.ctl(&["logs", "-f", "--since=1h", id]).ok(), "a\nb\n");
}

#[test]
fn stopped_by_its_signal_or_by_force() {
    for (trap, by) in [("exit 3", 3), (":", 137)] {
        let ctl = Ctl::new(&format!("trap '{trap}' TERM; echo ready; while :; do sleep 0.05; done"));
        let id = ctl.id();
        ctl.make("run", &["-d"]).ok();
        let waiting = ctl.command(&["wait", id]).stdout(Stdio::piped()).spawn().expect("conwardctl wait");
        wait_until("it is ready", || ctl.ctl(&["logs", id]).out == "ready\n");
        assert_eq!(ctl.ctl(&["stop", "-t", "1", id]).ok(), format!("{id}\n"));
        let waited = waiting.wait_with_output().expect("conwardctl wait");
        assert_eq!(waited.status.code(), Some(by), "with trap {trap}");
    }
}

#[test]
fn processes_numbers_limits_and_diagnostics() {
    let ctl = Ctl::new("echo 12345; sleep 1000");
    let id = ctl.id();
    ctl.make("run", &["-d"]).ok();
    let pid = ctl.state()["pid"].to_string();
    let listed = ctl.ctl(&["ps", id]).ok();
    assert!(listed.starts_with("PID") && listed.contains(&pid), "{listed}");
    wait_until("output is counted", || {
        let stats: serde_json::Value = serde_json::from_str(&ctl.ctl(&["stats", id]).ok()).expect("JSON");
        stats["streams"][0]["read"] == 6
    });
    let resources = br#"{"pids":{"limit":77}}"#;
    let updated =
        conward_testkit::sandbox::feed(&mut ctl.command(&["update", "-r-", id]), resources, "update");
    assert_eq!(updated.status.code(), Some(0), "{}", String::from_utf8_lossy(&updated.stderr));
    assert!(ctl.ctl(&["events", id]).ok().contains(" updated "));
    ctl.ctl(&["debug", "--level=trace", id]).ok();
}
