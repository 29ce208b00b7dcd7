//! `podman run` and `podman attach`.

use std::fs;
use std::process::Command;

use conward_testkit::podman::{IMAGE, LIMIT, Podman};
use conward_testkit::terminal::Terminal;
use conward_testkit::wait_for;

#[test]
fn run_gives_output_and_exit_code() {
    let podman = Podman::root();
    let output = podman.output(&["run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "err\n");
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn the_supervisor_is_the_program_under_test() {
    let podman = Podman::root();
    podman.ok(&["run", "-d", "--name", "c", IMAGE, "sleep", "1000"]);
    podman.assert_supervised("c");
    podman.ok(&["exec", "-d", "c", "sleep", "1000"]);
    let exe = podman.sandbox.supervisor();
    // Container and exec have a supervisor each.
    wait_for("two supervisors of this program", LIMIT, || {
        let of_program = format!("readlink /proc/[0-9]*/exe | grep -cx {}", exe.display());
        (podman.sandbox.script(&of_program).trim() == "2").then_some(())
    });
}

#[test]
fn a_command_that_is_not_there_is_127_and_one_that_cannot_run_126() {
    let podman = Podman::root();
    let missing = podman.output(&["run", "--rm", IMAGE, "no-such-program"]);
    assert_eq!(missing.status.code(), Some(127));
    let text = String::from_utf8_lossy(&missing.stderr);
    assert!(text.contains("executable file not found"), "{text}");
    assert_eq!(podman.code(&["run", "--rm", IMAGE, "/etc/passwd"]), 126);
    assert_eq!(podman.ok(&["ps", "--all", "--quiet"]), "", "neither container is left");
}

#[test]
fn interactive_input_ends_with_end_of_file() {
    let podman = Podman::root();
    let output =
        podman.feed(&["run", "--rm", "-i", IMAGE, "sh", "-c", "cat; echo ended; exit 3"], b"one\ntwo\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one\ntwo\nended\n");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_terminal_works_as_a_person_expects() {
    let podman = Podman::root();
    let command = podman.command(&["run", "--rm", "-it", IMAGE, "sh"]);
    let mut terminal = Terminal::spawn(&command, 33, 111);
    terminal.expect("# ", LIMIT);
    terminal.send("stty size\n");
    terminal.expect("33 111\r\n", LIMIT);
    terminal.send("tty; echo a$((1+1))b\n");
    assert!(terminal.expect("a2b\r\n", LIMIT).contains("/dev/pts/"), "a terminal of the container's own");
    terminal.send("exit 5\n");
    let (status, rest) = terminal.finish(LIMIT);
    assert_eq!(status.code(), Some(5), "{rest}");
}

#[test]
fn a_terminal_follows_its_window() {
    let podman = Podman::root();
    let script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.1; done";
    let command = podman.command(&["run", "--rm", "-it", IMAGE, "sh", "-c", script]);
    let mut terminal = Terminal::spawn(&command, 20, 70);
    terminal.expect("ready", LIMIT);
    terminal.resize(44, 99);
    terminal.expect("44 99\r\n", LIMIT);
    terminal.send("\x03");
    assert_eq!(terminal.finish(LIMIT).0.code(), Some(130), "the interrupt character ends the shell");
}

#[test]
fn attach_passes_input_and_output() {
    let podman = Podman::root();
    let script = "while read word; do echo got $word; [ $word = end ] && exit 6; done";
    podman.ok(&["run", "-d", "-i", "--name", "c", IMAGE, "sh", "-c", script]);
    let output = podman.feed(&["attach", "c"], b"first\nend\n");
    // Podman itself ends an attach with an empty line.
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), "got first\ngot end");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    // The attach command's own status is not the container's in Podman 4.3.
    assert_eq!(podman.ok(&["wait", "c"]).trim(), "6");
}

#[test]
fn detach_keys_leave_the_container_running_and_a_second_attach_finds_it() {
    let podman = Podman::root();
    let script = "echo ready; while read word; do [ $word = end ] && exit 8; echo =$word=; done";
    // One key: Podman knows a sequence only if each of its keys comes alone.
    let args = ["run", "-it", "--name", "c", "--detach-keys", "ctrl-x", IMAGE, "sh", "-c", script];
    let mut terminal = Terminal::spawn(&podman.command(&args), 24, 80);
    terminal.expect("ready", LIMIT);
    terminal.send("first\n");
    terminal.expect("=first=", LIMIT);
    terminal.send("\x18");
    assert_eq!(terminal.finish(LIMIT).0.code(), Some(0), "detached");
    assert_eq!(podman.inspect("c", ".State.Status"), "running");
    let mut terminal = Terminal::spawn(&podman.command(&["attach", "c"]), 24, 80);
    terminal.send("second\n");
    terminal.expect("=second=", LIMIT);
    terminal.send("end\n");
    terminal.finish(LIMIT);
    assert_eq!(podman.ok(&["wait", "c"]).trim(), "8");
}

#[test]
fn descriptors_are_preserved() {
    let podman = Podman::root();
    let file = podman.path("preserved");
    fs::write(&file, "from descriptor three\n").expect("writing a file");
    let inner = podman.command(&["run", "--rm", "--preserve-fds", "1", IMAGE, "cat", "/proc/self/fd/3"]);
    let mut command = Command::new("sh");
    command.args(["-c", "exec 3<\"$0\"; exec timeout 60 \"$@\""]).arg(&file);
    command.arg(inner.get_program()).args(inner.get_args());
    let text = conward_testkit::sandbox::succeed(&mut command, "podman run --preserve-fds");
    assert_eq!(text, "from descriptor three\n");
}

#[test]
fn removed_containers_leave_nothing() {
    let podman = Podman::root();
    podman.ok(&["run", "-d", "--rm", "--name", "c", IMAGE, "sleep", "0.3"]);
    let pid = podman.supervisor_pid("c");
    let state = podman.inspect("c", ".ConmonPidFile");
    wait_for("the container to be removed", LIMIT, || {
        (podman.code(&["container", "exists", "c"]) == 1).then_some(())
    });
    let proc = podman.sandbox.proc(pid);
    wait_for("the supervisor to be gone", LIMIT, || (!proc.join("exe").exists()).then_some(()));
    assert!(!std::path::Path::new(&state).exists(), "{state}");
    let exits = fs::read_dir(podman.path("tmp/exits")).map(|dir| dir.count()).unwrap_or(0);
    assert_eq!(exits, 0, "exit files");
}
