//! How much may pass: a bucket that tokens drip into, one a byte.

use std::time::{Duration, Instant};

use crate::plan::LogRate;

const NANOS: u128 = 1_000_000_000;

/// Tokens for bytes. It may be in debt, which is paid back before anything else passes: so however much is
/// taken at once, over time no more passes than the rate allows.
#[derive(Debug)]
pub struct Bucket {
    rate: LogRate,
    level: i64,
    /// The moment up to which tokens have dripped; a part of one drips later.
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub fn new(rate: LogRate, now: Instant) -> Bucket {
        Bucket { rate, level: i64::from(rate.burst), at: now }
    }

    /// How many tokens there are; less than 0 is a debt. Never more than the burst.
    pub fn level(&mut self, now: Instant) -> i64 {
        let nanos = now.saturating_duration_since(self.at).as_nanos();
        let rate = u128::from(self.rate.bytes);
        // At most 2^32 tokens in 2^64 seconds: no overflow.
        let dripped = nanos * rate / NANOS;
        let missing = self.burst().saturating_sub(self.level);
        match i64::try_from(dripped) {
            Ok(dripped) if dripped < missing => {
                self.level += dripped;
                // Rounded up: what is short of a token by less than a nanosecond would come twice.
                self.at += nanoseconds((dripped.unsigned_abs().into(), rate));
            }
            _ => {
                self.level += missing;
                self.at = self.at.max(now);
            }
        }
        self.level
    }

    /// Takes so many tokens, whether there are as many or not.
    pub fn spend(&mut self, tokens: usize) {
        self.level = self.level.saturating_sub(i64::try_from(tokens).unwrap_or(i64::MAX));
    }

    /// When there will be so many tokens (the burst at most), if none is spent before.
    pub fn when(&self, level: i64) -> Instant {
        let missing = level.min(self.burst()).saturating_sub(self.level).max(0);
        self.at + nanoseconds((missing.unsigned_abs().into(), u128::from(self.rate.bytes)))
    }

    /// The most tokens that it holds.
    pub fn burst(&self) -> i64 {
        i64::from(self.rate.burst)
    }

    /// The tokens that drip in a second.
    pub fn rate(&self) -> i64 {
        i64::from(self.rate.bytes)
    }
}

/// How long so many tokens take at this rate; a year at most, which is never waited for.
fn nanoseconds((tokens, rate): (u128, u128)) -> Duration {
    let nanos = (tokens * NANOS).div_ceil(rate);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(Duration::from_secs(365 * 24 * 3600))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::Bucket;
    use crate::plan::LogRate;

    #[test]
    fn tokens_drip_up_to_the_burst() {
        let begin = Instant::now();
        let mut bucket = Bucket::new(LogRate { bytes: 1000, burst: 50 }, begin);
        // After so many microseconds: how many are spent, and how many there were before that.
        let table = [(0, 50, 50), (0, 0, 0), (999, 0, 0), (1000, 0, 1), (3500, 3, 3), (4000, 0, 1)];
        for (micros, spent, level) in table.into_iter().chain([(60_000, 150, 50), (100_000, 0, -60)]) {
            assert_eq!(bucket.level(begin + Duration::from_micros(micros)), level, "after {micros} µs");
            bucket.spend(spent);
        }
        let due = bucket.when(1);
        assert_eq!(due, begin + Duration::from_micros(161_000));
        assert_eq!(bucket.level(due), 1);
        assert_eq!(bucket.level(begin), 1, "a moment that is past changes nothing");
        assert_eq!(bucket.when(1_000_000), begin + Duration::from_micros(210_000), "the burst is the most");
    }

    proptest! {
        /// However it is asked: no more passes than what it held at first and what has dripped since, and
        /// who waits until it says so finds what was promised.
        #[test]
        fn no_more_passes_than_the_rate_allows(
            rate in 1u32..=u32::MAX,
            burst in 1u32..=u32::MAX,
            steps in proptest::collection::vec((0u64..3_000_000_000, 0usize..100_000, 0i64..100_000), 1..50),
        ) {
            let begin = Instant::now();
            let mut bucket = Bucket::new(LogRate { bytes: rate, burst }, begin);
            let (mut now, mut passed) = (begin, 0u128);
            for (nanos, bytes, level) in steps {
                now += Duration::from_nanos(nanos);
                if bucket.level(now) >= i64::try_from(bytes).unwrap() {
                    bucket.spend(bytes);
                    passed += bytes as u128;
                }
                let dripped = (now - begin).as_nanos() * u128::from(rate) / 1_000_000_000;
                prop_assert!(passed <= u128::from(burst) + dripped);
                let due = bucket.when(level).max(now);
                let mut later = Bucket { at: bucket.at, level: bucket.level, rate: bucket.rate };
                prop_assert!(later.level(due) >= level.min(i64::from(burst)));
            }
        }
    }
}
