//! Commands that pass streams.

use std::path::PathBuf;

use clap::Args;

use super::Create;
use crate::terminal::DETACH_KEYS;

/// `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Leave it to its supervisor, and print its id
    #[arg(short, long)]
    pub detach: bool,
    /// Use the terminal; process.terminal of the bundle must be true
    #[arg(short, long, conflicts_with = "detach")]
    pub tty: bool,
    /// Keys that leave the container and let it run on; empty for none
    #[arg(long, value_name = "KEYS", default_value = DETACH_KEYS)]
    pub detach_keys: String,
    /// The container
    #[command(flatten)]
    pub create: Create,
}

/// `attach`.
#[derive(Debug, Args)]
pub struct Attach {
    /// Only watch
    #[arg(long)]
    pub no_stdin: bool,
    /// Keep signals to this program, where it has no terminal, from the container
    #[arg(long)]
    pub no_sig_proxy: bool,
    /// Begin with the last so many bytes of each stream, 32768 at most
    /// [default: on a terminal what may fill the screen, else 0]
    #[arg(long, value_name = "BYTES")]
    pub replay: Option<u64>,
    /// Keys that leave the container and let it run on; empty for none
    #[arg(long, value_name = "KEYS", default_value = DETACH_KEYS)]
    pub detach_keys: String,
    /// To this exec session, not to the container
    #[arg(long, value_name = "SESSION")]
    pub exec: Option<String>,
    /// The container
    pub id: String,
}

/// `exec`.
#[derive(Debug, Args)]
pub struct Exec {
    /// Pass standard input on
    #[arg(short, long)]
    pub interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Leave it to the supervisor, and print the name of its session
    #[arg(short, long, conflicts_with = "interactive")]
    pub detach: bool,
    /// Set a variable, beside those of the container's process; NAME alone takes its value from here.
    /// May be repeated
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Directory to begin in [default: that of the container's process]
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<PathBuf>,
    /// Name or number, looked up in the container's /etc/passwd and /etc/group [default: that of the
    /// container's process]. Another user than that has no capabilities, unless it is root
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Kill the session after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub timeout: Option<u64>,
    /// Write its output to the container's log too
    #[arg(long)]
    pub log: bool,
    /// Keys that leave the session and let it run on; empty for none
    #[arg(long, value_name = "KEYS", default_value = DETACH_KEYS)]
    pub detach_keys: String,
    /// The container
    pub id: String,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}
