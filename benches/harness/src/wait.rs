//! Waiting, always with an end: a supervisor that hangs is an error of the run, not a hung run.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::{Result, doing};

/// How long anything may take that is waited for: far more than any figure, also on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Between two looks at a process that is about to end. Not part of any figure.
const LOOK: Duration = Duration::from_micros(200);

/// Waits until `fd` has something to read or has ended; false after `limit`.
pub fn readable(what: &str, fd: impl AsFd, limit: Duration) -> Result<bool> {
    let limit = PollTimeout::try_from(limit).map_err(|_| format!("{what}: {limit:?} is too long to wait"))?;
    // A signal that asks the harness to end makes this fail with EINTR, as it should.
    let ready = poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], limit);
    ready.map(|n| n > 0).map_err(doing(format!("wait for {what}")))
}

/// Like [`readable`], where it is an error if nothing comes.
pub fn must_read(what: &str, fd: impl AsFd) -> Result<()> {
    if readable(what, fd, LIMIT)? { Ok(()) } else { Err(format!("{what}: not within {LIMIT:?}")) }
}

/// Looks again and again until `done`. Not part of any figure.
pub fn until(what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + LIMIT;
    while !done()? {
        if Instant::now() >= end {
            return Err(format!("{what}: not within {LIMIT:?}"));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// Waits until the child has ended and leaves it a zombie, so that /proc still has its figures.
pub fn zombie(pid: Pid) -> Result<()> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    until(&format!("the end of process {pid}"), || {
        let status = waitid(Id::Pid(pid), flags).map_err(doing(format!("wait for process {pid}")))?;
        Ok(status != WaitStatus::StillAlive)
    })
}

/// Takes the status of a child that has ended, or soon will.
pub fn reap(pid: Pid) -> Result<WaitStatus> {
    zombie(pid)?;
    waitid(Id::Pid(pid), WaitPidFlag::WEXITED).map_err(doing(format!("reap process {pid}")))
}

/// Ends and reaps what is left when the harness ends: nothing, or after an error the children that no
/// session had taken charge of yet. Every orphan below comes to the harness, the nearest subreaper.
pub fn end_children() -> Result<()> {
    let path = "/proc/thread-self/children";
    loop {
        let text = std::fs::read_to_string(path).map_err(doing(format!("read {path}")))?;
        let pids: Vec<i32> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        if pids.is_empty() {
            return Ok(());
        }
        for pid in pids.into_iter().map(Pid::from_raw) {
            kill(pid, Signal::SIGKILL).map_err(doing(format!("kill process {pid}")))?;
            reap(pid)?;
        }
    }
}
