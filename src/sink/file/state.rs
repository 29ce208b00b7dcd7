//! What the log file knows of the output it was given.

use crate::sink::policy::Why;
use crate::sink::{Amount, Counts};
use crate::sys::clock::Timestamp;

/// What the file knows of one stream.
#[derive(Debug, Default)]
pub struct StreamState {
    /// The latest timestamp; a clock that is set back does not take the log with it.
    pub latest: Timestamp,
    /// The last record in the log is `P`.
    pub unfinished: bool,
    /// When the file was last seen to have a name.
    pub seen: Timestamp,
    /// By whose output it is.
    pub of: [Logged; 2],
}

/// What became of the output of the container, or of sessions.
#[derive(Debug, Default)]
pub struct Logged {
    /// Logged since the file was last seen to have a name. If it is removed, this is what nobody could have
    /// read.
    unseen: Amount,
    /// Bytes in the log and bytes that are not.
    pub counts: Counts,
}

impl StreamState {
    /// The file is known to have a name: all that was logged could be read.
    pub fn see(&mut self, now: Timestamp) {
        self.seen = now;
        for logged in &mut self.of {
            logged.unseen = Amount::default();
        }
    }
}

impl Logged {
    /// So much more is in the file.
    pub fn add(&mut self, more: Amount) {
        self.counts.logged += more.bytes;
        self.unseen += more;
    }

    /// Counts what nobody could have read as lost. Returns how much that was.
    pub fn lose_unseen(&mut self) -> Amount {
        let lost = std::mem::take(&mut self.unseen);
        self.counts.logged -= lost.bytes;
        self.counts.drop(Why::Error, lost);
        lost
    }
}
