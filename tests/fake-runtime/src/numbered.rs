//! Lines that tell their own number: what is missing or doubled among them shows, wherever they ended up.

use serde::{Deserialize, Serialize};

/// Digits of a number, which take as many bytes at every line.
const DIGITS: usize = 12;

/// The longest filling behind a number is one byte less. A prime, so that lines do not keep step with
/// buffers.
const FILLING: u64 = 89;

/// Lines in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// The number of the first.
    pub first: u64,
    /// How many.
    pub lines: u64,
}

impl Numbered {
    /// The bytes, some 32 KiB at a time.
    pub fn chunks(self) -> impl Iterator<Item = Vec<u8>> {
        let mut numbers = self.first..self.first + self.lines;
        std::iter::from_fn(move || {
            let mut chunk = Vec::with_capacity(33 << 10);
            while chunk.len() < 32 << 10 {
                match numbers.next() {
                    Some(number) => push_line(&mut chunk, number),
                    None => break,
                }
            }
            (!chunk.is_empty()).then_some(chunk)
        })
    }

    /// How many bytes they have, newlines included.
    pub fn bytes(self) -> u64 {
        (self.first..self.first + self.lines).map(|number| DIGITS as u64 + 2 + number % FILLING).sum()
    }
}

/// Appends line `number`: its digits, a blank, a filling whose length and letter follow from the number, and
/// a newline.
fn push_line(to: &mut Vec<u8>, number: u64) {
    let mut digits = [b'0'; DIGITS];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    to.extend_from_slice(&digits);
    to.push(b' ');
    to.resize(to.len() + (number % FILLING) as usize, b'a' + (number % 26) as u8);
    to.push(b'\n');
}

/// Checks that lines follow each other without a gap, none twice and none changed.
#[derive(Debug, Default)]
pub struct Count {
    next: Option<u64>,
    first: u64,
    expected: Vec<u8>,
}

impl Count {
    /// Lines from this one on.
    pub fn from(first: u64) -> Count {
        Count { next: Some(first), first, expected: Vec::new() }
    }

    /// Lines from whichever comes first.
    pub fn from_any() -> Count {
        Count::default()
    }

    /// Takes the next line, without its newline. `Err` says what is wrong with it.
    pub fn take(&mut self, line: &[u8]) -> Result<(), String> {
        let shown = || String::from_utf8_lossy(line).into_owned();
        let number = match self.next {
            Some(number) => number,
            None => {
                let digits = line.get(..DIGITS).and_then(|digits| std::str::from_utf8(digits).ok());
                let number = digits.and_then(|digits| digits.parse().ok());
                self.first = number.ok_or_else(|| format!("no number: {:?}", shown()))?;
                self.first
            }
        };
        self.expected.clear();
        push_line(&mut self.expected, number);
        self.expected.pop();
        if self.expected != line {
            return Err(format!("line {number} was expected, and {:?} came", shown()));
        }
        self.next = Some(number + 1);
        Ok(())
    }

    /// The lines so far.
    pub fn lines(&self) -> Numbered {
        Numbered { first: self.first, lines: self.next.map_or(0, |next| next - self.first) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Count, Numbered};

    #[test]
    fn a_gap_a_double_and_a_change_are_seen() {
        let lines = Numbered { first: 85, lines: 4000 };
        let all: Vec<u8> = lines.chunks().flatten().collect();
        assert_eq!(all.len() as u64, lines.bytes());
        let split: Vec<&[u8]> =
            all.strip_suffix(b"\n").expect("an end").split(|&byte| byte == b'\n').collect();
        for mut count in [Count::from(85), Count::from_any()] {
            for line in &split {
                count.take(line).expect("the next line");
            }
            assert_eq!(count.lines(), lines);
            for wrong in [split[0], split[3999], b"000000004085", b"x"] {
                count.take(wrong).expect_err("another line");
            }
            count
                .take(b"000000004085 ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc")
                .unwrap_err();
        }
        Count::from_any().take(b"no number at all").expect_err("no line");
    }
}
