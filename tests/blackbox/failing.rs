//! Runtimes that fail: one message with a reason, the exit command, and nothing half-made left.

use crate::place;
use conward_testkit::{
    Console, Container, Host, Launch, Message, Pattern, PidFile, Place, Script, Step, To, joined,
};
use nix::sys::signal::Signal;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Launches, and checks all that is common to failures.
fn failure(place: &Place, terminal: bool) -> Message {
    let launch = Launch::create(place).exit_command("hook.json").env("TMPDIR", tmp(place));
    let mut running = if terminal { launch.arg("-t") } else { launch }.start();
    running.go();
    let message = running.message();
    assert_eq!((message.key.as_str(), message.number), ("data", -1), "{message:?}");
    assert!(message.raw.len() <= 4096, "a reader with 4096 bytes gets only a part of it");
    assert!(message.text.as_ref().is_some_and(|text| !text.is_empty()), "a failure without a reason");
    running.no_more_messages();
    assert_eq!(running.status(), 1);
    assert!(place.path("hook.json").exists(), "the exit command did not run");
    assert_eq!((place.exit_file(), place.persist_exit()), (None, None), "exit files of no container");
    for name in ["attach", "ctl", "winsz"] {
        assert!(!place.bundle().join(name).exists(), "{name} left behind");
    }
    let left: Vec<_> = fs::read_dir(tmp(place)).expect("TMPDIR").collect();
    assert!(left.is_empty(), "left in TMPDIR: {left:?}");
    message
}

/// The launcher has done its part, whichever of both is quicker, and the sync pipe has the reason.
#[test]
fn a_supervisor_that_lacks_what_it_needs_fails_in_one_way() {
    for _ in 0..20 {
        let place = place();
        fs::create_dir_all(place.bundle().join("ctl/in-the-way")).expect("a directory");
        place.script(&Script::of([Step::AwaitStart]));
        let mut running = Launch::create(&place).start();
        running.go();
        let message = running.message();
        assert_eq!(message.number, -1, "{message:?}");
        assert!(message.text.as_ref().is_some_and(|text| text.contains("ctl")), "{message:?}");
        running.no_more_messages();
        assert_eq!(running.launched().status, 0);
        assert!(place.path("conmon.pid").exists(), "as the reference leaves it");
        assert_eq!(running.status(), 1);
    }
}

fn tmp(place: &Place) -> std::path::PathBuf {
    let tmp = place.path("tmp");
    fs::create_dir_all(&tmp).expect("TMPDIR of the test");
    tmp
}

/// The text of the failure, with pipes and with a terminal: both must give the same reason.
fn reason(script: &Script) -> String {
    let texts = [false, true].map(|terminal| {
        let place = place();
        place.script(script);
        failure(&place, terminal).text.unwrap_or_default()
    });
    assert_eq!(texts[0], texts[1], "pipes and terminal differ");
    texts[0].clone()
}

#[test]
fn its_stderr_is_the_reason() {
    let text = "container_linux.go:1: \"sh\": \\ no such file\tor directory\u{7f}\u{1}ä\n";
    assert_eq!(reason(&Script::failing([Step::err(text), Step::Exit(1)])), text);
}

#[test]
fn in_two_pieces_too() {
    let script = Script::failing([Step::err("first "), Step::Sleep(30), Step::err("second"), Step::Exit(1)]);
    assert_eq!(reason(&script), "first second");
}

#[test]
fn without_a_word_there_is_a_reason_all_the_same() {
    let text = reason(&Script::failing([Step::Exit(3)]));
    assert!(text.contains('3'), "not said how it ended: {text}");
}

#[test]
fn death_by_signal() {
    let text = reason(&Script::failing([Step::Die(9)]));
    assert!(text.contains('9') || text.contains("KILL"), "not said how it ended: {text}");
    assert_eq!(reason(&Script::failing([Step::err("segfault"), Step::Die(11)])), "segfault");
}

#[test]
fn more_stderr_than_a_pipe_holds() {
    let much = Step::Generate(To::Stderr, Pattern { seed: 1, bytes: 300_000, line: 70 });
    reason(&Script::failing([Step::err("the beginning"), much, Step::Exit(1)]));
}

#[test]
fn text_that_must_be_escaped_still_fits() {
    let script = Script::failing([Step::Write(To::Stderr, vec![1; 8191]), Step::Exit(1)]);
    reason(&script);
    reason(&Script::failing([Step::Write(To::Stderr, vec![0xff; 5000]), Step::Exit(1)]));
    reason(&Script::failing([Step::Write(To::Stderr, b"\0\0text".to_vec()), Step::Exit(1)]));
    reason(&Script::failing([Step::err(&"ä€".repeat(2000)), Step::Exit(1)]));
}

#[test]
fn no_pid_although_it_says_all_is_well() {
    for pid_file in
        [PidFile::Absent, PidFile::Text("".into()), PidFile::Text("x12".into()), PidFile::Text("0".into())]
    {
        for pid_file in [pid_file, PidFile::Text("-7".into())] {
            let script = Script::failing([Step::err("could not run")]);
            let text = {
                let place = place();
                place.script(&Script { pid_file: pid_file.clone(), ..script });
                failure(&place, false).text.unwrap_or_default()
            };
            assert!(text.contains("could not run"), "{pid_file:?}: {text}");
        }
    }
    let place = place();
    place.script(&Script::failing([]));
    let text = failure(&place, false).text.unwrap_or_default();
    assert!(text.contains("pidfile"), "the missing file is not named: {text}");
}

#[test]
fn a_pid_that_nobody_has_is_never_a_success() {
    let place = place();
    // Above the kernel's largest (2^22, proc(5)).
    place.script(&Script { pid_file: PidFile::Text("2000000000".into()), ..Script::failing([]) });
    let mut running = Launch::create(&place).start();
    running.go();
    let message = running.message();
    assert_ne!(running.status(), 0);
    match message.number {
        -1 => assert_eq!(place.exit_file(), None),
        _ => assert_eq!(place.exit_file().as_deref(), Some("-1")),
    }
}

#[test]
fn one_that_cannot_be_executed() {
    let place = place();
    let program = place.path("broken");
    fs::write(&program, "\u{7f}no program").expect("a file");
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    let mut running = Launch::create(&place).exit_command("hook.json").arg("-r").arg(&program).start();
    running.go();
    let message = running.message();
    assert_eq!(message.number, -1);
    assert!(message.text.is_some_and(|text| !text.is_empty()), "no reason");
    assert_eq!(running.status(), 1);
    assert!(place.path("hook.json").exists());
}

#[test]
fn one_that_hangs_until_the_supervisor_is_told_to_end() {
    for terminal in [false, true] {
        let place = place();
        place.script(&Script { record: Some(place.path("call.json")), ..Script::failing([Step::Pause]) });
        let launch = Launch::create(&place).exit_command("hook.json");
        let mut running = if terminal { launch.arg("-t") } else { launch }.start();
        running.go();
        place.await_file("call.json");
        running.kill(Signal::SIGTERM);
        assert_eq!(running.message().number, -1);
        running.no_more_messages();
        assert_eq!(running.status(), 1);
        assert!(place.path("hook.json").exists());
    }
}

#[test]
fn a_process_left_with_its_stderr_does_not_delay_the_message() {
    let place = place();
    let mut gate = place.gate("gate");
    let leave = Step::Fork(vec![Step::Await(gate.path().to_owned())]);
    place.script(&Script::failing([leave, Step::err("failed"), Step::Exit(1)]));
    assert_eq!(failure(&place, false).text.as_deref(), Some("failed"));
    gate.open();
}

#[test]
fn a_terminal_that_never_comes() {
    for console in [Console::Absent, Console::Silent, Console::Text, Console::Two] {
        let place = place();
        place.script(&Script { console, ..Script::of([]) });
        let text = failure(&place, true).text.unwrap_or_default();
        assert!(text.starts_with("Runtime did not set up terminal"), "{console:?}: {text}");
        // No container either: which of the two is the reason is a matter of taste.
        let place = self::place();
        place.script(&Script { console, ..Script::failing([]) });
        failure(&place, true);
    }
}

#[test]
fn a_descriptor_that_is_no_terminal() {
    let place = place();
    place.script(&Script { console: Console::NotATerminal, ..Script::of([Step::AwaitStart, Step::Exit(2)]) });
    let mut running = Launch::create(&place).arg("-t").start();
    running.go();
    let message = running.message();
    if message.number > 0 {
        place.start_container();
        assert_eq!(running.status(), 2);
    } else {
        // The container, still waiting, is not the supervisor's to end: it was never accepted.
        place.start_container();
        assert_eq!(running.status(), 1);
    }
}

#[test]
fn a_failing_exec_tells_why() {
    for pid_file in [PidFile::Absent, PidFile::Text("".into())] {
        let script = Script::failing([Step::err("exec failed: no such file\n"), Step::Exit(1)]);
        let script = Script { pid_file, container: Container::Absent, ..script };
        let place = place();
        let mut running = Launch::crio_exec(&place, &script).start();
        let message = running.message();
        assert_eq!((message.key.as_str(), message.number), ("exit_code", -1));
        assert_eq!(message.text.as_deref(), Some("exec failed: no such file\n"));
        running.no_more_messages();
        assert_eq!(running.status(), 1);

        let place = self::place();
        let mut running = Launch::exec(&place, &script).exit_command("hook.json").start();
        running.go();
        running.attach_ready();
        running.go();
        let message = running.message();
        assert_eq!((message.key.as_str(), message.number), ("data", -1));
        assert_eq!(message.text.as_deref(), Some("exec failed: no such file\n"));
        running.no_more_messages();
        assert_eq!(running.status(), 1);
        assert_eq!(place.exit_file(), None);
        assert!(place.path("hook.json").exists());
    }
}

#[test]
fn with_passthrough_the_reason_is_where_its_stderr_went() {
    let place = place();
    place.script(&Script::failing([Step::err("the reason"), Step::Exit(3)]));
    let mut running = Launch::least(&place).args(["-l", "passthrough"]).start();
    let text = running.message().text.unwrap_or_default();
    assert!(text.contains('3') && text.contains("standard error"), "{text}");
    let launched = running.launched();
    assert_eq!(launched.status, 1);
    assert_eq!(launched.stderr, "the reason");
}

#[test]
fn an_environment_that_cannot_be_is_no_fault_of_the_runtime() {
    let place = place();
    place.script(&Script::of([]));
    let mut running = Launch::create(&place).env("LISTEN_PID", "7x").start();
    running.go();
    assert_eq!(running.message().text.as_deref(), Some("Invalid LISTEN_PID 7x"));
    assert_eq!(running.status(), 1);
}

#[test]
fn a_pid_of_a_former_run_is_forgotten_even_where_its_file_cannot_be_removed() {
    let place = place();
    // Ends with the test, however that goes.
    let mut stranger = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("cat");
    let pid_file = place.path("pidfile");
    fs::write(&pid_file, stranger.id().to_string()).expect("pid file");
    place.script(&Script::failing([]));
    // What is mounted cannot be unlinked (EBUSY).
    let mounts = format!("mount --bind {0} {0}", pid_file.display());
    let mut running = Launch::create(&place).mounts(&mounts).start();
    running.go();
    let message = running.message();
    assert_eq!(message.text, Some(format!("Pid file {} is empty", pid_file.display())));
    assert_eq!(running.status(), 1);
    assert_eq!(stranger.try_wait().expect("wait"), None, "a stranger was killed");
    drop(stranger.stdin.take());
    stranger.wait().expect("end of the stranger");
}

#[test]
fn what_the_runtime_said_on_stdout_is_logged() {
    let place = place();
    let host = Host::new(&place);
    place.script(&Script::failing([Step::out("line\nhalf a line"), Step::err("reason"), Step::Exit(1)]));
    let mut running = Launch::create(&place).host(&host).args(["-l", "journald"]).start();
    running.go();
    assert_eq!(running.message().text.as_deref(), Some("reason"));
    assert_eq!(running.status(), 1);
    assert_eq!(joined(&place.log_records(), "stdout"), b"line\nhalf a line");
    let entries: Vec<Vec<u8>> = std::iter::from_fn(|| host.journal(Duration::ZERO)).collect();
    assert_eq!(entries, [&b"line\n"[..], b"half a line"]);
}
