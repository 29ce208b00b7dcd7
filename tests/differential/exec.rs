//! Processes beside the container's first.

use crate::compare::Subject;
use crate::life::{finish, message, note_record};
use conward_testkit::{Client, Container, Launch, PidFile, Place, Script, Step};

/// Podman's sequence, with a client.
fn api(subject: &mut Subject, place: &Place, script: &Script, words: &[&str]) {
    let mut running = Launch::exec(place, script).args(words).exit_command("hook.json").start();
    running.go();
    subject.note("attach pipe", String::from_utf8_lossy(&running.attach_ready().raw));
    let client = Client::connect(&place.path("session/attach"));
    running.go();
    let raw = running.raw_message();
    subject.note("first message", message(place, &raw));
    let heard = client.read_to_end();
    subject.note("heard", format!("{} {:?}", heard.stdout.trim_ascii_end().escape_ascii(), heard.ending));
    finish(subject, place, &mut running);
    for name in ["session/attach", "session/ctl", "session/winsz"] {
        subject.note(name, place.mode(name));
    }
}

/// CRI-O's.
fn old(subject: &mut Subject, place: &Place, script: &Script, words: &[&str]) {
    let mut running = Launch::crio_exec(place, script).args(words).start();
    finish(subject, place, &mut running);
}

pub fn api_exec(subject: &mut Subject) {
    api(subject, &subject.place(), &Script::of([Step::out("out\n"), Step::Exit(7)]), &[]);
}

pub fn api_exec_terminal(subject: &mut Subject) {
    api(subject, &subject.place(), &Script::of([Step::out("out\n"), Step::Die(9)]), &["-t", "-i"]);
}

pub fn api_exec_failing(subject: &mut Subject) {
    api(subject, &subject.place(), &Script::failing([Step::err("not found"), Step::Exit(127)]), &[]);
}

pub fn api_exec_runtime_status(subject: &mut Subject) {
    let script = Script { after: vec![Step::Exit(5)], ..Script::of([Step::Exit(5)]) };
    api(subject, &subject.place(), &script, &[]);
}

pub fn old_exec(subject: &mut Subject) {
    old(subject, &subject.place(), &Script::of([Step::out("out\n"), Step::err("err\n"), Step::Exit(7)]), &[]);
}

pub fn old_exec_failing(subject: &mut Subject) {
    let place = subject.place();
    let script = Script::failing([Step::err("not found\n"), Step::Exit(1)]);
    let mut running = Launch::crio_exec(&place, &script).arg("-p").arg(place.path("never")).start();
    finish(subject, &place, &mut running);
}

pub fn old_exec_empty_pid_file(subject: &mut Subject) {
    let script = Script::failing([Step::err("not found\n"), Step::Exit(1)]);
    let script = Script { container: Container::Absent, pid_file: PidFile::Absent, ..script };
    old(subject, &subject.place(), &script, &[]);
}

pub fn old_exec_timeout(subject: &mut Subject) {
    old(subject, &subject.place(), &Script::of([Step::out("before\n"), Step::Pause]), &["-T", "1"]);
}

pub fn exec_view(subject: &mut Subject) {
    let place = subject.place();
    let script = Script { record: Some(place.path("call.json")), ..Script::of([]) };
    let words = ["-s", "--no-pivot", "--no-new-keyring", "--runtime-arg", "--debug", "-t"];
    api(subject, &place, &script, &words);
    note_record(subject, &place, "runtime", "call.json");
}
