//! Opening, plain writing, limits without rotation, and files that are taken away.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::{at, joined, logged_and_lost, open, plain, records};
use crate::plan::{FileLog, Stream};
use crate::sink::Counts;
use crate::sys::clock::Timestamp;

fn refusal(file: FileLog) -> String {
    open(file).expect_err("opened").text().to_owned()
}

#[test]
fn content_and_mode_of_an_existing_file_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    fs::write(&path, "2026-01-01T00:00:00.000000000+00:00 stdout F before\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
    let mut sinks = open(plain(&path)).unwrap();
    sinks.write(at(0), Stream::Stderr, b"after\n");
    sinks.finish(at(0));
    assert_eq!(records(&path), ["stdout F before", "stderr F after"]);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o604);
}

#[test]
fn half_a_record_of_an_earlier_supervisor_does_not_take_the_next_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    for (there, torn) in
        [("2026-01-01T00:00:00.000000000+00:00 stdout P tor", true), ("x", true), ("\n", false)]
    {
        fs::write(&path, there).unwrap();
        let mut sinks = open(plain(&path)).unwrap();
        sinks.write(at(0), Stream::Stdout, b"whole\n");
        sinks.finish(at(0));
        let end = if torn { "\n" } else { "" };
        let log = fs::read_to_string(&path).unwrap();
        let own = log.strip_prefix(&format!("{there}{end}")).expect("the old line, and its end");
        assert_eq!(own.split_once(' ').map(|(_, record)| record), Some("stdout F whole\n"));
        // It counts towards the limits.
        let size = fs::metadata(&path).unwrap().len();
        assert_eq!(sinks.written(), size, "{there:?}");
    }
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    symlink(file("target"), file("link")).unwrap();
    fs::write(file("target"), "").unwrap();
    mkfifo(&file("fifo"), Mode::S_IRWXU).unwrap();
    fs::create_dir(file("dir")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(file("socket")).unwrap();
    let table = [
        (file("link"), "it is a symbolic link"),
        (file("fifo"), "it is a fifo"),
        (file("dir"), "it is a directory"),
        (file("socket"), "it is a socket"),
        ("/dev/null".into(), "it is a device"),
        (file("absent/log"), "No such file or directory"),
        (file("target/log"), "Not a directory"),
        (file("dir/.."), "the path names no file"),
    ];
    for (path, why) in table {
        let want = format!("Failed to open log file {}: {why}", path.display());
        assert_eq!(refusal(plain(&path)), want);
    }
}

#[test]
fn directories_on_the_way_may_be_links_and_dots() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("real/sub")).unwrap();
    symlink("real", dir.path().join("link")).unwrap();
    open(plain(&dir.path().join("link/sub/../log"))).unwrap();
    assert!(dir.path().join("real/log").exists());
}

#[test]
fn allowed_directories_are_meant_as_they_are_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    fs::create_dir_all(file("logs/pod")).unwrap();
    fs::create_dir(file("logs-of-others")).unwrap();
    symlink(file("logs-of-others"), file("logs/escape")).unwrap();
    symlink(file("logs"), file("alias")).unwrap();
    let within = |path: &str, allowed: &str| FileLog {
        allowed_dirs: vec![file("absent"), file(allowed)],
        ..plain(&file(path))
    };
    for path in ["logs/log", "logs/pod/log", "alias/log", "logs/../logs/log"] {
        for allowed in ["logs", "alias"] {
            open(within(path, allowed)).unwrap_or_else(|e| panic!("{path} in {allowed}: {e}"));
        }
    }
    for path in ["logs-of-others/log", "logs/escape/log", "logs/../log", "log"] {
        let text = refusal(within(path, "logs"));
        assert!(text.ends_with(" is not in an allowed log directory"), "{path}: {text}");
        assert!(!file(path).exists(), "{path}");
    }
}

#[test]
fn a_directory_that_left_the_allowed_ones_is_not_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, outside) = (dir.path().join("logs"), dir.path().join("outside"));
    fs::create_dir(&logs).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::create_dir(logs.join("pod")).unwrap();
    let file = FileLog { allowed_dirs: vec![logs.clone()], ..plain(&logs.join("pod/log")) };
    let mut sinks = open(file).unwrap();
    fs::rename(logs.join("pod"), dir.path().join("moved")).unwrap();
    symlink(&outside, logs.join("pod")).unwrap();
    sinks.reopen();
    sinks.write(at(0), Stream::Stdout, b"still there\n");
    assert!(fs::read_dir(&outside).unwrap().next().is_none());
    assert_eq!(records(&dir.path().join("moved/log")), ["stdout F still there"]);
}

#[test]
fn time_does_not_go_backwards_within_a_stream() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut sinks = open(plain(&path)).unwrap();
    for (secs, stream) in [(5, Stream::Stdout), (3, Stream::Stdout), (4, Stream::Stderr), (6, Stream::Stdout)]
    {
        sinks.write(at(secs), stream, b"x\n");
    }
    let log = fs::read_to_string(&path).unwrap();
    let seconds: Vec<_> = log.lines().map(|line| &line[17..19]).collect();
    assert_eq!(seconds, ["05", "05", "04", "06"]);
}

#[test]
fn the_global_limit_ends_the_log_after_the_line_that_crosses_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut sinks = open(FileLog { global_max: Some(100), ..plain(&path) }).unwrap();
    // 48 bytes each in the file.
    sinks.write(at(0), Stream::Stdout, b"l1\nl2\nl3\nl4\nl5\n");
    sinks.write(at(0), Stream::Stderr, b"l6\n");
    assert_eq!(records(&path), ["stdout F l1", "stdout F l2", "stdout F l3"]);
    let counts = |stream| sinks.counts(stream).file.unwrap();
    assert_eq!(counts(Stream::Stdout), Counts { logged: 9, withheld: 6, ..Counts::default() });
    assert_eq!(counts(Stream::Stderr), Counts { logged: 0, withheld: 3, ..Counts::default() });
    drop(sinks);

    // What was there before counts as well.
    let mut again = open(FileLog { global_max: Some(145), ..plain(&path) }).unwrap();
    again.write(at(1), Stream::Stdout, b"a\nb\n");
    assert_eq!(records(&path)[3..], ["stdout F a"]);
}

#[test]
fn a_removed_file_is_created_again_and_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut sinks = open(plain(&path)).unwrap();
    sinks.write(at(0), Stream::Stdout, b"seen\n");
    sinks.write(at(1), Stream::Stdout, b"gone with the file\n");
    fs::remove_file(&path).unwrap();
    sinks.write(at(1), Stream::Stdout, b"unseen\npart");
    sinks.write(at(2), Stream::Stderr, b"after\n");
    let log = records(&path);
    assert_eq!(log.len(), 3, "{log:?}");
    assert_eq!(log[0], "stdout F ");
    assert!(
        log[1].starts_with("stdout F [conward: 30 bytes (2 lines) of stdout not logged from "),
        "{log:?}"
    );
    assert!(log[1].ends_with(": the log file was removed]"), "{log:?}");
    assert_eq!(log[2], "stderr F after");
    let counts = sinks.counts(Stream::Stdout).file.unwrap();
    assert_eq!(logged_and_lost(&counts), (5, 30));
}

#[test]
fn a_directory_that_goes_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, path) = (dir.path().join("logs"), dir.path().join("logs/log"));
    fs::create_dir(&logs).unwrap();
    let mut sinks = open(plain(&path)).unwrap();
    sinks.write(at(0), Stream::Stdout, b"one\n");
    fs::remove_dir_all(&logs).unwrap();
    sinks.write(at(1), Stream::Stdout, b"two\n");
    fs::create_dir(&logs).unwrap();
    sinks.write(at(1), Stream::Stdout, b"three\n"); // tried once in this second already
    assert!(!path.exists());
    sinks.reopen();
    sinks.write(at(1), Stream::Stdout, b"four\n");
    let log = records(&path);
    assert!(log[0].starts_with("stdout F [conward: 14 bytes (3 lines) of stdout not logged "), "{log:?}");
    assert_eq!(log[1..], ["stdout F four"]);
    fs::remove_dir_all(&logs).unwrap();
    sinks.finish(at(2));
    assert_eq!(logged_and_lost(&sinks.counts(Stream::Stdout).file.unwrap()), (0, 19));
}

#[test]
fn a_clock_that_stands_still_or_goes_back_keeps_the_log_going() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut sinks = open(plain(&path)).unwrap();
    sinks.write(at(1000), Stream::Stdout, b"one\n");
    fs::remove_file(&path).unwrap();
    sinks.write(Timestamp::default(), Stream::Stdout, b"two\n");
    assert_eq!(joined(&records(&path), Stream::Stdout), "two\n");
}
