//! Process ids that are safe to signal.

use std::fmt;

/// A process id greater than 0, so that no signal can ever go to a group or to everybody by a
/// mistake in a number (conmon bc88ac5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pid(i32);

impl Pid {
    /// `None` for 0 and negative numbers.
    pub fn new(raw: i32) -> Option<Pid> {
        (raw > 0).then_some(Pid(raw))
    }

    /// The number.
    pub fn raw(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
