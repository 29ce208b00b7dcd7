//! What callers can observe of conward, with a runtime that does as it is told. Those that look into
//! the supervisor, at its descriptors say, need root, if only of a user namespace; without it some others make one.
//!
//! With `CONWARD_BIN=/usr/bin/conmon` the same tests look at the reference: most of them pass, and
//! those that fail there are the faults which conward does not repeat.

mod attach;
mod call;
mod create;
mod ctl;
mod exec;
mod exit;
mod failing;
mod full;
mod hook;
mod lagging;
mod logs;
mod options;
mod paths;
mod quiet;
mod regression;
mod shared;
mod stdin;
mod terminal;

use conward_testkit::{Place, conward};

/// A place for a container that conward looks after.
fn place() -> Place {
    Place::new(conward())
}
