//! A whole life of a container, and everything there is to see of it.

use crate::compare::{Subject, normal};
use conward_testkit::{Launch, LogRecord, PATIENCE, Place, Record, Running, Watch, parse_log};

/// The names of files whose coming and going is put in order. The supervisor's pid file is not among
/// them: its launcher writes it beside everything else.
const ARTEFACTS: [&str; 7] =
    ["bundle/attach", "bundle/ctl", "bundle/winsz", "persist/exit", "exits/ID", "./hook.json", "sockets/ID"];

/// Runs a container to its end: start byte, first message, the container's start, the rest.
pub fn whole(subject: &mut Subject, place: &Place, launch: Launch) {
    let mut running = launch.start();
    running.go();
    begin(subject, place, &mut running);
    finish(subject, place, &mut running);
}

/// The same, and which files there are, when, and with which permissions.
pub fn whole_with_files(subject: &mut Subject, place: &Place, launch: Launch) {
    let mut watch = Watch::new(place, &["bundle", "persist", "exits", ".", "sockets"]);
    let mut running = launch.start();
    running.go();
    let raw = running.raw_message();
    subject.note("first message", message(place, &raw));
    if pid_in(&raw).is_some() {
        // The launcher's own file is there when the launcher has gone.
        running.launched();
        note_modes(subject, place, "while it runs");
        place.start_container();
    }
    finish(subject, place, &mut running);
    note_modes(subject, place, "at the end");
    subject.note("order", watch.events(place, &ARTEFACTS).join(" "));
}

/// The first message, and the container's start if that was a pid.
pub fn begin(subject: &mut Subject, place: &Place, running: &mut Running) {
    let raw = running.raw_message();
    subject.note("first message", message(place, &raw));
    if place.bundle().join("start.fifo").exists() {
        place.start_container();
    }
}

/// Everything from there to the end of the supervisor.
pub fn finish(subject: &mut Subject, place: &Place, running: &mut Running) {
    subject.note("other messages", rest(place, running));
    let launched = running.launched();
    subject.note("launcher", format!("{} {:?}", launched.status, launched.stdout));
    subject.note("launcher's stderr", diagnostics(place, &launched.stderr));
    if launched.status == 0 {
        subject.note("supervisor's status", running.status());
    }
    subject.note("exit file", place.exit_file().unwrap_or("-".into()));
    subject.note("persist exit file", place.persist_exit().unwrap_or("-".into()));
    subject.note("exit command ran", place.path("hook.json").exists());
    if let Ok(log) = std::fs::read(place.log()) {
        for stream in ["stdout", "stderr"] {
            subject.note(&format!("log of {stream}"), log_text(&parse_log(&log), stream));
        }
    }
}

/// Messages up to the end of the sync pipe.
pub fn rest(place: &Place, running: &mut Running) -> String {
    let mut all = Vec::new();
    loop {
        let raw = running.raw_message();
        if raw.is_empty() {
            return all.join(" ");
        }
        all.push(message(place, &raw));
    }
}

/// A message as it was sent, but for the pid.
pub fn message(place: &Place, raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw).into_owned();
    // Both forms of a slash are JSON; paths are normalised in one.
    let text = normal(place, &text.replace("\\/", "/"));
    match pid_in(raw) {
        _ if raw.is_empty() => "(end)".into(),
        Some(pid) => text.replace(&pid.to_string(), "PID"),
        None => text,
    }
}

/// The pid that a message reports. Exit codes are smaller than any pid of a test.
fn pid_in(raw: &[u8]) -> Option<i32> {
    let value: serde_json::Value = serde_json::from_slice(raw).ok()?;
    let number = value.get("data").or(value.get("pid"))?.as_i64()?;
    i32::try_from(number).ok().filter(|&pid| pid > 300)
}

/// Diagnostics without their mark, whose form changed between 2.1.6 and 2.2: `parse_errors` has it.
pub fn diagnostics(place: &Place, text: &str) -> String {
    normal(place, text)
        .replace("[conmon:e]: ", "E ")
        .replace("[conmon:e] ", "E ")
        .replace("[conmon:w]: ", "W ")
        .replace("[conmon:w] ", "W ")
}

/// Types and permissions of all that a supervisor makes.
pub fn note_modes(subject: &mut Subject, place: &Place, when: &str) {
    let exit = format!("exits/{}", place.id());
    let bundle = place.bundle().to_owned();
    for name in ["attach", "ctl", "winsz"] {
        subject.note(&format!("{name} {when}"), place.mode(bundle.join(name)));
    }
    for name in ["conmon.pid", "ctr.log", "persist/exit", &exit] {
        subject.note(&format!("{} {when}", name.replace(place.id(), "ID")), place.mode(name));
    }
    subject.note(&format!("link {when}"), place.mode(place.path("sockets").join(place.id())));
}

/// A stream's records, the times left out: tag and content, long contents by their length, equal
/// records by their number.
pub fn log_text(records: &[LogRecord], stream: &str) -> String {
    let mut shown: Vec<(String, usize)> = Vec::new();
    for record in records.iter().filter(|record| record.stream == stream) {
        let tag = if record.full { 'F' } else { 'P' };
        let text = match record.content.len() {
            0..=60 => format!("{tag} {}", record.content.escape_ascii()),
            long => format!("{tag} [{long}]"),
        };
        match shown.last_mut() {
            Some((last, count)) if *last == text => *count += 1,
            _ => shown.push((text, 1)),
        }
    }
    let counted =
        |(text, count): (String, usize)| if count == 1 { text } else { format!("{count} x {text}") };
    shown.into_iter().map(counted).collect::<Vec<_>>().join("; ")
}

/// What a process that a supervisor started found: words, descriptors, signals.
pub fn note_record(subject: &mut Subject, place: &Place, who: &str, file: &str) {
    let path = place.path(file);
    conward_testkit::wait_for(file, PATIENCE, || path.exists().then_some(()));
    let record = Record::read(&path).expect("record");
    let argv: Vec<String> = record.argv.iter().map(|word| console(&normal(place, word))).collect();
    subject.note(&format!("{who}: argv"), argv[1..].join(" "));
    let kind = |name: &String| name.split(":[").next().unwrap_or_default().to_owned();
    let fds: Vec<String> = record.fds.iter().map(|(fd, name)| format!("{fd} {}", kind(name))).collect();
    subject.note(&format!("{who}: descriptors"), fds.join(", "));
    subject.note(&format!("{who}: cwd"), normal(place, &record.cwd));
    subject.note(&format!("{who}: umask"), &record.status["Umask"]);
    subject.note(&format!("{who}: blocked"), &record.status["SigBlk"]);
    // What the test's own surroundings ignore is no fact about a supervisor.
    for (name, signal) in [("SIGPIPE", libc::SIGPIPE), ("SIGCHLD", libc::SIGCHLD), ("SIGHUP", libc::SIGHUP)] {
        subject.note(&format!("{who}: ignores {name}"), record.has_signal("SigIgn", signal));
    }
    subject.note(&format!("{who}: signal at the parent's death"), record.parent_death_signal);
    subject.note(&format!("{who}: leads its session"), record.pid == record.session);
    let mut names: Vec<String> = record.env.keys().cloned().collect();
    names.retain(|name| name.starts_with("_OCI") || name.starts_with("LISTEN") || name.contains("TEST"));
    subject.note(&format!("{who}: environment"), names.join(" "));
}

/// The console socket has a random name.
fn console(word: &str) -> String {
    if word.contains("conmon-term") || word.contains("/proc/self/fd") {
        "SOCKET".into()
    } else {
        word.to_owned()
    }
}
