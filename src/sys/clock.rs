//! Wall-clock time and the local offset from UTC.

use std::time::{SystemTime, UNIX_EPOCH};

use tz::{LocalTimeType, TimeZone};

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

/// The local time zone, as tzset(3) finds it: `TZ`, else /etc/localtime, else UTC. Not asked of libc,
/// which takes a hundred kilobytes of code for it (its parser of `TZ` is a sscanf(3)).
#[derive(Debug)]
pub struct Zone(Option<TimeZone>);

impl Zone {
    /// Reads it; what cannot be read or understood is UTC.
    pub fn local() -> Zone {
        Zone(match std::env::var_os("TZ") {
            Some(name) => name.to_str().and_then(|name| TimeZone::from_posix_tz(name).ok()),
            None => TimeZone::local().ok(),
        })
    }

    /// Seconds that local time is east of UTC at `secs` (seconds since 1970).
    pub fn offset(&self, secs: i64) -> i32 {
        let Some(zone) = &self.0 else { return 0 };
        let zone = zone.as_ref();
        let found = zone.find_local_time_type(secs).ok().or_else(|| {
            // Files of the first version say nothing of the time after their last change.
            let last = zone.transitions().last()?;
            zone.local_time_types().get(last.local_time_type_index())
        });
        found.map_or(0, LocalTimeType::ut_offset)
    }
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, Zone};
    use std::io::Write;
    use std::process::{Command, Stdio};
    use tz::TimeZone;

    #[test]
    fn now_is_after_this_was_written() {
        let now = Timestamp::now();
        assert!(now.secs > 1_760_000_000 && now.nanos < 1_000_000_000, "{now:?}");
    }

    #[test]
    fn offset_is_below_a_day_even_for_absurd_times() {
        for secs in [0, 1_760_000_000, i64::MAX, i64::MIN] {
            assert!(Zone::local().offset(secs).abs() < 86_400, "{secs}");
        }
    }

    /// What date(1) says, that is libc.
    fn offsets(zone: &str, times: &[i64]) -> Vec<i32> {
        let mut date = Command::new("date");
        let date =
            date.args(["-f", "-", "+%::z"]).env("TZ", zone).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut date = date.spawn().unwrap();
        let lines: String = times.iter().map(|time| format!("@{time}\n")).collect();
        date.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        let text = String::from_utf8(date.wait_with_output().unwrap().stdout).unwrap();
        let offset = |line: &str| {
            let parts: Vec<i32> = line[1..].split(':').map(|part| part.parse().unwrap()).collect();
            (parts[0] * 3600 + parts[1] * 60 + parts[2]) * if line.starts_with('-') { -1 } else { 1 }
        };
        text.lines().map(offset).collect()
    }

    #[test]
    fn offsets_are_those_of_libc() {
        // Each seventeenth day of 140 years, at changing times of day. (Libc is wrong before 1970.)
        let times: Vec<i64> = (0..3000).map(|n| n * (17 * 86_400 + 3_607)).collect();
        let zones = [
            "UTC",
            "Europe/Berlin",
            ":Europe/Dublin",
            "America/St_Johns",
            "Australia/Lord_Howe",
            "Asia/Kathmandu",
            "Africa/Casablanca",
            "America/Sao_Paulo",
            "Pacific/Apia",
            "CET-1CEST,M3.5.0,M10.5.0/3",
            "EST5EDT,M3.2.0,M11.1.0",
            "<+0330>-3:30",
            "XYZ12:34:56",
            "NZST-12NZDT,M9.5.0,M4.1.0/3",
            "nowhere",
        ];
        for name in zones {
            let zone = Zone(TimeZone::from_posix_tz(name).ok());
            for (time, libc) in times.iter().zip(offsets(name, &times)) {
                assert_eq!(zone.offset(*time), libc, "{name} {time}");
            }
        }
    }
}
