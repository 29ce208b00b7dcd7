//! What a reply has under `ok`, one type an operation.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::record::{Record, SinkCount, StreamCount, Teardown, Times};
use crate::request::{Level, Stage, Stream};
use crate::{Exit, Op, Step, Timestamp};

/// What a reply has under `ok`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Body {
    /// Of `kill pause resume update resize close-stdin`.
    Done(Done),
    /// Of `state`.
    State(Box<State>),
    /// Of `start`.
    Started(Started),
    /// Of `stop`.
    Stopped(Stopped),
    /// Of `attach`.
    Attached(Attached),
    /// Of `exec`.
    ExecStarted(ExecStarted),
    /// Of `ps`.
    Processes(Processes),
    /// Of `stats`.
    Stats(Box<Stats>),
    /// Of `wait`.
    Waited(Box<Waited>),
    /// Of `subscribe`.
    Subscribed(Subscribed),
    /// Of `logs`.
    LogEnd(LogEnd),
    /// Of `reopen-logs`.
    Reopened(Reopened),
    /// Of `checkpoint`.
    Checkpointed(Checkpointed),
    /// Of `delete`.
    Removed(Removed),
    /// Of `debug`.
    Diagnostics(Diagnostics),
    /// Of `upgrade`.
    Upgraded(Upgraded),
}

impl Body {
    /// The body of a reply to this operation.
    ///
    /// # Errors
    /// The value has not the fields of such a body.
    pub fn read(op: Op, value: Value) -> Result<Body, serde_json::Error> {
        if !value.is_object() {
            return Err(serde_json::Error::custom("expected an object"));
        }
        Ok(match op {
            Op::Kill | Op::Pause | Op::Resume | Op::Update | Op::Resize | Op::CloseStdin => {
                Body::Done(Done {})
            }
            Op::State => Body::State(serde_json::from_value(value)?),
            Op::Start => Body::Started(serde_json::from_value(value)?),
            Op::Stop => Body::Stopped(serde_json::from_value(value)?),
            Op::Attach => Body::Attached(serde_json::from_value(value)?),
            Op::Exec => Body::ExecStarted(serde_json::from_value(value)?),
            Op::Ps => Body::Processes(serde_json::from_value(value)?),
            Op::Stats => Body::Stats(serde_json::from_value(value)?),
            Op::Wait => Body::Waited(serde_json::from_value(value)?),
            Op::Subscribe => Body::Subscribed(serde_json::from_value(value)?),
            Op::Logs => Body::LogEnd(serde_json::from_value(value)?),
            Op::ReopenLogs => Body::Reopened(serde_json::from_value(value)?),
            Op::Checkpoint => Body::Checkpointed(serde_json::from_value(value)?),
            Op::Delete => Body::Removed(serde_json::from_value(value)?),
            Op::Debug => Body::Diagnostics(serde_json::from_value(value)?),
            Op::Upgrade => Body::Upgraded(serde_json::from_value(value)?),
        })
    }
}

/// It was done, and there is no more to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

/// What the supervisor knows of the container. The same is in the file [`crate::STATE_FILE`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Id of the container.
    pub id: String,
    /// The name people gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is in its life.
    pub state: crate::State,
    /// In `stopped` and `deleted`: how far the supervisor is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// Its first process, while that lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The supervisor's own process.
    pub supervisor: i32,
    /// The supervisor's version.
    pub version: String,
    /// The bundle's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// The runtime's program.
    pub runtime: String,
    /// Whether it has a terminal.
    pub terminal: bool,
    /// How it ended, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// When its life began and ended.
    pub times: Times,
    /// The log file, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The exit record, once it is on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// The sequence number of the last event.
    pub seq: u64,
    /// Exec sessions: those that run, and the last that have ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub execs: Vec<ExecState>,
    /// Annotations of the bundle.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Fields left out since the line would have become too long, in this order: `annotations`,
    /// `execs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub omitted: Vec<String>,
}

/// What the supervisor knows of an exec session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecState {
    /// Its id.
    pub exec: String,
    /// Its process, while that lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// Whether it has a terminal.
    pub terminal: bool,
    /// When it was started.
    pub started: Timestamp,
    /// How it ended, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
}

/// The program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The first process of the container.
    pub pid: i32,
}

names! {
    /// Which step of `stop` ended the container.
    pub enum StopStep {
        /// The polite signal, within the grace time.
        Signal = "signal",
        /// SIGKILL to all.
        Kill = "kill",
    }
}

/// The container has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Which step ended it.
    pub by: StopStep,
    /// How it ended.
    pub exit: Exit,
}

names! {
    /// What a descriptor that comes with a reply is.
    pub enum Descriptor {
        /// Write end of the input.
        Stdin = "stdin",
        /// Read end of the output.
        Stdout = "stdout",
        /// Read end of the error output.
        Stderr = "stderr",
        /// Sealed memfd with output before the first byte of `stdout`.
        ReplayStdout = "replay-stdout",
        /// Sealed memfd with error output before the first byte of `stderr`.
        ReplayStderr = "replay-stderr",
    }
}

/// Where a stream joins its replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Which.
    pub stream: Stream,
    /// Bytes that the process had written before the first one that comes through the descriptor.
    pub live_from: u64,
    /// Bytes in the replay; they end exactly there.
    pub replayed: u64,
}

/// The streams of a process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attached {
    /// The number by which events name this attachment.
    pub attachment: u64,
    /// What the descriptors are that come with the reply, in their order.
    pub descriptors: Vec<Descriptor>,
    /// Where each stream asked for begins.
    pub streams: Vec<Joined>,
}

/// A process runs in the container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecStarted {
    /// The id of the session.
    pub exec: String,
    /// Its process. Absent if it ended before its pid was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The number by which events name the attachment, if there are descriptors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<u64>,
    /// What the descriptors are that come with the reply, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub descriptors: Vec<Descriptor>,
}

/// A process of the container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its pid, as the supervisor's pid namespace has it.
    pub pid: i32,
    /// Its command line, or its name where it has none; what is not UTF-8 is replaced. Absent if it
    /// has just ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// The processes of the container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Processes {
    /// By the runtime's order.
    pub processes: Vec<Process>,
    /// How many more there are than fit in a line.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: u64,
}

/// Numbers of the runtime and of the supervisor, counted since the container was created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// `data` of the runtime's `events --stats`, unchanged. Absent if there is no living container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Map<String, Value>>,
    /// Why the runtime had none to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_error: Option<String>,
    /// How long the supervisor runs, in milliseconds.
    pub uptime_ms: u64,
    /// Bytes of each output stream.
    pub streams: Vec<StreamCount>,
    /// Bytes written to the input.
    pub stdin: u64,
    /// What became of the output in each sink.
    pub sinks: Vec<SinkCount>,
    /// How long the last write to a sink took, in microseconds.
    pub write_us: u64,
    /// Clients of the control socket.
    pub clients: u64,
    /// Attachments, by either socket.
    pub attachments: u64,
    /// Bytes that wait for clients and attachments.
    pub queued: u64,
    /// Clients and attachments dropped since they did not read.
    pub clients_dropped: u64,
    /// Exec sessions that run.
    pub execs: u64,
    /// Exec sessions there have been.
    pub execs_total: u64,
    /// The sequence number of the last event.
    pub seq: u64,
    /// Warnings and errors that the supervisor has said.
    pub warnings: u64,
}

/// A stage of the end is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waited {
    /// Which.
    pub stage: Stage,
    /// How the process ended. Absent if the container was never created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// The exit record of the container, from stage `recorded` on, if it fits in a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
}

/// Events follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// How many events after `since` the ring no longer holds.
    pub missed: u64,
    /// The sequence number of the last event so far: when it has come, what follows is new.
    pub last: u64,
}

/// A record of the log, or a piece of one. It comes as `{"tag":…,"log":{…}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogRecord {
    /// When it was read.
    pub time: Timestamp,
    /// From which stream.
    pub stream: Stream,
    /// Whether the line goes on in the next record of this stream.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// The text without its newline, if it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Else its bytes, in base64 (RFC 4648, section 4, with padding).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

/// The log is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEnd {
    /// Records sent.
    pub records: u64,
    /// Whether the log holds every byte that was read, from its first record sent on.
    pub complete: bool,
}

/// The log files are open anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reopened {
    /// How many.
    pub files: u64,
}

/// A checkpoint was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpointed {
    /// Directory of the image.
    pub image: String,
    /// Whether the container runs on.
    pub running: bool,
}

/// The container is deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Removed {
    /// What came of it.
    pub teardown: Teardown,
}

/// A line of the supervisor's own diagnostics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Its number, from 1 on.
    pub seq: u64,
    /// When it was said.
    pub time: Timestamp,
    /// How serious it is.
    pub level: Level,
    /// What it says.
    pub message: String,
}

/// The supervisor's own diagnostics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diagnostics {
    /// How much it says from now on.
    pub level: Level,
    /// How many after `since` are forgotten, or do not fit in a line.
    pub missed: u64,
    /// The lines, the oldest first.
    pub lines: Vec<Diagnostic>,
}

/// The supervisor has replaced its program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Upgraded {
    /// The new version.
    pub version: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
