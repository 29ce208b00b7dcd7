//! `start`, `pause`, `resume`, `checkpoint`, `kill`, `delete` and `state`: what a manager needs besides `create`.

use crate::args::{Call, Verb};
use crate::steps::{self, Context};
use fake_runtime::Script;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Remembers a container, if a `--root` was given.
pub fn created(call: &Call, pid: Pid) -> Result<(), String> {
    let Some(dir) = call.state_dir() else { return Ok(()) };
    if call.verb == Verb::Exec {
        return Ok(());
    }
    let state = json!({
        "ociVersion": "1.0.2", "id": call.id(), "pid": pid.as_raw(), "bundle": call.bundle, "status": "created",
    });
    save(&dir, &state)
}

/// Does what is asked with a container made before.
pub fn perform(call: &Call) -> Result<(), String> {
    let dir = call.state_dir().ok_or("no --root given")?;
    if call.verb == Verb::Delete && call.force && !dir.exists() {
        return Ok(());
    }
    let mut state = load(&dir)?;
    misbehave(call.verb, &state)?;
    match call.verb {
        Verb::Start => start(&dir, &mut state),
        Verb::Pause => freeze(&dir, &mut state, ("running", "paused"), Signal::SIGSTOP),
        Verb::Resume => freeze(&dir, &mut state, ("paused", "running"), Signal::SIGCONT),
        Verb::Checkpoint => checkpoint(call, &dir, &state),
        Verb::Kill => signal(call, &state),
        Verb::Delete => delete(call, &dir, &state),
        Verb::Update if alive(&state) => Ok(()),
        Verb::Ps if alive(&state) => {
            steps::write_all(1, format!("[{}]\n", pid(&state)).as_bytes());
            Ok(())
        }
        Verb::Events if alive(&state) => {
            steps::write_all(
                1,
                format!("{}\n", json!({"type": "stats", "id": call.id(), "data": {}})).as_bytes(),
            );
            Ok(())
        }
        Verb::Update | Verb::Ps | Verb::Events => Err("container not running".into()),
        _ => print(&mut state),
    }
}

/// What the container's script wants of this call first. One without a script gets an obedient runtime.
fn misbehave(verb: Verb, state: &Value) -> Result<(), String> {
    let path = bundle(state).join("fake.json");
    let Ok(text) = fs::read(&path) else { return Ok(()) };
    let script: Script =
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    steps::run(script.verbs.get(verb.name()).map_or(&[], Vec::as_slice), &Context { start: None });
    Ok(())
}

fn bundle(state: &Value) -> PathBuf {
    PathBuf::from(state["bundle"].as_str().unwrap_or_default())
}

/// Moves the container from one status to another, its session frozen or thawed as job control does it.
fn freeze(dir: &Path, state: &mut Value, (from, to): (&str, &str), signal: Signal) -> Result<(), String> {
    if state["status"] != from || !alive(state) {
        return Err(format!("the container is not {from}"));
    }
    signal_all(pid(state), signal).map_err(|error| format!("{signal}: {error}"))?;
    state["status"] = json!(to);
    save(dir, state)
}

fn start(dir: &Path, state: &mut Value) -> Result<(), String> {
    if state["status"] != "created" || !alive(state) {
        return Err("cannot start a container that is not created".into());
    }
    let fifo = bundle(state).join("start.fifo");
    // With both ends, the open does not wait for a container that was started by others.
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&fifo)
        .and_then(|mut fifo| fifo.write_all(b"\0"))
        .map_err(|error| format!("{}: {error}", fifo.display()))?;
    state["status"] = json!("running");
    save(dir, state)
}

fn signal(call: &Call, state: &Value) -> Result<(), String> {
    let word = call.rest.get(1).map_or("TERM", String::as_str);
    let name = if word.starts_with("SIG") { word.to_owned() } else { format!("SIG{word}") };
    let signal = match word.parse::<i32>() {
        Ok(number) => Signal::try_from(number).map_err(|error| format!("{word}: {error}"))?,
        Err(_) => name.parse().map_err(|error| format!("{word}: {error}"))?,
    };
    let sent = if call.all { signal_all(pid(state), signal) } else { kill(pid(state), signal) };
    sent.map_err(|_| "container not running".to_owned())
}

/// To the container's session; just after its fork it has none yet, and is alone.
fn signal_all(pid: Pid, signal: Signal) -> nix::Result<()> {
    killpg(pid, signal).or_else(|_| kill(pid, signal))
}

/// Leaves a file `dumped` with the image. A container that does not run on is forgotten, as runc does it.
fn checkpoint(call: &Call, dir: &Path, state: &Value) -> Result<(), String> {
    let image = call.image.as_ref().ok_or("no --image-path given")?;
    let dumped = fs::create_dir_all(image).and_then(|()| fs::write(image.join("dumped"), state.to_string()));
    dumped.map_err(|error| format!("{}: {error}", image.display()))?;
    if call.leave_running {
        return Ok(());
    }
    signal_all(pid(state), Signal::SIGKILL).map_err(|_| "container not running".to_owned())?;
    fs::remove_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))
}

fn delete(call: &Call, dir: &Path, state: &Value) -> Result<(), String> {
    if alive(state) {
        if !call.force {
            return Err("cannot delete a container that is not stopped".into());
        }
        // Gone already is as good.
        let _ = kill(pid(state), Signal::SIGKILL);
    }
    fs::remove_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))
}

fn print(state: &mut Value) -> Result<(), String> {
    if !alive(state) {
        state["status"] = json!("stopped");
        state["pid"] = json!(0);
    }
    steps::write_all(1, format!("{state}\n").as_bytes());
    Ok(())
}

fn pid(state: &Value) -> Pid {
    // A pid that cannot be had must not become 0, which means the caller's own group.
    Pid::from_raw(state["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(i32::MAX))
}

/// Whether it runs: it exists and is no zombie.
fn alive(state: &Value) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid(state))).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn load(dir: &Path) -> Result<Value, String> {
    let text = fs::read(dir.join("state.json")).map_err(|_| "container does not exist".to_owned())?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", dir.display()))
}

fn save(dir: &Path, state: &Value) -> Result<(), String> {
    let temp = dir.join("state.tmp");
    fs::create_dir_all(dir)
        .and_then(|()| fs::write(&temp, state.to_string()))
        .and_then(|()| fs::rename(&temp, dir.join("state.json")))
        .map_err(|error| format!("{}: {error}", dir.display()))
}
