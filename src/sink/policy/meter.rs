//! What of a stream may be logged by its rate: whole lines.

use std::time::Instant;

use memchr::{memchr, memrchr};

use super::bucket::Bucket;
use crate::plan::LogRate;
use crate::sink::Whose;

/// Bytes that are let pass together, if there is a token for the first: a line, or so much of a longer one.
/// So much may a bucket be in debt. Logs cut longer lines as well.
const UNIT_MAX: usize = 8192;

/// How often a second at most what waits for tokens goes on.
const WAKES: i64 = 16;

/// The rate of one stream in one log.
#[derive(Debug)]
pub struct Meter {
    bucket: Bucket,
    /// Where the output is, by whose it is.
    places: [Place; 2],
    /// Lines are lost until there are tokens for many again.
    over: bool,
    lifted: bool,
}

/// Where in a line output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At its beginning.
    Start,
    /// So many bytes after its last bound of a unit, of which it has passed all that went before.
    Inside(usize),
}

impl Meter {
    /// A rate whose burst has not been used yet.
    pub fn new(rate: LogRate, now: Instant) -> Meter {
        Meter { bucket: Bucket::new(rate, now), places: [Place::Start; 2], over: false, lifted: false }
    }

    /// From here on everything may pass.
    pub fn lift(&mut self) {
        self.lifted = true;
    }

    /// How many of these bytes may pass now; if it is none, try again at [`Meter::ready_at`]. What did pass
    /// is to be told to [`Meter::spend`].
    pub fn admit(&mut self, now: Instant, whose: Whose, bytes: &[u8]) -> usize {
        if self.lifted {
            return bytes.len();
        }
        let level = self.bucket.level(now);
        let place = self.places[whose as usize];
        let goes_on = matches!(place, Place::Inside(1..));
        if goes_on || level >= self.step() { units(place, level, bytes) } else { 0 }
    }

    /// When more may pass.
    pub fn ready_at(&self) -> Instant {
        self.bucket.when(self.step())
    }

    /// So much has passed.
    pub fn spend(&mut self, whose: Whose, bytes: &[u8]) {
        self.bucket.spend(bytes.len());
        let place = &mut self.places[whose as usize];
        *place = match (memrchr(b'\n', bytes), *place) {
            (Some(end), _) if end + 1 == bytes.len() => Place::Start,
            (Some(end), _) => Place::Inside((bytes.len() - end - 1) % UNIT_MAX),
            (None, same) if bytes.is_empty() => same,
            (None, Place::Inside(inside)) => Place::Inside((inside + bytes.len()) % UNIT_MAX),
            (None, Place::Start) => Place::Inside(bytes.len() % UNIT_MAX),
        };
    }

    /// Output was lost: what is logged next begins a line.
    pub fn restart(&mut self, whose: Whose) {
        self.places[whose as usize] = Place::Start;
    }

    /// How many of these bytes pass, where the rest is lost. Both are to be told, to [`Meter::spend`] and
    /// [`Meter::restart`]. After a loss more is lost, until there are tokens
    /// for half a burst: so a log has few gaps, not one beside each line.
    pub fn sift(&mut self, now: Instant, whose: Whose, bytes: &[u8]) -> usize {
        let level = self.bucket.level(now);
        let few = self.over && level < (self.bucket.burst() / 2).max(1);
        let passed = match (self.lifted, few) {
            (true, _) => bytes.len(),
            (false, true) => 0,
            (false, false) => units(self.places[whose as usize], level, bytes),
        };
        self.over = passed < bytes.len();
        passed
    }

    /// The tokens for which it is worth going on.
    fn step(&self) -> i64 {
        (self.bucket.rate() / WAKES).clamp(1, self.bucket.burst())
    }
}

/// How many bytes pass: whole units, as long as there are tokens at the beginning of each.
fn units(mut place: Place, mut level: i64, bytes: &[u8]) -> usize {
    let mut done = 0;
    while done < bytes.len() {
        let inside = match place {
            Place::Inside(inside @ 1..) => inside,
            Place::Start | Place::Inside(0) if level > 0 => 0,
            Place::Start | Place::Inside(_) => break,
        };
        let window = &bytes[done..bytes.len().min(done + UNIT_MAX - inside)];
        let end = memchr(b'\n', window).map(|end| end + 1);
        let length = end.unwrap_or(window.len());
        place = if end.is_some() { Place::Start } else { Place::Inside((inside + length) % UNIT_MAX) };
        level -= length as i64;
        done += length;
    }
    done
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{Meter, UNIT_MAX};
    use crate::plan::LogRate;
    use crate::sink::Whose;

    const CONTAINER: Whose = Whose::Container;

    fn meter(bytes: u32, burst: u32) -> (Meter, Instant) {
        let now = Instant::now();
        (Meter::new(LogRate { bytes, burst }, now), now)
    }

    /// What passes of a chunk, and is logged; the rest is lost.
    fn sift<'a>(meter: &mut Meter, now: Instant, chunk: &'a str) -> &'a str {
        let (passed, lost) = chunk.split_at(meter.sift(now, CONTAINER, chunk.as_bytes()));
        meter.spend(CONTAINER, passed.as_bytes());
        if !lost.is_empty() {
            meter.restart(CONTAINER);
        }
        passed
    }

    #[test]
    fn lines_are_lost_whole_until_there_is_half_a_burst() {
        let (mut meter, begin) = meter(10, 10);
        let at = |seconds| begin + Duration::from_secs_f32(seconds);
        // The line that uses up the last token passes to its end, also in a later chunk.
        assert_eq!(sift(&mut meter, begin, "12345\n678"), "12345\n678");
        assert_eq!(sift(&mut meter, begin, "90\nlost\n"), "90\n");
        // A token is there, but not half a burst.
        assert_eq!(sift(&mut meter, at(0.4), "lost\n"), "");
        assert_eq!(sift(&mut meter, at(0.8), "logged\n"), "logged\n");
        assert_eq!(sift(&mut meter, at(9.0), "a"), "a");
        // Sessions' lines are beside it, and count.
        assert_eq!(meter.sift(at(9.0), Whose::Session, b"123456789\nlost\n"), 10);
        meter.spend(Whose::Session, b"123456789\n");
        assert_eq!(sift(&mut meter, at(9.5), "\nlost\n"), "", "the line had begun, but lines are lost now");
        meter.lift();
        assert_eq!(sift(&mut meter, at(9.5), "all\nthat\nis left"), "all\nthat\nis left");
    }

    #[test]
    fn what_waits_goes_on_when_it_is_worth_it() {
        let (mut meter, begin) = meter(160, 320);
        let text = "0123456789\n".repeat(100);
        // 29 lines are 319 bytes, and a token is left for one more.
        assert_eq!(meter.admit(begin, CONTAINER, text.as_bytes()), 330);
        meter.spend(CONTAINER, &text.as_bytes()[..330]);
        assert_eq!(meter.admit(begin, CONTAINER, text.as_bytes()), 0);
        let ready = meter.ready_at();
        assert_eq!(ready, begin + Duration::from_millis(125), "10 of debt, and a 16th of a second");
        assert_eq!(meter.admit(ready - Duration::from_millis(1), CONTAINER, text.as_bytes()), 0);
        assert_eq!(meter.admit(ready, CONTAINER, text.as_bytes()), 11);
        assert_eq!(meter.admit(ready, CONTAINER, b"no end"), 6);
        meter.spend(CONTAINER, b"no end");
        meter.spend(Whose::Session, b"more than there is\n");
        assert_eq!(meter.admit(ready, CONTAINER, b" yet\nnext\n"), 5, "its line has begun");
    }

    #[test]
    fn a_line_without_end_passes_in_units() {
        let (mut meter, begin) = meter(1000, 1000);
        let line = vec![b'x'; 3 * UNIT_MAX];
        assert_eq!(meter.admit(begin, CONTAINER, &line), UNIT_MAX);
        meter.spend(CONTAINER, &line[..100]);
        assert_eq!(meter.admit(begin, CONTAINER, &line), UNIT_MAX - 100);
        meter.spend(CONTAINER, &line[..UNIT_MAX - 100]);
        assert_eq!(meter.admit(begin, CONTAINER, b"the end\n"), 0);
        let later = begin + Duration::from_secs(3600);
        meter.restart(CONTAINER);
        assert_eq!(meter.sift(later, CONTAINER, &line), UNIT_MAX);
    }

    proptest! {
        /// However lines are chunked: no more passes than the rate allows, and where something is lost it
        /// begins with a line.
        #[test]
        fn no_more_passes_than_the_rate_allows(
            lengths in proptest::collection::vec(0usize..300, 1..60),
            steps in proptest::collection::vec((1usize..700, 0u64..200), 1..20),
            rate in 1u32..5000,
            burst in 1u32..5000,
        ) {
            let line = |length: &usize| format!("{}\n", "x".repeat(*length));
            let written: String = lengths.iter().map(line).collect();
            let (mut meter, begin) = meter(rate, burst);
            let (mut now, mut passed) = (begin, 0);
            let (mut rest, mut steps) = (written.as_str(), steps.iter().cycle());
            while !rest.is_empty() {
                let &(length, millis) = steps.next().expect("an endless list");
                let (chunk, tail) = rest.split_at(length.min(rest.len()));
                now += Duration::from_millis(millis);
                let over = meter.over;
                let end = sift(&mut meter, now, chunk).len();
                let begins_a_line = written[..written.len() - rest.len() + end].ends_with('\n') || end == 0;
                prop_assert!(end == chunk.len() || over || begins_a_line);
                (rest, passed) = (tail, passed + end);
                let dripped = (now - begin).as_millis() * u128::from(rate) / 1000;
                // One line may be on credit.
                prop_assert!(passed as u128 <= u128::from(burst) + dripped + 301);
            }
        }
    }
}
