//! The end of a container: what is written, in which order, whatever else happens.

use crate::place;
use conward_testkit::{
    Container, Launch, PATIENCE, Pattern, Process, Script, Step, Sum, To, Watch, fake_runtime, joined,
};
use nix::sys::signal::Signal;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn the_order_is_persist_exit_directory_attach_exit_command() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart]));
    let mut watch = Watch::new(&place, &["persist", "exits", "bundle", "."]);
    let mut running = Launch::create(&place).exit_command("hook.json").start().created();
    place.start_container();
    running.status();
    let events = watch.events(&place, &["persist/exit", "exits/ID", "bundle/attach", "./hook.json"]);
    assert_eq!(events, ["+bundle/attach", "+persist/exit", "+exits/ID", "-bundle/attach", "+./hook.json"]);
    assert_eq!(
        (place.mode("persist/exit"), place.mode(format!("exits/{}", place.id()))),
        ("f644".into(), "f644".into())
    );
}

#[test]
fn the_log_is_synced_when_all_have_been_told_and_before_the_exit_command() {
    let place = place();
    place.script(&Script::of([Step::out("output\n"), Step::Exit(3)]));
    let trace = place.path("trace");
    let calls = "fsync,fdatasync,rename,renameat,renameat2,execve";
    let launch = Launch::create(&place).exit_command("hook.json").traced(calls, trace.clone());
    let mut running = launch.start().created();
    assert_eq!(running.status(), 3);
    let trace = std::fs::read_to_string(trace).expect("trace");
    let log = format!("<{}>", place.log().display());
    let command = format!("[\"{}\", \"record\"", fake_runtime().display());
    let steps = trace.lines().filter_map(|line| match line {
        _ if line.contains("sync(") && line.contains(&log) => Some("sync of the log"),
        _ if line.contains("rename") && line.contains("/persist/exit\"") => Some("persist/exit"),
        _ if line.contains("rename") && line.contains(&format!("/exits/{}\"", place.id())) => {
            Some("exits/ID")
        }
        _ if line.contains(&command) => Some("exit command"),
        _ => None,
    });
    let steps: Vec<&str> = steps.collect();
    assert_eq!(steps, ["persist/exit", "exits/ID", "sync of the log", "exit command"], "{trace}");
}

#[test]
fn a_grandchild_with_the_streams_does_not_delay_it() {
    let place = place();
    let mut gate = place.gate("gate");
    let stay = Step::Fork(vec![Step::Await(gate.path().to_owned())]);
    place.script(&Script::of([Step::AwaitStart, stay, Step::out("last words"), Step::Exit(3)]));
    let mut running = Launch::create(&place).exit_command("hook.json").start().created();
    place.start_container();
    place.await_file("hook.json");
    assert_eq!(running.status(), 3, "it waits for a process that is not its business");
    assert_eq!(joined(&place.log_records(), "stdout"), b"last words");
    gate.open();
}

#[test]
fn not_even_one_that_writes_for_ever() {
    let place = place();
    let flood = Step::Fork(vec![Step::Flood(To::Stdout, b"noise\n".to_vec())]);
    place.script(&Script::of([Step::AwaitStart, flood, Step::Exit(3)]));
    let mut running = Launch::create(&place).start().created();
    let reader = {
        let client = running.attach();
        std::thread::spawn(move || while let Some(Ok(_)) = client.packet(PATIENCE) {})
    };
    place.start_container();
    assert_eq!(running.status(), 3);
    assert_eq!(place.exit_file().as_deref(), Some("3"));
    reader.join().expect("client");
}

#[test]
fn all_that_was_written_before_the_end_is_in_the_log() {
    for round in 0..20 {
        let place = place();
        let pattern = Pattern { seed: round, bytes: 60_000, line: 100 };
        place.script(&Script::of([Step::AwaitStart, Step::Generate(To::Stdout, pattern), Step::Exit(3)]));
        let mut running = Launch::create(&place).start().created();
        place.start_container();
        assert_eq!(running.status(), 3);
        assert_eq!(Sum::of(&joined(&place.log_records(), "stdout")), Sum::of(&pattern.bytes()));
    }
}

#[test]
fn a_missing_directory_suppresses_nothing_else() {
    let place = place();
    std::fs::remove_dir(place.path("persist")).expect("remove a directory");
    place.script(&Script::of([Step::AwaitStart, Step::Exit(4)]));
    let mut running = Launch::create(&place).exit_command("hook.json").start().created();
    place.start_container();
    assert_eq!(running.status(), 4);
    assert_eq!(place.exit_file().as_deref(), Some("4"));
    assert!(place.path("hook.json").exists());
}

#[test]
fn neither_does_it_for_an_exec() {
    for missing in ["persist", "exits"] {
        let place = place();
        std::fs::remove_dir(place.path(missing)).expect("remove a directory");
        let mut running =
            Launch::exec(&place, &Script::of([Step::Exit(4)])).exit_command("hook.json").start();
        running.go();
        running.attach_ready();
        running.go();
        running.pid();
        assert_eq!(running.message().number, 4, "without {missing}");
        running.no_more_messages();
        assert_eq!(running.status(), 4);
        assert!(place.path("hook.json").exists());
    }
}

#[test]
fn the_end_of_a_container_that_is_nobodys_child_is_seen_at_once() {
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let place = place();
        // It ends with its stdin, so also with a test that panics.
        let mut stranger = Command::new("cat");
        let stranger = stranger.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut stranger = stranger.spawn().expect("cat");
        let pid = stranger.id().cast_signed();
        place.script(&Script { container: Container::Other(pid), ..Script::of([]) });
        let mut watch = Watch::new(&place, &["exits"]);
        let mut running = Launch::create(&place).start();
        running.go();
        assert_eq!(running.pid(), pid);
        let since = Instant::now();
        stranger.kill().expect("kill");
        stranger.wait().expect("wait");
        watch.wait(&place, "+exits/ID");
        best = best.min(since.elapsed());
        let exit = place.exit_file().expect("exit file");
        // Kernels before 6.15 do not tell.
        assert!(exit == "-1" || exit == "137", "an unknown status became {exit}");
        running.status();
    }
    assert!(best < Duration::from_millis(100), "seen after {best:?}");
}

#[test]
fn a_time_limit_ends_the_whole_group() {
    let place = place();
    let child = Step::Fork(vec![Step::Pause]);
    place.script(&Script::of([Step::AwaitStart, child, Step::out("before"), Step::Pause]));
    let since = Instant::now();
    let mut running = Launch::create(&place).args(["--timeout", "1"]).start();
    running.go();
    let container = running.pid();
    place.start_container();
    assert_eq!(running.status(), 255);
    assert!(since.elapsed() >= Duration::from_secs(1));
    assert_eq!(place.exit_file().as_deref(), Some("-1"));
    if let Some(container) = Process::open(container) {
        assert!(container.ended_within(PATIENCE));
    }
}

#[test]
fn a_time_limit_holds_while_output_flows() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart, Step::Flood(To::Stdout, b"y\n".to_vec())]));
    let mut running = Launch::create(&place).args(["--timeout", "1", "-l", "none"]).start().created();
    place.start_container();
    assert_eq!(running.status(), 255);
    assert_eq!(place.exit_file().as_deref(), Some("-1"));
}

#[test]
fn noise_does_not_end_the_supervisor() {
    let place = place();
    let mut gate = place.gate("gate");
    place.script(&Script::of([Step::AwaitStart, Step::Await(gate.path().to_owned()), Step::Exit(9)]));
    let mut running = Launch::create(&place).start().created();
    running.launched();
    place.start_container();
    use Signal::*;
    let noise = [
        SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE, SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG,
        SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGWINCH, SIGIO, SIGPWR, SIGSTKFLT,
    ];
    for signal in noise {
        running.kill(signal);
        assert!(!running.monitor().ended_within(Duration::from_millis(20)), "{signal} ended it");
    }
    gate.open();
    assert_eq!(running.status(), 9);
    assert_eq!(place.exit_file().as_deref(), Some("9"));
}

#[test]
fn term_int_and_quit_go_to_the_container() {
    let place = place();
    let signals = vec![libc::SIGTERM, libc::SIGINT, libc::SIGQUIT];
    let wait = Step::AwaitSignal(signals.clone());
    let steps =
        vec![Step::Block(signals), Step::AwaitStart, Step::out("ready\n"), wait.clone(), wait.clone(), wait];
    place.script(&Script::of(steps));
    let mut running = Launch::create(&place).start().created();
    let client = running.attach();
    place.start_container();
    client.read_until("ready\n");
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        running.kill(signal);
        client.read_until(&format!("signal {}\n", signal as i32));
    }
    assert_eq!(running.status(), 0);
}
