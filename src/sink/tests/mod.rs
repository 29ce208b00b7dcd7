//! The sinks as their owner sees them, on real files, file systems and sockets.

mod files;
mod full_disk;
mod guests;
mod journal;
mod journald;
mod reader;
mod rotation;

use std::path::Path;

use crate::error::Error;
use crate::plan::{FileLog, Identity, LogPlan, Stream};
use crate::sink::{Counts, Sinks};
use crate::sys::clock::Timestamp;

/// A moment, `secs` seconds into the test.
fn at(secs: i64) -> Timestamp {
    Timestamp { secs: 1_795_282_320 + secs, nanos: 0 }
}

fn identity() -> Identity {
    Identity { id: "0123456789abcdef".to_owned(), uuid: None, name: None }
}

/// A log file without limits.
fn plain(path: &Path) -> FileLog {
    FileLog {
        path: path.to_owned(),
        size_max: None,
        global_max: None,
        keep: None,
        allowed_dirs: Vec::new(),
        sync: true,
    }
}

fn open(file: FileLog) -> Result<Sinks, Error> {
    Sinks::open(&LogPlan { file: Some(file), journal: None, ..LogPlan::default() }, &identity())
}

/// Bytes that are in the log, and bytes that are not.
fn logged_and_lost(counts: &Counts) -> (u64, u64) {
    (counts.logged, counts.lost().bytes)
}

/// The contents of a log file without their timestamps: `stdout F hello`.
fn records(path: &Path) -> Vec<String> {
    let log = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert!(log.is_empty() || log.ends_with(b"\n"), "torn record at the end of {}", path.display());
    let text = String::from_utf8_lossy(&log);
    text.lines()
        .map(|record| {
            let (stamp, rest) = record.split_at_checked(36).expect("a record shorter than a timestamp");
            assert!(stamp.starts_with("2026-") && stamp.ends_with(' '), "{record:?}");
            rest.to_owned()
        })
        .collect()
}

/// What the container wrote, as the records of one stream tell it. Markers are left out.
fn joined(records: &[String], stream: Stream) -> String {
    let mut out = String::new();
    for record in records {
        let Some(rest) = record.strip_prefix(stream.name()) else { continue };
        let (tag, content) = rest.split_at(3);
        if !content.starts_with("[conward: ") {
            out.push_str(content);
            if tag == " F " {
                out.push('\n');
            }
        }
    }
    out
}
