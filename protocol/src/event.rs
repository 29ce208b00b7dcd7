//! Events: what a subscriber hears.

use serde::{Deserialize, Serialize};

use crate::record::{HookOutcome, Oom, Teardown};
use crate::request::{Stdin, Stream};
use crate::{Exit, Op, Signal, Timestamp};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What.
    #[serde(flatten)]
    pub what: What,
    /// Its number, from 1 on, without gaps.
    pub seq: u64,
    /// When the supervisor noticed it.
    pub time: Timestamp,
    /// Who made it happen.
    pub cause: Cause,
}

/// Who made it happen, as far as the supervisor knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Cause {
    /// A process of the container, by itself.
    Container,
    /// The kernel: memory ran out, or a device.
    Kernel,
    /// The runtime, without the supervisor having asked.
    Runtime,
    /// The supervisor, as it was told at its start.
    Supervisor,
    /// A time limit.
    Timeout,
    /// A client of the control socket.
    Client {
        /// Its number, as its greeting told it.
        client: u64,
        /// What it asked for, if it was a request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        op: Option<Op>,
    },
    /// A client of the attach socket or the fifos, or the process that started the supervisor.
    Caller,
    /// A signal that the supervisor got.
    Signal {
        /// Which.
        signal: Signal,
    },
    /// One that this version does not know.
    #[serde(other)]
    Other,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// The runtime has created the container.
    Created {
        /// Its first process.
        pid: i32,
    },
    /// The runtime could not create it. `deleted` follows.
    CreateFailed {
        /// The runtime's error text, or why it could not be run.
        message: String,
    },
    /// Its program was started.
    Started,
    /// Its processes are frozen.
    Paused,
    /// They run again.
    Resumed,
    /// Its limits were changed.
    Updated,
    /// A signal was sent by request.
    Signalled {
        /// Which.
        signal: Signal,
        /// To every process.
        #[serde(default)]
        all: bool,
        /// To this exec session.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exec: Option<String>,
    },
    /// A terminal has a new size.
    Resized {
        /// Rows of characters.
        rows: u16,
        /// Characters in a row.
        cols: u16,
        /// Of this exec session.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exec: Option<String>,
    },
    /// The input of a process has ended.
    StdinClosed {
        /// Of this exec session.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exec: Option<String>,
    },
    /// The kernel has killed for want of memory; counted since the container was created.
    Oom(Oom),
    /// An exec session has begun.
    ExecStarted {
        /// Its id.
        exec: String,
        /// Its process.
        pid: i32,
    },
    /// An exec session has ended, and its output is drained.
    ExecExited {
        /// Its id.
        exec: String,
        /// How.
        exit: Exit,
    },
    /// A checkpoint was written.
    Checkpointed {
        /// Directory of the image.
        image: String,
    },
    /// The container's first process has ended.
    Exited {
        /// How.
        exit: Exit,
        /// Whether that left a core dump.
        core_dumped: bool,
    },
    /// All output is in the logs and with the clients, or the time for that is over.
    Drained {
        /// Whether every byte is in every sink, and every stream was read to its end.
        log_complete: bool,
    },
    /// The exit record is on disk.
    Recorded {
        /// Its file. Absent if it could not be written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// Why it could not be written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// A hook of the supervisor's own has ended.
    HookEnded(HookOutcome),
    /// The runtime is about to delete the container.
    Deleting,
    /// The last event: nothing is left to do, and the supervisor ends.
    Deleted {
        /// What came of the runtime's delete, if it was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        teardown: Option<Teardown>,
    },
    /// A sink cannot take output; the container runs on.
    LogDegraded {
        /// `k8s-file` or `journald`.
        sink: String,
        /// Why.
        message: String,
    },
    /// It can again.
    LogRecovered {
        /// `k8s-file` or `journald`.
        sink: String,
        /// Bytes it has lost meanwhile.
        dropped: u64,
    },
    /// Log files were opened anew.
    LogsReopened,
    /// A client gets the streams of a process.
    ClientAttached {
        /// The number of the attachment.
        attachment: u64,
        /// What it hears.
        streams: Vec<Stream>,
        /// What it may write.
        stdin: Stdin,
        /// Of this exec session.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exec: Option<String>,
    },
    /// It has closed them, or they have ended.
    ClientDetached {
        /// The number of the attachment.
        attachment: u64,
    },
    /// A client was dropped since it did not read.
    ClientDropped {
        /// Its number, as its greeting told it, if it was one of the control socket.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<u64>,
        /// The number of its attachment, if it was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attachment: Option<u64>,
        /// Bytes that waited for it, and are lost to it.
        lost: u64,
    },
    /// The supervisor has replaced its program.
    Upgraded {
        /// The new version.
        version: String,
    },
    /// One that this version does not know.
    #[serde(other)]
    Other,
}
