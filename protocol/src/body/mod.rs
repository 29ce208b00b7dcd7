//! What a reply has under `ok`, one type an operation.

mod reading;
mod state;
mod stats;
mod streams;

use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::{Record, Teardown};
use crate::request::Stage;
use crate::{Exit, Op};
pub use reading::{Diagnostic, Diagnostics, LogEnd, LogRecord};
pub use state::{ExecState, State};
pub use stats::{Process, Processes, Stats};
pub use streams::{Attached, Descriptor, ExecStarted, Joined};

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

/// The supervisor has replaced its program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Upgraded {
    /// The new version.
    pub version: String,
}
