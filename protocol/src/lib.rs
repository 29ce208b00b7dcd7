//! What a supervisor and those who talk to it have in common: pure data and codecs.
//!
//! Nothing here holds a descriptor, reads a clock or allocates without a bound, but for the module
//! `client`, which is built on request (feature `client`). The text for implementers in any
//! language is `PROTOCOL.md`, and `vectors/` holds lines to test an implementation with.

#![forbid(unsafe_code)]

#[macro_use]
mod names;

mod base64;
pub mod body;
#[cfg(feature = "client")]
pub mod client;
pub mod codec;
pub mod event;
mod exit;
mod greeting;
pub mod k8s;
pub mod limits;
mod line;
mod op;
pub mod record;
mod reply;
pub mod request;
mod signal;
mod state;
mod time;

pub use body::Body;
pub use event::{Cause, Event, What};
pub use exit::Exit;
pub use greeting::Greeting;
pub use line::{Line, Lines};
pub use op::Op;
pub use record::Record;
pub use reply::{ErrorCode, Failure, Outcome, Reply, Tag};
pub use request::Request;
pub use signal::Signal;
pub use state::{State, Step};
pub use time::Timestamp;

/// The version of the protocol, told in the greeting.
pub const PROTOCOL: u32 = 1;

/// The control socket, in the control directory of the container.
pub const SOCKET_FILE: &str = "control.sock";
/// The last state, as [`body::State`], in the control directory of the container. It is replaced
/// whole at each transition, and readable without any process.
pub const STATE_FILE: &str = "state.json";
/// The exit record, as [`Record`], in the control directory of the container.
pub const RECORD_FILE: &str = "exit.json";
/// The annotation under which hooks at `exited` and `deleted` find the exit record, as JSON text.
pub const RECORD_ANNOTATION: &str = "conward.exit-record";
/// The annotation of the image that names the signal of `stop`.
pub const STOP_SIGNAL_ANNOTATION: &str = "org.opencontainers.image.stopSignal";
