//! The call of the OCI runtime.

use std::ffi::OsStr;

use crate::error::Error;
use crate::pid::Pid;
use crate::plan::{Plan, RuntimeCall, Verb};

/// The runtime's arguments, its own path first.
pub fn argv(plan: &Plan, console: Option<&str>) -> Vec<String> {
    let call = &plan.runtime;
    let bundle = call.bundle.as_deref().unwrap_or_default();
    let mut argv = head(call);
    match &plan.verb {
        Verb::Create => words(&mut argv, &["create", "--bundle", bundle, "--pid-file", &call.pid_file]),
        Verb::Restore { .. } => {
            words(&mut argv, &["restore", "--bundle", bundle, "--pid-file", &call.pid_file]);
        }
        Verb::Exec { process, .. } => words(&mut argv, &exec(&call.pid_file, process)),
    }
    if call.no_pivot {
        argv.push("--no-pivot".into());
    }
    if call.no_new_keyring {
        argv.push("--no-new-keyring".into());
    }
    if let Verb::Restore { image } = &plan.verb {
        words(&mut argv, &["--detach", "--image-path", image, "--work-path", bundle]);
    }
    argv.extend(call.options.iter().cloned());
    if let Some(path) = console {
        words(&mut argv, &["--console-socket", path]);
    }
    argv.push(plan.identity.id.clone());
    argv
}

/// The arguments for one more process in the container that the plan is for. The options in the plan
/// are meant for its creation.
pub fn exec_argv(plan: &Plan, pid_file: &str, process: &str, console: Option<&str>) -> Vec<String> {
    let mut argv = head(&plan.runtime);
    words(&mut argv, &exec(pid_file, process));
    if let Some(path) = console {
        words(&mut argv, &["--console-socket", path]);
    }
    argv.push(plan.identity.id.clone());
    argv
}

/// The program, and what stands before the verb.
fn head(call: &RuntimeCall) -> Vec<String> {
    let mut argv = vec![call.program.clone()];
    if call.systemd_cgroup {
        argv.push("--systemd-cgroup".into());
    }
    argv.extend(call.global_args.iter().cloned());
    argv
}

fn exec<'a>(pid_file: &'a str, process: &'a str) -> [&'a str; 6] {
    ["exec", "--pid-file", pid_file, "--process", process, "--detach"]
}

fn words(argv: &mut Vec<String>, words: &[&str]) {
    argv.extend(words.iter().map(|&word| word.to_owned()));
}

/// Whether LISTEN_PID is to become the runtime's own pid: always if asked for, or if it names the
/// supervisor. It is never added where it is absent.
///
/// # Errors
///
/// [`Error::Fatal`] if its value is no pid.
pub fn listen_pid(value: Option<&OsStr>, replace: bool, own: Pid) -> Result<bool, Error> {
    let Some(value) = value else { return Ok(false) };
    match value.to_str().and_then(|text| text.parse().ok()).and_then(Pid::new) {
        Some(pid) => Ok(replace || pid == own),
        None => Err(Error::Fatal(format!("Invalid LISTEN_PID {}", value.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_pid_is_rewritten_only_where_it_is_ours_or_asked_for() {
        let own = Pid::new(100).expect("positive");
        let value = |text: &'static str| Some(OsStr::new(text));
        assert_eq!(listen_pid(None, true, own).ok(), Some(false));
        assert_eq!(listen_pid(value("100"), false, own).ok(), Some(true));
        assert_eq!(listen_pid(value("7"), false, own).ok(), Some(false));
        assert_eq!(listen_pid(value("7"), true, own).ok(), Some(true));
        for bad in ["0", "-1", "", "x", "7x"] {
            assert!(listen_pid(value(bad), true, own).is_err(), "{bad:?}");
        }
    }
}
