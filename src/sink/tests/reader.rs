//! The log read back while it is written, replaced, rotated, cut and removed.

use std::fs;
use std::path::{Path, PathBuf};

use conward_protocol::Timestamp;
use conward_protocol::body::{LogEnd, LogRecord};
use conward_protocol::limits::LOG_TEXT_MAX;
use conward_protocol::request::{self, Logs};

use super::{at, open, plain};
use crate::plan::{FileLog, Stream};
use crate::sink::{Reader, Sinks, Turn};

/// A log in a directory of its own.
struct Rig {
    sinks: Sinks,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn new(plan: impl FnOnce(FileLog) -> FileLog) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        Rig { sinks: open(plan(plain(&path))).unwrap(), path, _dir: dir }
    }

    fn rotating(keep: u32) -> Rig {
        Rig::new(|file| FileLog { keep: Some(keep), ..file })
    }

    fn out(&mut self, text: &str) {
        self.sinks.write(at(0), Stream::Stdout, text.as_bytes());
    }

    fn reader(&self, logs: Logs) -> Reader {
        Reader::new(&self.sinks, &logs).unwrap().expect("a log file")
    }

    /// Reads until nothing more comes, and tells it as text.
    fn read(&self, reader: &mut Reader) -> (String, Turn) {
        let before = reader.end(&self.sinks).records;
        let mut text = String::new();
        let mut records = 0;
        loop {
            let tell = |record: &LogRecord| {
                records += 1;
                text.push_str(&String::from_utf8_lossy(&record.bytes().unwrap()));
                text.push_str(if record.partial { "+" } else { ";" });
            };
            match reader.turn(&self.sinks, tell).unwrap() {
                Turn::More => {}
                end => {
                    assert_eq!(reader.end(&self.sinks).records, before + records);
                    return (text, end);
                }
            }
        }
    }

    /// The same, after the end of the log.
    fn rest(&mut self, reader: &mut Reader) -> (String, Turn) {
        self.sinks.finish(at(9));
        self.read(reader)
    }

    /// All that is asked for, without waiting for more, and whether it is complete.
    fn all(&self, logs: Logs) -> (String, bool) {
        let mut reader = self.reader(logs);
        let (text, turn) = self.read(&mut reader);
        assert_eq!(turn, Turn::End);
        (text, reader.end(&self.sinks).complete)
    }
}

fn follow() -> Logs {
    Logs { follow: true, ..Logs::default() }
}

fn tail(lines: u64) -> Logs {
    Logs { tail: Some(lines), ..Logs::default() }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    PathBuf::from(format!("{}.{number}", path.display()))
}

fn told(text: &str) -> (String, bool) {
    (text.to_owned(), true)
}

#[test]
fn what_was_asked_for_and_no_more() {
    let mut rig = Rig::new(|file| file);
    assert_eq!(rig.all(Logs::default()), told(""));
    rig.out("a\n\nb");
    rig.sinks.write(at(5), Stream::Stderr, b"E\n");
    rig.sinks.write(at(6), Stream::Stdout, b"c\nd\n");
    let since = Timestamp::parse("2026-11-21T17:32:05Z");
    let only = |stream| Logs { stream: Some(stream), ..Logs::default() };
    let table = [
        (Logs::default(), "a;;b+E;c;d;"),
        (tail(0), ""),
        (tail(1), "d;"),
        (tail(2), "b+c;d;"),
        (tail(100), "a;;b+E;c;d;"),
        (Logs { since, ..Logs::default() }, "E;c;d;"),
        (only(request::Stream::Stderr), "E;"),
        (Logs { tail: Some(2), ..only(request::Stream::Stdout) }, "b+c;d;"),
    ];
    for (logs, want) in table {
        assert_eq!(rig.all(logs.clone()), told(want), "{logs:?}");
    }
    let journal_only = Sinks::open(&Default::default(), &super::identity()).unwrap();
    assert!(Reader::new(&journal_only, &Logs::default()).unwrap().is_none());
}

#[test]
fn a_request_ends_where_the_log_was() {
    let mut rig = Rig::rotating(1);
    rig.out("a\n");
    let mut reader = rig.reader(Logs::default());
    rig.out("b\n");
    rig.sinks.reopen();
    rig.out("c\n");
    assert_eq!(rig.read(&mut reader), ("a;".to_owned(), Turn::End));
    assert!(reader.end(&rig.sinks).complete);
}

#[test]
fn old_files_come_first_and_the_last_lines_are_found_in_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let plan = || FileLog { keep: Some(3), ..plain(&path) };
    let mut earlier = open(plan()).unwrap();
    earlier.write(at(0), Stream::Stdout, b"a\n");
    earlier.reopen();
    earlier.write(at(0), Stream::Stdout, b"b\n");
    earlier.reopen();
    drop(earlier);
    let mut rig = Rig { sinks: open(plan()).unwrap(), path: path.clone(), _dir: dir };
    rig.out("c");
    rig.sinks.reopen();
    rig.out("d\ne\n");
    assert_eq!(rig.all(Logs::default()), told("a;b;c+d;e;"));
    for (lines, want) in [(1, "e;"), (2, "c+d;e;"), (3, "b;c+d;e;"), (9, "a;b;c+d;e;")] {
        assert_eq!(rig.all(tail(lines)), told(want), "{lines}");
    }
    // A number that is missing ends the log.
    fs::rename(numbered(&path, 2), path.with_extension("elsewhere")).unwrap();
    assert_eq!(rig.all(Logs::default()), told("c+d;e;"));
}

#[test]
fn following_goes_through_every_kind_of_change() {
    for keep in [None, Some(1), Some(5)] {
        let mut rig = Rig::new(|file| FileLog { keep, ..file });
        rig.out("a\n");
        let mut reader = rig.reader(follow());
        let mut tailing = rig.reader(Logs { tail: Some(0), ..follow() });
        assert_eq!(rig.read(&mut reader), ("a;".to_owned(), Turn::Waits));
        assert_eq!(rig.read(&mut reader), (String::new(), Turn::Waits));
        assert_eq!(rig.read(&mut tailing), (String::new(), Turn::Waits));
        let before = rig.sinks.written();
        rig.out("b");
        assert_ne!(rig.sinks.written(), before);
        rig.sinks.reopen();
        rig.out("c\n");
        assert_eq!(rig.read(&mut reader), ("b+c;".to_owned(), Turn::Waits), "{keep:?}");
        // Moved away by another program, which then asks for a new one.
        fs::rename(&rig.path, rig.path.with_extension("elsewhere")).unwrap();
        rig.out("d\n");
        rig.sinks.reopen();
        rig.out("e\n");
        assert_eq!(rig.read(&mut reader), ("d;e;".to_owned(), Turn::Waits), "{keep:?}");
        rig.out("f\n");
        rig.sinks.close();
        assert_eq!(rig.rest(&mut reader), ("f;".to_owned(), Turn::End), "{keep:?}");
        assert_eq!(reader.end(&rig.sinks), LogEnd { records: 6, complete: true }, "{keep:?}");
        if keep == Some(5) {
            assert_eq!(rig.rest(&mut tailing), ("b+e;f;".to_owned(), Turn::End));
            assert!(!tailing.end(&rig.sinks).complete, "where the third file is, nobody knows");
        }
        assert!(rig.all(Logs::default()).0.ends_with("f;"), "it can be read after its end");
    }
}

#[test]
fn a_log_that_was_moved_away_is_read_where_it_is() {
    let mut rig = Rig::new(|file| file);
    rig.out("a\n");
    fs::rename(&rig.path, rig.path.with_extension("elsewhere")).unwrap();
    rig.out("b\n");
    assert_eq!(rig.all(Logs::default()), told("a;b;"));
    rig.sinks.reopen();
    rig.out("c\n");
    assert_eq!(rig.all(Logs::default()), told("c;"));
}

#[test]
fn a_file_that_is_gone_is_told_of() {
    let mut rig = Rig::rotating(1);
    rig.out("a\n");
    let mut reader = rig.reader(follow());
    rig.read(&mut reader);
    for text in ["b\n", "c\n", "d\n", "e\n"] {
        rig.out(text);
        rig.sinks.reopen();
    }
    // `b` is in the file that is held open.
    assert_eq!(rig.rest(&mut reader), ("b;e;".to_owned(), Turn::End));
    assert!(!reader.end(&rig.sinks).complete);
    assert_eq!(rig.all(Logs::default()), told("e;"), "what was gone before is not missed");
}

#[test]
fn rotations_during_a_search_do_not_mislead_it() {
    // With one old file, only the last of the three lines is there.
    for (keep, there) in [(1, 1), (9, 3)] {
        let mut rig = Rig::rotating(keep);
        for line in 0..3 {
            // Longer than one turn looks at.
            rig.out(&format!("{line}:{}\n", "x".repeat(100_000)));
            rig.sinks.reopen();
        }
        let mut reader = rig.reader(Logs { tail: Some(3), ..Logs::default() });
        let lines = |text: &str| text.matches(':').count();
        for _ in 0..3 {
            assert_eq!(reader.turn(&rig.sinks, |_| panic!("too early")).unwrap(), Turn::More);
        }
        for _ in 0..4 {
            rig.sinks.reopen();
            rig.out("new\n");
        }
        let (text, _) = rig.read(&mut reader);
        assert_eq!(lines(&text), there, "{keep}");
        assert!(!text.contains("new"));
    }
}

#[test]
fn what_is_missing_behind_the_first_record_is_told_of() {
    let mut rig = Rig::new(|file| FileLog { global_max: Some(100), ..file });
    rig.out("a\nb\n");
    assert_eq!(rig.all(Logs::default()), told("a;b;"));
    rig.out("c\n");
    rig.out("withheld\n");
    assert_eq!(rig.all(Logs::default()), ("a;b;c;".to_owned(), false));
    let only = |stream| Logs { stream: Some(stream), ..Logs::default() };
    assert_eq!(rig.all(only(request::Stream::Stderr)), told(""), "nothing of stderr is missing");

    // The whole log is missing.
    let mut rig = Rig::new(|file| FileLog { global_max: Some(0), ..file });
    rig.out("withheld\n");
    assert_eq!(rig.all(Logs::default()), (String::new(), false));
}

#[test]
fn a_gap_before_the_first_record_is_none() {
    let mut rig = Rig::new(|file| file);
    rig.out("a\n");
    fs::remove_file(&rig.path).unwrap();
    rig.sinks.write(at(1), Stream::Stdout, b"b\n");
    rig.sinks.write(at(1), Stream::Stdout, b"c\n");
    let (text, complete) = rig.all(Logs::default());
    assert!(
        text.starts_with("[conward: 2 bytes (1 lines) of stdout not logged") && text.ends_with("];b;c;"),
        "{text}"
    );
    assert!(complete, "the marker is the first record, and tells of what was before it");
}

#[test]
fn a_file_that_was_cut_is_read_from_its_beginning() {
    let mut rig = Rig::new(|file| file);
    rig.out("a\nb\n");
    let mut reader = rig.reader(follow());
    rig.read(&mut reader);
    fs::File::options().write(true).open(&rig.path).unwrap().set_len(0).unwrap();
    rig.out("c\n");
    assert_eq!(rig.rest(&mut reader), ("c;".to_owned(), Turn::End));
    assert!(!reader.end(&rig.sinks).complete);
}

#[test]
fn other_lines_are_told_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let sinks = open(plain(&path)).unwrap();
    // The last one is only half there.
    fs::write(&path, b"2026-11-21T17:00:00Z stderr F x\nnot ours\n2026-11-21T17:00:01Z stdout F to").unwrap();
    let rig = Rig { sinks, path, _dir: dir };
    assert_eq!(rig.all(Logs::default()), ("x;not ours;to;".to_owned(), false));
    let mut reader = rig.reader(follow());
    assert_eq!(rig.read(&mut reader), ("x;not ours;".to_owned(), Turn::Waits));
}

#[test]
fn long_records_come_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let content: String = (0..100_000u32).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    let log = format!("2026-11-21T17:00:00Z stderr F {content}\n2026-11-21T17:00:00Z stderr P {content}\n");
    fs::write(&path, log).unwrap();
    let rig = Rig { sinks: open(plain(&path)).unwrap(), path, _dir: dir };
    let (text, complete) = rig.all(Logs::default());
    assert!(complete);
    let lines: Vec<String> = text.split(';').map(|line| line.replace('+', "")).collect();
    assert_eq!(lines, [content.clone(), content]);
    assert!(text.split([';', '+']).all(|piece| piece.len() <= LOG_TEXT_MAX));
    assert!(text.ends_with('+'));
}
