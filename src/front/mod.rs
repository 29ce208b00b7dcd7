//! Argv and environment become a [`Plan`]. Nothing after this knows which words were used.
//!
//! The checks stand in the order of the reference, because callers show the first message to their
//! users. All of them are made before anything is forked, opened or created.

mod bundle;
mod control;
mod lifecycle;
mod log;
mod log_limits;
mod pipes;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use ::log::LevelFilter;

use crate::error::{Error, reason};
use crate::flags::{self, Charset, Words};
use crate::plan::{
    Detach, Diagnostics, Endpoints, ExitCommand, Identity, Plan, Records, ReportForm, ReportPlan,
    RuntimeCall, Stdio, Verb,
};

/// A look at one variable of the environment.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// What the caller asked for.
#[derive(Debug)]
pub enum Asked {
    /// Print [`flags::render::help`] on standard output and exit with 0.
    Help,
    /// Print [`flags::render::version`] on standard output and exit with 0.
    Version,
    /// The words cannot be read: print this on standard *output* and exit with 1. The reference
    /// (2.1.6) prints this one error there, and all others on standard error.
    Unreadable(Error),
    /// Supervise a container.
    Run {
        /// What to do.
        plan: Box<Plan>,
        /// Remarks on the command line, for the log once there is one.
        warnings: Vec<String>,
    },
}

/// What the caller asked for with `args` (without the program's name) and the environment.
///
/// # Errors
/// The first check that failed; to be printed on standard error, with exit status 1.
#[inline(never)]
pub fn ask(args: impl IntoIterator<Item = OsString>, env: Env<'_>) -> Result<Asked, Error> {
    let words = match flags::parse(args, &Charset::from_env(env)) {
        Ok(words) => words,
        Err(error) => return Ok(Asked::Unreadable(error)),
    };
    if words.help {
        return Ok(Asked::Help);
    }
    if words.version {
        return Ok(Asked::Version);
    }
    let ignores_partial = words.no_container_partial_message;
    let plan = Box::new(plan(words, env)?);
    let mut warnings = Vec::new();
    if ignores_partial && plan.logs.journal.is_none() {
        warnings
            .push("--no-container-partial-message has no effect without the journald log driver".to_owned());
    }
    Ok(Asked::Run { plan, warnings })
}

/// Everything the supervisor will do, checked as far as that is possible without doing it.
///
/// # Errors
/// [`Error::Usage`] where the reference prints `conmon: TEXT`, [`Error::Fatal`] for every later
/// check.
pub fn plan(words: Words, env: Env<'_>) -> Result<Plan, Error> {
    check_rotation(&words)?;
    let id = words.cid.clone().ok_or_else(|| Error::Usage("Container ID not provided. Use --cid".into()))?;
    let level = level(words.log_level.as_deref().unwrap_or_default())?;
    check_exec(&words)?;
    let program = runtime(&words)?;
    let verb = verb(&words)?;
    let exit_delay = exit_delay(&words)?;
    let (logs, passthrough) = log::plan(&words, &id)?;
    let bundle = bundle::directory(&words)?;
    let pid_file = bundle::pid_file(&words, &id)?;
    let pipes = pipes::from_env(env, words.exec && words.exec_attach)?;
    let control_dir = control::directory(words.control_dir.as_deref(), words.exec, &id, env);
    let lifecycle = lifecycle::plan(&words, control_dir.is_some())?;

    // An option that names nothing is as good as absent: an empty exit directory would otherwise
    // put files into the working directory, or, as the reference does, into the root directory.
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let linked = !words.full_attach && !passthrough && bundle.is_some() && words.cuuid.is_some();
    Ok(Plan {
        report: ReportPlan { form: report_form(&words), ..pipes },
        stdio: stdio(&words, passthrough),
        verb,
        runtime: RuntimeCall {
            program,
            systemd_cgroup: words.systemd_cgroup && !words.exec,
            no_pivot: words.no_pivot && !words.exec,
            no_new_keyring: words.no_new_keyring && !words.exec,
            global_args: words.runtime_arg,
            options: words.runtime_opt,
            bundle,
            pid_file,
            replace_listen_pid: words.replace_listen_pid,
        },
        logs,
        endpoints: Endpoints {
            socket_dir: words.socket_dir_path.filter(|_| linked),
            notify: given(words.sdnotify_socket),
            console_dir: env("TMPDIR").filter(|dir| !dir.is_empty()).unwrap_or("/tmp".into()).into(),
            control_dir,
        },
        records: Records {
            persist_dir: given(words.persist_dir).map(PathBuf::from),
            exit_dir: given(words.exit_dir).map(PathBuf::from),
        },
        exit_command: given(words.exit_command).map(|program| ExitCommand {
            program,
            args: words.exit_command_arg,
            delay: exit_delay,
        }),
        lifecycle,
        timeout: u64::try_from(words.timeout).ok().filter(|&seconds| seconds > 0).map(Duration::from_secs),
        detach: match words.sync {
            true => Detach::No,
            false => Detach::Yes { pid_file: words.conmon_pidfile.map(PathBuf::from) },
        },
        diagnostics: Diagnostics { level, syslog: words.syslog, ident: ident(&id, words.log_tag.as_deref()) },
        identity: Identity { id, uuid: words.cuuid, name: words.name },
    })
}

fn fatal(text: impl Into<String>) -> Error {
    Error::Fatal(text.into())
}

fn check_rotation(words: &Words) -> Result<(), Error> {
    match words.log_max_files {
        count if count < 0 => Err(Error::Usage(format!("log-max-files must be non-negative, got {count}"))),
        count if count < 1 && words.log_rotate => Err(Error::Usage(format!(
            "log-max-files must be at least 1 when log-rotate is enabled, got {count}"
        ))),
        _ => Ok(()),
    }
}

fn level(name: &str) -> Result<LevelFilter, Error> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "error" | "fatal" | "panic" => LevelFilter::Error,
        "warn" | "warning" => LevelFilter::Warn,
        "info" => LevelFilter::Info,
        "debug" => LevelFilter::Debug,
        "trace" => LevelFilter::Trace,
        _ => return Err(fatal(format!("No such log level {name}"))),
    })
}

fn check_exec(words: &Words) -> Result<(), Error> {
    if words.exec && words.restore.is_some() {
        return Err(fatal("Cannot use 'exec' and 'restore' at the same time"));
    }
    if words.exec_attach && !words.exec {
        return Err(fatal("Attach can only be specified with exec"));
    }
    if words.exec_attach && !words.api_version {
        return Err(fatal("Attach can only be specified for a non-legacy exec session"));
    }
    if words.cuuid.is_none() && (!words.exec || words.api_version) {
        return Err(fatal("Container UUID not provided. Use --cuuid"));
    }
    Ok(())
}

/// The runtime, which access(2) must call executable. A directory passes, as for the reference.
fn runtime(words: &Words) -> Result<String, Error> {
    let path = words.runtime.clone().ok_or_else(|| fatal("Runtime path not provided. Use --runtime"))?;
    match nix::unistd::access(path.as_str(), nix::unistd::AccessFlags::X_OK) {
        Ok(()) => Ok(path),
        Err(error) => Err(fatal(format!("Runtime path {path} is not valid {}", reason(&error.into())))),
    }
}

fn verb(words: &Words) -> Result<Verb, Error> {
    match (words.exec, words.exec_process_spec.clone(), words.restore.clone()) {
        (true, Some(process), _) => Ok(Verb::Exec { process, gated: words.exec_attach }),
        (true, None, _) => Err(fatal("Exec process spec path not provided. Use --exec-process-spec")),
        (false, _, Some(image)) => Ok(Verb::Restore { image }),
        (false, _, None) => Ok(Verb::Create),
    }
}

fn exit_delay(words: &Words) -> Result<Duration, Error> {
    u64::try_from(words.exit_delay)
        .map(Duration::from_secs)
        .map_err(|_| fatal("Delay before invoking exit command must be greater than or equal to 0"))
}

fn stdio(words: &Words, passthrough: bool) -> Stdio {
    let (stdin, leave_open) = (words.stdin, words.leave_stdin_open);
    match (passthrough, words.terminal) {
        (true, _) => Stdio::Passthrough,
        (false, true) => Stdio::Terminal { stdin, leave_open },
        (false, false) => Stdio::Pipes { stdin, leave_open },
    }
}

fn report_form(words: &Words) -> ReportForm {
    match (words.api_version, words.exec) {
        (true, _) => ReportForm::Data,
        (false, true) => ReportForm::ExitCode,
        (false, false) => ReportForm::Pid,
    }
}

/// The name in syslog lines: at most 20 characters, so that lines of many containers align.
fn ident(id: &str, tag: Option<&str>) -> String {
    match tag {
        Some(tag) => format!("{id}: {tag}").chars().take(20).collect(),
        None => id.chars().take(20).collect(),
    }
}
