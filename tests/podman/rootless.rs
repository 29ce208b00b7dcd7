//! The same core, as an ordinary user.

use conward_testkit::podman::{IMAGE, LIMIT, Podman};
use conward_testkit::terminal::Terminal;
use conward_testkit::wait_for;

#[test]
fn run_gives_output_and_exit_code() {
    let podman = Podman::rootless();
    let output = podman.output(&["run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "err\n");
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(podman.code(&["run", "--rm", IMAGE, "no-such-program"]), 127);
}

#[test]
fn the_supervisor_is_the_program_under_test_and_the_users_own() {
    let podman = Podman::rootless();
    podman.ok(&["run", "-d", "--name", "c", IMAGE, "sleep", "1000"]);
    podman.assert_supervised("c");
    let status = podman.sandbox.proc(podman.supervisor_pid("c")).join("status");
    let status = std::fs::read_to_string(status).expect("the supervisor's status");
    let uid = status.lines().find(|line| line.starts_with("Uid:")).expect("a Uid line");
    assert!(!uid.contains("\t0\t"), "an ordinary user's process: {uid}");
}

#[test]
fn exec_gives_output_input_and_exit_codes() {
    let podman = Podman::rootless();
    podman.ok(&["run", "-d", "--name", "c", IMAGE, "sleep", "1000"]);
    assert_eq!(podman.code(&["exec", "c", "sh", "-c", "exit 9"]), 9);
    assert_eq!(podman.code(&["exec", "c", "no-such-program"]), 127);
    assert_eq!(podman.code(&["exec", "c", "sh", "-c", "kill -KILL $$"]), 137);
    let output = podman.feed(&["exec", "-i", "c", "cat"], b"typed\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "typed\n");
}

#[test]
fn terminals_work() {
    let podman = Podman::rootless();
    let mut terminal = Terminal::spawn(&podman.command(&["run", "--name", "c", "-it", IMAGE, "sh"]), 33, 111);
    terminal.expect("# ", LIMIT);
    terminal.send("stty size\n");
    terminal.expect("33 111\r\n", LIMIT);
    terminal.send("exit 5\n");
    assert_eq!(terminal.finish(LIMIT).0.code(), Some(5));
}

#[test]
fn logs_stop_and_restart_work() {
    let podman = Podman::rootless();
    let script = "trap 'echo told; exit 3' TERM; echo ready; while :; do sleep 0.1; done";
    podman.ok(&["run", "-d", "--name", "c", IMAGE, "sh", "-c", script]);
    wait_for("the container to be ready", LIMIT, || (podman.ok(&["logs", "c"]) == "ready\n").then_some(()));
    podman.ok(&["stop", "--time", "30", "c"]);
    assert_eq!(podman.inspect("c", ".State.ExitCode"), "3");
    assert_eq!(podman.ok(&["logs", "c"]), "ready\ntold\n");
    podman.ok(&["start", "c"]);
    podman.assert_supervised("c");
    podman.ok(&["kill", "c"]);
    assert_eq!(podman.ok(&["wait", "c"]).trim(), "137");
}

#[test]
fn a_megabyte_passes_both_ways() {
    let podman = Podman::rootless();
    let input: Vec<u8> = (0_u32..262_144).flat_map(u32::to_le_bytes).collect();
    let output = podman.feed(&["run", "--rm", "-i", "--log-driver", "none", IMAGE, "cat"], &input);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout == input, "{} of {} bytes came back", output.stdout.len(), input.len());
}

#[test]
fn removed_containers_are_removed_by_the_exit_command() {
    let podman = Podman::rootless();
    podman.ok(&["run", "-d", "--rm", "--name", "c", IMAGE, "sleep", "0.3"]);
    wait_for("the container to be removed", LIMIT, || {
        (podman.code(&["container", "exists", "c"]) == 1).then_some(())
    });
}

/// Root of a user namespace drops like root. And when the process is gone that keeps the user's namespaces,
/// Podman looks for them in `/proc/PID/ns` of its supervisors, which nobody else may look into.
#[test]
fn the_supervisor_keeps_little_and_podman_finds_its_namespaces_there() {
    let podman = Podman::rootless();
    podman.ok(&["run", "-d", "--name", "c", IMAGE, "sleep", "1000"]);
    let status = podman.sandbox.proc(podman.supervisor_pid("c")).join("status");
    let status = std::fs::read_to_string(status).expect("the supervisor's status");
    let set = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a set");
        u64::from_str_radix(line.trim(), 16).expect("a number")
    };
    let kept = 1 << 5 | 1 << 24;
    assert_eq!((set("CapPrm:"), set("CapEff:"), set("CapInh:"), set("CapAmb:")), (kept, kept, 0, 0));
    let dir = podman.sandbox.dir().display().to_string();
    let find =
        format!("pause=$(find {dir}/tmp /run/user -name pause.pid); kill -KILL $(cat $pause); rm $pause");
    podman.sandbox.script(&find);
    assert_eq!(podman.ok(&["exec", "c", "echo", "found"]), "found\n");
    assert_eq!(podman.ok(&["ps", "--format", "{{.Names}}"]), "c\n");
    podman.ok(&["stop", "--time", "0", "c"]);
    assert_eq!(podman.inspect("c", ".State.ExitCode"), "137");
}
