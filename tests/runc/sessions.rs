//! Exec sessions of the control socket, with the runtime that does the work.

use std::fs::File;
use std::io::Write;

use conward_protocol::client::Client;
use conward_protocol::request::{Exec, Stdin, Stream};
use conward_protocol::{Body, Request};
use conward_testkit::bundle::process;
use conward_testkit::runc::{Container, LIMIT};
use conward_testkit::{read_to_end, wait_for};
use serde_json::{Value, json};

use crate::control::{Manager, running};

/// Asks for a session, and gives what is under `ok`.
fn exec(manager: &mut Manager, args: &[&str], more: Value) -> Value {
    manager.done(&request(process(args, false), more))
}

fn request(process: Value, more: Value) -> String {
    let mut request = json!({"op": "exec", "process": process});
    for (name, value) in more.as_object().expect("fields") {
        request[name] = value.clone();
    }
    request.to_string()
}

/// Waits for a session's end.
fn exit(manager: &mut Manager, started: &Value) -> Value {
    let name = started["exec"].as_str().expect("a name");
    manager.done(&format!("wait exec={name}"))["exit"].take()
}

fn sleeping() -> Container {
    Container::new(&["sleep", "1000"])
}

/// The container's processes of this name, as numbers in the sandbox.
fn processes(container: &Container, name: &str) -> String {
    container.sandbox.script(&format!("pgrep -x {name} || true"))
}

#[test]
fn every_end_is_told_as_it_was() {
    let container = sleeping();
    let (_supervisor, _, mut manager) = running(&container);
    for (script, wanted) in [
        ("exit 0", json!({"code": 0})),
        ("exit 7", json!({"code": 7})),
        ("kill -KILL $$", json!({"signal": 9})),
        ("kill $$", json!({"signal": 15})),
    ] {
        let started = exec(&mut manager, &["sh", "-c", script], json!({}));
        assert_eq!(exit(&mut manager, &started), wanted, "{script}");
    }
    let started = exec(&mut manager, &["sleep", "1001"], json!({"id": "s"}));
    assert_eq!(started["exec"], "s");
    let pid = started["pid"].as_i64().expect("a pid");
    let found = manager.done("ps");
    let is_it = |found: &Value| found["pid"] == pid && found["command"] == "sleep 1001";
    assert!(found["processes"].as_array().expect("an array").iter().any(is_it), "{found}");
    manager.done("kill KILL exec=s");
    assert_eq!(exit(&mut manager, &started), json!({"signal": 9}));
    assert_eq!(container.status(), "running", "the container itself goes on");
}

#[test]
fn a_created_container_can_have_one_too() {
    let container = sleeping();
    let (_supervisor, _, mut manager) = crate::control::created(&container);
    let started = exec(&mut manager, &["sh", "-c", "exit 5"], json!({}));
    assert_eq!(exit(&mut manager, &started), json!({"code": 5}));
    assert_eq!(manager.done("state")["state"], "created");
}

#[test]
fn a_command_that_is_not_there_is_told_by_the_runtime() {
    let container = sleeping();
    let (_supervisor, _, mut manager) = running(&container);
    for terminal in [false, true] {
        let answer = manager.ask(&request(process(&["/no/such/program"], terminal), json!({})));
        assert_eq!(answer["error"]["code"], "runtime-failed", "{answer}");
        let message = answer["error"]["message"].as_str().expect("a text");
        assert!(message.starts_with("exec: ") && message.contains("/no/such/program"), "{message}");
    }
    let names = std::fs::read_dir(container.path("control").join(&container.id)).expect("the directory");
    let names: Vec<_> = names.map(|entry| entry.expect("an entry").file_name()).collect();
    assert!(names.iter().all(|name| name == "control.sock" || name == "state.json"), "{names:?}");
    assert_eq!(manager.done("stats")["execs_total"], 0);
}

#[test]
fn a_terminal_has_its_first_size_and_the_next() {
    let container = sleeping();
    let (_supervisor, _, mut manager) = running(&container);
    let script = "trap 'stty size; exit 6' WINCH; stty size; while :; do sleep 0.1; done";
    let mut process = process(&["sh", "-c", script], true);
    process["consoleSize"] = json!({"height": 33, "width": 44});
    let started = manager.done(&request(process, json!({"log": true})));
    wait_for("the first size", LIMIT, || container.logged("stdout").contains("33 44").then_some(()));
    manager.done(&format!("resize 55 66 exec={}", started["exec"].as_str().expect("a name")));
    assert_eq!(exit(&mut manager, &started), json!({"code": 6}));
    assert!(container.logged("stdout").contains("55 66"), "{}", container.logged("stdout"));
}

#[test]
fn all_output_is_in_the_log_when_the_end_is_told() {
    let container = sleeping();
    let (_supervisor, _, mut manager) = running(&container);
    let script = "seq 100000; echo error >&2";
    let started = exec(&mut manager, &["sh", "-c", script], json!({"log": true}));
    assert_eq!(exit(&mut manager, &started), json!({"code": 0}));
    let expected: String = (1..=100_000).map(|number: u32| format!("{number}\n")).collect();
    assert!(container.logged("stdout") == expected, "{} bytes", container.logged("stdout").len());
    assert_eq!(container.logged("stderr"), "error\n");
    let stats = manager.done("stats");
    assert_eq!(
        (&stats["streams"][0]["read"], &stats["sinks"][0]["logged"]),
        (&json!(0), &json!(0)),
        "{stats}"
    );
}

#[test]
fn its_input_is_empty() {
    let container = sleeping();
    let (_supervisor, _, mut manager) = running(&container);
    let started = exec(&mut manager, &["sh", "-c", "cat && test -z \"$(cat)\" && exit 3"], json!({}));
    assert_eq!(exit(&mut manager, &started), json!({"code": 3}));
}

#[test]
fn its_streams_are_handed_out() {
    let container = sleeping();
    let (_supervisor, _, mut manager) = running(&container);
    let socket = container.path("control").join(&container.id).join("control.sock");
    let mut client = Client::connect(&socket).expect("a greeting");
    client.set_timeout(Some(LIMIT)).expect("a time limit");
    for (terminal, script, wanted) in [
        (false, "cat; echo done", "typed\ndone\n"),
        (true, "read line; echo $line; tty", "typed\r\ntyped\r\n/dev/pts/0\r\n"),
    ] {
        let Value::Object(process) = process(&["sh", "-c", script], terminal) else { panic!("no object") };
        let streams = vec![Stream::Stdout];
        let exec = Exec { process, id: None, streams, stdin: Stdin::Once, timeout_ms: None, log: false };
        let answer = client.call(Request::Exec(exec)).expect("a session");
        let Body::ExecStarted(started) = answer.body else { panic!("{:?}", answer.body) };
        let mut files = answer.descriptors.into_iter().map(|(_, fd)| File::from(fd));
        let (mut input, output) = (files.next().expect("stdin"), files.next().expect("stdout"));
        input.write_all(b"typed\n").expect("input is taken");
        drop(input);
        assert_eq!(String::from_utf8_lossy(&read_to_end(&output, LIMIT, "stdout")), wanted);
        assert_eq!(exit(&mut manager, &json!({"exec": started.exec})), json!({"code": 0}));
    }
}

#[test]
fn when_its_time_is_up_nothing_of_it_lives_on() {
    let container = sleeping();
    let (_supervisor, _, mut manager) = running(&container);
    // Processes of its session, one of them a child of another, which the group alone may not reach.
    let script = "trap '' TERM HUP; sleep 1002 & (sleep 1003; :) & wait; sleep 1004";
    let started = exec(&mut manager, &["sh", "-c", script], json!({"timeout_ms": 500}));
    wait_for("its children", LIMIT, || {
        let found = manager.done("ps").to_string();
        ["1002", "1003"].iter().all(|number| found.contains(number)).then_some(())
    });
    assert_eq!(exit(&mut manager, &started), json!({"timed_out": true}));
    let left = manager.done("ps").to_string();
    assert_eq!(left.matches("sleep 100").count(), 1, "that of the container: {left}");
    assert_eq!(container.status(), "running");
}

#[test]
fn sessions_end_with_their_container() {
    let container = sleeping();
    let (_supervisor, _, mut manager) = running(&container);
    let started: Vec<Value> = (0..3)
        .map(|_| exec(&mut manager, &["sh", "-c", "echo said; sleep 1005"], json!({"log": true})))
        .collect();
    wait_for("their words", LIMIT, || (container.logged("stdout") == "said\n".repeat(3)).then_some(()));
    manager.done("subscribe");
    for started in &started {
        manager.send(&format!("wait exec={}", started["exec"].as_str().expect("a name")));
    }
    manager.send("kill KILL");
    let mut told = Vec::new();
    wait_for("the last event", LIMIT, || {
        told.push(manager.line());
        (told.last().expect("a line")["event"] == "deleted").then_some(())
    });
    let ends = |field: &str| {
        let exits =
            told.iter().filter(|line| line["event"] == "exec-exited" || line["ok"]["exit"] != json!(null));
        exits.filter(|line| line.get(field).is_some()).count()
    };
    assert_eq!((ends("event"), ends("ok")), (3, 3), "{told:?}");
    assert!(
        told.iter().all(|line| line["event"] != "exec-exited" || line["exit"] == json!({"signal": 9})),
        "{told:?}"
    );
    assert_eq!(container.exit_file(), "137");
    assert_eq!(processes(&container, "sleep"), "");
}

#[test]
fn each_request_is_answered_when_the_container_ends_meanwhile() {
    let container = sleeping();
    let (_supervisor, _, mut manager) = running(&container);
    for number in 0..10 {
        let tag = json!({"tag": number, "log": true});
        manager.send(&request(process(&["sleep", "1006"], false), tag));
    }
    manager.send(r#"{"op":"kill","signal":"KILL","tag":"kill"}"#);
    let mut answers: Vec<Value> = (0..11).map(|_| manager.line()).collect();
    answers.retain(|answer| answer["tag"] != "kill");
    let mut tags: Vec<u64> = answers.iter().map(|answer| answer["tag"].as_u64().expect("a tag")).collect();
    tags.sort();
    assert!(tags.into_iter().eq(0..10), "{answers:?}");
    for answer in &answers {
        let told = answer["ok"]["exec"].is_string() || answer["error"]["code"] == "gone";
        let failed = answer["error"]["code"] == "runtime-failed";
        assert!(told || failed, "{answer}");
    }
    assert_eq!(container.exit_file(), "137");
    wait_for("nothing of it lives on", LIMIT, || processes(&container, "sleep").is_empty().then_some(()));
}

#[test]
fn fifty_at_once_and_many_in_a_row_leave_nothing() {
    let container = sleeping();
    let (_supervisor, _, mut manager) = running(&container);
    let pid = std::fs::read_to_string(container.path("supervisor.pid")).expect("the supervisor's pid file");
    let proc = container.sandbox.proc(pid.parse().expect("a pid and nothing else"));
    let holdings = || {
        let open = std::fs::read_dir(proc.join("fd")).expect("its descriptors").count();
        let thread = proc.join("task").join(proc.file_name().expect("a pid")).join("children");
        let children = std::fs::read_to_string(thread).expect("its children").split_whitespace().count();
        let files = std::fs::read_dir(container.path("control").join(&container.id)).expect("the directory");
        (open, children, files.count())
    };
    let before = holdings();
    let request = request(process(&["sh", "-c", "exit 4"], false), json!({}));
    (0..50).for_each(|_| manager.send(&request));
    let started: Vec<Value> = (0..50).map(|_| manager.line()["ok"].take()).collect();
    for started in &started {
        assert_eq!(exit(&mut manager, started), json!({"code": 4}), "{started}");
    }
    for number in 0..60 {
        let process = process(&["true"], number % 2 == 0);
        let started = manager.done(&self::request(process, json!({})));
        assert_eq!(exit(&mut manager, &started), json!({"code": 0}));
    }
    wait_for("nothing is left", LIMIT, || (holdings() == before).then_some(()));
}
