//! The words of `--log-policy` and `--log-rate`: for one stream, or for both.

use crate::error::Error;
use crate::flags::Words;
use crate::plan::{LogLimits, LogPolicy, LogRate};

/// What was said of each stream, by their numbers; of what was said twice the last counts.
///
/// # Errors
/// [`Error::Usage`] for a word that is none of those.
pub(super) fn limits(words: &Words) -> Result<[LogLimits; 2], Error> {
    let mut limits = [LogLimits::default(); 2];
    for word in &words.log_policy {
        let (streams, value) = of_streams(word);
        let policy = policy(value).ok_or_else(|| {
            Error::Usage(format!(
                "--log-policy “{word}”: there are block, drop-oldest and drop-newest, for all or after \
                 stdout= or stderr="
            ))
        })?;
        streams.iter().for_each(|&stream| limits[stream].policy = Some(policy));
    }
    for word in &words.log_rate {
        let (streams, value) = of_streams(word);
        let rate = rate(value).ok_or_else(|| {
            Error::Usage(format!(
                "--log-rate “{word}”: BYTES or BYTES:BURST is wanted, for all or after stdout= or stderr=, \
                 each from 1 to 4294967295, or shorter with k, m or g at its end"
            ))
        })?;
        streams.iter().for_each(|&stream| limits[stream].rate = Some(rate));
    }
    Ok(limits)
}

/// The streams that a word is about, and what it says of them.
fn of_streams(word: &str) -> (&'static [usize], &str) {
    match word.split_once('=') {
        Some(("stdout", value)) => (&[0], value),
        Some(("stderr", value)) => (&[1], value),
        _ => (&[0, 1], word),
    }
}

fn policy(word: &str) -> Option<LogPolicy> {
    match word {
        "block" => Some(LogPolicy::Block),
        "drop-oldest" => Some(LogPolicy::DropOldest),
        "drop-newest" => Some(LogPolicy::DropNewest),
        _ => None,
    }
}

fn rate(word: &str) -> Option<LogRate> {
    let (rate, burst) = word.split_once(':').map_or((word, word), |parts| parts);
    Some(LogRate { bytes: bytes(rate)?, burst: bytes(burst)? })
}

/// A number of bytes that is not 0.
fn bytes(word: &str) -> Option<u32> {
    let unit = match word.as_bytes().last()? {
        b'k' | b'K' => 1 << 10,
        b'm' | b'M' => 1 << 20,
        b'g' | b'G' => 1 << 30,
        _ => 1u32,
    };
    let digits = if unit == 1 { word } else { &word[..word.len() - 1] };
    // A sign is no digit, though parse() knows one.
    let number: u32 = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
    number.checked_mul(unit).filter(|&bytes| bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::limits;
    use crate::flags::Words;
    use crate::plan::{LogLimits, LogPolicy, LogRate};

    fn asked(policies: &[&str], rates: &[&str]) -> Result<[LogLimits; 2], String> {
        let texts = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let words = Words { log_policy: texts(policies), log_rate: texts(rates), ..Words::default() };
        limits(&words).map_err(|error| error.text().to_owned())
    }

    #[test]
    fn policies() {
        let (block, oldest, newest) = (LogPolicy::Block, LogPolicy::DropOldest, LogPolicy::DropNewest);
        let table: [(&[&str], [Option<LogPolicy>; 2]); 6] = [
            (&[], [None, None]),
            (&["block"], [Some(block), Some(block)]),
            (&["stderr=drop-oldest"], [None, Some(oldest)]),
            (&["drop-newest", "stdout=block"], [Some(block), Some(newest)]),
            (&["stdout=block", "drop-newest"], [Some(newest), Some(newest)]),
            (&["stdout=block", "stderr=drop-newest", "stdout=drop-oldest"], [Some(oldest), Some(newest)]),
        ];
        for (words, wanted) in table {
            assert_eq!(
                asked(words, &[]).map(|limits| limits.map(|limit| limit.policy)),
                Ok(wanted),
                "{words:?}"
            );
        }
        for word in ["", "Block", "drop", "stdin=block", "stdout=", "stdout=stderr=block", "=block"] {
            let error = asked(&[word], &[]).expect_err(word);
            assert!(error.contains(&format!("--log-policy “{word}”: ")), "{error}");
        }
    }

    #[test]
    fn rates() {
        let rate = |bytes, burst| Some(LogRate { bytes, burst });
        let table: [(&[&str], [Option<LogRate>; 2]); 8] = [
            (&[], [None, None]),
            (&["1"], [rate(1, 1); 2]),
            (&["1m:4m"], [rate(1 << 20, 4 << 20); 2]),
            (&["2k:1"], [rate(2048, 1); 2]),
            (&["3G:4294967295"], [rate(3 << 30, u32::MAX); 2]),
            (&["stderr=100"], [None, rate(100, 100)]),
            (&["5", "stdout=7:9"], [rate(7, 9), rate(5, 5)]),
            (&["stdout=7:9", "5"], [rate(5, 5); 2]),
        ];
        for (words, wanted) in table {
            assert_eq!(
                asked(&[], words).map(|limits| limits.map(|limit| limit.rate)),
                Ok(wanted),
                "{words:?}"
            );
        }
        for word in [
            "", "0", "k", "-1", "+1", "1.5m", "4g", "1:0", "1:", ":1", "1:2:3", "1/s", "stdin=1", "stdout=",
            "1 k",
        ] {
            let error = asked(&[], &[word]).expect_err(word);
            assert!(error.contains(&format!("--log-rate “{word}”: ")), "{error}");
        }
    }
}
