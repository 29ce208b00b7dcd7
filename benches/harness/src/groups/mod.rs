//! What is measured, a module a group.

mod attach;
mod busy;
mod exec;
mod flow;
mod idle;
mod journal;
mod launches;
mod log;
mod many;
mod pty;
mod requests;
mod start;
mod used;

use crate::series::Series;
use crate::{Bench, Result};

/// Measures all figures of a group.
pub type Group = fn(&Bench) -> Result<Vec<Series>>;

/// All groups, by the names that `--only` takes.
pub const ALL: [(&str, Group); 12] = [
    ("log", log::run),
    ("journal", journal::run),
    ("attach", attach::run),
    ("pty", pty::run),
    ("start", start::run),
    ("exec", exec::run),
    ("launches", launches::run),
    ("many", many::run),
    ("idle", idle::run),
    ("used", used::run),
    ("requests", requests::run),
    ("busy", busy::run),
];
