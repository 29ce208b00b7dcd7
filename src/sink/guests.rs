//! Lines of exec sessions on their way into the container's log.
//!
//! A log has records of two streams and no others, so a session's output is logged as lines of the
//! container's stream of that name. Only whole lines are, and only where the container has no line open:
//! a reader that joins the pieces of a line never joins those of two processes.

use std::mem::take;
use std::time::{Duration, Instant};

use conward_protocol::limits::{EXEC_LINE_MAX, EXEC_WAITING_MAX};
use memchr::{memchr, memrchr};

use crate::plan::Stream;

/// How long lines of sessions wait for the end of the container's line. Then it ends in the log, before
/// its time, and they follow.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes that wait of each stream at most. From [`EXEC_WAITING_MAX`] on no session is read; the rest is for
/// what sessions leave behind that end meanwhile, be they many: a chunk that was read and a pipe. What is
/// more is lost, and counted as a loss of sessions.
const WAITING_MAX: usize = EXEC_WAITING_MAX + 192 * 1024;

/// The output of one session, cut into lines.
#[derive(Debug, Default)]
pub struct Gathered {
    of: [Gather; 2],
}

#[derive(Debug, Default)]
struct Gather {
    bytes: Vec<u8>,
    /// So many of them are whole lines.
    whole: usize,
}

impl Gathered {
    /// Adds output.
    pub fn write(&mut self, stream: Stream, mut output: &[u8]) {
        let Gather { bytes, whole } = &mut self.of[stream as usize];
        while !output.is_empty() {
            let left = EXEC_LINE_MAX - (bytes.len() - *whole);
            let window = &output[..output.len().min(left + 1)];
            let (end, over) = match memchr(b'\n', window) {
                Some(end) => (end + 1, false),
                None => (window.len().min(left), window.len() > left),
            };
            bytes.extend_from_slice(&output[..end]);
            if over {
                bytes.push(b'\n');
            }
            if bytes.last() == Some(&b'\n') {
                *whole = bytes.len();
            }
            output = &output[end..];
        }
    }

    /// Nothing more will come: what is there of a line is one.
    pub fn end(&mut self) {
        for Gather { bytes, whole } in &mut self.of {
            if bytes.len() > *whole {
                bytes.push(b'\n');
                *whole = bytes.len();
            }
        }
    }

    /// Whether there are whole lines.
    pub fn has_lines(&self) -> bool {
        self.of.iter().any(|gather| gather.whole > 0)
    }

    /// Takes the whole lines out.
    pub fn take(&mut self, stream: Stream) -> Vec<u8> {
        let Gather { bytes, whole } = &mut self.of[stream as usize];
        let rest = bytes.split_off(take(whole));
        std::mem::replace(bytes, rest)
    }
}

/// Lines of all sessions that wait to be let into one log.
#[derive(Debug, Default)]
pub struct Guests {
    of: [Waiting; 2],
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// When the first of them has waited long enough.
    until: Option<Instant>,
}

impl Guests {
    /// Adds whole lines, as many as there is room for. Returns how many bytes that are.
    pub fn add(&mut self, now: Instant, stream: Stream, lines: &[u8]) -> usize {
        let waiting = &mut self.of[stream as usize];
        let room = WAITING_MAX - waiting.lines.len();
        let kept = match lines.len() > room {
            true => memrchr(b'\n', &lines[..room]).map_or(0, |end| end + 1),
            false => lines.len(),
        };
        if kept > 0 {
            waiting.lines.extend_from_slice(&lines[..kept]);
            waiting.until.get_or_insert(now + PATIENCE);
        }
        kept
    }

    /// Whether there are lines for this stream.
    pub fn wait_for(&self, stream: Stream) -> bool {
        self.of[stream as usize].until.is_some()
    }

    /// Whether there are any.
    pub fn wait(&self) -> bool {
        self.of.iter().any(|waiting| waiting.until.is_some())
    }

    /// Whether they are to wait no longer.
    pub fn are_due(&self, now: Instant, stream: Stream) -> bool {
        self.of[stream as usize].until.is_some_and(|until| now >= until)
    }

    /// Whether there is room for more.
    pub fn have_room(&self) -> bool {
        self.of.iter().all(|waiting| waiting.lines.len() < EXEC_WAITING_MAX)
    }

    /// When the first of this stream have waited long enough.
    pub fn deadline(&self, stream: Stream) -> Option<Instant> {
        self.of[stream as usize].until
    }

    /// Takes the lines of a stream out.
    pub fn take(&mut self, stream: Stream) -> Vec<u8> {
        take(&mut self.of[stream as usize]).lines
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{EXEC_LINE_MAX, EXEC_WAITING_MAX, Gathered, Guests, PATIENCE, WAITING_MAX};
    use crate::plan::Stream;
    use crate::sink::STREAMS;

    #[test]
    fn only_whole_lines_are_given() {
        let mut gathered = Gathered::default();
        gathered.write(Stream::Stdout, b"one\ntwo\nthr");
        gathered.write(Stream::Stderr, b"other");
        assert_eq!(gathered.take(Stream::Stdout), b"one\ntwo\n");
        assert!(!gathered.has_lines());
        gathered.write(Stream::Stdout, b"ee\n");
        assert_eq!(gathered.take(Stream::Stdout), b"three\n");
        assert_eq!(gathered.take(Stream::Stderr), b"");
        gathered.end();
        assert_eq!(
            (gathered.take(Stream::Stdout), gathered.take(Stream::Stderr)),
            (vec![], b"other\n".to_vec())
        );
    }

    #[test]
    fn a_long_line_becomes_several() {
        for (length, newline, want) in [
            (EXEC_LINE_MAX, true, vec![EXEC_LINE_MAX]),
            (EXEC_LINE_MAX, false, vec![EXEC_LINE_MAX]),
            (EXEC_LINE_MAX + 1, true, vec![EXEC_LINE_MAX, 1]),
            (3 * EXEC_LINE_MAX, true, vec![EXEC_LINE_MAX; 3]),
        ] {
            let mut output = vec![b'x'; length];
            output.extend(newline.then_some(b'\n'));
            let mut gathered = Gathered::default();
            gathered.write(Stream::Stdout, &output);
            gathered.end();
            let lines = gathered.take(Stream::Stdout);
            let got: Vec<usize> = lines.split_inclusive(|&b| b == b'\n').map(|line| line.len() - 1).collect();
            assert_eq!(got, want, "{length} {newline}");
        }
    }

    #[test]
    fn guests_wait_for_a_time_or_up_to_a_bound() {
        let (mut guests, now) = (Guests::default(), Instant::now());
        guests.add(now, Stream::Stderr, b"a\n");
        guests.add(now + Duration::from_millis(500), Stream::Stderr, b"b\n");
        assert!(guests.wait_for(Stream::Stderr) && !guests.wait_for(Stream::Stdout));
        assert_eq!(guests.deadline(Stream::Stderr), Some(now + PATIENCE));
        assert!(!guests.are_due(now, Stream::Stderr) && guests.are_due(now + PATIENCE, Stream::Stderr));
        assert!(guests.have_room());
        guests.add(now, Stream::Stdout, &vec![b'\n'; EXEC_WAITING_MAX]);
        assert!(!guests.have_room());
        let left = WAITING_MAX - EXEC_WAITING_MAX;
        assert_eq!(guests.add(now, Stream::Stdout, &b"line\n".repeat(left)), left / 5 * 5);
        assert_eq!(guests.add(now, Stream::Stdout, &[&[b'x'; 8][..], b"\n"].concat()), 0);
        assert_eq!(guests.take(Stream::Stderr), b"a\nb\n");
        guests.take(Stream::Stdout);
        assert!(!guests.wait() && STREAMS.iter().all(|&stream| guests.deadline(stream).is_none()));
    }

    proptest! {
        #[test]
        fn chunking_does_not_change_the_lines(
            lengths in proptest::collection::vec(0usize..20_000, 1..8),
            cuts in proptest::collection::vec(1usize..9000, 1..20),
        ) {
            let mut output = Vec::new();
            for length in lengths {
                output.resize(output.len() + length, b'x');
                output.push(b'\n');
            }
            let mut whole = Gathered::default();
            whole.write(Stream::Stdout, &output);
            let (mut pieces, mut got, mut rest) = (Gathered::default(), Vec::new(), &output[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (head, tail) = rest.split_at((*cut).min(rest.len()));
                pieces.write(Stream::Stdout, head);
                got.extend(pieces.take(Stream::Stdout));
                rest = tail;
            }
            prop_assert_eq!(got, whole.take(Stream::Stdout));
        }
    }
}
