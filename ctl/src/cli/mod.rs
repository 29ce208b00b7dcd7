//! The command line. Help, completions and the manual page are made from these types.

mod filter;
mod streams;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use conward_protocol::{Signal, Timestamp, request};

use crate::logs::since;
pub use filter::Filter;
pub use streams::{Attach, Exec, Run};

/// Create, run and look after containers under conward.
///
/// Each container has a supervisor of its own, conward(8), and each supervisor a control socket
/// below the control directory. conwardctl finds them there, and asks them. It keeps nothing of its
/// own: it may end at any time, and another can go on.
///
/// An ID may be shortened as long as only one container begins with it.
#[derive(Debug, Parser)]
#[command(name = "conwardctl", version, max_term_width = 100, subcommand_required = true)]
pub struct Cli {
    /// Directory that holds the directories of the supervisors
    ///
    /// Default: /run/conward for root, $XDG_RUNTIME_DIR/conward for others.
    #[arg(long, global = true, value_name = "DIR")]
    pub control_dir: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List all containers that have a supervisor, or had one
    ///
    /// One whose supervisor has ended with it is shown as stopped, without a supervisor; one whose
    /// supervisor was killed, as dead.
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Print what the supervisor knows of a container, as JSON
    #[command(visible_alias = "inspect")]
    State {
        /// The container
        id: String,
    },
    /// Create a container from a bundle, and leave it to its supervisor
    Create(Create),
    /// Create a container, start it, and pass its output, input and exit status through
    Run(Run),
    /// Pass output, input and exit status of a container through
    Attach(Attach),
    /// Run another process in a container
    Exec(Exec),
    /// Start the program of created containers
    Start {
        /// The containers
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Send a signal to containers
    Kill(Kill),
    /// End containers: politely first, and by force when the grace time is over
    Stop(Stop),
    /// Freeze containers
    Pause {
        /// The containers
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Let paused containers go on
    #[command(visible_alias = "unpause")]
    Resume {
        /// The containers
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Change the resource limits of a container
    Update(Update),
    /// List the processes of a container
    #[command(visible_alias = "top")]
    Ps {
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// The container
        id: String,
    },
    /// Print what the runtime and the supervisor have counted, as JSON
    Stats {
        /// The container
        id: String,
    },
    /// Print the supervisor's own diagnostics, and set how much it says
    Debug(Debug),
    /// Wait for the end of a container, print its exit status, and exit with it
    Wait {
        /// What to wait for
        #[arg(long, value_enum, default_value_t)]
        stage: Stage,
        /// Of this exec session, not of the container
        #[arg(long, value_name = "SESSION", conflicts_with = "stage")]
        exec: Option<String>,
        /// The container
        id: String,
    },
    /// Print what has happened to a container
    Events(Events),
    /// Print the log of a container
    Logs(Logs),
    /// Have the runtime delete containers, and remove what their supervisors have kept
    #[command(visible_alias = "rm")]
    Delete(Delete),
    /// Write the processes of a container to disk, by the runtime and criu(8)
    Checkpoint(Checkpoint),
    /// Create a container from a checkpoint; it runs on at once
    Restore(Restore),
    /// Print a script that completes command lines
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// A stage of the end.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Stage {
    /// The exit status is known
    #[default]
    Exited,
    /// The exit record is on disk
    Recorded,
    /// Hooks and teardown are done
    Deleted,
}

impl From<Stage> for request::Stage {
    fn from(stage: Stage) -> request::Stage {
        match stage {
            Stage::Exited => request::Stage::Exited,
            Stage::Recorded => request::Stage::Recorded,
            Stage::Deleted => request::Stage::Deleted,
        }
    }
}

fn signal(text: &str) -> Result<Signal, String> {
    Signal::parse(text).ok_or_else(|| "expected a name (TERM, SIGTERM, RTMIN+1) or 1 to 64".to_owned())
}

/// `ls`.
#[derive(Debug, Args)]
pub struct Ls {
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Print ids only
    #[arg(short, long, conflicts_with = "format")]
    pub quiet: bool,
    /// Only those with state=STATE (or dead), or annotation=NAME[=VALUE]; any of several states will do
    #[arg(short, long = "filter", value_name = "FILTER", value_parser = filter::read)]
    pub filters: Vec<Filter>,
}

/// What it takes to create a container.
#[derive(Debug, Args)]
pub struct Create {
    /// Directory of the OCI bundle
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// The supervisor [default: conward beside this program, else in PATH]
    #[arg(long, value_name = "PATH")]
    pub conward: Option<PathBuf>,
    /// The OCI runtime [default: runc, else crun, in PATH]
    #[arg(long, value_name = "PATH")]
    pub runtime: Option<PathBuf>,
    /// An argument of the runtime, before its subcommand; may be repeated
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub runtime_arg: Vec<String>,
    /// Where the output is logged: k8s-file:PATH, journald or none; may be repeated
    /// [default: k8s-file:BUNDLE/ctr.log]
    #[arg(long, value_name = "DRIVER[:PATH]")]
    pub log: Vec<String>,
    /// An option of the supervisor, as conward(8) has it; may be repeated
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    pub conward_arg: Vec<String>,
    /// Have the supervisor delete the container when it has ended, and leave nothing
    #[arg(long)]
    pub rm: bool,
    /// Give it a standard input, for those who attach
    #[arg(short, long)]
    pub interactive: bool,
    /// The container
    pub id: String,
}

/// `checkpoint`.
#[derive(Debug, Args)]
pub struct Checkpoint {
    /// Directory of the image
    #[arg(long, value_name = "DIR", default_value = "checkpoint")]
    pub image_path: PathBuf,
    /// Directory of criu's logs [default: the runtime's choice]
    #[arg(long, value_name = "DIR")]
    pub work_path: Option<PathBuf>,
    /// Let the container run on
    #[arg(short = 'R', long)]
    pub leave_running: bool,
    /// Allow open TCP connections
    #[arg(long)]
    pub tcp_established: bool,
    /// Allow file locks
    #[arg(long)]
    pub file_locks: bool,
    /// The container
    pub id: String,
}

/// `restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// Directory of the image
    #[arg(long, value_name = "DIR", default_value = "checkpoint")]
    pub image_path: PathBuf,
    /// Allow open TCP connections
    #[arg(long)]
    pub tcp_established: bool,
    /// Allow file locks
    #[arg(long)]
    pub file_locks: bool,
    /// The container
    #[command(flatten)]
    pub create: Create,
}

/// `kill`.
#[derive(Debug, Args)]
pub struct Kill {
    /// The signal, by name or number
    #[arg(short, long, default_value = "KILL", value_parser = signal)]
    pub signal: Signal,
    /// Send it to every process, not only the first
    #[arg(short, long, conflicts_with = "exec")]
    pub all: bool,
    /// Send it to this exec session
    #[arg(long, value_name = "SESSION")]
    pub exec: Option<String>,
    /// The containers
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
}

/// `stop`.
#[derive(Debug, Args)]
pub struct Stop {
    /// The grace time in seconds; 0 kills at once [default: 10]
    #[arg(short, long = "time", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=31_536_000))]
    pub timeout: Option<u64>,
    /// The polite signal [default: that of the image, else TERM]
    #[arg(short, long, value_parser = signal)]
    pub signal: Option<Signal>,
    /// The containers
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
}

/// `delete`.
#[derive(Debug, Args)]
pub struct Delete {
    /// Also if they have not ended: they are killed first
    #[arg(short, long)]
    pub force: bool,
    /// The containers
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
}

/// `update`.
#[derive(Debug, Args)]
pub struct Update {
    /// File with linux.resources of the OCI runtime specification, as JSON; - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub resources: PathBuf,
    /// The container
    pub id: String,
}

/// How much a supervisor says.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Level {
    /// What it could not do
    Error,
    /// What it could not do, and went on without
    Warn,
    /// What it did
    Info,
    /// How it did that
    Debug,
    /// Each step
    Trace,
}

impl From<Level> for request::Level {
    fn from(level: Level) -> request::Level {
        match level {
            Level::Error => request::Level::Error,
            Level::Warn => request::Level::Warn,
            Level::Info => request::Level::Info,
            Level::Debug => request::Level::Debug,
            Level::Trace => request::Level::Trace,
        }
    }
}

/// `debug`.
#[derive(Debug, Args)]
pub struct Debug {
    /// How much it says from now on
    #[arg(long, value_enum)]
    pub level: Option<Level>,
    /// Begin after the line of this number
    #[arg(long, value_name = "N")]
    pub since: Option<u64>,
    /// The container
    pub id: String,
}

/// `events`.
#[derive(Debug, Args)]
pub struct Events {
    /// Go on with what happens from now on, until the container is deleted
    #[arg(short, long)]
    pub follow: bool,
    /// Begin after the event of this number [default: 0 without --follow, else the last]
    #[arg(long, value_name = "N")]
    pub since: Option<u64>,
    /// How to print: json is one object a line
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// The container
    pub id: String,
}

/// `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// Go on with new output, until the container has ended
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last so many lines
    #[arg(short = 'n', long, value_name = "N")]
    pub tail: Option<u64>,
    /// Only what is not older than this: a time (2026-08-01T12:00:00Z), or how long ago (30s, 10m, 1h30m)
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<Timestamp>,
    /// Print times, in UTC
    #[arg(short, long)]
    pub timestamps: bool,
    /// The container
    pub id: String,
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
