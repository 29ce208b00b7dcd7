//! What the supervisor says first.

use serde::{Deserialize, Serialize};

use crate::{State, Step};

/// The first line on a connection, written before anything is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Greeting {
    /// The version of the protocol: [`crate::PROTOCOL`]. A client that does not know it closes.
    pub protocol: u32,
    /// The version of the supervisor.
    pub version: String,
    /// Id of the container.
    pub id: String,
    /// Where the container is in its life.
    pub state: State,
    /// In `stopped` and `deleted`: how far the supervisor is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// The first process of the container, while it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The supervisor's own process.
    pub supervisor: i32,
    /// The number of this client, by which events name it.
    pub client: u64,
    /// The sequence number of the last event, 0 before the first.
    pub seq: u64,
    /// The names of the operations that this supervisor knows.
    pub ops: Vec<String>,
}
