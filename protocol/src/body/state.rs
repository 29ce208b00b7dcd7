//! What `state` answers, and what the state file holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::Times;
use crate::{Exit, Step, Timestamp};

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
    /// The names of the capabilities that the supervisor holds (capabilities(7)); none: it has no privileges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// The bundle's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// The runtime's program.
    pub runtime: String,
    /// Its arguments before the name of a command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runtime_args: Vec<String>,
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
