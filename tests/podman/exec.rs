//! `podman exec` and what is built on it.

use conward_testkit::podman::{IMAGE, LIMIT, Podman};
use conward_testkit::terminal::Terminal;
use conward_testkit::wait_for;

/// A Podman with a running container `c`.
fn running() -> Podman {
    let podman = Podman::root();
    podman.ok(&["run", "-d", "--name", "c", IMAGE, "sleep", "1000"]);
    podman
}

#[test]
fn exec_gives_output_and_exit_code() {
    let podman = running();
    let output = podman.output(&["exec", "c", "sh", "-c", "echo out; echo err >&2; exit 9"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "err\n");
    assert_eq!(output.status.code(), Some(9));
    assert_eq!(podman.code(&["exec", "c", "true"]), 0);
}

#[test]
fn exec_of_what_is_not_there_is_127() {
    let podman = running();
    let output = podman.output(&["exec", "c", "no-such-program"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(127), "{text}");
    assert!(text.contains("no-such-program"), "{text}");
    assert_eq!(podman.code(&["exec", "c", "/etc/passwd"]), 126);
    assert_eq!(podman.inspect("c", ".State.Status"), "running");
}

#[test]
fn a_killed_exec_is_128_and_the_signal() {
    let podman = running();
    assert_eq!(podman.code(&["exec", "c", "sh", "-c", "kill -KILL $$"]), 137);
    assert_eq!(podman.code(&["exec", "c", "sh", "-c", "kill -TERM $$"]), 143);
}

#[test]
fn a_detached_exec_runs_on_its_own() {
    let podman = running();
    let session = podman.ok(&["exec", "-d", "c", "sh", "-c", "echo done >/tmp/mark"]);
    assert_eq!(session.trim().len(), 64, "a session id: {session:?}");
    wait_for("the detached exec's mark", LIMIT, || {
        (podman.code(&["exec", "c", "test", "-s", "/tmp/mark"]) == 0).then_some(())
    });
}

#[test]
fn exec_takes_input_and_its_end() {
    let podman = running();
    let output = podman.feed(&["exec", "-i", "c", "sh", "-c", "cat; echo ended"], b"typed\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "typed\nended\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn exec_on_a_terminal_works() {
    let podman = running();
    let mut terminal = Terminal::spawn(&podman.command(&["exec", "-it", "c", "sh"]), 31, 101);
    terminal.expect("# ", LIMIT);
    terminal.send("stty size\n");
    terminal.expect("31 101\r\n", LIMIT);
    terminal.send("exit 4\n");
    assert_eq!(terminal.finish(LIMIT).0.code(), Some(4));
}

#[test]
fn many_execs_at_once_each_get_their_own_output_and_code() {
    let podman = running();
    std::thread::scope(|scope| {
        for number in 1..=8 {
            let podman = &podman;
            scope.spawn(move || {
                let script = format!("echo exec {number}; exit {number}");
                let output = podman.output(&["exec", "c", "sh", "-c", &script]);
                assert_eq!(String::from_utf8_lossy(&output.stdout), format!("exec {number}\n"));
                assert_eq!(output.status.code(), Some(number));
            });
        }
    });
}

#[test]
fn a_health_check_is_as_healthy_as_its_command() {
    let podman = Podman::root();
    podman.ok(&[
        "run",
        "-d",
        "--name",
        "c",
        "--health-cmd",
        "test -e /tmp/well",
        "--health-interval",
        "disable",
        "--health-retries",
        "1",
        IMAGE,
        "sleep",
        "1000",
    ]);
    assert_eq!(podman.code(&["healthcheck", "run", "c"]), 1);
    podman.ok(&["exec", "c", "touch", "/tmp/well"]);
    assert_eq!(podman.code(&["healthcheck", "run", "c"]), 0);
    assert_eq!(podman.inspect("c", ".State.Health.Status"), "healthy");
}
