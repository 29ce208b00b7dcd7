//! A container's ordinary life: start byte, pid, end.

use crate::place;
use conward_testkit::{Container, Gate, Launch, Pipes, Process, Script, Step, Watch, wait_until};
use nix::sys::signal::Signal;

#[test]
fn the_exit_status_is_recorded_everywhere() {
    let table = [
        (Step::Exit(0), 0),
        (Step::Exit(7), 7),
        (Step::Exit(255), 255),
        (Step::Die(9), 137),
        (Step::Die(15), 143),
    ];
    for (last, status) in table {
        for container in [Container::Orphan, Container::Child] {
            let place = place();
            let steps = vec![Step::AwaitStart, Step::out("hello\n"), last.clone()];
            place.script(&Script { container, ..Script::of(steps) });
            let mut running = Launch::create(&place).start().created();
            place.start_container();
            assert_eq!(running.status(), status);
            assert_eq!(place.exit_file(), Some(status.to_string()));
            assert_eq!(place.persist_exit(), Some(status.to_string()));
            assert_eq!(place.log_records()[0].content, b"hello");
            running.no_more_messages();
        }
    }
}

#[test]
fn nothing_happens_before_the_start_byte() {
    let place = place();
    place.script(&Script { record: Some(place.path("call.json")), ..Script::default() });
    let mut running = Launch::create(&place).start();
    wait_until("the log is opened", || place.log().exists());
    assert_eq!(place.processes(), [running.launcher_pid()], "it forked before the start byte");
    assert!(!place.path("conmon.pid").exists() && !place.bundle().join("attach").exists());
    running.go();
    running.pid();
}

#[test]
fn end_of_the_start_pipe_means_go() {
    let place = place();
    place.script(&Script::of([Step::Exit(4)]));
    let mut running = Launch::create(&place).start();
    running.hang_up_start();
    running.pid();
    assert_eq!(running.status(), 4);
}

#[test]
fn terminated_while_it_waits_for_the_start_byte() {
    let place = place();
    let mut running = Launch::create(&place).exit_command("hook.json").start();
    wait_until("the log is opened", || place.log().exists());
    // The log is opened before the handler is in place: a signal between the two would kill.
    wait_until("it waits", || conward_testkit::state_of(running.launcher_pid()) == Some('S'));
    running.kill_launcher(Signal::SIGTERM);
    assert_eq!(running.launched().status, 1);
    running.no_more_messages();
    assert!(!place.path("hook.json").exists() && place.exit_file().is_none());
}

#[test]
fn the_pid_files_are_there_when_the_launcher_has_gone() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart]));
    let mut running = Launch::create(&place).start();
    running.go();
    let launched = running.launched();
    assert_eq!((launched.status, launched.stdout.as_str(), launched.stderr.as_str()), (0, "", ""));
    let pid: i32 = place.await_file("conmon.pid").parse().expect("a pid without a newline");
    assert_eq!(place.mode("conmon.pid"), "f644");
    assert_eq!(running.monitor().pid(), pid);
    let container = running.pid();
    assert_eq!(place.await_file("pidfile"), container.to_string());
    place.start_container();
}

#[test]
fn sync_stays_a_child_and_writes_no_pid_file() {
    let place = place();
    place.script(&Script::of([Step::Exit(3)]));
    let mut running = Launch::create(&place).sync().start();
    running.go();
    running.pid();
    assert_eq!(running.launched().status, 3);
    assert!(!place.path("conmon.pid").exists());
}

#[test]
fn each_caller_gets_its_own_words_on_its_own_kind_of_pipe() {
    for pipes in [Pipes::SeqPacket, Pipes::Stream, Pipes::Plain] {
        let place = place();
        place.script(&Script::of([Step::AwaitStart]));
        let mut running = Launch::create(&place).pipes(pipes).start();
        running.go();
        let message = running.message();
        assert_eq!(message.raw, format!("{{\"data\": {}}}\n", message.number).into_bytes());
        place.start_container();
        running.no_more_messages();
    }
    let place = place();
    place.script(&Script::of([Step::AwaitStart]));
    let mut running = Launch::crio_create(&place).start();
    running.go();
    let message = running.message();
    assert_eq!(message.raw, format!("{{\"pid\": {}}}\n", message.number).into_bytes());
    place.start_container();
    running.no_more_messages();
}

#[test]
fn a_container_that_ends_before_its_pid_is_known_keeps_its_status() {
    for container in [Container::Orphan, Container::Child] {
        for terminal in [false, true] {
            let place = place();
            let script = Script::of([Step::out("quick\n"), Step::Exit(3)]);
            place.script(&Script { pid_file: conward_testkit::PidFile::AfterExit, container, ..script });
            let launch = Launch::create(&place);
            let mut running = if terminal { launch.arg("-t") } else { launch }.start().created();
            assert_eq!(running.status(), 3, "terminal {terminal}, {container:?}");
            assert_eq!(place.exit_file().as_deref(), Some("3"));
            assert!(place.log_records()[0].content.starts_with(b"quick"));
        }
    }
}

#[test]
fn killed_before_it_was_started() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart]));
    let mut running = Launch::create(&place).start();
    running.go();
    let container = Process::open(running.pid()).expect("the container");
    assert!(container.kill(Signal::SIGKILL));
    assert_eq!(running.status(), 137);
    assert_eq!(place.exit_file().as_deref(), Some("137"));
}

#[test]
fn the_container_is_reaped_at_once() {
    let place = place();
    let mut gate: Gate = place.gate("gate");
    place.script(&Script::of([Step::AwaitStart]));
    let mut running = Launch::create(&place).gated_exit_command("hook.json", &gate).start();
    running.go();
    let container = running.pid();
    place.start_container();
    place.await_file("hook.json");
    assert_eq!(conward_testkit::state_of(container), None, "a zombie while the exit command runs");
    gate.open();
}

#[test]
fn inherited_descriptors_reach_the_runtime_and_are_released_before_the_exit_file() {
    let place = place();
    let (ours, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("pipe");
    let number = std::os::fd::AsRawFd::as_raw_fd(&theirs);
    place.script(&Script { record: Some(place.path("call.json")), ..Script::of([Step::AwaitStart]) });
    let mut watch = Watch::new(&place, &["exits"]);
    let mut running = Launch::create(&place).inherit(theirs).start().created();
    running.launched();
    let call = conward_testkit::Record::read(&place.path("call.json")).expect("record of the call");
    assert!(call.fds.get(&number).is_some_and(|name| name.starts_with("pipe:")), "{:?}", call.fds);
    let none = std::time::Duration::ZERO;
    assert!(!conward_testkit::readable(&ours, none), "closed while the container runs");
    place.start_container();
    watch.wait(&place, "+exits/ID");
    assert!(conward_testkit::readable(&ours, none), "still open when the exit file is there");
}

#[test]
fn the_caller_may_hang_up_at_any_time() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart, Step::Exit(6)]));
    let mut running = Launch::create(&place).exit_command("hook.json").start();
    running.hang_up_sync();
    running.go();
    assert_eq!(running.launched().status, 0);
    wait_until("the container is there", || place.path("pidfile").exists());
    place.start_container();
    assert_eq!(running.status(), 6);
    assert_eq!(place.exit_file().as_deref(), Some("6"));
    assert!(place.path("hook.json").exists());
}
