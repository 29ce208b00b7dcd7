//! Output that waits for a log: in order, with the moments at which it arrived.

use std::collections::VecDeque;

use memchr::{memchr, memchr_iter};

use super::Loss;
use crate::sink::Whose;
use crate::sys::clock::Timestamp;

/// What a chunk costs beside its bytes, so that many small ones stay within a bound too.
const CHUNK_COST: usize = 64;

/// Output of one stream. It takes no memory while it is empty.
#[derive(Debug, Default)]
pub struct Backlog {
    chunks: VecDeque<Chunk>,
    /// What is left of them, and [`CHUNK_COST`] for each.
    cost: usize,
}

#[derive(Debug)]
struct Chunk {
    at: Timestamp,
    whose: Whose,
    bytes: Vec<u8>,
    /// So many of them are gone.
    done: usize,
}

impl Backlog {
    /// Adds output. Of sessions it must be whole lines.
    pub fn push(&mut self, at: Timestamp, whose: Whose, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.cost += bytes.len() + CHUNK_COST;
            self.chunks.push_back(Chunk { at, whose, bytes: bytes.to_vec(), done: 0 });
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Bytes that wait of this one's output.
    pub fn bytes(&self, whose: Whose) -> u64 {
        let of = self.chunks.iter().filter(|chunk| chunk.whose == whose);
        of.map(|chunk| chunk.rest().len() as u64).sum()
    }

    /// Whether the last that waits is a part of a line that the container has not ended. `None`: nothing
    /// waits.
    pub fn ends_within_a_line(&self) -> Option<bool> {
        let last = self.chunks.back()?;
        Some(last.whose == Whose::Container && !last.rest().ends_with(b"\n"))
    }

    /// What has waited longest: when it arrived, whose it is, and the bytes.
    pub fn front(&self) -> Option<(Timestamp, Whose, &[u8])> {
        self.chunks.front().map(|chunk| (chunk.at, chunk.whose, chunk.rest()))
    }

    /// Takes so many bytes off the front chunk: they are logged.
    pub fn pop(&mut self, bytes: usize) {
        self.take_off(0, bytes);
    }

    /// Takes so many bytes off a chunk, and the chunk out if that is all of it.
    fn take_off(&mut self, nth: usize, bytes: usize) {
        let Some(chunk) = self.chunks.get_mut(nth) else { return };
        let bytes = bytes.min(chunk.rest().len());
        chunk.done += bytes;
        self.cost -= bytes;
        if chunk.rest().is_empty() {
            self.chunks.remove(nth);
            self.cost -= CHUNK_COST;
        }
        if self.chunks.is_empty() {
            self.chunks = VecDeque::new();
        }
    }

    /// Takes so many bytes off the front chunk: they are lost.
    pub fn lose(&mut self, bytes: usize) -> Option<(Whose, Loss)> {
        let (at, whose, rest) = self.front()?;
        let loss = Loss::of(at, &rest[..bytes.min(rest.len())]);
        self.pop(bytes);
        Some((whose, loss))
    }

    /// Takes out what comes next of the container's output, up to the end of a line: it is lost, as the
    /// beginning of the line is. `None`: nothing of it waits.
    pub fn lose_rest_of_line(&mut self) -> Option<Loss> {
        let nth = self.chunks.iter().position(|chunk| chunk.whose == Whose::Container)?;
        let chunk = &self.chunks[nth];
        let rest = chunk.rest();
        let end = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let loss = Loss::of(chunk.at, &rest[..end]);
        self.take_off(nth, end);
        Some(loss)
    }

    /// How many bytes of the front chunk are to be lost, where more than `max` waits: as many as are too many,
    /// and up to the end of a line, or all of it. 0: none.
    pub fn excess(&self, max: usize) -> usize {
        let Some((_, _, rest)) = self.front().filter(|_| self.cost > max) else { return 0 };
        let least = (self.cost - max).min(rest.len());
        memchr(b'\n', &rest[least - 1..]).map_or(rest.len(), |end| least + end)
    }
}

impl Chunk {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.done..]
    }
}

impl Loss {
    /// These bytes, which arrived at this moment.
    pub fn of(at: Timestamp, bytes: &[u8]) -> Loss {
        let lines = memchr_iter(b'\n', bytes).count() as u64;
        Loss { at, bytes: bytes.len() as u64, lines, ends_line: bytes.ends_with(b"\n") }
    }
}

#[cfg(test)]
mod tests {
    use super::{Backlog, CHUNK_COST};
    use crate::sink::Whose;
    use crate::sink::policy::Loss;
    use crate::sys::clock::Timestamp;

    const AT: Timestamp = Timestamp { secs: 1, nanos: 0 };

    fn front(backlog: &Backlog) -> &str {
        backlog.front().map_or("", |(_, _, bytes)| std::str::from_utf8(bytes).expect("text"))
    }

    #[test]
    fn what_is_too_much_is_the_oldest_lines() {
        let mut backlog = Backlog::default();
        assert_eq!(backlog.excess(0), 0);
        backlog.push(AT, Whose::Container, b"one\ntwo\nthree\n");
        for (max, excess) in [(14, 0), (13, 4), (10, 4), (9, 8), (6, 8), (5, 14)] {
            assert_eq!(backlog.excess(CHUNK_COST + max), excess, "{max}");
        }
        assert_eq!(backlog.excess(0), 14);
        let loss = Loss { at: AT, bytes: 6, lines: 1, ends_line: false };
        assert_eq!(backlog.lose(6), Some((Whose::Container, loss)));
        assert_eq!((front(&backlog), backlog.excess(CHUNK_COST + 7)), ("o\nthree\n", 2));
        backlog.push(AT, Whose::Container, b"more");
        assert_eq!(backlog.excess(0), 8, "of the first chunk");
    }

    #[test]
    fn chunks_come_out_in_order_and_leave_nothing() {
        let mut backlog = Backlog::default();
        backlog.push(AT, Whose::Container, b"");
        assert!(backlog.is_empty() && backlog.ends_within_a_line().is_none());
        backlog.push(AT, Whose::Container, b"open ");
        assert_eq!(backlog.ends_within_a_line(), Some(true));
        backlog.push(AT, Whose::Session, b"session\n");
        assert_eq!(backlog.ends_within_a_line(), Some(false));
        backlog.push(AT, Whose::Container, b"closed\n");
        assert_eq!((backlog.bytes(Whose::Session), backlog.bytes(Whose::Container)), (8, 12));
        backlog.pop(2);
        assert_eq!((front(&backlog), backlog.bytes(Whose::Container)), ("en ", 10));
        backlog.pop(100);
        assert_eq!(front(&backlog), "session\n");
        backlog.pop(8);
        assert_eq!(backlog.lose(100).map(|(_, loss)| (loss.bytes, loss.ends_line)), Some((7, true)));
        assert!(backlog.is_empty() && backlog.cost == 0 && backlog.lose(1).is_none());
    }
}
