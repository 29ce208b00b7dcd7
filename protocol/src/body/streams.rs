//! What `attach` and `exec` answer.

use serde::{Deserialize, Serialize};

use crate::request::Stream;

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
