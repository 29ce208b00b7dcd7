//! What a sink owes its readers: the bytes that did not reach the log, per stream, and why.

use std::mem::take;

use crate::plan::Stream;
use crate::sink::Amount;
use crate::sink::policy::{Refusal, Why};
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
    amount: Amount,
    from: Timestamp,
    to: Timestamp,
    refusal: Refusal,
}

/// What a marker has told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// How much was lost.
    pub amount: Amount,
    /// Why it began.
    pub why: Why,
}

impl Gaps {
    /// Counts output that was lost between two moments. The cause of a gap is what began it; but trouble
    /// with the log is one before a rate, which was asked for.
    pub fn add(
        &mut self,
        stream: Stream,
        amount: Amount,
        (from, to): (Timestamp, Timestamp),
        refusal: &Refusal,
    ) {
        if amount.bytes == 0 {
            return;
        }
        match &mut self.of[stream as usize] {
            Some(gap) => {
                gap.amount += amount;
                gap.to = to;
                if gap.refusal.why == Why::Rate && refusal.why != Why::Rate {
                    gap.refusal = refusal.clone();
                }
            }
            none => *none = Some(Gap { amount, from, to, refusal: refusal.clone() }),
        }
    }

    /// Whether the log tells of everything that was lost.
    pub fn is_empty(&self) -> bool {
        self.of.iter().all(Option::is_none)
    }

    /// Whether there are any that are not due to a rate.
    pub fn are_trouble(&self) -> bool {
        self.of.iter().flatten().any(|gap| gap.refusal.why != Why::Rate)
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
        let Amount { bytes, lines } = gap.amount;
        let name = stream.name();
        let mut text =
            format!("[conward: {bytes} bytes ({lines} lines) of {name} not logged from {from} to {to}: ");
        text.extend(gap.refusal.cause.chars().filter(|c| !c.is_control()));
        let end = (0..MARKER_MAX).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push(']');
        Some(text)
    }

    /// The marker of this stream, if there was one, is in the log. Returns what it told of.
    pub fn told(&mut self, stream: Stream) -> Option<Told> {
        take(&mut self.of[stream as usize]).map(|gap| Told { amount: gap.amount, why: gap.refusal.why })
    }
}

#[cfg(test)]
mod tests {
    use super::{Gaps, MARKER_MAX, Told};
    use crate::plan::Stream;
    use crate::sink::Amount;
    use crate::sink::policy::{Refusal, Why};
    use crate::sink::stamp::Stamps;
    use crate::sys::clock::Timestamp;

    const FIRST: Timestamp = Timestamp { secs: 1_795_282_320, nanos: 5 };
    const LAST: Timestamp = Timestamp { secs: 1_795_282_321, nanos: 6 };

    fn lost(bytes: u64, lines: u64) -> Amount {
        Amount { bytes, lines }
    }

    fn refusal(cause: &str) -> Refusal {
        Refusal { why: Why::Room, cause: cause.to_owned().into() }
    }

    #[test]
    fn a_marker_sums_up_and_is_told_once() {
        let mut gaps = Gaps::default();
        gaps.add(Stream::Stdout, Amount::default(), (FIRST, FIRST), &refusal("nothing happened"));
        assert!(gaps.is_empty());
        gaps.add(Stream::Stdout, lost(40, 3), (FIRST, FIRST), &refusal("No space left on device"));
        gaps.add(Stream::Stdout, lost(2, 1), (LAST, LAST), &refusal("something else"));
        let (from, to) = (Stamps::default().text(FIRST), Stamps::default().text(LAST));
        assert_eq!(
            gaps.marker(Stream::Stdout),
            Some(format!(
                "[conward: 42 bytes (4 lines) of stdout not logged from {from} to {to}: No space left on device]"
            ))
        );
        assert_eq!(gaps.marker(Stream::Stderr), None);
        let told = Told { amount: lost(42, 4), why: Why::Room };
        assert_eq!((gaps.told(Stream::Stdout), gaps.told(Stream::Stdout)), (Some(told), None));
        assert!(gaps.is_empty());
    }

    #[test]
    fn trouble_is_a_cause_before_a_rate() {
        let mut gaps = Gaps::default();
        let rate = Refusal { why: Why::Rate, ..refusal("too much") };
        gaps.add(Stream::Stdout, lost(1, 1), (FIRST, FIRST), &rate);
        assert!(!gaps.are_trouble());
        for refusal in [&refusal("a full disk"), &rate, &refusal("another cause")] {
            gaps.add(Stream::Stdout, lost(1, 1), (LAST, LAST), refusal);
            assert!(gaps.are_trouble() && gaps.marker(Stream::Stdout).unwrap().ends_with(": a full disk]"));
        }
        assert_eq!(gaps.told(Stream::Stdout), Some(Told { amount: lost(4, 4), why: Why::Room }));
    }

    #[test]
    fn a_marker_is_one_line_of_bounded_length() {
        let mut gaps = Gaps::default();
        gaps.add(
            Stream::Stderr,
            lost(1, 0),
            (FIRST, FIRST),
            &refusal(&format!("/a\nb/{}", "é".repeat(2000))),
        );
        let marker = gaps.marker(Stream::Stderr).unwrap();
        assert!(marker.len() <= MARKER_MAX && marker.len() > MARKER_MAX - 3, "{}", marker.len());
        assert!(marker.contains(": /ab/éé") && marker.ends_with("é]") && !marker.contains('\n'));
    }
}
