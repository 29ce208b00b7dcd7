//! Wall-clock times as text.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment of the wall clock. On the wire it is text of RFC 3339 in UTC with nine digits behind the
/// point, `2026-08-01T12:00:00.000000000Z`: people read it, texts of this length sort by time, and
/// nanoseconds since 1970 as a number do not fit the doubles that many languages read JSON with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: i64,
    nanos: u32,
}

const DAY: i64 = 86_400;
/// 0000-01-01 and 10000-01-01, in seconds since 1970: four digits hold a year.
const FIRST: i64 = -719_528 * DAY;
const END: i64 = 2_932_897 * DAY;

impl Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z, and nanoseconds below 1 000 000 000. A time outside the
    /// years 0 to 9999 becomes the nearest within.
    pub fn new(seconds: i64, nanos: u32) -> Timestamp {
        Timestamp { seconds: seconds.clamp(FIRST, END - 1), nanos: nanos.min(999_999_999) }
    }

    /// Whole seconds since 1970, rounded down.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds since that second.
    pub fn nanos(self) -> u32 {
        self.nanos
    }

    /// Text of RFC 3339, with any offset and any number of digits behind the point; those past the
    /// ninth are dropped. A leap second is the one before it.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| -> Option<i64> {
            let digits = bytes.get(from..to)?;
            digits
                .iter()
                .try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
        };
        let marks = [(4, b"--"), (7, b"--"), (10, b"Tt"), (13, b"::"), (16, b"::")];
        if marks.iter().any(|(at, marks)| !bytes.get(*at).is_some_and(|byte| marks.contains(byte))) {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
            return None;
        }
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let mut at = 19;
        let mut nanos = 0;
        if bytes.get(at) == Some(&b'.') {
            let digits = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            for nth in 0..9 {
                let digit = if nth < digits { bytes[at + 1 + nth] - b'0' } else { 0 };
                nanos = nanos * 10 + u32::from(digit);
            }
            at += 1 + digits;
            if digits == 0 {
                return None;
            }
        }
        let offset = match (bytes.get(at)?, bytes.len() - at) {
            (b'Z' | b'z', 1) => 0,
            (sign @ (b'+' | b'-'), 6) if bytes[at + 3] == b':' => {
                let (hours, minutes) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
                if hours > 23 || minutes > 59 {
                    return None;
                }
                (hours * 3600 + minutes * 60) * if *sign == b'-' { -1 } else { 1 }
            }
            _ => return None,
        };
        let seconds = days_from(year, month, day) * DAY + hour * 3600 + minute * 60 + second.min(59);
        Some(Timestamp::new(seconds - offset, nanos))
    }
}

fn days_of(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to this day. Years are counted from March on, so that the leap day is the
/// last; 400 of them have 146 097 days.
fn days_from(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let (cycle, of_cycle) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    cycle * 146_097 + of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + of_year - 719_468
}

/// The inverse of [`days_from`].
fn day_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (cycle, of_cycle) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = cycle * 400 + year + i64::from(month <= 2);
    (year, month, of_year - (153 * march + 2) / 5 + 1)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = day_of(self.seconds.div_euclid(DAY));
        let second = self.seconds.rem_euclid(DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", self.nanos)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        Timestamp::parse(&text).ok_or_else(|| de::Error::custom("expected a time as of RFC 3339"))
    }
}

#[cfg(test)]
mod tests {
    use super::{END, FIRST, Timestamp};
    use proptest::prelude::*;

    #[test]
    fn known_times() {
        let table = [
            (0, 0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_400, 7, "2000-02-29T00:00:00.000000007Z"),
            (1_785_585_599, 999_999_999, "2026-08-01T11:59:59.999999999Z"),
            (-1, 0, "1969-12-31T23:59:59.000000000Z"),
            (i64::MIN, 0, "0000-01-01T00:00:00.000000000Z"),
            (i64::MAX, 0, "9999-12-31T23:59:59.000000000Z"),
        ];
        for (seconds, nanos, text) in table {
            assert_eq!(Timestamp::new(seconds, nanos).to_string(), text);
        }
    }

    #[test]
    fn other_spellings_and_none() {
        let noon = Timestamp::parse("2026-08-01T12:00:00Z");
        assert_eq!(noon.map(Timestamp::seconds), Some(1_785_585_600));
        assert_eq!(Timestamp::parse("2026-08-01t14:00:00+02:00"), noon);
        assert_eq!(Timestamp::parse("2026-08-01T11:59:60z"), Some(Timestamp::new(1_785_585_599, 0)));
        assert_eq!(Timestamp::parse("2026-08-01T12:00:00.5Z").map(Timestamp::nanos), Some(500_000_000));
        assert_eq!(
            Timestamp::parse("2026-08-01T12:00:00.1234567899Z").map(Timestamp::nanos),
            Some(123_456_789)
        );
        for text in [
            "",
            "2026-08-01",
            "2026-08-01T12:00:00",
            "2026-13-01T12:00:00Z",
            "2026-02-29T12:00:00Z",
            "2026-08-01T24:00:00Z",
            "2026-08-01T12:00:00.Z",
            "2026-08-01T12:00:00ZZ",
            "2026-08-01T12:00:00+2:00",
            "+026-08-01T12:00:00Z",
            "2026-08-01T12:00:00é",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn each_is_read_back(seconds in FIRST..END, nanos in 0..1_000_000_000u32) {
            let time = Timestamp::new(seconds, nanos);
            prop_assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        }

        #[test]
        fn no_text_is_fatal(text in "\\PC{0,40}") {
            let _ = Timestamp::parse(&text);
        }
    }
}
