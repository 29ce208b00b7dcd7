//! The last output of a stream, for who comes later.

/// The last bytes that went to the clients, or would have gone. At the bound the oldest are forgotten; the
/// log has them.
#[derive(Debug)]
pub struct Replay {
    max: usize,
    /// The last bytes. Grows up to `max` with the output; after that it is a ring.
    bytes: Vec<u8>,
    /// Where in the ring the oldest byte is.
    oldest: usize,
    /// All bytes there ever were.
    total: u64,
}

impl Replay {
    /// An empty one, which holds `max` bytes at most.
    pub fn new(max: usize) -> Replay {
        Replay { max, bytes: Vec::new(), oldest: 0, total: 0 }
    }

    /// How many bytes there ever were.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Adds output. Costs no more than a copy of what will be held of it.
    pub fn push(&mut self, chunk: &[u8]) {
        self.total += chunk.len() as u64;
        let chunk = &chunk[chunk.len().saturating_sub(self.max)..];
        let (new, over) = chunk.split_at(chunk.len().min(self.max - self.bytes.len()));
        self.grow(new.len());
        self.bytes.extend_from_slice(new);
        let (first, second) = over.split_at(over.len().min(self.max - self.oldest));
        self.bytes[self.oldest..][..first.len()].copy_from_slice(first);
        self.bytes[..second.len()].copy_from_slice(second);
        self.oldest = (self.oldest + over.len()) % self.max.max(1);
    }

    /// The last `count` bytes, or as many as are held, in two parts.
    pub fn last(&self, count: usize) -> [&[u8]; 2] {
        let (second, first) = self.bytes.split_at(self.oldest);
        let skip = self.bytes.len().saturating_sub(count);
        [&first[skip.min(first.len())..], &second[skip.saturating_sub(first.len())..]]
    }

    /// Doubles the room, so that little output costs little and much is not copied often; never to more
    /// than the bound.
    fn grow(&mut self, count: usize) {
        let wanted = self.bytes.len() + count;
        if wanted > self.bytes.capacity() {
            let room = wanted.max(2 * self.bytes.capacity()).min(self.max);
            self.bytes.reserve_exact(room - self.bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Replay;

    proptest! {
        #[test]
        fn the_last_bytes_are_held(
            max in 0usize..50,
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..70), 0..20),
            count in 0usize..80,
        ) {
            let mut replay = Replay::new(max);
            let mut all: Vec<u8> = Vec::new();
            for chunk in chunks {
                replay.push(&chunk);
                all.extend(chunk);
                let held = count.min(max).min(all.len());
                prop_assert_eq!(replay.last(count).concat(), &all[all.len() - held..]);
                prop_assert_eq!(replay.total(), all.len() as u64);
                prop_assert!(replay.bytes.capacity() <= max);
            }
        }
    }
}
