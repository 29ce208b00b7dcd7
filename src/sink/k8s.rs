//! The records of a `k8s-file` log: `TIMESTAMP STREAM TAG CONTENT\n`.
//!
//! A whole line is tagged `F`, a piece of one `P`; the logical line is its `P` records and the `F`
//! that follows, which may be empty. Content is raw bytes and never holds a newline, so each
//! newline of the file ends a record, and record bounds need no table beside the bytes.

use memchr::{memchr, memchr_iter, memrchr};

use crate::plan::Stream;
use crate::sink::gap::MARKER_MAX;
use crate::sink::stamp::STAMP_LEN;

/// Content bytes of one record at most; a longer line is cut into `P` records of this size.
pub const CONTENT_MAX: usize = 8192;

/// Bytes before the content.
pub const HEAD_LEN: usize = STAMP_LEN + 1 + 6 + 1 + 1 + 1;

/// Where the tag is.
const TAG_AT: usize = HEAD_LEN - 2;

/// Bytes of the buffer. When it is full it is written and used again, so a full read (64 KiB) takes
/// two writes or more, a small one takes one; twice the size was measured to be no faster. It holds
/// at least the markers of both streams and one record.
const CAPACITY: usize = 64 * 1024;
const _: () = assert!(CAPACITY > 4 * (HEAD_LEN + MARKER_MAX + 1) + HEAD_LEN + CONTENT_MAX + 1);

/// Bytes by which the buffer is put to use.
const PAGE: usize = 4096;
const _: () = assert!(CAPACITY.is_multiple_of(PAGE));

/// How many bytes a write may still take.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// The file ends before a record that goes beyond this many bytes.
    pub before: u64,
    /// The log ends after the record that reaches this many bytes.
    pub until: u64,
}

/// Encoded records that wait for one write(2): markers and ends of lines first, then output of one stream.
#[derive(Debug)]
pub struct Records {
    /// Has room for [`CAPACITY`], and never for more, from the first use on. As long as the most that was
    /// needed so far, in pages of [`PAGE`], so that little output does not touch all of it; of that the first
    /// `used` bytes count.
    bytes: Vec<u8>,
    used: usize,
    markers: usize,
    head: [u8; HEAD_LEN],
}

/// How much of the buffer reached the file when a write failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept {
    /// The end of the last whole record; what follows must be cut off the file again.
    pub bytes: usize,
    /// Output bytes (newlines included) in the records that did not make it.
    pub lost: u64,
}

impl Records {
    /// An empty buffer, which allocates nothing yet.
    pub fn new() -> Records {
        Records { bytes: Vec::new(), used: 0, markers: 0, head: [b' '; HEAD_LEN] }
    }

    /// Begins a new buffer, for records of this moment.
    pub fn begin(&mut self, stamp: &[u8; STAMP_LEN]) {
        if self.bytes.is_empty() {
            self.bytes.reserve_exact(CAPACITY);
        }
        self.head[..STAMP_LEN].copy_from_slice(stamp);
        self.clear();
    }

    /// Forgets the records, but not their moment.
    pub fn clear(&mut self) {
        self.used = 0;
        self.markers = 0;
    }

    /// Frees the buffer until the next [`Records::begin`].
    pub fn give_back(&mut self) {
        self.clear();
        self.bytes = Vec::new();
    }

    /// The encoded bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    /// Whether markers, or ends of lines, are part of the buffer.
    pub fn has_markers(&self) -> bool {
        self.markers > 0
    }

    /// Adds a line of the supervisor's own. With `unfinished`, the stream's last record was `P`: an
    /// empty `F` closes it, so that the marker is a line of its own. Call before [`Records::fill`].
    pub fn mark(&mut self, stream: Stream, unfinished: bool, text: &str) {
        self.head[STAMP_LEN + 1..STAMP_LEN + 7].copy_from_slice(stream.name().as_bytes());
        if unfinished {
            self.put(b'F', b"\n");
        }
        self.put_line(b'F', text.as_bytes());
        self.markers = self.used;
    }

    /// Ends the stream's unfinished line by an empty `F`. Call before [`Records::fill`].
    pub fn end_line(&mut self, stream: Stream) {
        self.head[STAMP_LEN + 1..STAMP_LEN + 7].copy_from_slice(stream.name().as_bytes());
        self.put(b'F', b"\n");
        self.markers = self.used;
    }

    /// Encodes records of `output` until it ends, the buffer is full, or there is no more room.
    /// Returns how many bytes of `output` are now in the buffer.
    pub fn fill(&mut self, stream: Stream, output: &[u8], room: Room) -> usize {
        self.head[STAMP_LEN + 1..STAMP_LEN + 7].copy_from_slice(stream.name().as_bytes());
        let end = usize::try_from(room.before).unwrap_or(CAPACITY).min(CAPACITY);
        let until = usize::try_from(room.until).unwrap_or(CAPACITY);
        let mut done = 0;
        for newline in memchr_iter(b'\n', output) {
            while newline - done > CONTENT_MAX {
                if !self.piece(&output[done..done + CONTENT_MAX], end, until) {
                    return done;
                }
                done += CONTENT_MAX;
            }
            let line = &output[done..=newline];
            if self.used + HEAD_LEN + line.len() > end || self.used >= until {
                return done;
            }
            self.put(b'F', line);
            done = newline + 1;
        }
        for piece in output[done..].chunks(CONTENT_MAX) {
            if !self.piece(piece, end, until) {
                return done;
            }
            done += piece.len();
        }
        done
    }

    /// Adds a piece of a line, if there is room for it.
    fn piece(&mut self, piece: &[u8], end: usize, until: usize) -> bool {
        if self.used + HEAD_LEN + piece.len() + 1 > end || self.used >= until {
            return false;
        }
        self.put_line(b'P', piece);
        true
    }

    /// Adds a head with this tag, `content`, and the newline that it lacks.
    fn put_line(&mut self, tag: u8, content: &[u8]) {
        self.put(tag, content);
        self.touch(self.used + 1);
        self.bytes[self.used] = b'\n';
        self.used += 1;
    }

    /// Adds a head with this tag, and `content`.
    fn put(&mut self, tag: u8, content: &[u8]) {
        let end = self.used + HEAD_LEN + content.len();
        self.touch(end);
        let record = &mut self.bytes[self.used..end];
        let (head, rest) = record.split_at_mut(HEAD_LEN);
        head.copy_from_slice(&self.head);
        head[TAG_AT] = tag;
        rest.copy_from_slice(content);
        self.used = end;
    }

    /// Makes the buffer as long as this at least.
    fn touch(&mut self, end: usize) {
        if self.bytes.len() < end {
            self.bytes.resize(end.next_multiple_of(PAGE), 0);
        }
    }

    /// What to keep of the file when only the first `written` bytes of the buffer reached it.
    /// Markers without a record after them are not kept: on a disk that is nearly full they would
    /// use up the last room, once for each attempt.
    pub fn kept(&self, written: usize) -> Kept {
        let whole = memrchr(b'\n', &self.bytes()[..written]).map_or(0, |end| end + 1);
        let bytes = if whole <= self.markers { 0 } else { whole };
        let mut lost = 0;
        let mut rest = &self.bytes()[bytes.max(self.markers)..];
        while let Some(end) = memchr(b'\n', rest) {
            lost += end - HEAD_LEN + usize::from(rest[TAG_AT] == b'F');
            rest = &rest[end + 1..];
        }
        Kept { bytes, lost: lost as u64 }
    }

    /// Whether the last record of the first `kept` bytes (the end of a record) leaves its line
    /// unfinished. `None` if there is none, or only markers.
    pub fn unfinished(&self, kept: usize) -> Option<bool> {
        let last = kept.checked_sub(1).filter(|_| kept > self.markers)?;
        let begin = memrchr(b'\n', &self.bytes[..last]).map_or(0, |end| end + 1);
        Some(self.bytes[begin + TAG_AT] == b'P')
    }
}

/// Bytes in the file of the first record of `output`.
pub fn first_cost(output: &[u8]) -> u64 {
    let window = &output[..output.len().min(CONTENT_MAX + 1)];
    let content = memchr(b'\n', window).unwrap_or(window.len().min(CONTENT_MAX));
    (HEAD_LEN + content + 1) as u64
}

#[cfg(test)]
mod tests {
    use super::{CONTENT_MAX, Kept, Records, Room, first_cost};
    use crate::plan::Stream;
    use proptest::prelude::*;

    const STAMP: &[u8; 35] = b"2026-11-21T17:32:00.226934934+00:00";
    const PLENTY: Room = Room { before: u64::MAX, until: u64::MAX };

    fn begun() -> Records {
        let mut records = Records::new();
        records.begin(STAMP);
        records
    }

    /// The records of a log as (stream, tag, content); panics where the bytes are no records.
    fn parse(mut log: &[u8]) -> Vec<(&[u8], u8, &[u8])> {
        let mut out = Vec::new();
        while !log.is_empty() {
            let end = log.iter().position(|&b| b == b'\n').expect("a record without an end");
            let record = &log[..end];
            assert_eq!(&record[..36], [&STAMP[..], b" "].concat());
            assert_eq!((record[42], record[44]), (b' ', b' '));
            out.push((&record[36..42], record[43], &record[45..]));
            log = &log[end + 1..];
        }
        out
    }

    /// Encodes all of `output`, emptying the buffer whenever it is full.
    fn encode(records: &mut Records, stream: Stream, mut output: &[u8]) -> Vec<u8> {
        let mut log = Vec::new();
        while !output.is_empty() {
            records.begin(STAMP);
            let done = records.fill(stream, output, PLENTY);
            assert!(done > 0);
            log.extend_from_slice(records.bytes());
            output = &output[done..];
        }
        log
    }

    #[test]
    fn golden_bytes() {
        let mut records = begun();
        let output = b"hello\n\ncr\r\nnul\0 esc\x1b[0m \xff\ntail";
        assert_eq!(records.fill(Stream::Stdout, output, PLENTY), output.len());
        let want = b"2026-11-21T17:32:00.226934934+00:00 stdout F hello\n\
            2026-11-21T17:32:00.226934934+00:00 stdout F \n\
            2026-11-21T17:32:00.226934934+00:00 stdout F cr\r\n\
            2026-11-21T17:32:00.226934934+00:00 stdout F nul\0 esc\x1b[0m \xff\n\
            2026-11-21T17:32:00.226934934+00:00 stdout P tail\n";
        assert_eq!(records.bytes(), want);
        assert_eq!(records.unfinished(want.len()), Some(true));
        records.begin(STAMP);
        records.fill(Stream::Stderr, b"\n", PLENTY);
        assert_eq!(records.bytes(), b"2026-11-21T17:32:00.226934934+00:00 stderr F \n");
        assert_eq!(records.unfinished(records.bytes().len()), Some(false));
        assert_eq!(records.unfinished(0), None);
    }

    #[test]
    fn no_record_is_longer_than_the_maximum() {
        let table: [(usize, bool, &str); 7] = [
            (CONTENT_MAX, true, "F8192"),
            (CONTENT_MAX, false, "P8192"),
            (CONTENT_MAX + 1, true, "P8192 F1"),
            (CONTENT_MAX + 1, false, "P8192 P1"),
            (2 * CONTENT_MAX, true, "P8192 F8192"),
            (0, true, "F0"),
            (3, false, "P3"),
        ];
        for (length, newline, want) in table {
            let mut output = vec![b'x'; length];
            output.extend(newline.then_some(b'\n'));
            let mut records = begun();
            records.fill(Stream::Stdout, &output, PLENTY);
            let records = parse(records.bytes());
            let got: Vec<_> = records.iter().map(|r| format!("{}{}", r.1 as char, r.2.len())).collect();
            assert_eq!(got.join(" "), want, "{length} {newline}");
            assert_eq!(first_cost(&output), 46 + records[0].2.len() as u64, "{length} {newline}");
        }
    }

    #[test]
    fn room_ends_before_or_after_a_record() {
        // (before, until, bytes taken); the records cost 47, 47 and 48 bytes.
        let table = [
            (46, 1000, 0),
            (47, 1000, 2),
            (94, 1000, 4),
            (142, 1000, 6),
            (1000, 0, 0),
            (1000, 1, 2),
            (1000, 47, 2),
            (1000, 48, 4),
            (1000, 95, 6),
        ];
        for (before, until, want) in table {
            let mut records = begun();
            let done = records.fill(Stream::Stdout, b"a\nb\ncc", Room { before, until });
            assert_eq!(done, want, "{before} {until}");
        }
    }

    #[test]
    fn marker_closes_the_line_before_it() {
        let mut records = begun();
        records.mark(Stream::Stderr, true, "[gap]");
        records.fill(Stream::Stdout, b"x\n", PLENTY);
        let want: [(&[u8], u8, &[u8]); 3] =
            [(b"stderr", b'F', b""), (b"stderr", b'F', b"[gap]"), (b"stdout", b'F', b"x")];
        assert_eq!(parse(records.bytes()), want);
    }

    #[test]
    fn what_is_kept_of_a_torn_write() {
        let mut records = begun();
        records.mark(Stream::Stdout, false, "[gap]"); // 51 bytes
        records.fill(Stream::Stdout, b"one\nfour\nrest", PLENTY); // 49, 50 and 50 bytes
        let table = [
            (0, 0, 13),
            (51, 0, 13),
            (99, 0, 13),
            (100, 100, 9),
            (149, 100, 9),
            (150, 150, 4),
            (199, 150, 4),
            (200, 200, 0),
        ];
        for (written, bytes, lost) in table {
            assert_eq!(records.kept(written), Kept { bytes, lost }, "{written}");
        }
    }

    proptest! {
        #[test]
        fn chunking_does_not_change_the_lines(
            lines in proptest::collection::vec((any::<u8>(), 0usize..20_000), 0..12),
            cuts in proptest::collection::vec(1usize..9000, 1..40),
        ) {
            let mut output = Vec::new();
            for (byte, length) in lines {
                output.resize(output.len() + length, byte);
                output.push(b'\n');
            }
            output.extend_from_slice(b"tail");
            let mut records = Records::new();
            let (mut rest, mut log) = (&output[..], Vec::new());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (head, tail) = rest.split_at((*cut).min(rest.len()));
                log.extend(encode(&mut records, Stream::Stdout, head));
                rest = tail;
            }
            let mut joined = Vec::new();
            for (stream, tag, content) in parse(&log) {
                prop_assert_eq!(stream, b"stdout");
                prop_assert!(content.len() <= CONTENT_MAX);
                joined.extend_from_slice(content);
                joined.extend((tag == b'F').then_some(b'\n'));
            }
            prop_assert_eq!(joined, output);
        }
    }
}
