//! A bundle is checked before anything is spawned: what cannot work is refused with the place in
//! `config.json` that is wrong.

use std::fs;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Hook, Linux, Process, Spec};

use crate::error::{Error, reason};

/// A bundle that can work, as far as one can tell from here.
#[derive(Debug)]
pub struct Bundle {
    /// Its directory, absolute and without links.
    pub dir: PathBuf,
    /// Whether the process wants a terminal.
    pub terminal: bool,
}

/// A place in `config.json`, and what is wrong with it.
type Fault = (String, String);

impl Bundle {
    /// Reads and checks the bundle in this directory.
    ///
    /// # Errors
    /// It cannot be read, or cannot work; the message has the JSON path of the fault.
    pub fn read(dir: &Path) -> Result<Bundle, Error> {
        let real = fs::canonicalize(dir)
            .map_err(|error| Error::io(format_args!("bundle {}", dir.display()), error))?;
        let spec = spec(&real, |spec| check(&real, spec))?;
        let terminal = spec.process().as_ref().and_then(Process::terminal).unwrap_or(false);
        Ok(Bundle { dir: real, terminal })
    }
}

/// The process of a bundle that a container was made from.
///
/// # Errors
/// It cannot be read.
pub fn process(dir: &Path) -> Result<Process, Error> {
    let missing = || ("process".to_owned(), "is missing".to_owned());
    let spec = spec(dir, |spec| spec.process().as_ref().map(drop).ok_or_else(missing))?;
    Ok(spec.process().clone().unwrap_or_default())
}

/// Reads `config.json`, if it passes this check.
fn spec(dir: &Path, check: impl FnOnce(&Spec) -> Result<(), Fault>) -> Result<Spec, Error> {
    let file = dir.join("config.json");
    let text = fs::read(&file).map_err(|error| Error::io(file.display(), error))?;
    let checked = parse(&text).and_then(|spec| check(&spec).map(|()| spec));
    checked.map_err(|(at, what)| Error::new(format!("{}: {at}: {what}", file.display())))
}

fn parse(text: &[u8]) -> Result<Spec, Fault> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let spec = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { "(top)".to_owned() } else { path };
        (path, error.into_inner().to_string())
    })?;
    reader.end().map_err(|error| ("(top)".to_owned(), error.to_string()))?;
    Ok(spec)
}

fn fault<T>(at: impl Into<String>, what: impl Into<String>) -> Result<T, Fault> {
    Err((at.into(), what.into()))
}

/// What the runtime would stumble over, in the order of the specification (OCI runtime 1.2, config.md).
fn check(dir: &Path, spec: &Spec) -> Result<(), Fault> {
    if !spec.version().starts_with("1.") {
        return fault("ociVersion", format!("expected version 1, not {:?}", spec.version()));
    }
    let Some(root) = spec.root() else { return fault("root", "is missing") };
    // An absolute path replaces the directory.
    let rootfs = dir.join(root.path());
    match fs::metadata(&rootfs) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return fault("root.path", format!("{} is not a directory", rootfs.display())),
        Err(error) => return fault("root.path", format!("{}: {}", rootfs.display(), reason(&error))),
    }
    for (nth, mount) in spec.mounts().iter().flatten().enumerate() {
        if !mount.destination().is_absolute() {
            let what = format!("{} is not absolute", mount.destination().display());
            return fault(format!("mounts[{nth}].destination"), what);
        }
    }
    match spec.process() {
        Some(process) => check_process(process)?,
        None => return fault("process", "is missing"),
    }
    spec.linux().as_ref().map_or(Ok(()), check_linux)?;
    let Some(hooks) = spec.hooks() else { return Ok(()) };
    check_hooks("createRuntime", hooks.create_runtime().as_deref())?;
    check_hooks("poststart", hooks.poststart().as_deref())?;
    check_hooks("poststop", hooks.poststop().as_deref())
}

fn check_process(process: &Process) -> Result<(), Fault> {
    match process.args().as_deref() {
        None => return fault("process.args", "is missing"),
        Some([]) => return fault("process.args", "is empty: there is no program to run"),
        Some([program, ..]) if program.is_empty() => return fault("process.args[0]", "is empty"),
        Some(_) => {}
    }
    if !process.cwd().is_absolute() {
        return fault("process.cwd", format!("{:?} is not an absolute path", process.cwd()));
    }
    for (nth, text) in process.env().iter().flatten().enumerate() {
        if !text.contains('=') {
            return fault(format!("process.env[{nth}]"), format!("{text:?} is not NAME=VALUE"));
        }
    }
    Ok(())
}

fn check_linux(linux: &Linux) -> Result<(), Fault> {
    for (nth, namespace) in linux.namespaces().iter().flatten().enumerate() {
        if let Some(path) = namespace.path()
            && let Err(error) = fs::metadata(path)
        {
            let what = format!("{}: {}", path.display(), reason(&error));
            return fault(format!("linux.namespaces[{nth}].path"), what);
        }
    }
    Ok(())
}

/// Hooks that run in the host's mount namespace; those of the container's cannot be looked up here.
fn check_hooks(stage: &str, hooks: Option<&[Hook]>) -> Result<(), Fault> {
    for (nth, hook) in hooks.unwrap_or_default().iter().enumerate() {
        let at = format!("hooks.{stage}[{nth}].path");
        if !hook.path().is_absolute() {
            return fault(at, format!("{} is not absolute", hook.path().display()));
        }
        if let Err(error) = fs::metadata(hook.path()) {
            return fault(at, format!("{}: {}", hook.path().display(), reason(&error)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Bundle;
    use serde_json::{Value, json};

    /// A bundle that can work, changed at one place.
    fn read(pointer: &str, value: Option<Value>) -> Result<Bundle, String> {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("rootfs")).expect("a directory");
        let mut config = json!({
            "ociVersion": "1.0.2",
            "process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["A=b"]},
            "root": {"path": "rootfs"},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {"namespaces": [{"type": "pid"}]},
            "hooks": {"poststop": [{"path": "/bin/sh"}]},
        });
        let (parent, name) = pointer.rsplit_once('/').unwrap_or(("", pointer));
        let parent = config.pointer_mut(parent).expect("a place");
        match (value, parent) {
            (Some(value), Value::Array(list)) => list[name.parse::<usize>().expect("a number")] = value,
            (Some(value), parent) => parent[name] = value,
            (None, Value::Object(object)) => drop(object.remove(name)),
            (None, _) => panic!("nothing to take away"),
        }
        std::fs::write(dir.path().join("config.json"), config.to_string()).expect("a file");
        Bundle::read(dir.path()).map_err(|error| error.message)
    }

    #[test]
    fn faults_have_a_place() {
        let table = [
            ("/ociVersion", Some(json!("2.0")), "ociVersion: expected version 1"),
            ("/process", None, "process: is missing"),
            ("/process/args", None, "process.args: is missing"),
            ("/process/args", Some(json!([])), "process.args: is empty"),
            ("/process/args/0", Some(json!("")), "process.args[0]: is empty"),
            ("/process/args/0", Some(json!(7)), "process.args[0]: invalid type"),
            ("/process/cwd", Some(json!("x")), "process.cwd: \"x\" is not an absolute path"),
            ("/process/env/0", Some(json!("A")), "process.env[0]: \"A\" is not NAME=VALUE"),
            ("/process/terminal", Some(json!("yes")), "process.terminal: invalid type"),
            ("/root", None, "root: is missing"),
            ("/root/path", Some(json!("config.json")), "config.json is not a directory"),
            ("/root/path", Some(json!("nope")), "nope: No such file or directory"),
            ("/mounts/0/destination", Some(json!("proc")), "mounts[0].destination: proc is not absolute"),
            ("/linux/namespaces/0/path", Some(json!("/nope")), "linux.namespaces[0].path: /nope: No such"),
            ("/hooks/poststop/0/path", Some(json!("/nope")), "hooks.poststop[0].path: /nope: No such"),
        ];
        for (pointer, value, wanted) in table {
            let message = read(pointer, value).expect_err(pointer);
            assert!(message.contains("/config.json: ") && message.contains(wanted), "{pointer}: {message}");
        }
    }

    #[test]
    fn a_good_one_is_taken() {
        assert!(!read("/hostname", Some(json!("x"))).expect("a bundle").terminal);
        assert!(read("/process/terminal", Some(json!(true))).expect("a bundle").terminal);
    }
}
