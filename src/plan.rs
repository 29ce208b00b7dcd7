//! What was meant: everything the supervisor will do, as plain data, made before anything is
//! forked. Nothing below the front knows which words on the command line led here.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use conward_protocol::record::HookStage;

/// The whole task of one supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Which container.
    pub identity: Identity,
    /// What the runtime is asked to do.
    pub verb: Verb,
    /// How the runtime is called.
    pub runtime: RuntimeCall,
    /// The container's standard streams.
    pub stdio: Stdio,
    /// Where its output is kept.
    pub logs: LogPlan,
    /// Where clients attach.
    pub endpoints: Endpoints,
    /// Where its end is recorded.
    pub records: Records,
    /// What the caller is told, and through which descriptors.
    pub report: ReportPlan,
    /// What runs after the end was recorded.
    pub exit_command: Option<ExitCommand>,
    /// What the supervisor does of its own beside that.
    pub lifecycle: Lifecycle,
    /// How long the container may run, counted from its pid on.
    pub timeout: Option<Duration>,
    /// Whether the supervisor leaves its caller's session and process tree before it starts
    /// (`false` with `--sync`), and the file that then names its pid.
    pub detach: Detach,
    /// How the supervisor speaks of itself.
    pub diagnostics: Diagnostics,
}

/// Which container, by the names that callers use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Container id: names the exit file and is the runtime's last argument.
    pub id: String,
    /// Names the directory below [`Endpoints::socket_dir`]. For an exec it is the session's id.
    pub uuid: Option<String>,
    /// The name people gave it; used in journal fields only.
    pub name: Option<String>,
}

/// What the runtime is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `create`: the caller starts the container later, by itself.
    Create,
    /// `restore --image-path IMAGE`; the path may be empty.
    Restore {
        /// The checkpoint image.
        image: String,
    },
    /// `exec --process SPEC` in a container that runs already.
    Exec {
        /// Path of the process description, handed on unopened.
        process: String,
        /// Wait for a second start byte, after the attach socket was announced on
        /// [`ReportPlan::attach_pipe`], before the runtime is spawned.
        gated: bool,
    },
}

/// The call of the OCI runtime, without what depends on the moment (the console socket).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeCall {
    /// Path of the program; no PATH search.
    pub program: String,
    /// `--systemd-cgroup` (create and restore only).
    pub systemd_cgroup: bool,
    /// `--no-pivot` (create and restore only).
    pub no_pivot: bool,
    /// `--no-new-keyring` (create and restore only).
    pub no_new_keyring: bool,
    /// Arguments before the subcommand.
    pub global_args: Vec<String>,
    /// Arguments of the subcommand.
    pub options: Vec<String>,
    /// `--bundle`, and the directory of the endpoints. An exec may have none.
    pub bundle: Option<String>,
    /// `--pid-file`: written by the runtime, read back by the supervisor.
    pub pid_file: String,
    /// Rewrite `LISTEN_PID` to the runtime's pid whatever it was.
    pub replace_listen_pid: bool,
}

/// The container's standard streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdio {
    /// A pipe each for stdout and stderr, and for stdin if wanted (else /dev/null).
    Pipes {
        /// Give the container a stdin pipe.
        stdin: bool,
        /// Do not close that pipe when an attached client closes its input.
        leave_open: bool,
    },
    /// A terminal, whose master end the runtime sends over the console socket.
    Terminal {
        /// The client's end of input ends the input direction for good.
        stdin: bool,
        /// ... unless this is set.
        leave_open: bool,
    },
    /// The supervisor's own descriptors 0 to 2 go to the runtime; no attach, no fifos, no log.
    Passthrough,
}

/// The log sinks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPlan {
    /// The `k8s-file` sink.
    pub file: Option<FileLog>,
    /// The `journald` sink.
    pub journal: Option<JournalLog>,
    /// What holds for each stream in each of them, by the numbers of the streams.
    pub limits: [LogLimits; 2],
}

/// What becomes of a stream's output that a log does not take at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogLimits {
    /// `None`: what each sink does of itself; over the rate, [`LogPolicy::Block`].
    pub policy: Option<LogPolicy>,
    /// How fast it may be logged. `None`: as fast as it comes.
    pub rate: Option<LogRate>,
}

/// What to do with output that a log does not take, or not so fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogPolicy {
    /// Do not read the stream meanwhile.
    Block,
    /// Keep what arrives within a bound, and lose what has waited longest.
    DropOldest,
    /// Lose what arrives.
    DropNewest,
}

/// How fast a stream may be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRate {
    /// Bytes a second, at least 1.
    pub bytes: u32,
    /// Bytes that may be logged at once after a pause, at least 1.
    pub burst: u32,
}

/// A log file of `k8s-file` records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLog {
    /// The file.
    pub path: PathBuf,
    /// Bytes after which the file is reopened or rotated. `None`: unlimited.
    pub size_max: Option<u64>,
    /// Bytes, over all reopened files, after which nothing more is logged. `None`: unlimited.
    pub global_max: Option<u64>,
    /// Old files to keep (at least 1) when rotating. `None`: the file is replaced by an empty one.
    pub keep: Option<u32>,
    /// Directories that the file must be in or below. Empty: anywhere.
    pub allowed_dirs: Vec<PathBuf>,
    /// fsync(2) when the container has ended.
    pub sync: bool,
}

/// The native protocol of systemd-journald.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalLog {
    /// `CONTAINER_TAG`, and the syslog identifier.
    pub tag: Option<String>,
    /// Fields added to each entry, `LABEL=VALUE`, already checked.
    pub labels: Vec<String>,
    /// Mark incomplete lines with `CONTAINER_PARTIAL_MESSAGE=true`.
    pub mark_partial: bool,
    /// Take a leading `<0>` … `<7>` off a line as its PRIORITY.
    pub priority_prefix: bool,
}

/// Where clients find the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Directory in which `<uuid>` links to the bundle. `None`: no link (`--full-attach`).
    pub socket_dir: Option<String>,
    /// The host's notify socket, to which the container's readiness is relayed: a path, or
    /// `@name` for an abstract one.
    pub notify: Option<String>,
    /// Directory of the console socket: `$TMPDIR`, else `/tmp`.
    pub console_dir: PathBuf,
    /// Directory of the control socket, for this container alone. `None`: no such socket.
    pub control_dir: Option<PathBuf>,
}

/// Files that record the container's end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Receives `exit` and `oom`.
    pub persist_dir: Option<PathBuf>,
    /// Receives a file named by the container id.
    pub exit_dir: Option<PathBuf>,
}

/// The words in which a pid or a failure is reported to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportForm {
    /// `{"pid": N}`: create and restore.
    Pid,
    /// `{"exit_code": N}`, once, at the end: exec.
    ExitCode,
    /// `{"data": N}`: the pid, and for an exec later the exit code.
    Data,
}

/// The pipes that the caller handed over, by number; adopted once, before anything else is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportPlan {
    /// The words.
    pub form: ReportForm,
    /// `_OCI_SYNCPIPE`: where messages go. Absent: nothing is reported.
    pub sync_pipe: Option<RawFd>,
    /// `_OCI_STARTPIPE`: one read, whose return (even at end of file) means "go".
    pub start_pipe: Option<RawFd>,
    /// `_OCI_ATTACHPIPE`: told when the attach socket is ready, before a gated exec.
    pub attach_pipe: Option<RawFd>,
}

/// A program run after the end was recorded, and also after a failed launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitCommand {
    /// Path of the program; no PATH search.
    pub program: String,
    /// Its arguments after the program's name.
    pub args: Vec<String>,
    /// How long to wait before it is started.
    pub delay: Duration,
}

/// What the supervisor does of its own beside the container, and when that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifecycle {
    /// The control directory stays, until somebody asks for the delete; and so does the supervisor, while
    /// somebody is connected. Needs [`Endpoints::control_dir`].
    pub keep_state: bool,
    /// The runtime is to delete the container.
    pub delete_on_exit: bool,
    /// What is run at the stages of its life; those of a stage in this order.
    pub hooks: Vec<Hook>,
    /// Hooks of the stage `exited`, of which there are some, get the namespaces of the container.
    pub pin_namespaces: bool,
}

impl Lifecycle {
    /// The hooks of this stage, in their order.
    pub fn hooks_at(&self, stage: HookStage) -> impl Iterator<Item = &Hook> {
        self.hooks.iter().filter(move |hook| hook.stage == stage)
    }
}

/// A program that is run at a stage of the container's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// When.
    pub stage: HookStage,
    /// Path of the program, absolute.
    pub path: String,
    /// How long it may take; then it is killed.
    pub timeout: Duration,
}

/// Whether the supervisor leaves its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detach {
    /// It stays the caller's child; no pid file is written.
    No,
    /// It becomes a grandchild in a session of its own, whose pid this file names.
    Yes {
        /// The file for the supervisor's pid: decimal, no newline.
        pid_file: Option<PathBuf>,
    },
}

/// How the supervisor speaks of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    /// The least important level that is still printed.
    pub level: log::LevelFilter,
    /// Also send diagnostics to syslog.
    pub syslog: bool,
    /// The name that syslog lines carry: the first 20 characters of `cid` or `cid: tag`.
    pub ident: String,
}

/// A line that the supervisor has said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// When, by the wall clock.
    pub time: SystemTime,
    /// How serious it is.
    pub level: log::Level,
    /// What it says.
    pub message: String,
    /// How many lines there were so far, this one included.
    pub lines: u64,
    /// How many of those were of level `warn` or `error`.
    pub warnings: u64,
}

/// One of the two output streams of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output, and all output of a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The name in log records.
    pub fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}
