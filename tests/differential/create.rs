//! Containers that are created without trouble.

use crate::compare::Subject;
use crate::life::{begin, finish, note_record, whole, whole_with_files};
use conward_testkit::{Launch, PATIENCE, Script, Step, wait_until};
use nix::sys::signal::Signal;
use std::os::unix::net::UnixListener;

fn hello() -> Script {
    Script::of([Step::AwaitStart, Step::out("hello\n"), Step::Exit(3)])
}

pub fn podman_create(subject: &mut Subject) {
    let place = subject.place();
    place.script(&hello());
    whole_with_files(subject, &place, Launch::create(&place).exit_command("hook.json"));
}

pub fn crio_create(subject: &mut Subject) {
    let place = subject.place();
    place.script(&hello());
    whole_with_files(subject, &place, Launch::crio_create(&place).args(["-i", "--leave-stdin-open"]));
}

pub fn terminal(subject: &mut Subject) {
    let place = subject.place();
    place.script(&hello());
    whole(subject, &place, Launch::create(&place).arg("-t"));
}

pub fn restore(subject: &mut Subject) {
    let place = subject.place();
    place.script(&Script { record: Some(place.path("call.json")), ..hello() });
    whole(
        subject,
        &place,
        Launch::create(&place).args(["--restore", "/image", "--runtime-opt", "--file-locks", "-s"]),
    );
    note_record(subject, &place, "runtime", "call.json");
}

pub fn passthrough(subject: &mut Subject) {
    let place = subject.place();
    place.script(&Script { record: Some(place.path("call.json")), ..hello() });
    let mut running = Launch::create(&place).args(["-l", "passthrough"]).start();
    running.go();
    begin(subject, &place, &mut running);
    finish(subject, &place, &mut running);
    note_record(subject, &place, "runtime", "call.json");
}

pub fn start_pipe_end(subject: &mut Subject) {
    let place = subject.place();
    place.script(&hello());
    let mut running = Launch::create(&place).start();
    running.hang_up_start();
    begin(subject, &place, &mut running);
    finish(subject, &place, &mut running);
}

pub fn terminated_early(subject: &mut Subject) {
    let place = subject.place();
    let mut running = Launch::create(&place).exit_command("hook.json").start();
    wait_until("the log is opened", || place.log().exists());
    wait_until("it waits", || conward_testkit::state_of(running.launcher_pid()) == Some('S'));
    running.kill_launcher(Signal::SIGTERM);
    finish(subject, &place, &mut running);
}

pub fn listen_pid(subject: &mut Subject) {
    for value in ["1", "abc", "0"] {
        let place = subject.place();
        place.script(&hello());
        let mut running = Launch::create(&place).env("LISTEN_PID", value).start();
        running.go();
        let raw = running.raw_message();
        subject.note(&format!("message for {value}"), crate::life::message(&place, &raw));
        if place.path("pidfile").exists() {
            place.start_container();
        }
        subject.note(&format!("status for {value}"), running.status());
    }
}

pub fn socket_directory(subject: &mut Subject) {
    let place = subject.place();
    std::os::unix::fs::symlink("/nowhere", place.path("sockets").join(place.id())).expect("a stale link");
    place.script(&hello());
    whole_with_files(subject, &place, Launch::crio_create(&place));
}

pub fn long_bundle(subject: &mut Subject) {
    let mut place = subject.place();
    place.set_bundle("b".repeat(180));
    place.script(&hello());
    let mut running = Launch::create(&place).start();
    running.go();
    let raw = running.raw_message();
    subject.note("message", crate::life::message(&place, &raw));
    let client = running.attach();
    place.start_container();
    subject.note("heard", client.read_to_end().stdout.escape_ascii());
    finish(subject, &place, &mut running);
}

pub fn stale_files(subject: &mut Subject) {
    let place = subject.place();
    drop(UnixListener::bind(place.bundle().join("attach")).expect("a stale socket"));
    nix::unistd::mkfifo(&place.bundle().join("ctl"), nix::sys::stat::Mode::S_IRWXU).expect("a stale fifo");
    place.script(&hello());
    whole_with_files(subject, &place, Launch::create(&place));
}

pub fn file_in_the_way(subject: &mut Subject) {
    let place = subject.place();
    std::fs::write(place.bundle().join("attach"), "").expect("a file in the way");
    place.script(&hello());
    whole(subject, &place, Launch::create(&place));
    subject.note("the file", place.mode("bundle/attach"));
}

pub fn runtime_view(subject: &mut Subject) {
    let place = subject.place();
    place.script(&Script { record: Some(place.path("call.json")), ..Script::of([]) });
    let all =
        ["-s", "--no-pivot", "--no-new-keyring", "--runtime-arg", "--debug", "--runtime-arg", "--root=/x"];
    let launch =
        Launch::create(&place).args(all).args(["--runtime-opt", "--preserve-fds", "--runtime-opt", "0"]);
    let mut running = launch.arg("-i").env("LISTEN_FDS", "0").start();
    running.go();
    running.raw_message();
    running.status();
    note_record(subject, &place, "runtime", "call.json");
    let place = subject.place();
    place.script(&Script { record: Some(place.path("call.json")), ..Script::of([]) });
    let mut running = Launch::create(&place).arg("-t").start();
    running.go();
    running.raw_message();
    running.status();
    note_record(subject, &place, "runtime with a terminal", "call.json");
}

pub fn exit_command_view(subject: &mut Subject) {
    let place = subject.place();
    place.script(&Script::of([]));
    let mut gate = place.gate("gate");
    let mut running = Launch::create(&place).gated_exit_command("hook.json", &gate).start();
    running.go();
    running.raw_message();
    note_record(subject, &place, "exit command", "hook.json");
    // The caller hears the end while the command still runs.
    subject.note("messages", crate::life::rest(&place, &mut running));
    subject.note("supervisor lives", !running.monitor().ended_within(std::time::Duration::ZERO));
    gate.open();
    subject.note("supervisor ends", running.monitor().ended_within(PATIENCE));
}
