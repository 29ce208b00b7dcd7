//! Runtimes that fail.

use crate::compare::Subject;
use crate::life::{whole, whole_with_files};
use conward_testkit::{Console, Launch, PidFile, Script, Step, To};

fn fail(subject: &mut Subject, script: &Script, words: &[&str]) {
    let place = subject.place();
    place.script(script);
    whole(subject, &place, Launch::create(&place).args(words).exit_command("hook.json"));
}

pub fn text_and_status(subject: &mut Subject) {
    let place = subject.place();
    place.script(&Script::failing([Step::err("no such file\n"), Step::Exit(1)]));
    whole_with_files(subject, &place, Launch::create(&place).exit_command("hook.json"));
}

pub fn silent(subject: &mut Subject) {
    fail(subject, &Script::failing([Step::Exit(1)]), &[]);
}

pub fn killed(subject: &mut Subject) {
    fail(subject, &Script::failing([Step::err("text"), Step::Die(9)]), &[]);
}

pub fn no_pid_file(subject: &mut Subject) {
    fail(subject, &Script::failing([Step::err("text")]), &[]);
}

pub fn empty_pid_file(subject: &mut Subject) {
    fail(
        subject,
        &Script { pid_file: PidFile::Text(String::new()), ..Script::failing([Step::err("text")]) },
        &[],
    );
}

pub fn garbage_pid_file(subject: &mut Subject) {
    fail(
        subject,
        &Script { pid_file: PidFile::Text("what".into()), ..Script::failing([Step::err("text")]) },
        &[],
    );
}

pub fn long_text(subject: &mut Subject) {
    fail(subject, &Script::failing([Step::err(&"x".repeat(6000)), Step::Exit(1)]), &[]);
}

pub fn escaped_text(subject: &mut Subject) {
    let text = "a\"b\\c\td\re\u{8}f\u{c}g\u{1}h\u{1f}i\u{7f}jäk\n".as_bytes().to_vec();
    fail(subject, &Script::failing([Step::Write(To::Stderr, text), Step::Exit(1)]), &[]);
}

pub fn silent_terminal(subject: &mut Subject) {
    fail(subject, &Script::failing([Step::Exit(1)]), &["-t"]);
}

pub fn no_terminal(subject: &mut Subject) {
    fail(subject, &Script { console: Console::Absent, ..Script::of([]) }, &["-t"]);
}

pub fn two_terminals(subject: &mut Subject) {
    fail(subject, &Script { console: Console::Two, ..Script::of([]) }, &["-t"]);
}

pub fn not_executable(subject: &mut Subject) {
    let place = subject.place();
    let program = place.path("broken");
    std::fs::write(&program, "\u{7f}no program").expect("a file");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    whole(subject, &place, Launch::create(&place).arg("-r").arg(program).exit_command("hook.json"));
}

pub fn setup_failure(subject: &mut Subject) {
    let place = subject.place();
    place.script(&Script::of([]));
    whole(
        subject,
        &place,
        Launch::create(&place).arg("-b").arg(place.path("missing")).exit_command("hook.json"),
    );
}
