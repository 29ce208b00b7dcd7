//! The journal, with a socket of the test's own in journald's place.

use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use proptest::prelude::*;

use super::journald::{Entry, Journald, message};
use super::{at, identity, logged_and_lost, open, plain, records};
use crate::plan::{JournalLog, LogLimits, LogPlan, LogPolicy, Stream};
use crate::sink::{Amount, Counts, Sinks};

fn journal() -> JournalLog {
    JournalLog { tag: None, labels: Vec::new(), mark_partial: true, priority_prefix: true }
}

fn sinks(journal: JournalLog, path: &Path) -> Sinks {
    let plan = LogPlan { file: None, journal: Some(journal), ..LogPlan::default() };
    Sinks::open_at(&plan, &identity(), path).unwrap()
}

fn counts(sinks: &Sinks) -> Counts {
    sinks.counts(Stream::Stdout).journal.unwrap()
}

/// Watches for writability by edges, as the reactor does.
fn watch(sinks: &Sinks) -> Epoll {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    let event = EpollEvent::new(EpollFlags::EPOLLOUT | EpollFlags::EPOLLET, 1);
    epoll.add(sinks.journal_fd().unwrap(), event).unwrap();
    epoll
}

/// Whether an edge came.
fn edge(epoll: &Epoll, limit_ms: u16) -> bool {
    epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::from(limit_ms)).unwrap() > 0
}

/// Writes lines until the queue is full. Returns how many chunks of one line were written.
fn clog(sinks: &mut Sinks) -> usize {
    let mut chunks = 0;
    while !sinks.blocked() {
        sinks.write(at(0), Stream::Stdout, format!("line {chunks}\n").as_bytes());
        chunks += 1;
        assert!(chunks < 100_000, "the queue never fills up");
    }
    chunks
}

#[test]
fn lines_arrive_as_entries() {
    let journald = Journald::running();
    let plan = JournalLog { tag: Some("tag".to_owned()), labels: vec!["A=b".to_owned()], ..journal() };
    let mut sinks = sinks(plan, &journald.path());
    sinks.write(at(0), Stream::Stdout, b"one\ntw");
    sinks.write(at(0), Stream::Stderr, b"bad\0\xff\n\nend");
    sinks.write(at(0), Stream::Stdout, b"o\n");
    sinks.finish(at(0));
    let text = |entry: &Entry, name: &str| entry.get(name).map(|v| String::from_utf8_lossy(v).into_owned());
    let got: Vec<_> = journald
        .entries()
        .iter()
        .map(|e| (e["MESSAGE"].clone(), text(e, "PRIORITY").unwrap(), text(e, "CONTAINER_PARTIAL_MESSAGE")))
        .collect();
    let entry = |message: &[u8], priority: &str, partial: Option<&str>| {
        (message.to_vec(), priority.to_owned(), partial.map(str::to_owned))
    };
    assert_eq!(
        got,
        [
            entry(b"one\n", "6", None),
            entry(b"bad\0\xff\n", "3", None),
            entry(b"\n", "3", None),
            entry(b"two\n", "6", None),
            entry(b"end", "3", Some("true")),
        ]
    );
    assert_eq!(counts(&sinks), Counts { logged: 8, ..Counts::default() });
}

#[test]
fn priorities_are_read_at_the_beginning_of_a_line_only() {
    let long = format!("<2>{}<4>{}\n", "x".repeat(8189), "y".repeat(10));
    // Chunks, and the entries as priority and message. `|` ends a chunk, or an entry.
    let table = [
        ("<4>warn\n", "4warn\n"),
        ("<|0|>|emerg|\n", "0emerg\n"),
        ("<7>\n<8>no\n<12>no\n<>\n", "7\n|6<8>no\n|6<12>no\n|6<>\n"),
        ("a<3>b\n", "6a<3>b\n"),
        ("a|<3>b\n", "6a<3>b\n"),
        ("<\n3>\n", "6<\n|63>\n"),
        ("<5", "6<5"),
        ("<5>", "5"),
    ];
    let run = |chunks: &str, plan: JournalLog| {
        let journald = Journald::running();
        let mut sinks = sinks(plan, &journald.path());
        for chunk in chunks.split('|') {
            sinks.write(at(0), Stream::Stdout, chunk.as_bytes());
        }
        sinks.finish(at(0));
        let entry = |e: &Entry| format!("{}{}", String::from_utf8_lossy(&e["PRIORITY"]), message(e));
        journald.entries().iter().map(entry).collect::<Vec<_>>().join("|")
    };
    for (chunks, want) in table {
        assert_eq!(run(chunks, journal()), want, "{chunks:?}");
    }
    // The second piece of a long line keeps the line's priority, and its text.
    let want = format!("2{}|2<4>yyyyyyyyyy\n", "x".repeat(8189));
    assert_eq!(run(&long, journal()), want);
    let off = JournalLog { priority_prefix: false, ..journal() };
    assert_eq!(run("<4>warn\n", off), "6<4>warn\n");
}

#[test]
fn an_entry_that_cannot_be_sent_is_lost_alone() {
    let journald = Journald::running();
    let limits = [LogLimits { policy: Some(LogPolicy::Block), rate: None }; 2];
    let plan = LogPlan { journal: Some(journal()), limits, ..LogPlan::default() };
    let mut sinks = Sinks::open_at(&plan, &identity(), &journald.path()).unwrap();
    sinks.write(at(0), Stream::Stdout, b"one\ntw");
    journald.refuse();
    sinks.write(at(0), Stream::Stdout, b"o\nthr");
    assert!(!sinks.blocked() && !sinks.holds());
    assert_eq!((counts(&sinks).logged, counts(&sinks).lost()), (4, Amount { bytes: 4, lines: 1 }));
    assert_eq!(journald.messages(), ["one\n"]);
}

#[test]
fn a_full_queue_holds_output_back_and_loses_nothing() {
    let journald = Journald::running();
    let mut sinks = sinks(journal(), &journald.path());
    let epoll = watch(&sinks);
    edge(&epoll, 0);
    let chunks = clog(&mut sinks);
    sinks.turn(Instant::now());
    assert!(sinks.blocked() && sinks.deadline().is_some());
    let mut got = Vec::new();
    while sinks.blocked() {
        got.extend(journald.messages());
        assert!(edge(&epoll, 5000), "reading the queue made no edge");
        sinks.turn(Instant::now());
    }
    assert_eq!(sinks.deadline(), None);
    got.extend(journald.messages());
    let want: Vec<_> = (0..chunks).map(|n| format!("line {n}\n")).collect();
    assert_eq!(got, want);
    assert_eq!(counts(&sinks).lost().bytes, 0);
}

#[test]
fn a_slow_journald_is_waited_for_as_long_as_it_moves() {
    let journald = Journald::running();
    let mut sinks = sinks(journal(), &journald.path());
    // More than fits into any queue at once.
    let chunk: String = (0..10_000).map(|n| format!("{n}\n")).collect();
    sinks.write(at(0), Stream::Stdout, chunk.as_bytes());
    let mut got = String::new();
    while let Some(deadline) = sinks.deadline() {
        got.push_str(&message(&journald.next().expect("an entry")));
        sinks.turn(deadline);
    }
    got.push_str(&journald.messages().concat());
    assert_eq!(got, chunk);
    assert_eq!(counts(&sinks).lost().bytes, 0);
}

#[test]
fn a_queue_that_stays_full_costs_output_but_not_the_container() {
    let journald = Journald::running();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let plan = LogPlan { file: Some(plain(&path)), journal: Some(journal()), ..LogPlan::default() };
    let mut sinks = Sinks::open_at(&plan, &identity(), &journald.path()).unwrap();
    let chunks = clog(&mut sinks);
    let deadline = sinks.deadline().unwrap();
    sinks.turn(deadline - Duration::from_millis(1));
    assert!(sinks.blocked());
    sinks.turn(deadline);
    assert!(!sinks.blocked() && sinks.deadline().is_none());
    // From now on output is dropped at once.
    for _ in 0..10 {
        sinks.write(at(1), Stream::Stdout, b"lost\n");
        assert!(!sinks.blocked());
    }
    sinks.write(at(1), Stream::Stdout, b"lost, but its end");
    assert_eq!(journald.messages().len(), chunks - 1);
    sinks.write(at(2), Stream::Stdout, b"<4> is there\n<4>next\n");
    let last = format!("line {}\n", chunks - 1).len();
    let got = journald.messages();
    assert_eq!(got.len(), 3, "{got:?}");
    let marker = format!("[conward: {} bytes (11 lines) of stdout not logged from ", last + 50 + 17);
    assert!(got[0].starts_with(&marker) && got[0].ends_with(": the queue of the journal is full]\n"));
    assert_eq!(got[1..], ["<4> is there\n", "next\n"]);
    assert_eq!(counts(&sinks).lost().bytes, (last + 67) as u64);
    // The file has it all.
    assert_eq!(sinks.counts(Stream::Stdout).file.unwrap().lost().bytes, 0);
    assert_eq!(records(&path).len(), chunks + 10 + 1 + 2);
}

#[test]
fn a_gap_is_told_as_soon_as_there_is_room() {
    let journald = Journald::running();
    let mut sinks = sinks(journal(), &journald.path());
    let epoll = watch(&sinks);
    edge(&epoll, 0);
    clog(&mut sinks);
    sinks.turn(sinks.deadline().unwrap());
    journald.messages();
    assert!(edge(&epoll, 5000));
    sinks.turn(Instant::now());
    let got = journald.messages();
    assert!(got.len() == 1 && got[0].starts_with("[conward: "), "{got:?}");
}

#[test]
fn a_journald_that_comes_late_goes_and_comes_back() {
    let mut journald = Journald::absent();
    let mut sinks = sinks(journal(), &journald.path());
    let fd = sinks.journal_fd().unwrap().as_raw_fd();
    sinks.write(at(0), Stream::Stdout, b"unheard\n");
    journald.start();
    sinks.write(at(0), Stream::Stdout, b"too soon to try again\n");
    assert_eq!(journald.messages(), [""; 0]);
    sinks.write(at(1), Stream::Stdout, b"heard\n");
    let got = journald.messages();
    assert!(got[0].starts_with("[conward: 30 bytes (2 lines) of stdout not logged from "), "{got:?}");
    assert!(got[0].ends_with("/socket: No such file or directory]\n"), "{got:?}");
    assert_eq!(got[1..], ["heard\n"]);

    // A restart between two chunks costs nothing.
    journald.stop();
    journald.start();
    sinks.write(at(1), Stream::Stdout, b"after the restart\n");
    assert_eq!(journald.messages(), ["after the restart\n"]);

    // An absence costs what was written in it, and what was only half written.
    sinks.write(at(2), Stream::Stdout, b"half");
    journald.stop();
    sinks.write(at(2), Stream::Stdout, b" a line\n");
    sinks.write(at(2), Stream::Stderr, b"more\n");
    journald.start();
    sinks.finish(at(3));
    let got = journald.messages();
    assert_eq!(got.len(), 2, "{got:?}");
    assert!(got[0].starts_with("[conward: 12 bytes (1 lines) of stdout not logged from "), "{got:?}");
    assert!(got[1].starts_with("[conward: 5 bytes (1 lines) of stderr not logged from "), "{got:?}");
    assert_eq!(logged_and_lost(&counts(&sinks)), (24, 42));
    assert_eq!(sinks.journal_fd().unwrap().as_raw_fd(), fd);
}

#[test]
fn an_entry_too_large_for_a_datagram_goes_as_a_file() {
    let journald = Journald::running();
    let labels: Vec<_> = (0..4).map(|n| format!("L{n}={}", "v".repeat(100_000))).collect();
    let mut sinks = sinks(JournalLog { labels, ..journal() }, &journald.path());
    sinks.write(at(0), Stream::Stdout, b"large\n");
    let entry = journald.next().expect("an entry");
    assert_eq!(message(&entry), "large\n");
    assert_eq!(entry["L3"].len(), 100_000);
    assert_eq!(counts(&sinks).logged, 6);
}

#[test]
fn silence_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = open(plain(&dir.path().join("log"))).unwrap();
    assert!(file.journal_fd().is_none() && file.deadline().is_none() && !file.blocked());
    file.finish(at(0));
    let journald = Journald::running();
    let mut sinks = sinks(journal(), &journald.path());
    assert!(sinks.deadline().is_none() && !sinks.blocked());
    sinks.turn(Instant::now());
    sinks.finish(at(0));
    assert_eq!(journald.messages(), [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn chunking_does_not_change_the_entries(
        lines in proptest::collection::vec(("[<>0-9a-z]{0,6}", 0usize..9000), 1..8),
        cuts in proptest::collection::vec(1usize..9000, 1..20),
        newline: bool,
    ) {
        let mut output = String::new();
        for (text, length) in lines {
            output.push_str(&text);
            output.push_str(&"z".repeat(length));
            output.push('\n');
        }
        if !newline {
            output.pop();
        }
        let run = |cuts: &[usize]| {
            let journald = Journald::running();
            let mut sinks = sinks(journal(), &journald.path());
            let (mut rest, mut got) = (output.as_bytes(), Vec::new());
            for cut in cuts.iter().cycle() {
                let (head, tail) = rest.split_at((*cut).min(rest.len()));
                sinks.write(at(0), Stream::Stdout, head);
                while sinks.blocked() {
                    got.extend(journald.entries());
                    sinks.turn(Instant::now());
                }
                got.extend(journald.entries());
                rest = tail;
                if rest.is_empty() {
                    break;
                }
            }
            sinks.finish(at(0));
            got.extend(journald.entries());
            (got, counts(&sinks))
        };
        let whole = run(&[65_536]);
        prop_assert_eq!(whole.1.logged, output.len() as u64);
        prop_assert!(run(&cuts) == whole);
    }
}
