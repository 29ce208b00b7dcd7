//! Everything that the loop waits for, by number.

use super::operations::OperationId;
use crate::data::ChannelId;
use crate::reactor::SourceId;
use crate::serve::control::ControlId;

/// A watched descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Signals, among them the end of children.
    Signals,
    /// The caller's second word.
    Start,
    /// The console socket, then its one connection.
    Console,
    /// The container's stdout, or its terminal.
    Stdout,
    /// The container's stderr.
    Stderr,
    /// Room in the container's stdin.
    Stdin,
    /// The attach socket.
    Attach,
    /// The `ctl` fifo.
    Ctl,
    /// The `winsz` fifo.
    Winsz,
    /// The notify socket.
    Notify,
    /// The out-of-memory watch.
    Oom,
    /// The container's process, where it is no child of ours.
    Init,
    /// Room in the journal's socket.
    Journal,
    /// The control socket.
    ControlListener,
    /// A channel of an attached client.
    Channel(ChannelId),
    /// A client of the control socket.
    Control(ControlId),
    /// The output of a runtime at work for a request.
    Operation(OperationId),
}

/// Those without a number of their own, in the order of their ids.
const FIXED: [Source; 14] = [
    Source::Signals,
    Source::Start,
    Source::Console,
    Source::Stdout,
    Source::Stderr,
    Source::Stdin,
    Source::Attach,
    Source::Ctl,
    Source::Winsz,
    Source::Notify,
    Source::Oom,
    Source::Init,
    Source::Journal,
    Source::ControlListener,
];

impl Source {
    /// The number that the reactor knows it by.
    pub fn id(self) -> SourceId {
        match self {
            Source::Signals => 0,
            Source::Start => 1,
            Source::Console => 2,
            Source::Stdout => 3,
            Source::Stderr => 4,
            Source::Stdin => 5,
            Source::Attach => 6,
            Source::Ctl => 7,
            Source::Winsz => 8,
            Source::Notify => 9,
            Source::Oom => 10,
            Source::Init => 11,
            Source::Journal => 12,
            Source::ControlListener => 13,
            Source::Channel(id) => FIXED.len() + 3 * id,
            Source::Control(id) => FIXED.len() + 3 * id + 1,
            Source::Operation(id) => FIXED.len() + 3 * id + 2,
        }
    }

    /// The source with this number.
    pub fn from_id(id: SourceId) -> Source {
        FIXED.get(id).copied().unwrap_or_else(|| {
            let id = id - FIXED.len();
            match id % 3 {
                0 => Source::Channel(id / 3),
                1 => Source::Control(id / 3),
                _ => Source::Operation(id / 3),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_reversible() {
        let many = [Source::Channel(0), Source::Channel(9), Source::Control(4), Source::Operation(7)];
        for source in FIXED.into_iter().chain(many) {
            assert_eq!(Source::from_id(source.id()), source);
        }
        assert!(FIXED.iter().zip(0..).all(|(source, id)| source.id() == id));
    }
}
