//! Lines out of a byte stream, with a bound.

/// One line of the input, without its newline.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A whole line within the bound.
    Text(&'a [u8]),
    /// A line longer than the bound ended here; its bytes were skipped.
    TooLong,
}

/// Splits a byte stream into lines of at most `max` bytes each (the newline not counted).
///
/// At the bound the line is given up: the rest of it is skipped up to its newline, and then
/// reported once as [`Line::TooLong`]. So the buffer never holds more than `max` bytes.
#[derive(Debug)]
pub struct Lines {
    partial: Vec<u8>,
    max: usize,
    skipping: bool,
    /// `partial` is a line that was handed out.
    ended: bool,
}

impl Lines {
    /// A splitter for lines of at most `max` bytes.
    pub fn new(max: usize) -> Lines {
        Lines { partial: Vec::new(), max, skipping: false, ended: false }
    }

    /// Whether the last bytes of the stream so far are no whole line.
    pub fn is_within_line(&self) -> bool {
        self.skipping || !self.ended && !self.partial.is_empty()
    }

    /// Takes the next bytes of the stream and hands each line that ends in them to `each`.
    pub fn push(&mut self, mut input: &[u8], mut each: impl FnMut(Line<'_>)) {
        while let (taken, Some(line)) = self.next(input) {
            each(line);
            input = &input[taken..];
        }
    }

    /// The first line that ends in the next bytes of the stream, and how many of those were taken: up to its end,
    /// or all if none ends.
    pub fn next<'a>(&'a mut self, input: &'a [u8]) -> (usize, Option<Line<'a>>) {
        if std::mem::take(&mut self.ended) {
            self.partial.clear();
        }
        let Some(end) = input.iter().position(|&b| b == b'\n') else {
            if self.skipping || self.partial.len() + input.len() > self.max {
                self.skipping = true;
                self.partial = Vec::new();
            } else {
                self.partial.extend_from_slice(input);
            }
            return (input.len(), None);
        };
        let head = &input[..end];
        let line = if std::mem::take(&mut self.skipping) || self.partial.len() + end > self.max {
            self.partial.clear();
            Line::TooLong
        } else if self.partial.is_empty() {
            Line::Text(head)
        } else {
            self.partial.extend_from_slice(head);
            self.ended = true;
            Line::Text(&self.partial)
        };
        (end + 1, Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, Lines};
    use proptest::prelude::*;

    fn collect(max: usize, chunks: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::new(max);
        let mut out = Vec::new();
        for chunk in chunks {
            lines.push(chunk, |line| match line {
                Line::Text(text) => out.push(Some(text.to_vec())),
                Line::TooLong => out.push(None),
            });
        }
        out
    }

    #[test]
    fn bound_is_inclusive_and_the_next_line_survives() {
        assert_eq!(
            collect(3, &[b"abc\nabcd\nx\n\n"]),
            [Some(b"abc".to_vec()), None, Some(b"x".to_vec()), Some(Vec::new())]
        );
        assert_eq!(collect(3, &[b"ab", b"cd", b"efgh", b"\nok\n"]), [None, Some(b"ok".to_vec())]);
    }

    #[test]
    fn a_line_may_lack_its_end() {
        for (input, within) in
            [("", false), ("a", true), ("a\n", false), ("\n", false), ("abcd", true), ("abcd\nx", true)]
        {
            let mut lines = Lines::new(3);
            lines.push(input.as_bytes(), |_| {});
            assert_eq!(lines.is_within_line(), within, "{input:?}");
        }
    }

    proptest! {
        #[test]
        fn chunking_does_not_matter(input in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200), cut in 1usize..20) {
            let whole = collect(8, &[&input]);
            let pieces: Vec<&[u8]> = input.chunks(cut).collect();
            prop_assert_eq!(whole, collect(8, &pieces));
        }
    }
}
