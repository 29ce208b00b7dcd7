//! Create, start, end; and the record of each kind of end.

use std::fs;

use conward_testkit::runc::{Container, LIMIT};
use conward_testkit::wait_for;

#[test]
fn a_container_is_created_started_logged_and_recorded() {
    let container = Container::new(&["sh", "-c", "echo out; echo err >&2; exit 7"]);
    let mut supervisor = container.create(&[]);
    supervisor.pid();
    assert_eq!(container.status(), "created");
    assert!(container.bundle.path("attach").exists(), "the attach socket is there before the start");
    container.start();
    assert_eq!(container.exit_file(), "7");
    assert_eq!(supervisor.closed(), "", "a create reports the pid and nothing else");
    assert_eq!(fs::read_to_string(container.path("persist/exit")).expect("persistent exit file"), "7");
    assert_eq!(container.logged("stdout"), "out\n");
    assert_eq!(container.logged("stderr"), "err\n");
    assert_eq!(container.status(), "stopped");
}

#[test]
fn the_supervisor_is_the_program_under_test_and_ends_with_its_container() {
    let container = Container::new(&["cat"]);
    let (supervisor, _) = container.run(&["-i"]);
    let pid = fs::read_to_string(container.path("supervisor.pid")).expect("the supervisor's pid file");
    let proc = container.sandbox.proc(pid.parse().expect("a pid and nothing else"));
    assert_eq!(fs::read_link(proc.join("exe")).expect("its program"), container.sandbox.supervisor());
    container.attach().end_input();
    assert_eq!(container.exit_file(), "0");
    supervisor.closed();
    wait_for("the supervisor to be gone", LIMIT, || (!proc.join("exe").exists()).then_some(()));
    assert!(!container.bundle.path("attach").exists(), "the attach socket is removed");
}

#[test]
fn a_signal_is_recorded_as_128_and_its_number() {
    for (signal, status) in [("KILL", "137"), ("TERM", "143")] {
        let container = Container::new(&[
            "sh",
            "-c",
            "trap 'trap - TERM; kill -TERM $$' TERM; echo armed; sleep 1000 & wait",
        ]);
        let _supervisor = container.run(&[]);
        let armed = || container.logged("stdout").contains("armed").then_some(());
        wait_for("the trap to be armed", LIMIT, armed);
        assert!(container.runc(&["kill", &container.id, signal]).status.success(), "runc kill {signal}");
        // Process 1 of a namespace cannot die of a signal of its own: the shell exits 143 instead.
        assert_eq!(container.exit_file(), status, "SIG{signal}");
    }
}

#[test]
fn the_supervisor_passes_signals_on() {
    let container = Container::new(&["sh", "-c", "trap 'exit 9' TERM; echo armed; sleep 1000 & wait"]);
    let _supervisor = container.run(&[]);
    wait_for("the trap to be armed", LIMIT, || container.logged("stdout").contains("armed").then_some(()));
    container.sandbox.script(&format!("kill -TERM $(cat {})", container.path("supervisor.pid").display()));
    assert_eq!(container.exit_file(), "9");
}

#[test]
fn a_container_deleted_before_its_start_is_recorded_as_killed() {
    let container = Container::new(&["true"]);
    let mut supervisor = container.create(&[]);
    supervisor.pid();
    assert!(container.runc(&["delete", "--force", &container.id]).status.success(), "runc delete");
    assert_eq!(container.exit_file(), "137");
}

#[test]
fn a_failed_create_is_reported_in_the_runtimes_words() {
    let container = Container::new(&["/no/such/program"]);
    let mut supervisor = container.create(&[]);
    let (number, text) = supervisor.report();
    assert_eq!(number, -1, "{text}");
    assert!(text.contains("/no/such/program") && text.contains("no such file or directory"), "{text}");
    assert_eq!(supervisor.closed(), "", "one failure, one message");
    assert!(!container.path("exits").join(&container.id).exists(), "what never ran has no exit status");
}

#[test]
fn the_exit_command_finds_the_record_and_may_delete_the_container() {
    let container = Container::new(&["sh", "-c", "exit 3"]);
    let (exits, seen) = (container.path("exits").join(&container.id), container.path("seen"));
    let runc = format!("runc --root {} delete {}", container.path("runc").display(), container.id);
    let script = format!("cat {} >{}.new && {runc} && mv {1}.new {1}", exits.display(), seen.display());
    let arguments = ["-c", &script].map(|argument| format!("--exit-command-arg={argument}"));
    let _supervisor = container.run(&["--exit-command", "/bin/sh", &arguments[0], &arguments[1]]);
    let seen = wait_for("the exit command", LIMIT, || fs::read_to_string(&seen).ok());
    assert_eq!(seen, "3", "the exit file as the exit command saw it");
    assert!(!container.runc(&["state", &container.id]).status.success(), "runc has forgotten the container");
}

#[test]
fn a_container_is_killed_when_its_time_is_up() {
    let container = Container::new(&["sleep", "1000"]);
    let (supervisor, _) = container.run(&["--timeout", "1"]);
    assert_eq!(container.exit_file(), "-1", "a status that was not awaited is not known");
    supervisor.closed();
    wait_for("the container to be stopped", LIMIT, || (container.status() == "stopped").then_some(()));
}
