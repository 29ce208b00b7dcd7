//! How a process ended.

use std::fmt;

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

#[cfg(test)]
mod tests {
    use super::Exit;

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
