//! The exit record: what is left of a container, as one JSON file.

use serde::{Deserialize, Serialize};

use crate::request::Stream;
use crate::{Cause, Exit, Timestamp};

/// The version of the record's format. It is raised when a field changes its meaning or goes; new
/// fields do not raise it.
pub const VERSION: u32 = 1;

/// What is left of a container. The file is written whole (a temporary file, fsync, rename) before
/// any hook can run, and again, with `hooks` and `teardown` added, as their outcomes come in. What
/// those say never changes `exit`. A reader ignores fields that it does not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// Id of the container.
    pub id: String,
    /// How its first process ended.
    pub exit: Exit,
    /// Whether that left a core dump.
    pub core_dumped: bool,
    /// Who ended it, as far as the supervisor knows.
    pub cause: Cause,
    /// What the kernel killed for want of memory.
    pub oom: Oom,
    /// When its life began and ended.
    pub times: Times,
    /// Bytes of each output stream.
    pub streams: Vec<StreamCount>,
    /// What became of them in each sink.
    pub sinks: Vec<SinkCount>,
    /// Whether every byte that was read is in every sink, and every stream was read to its end.
    pub log_complete: bool,
    /// Hooks of the supervisor's own, in the order of their starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookOutcome>,
    /// The runtime's `delete`, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teardown: Option<Teardown>,
}

/// What the kernel killed for want of memory, by the counters of the container's cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oom {
    /// Whether the first process of the container was.
    pub init: bool,
    /// How many processes in all, that one included.
    pub kills: u64,
}

/// When the life of a container began and ended; absent where it did not come to that, or where the
/// supervisor was not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// The runtime had created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Its program was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// Its end was noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
}

/// Bytes of an output stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamCount {
    /// Which.
    pub stream: Stream,
    /// Bytes read from it.
    pub read: u64,
    /// Whether it was read to its end: no process had it open any more.
    pub ended: bool,
}

/// What became of the bytes of a stream in a sink: `logged + dropped + withheld + waiting` is what was read,
/// but for a line that the journal has not got whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkCount {
    /// The sink: `k8s-file` or `journald`.
    pub sink: String,
    /// The file, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The stream.
    pub stream: Stream,
    /// Bytes in the log.
    pub logged: u64,
    /// Bytes that are lost, for whatever reason.
    pub dropped: u64,
    /// The same, by the reason.
    #[serde(default, skip_serializing_if = "Drops::is_empty")]
    pub drops: Drops,
    /// Bytes that wait for the sink to take them; in the record none do.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waiting: u64,
    /// Bytes kept out on purpose, over `--log-global-size-max`.
    pub withheld: u64,
}

/// Output that a sink has not logged, by the reason; absent where there was none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drops {
    /// More than `--log-rate` allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Amount>,
    /// There was no room: a full disk, a journal whose queue is full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<Amount>,
    /// The sink failed: a file that was removed or cannot be written, a journal that nobody listens to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Amount>,
}

impl Drops {
    fn is_empty(&self) -> bool {
        *self == Drops::default()
    }
}

/// An amount of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Bytes.
    pub bytes: u64,
    /// Ends of lines among them.
    pub lines: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

names! {
    /// When a hook of the supervisor's own runs.
    pub enum HookStage {
        /// The container is created.
        Created = "created",
        /// Its program is started.
        Started = "started",
        /// It has ended, and the record is on disk.
        Exited = "exited",
        /// The runtime has deleted it.
        Deleted = "deleted",
    }
}

/// What came of a hook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HookOutcome {
    /// When it ran.
    pub stage: HookStage,
    /// The program.
    pub path: String,
    /// When it was started.
    pub started: Timestamp,
    /// How long it ran, in milliseconds.
    pub duration_ms: u64,
    /// How it ended; `timed_out` if its time was up. Absent if it could not be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// Why it could not be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The last of what it wrote, [`crate::limits::HOOK_OUTPUT_MAX`] bytes at most; what is not UTF-8
    /// is replaced.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
}

/// What came of the runtime's `delete`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Teardown {
    /// When it was over.
    pub time: Timestamp,
    /// How the runtime ended. Absent if it could not be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// Its error text, or why it could not be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
