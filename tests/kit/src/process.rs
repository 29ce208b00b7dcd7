//! Processes by pid, as `/proc` and pidfds show them.

use crate::{PATIENCE, readable};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fs;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// A process that was alive, or a zombie, when this was made.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    /// Becomes readable when it ends (pidfd_open(2)).
    fd: OwnedFd,
    status: Option<i32>,
}

impl Process {
    /// The process with this pid, unless there is none.
    pub fn open(pid: i32) -> Option<Process> {
        // SAFETY: the call takes two integers and gives a new descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        if fd < 0 {
            return None;
        }
        // SAFETY: the descriptor is new and nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        Some(Process { pid: Pid::from_raw(pid), fd, status: None })
    }

    /// Its pid.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Sends a signal; false when it is gone.
    pub fn kill(&self, signal: Signal) -> bool {
        self.status.is_none() && kill(self.pid, signal).is_ok()
    }

    /// Whether it has ended, or does so within `limit`.
    pub fn ended_within(&self, limit: Duration) -> bool {
        readable(&self.fd, limit)
    }

    /// Waits for its end and takes its status: the code, or 128 + signal. It must be a child of the
    /// test, or an orphan that the test inherits when its parent ends.
    pub fn status(&mut self) -> i32 {
        if let Some(status) = self.status {
            return status;
        }
        assert!(self.ended_within(PATIENCE), "process {} ({}) does not end", self.pid, name_of(self.pid()));
        let status = crate::wait_for("the test inherits its process", PATIENCE, || {
            match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(_, code)) => Some(code),
                Ok(WaitStatus::Signaled(_, signal, _)) => Some(128 + signal as i32),
                Ok(_) | Err(Errno::ECHILD) => None,
                Err(error) => panic!("waitpid {}: {error}", self.pid),
            }
        });
        *self.status.insert(status)
    }

    /// Whether it sleeps, and sleeps on: it waits for something to happen, and does nothing meanwhile.
    pub fn is_quiet(&self) -> bool {
        let switches = || {
            let text = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
            let lines = text.lines().filter(|line| line.contains("ctxt_switches"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let before = switches();
        // Long enough for a round of a loop that does not sleep, traced or not.
        std::thread::sleep(Duration::from_millis(4));
        state_of(self.pid()) == Some('S') && before == switches()
    }

    /// It must use next to no processor time for a while. A busy one would use all of it; even one that
    /// shares the machine with a dozen others gets more than this bound.
    pub fn must_be_quiet(&self) {
        std::thread::sleep(Duration::from_millis(30));
        let before = self.cpu_ticks();
        std::thread::sleep(Duration::from_millis(600));
        let used = self.cpu_ticks() - before;
        assert!(used <= 3, "{used} ticks of 10 ms in 600 ms");
    }

    /// Processor time that it used, in clock ticks (1/100 s).
    pub fn cpu_ticks(&self) -> u64 {
        let stat = stat(self.pid());
        stat.get(11..13).map_or(0, |times| times.iter().filter_map(|word| word.parse::<u64>().ok()).sum())
    }
}

/// The state letter of a process in `/proc/PID/stat` (proc(5)): `R`, `S`, `Z` and so on; none when
/// it is gone.
pub fn state_of(pid: i32) -> Option<char> {
    stat(pid).first()?.chars().next()
}

/// The living children and zombies of a process.
pub fn children(pid: i32) -> Vec<i32> {
    all()
        .into_iter()
        .filter(|&other| stat(other).get(1).is_some_and(|word| word.parse() == Ok(pid)))
        .collect()
}

/// What the open descriptors of a process name (`pipe:[123]`, `/dev/null`).
pub fn descriptors(pid: i32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors of a process");
    // One that is closed meanwhile has no link any more.
    let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.map(|link| link.display().to_string()).collect()
}

/// What a process costs its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Memory of its own, in kB: `Anonymous` of smaps_rollup. Not `Private_Dirty`: the pages of a program that was
    /// just built are dirty too.
    pub private_kb: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

impl Footprint {
    /// That of the process with this pid, which must be there.
    pub fn of(pid: i32) -> Footprint {
        Footprint::at(format!("/proc/{pid}").as_ref())
    }

    /// That of the process with this proc directory.
    pub fn at(proc: &Path) -> Footprint {
        let rollup = proc.join("smaps_rollup");
        let text = fs::read_to_string(&rollup).unwrap_or_else(|e| panic!("read {}: {e}", rollup.display()));
        let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:"));
        let private_kb = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        let descriptors = fs::read_dir(proc.join("fd")).expect("descriptors of a process").count() as u64;
        Footprint { private_kb: private_kb.expect("kilobytes"), descriptors }
    }
}

/// Ends a process that the test knows to be its own, and reaps it if it is (or becomes) its child.
pub(crate) fn end(pid: i32) {
    if let Some(process) = Process::open(pid) {
        process.kill(Signal::SIGKILL);
        process.ended_within(PATIENCE);
        // Somebody else's child: theirs to reap.
        let _ = waitpid(process.pid, Some(WaitPidFlag::WNOHANG));
    }
}

/// Living processes with this variable in their environment. Zombies have none.
pub(crate) fn marked(variable: &str) -> Vec<i32> {
    let wanted = variable.as_bytes();
    let has = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|entry| entry == wanted)
    };
    all().into_iter().filter(has).collect()
}

/// The command line of a process, for messages.
pub(crate) fn name_of(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ")
}

fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The words of `/proc/PID/stat` after the program's name; empty when it is gone.
fn stat(pid: i32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    text.rsplit_once(") ").map_or(Vec::new(), |(_, rest)| rest.split(' ').map(str::to_owned).collect())
}
