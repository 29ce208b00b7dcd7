//! Bytes that a sender and a checker can both produce from a seed.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A reproducible stream of printable bytes and newlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    /// Same seed, same bytes.
    pub seed: u64,
    /// Length of the whole, in bytes.
    pub bytes: u64,
    /// Longest line in bytes, without its newline. 0: no newline at all.
    pub line: u32,
}

impl Pattern {
    /// The bytes, at most 32 KiB at a time.
    pub fn chunks(self) -> impl Iterator<Item = Vec<u8>> {
        let mut random = Random(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut left = self.bytes;
        let mut to_newline = self.line_length(&mut random);
        std::iter::from_fn(move || {
            let size = left.min(32 << 10) as usize;
            left -= size as u64;
            let mut chunk = Vec::with_capacity(size);
            while chunk.len() < size {
                if to_newline == 0 {
                    chunk.push(b'\n');
                    to_newline = self.line_length(&mut random);
                    continue;
                }
                for byte in random.next().to_le_bytes() {
                    if chunk.len() < size && to_newline > 0 {
                        chunk.push(b'0' + (byte & 0x3f));
                        to_newline -= 1;
                    }
                }
            }
            (size > 0).then_some(chunk)
        })
    }

    /// All of it.
    pub fn bytes(self) -> Vec<u8> {
        self.chunks().flatten().collect()
    }

    /// Bytes up to the next newline.
    fn line_length(self, random: &mut Random) -> u64 {
        match self.line {
            0 => u64::MAX,
            line => random.next() % (u64::from(line) + 1),
        }
    }
}

/// xorshift64 (Marsaglia 2003): small, quick, and good enough to tell bytes apart.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Length and FNV-1a hash of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    bytes: u64,
    hash: u64,
}

impl Sum {
    /// The sum of no bytes.
    pub fn new() -> Sum {
        Sum { bytes: 0, hash: 0xcbf2_9ce4_8422_2325 }
    }

    /// Takes the next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        for &byte in bytes {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// The sum of these bytes.
    pub fn of(bytes: &[u8]) -> Sum {
        let mut sum = Sum::new();
        sum.add(bytes);
        sum
    }
}

impl Default for Sum {
    fn default() -> Sum {
        Sum::new()
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes {:016x}", self.bytes, self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn a_pattern_has_its_length_and_keeps_its_lines_short() {
        for (bytes, line) in [(0, 5), (1, 0), (100_000, 0), (100_000, 7), (70_000, 9000)] {
            let all = Pattern { seed: 3, bytes, line }.bytes();
            assert_eq!(all.len() as u64, bytes);
            let longest = all.split(|&b| b == b'\n').map(<[u8]>::len).max().unwrap_or(0);
            assert!(line == 0 || longest <= line as usize, "{longest} > {line}");
            assert_eq!(all, Pattern { seed: 3, bytes, line }.bytes());
        }
    }
}
