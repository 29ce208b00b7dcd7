//! The process that `exec` adds to a container: that of its bundle, but for what was asked for.

use std::path::{Path, PathBuf};

use conward_protocol::body;
use oci_spec::runtime::{BoxBuilder, Capabilities, LinuxCapabilities, Process};
use serde_json::{Map, Value};

use crate::bundle;
use crate::cli::Exec;
use crate::error::Error;
use crate::terminal;
use crate::users::{self, Who};

/// As the request has it.
///
/// # Errors
/// The bundle cannot be read, the user is not known in the container, or a path is not absolute.
pub fn of(id: &str, state: &body::State, exec: &Exec) -> Result<Map<String, Value>, Error> {
    let bundle =
        state.bundle.as_deref().ok_or_else(|| Error::new(format!("{id}: it has no bundle directory")))?;
    let mut process = bundle::process(Path::new(bundle))?;
    if let Some(user) = &exec.user {
        let root = state.pid.map(|pid| PathBuf::from(format!("/proc/{pid}/root")));
        let root = root.ok_or_else(|| Error::new(format!("{id}: it has no process")))?;
        let who = users::find(&root, user).map_err(|error| Error::new(format!("{id}: {}", error.message)))?;
        become_user(&mut process, &who);
    }
    if let Some(dir) = &exec.workdir {
        if !dir.is_absolute() {
            return Err(Error::new(format!("workdir: {} is not absolute", dir.display())));
        }
        process.set_cwd(dir.clone());
    }
    let own = |name: &str| std::env::var(name).ok();
    process.set_env(Some(environment(process.env().as_deref().unwrap_or_default(), exec, own)));
    process.set_args(Some(exec.command.clone()));
    process.set_terminal(Some(exec.tty));
    let size = exec.tty.then(terminal::size).flatten().and_then(|(rows, cols)| {
        BoxBuilder::default().height(u64::from(rows)).width(u64::from(cols)).build().ok()
    });
    process.set_console_size(size);
    match serde_json::to_value(&process) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(Error::new(format!("{id}: the process of {bundle} is no JSON"))),
    }
}

/// Variables of the container's process, and those asked for. Each name is there once.
fn environment(of_container: &[String], exec: &Exec, own: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let mut all: Vec<String> = of_container.to_vec();
    for wanted in &exec.env {
        // A name that has no value here is taken away, as `podman exec --env` leaves it out.
        let wanted = match wanted.contains('=') {
            true => Some(wanted.clone()),
            false => own(wanted).map(|value| format!("{wanted}={value}")),
        };
        let Some(wanted) = wanted else { continue };
        all.retain(|variable| name(variable) != name(&wanted));
        all.push(wanted);
    }
    if exec.tty && !all.iter().any(|variable| variable.starts_with("TERM=")) {
        all.push("TERM=xterm".to_owned());
    }
    all
}

/// A user that is neither root nor the one whom the capabilities of the container were meant for has none.
/// What it could get by a program on disk (the bounding set) stays as it is.
fn become_user(process: &mut Process, who: &Who) {
    let user = process.user_mut();
    let another = user.uid() != who.uid;
    user.set_uid(who.uid);
    user.set_gid(who.gid);
    user.set_additional_gids((!who.groups.is_empty()).then(|| who.groups.clone()));
    let Some(capabilities) = process.capabilities().as_ref().filter(|_| another && who.uid != 0) else {
        return;
    };
    let mut left = LinuxCapabilities::default();
    let none = || Some(Capabilities::new());
    left.set_bounding(capabilities.bounding().clone());
    left.set_effective(none()).set_permitted(none()).set_inheritable(none()).set_ambient(none());
    process.set_capabilities(Some(left));
}

#[cfg(test)]
mod tests {
    use super::{become_user, environment};
    use crate::cli::{Cli, Command, Exec};
    use crate::users::Who;
    use clap::Parser;
    use oci_spec::runtime::Process;

    fn exec(options: &[&str]) -> Exec {
        let words = ["conwardctl", "exec"].iter().chain(options).chain(&["web", "true"]);
        match Cli::try_parse_from(words).expect("a command line").command {
            Command::Exec(exec) => exec,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn variables() {
        let own = |name: &str| (name == "OWN").then(|| "here".to_owned());
        let table: [(&[&str], &[&str]); 5] = [
            (&[], &["PATH=/bin", "A=1"]),
            (&["-e", "A=2=3", "--env=B="], &["PATH=/bin", "A=2=3", "B="]),
            (&["-e", "OWN", "-e", "NONE"], &["PATH=/bin", "A=1", "OWN=here"]),
            (&["-t"], &["PATH=/bin", "A=1", "TERM=xterm"]),
            (&["-t", "-eTERM=vt100"], &["PATH=/bin", "A=1", "TERM=vt100"]),
        ];
        let container = ["PATH=/bin".to_owned(), "A=1".to_owned()];
        for (options, wanted) in table {
            assert_eq!(environment(&container, &exec(options), own), wanted, "{options:?}");
        }
    }

    #[test]
    fn capabilities_stay_with_their_user() {
        // Who it is, and whether it has the ambient capabilities of the container's root.
        for (uid, has) in [(0, true), (1000, false)] {
            let mut process = Process::default();
            become_user(&mut process, &Who { uid, gid: 5, groups: vec![7] });
            let capabilities = process.capabilities().clone().expect("capabilities");
            for set in [capabilities.ambient(), capabilities.effective(), capabilities.permitted()] {
                assert_eq!(set.as_ref().is_some_and(|set| !set.is_empty()), has, "{uid}");
            }
            assert!(capabilities.bounding().as_ref().is_some_and(|set| !set.is_empty()));
            assert_eq!((process.user().gid(), process.user().additional_gids()), (5, &Some(vec![7])));
        }
    }
}
