//! Starting a supervisor.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::io::{FdFlags, fcntl_setfd};
use serde_json::Value;

use crate::bundle::Bundle;
use crate::cli::Create;
use crate::error::Error;
use crate::output;
use crate::place::Place;

/// Bytes of a report at most: the protocol's bound for a message, several times over. Of more, what is
/// beyond is not read.
const REPORT_MAX: u64 = 64 * 1024;

/// What the container is to have beside what its bundle says.
#[derive(Debug)]
pub struct Wishes {
    /// A standard input.
    pub stdin: bool,
    /// A checkpoint to go on from.
    pub image: Option<Image>,
}

/// A checkpoint.
#[derive(Debug)]
pub struct Image {
    /// Its directory.
    pub dir: PathBuf,
    /// Options of the runtime's `restore`.
    pub options: Vec<&'static str>,
}

/// Has a new supervisor create the container, and waits until it has; gives the container's pid.
///
/// # Errors
/// The supervisor or the runtime could not be started, or the runtime failed.
pub fn supervisor(place: &Place, create: &Create, bundle: &Bundle, wishes: &Wishes) -> Result<i64, Error> {
    let id = &create.id;
    let conward = match &create.conward {
        Some(path) => executable(path)?,
        None => beside_us("conward").or_else(|| in_path("conward")).ok_or_else(|| {
            Error::new("conward is neither beside this program nor in PATH: name it by --conward")
        })?,
    };
    let runtime = match &create.runtime {
        Some(path) => executable(path)?,
        None => ["runc", "crun"]
            .iter()
            .find_map(|name| in_path(name))
            .ok_or_else(|| Error::new("neither runc nor crun is in PATH: name a --runtime"))?,
    };
    let (ours, theirs) = UnixStream::pair().map_err(|error| Error::io("a socket pair", error))?;
    // We have one thread and start one child: nobody else can inherit it.
    fcntl_setfd(&theirs, FdFlags::empty()).map_err(|error| Error::io("a socket pair", error))?;
    let child = Command::new(&conward)
        .args(arguments(place, create, bundle, &runtime, wishes))
        .current_dir(&bundle.dir)
        .env("_OCI_SYNCPIPE", theirs.as_raw_fd().to_string())
        .env_remove("_OCI_STARTPIPE")
        .env_remove("_OCI_ATTACHPIPE")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Error::io(format_args!("starting {}", conward.display()), error))?;
    drop(theirs);
    let launched = child.wait_with_output().map_err(|error| Error::io("waiting for conward", error))?;
    let said = String::from_utf8_lossy(&launched.stderr);
    if !launched.status.success() {
        return Err(Error::new(format!("{id}: {} failed: {}", conward.display(), said.trim())));
    }
    // What it warns of does not stop it.
    if !said.trim().is_empty() {
        output::complain(said.trim_end());
    }
    report(id, ours)
}

/// The one report of a new container: its pid, or why there is none.
fn report(id: &str, from: UnixStream) -> Result<i64, Error> {
    let mut line = String::new();
    let read = BufReader::new(from.take(REPORT_MAX)).read_line(&mut line);
    read.map_err(|error| Error::io(format_args!("{id}: reading the supervisor's report"), error))?;
    if line.is_empty() {
        return Err(Error::new(format!("{id}: the supervisor ended before it had created the container")));
    }
    let report: Value = serde_json::from_str(&line)
        .map_err(|error| Error::new(format!("{id}: the supervisor's report is no JSON: {error}")))?;
    match (report["data"].as_i64(), report["message"].as_str()) {
        (Some(pid @ 1..), _) => Ok(pid),
        (_, Some(message)) => Err(Error::runtime(id, message)),
        (_, None) => Err(Error::new(format!("{id}: the runtime failed and gave no reason"))),
    }
}

fn arguments(
    place: &Place,
    create: &Create,
    bundle: &Bundle,
    runtime: &Path,
    wishes: &Wishes,
) -> Vec<std::ffi::OsString> {
    let mut args: Vec<std::ffi::OsString> = Vec::new();
    let mut push = |words: &[&dyn AsRef<std::ffi::OsStr>]| {
        args.extend(words.iter().map(|word| word.as_ref().to_owned()));
    };
    push(&[&"--api-version", &"--full-attach"]);
    push(&[&"--cid", &create.id, &"--cuuid", &create.id, &"--bundle", &bundle.dir]);
    push(&[&"--runtime", &runtime, &"--control-dir", &place.dir(), &"--keep-state"]);
    push(&[&"--container-pidfile", &bundle.dir.join("pidfile")]);
    for arg in &create.runtime_arg {
        push(&[&"--runtime-arg", arg]);
    }
    if create.log.is_empty() {
        let mut log = std::ffi::OsString::from("k8s-file:");
        log.push(bundle.dir.join("ctr.log"));
        push(&[&"--log-path", &log]);
    }
    for log in &create.log {
        push(&[&"--log-path", log]);
    }
    if bundle.terminal {
        push(&[&"--terminal"]);
    } else if wishes.stdin {
        // A client that is to end it says so.
        push(&[&"--stdin", &"--leave-stdin-open"]);
    }
    if create.rm {
        push(&[&"--delete-on-exit"]);
    }
    if let Some(image) = &wishes.image {
        push(&[&"--restore", &image.dir]);
        for option in &image.options {
            push(&[&"--runtime-opt", option]);
        }
    }
    for arg in &create.conward_arg {
        push(&[arg]);
    }
    args
}

/// The supervisor wants an absolute path, and works in the bundle.
fn executable(path: &Path) -> Result<PathBuf, Error> {
    if !path.to_string_lossy().contains('/') {
        return in_path(&path.to_string_lossy())
            .ok_or_else(|| Error::new(format!("{} is not in PATH", path.display())));
    }
    let found = std::path::absolute(path).and_then(|path| path.metadata().map(|_| path));
    found.map_err(|error| Error::io(path.display(), error))
}

fn beside_us(name: &str) -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?.with_file_name(name);
    path.is_file().then_some(path)
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Users that are not root have runtimes too, but not always their directory in PATH.
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    dirs.map(|dir| dir.join(name)).find(|path| path.is_absolute() && path.is_file())
}
