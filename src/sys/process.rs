//! Processes: becoming a supervisor, and reaping.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use conward_protocol::Exit;
use nix::sys::stat::Mode;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::ForkResult;

use crate::error::reason;
use crate::pid::Pid;

/// This process.
pub fn own_pid() -> Pid {
    let raw = nix::unistd::getpid().as_raw();
    Pid::new(raw).expect("getpid(2) gives a positive number")
}

/// Which side of [`fork`] the caller finds itself on.
pub enum Forked {
    /// The process that was there before. It has this child.
    Parent(Pid),
    /// The new one.
    Child,
}

/// Forks.
pub fn fork() -> io::Result<Forked> {
    // SAFETY: the program has one thread, so the child may do whatever the parent might.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Pid::new(child.as_raw())
            .map(Forked::Parent)
            .ok_or_else(|| io::Error::other("fork(2) gave no pid")),
        ForkResult::Child => Ok(Forked::Child),
    }
}

/// Waits for the end of a child.
pub fn reap_child(child: Pid) {
    let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child.raw()), None);
}

/// Ends the process without running anything else.
pub fn end_now(status: i32) -> ! {
    // SAFETY: _exit(2) takes an integer and does not return.
    unsafe { libc::_exit(status) }
}

/// Orphans among the descendants become our children (`true`), or init's again (`false`).
pub fn set_subreaper(on: bool) -> io::Result<()> {
    nix::sys::prctl::set_child_subreaper(on).map_err(io::Error::from)
}

/// Files and directories are made with mode & ~022, whatever the caller's umask (which was seen
/// to be 0 in the field, conmon b1d7297).
pub fn set_umask() {
    nix::sys::stat::umask(Mode::from_bits_retain(0o022));
}

/// A child that has ended and was reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// Its former pid, which may be anybody's from now on.
    pub pid: Pid,
    /// How it ended.
    pub exit: Exit,
    /// Whether that left a core dump.
    pub core_dumped: bool,
}

/// Reaps one ended child, if there is one. `None`: no child has ended, or there is no child.
pub fn reap() -> Option<Reaped> {
    loop {
        let mut status = 0;
        // SAFETY: waitpid(2) writes one int.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        if pid < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
            continue;
        }
        return Pid::new(pid).map(|pid| Reaped {
            pid,
            exit: exit_from_wait_status(status),
            core_dumped: libc::WIFSIGNALED(status) && libc::WCOREDUMP(status),
        });
    }
}

/// What a process is to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// A child that runs.
    Child,
    /// A child that has ended and was not reaped.
    Ended,
    /// No child of ours, or none that was not reaped.
    Stranger,
}

/// Looks at a process without reaping it.
pub fn relation(pid: Pid) -> Relation {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    match waitid(Id::Pid(nix::unistd::Pid::from_raw(pid.raw())), flags) {
        Ok(WaitStatus::StillAlive) => Relation::Child,
        Ok(_) => Relation::Ended,
        Err(_) => Relation::Stranger,
    }
}

/// The meaning of a wait status (wait(2)).
pub fn exit_from_wait_status(status: i32) -> Exit {
    let low = |number: i32| u8::try_from(number & 0xff).unwrap_or(u8::MAX);
    if libc::WIFEXITED(status) {
        Exit::Code(low(libc::WEXITSTATUS(status)))
    } else if libc::WIFSIGNALED(status) {
        Exit::Signal(low(libc::WTERMSIG(status)))
    } else {
        Exit::Unknown
    }
}

/// Sends `signal` to a child that has not been reaped, so the pid cannot have been reused.
pub fn signal_child(pid: Pid, signal: i32) -> io::Result<()> {
    // SAFETY: integers only; `Pid` is never 0 or negative, so this is one process.
    if unsafe { libc::kill(pid.raw(), signal) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends `signal` to the process group that `leader` is in, unless it is our own or init's.
/// `leader` must not have been reaped.
pub fn signal_group_of(leader: Pid, signal: i32) {
    let raw = nix::unistd::Pid::from_raw(leader.raw());
    let Ok(group) = nix::unistd::getpgid(Some(raw)) else { return };
    if group.as_raw() > 1 && group != nix::unistd::getpgrp() {
        // SAFETY: integers only. It fails if all of the group have ended, and then it is done.
        unsafe { libc::killpg(group.as_raw(), signal) };
    }
}

const OOM_SCORE_ADJ: &str = "/proc/self/oom_score_adj";
/// Bytes of the longest value, `-1000` and a newline, and some.
const OOM_SCORE_ADJ_MAX: usize = 16;

/// Asks the kernel to spare this process when memory runs out. Returns the former value, which every
/// child is to get back; `None`: nothing was changed, so children have what they should have.
pub fn protect_from_oom() -> Option<String> {
    let file = File::options().read(true).write(true).open(OOM_SCORE_ADJ).ok()?;
    let mut former = [0; OOM_SCORE_ADJ_MAX];
    let length = file.read_at(&mut former, 0).ok()?;
    if let Err(error) = file.write_at(b"-1000", 0) {
        log::debug!("cannot lower {OOM_SCORE_ADJ}: {}", reason(&error));
        return None;
    }
    Some(String::from_utf8_lossy(&former[..length]).trim_end().to_owned())
}

/// Whether `/proc` tells of this process. False also if it is gone, since a process that is hidden
/// looks the same (hidepid, proc(5)).
pub fn is_visible(pid: Pid) -> bool {
    std::fs::File::open(format!("/proc/{pid}/stat")).is_ok()
}
