//! What `logs` and `debug` answer.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
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
