//! The end of a container that the supervisor has deleted.

use std::fs;
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
    let container = Container::new(&["sleep", "1000"]);
    let control = container.path("control").display().to_string();
    let (_supervisor, _) = container.run(&["--control-dir", &control, "--keep-state"]);
    let socket = UnixStream::connect(directory(&container).join("control.sock")).expect("connect");
    socket.set_read_timeout(Some(LIMIT)).expect("a time limit");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(&socket));
    let mut line = || -> Value {
        let line = lines.next().expect("a line").expect("a line");
        serde_json::from_str(&line).expect("JSON")
    };
    assert_eq!(line()["state"], "running");
    std::io::Write::write_all(&mut &socket, b"delete force\n").expect("asking");
    let answer = line();
    assert_eq!(answer["ok"]["teardown"]["exit"], json!({"code": 0}), "{answer}");
    assert!(lines.next().is_none(), "the end");
    assert!(!directory(&container).exists());
    assert!(!container.runc(&["state", &container.id]).status.success(), "runc knows it still");
    assert_eq!(container.exit_file(), "137");
}
