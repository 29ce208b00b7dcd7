//! Where the last lines of a log begin, found from its end.

use super::{Entry, HEAD_MAX};
use crate::Timestamp;
use crate::request::{Logs, Stream};

/// How much of a log, in bytes, may stand between two pieces of a line that is looked for. Behind more
/// than that of the other stream, the piece that was found counts as the beginning: a prompt without a
/// newline, long ago, is not worth reading a whole log.
const GAP_MAX: u64 = 1 << 20;

/// A place in a log of several files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// The number of the file. A file has a greater one than those before it.
    pub file: i64,
    /// Bytes before the place.
    pub at: u64,
}

/// Which records are wanted: from one place on in each stream, since the streams' lines may be mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection {
    /// By the numbers of the streams. `None`: nothing of it is.
    from: [Option<Spot>; 2],
}

impl Selection {
    /// Everything from a place on, of one stream or both.
    pub fn from(spot: Spot, only: Option<Stream>) -> Selection {
        let wanted = |stream| only.is_none_or(|only| only == stream).then_some(spot);
        Selection { from: [wanted(Stream::Stdout), wanted(Stream::Stderr)] }
    }

    /// Whether a record of this stream that begins there is wanted.
    pub fn wants(&self, stream: Stream, at: Spot) -> bool {
        self.from[stream as usize].is_some_and(|from| at >= from)
    }

    /// Where to begin to read.
    pub fn begin(&self) -> Option<Spot> {
        self.from.iter().flatten().min().copied()
    }
}

/// A search for the records that a request wants, from the end of the log to its beginning.
#[derive(Clone, Debug)]
pub struct Search {
    /// Lines that are still to be found.
    lines: u64,
    since: Option<Timestamp>,
    only: Option<Stream>,
    sides: [Side; 2],
    /// The first record of those looked at that are not too old; before that, the end.
    reached: Spot,
    /// Nothing older is wanted.
    done: bool,
}

/// What is known of one stream.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    /// The first record that is wanted of those found so far.
    first: Option<Spot>,
    /// Bytes of the log that were looked at since.
    quiet: u64,
    /// The line of that record begins with it.
    whole: bool,
}

impl Search {
    /// A search for what `logs` wants of the log before `end`.
    pub fn new(logs: &Logs, end: Spot) -> Search {
        let lines = logs.tail.unwrap_or(u64::MAX);
        let (since, only, sides) = (logs.since, logs.stream, Default::default());
        let mut search = Search { lines, since, only, sides, reached: end, done: false };
        search.settle();
        search
    }

    /// Whether nothing more needs to be looked at.
    pub fn done(&self) -> bool {
        self.done
    }

    /// Looks at the part of a file that ends where the last one began: at the records whose preceding
    /// newline is in the first `len` bytes of `window`, and at the first of the file. What follows in
    /// `window`, of which [`HEAD_MAX`] bytes suffice, is what was looked at before.
    pub fn look(&mut self, at: Spot, window: &[u8], len: usize) {
        let mut end = len.min(window.len());
        while let Some(newline) = window[..end].iter().rposition(|&byte| byte == b'\n') {
            self.consider(Spot { at: at.at + newline as u64 + 1, ..at }, &window[newline + 1..]);
            if self.done {
                return;
            }
            end = newline;
        }
        if at.at == 0 {
            self.consider(at, window);
        }
        if !self.done {
            for side in &mut self.sides {
                side.quiet += len as u64;
            }
            self.settle();
        }
    }

    /// What is wanted. If the search is not done, the log has no more.
    pub fn selection(&self) -> Selection {
        let mut selection = Selection::from(self.reached, self.only);
        for (from, side) in selection.from.iter_mut().zip(&self.sides) {
            if from.is_some() && side.first.is_some() {
                *from = side.first;
            }
        }
        selection
    }

    /// Takes in the record that begins there, by its head.
    fn consider(&mut self, spot: Spot, record: &[u8]) {
        if record.is_empty() {
            return;
        }
        let line = record.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let entry = Entry::parse(&line[..line.len().min(HEAD_MAX)]);
        if self.since.is_some_and(|since| entry.time.is_some_and(|time| time < since)) {
            self.done = true;
            return;
        }
        self.reached = spot;
        if self.only.is_some_and(|only| only != entry.stream) {
            return;
        }
        let side = &mut self.sides[entry.stream as usize];
        // What nothing of the stream follows is the end of a line too, of one that goes on some day.
        let ends_line = !entry.partial || side.first.is_none();
        if ends_line && self.lines == 0 {
            side.whole = true;
        } else if !side.whole {
            self.lines -= u64::from(ends_line);
            (side.first, side.quiet) = (Some(spot), 0);
        }
        self.settle();
    }

    /// With the last line found, only the beginnings of those found before are still wanted.
    fn settle(&mut self) {
        if self.lines > 0 {
            return;
        }
        for side in &mut self.sides {
            side.whole |= side.first.is_none() || side.quiet > GAP_MAX;
            side.first.get_or_insert(self.reached);
        }
        self.done = self.sides.iter().all(|side| side.whole);
    }
}

#[cfg(test)]
mod tests {
    use super::{GAP_MAX, Search, Selection, Spot};
    use crate::Timestamp;
    use crate::k8s::{Entry, HEAD_MAX};
    use crate::request::{Logs, Stream};
    use proptest::prelude::*;

    /// The records of a log as (place, entry).
    fn records(files: &[Vec<u8>]) -> Vec<(Spot, Entry<'_>)> {
        let mut found = Vec::new();
        for (file, bytes) in files.iter().enumerate() {
            let mut at = 0;
            for line in bytes.split_inclusive(|&byte| byte == b'\n') {
                let spot = Spot { file: file as i64, at };
                found.push((spot, Entry::parse(line.strip_suffix(b"\n").unwrap_or(line))));
                at += line.len() as u64;
            }
        }
        found
    }

    /// Searches in parts of this size.
    fn search(files: &[Vec<u8>], logs: &Logs, size: usize) -> Selection {
        let last = files.len() - 1;
        let mut search = Search::new(logs, Spot { file: last as i64, at: files[last].len() as u64 });
        for (file, bytes) in files.iter().enumerate().rev() {
            let mut end = bytes.len();
            while end > 0 && !search.done() {
                let at = end.saturating_sub(size);
                let window = &bytes[at..bytes.len().min(end + HEAD_MAX)];
                search.look(Spot { file: file as i64, at: at as u64 }, window, end - at);
                end = at;
            }
        }
        search.selection()
    }

    /// What is selected, as text.
    fn selected(files: &[Vec<u8>], logs: &Logs, size: usize) -> String {
        let selection = search(files, logs, size);
        let records = records(files);
        let wanted = records.iter().filter(|(spot, entry)| selection.wants(entry.stream, *spot));
        let begin = wanted.clone().map(|(spot, _)| *spot).min();
        assert!(begin.is_none() || selection.begin() <= begin);
        wanted.map(|(_, entry)| String::from_utf8_lossy(entry.content).into_owned()).collect()
    }

    /// A log of one-letter records: capitals are of stderr, a `+` marks a piece; `|` begins a file.
    fn log(text: &str) -> Vec<Vec<u8>> {
        let mut files = vec![Vec::new()];
        let mut letters = text.chars().peekable();
        let mut second = 0;
        while let Some(letter) = letters.next() {
            if letter == '|' {
                files.push(Vec::new());
                continue;
            }
            let stream = if letter.is_uppercase() { "stderr" } else { "stdout" };
            let tag = if letters.next_if_eq(&'+').is_some() { "P" } else { "F" };
            let line = format!("2026-11-21T17:32:{second:02}.000000000+00:00 {stream} {tag} {letter}\n");
            files.last_mut().unwrap().extend_from_slice(line.as_bytes());
            second += 1;
        }
        files
    }

    fn tail(lines: u64) -> Logs {
        Logs { tail: Some(lines), ..Logs::default() }
    }

    #[test]
    fn last_lines() {
        let table = [
            ("", 3, ""),
            ("abc", 0, ""),
            ("abc", 2, "bc"),
            ("abc", 4, "abc"),
            // A line begins with its first piece, and what is open ends with its last.
            ("ab+c+d", 1, "bcd"),
            ("ab+c+", 1, "bc"),
            ("ab+c+", 2, "abc"),
            // Of other lines between the pieces only those that end late enough are wanted.
            ("ab+XYcZ", 1, "Z"),
            ("ab+XYcZ", 2, "bcZ"),
            ("ab+XYcZ", 3, "bYcZ"),
            ("aX+b", 1, "b"),
            ("aX+b", 2, "Xb"),
            ("aX+b", 3, "aXb"),
            // Files make no difference.
            ("ab+|c+|d", 1, "bcd"),
            ("a||b|", 2, "ab"),
        ];
        for (text, lines, want) in table {
            for size in [1, 7, 46, 47, 48, 1000] {
                let want = want.to_owned();
                assert_eq!(selected(&log(text), &tail(lines), size), want, "{lines} of {text} by {size}");
            }
        }
    }

    #[test]
    fn of_one_stream_and_of_late_times() {
        let since = Timestamp::parse("2026-11-21T17:32:02Z");
        let only = |stream| Logs { stream: Some(stream), ..Logs::default() };
        let table = [
            (Logs { tail: Some(2), ..only(Stream::Stderr) }, "BD"),
            (Logs { tail: Some(1), ..only(Stream::Stdout) }, "c"),
            (Logs { since, ..Logs::default() }, "cD"),
            (Logs { since, ..only(Stream::Stderr) }, "D"),
            (Logs { since, tail: Some(1), ..Logs::default() }, "D"),
            (Logs { since, tail: Some(9), ..Logs::default() }, "cD"),
            (Logs { since: Timestamp::parse("2026-11-21T17:33:00Z"), ..Logs::default() }, ""),
            (Logs { since: Timestamp::parse("2000-01-01T00:00:00Z"), ..Logs::default() }, "aBcD"),
        ];
        for (logs, want) in table {
            for size in [1, 40, 1000] {
                assert_eq!(selected(&log("aBcD"), &logs, size), want, "{logs:?} by {size}");
                assert_eq!(selected(&log("aB|cD"), &logs, size), want, "{logs:?} by {size}");
            }
        }
    }

    #[test]
    fn a_beginning_that_is_far_away_is_given_up() {
        let found = |noise: u64| {
            let mut files = log("A+");
            while files[0].len() as u64 <= noise {
                files[0].extend_from_slice(&log("b")[0]);
            }
            files[0].extend_from_slice(&log("C")[0]);
            selected(&files, &tail(1), 65536)
        };
        assert_eq!(found(2 * GAP_MAX), "C");
        assert_eq!(found(GAP_MAX / 2), "AC");
    }

    proptest! {
        /// Against the lines as a reader from the beginning finds them.
        #[test]
        fn as_from_the_beginning(text in "([a-dA-D]\\+?){0,20}", cut in 0usize..20, lines in 0u64..8, size in 1usize..200) {
            let cut = text.char_indices().filter(|(_, c)| *c != '+').nth(cut).map_or(text.len(), |(at, _)| at);
            let files = log(&format!("{}|{}", &text[..cut], &text[cut..]));
            let records = records(&files);
            let mut ended: Vec<Vec<usize>> = Vec::new();
            let mut open: [Vec<usize>; 2] = Default::default();
            for (number, (_, entry)) in records.iter().enumerate() {
                let line = &mut open[entry.stream as usize];
                line.push(number);
                if !entry.partial {
                    ended.push(std::mem::take(line));
                }
            }
            ended.extend(open.into_iter().filter(|line| !line.is_empty()));
            ended.sort_by_key(|line| line.last().copied());
            let mut wanted: Vec<usize> = ended.into_iter().rev().take(lines as usize).flatten().collect();
            wanted.sort();
            let text = |&number: &usize| String::from_utf8_lossy(records[number].1.content).into_owned();
            let want: String = wanted.iter().map(text).collect();
            prop_assert_eq!(selected(&files, &tail(lines), size), want);
        }
    }
}
