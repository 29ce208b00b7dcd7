//! A log file of whatever origin, for who reads it back: the bytes are the file.
//!
//! The first line may have options (see `script`): `tail=N`, `only-stdout`, `only-stderr`, `follow`.

use conward::plan::{FileLog, Identity, LogPlan};
use conward::sink::{Reader, Sinks, Turn};
use conward::sys::clock::Timestamp;
use conward_protocol::request::{Logs, Stream};

use crate::script::{self, Options};
use crate::told::{Told, joined, lines, tail};

/// Nothing of the file is kept from its reader, and the last lines are the last lines.
pub fn check(input: &[u8]) {
    let (options, file) = script::options(input);
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    std::fs::write(&path, file).expect("a file");
    let plan =
        FileLog { path, size_max: None, global_max: None, keep: None, allowed_dirs: Vec::new(), sync: false };
    let identity = Identity { id: "0123456789abcdef".to_owned(), uuid: None, name: None };
    let mut sinks = Sinks::open(&LogPlan { file: Some(plan), journal: None }, &identity).expect("a log file");
    let logs = wanted(&options);
    let mut reader = Reader::new(&sinks, &logs).expect("a reader").expect("a log file");
    let mut told = Vec::new();
    if logs.follow {
        assert_eq!(read(&mut reader, &sinks, &mut told), Turn::Waits);
        sinks.finish(Timestamp { secs: 0, nanos: 0 });
    }
    assert_eq!(read(&mut reader, &sinks, &mut told), Turn::End);

    // A last line that was torn got its end when the file was opened.
    let all = lines(file);
    let selected = tail(&all, logs.stream, logs.tail);
    for stream in Stream::ALL {
        let (told, there) = (joined(&told, *stream), joined(&selected, *stream));
        assert!(told == there, "{stream:?}: {} for {}", told.escape_ascii(), there.escape_ascii());
    }
    let end = reader.end(&sinks);
    assert_eq!(end.records, told.len() as u64);
    assert_eq!(end.complete, is_whole_log(&selected));
}

fn is_whole_log(records: &[Told]) -> bool {
    records.iter().all(|record| record.time.is_some())
}

/// What is asked for.
pub fn wanted(options: &Options<'_>) -> Logs {
    let stream = match (options.has("only-stdout"), options.has("only-stderr")) {
        (true, _) => Some(Stream::Stdout),
        (false, true) => Some(Stream::Stderr),
        (false, false) => None,
    };
    Logs { follow: options.has("follow"), tail: options.number("tail"), since: None, stream }
}

/// Reads until nothing more comes.
pub fn read(reader: &mut Reader, sinks: &Sinks, told: &mut Vec<Told>) -> Turn {
    loop {
        match reader.turn(sinks, |record| told.push(Told::by(record))).expect("a file that can be read") {
            Turn::More => {}
            end => return end,
        }
    }
}
