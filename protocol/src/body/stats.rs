//! What `ps` and `stats` answer.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::record::{SinkCount, StreamCount};

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

fn is_zero(number: &u64) -> bool {
    *number == 0
}
