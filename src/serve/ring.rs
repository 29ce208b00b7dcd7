//! The last events, for managers that come late.

use std::collections::VecDeque;

/// Events that are kept. At the bound the oldest goes; who asks for it is told how many are missing.
const EVENTS_MAX: usize = conward_protocol::limits::RING;

/// Encoded events with their sequence numbers, which begin at 1 and have no gaps.
#[derive(Debug, Default)]
pub struct Ring {
    lines: VecDeque<Vec<u8>>,
    last: u64,
}

impl Ring {
    /// The number of the last event; 0 if there was none.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Adds an event, encoded with its number by `encode`, and returns its line.
    pub fn push(&mut self, encode: impl FnOnce(u64) -> Vec<u8>) -> &[u8] {
        if self.lines.len() == EVENTS_MAX {
            self.lines.pop_front();
        }
        self.last += 1;
        self.lines.push_back(encode(self.last));
        self.lines.back().map_or(&[], Vec::as_slice)
    }

    /// How many events after number `since` are gone, and those that are still there.
    pub fn after(&self, since: u64) -> (u64, impl Iterator<Item = &[u8]>) {
        let gone = self.last - self.lines.len() as u64;
        let skip = usize::try_from(since.saturating_sub(gone)).unwrap_or(usize::MAX);
        (gone.saturating_sub(since), self.lines.iter().skip(skip).map(Vec::as_slice))
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
    }
}
