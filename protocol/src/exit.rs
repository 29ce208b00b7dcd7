//! How a process ended.

use std::fmt;

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// How a process ended, as far as the supervisor could learn it.
///
/// There is no default: a status that could not be had is [`Exit::Unknown`], and no conversion
/// turns that into 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// It called `exit` with this code.
    Code(u8),
    /// It was ended by this signal (1 to 64).
    Signal(u8),
    /// The supervisor ended it because its time was up (`--timeout`).
    TimedOut,
    /// It ended, and nobody could say how.
    Unknown,
}

impl Exit {
    /// The number that exit files and sync messages carry: the code, `128 + signal`, or `-1` where
    /// the status is unknown or the time was up.
    pub fn number(self) -> i32 {
        match self {
            Exit::Code(code) => i32::from(code),
            Exit::Signal(signal) => 128 + i32::from(signal),
            Exit::TimedOut | Exit::Unknown => -1,
        }
    }

    /// The exit status that the supervisor itself ends with: [`Exit::number`] as the kernel keeps
    /// it, 8 bits wide, so `-1` becomes 255.
    pub fn as_process_status(self) -> u8 {
        match self {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128u8.wrapping_add(signal),
            Exit::TimedOut | Exit::Unknown => 255,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit status {code}"),
            Exit::Signal(signal) => write!(f, "signal {signal}"),
            Exit::TimedOut => f.write_str("time limit"),
            Exit::Unknown => f.write_str("unknown status"),
        }
    }
}

/// On the wire: `{"code":7}`, `{"signal":9}`, `{"timed_out":true}` or `{"unknown":true}`.
impl Serialize for Exit {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(1))?;
        match self {
            Exit::Code(code) => map.serialize_entry("code", code)?,
            Exit::Signal(signal) => map.serialize_entry("signal", signal)?,
            Exit::TimedOut => map.serialize_entry("timed_out", &true)?,
            Exit::Unknown => map.serialize_entry("unknown", &true)?,
        }
        map.end()
    }
}

/// An object with none of the known fields is [`Exit::Unknown`]: it was written by a later version.
impl<'de> Deserialize<'de> for Exit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Exit, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            code: Option<u8>,
            signal: Option<u8>,
            #[serde(default)]
            timed_out: bool,
        }
        match Fields::deserialize(from)? {
            Fields { timed_out: true, .. } => Ok(Exit::TimedOut),
            Fields { signal: Some(signal @ 1..=64), .. } => Ok(Exit::Signal(signal)),
            Fields { signal: Some(_), .. } => Err(de::Error::custom("expected a signal from 1 to 64")),
            Fields { code: Some(code), .. } => Ok(Exit::Code(code)),
            Fields { .. } => Ok(Exit::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn on_the_wire() {
        let table = [
            (Exit::Code(0), r#"{"code":0}"#),
            (Exit::Signal(9), r#"{"signal":9}"#),
            (Exit::TimedOut, r#"{"timed_out":true}"#),
            (Exit::Unknown, r#"{"unknown":true}"#),
        ];
        for (exit, json) in table {
            assert_eq!(serde_json::to_string(&exit).expect("JSON"), json);
            assert_eq!(serde_json::from_str::<Exit>(json).expect("an exit"), exit);
        }
        assert_eq!(serde_json::from_str::<Exit>(r#"{"later":1}"#).expect("an exit"), Exit::Unknown);
        for json in [r#"{"code":256}"#, r#"{"signal":0}"#, r#"{"signal":65}"#, r#"{"code":-1}"#, "0"] {
            assert!(serde_json::from_str::<Exit>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn numbers() {
        let table = [
            (Exit::Code(0), 0, 0),
            (Exit::Code(7), 7, 7),
            (Exit::Code(255), 255, 255),
            (Exit::Signal(9), 137, 137),
            (Exit::Signal(64), 192, 192),
            (Exit::TimedOut, -1, 255),
            (Exit::Unknown, -1, 255),
        ];
        for (exit, number, status) in table {
            assert_eq!(exit.number(), number, "{exit}");
            assert_eq!(exit.as_process_status(), status, "{exit}");
        }
    }
}
