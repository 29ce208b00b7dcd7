//! Output on its way to a log file and back: the bytes are a script (see `script`).
//!
//! Options: `size=BYTES`, `global=BYTES`, `keep=FILES`; and what is read back at the end, as in `log_file`.
//! What is of the container has no capital letters, and what is of sessions nothing else, so that anybody
//! can tell them apart.

use std::path::{Path, PathBuf};
use std::time::Instant;

use conward::plan::{FileLog, Identity, LogPlan, Stream};
use conward::sink::{Reader, Sinks, Whose};
use conward::sys::clock::Timestamp;
use conward_protocol::limits::EXEC_LINE_MAX;
use conward_protocol::request::{self, Logs};

use crate::log_file::{read, wanted};
use crate::script::{self, Options, Step};
use crate::told::{Told, joined, lines, tail};

/// Bytes of output at most: more than a buffer of the sink.
const OUTPUT_MAX: usize = 80 * 1024;
/// The smallest limit of a file.
const SIZE_MIN: u64 = 200;
/// How often a limit is reached, and a new file asked for, at most: so there are less than [`KEEP_ALL`] files,
/// of which no reader misses one. What is more is left out.
const LIMITS_MAX: u64 = 20;
const REOPENED_MAX: u32 = 16;
/// Files to keep that are more than there will be.
const KEEP_ALL: u64 = 60;
/// What a record costs beside its content.
const RECORD_COST: u64 = 47;
/// Content of a record at most.
const CONTENT_MAX: usize = 8192;

/// What was written.
#[derive(Default)]
struct Written {
    container: [Vec<u8>; 2],
    sessions: [Vec<u8>; 2],
}

/// Bytes in are bytes out, whichever way they went, whole lines of sessions between whole lines of the
/// container, and what is not in the log was counted.
pub fn check(input: &[u8]) {
    let (options, script) = script::options(input);
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    let plan = plan(&options, &path);
    let identity = Identity { id: "0123456789abcdef".to_owned(), uuid: None, name: None };
    let logs = LogPlan { file: Some(plan.clone()), journal: None };
    let mut sinks = Sinks::open(&logs, &identity).expect("a log file");

    let follow = Logs { follow: true, ..Logs::default() };
    let mut follower = Reader::new(&sinks, &follow).expect("a reader").expect("a log file");
    let mut followed = Vec::new();
    let written = write(&mut sinks, script, plan.size_max, |sinks| {
        let tell = |record: &_| followed.push(Told::by(record));
        follower.turn(sinks, tell).expect("a file that can be read");
    });
    read(&mut follower, &sinks, &mut followed);
    let is_followed = follower.end(&sinks).complete;

    counted(&sinks, &written);
    let there = there(&path, &plan);
    let renewed = plan.size_max.is_some() || script.contains(&b'^');
    let all_is_kept = !renewed || plan.keep.is_some_and(|keep| u64::from(keep) == KEEP_ALL);
    if plan.global_max.is_none() && all_is_kept {
        assert!(is_followed, "nothing was lost");
        whole(&there, &written);
    }
    if is_followed && plan.global_max.is_none() {
        whole(&followed, &written);
    }
    let logs = Logs { follow: false, ..wanted(&options) };
    let mut last = Reader::new(&sinks, &logs).expect("a reader").expect("a log file");
    let mut told = Vec::new();
    read(&mut last, &sinks, &mut told);
    let selected = tail(&there, logs.stream, logs.tail);
    for stream in request::Stream::ALL {
        assert!(joined(&told, *stream) == joined(&selected, *stream), "{told:?} for {selected:?}");
    }
}

fn plan(options: &Options<'_>, path: &Path) -> FileLog {
    FileLog {
        path: path.to_owned(),
        size_max: options.number("size").map(|size| size.max(SIZE_MIN)),
        global_max: options.number("global"),
        keep: options.number("keep").map(|keep| keep.clamp(1, KEEP_ALL) as u32),
        allowed_dirs: Vec::new(),
        sync: false,
    }
}

fn write(sinks: &mut Sinks, script: &[u8], size: Option<u64>, mut turn: impl FnMut(&Sinks)) -> Written {
    let mut room = size.map_or(u64::MAX, |size| LIMITS_MAX * size);
    let mut reopened = 0;
    let mut now = Timestamp { secs: 1_795_282_320, nanos: 7 };
    let mut written = Written::default();
    // No line of a session has waited too long then.
    let begun = Instant::now();
    for step in script::steps(script, OUTPUT_MAX) {
        match step {
            Step::Write(stream, mut bytes) => {
                bytes.truncate(fitting(&bytes, &mut room));
                bytes.make_ascii_lowercase();
                sinks.write(now, stream, &bytes);
                written.container[stream as usize].extend_from_slice(&bytes);
            }
            Step::Session(stream, mut bytes) => {
                bytes.retain(u8::is_ascii_alphabetic);
                bytes.make_ascii_uppercase();
                bytes.truncate(EXEC_LINE_MAX);
                bytes.truncate(fitting(&bytes, &mut room));
                if bytes.is_empty() || !sinks.has_room_for_guests() {
                    continue;
                }
                let mut session = Sinks::of_session(true);
                session.write(now, stream, &bytes);
                session.pass_on(sinks, true);
                bytes.push(b'\n');
                written.sessions[stream as usize].extend_from_slice(&bytes);
            }
            Step::Reopen if reopened < REOPENED_MAX => {
                assert_eq!(sinks.reopen(), 1);
                reopened += 1;
            }
            Step::Reopen => {}
            Step::Clock(seconds) => now.secs += seconds,
            Step::Read => turn(sinks),
        }
        sinks.turn(begun);
    }
    sinks.finish(now);
    written
}

/// How many bytes of the output there is room for in the files.
fn fitting(output: &[u8], room: &mut u64) -> usize {
    *room = room.saturating_sub(RECORD_COST);
    for (count, byte) in output.iter().enumerate() {
        let cost = if *byte == b'\n' { RECORD_COST } else { 1 };
        if *room < cost {
            return count;
        }
        *room -= cost;
    }
    output.len()
}

/// Nothing is lost, and only what is beyond the limit of the log is withheld.
fn counted(sinks: &Sinks, written: &Written) {
    for stream in [Stream::Stdout, Stream::Stderr] {
        for (whose, bytes) in [(Whose::Container, &written.container), (Whose::Session, &written.sessions)] {
            let counts = sinks.counts_of(stream, whose).file.expect("a log file");
            let all = bytes[stream as usize].len() as u64;
            assert_eq!((counts.logged + counts.withheld, counts.lost), (all, 0), "{stream:?} {whose:?}");
        }
    }
}

/// The records of the files that are there, the oldest first.
fn there(path: &Path, plan: &FileLog) -> Vec<Told> {
    let old = |number: u32| PathBuf::from(format!("{}.{number}", path.display()));
    let mut files: Vec<PathBuf> = (1..).map(old).take_while(|file| file.exists()).collect();
    assert!(files.len() <= plan.keep.unwrap_or(0) as usize, "{} old files", files.len());
    files.reverse();
    files.push(path.to_owned());
    let mut records: Vec<Told> = Vec::new();
    for file in files {
        let bytes = std::fs::read(file).expect("a log file");
        assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "a torn record");
        let of_file = lines(&bytes);
        let is_in_bounds = plan.size_max.is_none_or(|size| bytes.len() as u64 <= size);
        assert!(is_in_bounds || of_file.len() <= 2, "{} records in {} bytes", of_file.len(), bytes.len());
        for record in of_file {
            assert!(record.time.is_some() && record.content.len() <= CONTENT_MAX, "{record:?}");
            let before = records.iter().rev().find(|before| before.stream == record.stream);
            assert!(before.is_none_or(|before| before.time <= record.time), "time goes back");
            records.push(record);
        }
    }
    records
}

/// Everything that was written is among the records, as whole lines of either.
fn whole(records: &[Told], written: &Written) {
    for (number, stream) in request::Stream::ALL.iter().enumerate() {
        let mut container = Vec::new();
        let mut sessions = Vec::new();
        let all = joined(records, *stream);
        for line in all.split_inclusive(|&byte| byte == b'\n') {
            let is_session = line.len() > 1 && line.iter().any(u8::is_ascii_uppercase);
            assert!(!is_session || !line.iter().any(u8::is_ascii_lowercase), "{}", line.escape_ascii());
            if is_session { &mut sessions } else { &mut container }.extend_from_slice(line);
        }
        let meant = &written.container[number];
        // A line that is open while lines of sessions wait for its end is ended at the end of the log.
        let open = !meant.is_empty() && !meant.ends_with(b"\n") && !sessions.is_empty();
        let is_ended = open && container.strip_suffix(b"\n") == Some(meant);
        assert!(is_ended || container == *meant, "{}", container.escape_ascii());
        assert!(sessions == written.sessions[number], "{}", sessions.escape_ascii());
    }
}
