//! What `logs` and `debug` answer.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::base64;
use crate::request::{Level, Stream};

/// A record of the log, or a piece of one. It comes as `{"tag":…,"log":{…}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogRecord {
    /// When it was read.
    pub time: Timestamp,
    /// From which stream.
    pub stream: Stream,
    /// Whether the line goes on in the next record of this stream.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// The text without its newline, if it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Else its bytes, in base64 (RFC 4648, section 4, with padding).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

impl LogRecord {
    /// A record of these bytes, as text if they are UTF-8. No more than
    /// [`crate::limits::LOG_TEXT_MAX`] of them fit in a line for certain.
    pub fn new(time: Timestamp, stream: Stream, partial: bool, bytes: &[u8]) -> LogRecord {
        let text = std::str::from_utf8(bytes).ok().map(str::to_owned);
        let base64 = text.is_none().then(|| base64::encode(bytes));
        LogRecord { time, stream, partial, text, base64 }
    }

    /// Its bytes. `None`: it has neither text nor valid base64.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match (&self.text, &self.base64) {
            (Some(text), _) => Some(text.clone().into_bytes()),
            (None, Some(code)) => base64::decode(code),
            (None, None) => None,
        }
    }
}

/// The log is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEnd {
    /// Records sent.
    pub records: u64,
    /// Whether the log holds every byte that was read, from its first record sent on.
    pub complete: bool,
}

/// A line of the supervisor's own diagnostics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Its number, from 1 on.
    pub seq: u64,
    /// When it was said.
    pub time: Timestamp,
    /// How serious it is.
    pub level: Level,
    /// What it says.
    pub message: String,
}

/// The supervisor's own diagnostics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diagnostics {
    /// How much it says from now on.
    pub level: Level,
    /// How many after `since` are forgotten, or do not fit in a line.
    pub missed: u64,
    /// The lines, the oldest first.
    pub lines: Vec<Diagnostic>,
}

#[cfg(test)]
mod tests {
    use super::{LogRecord, Stream, Timestamp};
    use crate::codec;
    use crate::limits::{LINE_MAX, LOG_TEXT_MAX, TAG_MAX};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let record = LogRecord::new(Timestamp::new(0, 0), Stream::Stdout, false, &bytes);
            prop_assert_eq!(record.bytes(), Some(bytes));
        }
    }

    #[test]
    fn the_longest_record_fits_in_a_line() {
        for byte in [0, b'"', 0xff] {
            let record = LogRecord::new(Timestamp::new(0, 0), Stream::Stdout, true, &[byte; LOG_TEXT_MAX]);
            let tag = "x".repeat(TAG_MAX - 2).as_str().into();
            assert!(codec::log_line(Some(&tag), &record).len() <= LINE_MAX);
        }
    }
}
