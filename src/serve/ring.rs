//! The last events, for managers that come late.

use std::collections::VecDeque;

/// Events that are kept. At the bound the oldest goes; who asks for it is told how many are missing.
const EVENTS_MAX: usize = conward_protocol::limits::RING;

/// Encoded events with their sequence numbers, which begin at 1 and have no gaps. They stand in one piece of
/// memory: lines of their own, made between buffers that come and go, would each hold a page of the heap.
#[derive(Debug, Default)]
pub struct Ring {
    /// The lines, behind `gone` bytes of those that are no longer kept.
    text: Vec<u8>,
    gone: usize,
    lengths: VecDeque<u32>,
    last: u64,
}

impl Ring {
    /// The number of the last event; 0 if there was none.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Adds an event, encoded with its number by `encode`, and returns its line.
    pub fn push(&mut self, encode: impl FnOnce(u64) -> Vec<u8>) -> &[u8] {
        if self.lengths.len() == EVENTS_MAX {
            self.gone += self.lengths.pop_front().map_or(0, |length| length as usize);
        }
        // Not at each event: what is kept is moved by it.
        if self.gone > self.text.len() / 4 {
            self.text.drain(..self.gone);
            self.gone = 0;
        }
        self.last += 1;
        let line = encode(self.last);
        // Not twice as much as there is: it stays for as long as the container.
        self.text.reserve_exact(line.len());
        self.text.extend_from_slice(&line);
        self.lengths.push_back(line.len() as u32);
        &self.text[self.text.len() - line.len()..]
    }

    /// How many events after number `since` are gone, and those that are still there.
    pub fn after(&self, since: u64) -> (u64, impl Iterator<Item = &[u8]>) {
        let gone = self.last - self.lengths.len() as u64;
        let skip = usize::try_from(since.saturating_sub(gone)).unwrap_or(usize::MAX);
        let mut rest = &self.text[self.gone..];
        let lines = self.lengths.iter().map(move |&length| {
            let line;
            (line, rest) = rest.split_at(length as usize);
            line
        });
        (gone.saturating_sub(since), lines.skip(skip))
    }
}

#[cfg(test)]
mod tests {
    use super::{EVENTS_MAX, Ring};

    fn after(ring: &Ring, since: u64) -> (u64, Vec<u64>) {
        let (missed, lines) = ring.after(since);
        let numbers = lines.map(|line| std::str::from_utf8(line).unwrap().parse().unwrap());
        (missed, numbers.collect())
    }

    #[test]
    fn what_is_gone_is_said() {
        let mut ring = Ring::default();
        assert_eq!(after(&ring, 0), (0, vec![]));
        let push = |ring: &mut Ring| {
            ring.push(|seq| seq.to_string().into_bytes());
        };
        (0..3).for_each(|_| push(&mut ring));
        assert_eq!(after(&ring, 0), (0, vec![1, 2, 3]));
        assert_eq!(after(&ring, 2), (0, vec![3]));
        assert_eq!(after(&ring, 3), (0, vec![]));
        assert_eq!(after(&ring, 99), (0, vec![]), "a manager that is ahead has another supervisor in mind");
        (0..EVENTS_MAX).for_each(|_| push(&mut ring));
        let (missed, kept) = after(&ring, 1);
        assert_eq!((missed, kept.len(), kept[0]), (2, EVENTS_MAX, 4));
        for last in 260..3000 {
            push(&mut ring);
            let (missed, kept) = after(&ring, 2);
            assert_eq!(missed, last - EVENTS_MAX as u64 - 2);
            assert!(kept.into_iter().eq(missed + 3..=last), "those of {last}");
            assert!(ring.text.capacity() <= 2 * EVENTS_MAX * 4, "{} bytes", ring.text.capacity());
        }
    }
}
