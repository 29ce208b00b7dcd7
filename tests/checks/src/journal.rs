//! Output on its way to the journal: the bytes are a script (see `script`), without sessions.
//!
//! Options: `prefixes` (a line's `<N>` is its priority; all output is then of stdout), `unmarked`.

use std::os::unix::net::UnixDatagram;
use std::time::Instant;

use conward::plan::{Identity, JournalLog, LogPlan, Stream};
use conward::sink::Sinks;
use conward::sys::clock::Timestamp;

use crate::script::{self, Step};

const NOW: Timestamp = Timestamp { secs: 1_795_282_320, nanos: 0 };

/// Bytes of output at most: more than the longest line of an entry.
const OUTPUT_MAX: usize = 12 * 1024;
/// Bytes of an entry, surely.
const ENTRY_MAX: usize = 16 * 1024;

/// The container, and the fields that each entry has beside its message: no output can add one, or change one.
const ID: &str = "0123456789abcdef";
const FIXED: [(&str, &str); 6] = [
    ("CONTAINER_ID_FULL", ID),
    ("CONTAINER_ID", "0123456789ab"),
    ("CONTAINER_TAG", "two\nlines"),
    ("CONTAINER_NAME", "name"),
    ("SYSLOG_IDENTIFIER", "two\nlines"),
    ("LABEL", ""),
];

/// Each entry has its fields and no others, and the messages are what was written.
pub fn check(input: &[u8]) {
    let (options, script) = script::options(input);
    let (prefixes, mark_partial) = (options.has("prefixes"), !options.has("unmarked"));
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("socket");
    let journald = UnixDatagram::bind(&socket).expect("a socket");
    journald.set_nonblocking(true).expect("a socket");
    let plan = JournalLog {
        tag: Some("two\nlines".to_owned()),
        labels: vec!["LABEL=".to_owned()],
        mark_partial,
        priority_prefix: prefixes,
    };
    let identity = Identity { id: ID.to_owned(), uuid: None, name: Some("name".to_owned()) };
    let mut sinks =
        Sinks::open_at(&LogPlan { file: None, journal: Some(plan) }, &identity, &socket).expect("a journal");

    let mut heard = Heard { mark_partial, ..Heard::default() };
    let mut written: [Vec<u8>; 2] = Default::default();
    for step in script::steps(script, OUTPUT_MAX) {
        let Step::Write(stream, bytes) = step else { continue };
        let stream = if prefixes { Stream::Stdout } else { stream };
        written[stream as usize].extend_from_slice(&bytes);
        sinks.write(NOW, stream, &bytes);
        heard.take(&journald);
        while sinks.blocked() {
            sinks.turn(Instant::now());
            heard.take(&journald);
        }
    }
    sinks.finish(NOW);
    heard.take(&journald);
    for stream in [Stream::Stdout, Stream::Stderr] {
        let counts = sinks.counts(stream).journal.expect("a journal");
        let bytes = written[stream as usize].len() as u64;
        assert_eq!((counts.logged, counts.lost, counts.withheld), (bytes, 0, 0));
    }
    if prefixes {
        assert!(heard.all == without_prefixes(&written[0]), "{written:?} is told as {:?}", heard.all);
    } else {
        assert!(heard.messages == written, "{written:?} is told as {:?}", heard.messages);
    }
}

/// Each line without its `<N>`.
fn without_prefixes(output: &[u8]) -> Vec<u8> {
    let lines = output.split_inclusive(|&byte| byte == b'\n');
    let bare = lines.map(|line| match line {
        [b'<', b'0'..=b'7', b'>', rest @ ..] => rest,
        line => line,
    });
    bare.collect::<Vec<_>>().concat()
}

/// What the journal was told.
#[derive(Default)]
struct Heard {
    /// By the numbers of the streams, as far as the priority tells.
    messages: [Vec<u8>; 2],
    all: Vec<u8>,
    mark_partial: bool,
}

impl Heard {
    fn take(&mut self, journald: &UnixDatagram) {
        let mut datagram = [0; ENTRY_MAX];
        while let Ok(length) = journald.recv(&mut datagram) {
            self.entry(&datagram[..length]);
        }
    }

    fn entry(&mut self, entry: &[u8]) {
        let fields = fields(entry);
        let value = |name: &str| {
            let mut found = fields.iter().filter(|(of, _)| *of == name.as_bytes());
            let value = found.next().map(|(_, value)| *value);
            assert!(found.next().is_none(), "{name} twice");
            value
        };
        for (name, fixed) in FIXED {
            assert_eq!(value(name), Some(fixed.as_bytes()), "{name}");
        }
        let message = value("MESSAGE").expect("a message");
        let ends = message.ends_with(b"\n");
        let mark = value("CONTAINER_PARTIAL_MESSAGE");
        assert_eq!(mark, (self.mark_partial && !ends).then_some(&b"true"[..]));
        assert_eq!(fields.len(), FIXED.len() + 2 + usize::from(mark.is_some()), "{}", entry.escape_ascii());
        let newline = message.iter().position(|&byte| byte == b'\n');
        assert!(newline.is_none_or(|at| at + 1 == message.len()), "two lines");
        let stream = match value("PRIORITY") {
            Some(b"3") => 1,
            Some([b'0'..=b'7']) => 0,
            other => panic!("priority {other:?}"),
        };
        self.messages[stream].extend_from_slice(message);
        self.all.extend_from_slice(message);
    }
}

/// The fields of an entry as systemd-journald reads them.
fn fields(mut entry: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut fields = Vec::new();
    while !entry.is_empty() {
        let end = entry.iter().position(|byte| b"=\n".contains(byte)).expect("a field");
        let (name, rest) = (&entry[..end], &entry[end + 1..]);
        let (value, rest) = match entry[end] {
            b'=' => rest.split_at(rest.iter().position(|&byte| byte == b'\n').expect("its end")),
            _ => {
                let (length, rest) = rest.split_first_chunk::<8>().expect("a length");
                rest.split_at(u64::from_le_bytes(*length) as usize)
            }
        };
        fields.push((name, value));
        entry = rest.strip_prefix(b"\n").expect("the end of a field");
    }
    fields
}
