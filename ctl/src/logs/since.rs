//! Moments, as people name them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use conward_protocol::Timestamp;

/// A time of RFC 3339, or how long ago: `90s`, `10m`, `1h30m`.
///
/// # Errors
/// It is neither.
pub fn since(text: &str) -> Result<Timestamp, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ago = |ago| {
        let then = now.saturating_sub(ago);
        Timestamp::new(i64::try_from(then.as_secs()).unwrap_or(i64::MAX), then.subsec_nanos())
    };
    let moment = Timestamp::parse(text).or_else(|| duration(text).map(ago));
    moment.ok_or_else(|| {
        "expected a time like 2026-08-01T12:00:00Z, or how long ago, like 30s, 10m or 1h30m".to_owned()
    })
}

/// Numbers, each with its unit.
fn duration(text: &str) -> Option<Duration> {
    let (mut seconds, mut number) = (0u64, None);
    for letter in text.chars() {
        if let Some(digit) = letter.to_digit(10) {
            number = Some(number.unwrap_or(0u64).checked_mul(10)?.checked_add(u64::from(digit))?);
            continue;
        }
        let unit = match letter {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    (number.is_none() && !text.is_empty()).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::{duration, since};
    use conward_protocol::Timestamp;
    use std::time::Duration;

    #[test]
    fn durations() {
        for (text, seconds) in [("30s", 30), ("10m", 600), ("2h", 7200), ("1h30m5s", 5405), ("0s", 0)] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in
            ["", "10", "m", "10d", "1h30", "-5m", "1.5h", "99999999999999999999s", "9999999999999999999h"]
        {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn moments() {
        assert_eq!(since("1970-01-01T01:00:01+01:00"), Ok(Timestamp::new(1, 0)));
        let (late, early) = (since("10s").unwrap(), since("1h").unwrap());
        assert!((3580..3600).contains(&(late.seconds() - early.seconds())));
        assert_eq!(since("999999999999h"), Ok(Timestamp::new(0, 0)));
        assert!(since("yesterday").is_err());
    }
}
