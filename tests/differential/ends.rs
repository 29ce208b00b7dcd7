//! The end of a container.

use crate::compare::Subject;
use crate::life::{begin, finish, message, rest, whole, whole_with_files};
use conward_testkit::{Container, Launch, Script, Step};
use nix::sys::signal::Signal;
use std::time::Duration;

pub fn signals(subject: &mut Subject) {
    for signal in [1, 6, 9, 15] {
        let place = subject.place();
        place.script(&Script::of([Step::AwaitStart, Step::Die(signal)]));
        let mut running = Launch::create(&place).start().created();
        place.start_container();
        let status = running.status();
        subject.note(&format!("signal {signal}"), format!("{status} {:?}", place.exit_file()));
    }
}

/// A container that is not the supervisor's child.
pub fn stranger(subject: &mut Subject) {
    let place = subject.place();
    let mut other = std::process::Command::new("sleep").arg("1000").spawn().expect("sleep");
    let pid = other.id().cast_signed();
    place.script(&Script { container: Container::Other(pid), ..Script::of([]) });
    let mut running = Launch::create(&place).start();
    running.go();
    subject.note("pid", running.pid() == pid);
    running.launched();
    other.kill().expect("kill");
    other.wait().expect("wait");
    let alone = running.monitor().ended_within(Duration::from_secs(1));
    subject.note("seen without help", alone);
    // The reference looks only when a signal comes.
    while !running.monitor().ended_within(Duration::from_millis(20)) {
        running.monitor().kill(Signal::SIGTERM);
    }
    subject.note("exit file", format!("{:?}", place.exit_file()));
}

pub fn time_limit(subject: &mut Subject) {
    let place = subject.place();
    place.script(&Script::of([Step::AwaitStart, Step::out("before\n"), Step::Pause]));
    whole(subject, &place, Launch::create(&place).args(["-T", "1"]).exit_command("hook.json"));
}

pub fn missing_persist(subject: &mut Subject) {
    let place = subject.place();
    place.script(&Script::of([Step::AwaitStart, Step::Exit(4)]));
    let launch =
        Launch::create(&place).exit_command("hook.json").arg("--persist-dir").arg(place.path("missing"));
    whole_with_files(subject, &place, launch);
}

pub fn missing_exit_dir(subject: &mut Subject) {
    let place = subject.place();
    let script = Script::of([Step::Exit(4)]);
    let launch = Launch::exec(&place, &script).arg("--exit-dir").arg(place.path("missing"));
    let mut running = launch.exit_command("hook.json").start();
    running.go();
    running.attach_ready();
    running.go();
    let raw = running.raw_message();
    subject.note("first message", message(&place, &raw));
    finish(subject, &place, &mut running);
}

pub fn forwarded(subject: &mut Subject) {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let place = subject.place();
        let number = signal as i32;
        let steps = [
            Step::Block(vec![number]),
            Step::AwaitStart,
            Step::out("ready\n"),
            Step::AwaitSignal(vec![number]),
        ];
        place.script(&Script::of(steps));
        let mut running = Launch::create(&place).start().created();
        let client = running.attach();
        place.start_container();
        client.read_until("ready\n");
        running.kill(signal);
        let heard = client.read_to_end();
        subject.note(signal.as_str(), format!("{} {}", heard.stdout.escape_ascii(), running.status()));
    }
}

pub fn exit_delay(subject: &mut Subject) {
    let place = subject.place();
    place.script(&Script::of([Step::AwaitStart]));
    let mut running = Launch::create(&place).exit_command("hook.json").args(["--exit-delay", "1"]).start();
    running.go();
    begin(subject, &place, &mut running);
    conward_testkit::wait_until("the exit file", || place.exit_file().is_some());
    subject.note("messages in the delay", rest(&place, &mut running));
    subject.note("command in the delay", place.path("hook.json").exists());
    subject.note("status", running.status());
    subject.note("command after the delay", place.path("hook.json").exists());
}

pub fn noise(subject: &mut Subject) {
    for signal in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGPIPE, Signal::SIGCHLD] {
        let place = subject.place();
        place.script(&Script::of([Step::AwaitStart, Step::Exit(3)]));
        let mut running = Launch::create(&place).start().created();
        running.kill(signal);
        running.monitor().ended_within(Duration::from_millis(100));
        place.start_container();
        let status = running.status();
        subject.note(signal.as_str(), format!("{status} {:?}", place.exit_file()));
    }
}
