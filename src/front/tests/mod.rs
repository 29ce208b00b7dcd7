use std::ffi::OsString;
use std::path::PathBuf;

use ::log::LevelFilter;

mod callers;
mod lifecycle;

use super::{Asked, ask};
use crate::error::Error;
use crate::plan::*;

/// A runtime that passes the check wherever the tests run.
const RUNTIME: &str = "/bin/sh";

fn asked(line: &[&str], env: &[(&str, &str)]) -> Result<Asked, Error> {
    let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
    ask(line.iter().map(OsString::from), &env)
}

fn plan(line: &[&str], env: &[(&str, &str)]) -> Plan {
    match asked(line, env) {
        Ok(Asked::Run { plan, .. }) => *plan,
        other => panic!("{line:?}: {other:?}"),
    }
}

/// The shortest line that asks for a container.
const LEAST: [&str; 8] = ["-c", "0123456789abc", "-u", "uuid", "-r", RUNTIME, "-l", "none"];

fn least(more: &[&str]) -> Plan {
    plan(&[&LEAST, more].concat(), &[])
}

fn error(line: &[&str]) -> String {
    match asked(line, &[]) {
        Err(error) => error.to_string(),
        Ok(asked) => panic!("{line:?}: {asked:?}"),
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn path(text: &str) -> Option<PathBuf> {
    Some(PathBuf::from(text))
}

/// What [`LEAST`] means.
fn least_plan() -> Plan {
    let here = std::env::current_dir().expect("a working directory").display().to_string();
    Plan {
        identity: Identity { id: "0123456789abc".into(), uuid: some("uuid"), name: None },
        verb: Verb::Create,
        runtime: RuntimeCall {
            program: RUNTIME.into(),
            systemd_cgroup: false,
            no_pivot: false,
            no_new_keyring: false,
            global_args: vec![],
            options: vec![],
            bundle: Some(here.clone()),
            pid_file: format!("{here}/pidfile-0123456789abc"),
            replace_listen_pid: false,
        },
        stdio: Stdio::Pipes { stdin: false, leave_open: false },
        logs: LogPlan::default(),
        endpoints: Endpoints {
            socket_dir: some("/var/run/crio"),
            notify: None,
            console_dir: "/tmp".into(),
            control_dir: super::control::directory(None, false, "0123456789abc", &|_| None),
        },
        records: Records::default(),
        report: ReportPlan { form: ReportForm::Pid, sync_pipe: None, start_pipe: None, attach_pipe: None },
        exit_command: None,
        lifecycle: Lifecycle::default(),
        timeout: None,
        detach: Detach::Yes { pid_file: None },
        diagnostics: Diagnostics { level: LevelFilter::Warn, syslog: false, ident: "0123456789abc".into() },
    }
}

fn file(path: &str) -> FileLog {
    FileLog {
        path: path.into(),
        size_max: None,
        global_max: None,
        keep: None,
        allowed_dirs: vec![],
        sync: true,
    }
}

#[test]
fn defaults() {
    assert_eq!(least(&[]), least_plan());
}

#[test]
fn help_and_version_come_before_any_check() {
    assert!(matches!(asked(&["--help"], &[]), Ok(Asked::Help)));
    assert!(matches!(asked(&["--version", "--log-max-files=-1"], &[]), Ok(Asked::Version)));
    assert!(matches!(asked(&["--version", "-h"], &[]), Ok(Asked::Help)));
    assert!(matches!(asked(&["--version", "-q"], &[]), Ok(Asked::Unreadable(Error::Usage(_)))));
}

/// Each row repairs the mistake that the row before it was told of, and leaves those of the rows
/// below it.
#[test]
fn the_first_mistake_in_the_order_of_the_reference_is_named() {
    let table: [(&[&str], &str); 14] = [
        (&["--log-max-files=-1"], "conmon: log-max-files must be non-negative, got -1"),
        (
            &["--log-rotate", "--log-max-files=0"],
            "conmon: log-max-files must be at least 1 when log-rotate is enabled, got 0",
        ),
        (&["--log-max-files=1"], "conmon: Container ID not provided. Use --cid"),
        (&["-c", "x"], "[conmon:e]: No such log level loud"),
        (&["--log-level=Panic"], "[conmon:e]: Attach can only be specified for a non-legacy exec session"),
        (&["--api-version"], "[conmon:e]: Container UUID not provided. Use --cuuid"),
        (&["-u", "u"], "[conmon:e]: Runtime path not provided. Use --runtime"),
        (&["-r", "/etc/passwd"], "[conmon:e]: Runtime path /etc/passwd is not valid Permission denied"),
        (&["-r", "/no/such"], "[conmon:e]: Runtime path /no/such is not valid No such file or directory"),
        (&["-r", RUNTIME], "[conmon:e]: Exec process spec path not provided. Use --exec-process-spec"),
        (
            &["--exec-process-spec", "p"],
            "[conmon:e]: Delay before invoking exit command must be greater than or equal to 0",
        ),
        (&["--exit-delay=0"], "[conmon:e]: Log driver not provided. Use --log-path"),
        (&["-l", "none"], "[conmon:e]: Bundle path /no/such is not valid No such file or directory"),
        (&["-b", "/tmp"], "[conmon:e]: --attach specified but _OCI_ATTACHPIPE was not"),
    ];
    let mut line = vec!["-e", "--exec-attach", "-b", "/no/such", "--log-level=loud", "--exit-delay=-1"];
    for (repair, text) in table {
        line.extend(repair);
        assert_eq!(error(&line), text, "{line:?}");
    }
    let restore = ["-c", "x", "-e", "--exec-attach", "--restore="];
    assert_eq!(error(&restore), "[conmon:e]: Cannot use 'exec' and 'restore' at the same time");
}

#[test]
fn errors_about_one_thing() {
    let table: [(&[&str], &str); 6] = [
        (&["--exec-attach"], "Attach can only be specified with exec"),
        (&["--log-level="], "No such log level "),
        (&["-l", ":"], "log-path must not be empty"),
        (&["-b", "/no/such"], "Bundle path /no/such is not valid No such file or directory"),
        (&["-b", "/etc/passwd"], "Bundle path /etc/passwd is not valid Not a directory"),
        (&["-b", ""], "Bundle path  is not valid No such file or directory"),
    ];
    for (more, text) in table {
        assert_eq!(error(&[&LEAST, more].concat()), format!("[conmon:e]: {text}"), "{more:?}");
    }
    let line = ["-c", "x", "-r", RUNTIME, "-l", "none"];
    assert_eq!(error(&line), "[conmon:e]: Container UUID not provided. Use --cuuid");
}

#[test]
fn pipes_are_checked_for_every_caller() {
    for name in ["_OCI_STARTPIPE", "_OCI_SYNCPIPE"] {
        let error = asked(&LEAST, &[(name, "none")]).expect_err("no number");
        assert!(matches!(error, Error::Fatal(_)));
        assert!(error.text().starts_with(&format!("unable to parse {name}")), "{error}");
    }
    // Only an exec that attaches looks at the third.
    plan(&LEAST, &[("_OCI_ATTACHPIPE", "none")]);
    plan(&[&LEAST, &["-e", "--exec-process-spec", "p"][..]].concat(), &[("_OCI_ATTACHPIPE", "none")]);
}

#[test]
fn combinations_that_are_fine() {
    let more =
        ["--exit-command-arg", "x", "--exec-process-spec", "p", "--leave-stdin-open", "--log-tag", "t"];
    let plan = least(&more);
    assert_eq!((plan.verb, plan.exit_command), (Verb::Create, None));
    assert_eq!(plan.diagnostics.ident, "0123456789abc: t");
    assert_eq!(least(&["-ti"]).stdio, Stdio::Terminal { stdin: true, leave_open: false });
    assert_eq!(least(&["--log-max-files=0"]).logs, LogPlan::default());
    assert_eq!(least(&["-T", "-5"]).timeout, None);
    assert_eq!(least(&["--restore="]).verb, Verb::Restore { image: String::new() });
    assert_eq!(least(&["-r", "/tmp"]).runtime.program, "/tmp"); // a directory is executable, too
    assert_eq!(least(&["--cid="]).identity.id, "");
}

#[test]
fn passthrough_leaves_nothing_to_attach_to() {
    let plan = least(&["-t", "-l", "passthrough", "-l", "k8s-file:/x"]);
    assert_eq!(plan.stdio, Stdio::Passthrough);
    assert_eq!(plan.endpoints.socket_dir, None);
    assert_eq!(plan.logs.file, Some(file("/x")));
}

#[test]
fn an_empty_name_is_no_name() {
    let plan = least(&["--exit-dir=", "--persist-dir=", "--exit-command=", "--sdnotify-socket="]);
    assert_eq!(plan, least_plan());
}

#[test]
fn log_levels() {
    let table = [
        ("error FATAL panic", LevelFilter::Error),
        ("warn Warning", LevelFilter::Warn),
        ("info", LevelFilter::Info),
        ("debug", LevelFilter::Debug),
        ("TRACE", LevelFilter::Trace),
    ];
    for (names, level) in table {
        for name in names.split(' ') {
            assert_eq!(least(&["--log-level", name]).diagnostics.level, level, "{name}");
        }
    }
}

#[test]
fn the_syslog_name_is_20_characters() {
    assert_eq!(least(&["--log-tag", "tag-tag"]).diagnostics.ident, "0123456789abc: tag-t");
    assert_eq!(plan(&[&LEAST[..], &["-n", "x"]].concat(), &[]).diagnostics.ident.len(), 13);
    let long = plan(&[&LEAST[..], &["-c", "ääääääääääääääääääääää"]].concat(), &[("LANG", "C.UTF-8")]);
    assert_eq!(long.diagnostics.ident.chars().count(), 20);
}

#[test]
fn the_locale_decides_about_bytes_beyond_ascii() {
    let line = [&LEAST[..], &["--log-tag", "äöüß"]].concat();
    let unreadable = |env: &[(&str, &str)]| match asked(&line, env) {
        Ok(Asked::Unreadable(error)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let text = "conmon: option parsing failed: Invalid byte sequence in conversion input";
    assert_eq!(unreadable(&[]), text);
    assert_eq!(unreadable(&[("LANG", "C")]), text);
    assert!(unreadable(&[("LC_ALL", "ru_RU.KOI8-R")]).contains("ru_RU.KOI8-R"));
    assert_eq!(plan(&line, &[("LANG", "en_US.UTF-8")]).diagnostics.ident, "0123456789abc: äöüß");
}

#[test]
fn an_option_without_effect_is_remarked_on() {
    let warnings = |more: &[&str]| match asked(&[&LEAST, more].concat(), &[]) {
        Ok(Asked::Run { warnings, .. }) => warnings.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(warnings(&[]), 0);
    assert_eq!(warnings(&["--no-container-partial-message"]), 1);
    assert_eq!(warnings(&["--no-container-partial-message", "-l", "journald"]), 0);
}
