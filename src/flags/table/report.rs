//! How the supervisor runs and speaks.

use super::{Flag, Set};

pub(super) static FLAGS: &[Flag] = &[
    Flag::switch("api-version", |w| &mut w.api_version).says(
        "Report to the caller in the newer words",
        "Report the pid, and for an exec later the exit code, under the key `data`. Despite its name it takes \
         no value; callers send a `1` after it, which is ignored as every positional word is.",
    ),
    Flag::switch("sync", |w| &mut w.sync).says(
        "Stay a child of the caller",
        "Do not fork: the caller's child is the supervisor itself, which ends with the container's exit \
         status. `--conmon-pidfile` is then not written.",
    ),
    Flag::text("conmon-pidfile", "FILE", |w| &mut w.conmon_pidfile).short(b'P').says(
        "File for the supervisor's pid",
        "The supervisor's own pid is written here, in decimal without a newline, before the process that the \
         caller started exits with 0.",
    ),
    Flag::text("control-dir", "DIR", |w| &mut w.control_dir).says(
        "Directory below which the control socket is made",
        "The control socket is `DIR/ID/control.sock`. Without this option DIR is `/run/conward` for root and \
         `$XDG_RUNTIME_DIR/conward` for others. Where it cannot be made the supervisor goes on without; an \
         empty DIR asks for none. An exec session has none.",
    ),
    Flag::text("log-level", "LEVEL", |w| &mut w.log_level).default("warning").says(
        "Least important diagnostics that are printed",
        "One of `error`, `warning`, `info`, `debug`, `trace`, in any case; `fatal` and `panic` mean `error`, \
         `warn` means `warning`. It is about the supervisor's own diagnostics, not the container's output.",
    ),
    Flag::switch("syslog", |w| &mut w.syslog).says(
        "Send diagnostics to syslog too",
        "Send diagnostics to syslog(3) too. Standard error is gone once the supervisor has left its caller, so \
         without this its later diagnostics are lost.",
    ),
    Flag::switch("version", |w| &mut w.version).says(
        "Print the version and exit",
        "Print the version of the command line that is understood, as `conmon version` and three numbers, then \
         the commit and version of this program, and exit.",
    ),
    Flag::new("help", "", Set::Help).short(b'h').says("Print this help and exit", "Print help and exit."),
    Flag::new("help-all", "", Set::Help).short(b'?').hidden(),
];
