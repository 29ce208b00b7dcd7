//! Lines of exec sessions in the log of their container.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use tempfile::tempdir;

use super::journald::{Journald, message};
use super::{at, identity, joined, logged_and_lost, open, plain, records};
use crate::plan::{FileLog, JournalLog, LogLimits, LogPlan, LogPolicy, Stream};
use crate::sink::{Counts, Sinks, Whose};

/// What a session writes, and passes on.
fn write(log: &mut Sinks, session: &mut Sinks, text: &str) {
    session.write(at(0), Stream::Stdout, text.as_bytes());
    session.pass_on(log, false);
}

/// The time that lines of sessions wait for is over.
fn lose_patience(log: &mut Sinks) {
    assert!(log.deadline().is_some_and(|until| until <= Instant::now() + Duration::from_secs(1)));
    log.turn(Instant::now() + Duration::from_secs(1));
    assert_eq!((log.guests_wait(), log.deadline()), (false, None));
}

#[test]
fn lines_come_between_those_of_the_container() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("log");
    let (mut log, mut session) = (open(plain(&path)).unwrap(), Sinks::of_session(true));
    write(&mut log, &mut session, "s1\ns2");
    log.write(at(0), Stream::Stdout, b"c1\nc2");
    session.write(at(0), Stream::Stderr, b"other\n");
    write(&mut log, &mut session, "\ns3\ns4");
    assert!(log.guests_wait() && !session.blocked());
    assert_eq!(records(&path), ["stdout F s1", "stdout F c1", "stdout P c2", "stderr F other"]);
    log.write(at(1), Stream::Stdout, b"c2\nc3");
    assert!(!log.guests_wait());
    session.pass_on(&mut log, true);
    log.write(at(2), Stream::Stdout, b"c3\n");
    let want = ["stdout F c2", "stdout F s2", "stdout F s3", "stdout P c3", "stdout F c3", "stdout F s4"];
    assert_eq!(records(&path)[4..], want);
    assert_eq!(log.counts(Stream::Stdout).file.unwrap().logged, 13, "what the container wrote");
    let of_sessions = log.counts_of(Stream::Stdout, Whose::Session).file.unwrap();
    assert_eq!(of_sessions, Counts { logged: 12, ..Counts::default() });
}

#[test]
fn a_line_that_does_not_end_is_ended_for_them() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("log");
    let (mut log, mut session) = (open(plain(&path)).unwrap(), Sinks::of_session(true));
    log.write(at(0), Stream::Stdout, b"prompt> ");
    write(&mut log, &mut session, "s1\n");
    assert_eq!(records(&path).len(), 1);
    lose_patience(&mut log);
    log.write(at(2), Stream::Stdout, b"answer\n");
    let want = ["stdout P prompt> ", "stdout F ", "stdout F s1", "stdout F answer"];
    assert_eq!(records(&path), want);
    assert_eq!(log.counts(Stream::Stdout).file.unwrap(), Counts { logged: 15, ..Counts::default() });

    // At the bound there is no room for more, but they go on waiting; at the end they do not.
    log.write(at(3), Stream::Stdout, b"more> ");
    assert!(log.has_room_for_guests());
    write(&mut log, &mut session, &"x\n".repeat(40_000));
    assert!(log.guests_wait() && !log.has_room_for_guests());
    log.finish(at(5));
    assert!(
        records(&path)[4..6] == ["stdout P more> ", "stdout F "] && records(&path).len() == 4 + 2 + 40_000
    );
    assert_eq!(log.counts(Stream::Stdout).file.unwrap().logged, 21);
}

#[test]
fn what_does_not_get_into_the_log_is_counted_apart() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("log");
    let (mut log, mut session) =
        (open(FileLog { global_max: Some(60), ..plain(&path) }).unwrap(), Sinks::of_session(true));
    log.write(at(0), Stream::Stdout, b"1\n2");
    write(&mut log, &mut session, "s1\n");
    assert_eq!(records(&path), ["stdout F 1", "stdout P 2"], "complete");
    assert!(!log.guests_wait(), "for a line that cannot end");
    assert_eq!(log.counts(Stream::Stdout).file.unwrap(), Counts { logged: 3, ..Counts::default() });
    let of_sessions = log.counts_of(Stream::Stdout, Whose::Session).file.unwrap();
    assert_eq!(of_sessions, Counts { logged: 0, withheld: 3, ..Counts::default() });

    // A file that was removed takes what is in it since it was last seen.
    let path = dir.path().join("removed");
    let mut log = open(plain(&path)).unwrap();
    log.write(at(0), Stream::Stdout, b"12\n");
    write(&mut log, &mut session, "s1\n345\n");
    std::fs::remove_file(&path).unwrap();
    log.write(at(1), Stream::Stdout, b"6\n");
    assert!(records(&path)[0].contains("7 bytes (2 lines) of stdout not logged"), "{:?}", records(&path));
    assert_eq!(log.counts(Stream::Stdout).file.unwrap(), Counts { logged: 5, ..Counts::default() });
    let of_sessions = log.counts_of(Stream::Stdout, Whose::Session).file.unwrap();
    assert_eq!(logged_and_lost(&of_sessions), (0, 7));
}

#[test]
fn without_a_log_nothing_is_kept() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("log");
    let (mut log, mut session) = (open(plain(&path)).unwrap(), Sinks::of_session(false));
    write(&mut log, &mut session, "s1\n");
    assert!(!session.blocked() && !log.guests_wait() && records(&path).is_empty());
}

fn journal(journald: &Journald) -> Sinks {
    let plan = JournalLog { tag: None, labels: Vec::new(), mark_partial: true, priority_prefix: true };
    let plan = LogPlan { file: None, journal: Some(plan), ..LogPlan::default() };
    Sinks::open_at(&plan, &identity(), &journald.path()).unwrap()
}

#[test]
fn in_the_journal_only_a_line_of_several_entries_is_waited_for() {
    let journald = Journald::running();
    let (mut log, mut session) = (journal(&journald), Sinks::of_session(true));
    log.write(at(0), Stream::Stdout, b"c");
    write(&mut log, &mut session, "<3>s1\n");
    let entries = journald.entries();
    assert_eq!(entries.iter().map(message).collect::<Vec<_>>(), ["s1\n"]);
    assert_eq!(entries[0]["PRIORITY"], b"3");
    // The line that had begun has no priority of its own because of that.
    log.write(at(0), Stream::Stdout, &[b"1\n", &b"x".repeat(9000)[..]].concat());
    write(&mut log, &mut session, "s2\n");
    assert!(log.guests_wait());
    assert_eq!(journald.messages(), ["c1\n".to_owned(), "x".repeat(8192)]);
    lose_patience(&mut log);
    log.write(at(2), Stream::Stdout, b"yz\n<4>next\n");
    let entries = journald.entries();
    let told: Vec<String> = entries.iter().map(message).collect();
    assert_eq!(told, ["x".repeat(808) + "\n", "s2\n".into(), "yz\n".into(), "next\n".into()]);
    assert!(entries.iter().all(|entry| !entry.contains_key("CONTAINER_PARTIAL_MESSAGE")));
    let want = Counts { logged: 3 + 9000 + 3 + 8, ..Counts::default() };
    assert_eq!(log.counts(Stream::Stdout).journal.unwrap(), want);
    let of_sessions = log.counts_of(Stream::Stdout, Whose::Session).journal.unwrap();
    assert_eq!(of_sessions.logged, 9);
}

#[test]
fn a_full_journal_holds_sessions_back_and_loses_nothing() {
    let journald = Journald::running();
    let (mut log, mut session) = (journal(&journald), Sinks::of_session(true));
    let mut written = 0;
    while !log.blocked() {
        write(&mut log, &mut session, &format!("{written}\n"));
        written += 1;
        assert!(written < 100_000, "the queue never fills up");
    }
    let mut read = journald.messages();
    log.turn(Instant::now());
    assert!(!log.blocked());
    write(&mut log, &mut session, "last\n");
    read.extend(journald.messages());
    let want: Vec<String> = (0..written).map(|n| format!("{n}\n")).chain(["last\n".to_owned()]).collect();
    assert_eq!(read, want);
    assert_eq!(log.counts(Stream::Stdout).journal.unwrap(), Counts::default());
}

#[test]
fn in_a_full_journal_the_line_of_the_container_is_ended_before_those_of_sessions() {
    let journald = Journald::running();
    let (mut log, mut session) = (journal(&journald), Sinks::of_session(true));
    log.write(at(0), Stream::Stdout, &[b'x'; 9000]);
    write(&mut log, &mut session, "s1\n");
    assert_eq!(journald.messages(), ["x".repeat(8192)]);
    // Its queue is full before their time is over.
    let other = std::os::unix::net::UnixDatagram::unbound().unwrap();
    other.set_nonblocking(true).unwrap();
    while other.send_to(b"MESSAGE=other\n", journald.path()).is_ok() {}
    log.turn(Instant::now() + Duration::from_secs(1));
    assert!(log.blocked());
    journald.messages();
    log.turn(Instant::now());
    log.write(at(2), Stream::Stdout, b"yz\n");
    assert_eq!(journald.messages(), ["x".repeat(808) + "\n", "s1\n".into(), "yz\n".into()]);
}

#[test]
fn no_session_gets_into_a_line_that_waits_for_the_journal() {
    let journald = Journald::running();
    let limits = [LogLimits { policy: Some(LogPolicy::DropOldest), rate: None }; 2];
    let journal = JournalLog { tag: None, labels: vec![], mark_partial: true, priority_prefix: false };
    let plan = LogPlan { journal: Some(journal), limits, ..LogPlan::default() };
    let mut log = Sinks::open_at(&plan, &identity(), &journald.path()).unwrap();
    let mut session = Sinks::of_session(true);
    let other = std::os::unix::net::UnixDatagram::unbound().unwrap();
    other.set_nonblocking(true).unwrap();
    while other.send_to(b"MESSAGE=other\n", journald.path()).is_ok() {}
    log.write(at(0), Stream::Stdout, &[b'x'; 9000]);
    write(&mut log, &mut session, "s1\n");
    assert!(log.holds() && log.guests_wait());
    log.write(at(0), Stream::Stdout, b"yz\n");
    journald.messages();
    log.turn(Instant::now());
    assert_eq!(journald.messages(), ["x".repeat(8192), "x".repeat(808) + "yz\n", "s1\n".into()]);
}

#[derive(Clone, Debug)]
enum Output {
    Container(Vec<u8>),
    Session(Vec<u8>),
}

fn output() -> impl Strategy<Value = Output> {
    let text = "[a-c\n]{1,30}";
    prop_oneof![
        text.prop_map(|text| Output::Container(text.into_bytes())),
        text.prop_map(|text| Output::Session(text.to_uppercase().into_bytes())),
    ]
}

proptest! {
    /// However the two are mixed, the lines of each are in the log as they were written.
    #[test]
    fn lines_are_never_joined(outputs in proptest::collection::vec(output(), 1..30)) {
        let dir = tempdir().unwrap();
        let path = dir.path().join("log");
        let (mut log, mut session) = (open(plain(&path)).unwrap(), Sinks::of_session(true));
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for output in outputs {
            match output {
                Output::Container(bytes) => {
                    log.write(at(0), Stream::Stdout, &bytes);
                    ours.extend(bytes);
                }
                Output::Session(bytes) => {
                    session.write(at(0), Stream::Stdout, &bytes);
                    session.pass_on(&mut log, false);
                    theirs.extend(bytes);
                }
            }
        }
        log.write(at(0), Stream::Stdout, b"a\n");
        ours.extend(b"a\n");
        session.write(at(0), Stream::Stdout, b"A\n");
        session.pass_on(&mut log, true);
        theirs.extend(b"A\n");
        let logged = joined(&records(&path), Stream::Stdout);
        let lines = |text: &str, of: fn(char) -> bool| -> Vec<String> {
            text.lines().filter(|line| !line.is_empty() && line.chars().all(of)).map(str::to_owned).collect()
        };
        let (ours, theirs) = (String::from_utf8(ours).unwrap(), String::from_utf8(theirs).unwrap());
        prop_assert_eq!(lines(&logged, |c| c.is_lowercase()), lines(&ours, |_| true));
        prop_assert_eq!(lines(&logged, |c| c.is_uppercase()), lines(&theirs, |_| true));
        prop_assert_eq!(logged.lines().count(), ours.lines().count() + theirs.lines().count());
    }
}
