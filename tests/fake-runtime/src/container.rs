//! `create`, `restore` and `exec`.

use crate::args::{Call, Verb};
use crate::steps::{self, Context};
use crate::{console, state};
use fake_runtime::{Container, PidFile, Record, Script};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::stat::Mode;
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe, read, setsid, write};
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

/// Makes a container, or does whatever the script wants instead.
pub fn make(call: &Call) -> Result<(), String> {
    let script = script(call)?;
    if let Some(path) = &script.record {
        Record::now()
            .and_then(|record| record.write(path))
            .map_err(|e| format!("{}: {e}", path.display()))?;
    }
    let start = if call.verb == Verb::Exec { None } else { Some(start_fifo(&call.bundle)?) };
    let context = Context { start };
    steps::run(&script.before, &context);

    let slave = match &call.console {
        Some(path) => console::send(script.console, path)?,
        None => None,
    };
    let pid = match script.container {
        Container::Absent => None,
        Container::Other(pid) => Some(Pid::from_raw(pid)),
        Container::Child => Some(child(call, &script, &context, slave)?),
        Container::Orphan => Some(orphan(call, &script, &context, slave)?),
    };
    if let Some(pid) = pid {
        state::created(call, pid)?;
    }
    write_pid_file(call, &script, pid)?;
    steps::run(&script.after, &context);
    Ok(())
}

fn script(call: &Call) -> Result<Script, String> {
    let path = match call.verb {
        Verb::Exec => call.process.clone().ok_or("exec needs --process")?,
        _ => call.bundle.join("fake.json"),
    };
    let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut text: serde_json::Value =
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    // A process object of the OCI specification carries its script along.
    let script = if text.get("args").is_some() { text["script"].take() } else { text };
    serde_json::from_value(script).map_err(|error| format!("{}: {error}", path.display()))
}

/// Opens the fifo by which `start` reaches the container, before there is one: a byte written early
/// is not lost.
fn start_fifo(bundle: &Path) -> Result<OwnedFd, String> {
    let path = bundle.join("start.fifo");
    match nix::unistd::mkfifo(&path, Mode::from_bits_truncate(0o600)) {
        Ok(()) | Err(nix::Error::EEXIST) => {}
        Err(error) => return Err(format!("{}: {error}", path.display())),
    }
    let file = fs::OpenOptions::new().read(true).write(true).open(&path);
    file.map(OwnedFd::from).map_err(|error| format!("{}: {error}", path.display()))
}

/// Forks the container as a child of the runtime.
fn child(call: &Call, script: &Script, context: &Context, slave: Option<OwnedFd>) -> Result<Pid, String> {
    // SAFETY: the program has one thread, so the child may do whatever the parent could.
    match unsafe { fork() }.map_err(|error| format!("fork: {error}"))? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            become_container(call, context, slave);
            steps::run(&script.steps, context);
            steps::exit(0)
        }
    }
}

/// Forks the container through a process that ends at once, so that it is inherited by the nearest
/// subreaper while the runtime still runs.
fn orphan(call: &Call, script: &Script, context: &Context, slave: Option<OwnedFd>) -> Result<Pid, String> {
    let (told, tell) = pipe().map_err(|error| format!("pipe: {error}"))?;
    // SAFETY: as in `child`.
    match unsafe { fork() }.map_err(|error| format!("fork: {error}"))? {
        ForkResult::Parent { child } => {
            waitpid(child, None).map_err(|error| format!("waitpid: {error}"))?;
            let mut bytes = [0; 4];
            read(&told, &mut bytes).map_err(|error| format!("pid of the container: {error}"))?;
            Ok(Pid::from_raw(i32::from_ne_bytes(bytes)))
        }
        ForkResult::Child => {
            drop(told);
            if let Ok(pid) = self::child(call, script, context, slave) {
                // A failure shows in the reader, which gets pid 0.
                let _ = write(&tell, &pid.as_raw().to_ne_bytes());
            }
            steps::exit(0)
        }
    }
}

/// A session, standard streams, and no other descriptor: what real runtimes see to.
fn become_container(call: &Call, context: &Context, slave: Option<OwnedFd>) {
    // It cannot fail: a process just forked leads no group.
    let _ = setsid();
    if let Some(slave) = slave {
        // SAFETY: TIOCSCTTY takes an int by value and touches no memory (tty_ioctl(4)).
        unsafe { libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0) };
        let _ = (dup2_stdin(&slave), dup2_stdout(&slave), dup2_stderr(&slave));
    }
    let first = 3 + call.preserve;
    let kept = context.start.as_ref().map_or(u32::MAX, |fd| fd.as_raw_fd() as u32);
    for (from, to) in [(first, kept.saturating_sub(1)), (kept.saturating_add(1).max(first), u32::MAX)] {
        if from <= to {
            // SAFETY: no `OwnedFd` in use names a descriptor in the range: `slave` was duplicated
            // and is gone, the start fifo is left out.
            unsafe { libc::close_range(from, to, 0) };
        }
    }
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed.
    let _ = unsafe { sigaction(Signal::SIGPIPE, &default) };
}

fn write_pid_file(call: &Call, script: &Script, pid: Option<Pid>) -> Result<(), String> {
    let Some(path) = &call.pid_file else { return Ok(()) };
    let text = match (&script.pid_file, pid) {
        (PidFile::Text(text), _) => text.clone(),
        (PidFile::Absent, _) | (_, None) => return Ok(()),
        (PidFile::Written, Some(pid)) => pid.to_string(),
        (PidFile::AfterExit, Some(pid)) => {
            await_end(pid);
            pid.to_string()
        }
    };
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Waits until a process has ended, and leaves its status for whoever inherits it.
fn await_end(pid: Pid) {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    if waitid(Id::Pid(pid), flags).is_ok() {
        return;
    }
    // Not our child (any more): a pidfd becomes readable at its end (pidfd_open(2)).
    // SAFETY: the call takes two integers and gives a new descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    if fd >= 0 {
        // SAFETY: the descriptor is new and nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        let mut wait = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one element, alive during the call.
        unsafe { libc::poll(&mut wait, 1, -1) };
    }
}
