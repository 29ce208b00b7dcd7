//! Processes beside the container's first.

use crate::place;
use conward_testkit::{
    Container, Launch, PATIENCE, PidFile, Place, Record, Running, Script, Step, To, Watch, joined,
};

/// Podman's sequence up to the second start byte.
fn gated<'a>(place: &'a Place, script: &Script, args: &[&str]) -> Running<'a> {
    let mut running = Launch::exec(place, script).args(args).exit_command("hook.json").start();
    running.go();
    assert_eq!(running.launched().status, 0);
    assert_eq!(running.attach_ready().raw, b"{\"data\": 0}\n");
    running
}

fn session(place: &Place) -> std::path::PathBuf {
    place.path("session/attach")
}

#[test]
fn pid_output_and_exit_code_in_this_order() {
    for (last, code) in [(Step::Exit(0), 0), (Step::Exit(7), 7), (Step::Die(9), 137)] {
        for terminal in [false, true] {
            let place = place();
            let script = Script::of([Step::out("hello\n"), last.clone()]);
            let mut watch = Watch::new(&place, &["exits"]);
            let mut running = gated(&place, &script, if terminal { &["-t"] } else { &[] });
            let client = conward_testkit::Client::connect(&session(&place));
            running.go();
            running.pid();
            // No carriage return is asked for: the process may write before the supervisor, which has
            // just got the terminal, could set its modes.
            let heard = client.read_to_end().stdout;
            assert_eq!(heard.trim_ascii_end(), b"hello");
            let message = running.message();
            assert_eq!((message.key.as_str(), message.number, message.text), ("data", code, None));
            assert_eq!(place.exit_file(), Some(code.to_string()), "the message came before the file");
            watch.wait(&place, "+exits/ID");
            running.no_more_messages();
            assert_eq!(i64::from(running.status()), code);
            assert!(place.path("hook.json").exists());
        }
    }
}

#[test]
fn the_runtime_is_not_called_before_the_second_byte() {
    let place = place();
    let mut running = gated(&place, &Script { record: Some(place.path("call.json")), ..Script::of([]) }, &[]);
    // A client may size the terminal and attach in between; no call must have happened by then.
    let _client = conward_testkit::Client::connect(&session(&place));
    assert!(!running.monitor().ended_within(std::time::Duration::from_millis(100)));
    assert!(!place.path("call.json").exists());
    running.go();
    running.pid();
    assert_eq!(running.message().number, 0);
}

#[test]
fn end_of_the_start_pipe_is_the_second_byte_too() {
    let place = place();
    let mut running = gated(&place, &Script::of([Step::Exit(3)]), &[]);
    running.hang_up_start();
    running.pid();
    assert_eq!(running.message().number, 3);
}

/// It ends before its runtime, to which they would have gone.
#[test]
fn stopped_at_its_gate_it_gives_its_callers_descriptors_to_nobody() {
    let place = place();
    let (_ours, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("pipe");
    let mut running = Launch::exec(&place, &Script::of([])).inherit(theirs).exit_command("hook.json").start();
    running.go();
    running.attach_ready();
    running.kill(nix::sys::signal::Signal::SIGTERM);
    running.message();
    assert_ne!(running.status(), 0);
    let record = Record::read(&place.path("hook.json")).expect("record of the exit command");
    let surplus: Vec<_> = record.fds.iter().filter(|(number, _)| **number > 2).collect();
    assert!(surplus.is_empty(), "{surplus:?}");
}

#[test]
fn its_call() {
    let place = place();
    let script = Script { record: Some(place.path("call.json")), ..Script::of([]) };
    let mut running =
        gated(&place, &script, &["-s", "--no-pivot", "--no-new-keyring", "--runtime-arg", "--debug"]);
    running.go();
    running.pid();
    running.message();
    let call = conward_testkit::Record::read(&place.path("call.json")).expect("record of the call");
    let dir = place.path("").display().to_string();
    let words: Vec<String> = call.argv[1..].iter().map(|word| word.replace(&dir, "DIR/")).collect();
    let expected = [
        "--debug",
        "exec",
        "--pid-file",
        "DIR/session/exec_pid",
        "--process",
        "DIR/session/process.json",
        "--detach",
        place.id(),
    ];
    assert_eq!(words, expected);
}

#[test]
fn the_runtimes_own_status_does_not_matter_once_there_is_a_pid() {
    let place = place();
    let script = Script { after: vec![Step::Exit(3)], ..Script::of([Step::Exit(5)]) };
    let mut running = gated(&place, &script, &[]);
    running.go();
    running.pid();
    assert_eq!(running.message().number, 5);
    assert_eq!(running.status(), 5);
}

#[test]
fn a_very_short_one_loses_nothing() {
    // With and without a terminal, whoever its parent is, ended before or after its pid is known.
    for round in 0..48 {
        let place = place();
        let (terminal, early) = (round & 1 == 1, round & 2 == 2);
        let container = if round & 4 == 4 { Container::Child } else { Container::Orphan };
        let pid_file = if early { PidFile::AfterExit } else { PidFile::Written };
        let script = Script { container, pid_file, ..Script::of([Step::out("x"), Step::Exit(3)]) };
        let mut running = gated(&place, &script, if terminal { &["-t"] } else { &[] });
        let client = conward_testkit::Client::connect(&session(&place));
        running.go();
        running.pid();
        assert_eq!(client.read_to_end().stdout, b"x", "round {round}");
        assert_eq!(running.message().number, 3, "round {round}");
    }
}

#[test]
fn nobody_may_come() {
    let place = place();
    let mut running = gated(&place, &Script::of([Step::out("unheard"), Step::Exit(2)]), &[]);
    running.go();
    running.pid();
    assert_eq!(running.message().number, 2);
}

#[test]
fn the_caller_may_have_gone() {
    let place = place();
    let mut gate = place.gate("gate");
    let mut running = gated(&place, &Script::of([Step::Await(gate.path().to_owned()), Step::Exit(2)]), &[]);
    running.go();
    running.pid();
    running.hang_up_sync();
    gate.open();
    assert_eq!(running.status(), 2);
    assert_eq!(place.exit_file().as_deref(), Some("2"));
    assert!(place.path("hook.json").exists());
}

#[test]
fn input_and_its_end() {
    let place = place();
    let mut running = gated(&place, &Script::of([Step::Echo, Step::Exit(1)]), &["-i"]);
    let client = conward_testkit::Client::connect(&session(&place));
    running.go();
    running.pid();
    let input = conward_testkit::Pattern { seed: 51, bytes: 1 << 20, line: 70 }.bytes();
    assert!(client.exchange(&input, 8192).stdout == input, "not what was sent");
    assert_eq!(running.message().number, 1);
}

#[test]
fn the_old_form_says_one_thing() {
    let place = place();
    let script = Script::of([Step::out("to stdout\n"), Step::err("to stderr\n"), Step::Exit(7)]);
    let mut running = Launch::crio_exec(&place, &script).start();
    let message = running.message();
    assert_eq!(message.raw, b"{\"exit_code\": 7}\n");
    running.no_more_messages();
    assert_eq!(running.status(), 7);
    let records = place.log_records();
    assert_eq!(
        (joined(&records, "stdout"), joined(&records, "stderr")),
        (b"to stdout\n".to_vec(), b"to stderr\n".to_vec())
    );
    assert!(!place.path("conmon.pid").exists());
}

#[test]
fn the_old_form_says_that_time_was_up() {
    let place = place();
    let script = Script::of([Step::Flood(To::Stdout, b"y\n".to_vec())]);
    let mut running =
        Launch::crio_exec(&place, &script).args(["-T", "1", "--log-global-size-max", "100000"]).start();
    let message = running.message();
    assert_eq!((message.key.as_str(), message.number), ("exit_code", -1));
    assert_eq!(message.text.as_deref(), Some("command timed out"));
    assert_eq!(running.status(), 255);
}

#[test]
fn a_grandchild_does_not_hold_it_up() {
    let place = place();
    let mut gate = place.gate("gate");
    let script =
        Script::of([Step::Fork(vec![Step::Await(gate.path().to_owned())]), Step::out("x"), Step::Exit(4)]);
    let mut running = Launch::crio_exec(&place, &script).start();
    assert_eq!(running.message().number, 4);
    assert_eq!(running.status(), 4);
    gate.open();
}

#[test]
fn resizing_before_it_runs() {
    let place = place();
    let mut running = gated(&place, &Script::of([Step::Sleep(50), Step::TtySize]), &["-t"]);
    let client = conward_testkit::Client::connect(&session(&place));
    std::fs::write(place.path("session/ctl"), "1 12 34\n").expect("ctl");
    running.go();
    running.pid();
    client.read_until("12 34\r\n");
    assert!(client.packet(PATIENCE).is_some_and(|end| end.is_err()));
    assert_eq!(running.message().number, 0);
}
