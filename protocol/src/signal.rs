//! Signals, by name or number.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A signal that can be sent: 1 to 64. The numbers are those of Linux on x86, ARM, RISC-V, POWER and
/// s390x (signal(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

/// Names without their `SIG`, from 1 on.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// Second names (signal(7)).
const ALIASES: [(&str, u8); 4] = [("IOT", 6), ("POLL", 29), ("CLD", 17), ("UNUSED", 31)];

/// The first realtime signal that programs may use: the C library keeps 32 and 33 (nptl(7)).
const RTMIN: u8 = 34;
const RTMAX: u8 = 64;

impl Signal {
    /// SIGKILL
    pub const KILL: Signal = Signal(9);
    /// SIGTERM
    pub const TERM: Signal = Signal(15);

    /// The signal with this number, if there is one.
    pub fn from_number(number: u64) -> Option<Signal> {
        u8::try_from(number).ok().filter(|number| (1..=RTMAX).contains(number)).map(Signal)
    }

    /// By name with or without `SIG`, in any case; `RTMIN+n`, `RTMAX-n`; or a number in decimal.
    pub fn parse(text: &str) -> Option<Signal> {
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            return Signal::from_number(text.parse().ok()?);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some(nth) = NAMES.iter().position(|known| *known == name) {
            return Signal::from_number(nth as u64 + 1);
        }
        if let Some((_, number)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
            return Some(Signal(*number));
        }
        let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
            (Some(offset), _) => RTMIN.checked_add(distance(offset, '+')?)?,
            (_, Some(offset)) => RTMAX.checked_sub(distance(offset, '-')?)?,
            _ => return None,
        };
        (RTMIN..=RTMAX).contains(&number).then_some(Signal(number))
    }

    /// Its number, 1 to 64.
    pub fn number(self) -> i32 {
        i32::from(self.0)
    }
}

/// What follows `RTMIN` or `RTMAX`: nothing, or a sign and digits.
fn distance(text: &str, sign: char) -> Option<u8> {
    if text.is_empty() {
        return Some(0);
    }
    let digits = text.strip_prefix(sign)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// The name without `SIG`; `RTMIN+n`; the bare number for 32 and 33, which have no name.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (NAMES.get(usize::from(self.0) - 1), self.0.checked_sub(RTMIN)) {
            (Some(name), _) => f.write_str(name),
            (None, Some(0)) => f.write_str("RTMIN"),
            (None, Some(offset)) => write!(f, "RTMIN+{offset}"),
            (None, None) => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for Signal {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Signal {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Signal, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either<'a> {
            Number(u64),
            Text(#[serde(borrow)] Cow<'a, str>),
        }
        let signal = match Either::deserialize(from)? {
            Either::Number(number) => Signal::from_number(number),
            Either::Text(text) => Signal::parse(&text),
        };
        signal.ok_or_else(|| de::Error::custom("expected the name or the number of a signal"))
    }
}

#[cfg(test)]
mod tests {
    use super::Signal;

    #[test]
    fn by_name_and_by_number() {
        let table = [
            ("TERM", Some(15)),
            ("SIGTERM", Some(15)),
            ("sigterm", Some(15)),
            ("15", Some(15)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMIN", Some(34)),
            ("RTMAX-1", Some(63)),
            ("RTMIN+30", Some(64)),
            ("64", Some(64)),
            ("IOT", Some(6)),
            ("0", None),
            ("65", None),
            ("-9", None),
            ("9 ", None),
            ("RTMIN+31", None),
            ("RTMIN+255", None),
            ("RTMIN++1", None),
            ("RTMAX-31", None),
            ("SIGSIGTERM", None),
            ("SIG15", None),
            ("", None),
            ("SIG", None),
            ("ŧerm", None),
        ];
        for (text, number) in table {
            assert_eq!(Signal::parse(text).map(Signal::number), number, "{text:?}");
        }
    }

    #[test]
    fn each_can_be_printed_and_read_again() {
        for number in 1..=64 {
            let signal = Signal::from_number(number).expect("a signal");
            assert_eq!(Signal::parse(&signal.to_string()), Some(signal));
            let json = serde_json::to_string(&signal).expect("JSON");
            assert_eq!(serde_json::from_str::<Signal>(&json).expect("a signal"), signal);
            assert_eq!(serde_json::from_str::<Signal>(&number.to_string()).expect("a signal"), signal);
        }
    }
}
