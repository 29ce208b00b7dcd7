//! The log file of a container, `k8s-file`, for who reads it: a supervisor for `logs`, and who finds
//! only the file.
//!
//! A record is a line, `TIME STREAM TAG CONTENT`. `F` ends a line of the container, `P` is a piece of
//! one that goes on in the next record of its stream. Time is that of RFC 3339 and does not decrease.

mod search;

pub use search::{Search, Selection, Spot};

use crate::Timestamp;
use crate::request::Stream;

/// Bytes of a record from whose beginning all but its content can be read, at least.
pub const HEAD_MAX: usize = 64;

/// Bytes of its time at most, then.
const TIME_MAX: usize = HEAD_MAX - " stdout F ".len();

/// A record of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When it was read. `None`: this is no record, somebody else's line or a torn one.
    pub time: Option<Timestamp>,
    /// From which stream.
    pub stream: Stream,
    /// Whether the line goes on in the next record of this stream.
    pub partial: bool,
    /// What was written, without its newline.
    pub content: &'a [u8],
}

impl Entry<'_> {
    /// Reads a line of the file, without its newline. A line that is no record is content of stdout:
    /// nothing in the file is kept from its reader.
    pub fn parse(line: &[u8]) -> Entry<'_> {
        record(line).unwrap_or(Entry { time: None, stream: Stream::Stdout, partial: false, content: line })
    }
}

fn record(line: &[u8]) -> Option<Entry<'_>> {
    let mut fields = line.splitn(4, |&byte| byte == b' ');
    let time = fields.next().filter(|time| time.len() <= TIME_MAX)?;
    let time = std::str::from_utf8(time).ok().and_then(Timestamp::parse)?;
    let stream = match fields.next()? {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    let partial = match fields.next()? {
        b"F" => false,
        b"P" => true,
        _ => return None,
    };
    Some(Entry { time: Some(time), stream, partial, content: fields.next()? })
}

#[cfg(test)]
mod tests {
    use super::Entry;
    use crate::Timestamp;
    use crate::request::Stream::{self, Stderr, Stdout};

    #[test]
    fn records_and_other_lines() {
        let at = |nanos| Some(Timestamp::new(1_795_282_320, nanos));
        type Row<'a> = (&'a [u8], Option<Timestamp>, Stream, bool, &'a [u8]);
        let table: [Row<'_>; 8] = [
            (b"2026-11-21T17:32:00.5+00:00 stdout F hello", at(500_000_000), Stdout, false, b"hello"),
            (b"2026-11-21T18:32:00.000000007+01:00 stderr P  x \xff", at(7), Stderr, true, b" x \xff"),
            (b"2026-11-21T17:32:00Z stdout F ", at(0), Stdout, false, b""),
            (b"2026-11-21T17:32:00Z stdout F", None, Stdout, false, b"2026-11-21T17:32:00Z stdout F"),
            (b"2026-11-21T17:32:00Z stdin F x", None, Stdout, false, b"2026-11-21T17:32:00Z stdin F x"),
            (b"2026-11-21T17:32:00Z stdout X x", None, Stdout, false, b"2026-11-21T17:32:00Z stdout X x"),
            (b"yesterday stderr F x", None, Stdout, false, b"yesterday stderr F x"),
            (b"", None, Stdout, false, b""),
        ];
        for (line, time, stream, partial, content) in table {
            assert_eq!(Entry::parse(line), Entry { time, stream, partial, content });
        }
    }
}
