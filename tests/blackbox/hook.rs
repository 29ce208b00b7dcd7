//! The exit command.

use crate::place;
use conward_testkit::{Launch, Place, Record, Script, Step, children, fake_runtime, state_of, wait_until};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

fn record(place: &Place) -> Record {
    Record::read(&place.path("hook.json")).expect("record of the exit command")
}

#[test]
fn it_gets_its_own_words_and_a_clean_start() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart]));
    let (_ours, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("pipe");
    let mut running = Launch::create(&place)
        .inherit(theirs)
        .exit_command("hook.json")
        .args(["--exit-command-arg", "", "--exit-command-arg", "--stopped-only"])
        .start();
    // The gate's place is taken by an empty word: the command fails, which is ignored.
    running.go();
    running.pid();
    place.start_container();
    assert_eq!(running.status(), 0);
    let record = record(&place);
    let file = place.path("hook.json").display().to_string();
    assert_eq!(record.argv, [&fake_runtime().display().to_string(), "record", &file, "", "--stopped-only"]);
    assert!(record.env.contains_key("_OCI_SYNCPIPE") && record.env.contains_key("PATH"));
    assert_eq!(record.cwd, std::env::current_dir().expect("cwd").display().to_string());
    let fds: Vec<(i32, &str)> = record.fds.iter().map(|(fd, name)| (*fd, name.as_str())).collect();
    assert_eq!(fds, [(0, "/dev/null"), (1, "/dev/null"), (2, "/dev/null")]);
    assert_eq!(record.status["Umask"], "0022");
}

#[test]
fn it_starts_with_default_signals() {
    let place = place();
    place.script(&Script::of([]));
    Launch::create(&place).exit_command("hook.json").start().created().status();
    let record = record(&place);
    assert_eq!(record.status["SigBlk"], "0000000000000000");
    for signal in [libc::SIGPIPE, libc::SIGCHLD, libc::SIGTERM, libc::SIGHUP] {
        assert!(!record.has_signal("SigIgn", signal), "{signal} is ignored");
    }
}

#[test]
fn the_caller_hears_the_end_before_it() {
    let place = place();
    let mut gate = place.gate("gate");
    place.script(&Script::of([Step::AwaitStart]));
    let mut running = Launch::create(&place).gated_exit_command("hook.json", &gate).start().created();
    place.start_container();
    place.await_file("hook.json");
    running.no_more_messages();
    assert_eq!(place.exit_file().as_deref(), Some("0"));
    gate.open();
}

#[test]
fn the_supervisor_outlives_it_but_not_its_children() {
    let place = place();
    let mut gate = place.gate("gate");
    place.script(&Script::of([Step::AwaitStart, Step::Exit(5)]));
    let mut running = Launch::create(&place).gated_exit_command("hook.json", &gate).start().created();
    place.start_container();
    place.await_file("hook.json");
    let pid = running.monitor().pid();
    assert_eq!(record(&place).parent, pid);
    assert!(!running.monitor().ended_within(Duration::from_millis(50)));
    gate.open();
    assert_eq!(running.status(), 5);
}

#[test]
fn it_waits_for_its_delay_and_no_zombie_waits_with_it() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart]));
    let mut running = Launch::create(&place).exit_command("hook.json").args(["--exit-delay", "1"]).start();
    running.go();
    let container = running.pid();
    let since = Instant::now();
    place.start_container();
    wait_until("the exit file", || place.exit_file().is_some());
    running.no_more_messages();
    let monitor = running.monitor().pid();
    assert_eq!(state_of(container), None);
    assert!(children(monitor).into_iter().all(|pid| state_of(pid) != Some('Z')), "zombies in the delay");
    assert!(!place.path("hook.json").exists());
    running.status();
    assert!(since.elapsed() >= Duration::from_secs(1));
    assert!(place.path("hook.json").exists());
}

#[test]
fn its_delay_ends_when_the_supervisor_is_told_to_end() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let place = place();
        place.script(&Script::of([Step::Exit(6)]));
        let launch = Launch::create(&place).exit_command("hook.json").args(["--exit-delay", "3600"]);
        let mut running = launch.start().created();
        // The end of the pipe comes when the delay begins.
        running.no_more_messages();
        assert_eq!(place.exit_file().as_deref(), Some("6"));
        assert!(!place.path("hook.json").exists());
        running.kill(signal);
        assert_eq!(running.status(), 6, "{signal}");
        assert!(place.path("hook.json").exists());
    }
}

#[test]
fn one_that_cannot_be_run_changes_nothing() {
    let place = place();
    place.script(&Script::of([Step::Exit(6)]));
    let mut running = Launch::create(&place).args(["--exit-command", "/nonexistent"]).start().created();
    assert_eq!(running.status(), 6);
    assert_eq!(place.exit_file().as_deref(), Some("6"));
}

#[test]
fn its_own_failure_changes_nothing() {
    let place = place();
    place.script(&Script::of([Step::Exit(6)]));
    let mut running = Launch::create(&place).args(["--exit-command", "/bin/false"]).start().created();
    assert_eq!(running.status(), 6);
}
