//! Stop, kill, restart, and the ends of containers.

use std::time::{Duration, Instant};

use conward_testkit::podman::{IMAGE, LIMIT, Podman};
use conward_testkit::wait_for;

/// Ends with 3 when it is told to, and says when it can be.
const OBEDIENT: &str = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done";

/// Waits until the container has written `ready` once more than `times` before.
fn wait_ready(podman: &Podman, times: usize) {
    wait_for("the container to be ready", LIMIT, || {
        (podman.ok(&["logs", "c"]).matches("ready").count() > times).then_some(())
    });
}

#[test]
fn stop_lets_a_container_end_by_itself() {
    let podman = Podman::root();
    podman.ok(&["run", "-d", "--name", "c", IMAGE, "sh", "-c", OBEDIENT]);
    wait_ready(&podman, 0);
    let before = Instant::now();
    podman.ok(&["stop", "--time", "30", "c"]);
    assert!(before.elapsed() < Duration::from_secs(20), "stopped by the signal, not by the time limit");
    assert_eq!(podman.inspect("c", ".State.ExitCode"), "3");
    assert_eq!(podman.inspect("c", ".State.OOMKilled"), "false");
}

#[test]
fn stop_kills_what_does_not_end() {
    let podman = Podman::root();
    podman.ok(&["run", "-d", "--name", "c", IMAGE, "sleep", "1000"]);
    podman.ok(&["stop", "--time", "1", "c"]);
    assert_eq!(podman.inspect("c", ".State.ExitCode"), "137");
}

#[test]
fn kill_and_wait_agree() {
    let podman = Podman::root();
    podman.ok(&["run", "-d", "--name", "c", IMAGE, "sleep", "1000"]);
    podman.ok(&["kill", "--signal", "KILL", "c"]);
    assert_eq!(podman.ok(&["wait", "c"]).trim(), "137");
}

#[test]
fn restart_gives_a_new_process_and_a_new_supervisor() {
    let podman = Podman::root();
    podman.ok(&["run", "-d", "--name", "c", IMAGE, "sh", "-c", OBEDIENT]);
    wait_ready(&podman, 0);
    let first = podman.supervisor_pid("c");
    podman.ok(&["restart", "c"]);
    wait_ready(&podman, 1);
    assert_ne!(podman.supervisor_pid("c"), first);
    podman.assert_supervised("c");
    podman.ok(&["stop", "c"]);
    podman.ok(&["start", "c"]);
    wait_ready(&podman, 2);
    podman.assert_supervised("c");
}

#[test]
fn a_restart_policy_is_followed_by_the_exit_command() {
    let podman = Podman::root();
    // Ends with 1 twice, then stays.
    let script = "echo x >>/tmp/count; [ $(wc -l </tmp/count) -ge 3 ] || exit 1; echo ready; sleep 1000";
    podman.ok(&["run", "-d", "--name", "c", "--restart", "on-failure:5", IMAGE, "sh", "-c", script]);
    wait_ready(&podman, 0);
    assert_eq!(podman.inspect("c", ".RestartCount"), "2");
    podman.assert_supervised("c");
}

#[test]
fn a_container_with_a_time_limit_is_killed() {
    let podman = Podman::root();
    let before = Instant::now();
    let code = podman.code(&["run", "--name", "c", "--timeout", "1", IMAGE, "sleep", "1000"]);
    assert!(before.elapsed() < Duration::from_secs(30));
    // The supervisor records -1, of which an exit status keeps the low 8 bits.
    assert_eq!(code, 255);
    assert_eq!(podman.inspect("c", ".State.ExitCode"), "-1");
}

/// A shell word that grows until the kernel ends it.
const EAT: &str = "x=0123456789abcdef; while :; do x=$x$x; done";

/// Runs `script` with little memory, and fails unless Podman then says that there was too little.
/// Debian's conmon 2.1.6 fails here: it leaves the mark in its working directory, not in the bundle.
fn check_out_of_memory(script: &str) {
    let podman = Podman::root();
    assert_eq!(podman.code(&["run", "--name", "c", "--memory", "24m", IMAGE, "sh", "-c", script]), 137);
    assert_eq!(podman.inspect("c", ".State.OOMKilled"), "true");
}

#[test]
fn a_container_whose_child_was_out_of_memory_is_marked() {
    check_out_of_memory(&format!("sh -c '{EAT}'; code=$?; sleep 0.5; exit $code"));
}

/// The end and its cause are one event here: whoever handles the end first must look for the cause once more.
#[test]
fn a_container_that_was_itself_out_of_memory_is_marked() {
    check_out_of_memory(EAT);
}

#[test]
fn a_paused_container_keeps_its_supervisor() {
    let podman = Podman::root();
    podman.ok(&["run", "-d", "--name", "c", IMAGE, "sh", "-c", OBEDIENT]);
    wait_ready(&podman, 0);
    podman.ok(&["pause", "c"]);
    assert_eq!(podman.inspect("c", ".State.Status"), "paused");
    podman.assert_supervised("c");
    podman.ok(&["unpause", "c"]);
    podman.ok(&["stop", "c"]);
    assert_eq!(podman.inspect("c", ".State.ExitCode"), "3");
}

#[test]
fn two_hundred_short_containers_all_give_their_codes() {
    let podman = Podman::root();
    for number in 0..200 {
        // 124 would read like the end of this test's patience.
        let code = number % 100;
        let script = format!("echo {number}; exit {code}");
        let output = podman.output(&["run", "--rm", IMAGE, "sh", "-c", &script]);
        assert_eq!(output.status.code(), Some(code), "container {number}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{number}\n"));
    }
    assert_eq!(podman.ok(&["ps", "--all", "--quiet"]), "");
}
