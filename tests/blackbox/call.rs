//! How the runtime is called.

use crate::place;
use conward_testkit::{Launch, Place, Record, Script, Step, fake_runtime, joined};

/// Runs a container and gives the runtime's view of its call.
fn call(place: &Place, launch: impl FnOnce(Launch) -> Launch) -> Record {
    place.script(&Script { record: Some(place.path("call.json")), ..Script::default() });
    let mut running = launch(Launch::create(place)).start().created();
    running.status();
    Record::read(&place.path("call.json")).expect("record of the call")
}

fn words(place: &Place, record: &Record) -> Vec<String> {
    assert_eq!(record.argv[0], fake_runtime().display().to_string());
    let known = |word: &String| match word {
        word if *word == place.bundle().display().to_string() => "BUNDLE".into(),
        word if *word == place.path("pidfile").display().to_string() => "PIDFILE".into(),
        word if word == place.id() => "ID".into(),
        word if word.contains("conmon-term") => "SOCKET".into(),
        word => word.clone(),
    };
    record.argv[1..].iter().map(known).collect()
}

#[test]
fn create_with_all_its_options_in_order() {
    let place = place();
    let record = call(&place, |launch| {
        launch
            .args(["-s", "--no-pivot", "--no-new-keyring", "--runtime-arg", "--debug", "--runtime-arg", ""])
            .args(["--runtime-opt", "--preserve-fds", "--runtime-opt", "2"])
    });
    let expected = [
        "--systemd-cgroup",
        "--debug",
        "",
        "create",
        "--bundle",
        "BUNDLE",
        "--pid-file",
        "PIDFILE",
        "--no-pivot",
        "--no-new-keyring",
        "--preserve-fds",
        "2",
        "ID",
    ];
    assert_eq!(words(&place, &record), expected);
}

#[test]
fn a_terminal_adds_the_console_socket() {
    let place = place();
    let record = call(&place, |launch| launch.arg("-t"));
    let expected =
        ["create", "--bundle", "BUNDLE", "--pid-file", "PIDFILE", "--console-socket", "SOCKET", "ID"]
            .map(String::from);
    let words: Vec<String> = words(&place, &record);
    assert_eq!(words.len(), expected.len());
    assert_eq!(words[..6], expected[..6]);
    assert_eq!(words[7], expected[7]);
}

#[test]
fn restore_names_the_image_and_works_in_the_bundle() {
    let place = place();
    let record =
        call(&place, |launch| launch.args(["--restore", "/the/image", "--runtime-opt", "--tcp-established"]));
    let expected = [
        "restore",
        "--bundle",
        "BUNDLE",
        "--pid-file",
        "PIDFILE",
        "--detach",
        "--image-path",
        "/the/image",
        "--work-path",
        "BUNDLE",
        "--tcp-established",
        "ID",
    ];
    assert_eq!(words(&place, &record), expected);
}

#[test]
fn the_runtime_finds_itself_in_the_state_its_caller_was_in() {
    let place = place();
    let record = call(&place, |launch| launch.env("NOTIFY_SOCKET", "/run/x").env("EMPTY", ""));
    assert_eq!(record.env["NOTIFY_SOCKET"], "/run/x");
    assert_eq!(record.env["EMPTY"], "");
    assert!(record.env.contains_key("_OCI_SYNCPIPE"));
    assert_eq!(record.cwd, std::env::current_dir().expect("cwd").display().to_string());
    assert_eq!(record.status["Umask"], "0022");
    assert_eq!(record.status["SigBlk"], "0000000000000000", "signals blocked in the runtime");
    assert_eq!(record.parent_death_signal, 9);
    assert_eq!(record.fds[&0], "/dev/null");
    assert!(record.fds[&1].starts_with("pipe:") && record.fds[&2].starts_with("pipe:"));
    assert_ne!(record.fds[&1], record.fds[&2]);
    assert_eq!(record.fds.keys().max(), Some(&2), "descriptors of the supervisor's: {:?}", record.fds);
}

#[test]
fn what_is_opened_is_not_taken_for_a_closed_stream() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart, Step::out("text\n")]));
    let mut running = Launch::create(&place).without_streams().start().created();
    place.start_container();
    assert_eq!(running.status(), 0);
    assert_eq!(joined(&place.log_records(), "stdout"), b"text\n");
}

#[test]
fn signals_are_at_their_defaults_in_the_runtime() {
    let place = place();
    let record = call(&place, |launch| launch);
    for signal in [libc::SIGPIPE, libc::SIGCHLD, libc::SIGHUP, libc::SIGTERM] {
        assert!(!record.has_signal("SigIgn", signal), "{signal} is ignored: {}", record.status["SigIgn"]);
    }
}

#[test]
fn the_streams_can_be_reopened_by_another_user() {
    let place = place();
    let script =
        Script::of([Step::AwaitStart, Step::Record(place.path("ctr.json")), Step::Await(place.path("gate"))]);
    place.script(&script);
    let mut gate = place.gate("gate");
    let mut running = Launch::create(&place).arg("-i").start();
    running.go();
    let pid = running.pid();
    for fd in 1..3 {
        use std::os::unix::fs::MetadataExt;
        let meta = std::fs::metadata(format!("/proc/{pid}/fd/{fd}")).expect("stream of the container");
        assert_eq!(meta.mode() & 0o777, 0o777, "stream {fd}");
    }
    place.start_container();
    gate.open();
}

#[test]
fn listen_pid_is_rewritten_only_on_demand() {
    for (flag, same) in [(None, true), (Some("--replace-listen-pid"), false)] {
        let place = place();
        let record =
            call(&place, |launch| launch.env("LISTEN_PID", "12345").env("LISTEN_FDS", "1").args(flag));
        let expected = if same { "12345".to_owned() } else { record.pid.to_string() };
        assert_eq!(record.env["LISTEN_PID"], expected);
        assert_eq!(record.env["LISTEN_FDS"], "1");
    }
    let place = place();
    let record = call(&place, |launch| launch.arg("--replace-listen-pid"));
    assert!(!record.env.contains_key("LISTEN_PID"), "made up");
}

#[test]
fn a_listen_pid_that_is_none_fails_the_create() {
    for bad in ["abc", "0", "-4", ""] {
        let place = place();
        place.script(&Script::of([]));
        let mut running = Launch::create(&place).env("LISTEN_PID", bad).start();
        running.go();
        let message = running.message();
        assert_eq!(message.number, -1);
        assert!(message.text.is_some_and(|text| text.contains("Invalid LISTEN_PID")), "for {bad:?}");
        assert_eq!(running.status(), 1);
    }
}
