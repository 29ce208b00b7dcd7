//! What a sink owes its readers: the bytes that did not reach the log, per stream, and why.

use std::mem::take;

use crate::plan::Stream;
use crate::sink::stamp::Stamps;
use crate::sys::clock::Timestamp;

/// Bytes of a marker's text at most; a longer cause is cut.
pub const MARKER_MAX: usize = 1024;

/// The gaps that no marker in the log has told of yet.
#[derive(Debug, Default)]
pub struct Gaps {
    of: [Option<Gap>; 2],
    stamps: Stamps,
}

/// A run of output that was lost.
#[derive(Debug)]
struct Gap {
    bytes: u64,
    from: Timestamp,
    to: Timestamp,
    cause: String,
}

impl Gaps {
    /// Counts bytes lost between two moments. The cause of a gap is what began it.
    pub fn add(&mut self, stream: Stream, bytes: u64, from: Timestamp, to: Timestamp, cause: &str) {
        if bytes == 0 {
            return;
        }
        match &mut self.of[stream as usize] {
            Some(gap) => {
                gap.bytes += bytes;
                gap.to = to;
            }
            none => *none = Some(Gap { bytes, from, to, cause: cause.to_owned() }),
        }
    }

    /// Whether the log tells of everything that was lost.
    pub fn is_empty(&self) -> bool {
        self.of.iter().all(Option::is_none)
    }

    /// Whether this stream has one.
    pub fn has(&self, stream: Stream) -> bool {
        self.of[stream as usize].is_some()
    }

    /// The line for the log about what this stream lost, without a newline, at most
    /// [`MARKER_MAX`] bytes.
    pub fn marker(&mut self, stream: Stream) -> Option<String> {
        let gap = self.of[stream as usize].as_ref()?;
        let (from, to) = (self.stamps.text(gap.from), self.stamps.text(gap.to));
        let bytes = gap.bytes;
        let name = stream.name();
        let mut text = format!("[conward: {bytes} bytes of {name} not logged from {from} to {to}: ");
        text.extend(gap.cause.chars().filter(|c| !c.is_control()));
        let end = (0..MARKER_MAX).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push(']');
        Some(text)
    }

    /// The marker of this stream is in the log. Returns how many bytes it told of.
    pub fn told(&mut self, stream: Stream) -> u64 {
        take(&mut self.of[stream as usize]).map_or(0, |gap| gap.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{Gaps, MARKER_MAX};
    use crate::plan::Stream;
    use crate::sink::stamp::Stamps;
    use crate::sys::clock::Timestamp;

    const FIRST: Timestamp = Timestamp { secs: 1_795_282_320, nanos: 5 };
    const LAST: Timestamp = Timestamp { secs: 1_795_282_321, nanos: 6 };

    #[test]
    fn a_marker_sums_up_and_is_told_once() {
        let mut gaps = Gaps::default();
        gaps.add(Stream::Stdout, 0, FIRST, FIRST, "nothing happened");
        assert!(gaps.is_empty());
        gaps.add(Stream::Stdout, 40, FIRST, FIRST, "No space left on device");
        gaps.add(Stream::Stdout, 2, LAST, LAST, "something else");
        let (from, to) = (Stamps::default().text(FIRST), Stamps::default().text(LAST));
        assert_eq!(
            gaps.marker(Stream::Stdout),
            Some(format!(
                "[conward: 42 bytes of stdout not logged from {from} to {to}: No space left on device]"
            ))
        );
        assert_eq!(gaps.marker(Stream::Stderr), None);
        assert_eq!((gaps.told(Stream::Stdout), gaps.told(Stream::Stdout)), (42, 0));
        assert!(gaps.is_empty());
    }

    #[test]
    fn a_marker_is_one_line_of_bounded_length() {
        let mut gaps = Gaps::default();
        gaps.add(Stream::Stderr, 1, FIRST, FIRST, &format!("/a\nb/{}", "é".repeat(2000)));
        let marker = gaps.marker(Stream::Stderr).unwrap();
        assert!(marker.len() <= MARKER_MAX && marker.len() > MARKER_MAX - 3, "{}", marker.len());
        assert!(marker.contains(": /ab/éé") && marker.ends_with("é]") && !marker.contains('\n'));
    }
}
