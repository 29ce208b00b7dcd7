//! What a launch is made of. `supervisor::run` puts it together, from top to bottom.

mod detach;
mod outcome;
mod runtime;
mod stdio;

pub use detach::{Launcher, detach, release_stdio};
pub use outcome::{failure_text, forget_pid_file, read_pid};
pub use runtime::{argv, exec_argv, listen_pid};
pub use stdio::{Streams, ends};
