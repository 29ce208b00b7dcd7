//! Wall-clock time and the local offset from UTC.

use std::mem::MaybeUninit;
use std::time::{SystemTime, UNIX_EPOCH};

/// A moment of the wall clock (CLOCK_REALTIME).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
    pub secs: i64,
    /// Nanoseconds within the second, below 1 000 000 000.
    pub nanos: u32,
}

impl Timestamp {
    /// The time now. A clock set to before 1970 reads as the beginning of 1970.
    pub fn now() -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp { secs: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos: since.subsec_nanos() }
    }
}

/// Seconds that local time is east of UTC at `secs` (seconds since 1970); 0 where that is not known.
///
/// The first call reads the time zone file (tzset(3)); later ones do not.
pub fn local_offset(secs: i64) -> i32 {
    let mut broken_down = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers are valid for the call, and localtime_r(3) keeps neither. It is the
    // reentrant form, so no static buffer is shared.
    let done = unsafe { libc::localtime_r(&secs, broken_down.as_mut_ptr()) };
    if done.is_null() {
        return 0;
    }
    // SAFETY: localtime_r returned the pointer it was given, so it filled the structure.
    let offset = unsafe { broken_down.assume_init() }.tm_gmtoff;
    i32::try_from(offset).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, local_offset};

    #[test]
    fn now_is_after_this_was_written() {
        let now = Timestamp::now();
        assert!(now.secs > 1_760_000_000 && now.nanos < 1_000_000_000, "{now:?}");
    }

    #[test]
    fn offset_is_below_a_day_even_for_absurd_times() {
        for secs in [0, 1_760_000_000, i64::MAX, i64::MIN] {
            assert!(local_offset(secs).abs() < 86_400, "{secs}");
        }
    }
}
