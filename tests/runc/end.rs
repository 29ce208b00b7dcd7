//! The end of a container that the supervisor has deleted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use conward_testkit::runc::{Container, LIMIT};
use conward_testkit::wait_for;
use serde_json::{Value, json};

fn directory(container: &Container) -> PathBuf {
    container.path("control").join(&container.id)
}

/// The hook of the bundle, which the runtime runs when it deletes, finds the exit record on disk.
#[test]
fn the_bundles_last_hook_reads_the_record() {
    let container = Container::new(&["sh", "-c", "echo out; exit 7"]);
    let (record, copy) = (directory(&container).join("exit.json"), container.path("copy"));
    let words =
        format!("cat >{0}.state && cp {1} {0}.new && mv {0}.new {0}", copy.display(), record.display());
    let config = container.bundle.path("config.json");
    let mut text: Value = serde_json::from_slice(&fs::read(&config).expect("the config")).expect("JSON");
    text["hooks"] = json!({"poststop": [{"path": "/bin/sh", "args": ["sh", "-c", words], "env": ["PATH=/bin:/usr/bin"]}]});
    fs::write(&config, text.to_string()).expect("writing the config");
    let control = container.path("control").display().to_string();
    let (supervisor, _) = container.run(&["--control-dir", &control, "--delete-on-exit"]);
    assert_eq!(container.exit_file(), "7");
    supervisor.closed();
    let seen = wait_for("the hook's copy", LIMIT, || fs::read(&copy).ok());
    let seen: Value = serde_json::from_slice(&seen).expect("a whole record");
    assert_eq!((&seen["exit"], seen.get("teardown")), (&json!({"code": 7}), None));
    assert_eq!(seen["streams"][0], json!({"stream": "stdout", "read": 4, "ended": true}));
    wait_for("the directory is gone", LIMIT, || (!directory(&container).exists()).then_some(()));
    assert!(!container.runc(&["state", &container.id]).status.success(), "runc knows it still");
}

/// The same by request, from a supervisor that has kept what was left.
#[test]
fn what_was_kept_is_deleted_by_request() {
    let container = Container::new(&["sh", "-c", "echo runs; exec sleep 1000"]);
    let control = container.path("control").display().to_string();
    let (_supervisor, _) = container.run(&["--control-dir", &control, "--keep-state"]);
    // `runc start` returns before the program has taken the place of runc's own.
    wait_for("the program", LIMIT, || container.logged("stdout").contains("runs").then_some(()));
    let socket = UnixStream::connect(directory(&container).join("control.sock")).expect("connect");
    socket.set_read_timeout(Some(LIMIT)).expect("a time limit");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(&socket));
    let mut line = || -> Value {
        let line = lines.next().expect("a line").expect("a line");
        serde_json::from_str(&line).expect("JSON")
    };
    // runc start(8) returns before the program is executed.
    let state = line()["state"].clone();
    assert!(["created", "running"].map(Value::from).contains(&state), "{state}");
    std::io::Write::write_all(&mut &socket, b"delete force\n").expect("asking");
    let answer = line();
    assert_eq!(answer["ok"]["teardown"]["exit"], json!({"code": 0}), "{answer}");
    assert!(lines.next().is_none(), "the end");
    assert!(!directory(&container).exists());
    assert!(!container.runc(&["state", &container.id]).status.success(), "runc knows it still");
    assert_eq!(container.exit_file(), "137");
}

/// A script on the host that is run as a hook.
fn script(container: &Container, name: &str, words: &str) -> String {
    let path = container.path(name);
    fs::write(&path, format!("#!/bin/sh\n{words}\n")).expect("writing a hook");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    path.display().to_string()
}

/// What the container has left on a tmpfs is gone for everybody but a hook that was given its mount namespace.
#[test]
fn a_hook_recovers_what_was_on_a_tmpfs() {
    let container = Container::new(&["sh", "-c", "echo kept >/scratch/file; exit 7"]);
    let config = container.bundle.path("config.json");
    let mut text: Value = serde_json::from_slice(&fs::read(&config).expect("the config")).expect("JSON");
    let mounts = text["mounts"].as_array_mut().expect("mounts");
    mounts.push(json!({"destination": "/scratch", "type": "tmpfs", "source": "tmpfs"}));
    fs::write(&config, text.to_string()).expect("writing the config");
    let words = "case $CONWARD_NAMESPACES in mnt=3,*) ;; *) exit 1;; esac
        exec nsenter --mount=/proc/self/fd/3 cat /scratch/file";
    let hook = format!("exited={}", script(&container, "recovers", words));
    let control = container.path("control").display().to_string();
    let options = ["--control-dir", &control, "--keep-state", "--pin-namespaces", "--hook", &hook];
    let (supervisor, _) = container.run(&options);
    assert_eq!(container.exit_file(), "7");
    supervisor.closed();
    let record = wait_for("the outcome of the hook", LIMIT, || {
        let text = fs::read(directory(&container).join("exit.json")).ok()?;
        let record: Value = serde_json::from_slice(&text).expect("a whole record");
        record.get("hooks").is_some().then_some(record)
    });
    assert_eq!(
        (&record["exit"], &record["hooks"][0]["exit"]),
        (&json!({"code": 7}), &json!({"code": 0})),
        "{record}"
    );
    assert_eq!(record["hooks"][0]["output"], "kept\n");
    container.runc(&["delete", &container.id]);
}

/// Hooks of the supervisor's own, and those of the bundle, which the runtime runs.
#[test]
fn hooks_of_both_kinds_have_an_order() {
    let container = Container::new(&["sh", "-c", "exit 7"]);
    let list = container.path("list").display().to_string();
    let ours = script(&container, "ours", &format!("echo $CONWARD_HOOK_STAGE >>{list}"));
    let theirs = |stage: &str| {
        let words = format!("echo {stage} >>{list}");
        json!([{"path": "/bin/sh", "args": ["sh", "-c", words], "env": ["PATH=/bin:/usr/bin"]}])
    };
    let config = container.bundle.path("config.json");
    let mut text: Value = serde_json::from_slice(&fs::read(&config).expect("the config")).expect("JSON");
    let stages = ["createRuntime", "poststart", "poststop"];
    text["hooks"] = stages.iter().map(|stage| ((*stage).to_owned(), theirs(stage))).collect();
    fs::write(&config, text.to_string()).expect("writing the config");
    let control = container.path("control").display().to_string();
    let hooks = ["created", "started", "exited", "deleted"].map(|stage| format!("--hook={stage}={ours}"));
    let options =
        [&["--control-dir", &control, "--delete-on-exit"], &hooks.each_ref().map(String::as_str)[..]];
    let mut supervisor = container.create(&options.concat());
    supervisor.pid();
    wait_for("the first hook", LIMIT, || fs::read_to_string(&list).ok()?.contains("created\n").then_some(()));
    // By request, so that the start is known however short it lives.
    let socket = UnixStream::connect(directory(&container).join("control.sock")).expect("connect");
    std::io::Write::write_all(&mut &socket, b"start\n").expect("asking");
    supervisor.closed();
    wait_for("the end", LIMIT, || (!directory(&container).exists()).then_some(()));
    let seen = fs::read_to_string(&list).expect("a list");
    let seen: Vec<&str> = seen.lines().collect();
    let at = |stage: &str| {
        seen.iter().position(|line| *line == stage).unwrap_or_else(|| panic!("{stage}: {seen:?}"))
    };
    assert!(at("createRuntime") < at("created") && at("created") < at("started"), "{seen:?}");
    assert!(at("poststart") < at("poststop"), "{seen:?}");
    let end: Vec<&&str> =
        seen.iter().filter(|line| ["exited", "poststop", "deleted"].contains(line)).collect();
    assert_eq!(end, [&"exited", &"poststop", &"deleted"], "{seen:?}");
    assert_eq!(container.exit_file(), "7");
}
