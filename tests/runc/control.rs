//! The control socket, with the runtime that does the work.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use conward_testkit::runc::{Container, LIMIT, Supervisor};
use conward_testkit::wait_for;
use serde_json::{Value, json};

/// A manager's connection.
pub struct Manager {
    lines: BufReader<UnixStream>,
}

impl Manager {
    /// Connects, and reads the greeting.
    pub fn connect(container: &Container) -> Manager {
        let path = container.path("control").join(&container.id).join("control.sock");
        let socket = UnixStream::connect(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        socket.set_read_timeout(Some(LIMIT)).expect("a time limit");
        let mut manager = Manager { lines: BufReader::new(socket) };
        assert_eq!(manager.line()["id"], json!(container.id));
        manager
    }

    pub fn line(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("line {line:?}: {e}"))
    }

    pub fn send(&mut self, line: &str) {
        self.lines.get_mut().write_all(format!("{line}\n").as_bytes()).expect("sending a request");
    }

    /// Sends a request, and gives the answer.
    pub fn ask(&mut self, line: &str) -> Value {
        self.send(line);
        self.line()
    }

    /// The same for one that must succeed: what is under `ok`.
    pub fn done(&mut self, line: &str) -> Value {
        let mut answer = self.ask(line);
        assert!(answer.get("ok").is_some(), "{line}: {answer}");
        answer["ok"].take()
    }

    /// The next event's name, and the event.
    fn event(&mut self) -> (String, Value) {
        let event = self.line();
        (event["event"].as_str().unwrap_or_else(|| panic!("no event: {event}")).to_owned(), event)
    }
}

/// Creates a container, and connects to its supervisor.
pub fn created(container: &Container) -> (Supervisor, i32, Manager) {
    let control = container.path("control").display().to_string();
    let mut supervisor = container.create(&["--control-dir", &control]);
    let pid = supervisor.pid();
    (supervisor, pid, Manager::connect(container))
}

/// The same, started by request.
pub fn running(container: &Container) -> (Supervisor, i32, Manager) {
    let (supervisor, pid, mut manager) = created(container);
    assert_eq!(manager.done("start"), json!({"pid": pid}));
    (supervisor, pid, manager)
}

/// Puts a script before runc that fails, after some words of shell, where it is to freeze or kill all.
fn crippled(container: &Container, first: &str) -> String {
    let path = container.path("runtime");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *' pause '*|*' resume '*|*' kill --all'*) {first}; echo no >&2; exit 1;; esac\nexec runc \"$@\"\n"
    );
    std::fs::write(&path, script).expect("writing the runtime");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("chmod of the runtime");
    path.display().to_string()
}

fn deaf() -> Container {
    Container::new(&["sh", "-c", "trap '' TERM; echo armed; while :; do sleep 1000; done"])
}

/// Waits until the container has said so.
fn armed(container: &Container) {
    wait_for("the container's word", LIMIT, || container.logged("stdout").contains("armed").then_some(()));
}

fn freezer(container: &Container) -> String {
    std::fs::read_to_string(format!("/sys/fs/cgroup/freezer/{}/freezer.state", container.id))
        .unwrap_or_default()
}

#[test]
fn a_container_is_started_frozen_and_thawed() {
    let container = Container::new(&["sleep", "1000"]);
    let (_supervisor, _, mut manager) = created(&container);
    assert_eq!(manager.done("state")["state"], "created");
    manager.done("start");
    assert_eq!(container.status(), "running");
    manager.done("pause");
    assert_eq!((container.status().as_str(), &manager.done("state")["state"]), ("paused", &json!("paused")));
    assert_eq!(manager.ask("pause")["error"]["code"], "wrong-state");
    manager.done("resume");
    assert_eq!(container.status(), "running");
    manager.done("kill KILL");
    assert_eq!(container.exit_file(), "137");
}

#[test]
fn processes_are_those_of_the_container() {
    let container = Container::new(&["sh", "-c", "sleep 1001 & sleep 1002 & echo armed; wait"]);
    let (_supervisor, pid, mut manager) = running(&container);
    armed(&container);
    let found = wait_for("three processes", LIMIT, || {
        let found = manager.done("ps")["processes"].take();
        let sleeps = found
            .as_array()?
            .iter()
            .filter(|p| p["command"].as_str().is_some_and(|c| c.starts_with("sleep 100")));
        (sleeps.count() >= 2).then_some(found)
    });
    assert!(
        found.as_array().expect("an array").iter().any(|process| process["pid"] == json!(pid)),
        "{found}"
    );
    let commands: Vec<&str> = found
        .as_array()
        .expect("an array")
        .iter()
        .filter_map(|process| process["command"].as_str())
        .collect();
    assert!(commands.contains(&"sleep 1001") && commands.contains(&"sleep 1002"), "{commands:?}");
    manager.done("kill KILL");
}

#[test]
fn numbers_are_those_of_the_streams_and_of_the_runtime() {
    let container = Container::new(&["sh", "-c", "echo armed; echo err >&2; exec cat"]);
    let control = container.path("control").display().to_string();
    let (_supervisor, _) = container.run(&["-i", "--control-dir", &control]);
    let mut manager = Manager::connect(&container);
    let client = container.attach();
    client.send(b"12345\n");
    wait_for("the echo in the log", LIMIT, || container.logged("stdout").contains("12345").then_some(()));
    let stats = wait_for("all counts", LIMIT, || {
        let stats = manager.done("stats");
        (stats["streams"][1]["read"] == 4).then_some(stats)
    });
    assert_eq!(stats["streams"][0], json!({"stream": "stdout", "read": 12, "ended": false}));
    let log = container.path("ctr.log");
    assert_eq!(
        stats["sinks"][0],
        json!({"sink": "k8s-file", "path": log, "stream": "stdout", "logged": 12, "dropped": 0, "withheld": 0})
    );
    assert_eq!(
        (&stats["stdin"], &stats["clients"], &stats["attachments"]),
        (&json!(6), &json!(1), &json!(1))
    );
    assert!(stats["runtime"]["cpu"]["usage"]["total"].as_u64().is_some_and(|total| total > 0), "{stats}");
    assert!(stats["uptime_ms"].as_u64().is_some_and(|uptime| uptime > 0), "{stats}");
    client.end_input();
    assert_eq!(container.exit_file(), "0");
}

#[test]
fn limits_are_changed() {
    let container =
        Container::with(conward_testkit::bundle::process(&["sleep", "1000"], false), Some(64 << 20));
    let (_supervisor, _, mut manager) = running(&container);
    let limit = format!("/sys/fs/cgroup/memory/{}/memory.limit_in_bytes", container.id);
    manager.done(r#"{"op":"update","resources":{"memory":{"limit":33554432}}}"#);
    assert_eq!(std::fs::read_to_string(&limit).expect("the limit").trim(), "33554432");
    let answer = manager.ask(r#"{"op":"update","resources":{"memory":{"limit":1}}}"#);
    assert_eq!(answer["error"]["code"], "runtime-failed", "{answer}");
    assert!(answer["error"]["message"].as_str().is_some_and(|text| text.len() > 20), "{answer}");
    manager.done("kill KILL");
}

#[test]
fn a_container_that_hears_the_signal_ends_by_it() {
    let container =
        Container::new(&["sh", "-c", "trap 'exit 3' INT; echo armed; while :; do sleep 0.1; done"]);
    let (_supervisor, _, mut manager) = running(&container);
    armed(&container);
    assert_eq!(manager.done("stop INT"), json!({"by": "signal", "exit": {"code": 3}}));
    assert_eq!(container.exit_file(), "3");
}

#[test]
fn the_annotation_of_the_image_names_the_signal() {
    let container =
        Container::new(&["sh", "-c", "trap 'exit 4' QUIT; echo armed; while :; do sleep 0.1; done"]);
    let config = container.bundle.path("config.json");
    let mut text: Value = serde_json::from_slice(&std::fs::read(&config).expect("the config")).expect("JSON");
    text["annotations"] = json!({"org.opencontainers.image.stopSignal": "SIGQUIT"});
    std::fs::write(&config, text.to_string()).expect("writing the config");
    let (_supervisor, _, mut manager) = running(&container);
    armed(&container);
    assert_eq!(manager.done("stop"), json!({"by": "signal", "exit": {"code": 4}}));
}

#[test]
fn a_container_that_ignores_the_signal_is_killed_with_all_it_has() {
    let container = deaf();
    let (_supervisor, _, mut manager) = running(&container);
    armed(&container);
    manager.done("subscribe");
    manager.send("stop timeout_ms=200");
    let (name, event) = manager.event();
    assert_eq!((name.as_str(), &event["signal"]), ("signalled", &json!("TERM")), "{event}");
    let (name, event) = manager.event();
    assert_eq!((name.as_str(), &event["signal"], &event["all"]), ("signalled", &json!("KILL"), &json!(true)));
    assert_eq!(event["cause"], json!({"by": "timeout"}));
    let (name, event) = manager.event();
    assert_eq!((name.as_str(), &event["cause"]), ("exited", &json!({"by": "timeout"})));
    assert_eq!(manager.line()["ok"], json!({"by": "kill", "exit": {"signal": 9}}));
    assert_eq!(container.exit_file(), "137");
    wait_for("nothing to be frozen", LIMIT, || (!freezer(&container).contains("FRO")).then_some(()));
}

#[test]
fn a_runtime_that_fails_does_not_save_a_container() {
    let container = deaf();
    let runtime = crippled(&container, "true");
    let control = container.path("control").display().to_string();
    let (_supervisor, _) = container.run(&["--control-dir", &control, "-r", &runtime]);
    let mut manager = Manager::connect(&container);
    armed(&container);
    assert_eq!(manager.ask("pause"), json!({"error": {"code": "runtime-failed", "message": "pause: no"}}));
    assert_eq!(manager.done("stop timeout_ms=0"), json!({"by": "kill", "exit": {"signal": 9}}));
}

#[test]
fn two_stops_at_once_are_both_answered() {
    let container = deaf();
    let (_supervisor, _, mut first) = running(&container);
    armed(&container);
    let mut second = Manager::connect(&container);
    first.send("stop timeout_ms=3600000");
    // The shorter time counts.
    assert_eq!(second.done("stop timeout_ms=0"), json!({"by": "kill", "exit": {"signal": 9}}));
    assert_eq!(first.line()["ok"], json!({"by": "kill", "exit": {"signal": 9}}));
}

#[test]
fn a_stop_is_answered_when_the_container_ends_by_other_means() {
    let container = deaf();
    let (_supervisor, _, mut manager) = running(&container);
    armed(&container);
    manager.send(r#"{"op":"stop","timeout_ms":3600000,"tag":1}"#);
    manager.send(r#"{"op":"kill","signal":"KILL","tag":2}"#);
    assert_eq!(manager.line(), json!({"tag": 2, "ok": {}}));
    assert_eq!(manager.line(), json!({"tag": 1, "ok": {"by": "signal", "exit": {"signal": 9}}}));
}

#[test]
fn a_paused_container_gets_its_chance_too() {
    let container =
        Container::new(&["sh", "-c", "trap 'exit 5' TERM; echo armed; while :; do sleep 0.1; done"]);
    let (_supervisor, _, mut manager) = running(&container);
    armed(&container);
    manager.done("pause");
    assert_eq!(manager.done("stop timeout_ms=20000"), json!({"by": "signal", "exit": {"code": 5}}));
}

#[test]
fn a_paused_container_can_be_killed_at_once() {
    let container = deaf();
    let (_supervisor, _, mut manager) = running(&container);
    armed(&container);
    manager.done("pause");
    assert_eq!(manager.done("stop timeout_ms=0"), json!({"by": "kill", "exit": {"signal": 9}}));
    assert_eq!(container.exit_file(), "137");
}

#[test]
fn a_container_that_was_never_started_can_be_stopped() {
    let container = Container::new(&["sleep", "1000"]);
    let (_supervisor, _, mut manager) = created(&container);
    let answer = manager.done("stop timeout_ms=0");
    assert_eq!(answer, json!({"by": "kill", "exit": {"signal": 9}}));
    assert_eq!(container.exit_file(), "137");
}

#[test]
fn diagnostics_are_kept_and_their_level_changes() {
    let container = Container::new(&["sleep", "1000"]);
    let (_supervisor, _, mut manager) = running(&container);
    let before = manager.done("debug trace");
    assert_eq!(before["level"], "trace");
    // What is passed on to the container, and ignored by the first process of a namespace, is told.
    container.sandbox.script(&format!("kill -TERM $(cat {})", container.path("supervisor.pid").display()));
    let said = wait_for("a line of level trace", LIMIT, || {
        let said = manager.done("debug");
        let told = |line: &Value| line["level"] == "trace";
        said["lines"].as_array().is_some_and(|lines| lines.iter().any(told)).then_some(said)
    });
    assert_eq!(said["level"], "trace");
    let last = said["lines"].as_array().and_then(|lines| lines.last()).expect("a line")["seq"].clone();
    assert_eq!(manager.done("debug error")["level"], "error");
    let later = manager.done(&format!("debug since={last}"));
    assert_eq!((&later["level"], &later["missed"]), (&json!("error"), &json!(0)));
    manager.done("kill KILL");
}

#[test]
fn all_processes_get_a_signal() {
    let script =
        "trap 'echo first' USR1; sh -c 'trap \"echo second\" USR1; echo armed; while :; do sleep 0.1; done' &
        while :; do sleep 0.1; done";
    let container = Container::new(&["sh", "-c", script]);
    let (_supervisor, _, mut manager) = running(&container);
    armed(&container);
    manager.done("subscribe");
    manager.send("kill USR1 all");
    let (name, event) = manager.event();
    assert_eq!((name.as_str(), &event["signal"], &event["all"]), ("signalled", &json!("USR1"), &json!(true)));
    assert_eq!(manager.line()["ok"], json!({}));
    wait_for("both words", LIMIT, || {
        let said = container.logged("stdout");
        (said.contains("first") && said.contains("second")).then_some(())
    });
}

#[test]
fn requests_leave_nothing_behind() {
    let container = Container::new(&["sleep", "1000"]);
    let (_supervisor, _, mut manager) = running(&container);
    let pid = std::fs::read_to_string(container.path("supervisor.pid")).expect("the supervisor's pid file");
    let proc = container.sandbox.proc(pid.parse().expect("a pid and nothing else"));
    let open = || std::fs::read_dir(proc.join("fd")).expect("its descriptors").count();
    let children = |proc: &std::path::Path| {
        let thread = proc.join("task").join(proc.file_name().expect("a pid")).join("children");
        std::fs::read_to_string(thread).expect("its children").split_whitespace().count()
    };
    // The answer to `start` may come before its state file is written; the next one comes after that.
    manager.done("state");
    let before = (open(), children(&proc));
    // Ten of a kind at once, and then ten of the next.
    for request in ["ps", "stats", r#"{"op":"update","resources":{"pids":{"limit":1000}}}"#] {
        (0..10).for_each(|_| manager.send(request));
        (0..10).for_each(|_| drop(manager.line()));
    }
    // The last answer may come just before the last descriptor goes.
    wait_for("nothing is left", LIMIT, || ((open(), children(&proc)) == before).then_some(()));
}
