//! What the fake runtime is told to do.
//!
//! `create` and `restore` read `<bundle>/fake.json`; `exec` reads the file given as `--process`, or what
//! stands under `script` in it, if it is a process object with `args`.

use crate::{Numbered, Pattern};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One call of the runtime, from its first step to the container's last. The default obeys: a
/// container that ends at once with status 0.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Where to leave a [`crate::Record`] of the call.
    pub record: Option<PathBuf>,
    /// What the runtime itself does before there is a container. A step that ends it, ends the call.
    pub before: Vec<Step>,
    /// What it sends on the console socket, if it was given one.
    pub console: Console,
    /// Whose child the container is.
    pub container: Container,
    /// What the container does.
    pub steps: Vec<Step>,
    /// What it leaves in the pid file.
    pub pid_file: PidFile,
    /// What the runtime itself does afterwards; then it exits with status 0.
    pub after: Vec<Step>,
    /// What the runtime does first when it is called for this container again, by subcommand (`start`,
    /// `pause`, …). A step that ends it, ends the call.
    pub verbs: BTreeMap<String, Vec<Step>>,
}

/// What is sent on the console socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Console {
    /// The master of a new terminal whose slave is the container's.
    #[default]
    Master,
    /// Nothing: the socket is left alone.
    Absent,
    /// A connection that is closed without a word.
    Silent,
    /// A message with text and no descriptor.
    Text,
    /// A message with two descriptors, the master and a spare.
    Two,
    /// A message with a descriptor that is no terminal.
    NotATerminal,
}

/// Whose child the container is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Container {
    /// An orphan from the start, so the supervisor's as soon as it exists.
    #[default]
    Orphan,
    /// The runtime's, until that ends.
    Child,
    /// There is none.
    Absent,
    /// It runs already, somewhere else, under this pid.
    Other(i32),
}

/// What the pid file holds when the runtime ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PidFile {
    /// The pid, without a newline.
    #[default]
    Written,
    /// The pid, written when the container has ended already.
    AfterExit,
    /// The file is not touched.
    Absent,
    /// This text.
    Text(String),
}

/// One of a process's standard streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum To {
    /// Descriptor 0.
    Stdin,
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// One thing that a process does. Paths are absolute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// Waits for the runtime's `start` (or a byte written to `<bundle>/start.fifo`).
    AwaitStart,
    /// Waits for a byte from this fifo.
    Await(PathBuf),
    /// Writes these bytes.
    Write(To, Vec<u8>),
    /// Writes these bytes again and again, for ever.
    Flood(To, Vec<u8>),
    /// Writes the bytes of a pattern.
    Generate(To, Pattern),
    /// Writes numbered lines.
    Number(To, Numbered),
    /// Writes numbered lines, pauses so many microseconds, goes on with the numbers that follow, and so on until
    /// this fifo has a byte.
    NumberUntil(To, Numbered, u64, PathBuf),
    /// Copies stdin to stdout up to end of file.
    Echo,
    /// Reads stdin up to end of file, then prints its [`crate::Sum`].
    Checksum,
    /// Reads one line from stdin, byte by byte, and prints it.
    EchoLine,
    /// Copies stdin to stdout until this fifo has a byte.
    EchoUntil(PathBuf),
    /// Creates this empty file, whole or not at all.
    Touch(PathBuf),
    /// Leaves a [`crate::Record`] of the process as it is now.
    Record(PathBuf),
    /// Sleeps this many milliseconds.
    Sleep(u64),
    /// Makes what is written to a stream from here on packets of a pipe (O_DIRECT, pipe(2)).
    Packets(To),
    /// Closes a stream.
    Close(To),
    /// Forks a process that does these steps; the parent goes on at once.
    Fork(Vec<Step>),
    /// Closes the terminal, touches the first file, waits for a byte from the second, and opens the
    /// terminal again as all three streams.
    ReopenTty(PathBuf, PathBuf),
    /// Prints `ROWS COLUMNS` of the terminal, then ends the line.
    TtySize,
    /// Prints `SIZE` lines each time the size changes, until rows is 1.
    TtySizes,
    /// Blocks these signals.
    Block(Vec<i32>),
    /// Waits for one of these blocked signals and prints `signal N`.
    AwaitSignal(Vec<i32>),
    /// Waits for ever.
    Pause,
    /// Becomes another program, with these arguments, as the program of a real container does.
    Become(Vec<String>),
    /// Ends with this status.
    Exit(u8),
    /// Ends by this signal.
    Die(i32),
}

impl Step {
    /// Text to stdout.
    pub fn out(text: &str) -> Step {
        Step::Write(To::Stdout, text.as_bytes().to_vec())
    }

    /// Text to stderr.
    pub fn err(text: &str) -> Step {
        Step::Write(To::Stderr, text.as_bytes().to_vec())
    }
}

impl Script {
    /// A container that does these steps under a runtime that obeys.
    pub fn of(steps: impl Into<Vec<Step>>) -> Script {
        Script { steps: steps.into(), ..Script::default() }
    }

    /// The same script, but the runtime does these steps first at this subcommand.
    pub fn at(mut self, verb: &str, steps: impl Into<Vec<Step>>) -> Script {
        self.verbs.insert(verb.to_owned(), steps.into());
        self
    }

    /// A runtime that does these steps and makes no container.
    pub fn failing(before: impl Into<Vec<Step>>) -> Script {
        Script {
            before: before.into(),
            console: Console::Absent,
            container: Container::Absent,
            pid_file: PidFile::Absent,
            ..Script::default()
        }
    }
}
