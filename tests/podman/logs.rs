//! `podman logs` with the drivers that a supervisor writes.

use std::process::Stdio;

use conward_testkit::podman::{IMAGE, LIMIT, Podman};
use conward_testkit::wait_for;

const SCRIPT: &str = "echo one; echo two >&2; echo three; printf unfinished";

/// What a driver's `podman logs` must give for [`SCRIPT`].
fn check(driver: &str) {
    let podman = Podman::root();
    if driver == "journald" {
        podman.start_journal();
    }
    podman.ok(&["run", "--name", "c", "--log-driver", driver, IMAGE, "sh", "-c", SCRIPT]);
    // The journal's reader is told of new entries some time after they were taken.
    let output = wait_for("all lines", LIMIT, || {
        let output = podman.output(&["logs", "c"]);
        assert!(output.status.success(), "podman logs: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).contains("unfinished").then_some(output)
    });
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), "one\nthree\nunfinished");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "two\n");
    podman.ok(&["run", "--name", "d", "--log-driver", driver, IMAGE, "seq", "10"]);
    wait_for("all numbers", LIMIT, || podman.ok(&["logs", "d"]).ends_with("10\n").then_some(()));
    assert_eq!(podman.ok(&["logs", "--tail", "3", "d"]), "8\n9\n10\n");
    let stamped = podman.ok(&["logs", "--timestamps", "--tail", "1", "d"]);
    let year = stamped.split('-').next().unwrap_or_default();
    assert!(year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit()), "{stamped}");
}

#[test]
fn logs_of_a_file_are_what_was_written() {
    check("k8s-file");
}

#[test]
fn logs_of_the_journal_are_what_was_written() {
    check("journald");
}

/// `podman logs -f` from before the last lines until after the end.
fn follow(driver: &str) {
    let podman = Podman::root();
    if driver == "journald" {
        podman.start_journal();
    }
    let script = "echo early; while [ ! -e /tmp/go ]; do sleep 0.1; done; seq 500; echo last";
    podman.ok(&["run", "-d", "--name", "c", "--log-driver", driver, IMAGE, "sh", "-c", script]);
    let follower = podman.command(&["logs", "-f", "c"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let follower = follower.expect("spawning podman logs -f");
    podman.ok(&["exec", "c", "touch", "/tmp/go"]);
    let output = follower.wait_with_output().expect("podman logs -f");
    let expected: String = (1..=500).map(|number| format!("{number}\n")).collect();
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("early\n{expected}last\n"));
    assert!(output.status.success(), "{}", output.status);
}

#[test]
fn following_a_file_ends_with_the_container() {
    follow("k8s-file");
}

#[test]
fn following_the_journal_ends_with_the_container() {
    follow("journald");
}

#[test]
fn journal_entries_carry_what_readers_search_for() {
    let podman = Podman::root();
    podman.start_journal();
    let tag = "--log-opt=tag=a-tag";
    podman.ok(&[
        "run",
        "--name",
        "c",
        "--log-driver",
        "journald",
        tag,
        IMAGE,
        "sh",
        "-c",
        "echo hello; echo no >&2",
    ]);
    let id = podman.inspect("c", ".Id");
    let query = format!("journalctl -o json CONTAINER_ID_FULL={id}");
    let entries = wait_for("two entries", LIMIT, || {
        let text = podman.sandbox.script(&query);
        (text.lines().count() == 2).then_some(text)
    });
    for (entry, priority) in entries.lines().zip(["6", "3"]) {
        let entry: serde_json::Value = serde_json::from_str(entry).expect("journalctl's JSON");
        let text = entry["MESSAGE"].as_str().expect("a text").trim_end();
        assert!(text == "hello" && priority == "6" || text == "no" && priority == "3", "{entry}");
        assert_eq!(entry["PRIORITY"], priority, "{entry}");
        assert_eq!(entry["CONTAINER_NAME"], "c");
        assert_eq!(entry["CONTAINER_ID"], id[..12]);
        assert_eq!(entry["CONTAINER_TAG"], "a-tag");
    }
}

#[test]
fn a_log_of_no_driver_still_attaches() {
    let podman = Podman::root();
    assert_eq!(podman.ok(&["run", "--rm", "--log-driver", "none", IMAGE, "echo", "seen"]), "seen\n");
}

#[test]
fn a_log_with_a_size_limit_keeps_the_newest() {
    let podman = Podman::root();
    let script = "i=0; while [ $i -lt 3000 ]; do echo line $i of many; i=$((i+1)); done";
    podman.ok(&["run", "--name", "c", "--log-opt", "max-size=20kb", IMAGE, "sh", "-c", script]);
    let text = podman.ok(&["logs", "c"]);
    assert!(text.ends_with("line 2999 of many\n"), "the end: {:?}", &text[text.len().saturating_sub(60)..]);
    let size = std::fs::metadata(podman.inspect("c", ".HostConfig.LogConfig.Path")).expect("the log").len();
    assert!(size <= 20_000 + 100, "{size} bytes");
}
