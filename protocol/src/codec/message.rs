//! What a client reads.

use serde::Deserialize;
use serde_json::Value;

use crate::body::LogRecord;
use crate::{Event, Greeting, Reply, Tag};

/// A line of the supervisor.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// The first line.
    Greeting(Greeting),
    /// The final answer to a request.
    Reply(Reply<Value>),
    /// Something happened.
    Event(Event),
    /// A record of the log, before the answer to `logs`.
    Log {
        /// The tag of that request.
        tag: Option<Tag>,
        /// The record.
        record: LogRecord,
    },
    /// A kind of message that this version does not know. A client ignores it.
    Other,
}

/// Reads a line of the supervisor, without its newline. The kind of a message is told by the field
/// that only this kind has: `protocol`, `event`, `log`, `ok` or `error`.
///
/// # Errors
/// The line is no JSON object, or not what such a message must be.
pub fn message(line: &[u8]) -> Result<Message, serde_json::Error> {
    #[derive(Deserialize)]
    struct Logged {
        #[serde(default)]
        tag: Option<Tag>,
        log: LogRecord,
    }
    let value: serde_json::Map<String, Value> = serde_json::from_slice(line)?;
    let has = |name| value.contains_key(name);
    let (greeting, event, log, reply) =
        (has("protocol"), has("event"), has("log"), has("ok") || has("error"));
    let value = Value::Object(value);
    Ok(if greeting {
        Message::Greeting(serde_json::from_value(value)?)
    } else if event {
        Message::Event(serde_json::from_value(value)?)
    } else if log {
        let Logged { tag, log } = serde_json::from_value(value)?;
        Message::Log { tag, record: log }
    } else if reply {
        Message::Reply(serde_json::from_value(value)?)
    } else {
        Message::Other
    })
}
