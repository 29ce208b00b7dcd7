//! A file system that is full, and then is not.

use std::fs;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{at, identity, joined, open, plain, records};
use crate::plan::{FileLog, LogLimits, LogPlan, LogPolicy, LogRate, Stream};
use crate::sink::{Amount, Counts, Sinks};

/// A small file system of the test's own. Needs root.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> SmallDisk {
        let dir = tempfile::tempdir().unwrap();
        let size = Some("size=64k");
        mount(Some("tmpfs"), dir.path(), Some("tmpfs"), MsFlags::empty(), size)
            .unwrap_or_else(|e| panic!("mounting a tmpfs, for which this test must be root: {e}"));
        SmallDisk(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        umount2(self.0.path(), MntFlags::MNT_DETACH).expect("unmounting a tmpfs");
    }
}

/// Fills the file system up to `free` pages; removing the file empties it again.
fn fill(path: &Path, free: usize) {
    let mut bytes = vec![0u8; 16 * 4096];
    while fs::write(path, &bytes).is_err() {
        bytes.truncate(bytes.len() - 4096);
    }
    bytes.truncate(bytes.len() - free * 4096);
    fs::write(path, &bytes).unwrap();
}

#[test]
fn a_full_disk_costs_what_it_could_not_hold_and_no_more() {
    let disk = SmallDisk::new();
    let (path, ballast) = (disk.path().join("log"), disk.path().join("ballast"));
    let mut sinks = open(plain(&path)).unwrap();
    sinks.write(at(0), Stream::Stdout, b"before\n");
    fill(&ballast, 0);
    let output: String = (0..400).map(|n| format!("line {n}\n")).collect();
    sinks.write(at(1), Stream::Stdout, output.as_bytes());
    let early = records(&path);
    for _ in 0..10 {
        sinks.write(at(2), Stream::Stdout, b"lost\n");
        sinks.write(at(2), Stream::Stderr, b"lost as well\n");
    }
    assert_eq!(records(&path), early, "the log changed while there was no room");
    let counts = sinks.counts(Stream::Stdout).file.unwrap();
    let logged = joined(&early, Stream::Stdout);
    assert!(logged.len() > 100 && format!("before\n{output}").starts_with(&logged), "{logged}");
    assert_eq!(counts.logged, logged.len() as u64);
    assert_eq!(counts.logged + counts.lost().bytes, (7 + output.len() + 50) as u64);

    fs::remove_file(&ballast).unwrap();
    sinks.write(at(3), Stream::Stdout, b"after\n");
    let late = records(&path);
    let new = &late[early.len()..];
    assert_eq!(new.len(), 3, "{new:?}");
    let marker = |name: &str, Amount { bytes, lines }| {
        format!("{name} F [conward: {bytes} bytes ({lines} lines) of {name} not logged from ")
    };
    assert!(new[0].starts_with(&marker("stdout", counts.lost())), "{new:?}");
    assert!(new[1].starts_with(&marker("stderr", Amount { bytes: 130, lines: 10 })), "{new:?}");
    assert!(new[0].ends_with(": No space left on device]"), "{new:?}");
    assert_eq!(new[2], "stdout F after");
    sinks.write(at(3), Stream::Stdout, b"more\n");
    assert_eq!(records(&path).len(), late.len() + 1);
}

#[test]
fn an_unfinished_line_is_closed_before_the_marker() {
    let disk = SmallDisk::new();
    let (path, ballast) = (disk.path().join("log"), disk.path().join("ballast"));
    let mut sinks = open(plain(&path)).unwrap();
    sinks.write(at(0), Stream::Stdout, &[b'a'; 4000]);
    fill(&ballast, 0);
    sinks.write(at(1), Stream::Stdout, &[b'b'; 100]);
    fs::remove_file(&ballast).unwrap();
    sinks.finish(at(2));
    let log = records(&path);
    assert_eq!(log.len(), 3);
    assert!(log[0].starts_with("stdout P aaa"));
    assert_eq!(log[1], "stdout F ");
    assert!(log[2].starts_with("stdout F [conward: 100 bytes (0 lines) of stdout not logged from "));
}

#[test]
fn a_line_is_closed_only_once() {
    let disk = SmallDisk::new();
    let (path, ballast) = (disk.path().join("log"), disk.path().join("ballast"));
    let mut sinks = open(plain(&path)).unwrap();
    sinks.write(at(0), Stream::Stdout, &[b'a'; 4000]);
    for secs in 1..3 {
        fill(&ballast, 0);
        sinks.write(at(secs), Stream::Stdout, &[b'b'; 5000]);
        fs::remove_file(&ballast).unwrap();
        sinks.write(at(secs), Stream::Stderr, b"x\n");
    }
    let log = records(&path);
    let heads: Vec<_> = log.iter().map(|record| &record[..record.len().min(19)]).collect();
    let marker = "stdout F [conward: ";
    assert_eq!(heads[1..], ["stdout F ", marker, "stderr F x", marker, "stderr F x"]);
}

#[test]
fn a_disk_that_stays_full_is_told_by_the_counts() {
    let disk = SmallDisk::new();
    let (path, ballast) = (disk.path().join("log"), disk.path().join("ballast"));
    let mut sinks = open(plain(&path)).unwrap();
    fill(&ballast, 1);
    // One page: whole records only, and no room for a marker that nothing follows.
    for secs in 0..5 {
        sinks.write(at(secs), Stream::Stdout, &[&[b'x'; 2000][..], b"\n"].concat());
    }
    sinks.finish(at(9));
    let log = records(&path);
    assert_eq!(log.len(), 2, "{log:?}");
    assert!(log.iter().all(|record| record.len() == 9 + 2000), "{log:?}");
    let counts = sinks.counts(Stream::Stdout).file.unwrap();
    assert_eq!((counts.logged, counts.lost()), (2 * 2001, Amount { bytes: 3 * 2001, lines: 3 }));
}

#[test]
fn rotation_and_a_full_disk_go_together() {
    let disk = SmallDisk::new();
    let (path, ballast) = (disk.path().join("log"), disk.path().join("ballast"));
    let mut sinks = open(FileLog { keep: Some(1), size_max: Some(3000), ..plain(&path) }).unwrap();
    sinks.write(at(0), Stream::Stdout, &[&[b'x'; 2000][..], b"\n"].concat());
    fill(&ballast, 0);
    let text = [&[b'y'; 2000][..], b"\n"].concat();
    for _ in 0..4 {
        sinks.write(at(1), Stream::Stdout, &text);
    }
    fs::remove_file(&ballast).unwrap();
    sinks.write(at(2), Stream::Stdout, b"end\n");
    let logged = sinks.counts(Stream::Stdout).file.unwrap();
    assert_eq!(logged.logged + logged.lost().bytes, 5 * 2001 + 4);
    let log = records(&path);
    assert_eq!(log.last().map(String::as_str), Some("stdout F end"));
    assert_eq!(log.iter().filter(|r| r.contains("[conward: ")).count(), 1, "{log:?}");
}

#[test]
fn nothing_is_told_behind_the_limit_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let limits =
        [LogLimits { policy: Some(LogPolicy::DropNewest), rate: Some(LogRate { bytes: 1, burst: 10 }) }; 2];
    let file = FileLog { global_max: Some(50), ..plain(&path) };
    let plan = LogPlan { file: Some(file), limits, ..LogPlan::default() };
    let mut sinks = Sinks::open(&plan, &identity()).unwrap();
    sinks.write(at(0), Stream::Stdout, b"123456789\nover and ");
    sinks.write(at(0), Stream::Stdout, b"out\nbeyond\n");
    sinks.write(at(1), Stream::Stderr, b"123456789\nbeyond\n");
    sinks.finish(at(1));
    assert_eq!(records(&path), ["stdout F 123456789"]);
    let of = |stream| sinks.counts(stream).file.unwrap();
    assert_eq!(of(Stream::Stdout), Counts { logged: 10, withheld: 20, ..Counts::default() });
    assert_eq!(of(Stream::Stderr), Counts { withheld: 17, ..Counts::default() });
}
