//! Requests: what a client can ask for.

mod choice;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Op, Signal, State, Timestamp};
pub use choice::{Level, Stage, Stdin, Stream};

/// A request, without its tag.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Request {
    /// Answered by [`crate::body::State`].
    State,
    /// Answered by [`crate::body::Started`].
    Start,
    /// Answered by [`crate::body::Done`].
    Kill(Kill),
    /// Answered by [`crate::body::Stopped`], when the container has ended.
    Stop(Stop),
    /// Answered by [`crate::body::Done`].
    Pause,
    /// Answered by [`crate::body::Done`].
    Resume,
    /// Answered by [`crate::body::Done`].
    Update(Update),
    /// Answered by [`crate::body::Done`].
    Resize(Resize),
    /// Answered by [`crate::body::Attached`], with descriptors.
    Attach(Attach),
    /// Answered by [`crate::body::Done`].
    CloseStdin(CloseStdin),
    /// Answered by [`crate::body::ExecStarted`], with descriptors, when the process runs.
    Exec(Exec),
    /// Answered by [`crate::body::Processes`].
    Ps,
    /// Answered by [`crate::body::Stats`].
    Stats,
    /// Answered by [`crate::body::Waited`], when that stage is reached.
    Wait(Wait),
    /// Answered by [`crate::body::Subscribed`]; events follow.
    Subscribe(Subscribe),
    /// Records of the log come first ([`crate::body::LogRecord`]), [`crate::body::LogEnd`] last.
    Logs(Logs),
    /// Answered by [`crate::body::Reopened`].
    ReopenLogs,
    /// Answered by [`crate::body::Checkpointed`].
    Checkpoint(Checkpoint),
    /// Answered by [`crate::body::Removed`], after which the supervisor ends.
    Delete(Delete),
    /// Answered by [`crate::body::Diagnostics`].
    Debug(Debug),
    /// Answered by [`crate::body::Upgraded`], by the new program.
    Upgrade(Upgrade),
}

/// Send a signal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kill {
    /// Which.
    pub signal: Signal,
    /// To every process of the container, not only the first.
    #[serde(default, skip_serializing_if = "is_false")]
    pub all: bool,
    /// To the process of this exec session instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<String>,
}

/// Stop signal, grace time, then freeze, KILL all, thaw, reap.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// The polite signal. Default: the annotation [`crate::STOP_SIGNAL_ANNOTATION`], else TERM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// Grace time in milliseconds, 0 for none. Default: [`crate::limits::STOP_TIMEOUT_MS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// Change resource limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// `linux.resources` of the OCI runtime specification, handed to the runtime.
    pub resources: Map<String, Value>,
}

/// Set the size of a terminal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resize {
    /// Rows of characters.
    pub rows: u16,
    /// Characters in a row.
    pub cols: u16,
    /// The terminal of this exec session instead of the container's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<String>,
}

/// Get descriptors of the streams.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attach {
    /// The output to hear, both if not given. May be empty if the client writes.
    #[serde(default = "both")]
    pub streams: Vec<Stream>,
    /// What to do to the input. Default: nothing.
    #[serde(default = "no_stdin", skip_serializing_if = "writes_nothing")]
    pub stdin: Stdin,
    /// The last so many bytes of each stream as well, as far as they are still held (see
    /// [`crate::limits::REPLAY_MAX`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<u64>,
    /// The streams of this exec session instead of the container's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<String>,
}

/// End the input of a process, whoever else still writes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CloseStdin {
    /// Of this exec session instead of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<String>,
}

/// Run another process in the container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exec {
    /// `process` of the OCI runtime specification, handed to the runtime. `process.terminal` decides
    /// whether the session has a terminal.
    pub process: Map<String, Value>,
    /// The name of the session: letters, digits, `_`, `.`, `-`, at most
    /// [`crate::limits::EXEC_ID_MAX`]. Default: the supervisor makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The output to hear from its first byte on. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<Stream>,
    /// What to do to the input; with `none` the process has `/dev/null`. Default: none.
    #[serde(default = "no_stdin", skip_serializing_if = "writes_nothing")]
    pub stdin: Stdin,
    /// How long it may run, in milliseconds; then the whole session is killed. Default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Whether its output goes to the container's log too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub log: bool,
}

/// Answer when a stage of the end is reached, or at once if it has been.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    /// Which. Default: exited.
    #[serde(default = "exited")]
    pub stage: Stage,
    /// Of this exec session (its only stage is `exited`) instead of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<String>,
}

/// Hear events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Subscribe {
    /// The last event that the client knows of: all after it come first, as far as the ring still
    /// holds them. 0: all there are. Default: new ones only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

/// Read the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Logs {
    /// Go on with new records, until all output is drained.
    #[serde(default, skip_serializing_if = "is_false")]
    pub follow: bool,
    /// The last so many lines only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<u64>,
    /// Not what is older than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// This stream only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<Stream>,
}

/// Write the processes to disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Directory of the image, an absolute path.
    pub image: String,
    /// Directory of criu's logs, an absolute path. Default: the runtime's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<String>,
    /// Let the container run on.
    #[serde(default, skip_serializing_if = "is_false")]
    pub leave_running: bool,
    /// Allow open TCP connections.
    #[serde(default, skip_serializing_if = "is_false")]
    pub tcp_established: bool,
    /// Allow file locks.
    #[serde(default, skip_serializing_if = "is_false")]
    pub file_locks: bool,
}

/// Have the runtime delete the container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delete {
    /// Also if it has not ended: it is killed first.
    #[serde(default, skip_serializing_if = "is_false")]
    pub force: bool,
}

/// Read the supervisor's own diagnostics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Debug {
    /// From now on, how much it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Only lines after this one. Default: all that are held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

/// Replace the supervisor's program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Upgrade {
    /// The new program, an absolute path. Default: the path it was started by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Request {
    /// Which operation it asks for.
    pub fn op(&self) -> Op {
        match self {
            Request::State => Op::State,
            Request::Start => Op::Start,
            Request::Kill(_) => Op::Kill,
            Request::Stop(_) => Op::Stop,
            Request::Pause => Op::Pause,
            Request::Resume => Op::Resume,
            Request::Update(_) => Op::Update,
            Request::Resize(_) => Op::Resize,
            Request::Attach(_) => Op::Attach,
            Request::CloseStdin(_) => Op::CloseStdin,
            Request::Exec(_) => Op::Exec,
            Request::Ps => Op::Ps,
            Request::Stats => Op::Stats,
            Request::Wait(_) => Op::Wait,
            Request::Subscribe(_) => Op::Subscribe,
            Request::Logs(_) => Op::Logs,
            Request::ReopenLogs => Op::ReopenLogs,
            Request::Checkpoint(_) => Op::Checkpoint,
            Request::Delete(_) => Op::Delete,
            Request::Debug(_) => Op::Debug,
            Request::Upgrade(_) => Op::Upgrade,
        }
    }

    /// The states in which this request is possible: those of its operation, or only `stopped` for a
    /// `delete` without `force`. An exec session that has ended may be waited for in the same states.
    pub fn states(&self) -> &'static [State] {
        match self {
            Request::Delete(Delete { force: false }) => &[State::Stopped],
            _ => self.op().states(),
        }
    }

    /// Whether this request is possible in this state.
    pub fn allowed_in(&self, state: State) -> bool {
        self.states().contains(&state)
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn both() -> Vec<Stream> {
    Stream::ALL.to_vec()
}

fn no_stdin() -> Stdin {
    Stdin::None
}

fn writes_nothing(stdin: &Stdin) -> bool {
    *stdin == Stdin::None
}

fn exited() -> Stage {
    Stage::Exited
}
