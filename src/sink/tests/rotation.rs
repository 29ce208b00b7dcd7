//! Files that are replaced or rotated, by size and on request.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::{at, joined, open, plain, records};
use crate::plan::{FileLog, Stream};

fn numbered(path: &Path, number: u32) -> PathBuf {
    PathBuf::from(format!("{}.{number}", path.display()))
}

/// The names in a directory, sorted.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn exactly_as_many_old_files_as_asked_for() {
    for keep in 1..=3 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut sinks = open(FileLog { keep: Some(keep), ..plain(&path) }).unwrap();
        for line in ["a\n", "b\n", "c\n", "d\n", "e\n"] {
            sinks.write(at(0), Stream::Stdout, line.as_bytes());
            sinks.reopen();
        }
        assert_eq!(records(&path), [""; 0]);
        for (number, line) in (1..=keep).zip(["e", "d", "c"]) {
            assert_eq!(records(&numbered(&path, number)), [format!("stdout F {line}")]);
        }
        assert_eq!(names(dir.path()).len(), 1 + keep as usize, "{:?}", names(dir.path()));
    }
}

#[test]
fn a_number_that_is_free_stops_the_shifting() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    for number in [1, 3, 9] {
        fs::write(numbered(&path, number), format!("old {number}")).unwrap();
    }
    let mut sinks = open(FileLog { keep: Some(u32::MAX), ..plain(&path) }).unwrap();
    sinks.reopen();
    for (number, old) in [(2, 1), (3, 3), (9, 9)] {
        assert_eq!(fs::read_to_string(numbered(&path, number)).unwrap(), format!("old {old}"));
    }
}

#[test]
fn whoever_watches_sees_the_new_file_being_created() {
    for (keep, moved_away) in [(None, true), (None, false), (Some(2), true), (Some(2), false)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut sinks = open(FileLog { keep, ..plain(&path) }).unwrap();
        sinks.write(at(0), Stream::Stdout, b"old\n");
        if moved_away {
            fs::rename(&path, dir.path().join("away")).unwrap();
        }
        let watch = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
        // What fsnotify reports as Create.
        watch.add_watch(dir.path(), AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO).unwrap();
        sinks.reopen();
        sinks.write(at(0), Stream::Stdout, b"new\n");
        let seen = watch.read_events().unwrap();
        assert!(seen.iter().any(|e| e.name.as_deref() == Some("log".as_ref())), "{keep:?} {moved_away}");
        assert_eq!(records(&path), ["stdout F new"]);
        let old = match (moved_away, keep) {
            (true, _) => dir.path().join("away"),
            (false, Some(_)) => numbered(&path, 1),
            (false, None) => continue,
        };
        assert_eq!(records(&old), ["stdout F old"]);
        assert_eq!(names(dir.path()).len(), 2, "{:?}", names(dir.path()));
    }
}

#[test]
fn files_left_behind_are_replaced_and_paths_may_have_dots() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    let path = dir.path().join("sub/../log");
    for (keep, suffix) in [(None, ".tmp"), (Some(1), ".new")] {
        let stale = PathBuf::from(format!("{}{suffix}", path.display()));
        fs::write(&stale, "stale").unwrap();
        let mut sinks = open(FileLog { keep, ..plain(&path) }).unwrap();
        sinks.write(at(0), Stream::Stdout, b"old\n");
        sinks.reopen();
        assert_eq!(records(&path), [""; 0]);
        assert!(!stale.exists());
    }
}

#[test]
fn what_is_in_the_way_keeps_the_old_file_going_until_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let (victim, way) = (dir.path().join("victim"), dir.path().join("log.new"));
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, &way).unwrap();
    let mut sinks = open(FileLog { keep: Some(1), size_max: Some(100), ..plain(&path) }).unwrap();
    for secs in [0, 0, 1, 1, 1] {
        sinks.write(at(secs), Stream::Stdout, b"l\nm\n");
    }
    assert_eq!(joined(&records(&path), Stream::Stdout), "l\nm\n".repeat(5));
    // Attempts become rarer, and need no output.
    let first = sinks.deadline().unwrap();
    sinks.turn(first - Duration::from_millis(1));
    assert_eq!(sinks.deadline(), Some(first));
    sinks.turn(first);
    let second = sinks.deadline().unwrap();
    assert!(second > first);
    fs::remove_file(&way).unwrap();
    sinks.turn(second);
    assert_eq!((sinks.deadline(), records(&path).len()), (None, 0));
    sinks.write(at(2), Stream::Stdout, b"n\n");
    assert_eq!(records(&path), ["stdout F n"]);
    assert_eq!(joined(&records(&numbered(&path, 1)), Stream::Stdout), "l\nm\n".repeat(5));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn a_rotation_that_fails_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    fs::create_dir(numbered(&path, 1)).unwrap();
    let mut sinks = open(FileLog { keep: Some(1), ..plain(&path) }).unwrap();
    sinks.reopen();
    sinks.write(at(0), Stream::Stdout, b"line\n");
    assert_eq!(records(&path), ["stdout F line"]);
    assert_eq!(names(dir.path()), ["log", "log.1"]);
}

#[test]
fn the_size_limit_is_kept_and_counts_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    fs::write(&path, "2026-01-01T00:00:00.000000000+00:00 stdout F before\n").unwrap(); // 52 bytes
    let plan = FileLog { size_max: Some(100), ..plain(&path) };
    let mut sinks = open(plan).unwrap();
    sinks.write(at(0), Stream::Stdout, b"ab\n"); // 48: just fits
    assert_eq!(records(&path), ["stdout F before", "stdout F ab"]);
    sinks.write(at(0), Stream::Stdout, b"c\nd\ne\n"); // 47 each
    assert_eq!(records(&path), ["stdout F e"]);
    // A record beyond the limit has a file of its own.
    let long = "x".repeat(200);
    sinks.write(at(0), Stream::Stdout, format!("{long}\ny\n").as_bytes());
    assert_eq!(records(&path), ["stdout F y"]);
    assert_eq!(sinks.counts(Stream::Stdout).file.unwrap().logged, 3 + 6 + 203);
}

#[test]
fn nothing_is_lost_or_cut_at_the_switch() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut sinks = open(FileLog { keep: Some(1000), size_max: Some(20_000), ..plain(&path) }).unwrap();
    let mut output = String::new();
    for number in 0..2000usize {
        output.push_str(&number.to_string().repeat(1 + number * 7919 % 97));
        if number % 100 == 0 {
            output.push_str(&"long".repeat(5000));
        }
        output.push('\n');
    }
    for chunk in output.as_bytes().chunks(65_536) {
        sinks.write(at(0), Stream::Stdout, chunk);
    }
    sinks.finish(at(0));
    let mut all = Vec::new();
    let files = names(dir.path()).len() as u32;
    assert!(files > 20, "{files}");
    for number in (1..files).rev() {
        assert!(fs::metadata(numbered(&path, number)).unwrap().len() <= 20_000);
        all.extend(records(&numbered(&path, number)));
    }
    all.extend(records(&path));
    assert!(joined(&all, Stream::Stdout) == output, "the files do not add up to the output");
}
