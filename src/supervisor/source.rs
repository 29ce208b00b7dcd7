//! Everything that the loop waits for, by number.

use super::operations::OperationId;
use crate::data::ChannelId;
use crate::plan::Stream;
use crate::reactor::SourceId;
use crate::serve::control::ControlId;

/// Names a process that is looked after: 0 is the container, others are never used twice.
pub type ProcessId = usize;

/// The container's first process.
pub const CONTAINER: ProcessId = 0;

/// What is watched of each process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The console socket, then its one connection.
    Console,
    /// Its stdout, or its terminal.
    Stdout,
    /// Its stderr.
    Stderr,
    /// Room in its stdin.
    Stdin,
    /// Itself, where it is no child of ours.
    Init,
}

impl From<Stream> for Part {
    fn from(stream: Stream) -> Part {
        match stream {
            Stream::Stdout => Part::Stdout,
            Stream::Stderr => Part::Stderr,
        }
    }
}

/// A watched descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Signals, among them the end of children.
    Signals,
    /// The caller's second word.
    Start,
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
    /// Room in the journal's socket.
    Journal,
    /// The control socket.
    ControlListener,
    /// The output of the hook at work.
    Hook,
    /// Something of a process.
    Of(ProcessId, Part),
    /// A channel of an attached client.
    Channel(ChannelId),
    /// A client of the control socket.
    Control(ControlId),
    /// The output of a runtime at work for a request.
    Operation(OperationId),
}

/// Those that there is one of, in the order of their ids.
const FIXED: [Source; 10] = [
    Source::Signals,
    Source::Start,
    Source::Attach,
    Source::Ctl,
    Source::Winsz,
    Source::Notify,
    Source::Oom,
    Source::Journal,
    Source::ControlListener,
    Source::Hook,
];

/// The parts of a process, in the order of their ids.
const PARTS: [Part; 5] = [Part::Console, Part::Stdout, Part::Stderr, Part::Stdin, Part::Init];

/// Kinds of sources that there are many of.
const KINDS: usize = 3 + PARTS.len();

impl Source {
    /// The number that the reactor knows it by.
    pub fn id(self) -> SourceId {
        match self {
            Source::Signals => 0,
            Source::Start => 1,
            Source::Attach => 2,
            Source::Ctl => 3,
            Source::Winsz => 4,
            Source::Notify => 5,
            Source::Oom => 6,
            Source::Journal => 7,
            Source::ControlListener => 8,
            Source::Hook => 9,
            Source::Channel(id) => FIXED.len() + KINDS * id,
            Source::Control(id) => FIXED.len() + KINDS * id + 1,
            Source::Operation(id) => FIXED.len() + KINDS * id + 2,
            Source::Of(id, part) => FIXED.len() + KINDS * id + 3 + part as usize,
        }
    }

    /// The source with this number.
    pub fn from_id(id: SourceId) -> Source {
        FIXED.get(id).copied().unwrap_or_else(|| {
            let id = id - FIXED.len();
            match (id % KINDS, id / KINDS) {
                (0, id) => Source::Channel(id),
                (1, id) => Source::Control(id),
                (2, id) => Source::Operation(id),
                (part, id) => Source::Of(id, PARTS[part - 3]),
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
        let parts = PARTS.into_iter().flat_map(|part| [Source::Of(CONTAINER, part), Source::Of(9, part)]);
        for source in FIXED.into_iter().chain(many).chain(parts) {
            assert_eq!(Source::from_id(source.id()), source);
        }
        assert!(FIXED.iter().zip(0..).all(|(source, id)| source.id() == id));
    }
}
