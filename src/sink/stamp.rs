//! Timestamps as log records carry them: `2026-11-21T17:32:00.226934934+01:00`.

use crate::sys::clock::{Timestamp, Zone};

/// Bytes of a formatted timestamp.
pub const STAMP_LEN: usize = 35;

/// Where the nine digits of the fraction begin.
const FRACTION_AT: usize = 20;

/// Formats timestamps in local time. What does not change within a second is kept, so a run of
/// stamps costs nine digits each.
#[derive(Debug)]
pub struct Stamps {
    /// `None`: not needed yet.
    zone: Option<Zone>,
    second: Option<i64>,
    text: [u8; STAMP_LEN],
}

impl Default for Stamps {
    /// A formatter that has looked at no time zone yet.
    fn default() -> Stamps {
        Stamps { zone: None, second: None, text: [b'0'; STAMP_LEN] }
    }
}

impl Stamps {
    /// The text of `time`.
    pub fn at(&mut self, time: Timestamp) -> &[u8; STAMP_LEN] {
        if self.second != Some(time.secs) {
            let zone = self.zone.get_or_insert_with(Zone::local);
            self.text = format(time.secs, zone.offset(time.secs));
            self.second = Some(time.secs);
        }
        digits(&mut self.text[FRACTION_AT..FRACTION_AT + 9], u64::from(time.nanos));
        &self.text
    }

    /// The same as a string, for messages.
    pub fn text(&mut self, time: Timestamp) -> String {
        String::from_utf8_lossy(self.at(time)).into_owned()
    }
}

/// The stamp of a whole second, `offset` seconds east of UTC. The offset is always a number,
/// never `Z`. A year beyond four digits is shown by its last four: the width never changes.
fn format(secs: i64, offset: i32) -> [u8; STAMP_LEN] {
    let local = secs.saturating_add(i64::from(offset));
    let (year, month, day) = civil(local.div_euclid(86_400));
    let in_day = local.rem_euclid(86_400).unsigned_abs();
    let mut out = *b"0000-00-00T00:00:00.000000000+00:00";
    digits(&mut out[0..4], year.rem_euclid(10_000).unsigned_abs());
    digits(&mut out[5..7], month);
    digits(&mut out[8..10], day);
    digits(&mut out[11..13], in_day / 3600);
    digits(&mut out[14..16], in_day / 60 % 60);
    digits(&mut out[17..19], in_day % 60);
    if offset < 0 {
        out[29] = b'-';
    }
    let minutes = u64::from(offset.unsigned_abs() / 60);
    digits(&mut out[30..32], minutes / 60);
    digits(&mut out[33..35], minutes % 60);
    out
}

/// Year, month (1 to 12) and day (1 to 31) of a day counted from 1970-01-01, Gregorian throughout.
///
/// Years are counted from March, so that the leap day is the last of its year, in eras of 400
/// years (146097 days).
fn civil(day: i64) -> (i64, u64, u64) {
    let day = day + 719_468; // days from 0000-03-01 to 1970-01-01
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097).unsigned_abs();
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + i64::try_from(year_of_era).unwrap_or(0) + i64::from(month <= 2);
    (year, month, of_year - (153 * from_march + 2) / 5 + 1)
}

/// Writes `value` in decimal, right-aligned with leading zeros, dropping what does not fit.
fn digits(out: &mut [u8], mut value: u64) {
    for place in out.iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::{Stamps, civil, format};
    use crate::sys::clock::{Timestamp, Zone};
    use proptest::prelude::*;

    #[test]
    fn seconds_and_offsets() {
        let table = [
            (0, 0, "1970-01-01T00:00:00.000000000+00:00"),
            (1_795_282_320, 0, "2026-11-21T17:32:00.000000000+00:00"),
            (1_795_282_320, 3600, "2026-11-21T18:32:00.000000000+01:00"),
            (1_795_282_320, -12_600, "2026-11-21T14:02:00.000000000-03:30"),
            (951_782_399, 0, "2000-02-28T23:59:59.000000000+00:00"),
            (951_782_400, 0, "2000-02-29T00:00:00.000000000+00:00"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000000000+00:00"),
            (-1, 0, "1969-12-31T23:59:59.000000000+00:00"),
        ];
        for (secs, offset, want) in table {
            assert_eq!(String::from_utf8_lossy(&format(secs, offset)), want);
        }
    }

    #[test]
    fn cached_stamps_equal_fresh_ones() {
        let mut stamps = Stamps::default();
        for (secs, nanos) in [(1_795_282_320, 226_934_934), (1_795_282_320, 999_999_999), (0, 0), (7, 1)] {
            let mut want = format(secs, Zone::local().offset(secs));
            want[20..29].copy_from_slice(format!("{nanos:09}").as_bytes());
            assert_eq!(*stamps.at(Timestamp { secs, nanos }), want);
        }
    }

    proptest! {
        #[test]
        fn each_day_follows_the_one_before(day in -1_000_000i64..3_000_000) {
            let (year, month, of_month) = civil(day);
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1];
            let next = match (month, of_month) {
                (12, 31) => (year + 1, 1, 1),
                (month, day) if day == last => (year, month + 1, 1),
                (month, day) => (year, month, day + 1),
            };
            prop_assert_eq!(civil(day + 1), next);
        }

        #[test]
        fn any_time_has_a_stamp_of_the_same_width(secs: i64, offset in -86_400i32..86_400) {
            let stamp = format(secs, offset);
            prop_assert_eq!(stamp[10], b'T');
            prop_assert!(stamp[0..4].iter().all(u8::is_ascii_digit));
        }
    }
}
