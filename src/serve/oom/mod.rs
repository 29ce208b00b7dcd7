//! Watching for the kernel killing a container's processes for want of memory.
//!
//! - v2: `memory.events` counts, and a change of it wakes poll(2) on the file itself, so that no
//!   inotify instance is needed (of which a user may have 128 by default).
//! - v1: an eventfd is signalled at each OOM, and once more when the cgroup is removed;
//!   `memory.oom_control` counts kills.
//!
//! Nothing here can fail a container: what cannot be watched is said and left.

pub mod paths;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use conward_protocol::{Line, Lines};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::error::reason;
use crate::pid::Pid;
use paths::{Hierarchy, memory_cgroup};

/// Most bytes of /proc/PID/cgroup that are read: v1 has up to 13 lines, each with a path below
/// PATH_MAX. What is beyond is not seen.
const CGROUP_MAX: u64 = 13 * 4200;

/// Most bytes of a line of mountinfo: two escaped paths and some words. Longer lines are skipped.
const MOUNT_LINE_MAX: usize = 16 * 1024;

/// Bytes of a counters file that are read; the longest known one has about 100.
const COUNTERS_MAX: usize = 1024;

/// How often it has happened, as far as the kernel counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// v2: the limit was reached and nothing could be reclaimed.
    pub oom: u64,
    /// Processes killed.
    pub oom_kill: u64,
    /// v2: whole cgroups killed (kernel 5.17).
    pub oom_group_kill: u64,
}

impl Counts {
    /// Reads `memory.events` or `memory.oom_control`; other lines than those with a count are ignored.
    pub fn parse(text: &[u8]) -> Counts {
        let mut counts = Counts::default();
        for line in text.split(|&byte| byte == b'\n') {
            let mut words = line.splitn(2, |&byte| byte == b' ');
            let counter = match words.next() {
                Some(b"oom") => &mut counts.oom,
                Some(b"oom_kill") => &mut counts.oom_kill,
                Some(b"oom_group_kill") => &mut counts.oom_group_kill,
                _ => continue,
            };
            let number = words.next().and_then(|word| str::from_utf8(word).ok());
            *counter = number.and_then(|word| word.parse().ok()).unwrap_or_default();
        }
        counts
    }

    fn read(file: &File) -> io::Result<Counts> {
        let mut buf = [0; COUNTERS_MAX];
        let length = file.read_at(&mut buf, 0)?;
        Ok(Counts::parse(&buf[..length]))
    }

    fn exceed(&self, seen: &Counts) -> bool {
        self.oom > seen.oom || self.oom_kill > seen.oom_kill || self.oom_group_kill > seen.oom_group_kill
    }
}

/// The watch over one process's memory cgroup.
#[derive(Debug)]
pub struct OomWatch {
    /// Open from the start: with a path, the answer could come from another cgroup of that name.
    counters: File,
    /// Processes killed before the watch began.
    before: u64,
    /// What was counted when we last looked. Only more than that is news.
    seen: Counts,
    /// v1: signalled by the kernel.
    event: Option<EventFd>,
    /// v1: how often that was found signalled since the cgroup was gone.
    after_removal: u64,
}

impl OomWatch {
    /// Watches the cgroup that `pid`, which must not have been reaped, is in now. What happened in
    /// it before does not count; so this belongs before the caller learns the pid and lets the
    /// container run.
    ///
    /// `None`, with a diagnostic, if there is nothing to watch: no memory controller (usual without
    /// privileges), or a cgroup that no mount shows.
    pub fn arm(pid: Pid) -> Option<OomWatch> {
        match OomWatch::try_arm(pid) {
            Ok(Some(watch)) => Some(watch),
            Ok(None) => {
                log::debug!("no memory cgroup of process {pid} to watch");
                None
            }
            Err(error) => {
                log::warn!("watch memory cgroup of process {pid}: {}", reason(&error));
                None
            }
        }
    }

    fn try_arm(pid: Pid) -> io::Result<Option<OomWatch>> {
        let mut text = Vec::new();
        File::open(format!("/proc/{pid}/cgroup"))?.take(CGROUP_MAX).read_to_end(&mut text)?;
        let Some((hierarchy, path)) = memory_cgroup(&text) else {
            return Ok(None);
        };
        let open = |directory: &Path| watch_in(directory, hierarchy);
        // mountinfo is long on a host with many containers: it is read only if need be.
        if let Some(directory) = hierarchy.usual_mount().directory(path)
            && let Some(watch) = open(&directory)?
        {
            return Ok(Some(watch));
        }
        search(File::open("/proc/self/mountinfo")?, hierarchy, path, open)
    }

    /// Whether there was an OOM since the last call. Call it when the descriptor is ready, and once
    /// more when the container has ended, before its cgroup is removed: an event may come late.
    ///
    /// One OOM may be reported by two calls: v1 signals before it counts. At most two system calls.
    pub fn turn(&mut self) -> bool {
        // EAGAIN means that nothing was signalled.
        let signalled = self.event.as_ref().map_or(0, |event| event.read().unwrap_or(0));
        match Counts::read(&self.counters) {
            Ok(counts) => {
                let grown = counts.exceed(&self.seen);
                self.seen = counts;
                grown || signalled > 0
            }
            // The cgroup is gone. Of the signals not yet seen then, one is for that and no OOM.
            Err(_) => {
                self.after_removal += signalled;
                signalled > 0 && self.after_removal > 1
            }
        }
    }

    /// Processes that were killed since the watch began, as far as [`OomWatch::turn`] has seen.
    pub fn kills(&self) -> u64 {
        self.seen.oom_kill.saturating_sub(self.before)
    }
}

impl AsFd for OomWatch {
    /// The descriptor to wait for. On v2 it is a file that is always readable, so epoll(7) must be
    /// edge-triggered; each change is an edge, which comes with EPOLLERR set.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.event {
            Some(event) => event.as_fd(),
            None => self.counters.as_fd(),
        }
    }
}

/// Looks through the lines of mountinfo for a mount that shows the cgroup `path`, and in which
/// `open` finds something.
fn search<T>(
    mut mountinfo: impl Read,
    hierarchy: Hierarchy,
    path: &Path,
    open: impl Fn(&Path) -> io::Result<Option<T>>,
) -> io::Result<Option<T>> {
    let mut lines = Lines::new(MOUNT_LINE_MAX);
    let mut buf = [0; 4096];
    let mut found = Ok(None);
    while matches!(found, Ok(None)) {
        let length = mountinfo.read(&mut buf)?;
        if length == 0 {
            break;
        }
        lines.push(&buf[..length], |line| {
            if let (Ok(None), Line::Text(text)) = (&found, line)
                && let Some(directory) = paths::mount(text, hierarchy).and_then(|mount| mount.directory(path))
            {
                found = open(&directory);
            }
        });
    }
    found
}

/// The watch over the cgroup at `directory`; `None` if there is none with a memory controller.
fn watch_in(directory: &Path, hierarchy: Hierarchy) -> io::Result<Option<OomWatch>> {
    let counters = match File::open(directory.join(hierarchy.counters())) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let event = match hierarchy {
        Hierarchy::V2 => None,
        Hierarchy::V1 => match register(directory, &counters) {
            Ok(event) => Some(event),
            Err(error) => {
                // The count can still be read at the end.
                log::warn!("register for OOM events in {}: {}", directory.display(), reason(&error));
                None
            }
        },
    };
    // After the registration: what happens in between is signalled.
    let seen = Counts::read(&counters)?;
    Ok(Some(OomWatch { counters, before: seen.oom_kill, seen, event, after_removal: 0 }))
}

/// Has the kernel signal a new eventfd at each OOM (cgroup-v1/memory.rst, section 9).
fn register(directory: &Path, oom_control: &File) -> io::Result<EventFd> {
    let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    let line = format!("{} {}", event.as_fd().as_raw_fd(), oom_control.as_raw_fd());
    File::options().write(true).open(directory.join("cgroup.event_control"))?.write_all(line.as_bytes())?;
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn counters() {
        let counts = |oom, oom_kill, oom_group_kill| Counts { oom, oom_kill, oom_group_kill };
        let table = [
            (
                "low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\noom_group_kill 6\nsock_throttled 7\n",
                counts(4, 5, 6),
            ),
            ("low 0\nhigh 0\nmax 0\noom 0\noom_kill 2", counts(0, 2, 0)),
            ("oom_kill_disable 1\nunder_oom 1\noom_kill 3\n", counts(0, 3, 0)),
            ("oom_kill_disable 1\nunder_oom 1\n", counts(0, 0, 0)),
            ("oom x\noom_kill -1\noom_group_kill\n oom 4\noom_kill 1 2\n", counts(0, 0, 0)),
            ("oom 18446744073709551615\noom_kill 18446744073709551616\n", counts(u64::MAX, 0, 0)),
            ("", counts(0, 0, 0)),
        ];
        for (text, expected) in table {
            assert_eq!(Counts::parse(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn only_news_counts() {
        let dir = tempfile::tempdir().unwrap();
        let events = dir.path().join("memory.events");
        fs::write(&events, "oom 3\noom_kill 2\n").unwrap();
        let mut watch = watch_in(dir.path(), Hierarchy::V2).unwrap().unwrap();
        assert!(!watch.turn());
        let table = [
            ("max 9\noom 3\noom_kill 2\n", false, 0),
            ("oom 4\noom_kill 2\n", true, 0),
            ("oom 4\noom_kill 2\n", false, 0),
            ("oom 4\noom_kill 3\n", true, 1),
            ("oom 4\noom_kill 3\noom_group_kill 1\n", true, 1),
            ("oom 4\noom_kill 3\noom_group_kill 1\n", false, 1),
            ("oom 5\noom_kill 7\noom_group_kill 1\n", true, 5),
        ];
        for (text, expected, kills) in table {
            fs::write(&events, text).unwrap();
            assert_eq!((watch.turn(), watch.kills()), (expected, kills), "{text:?}");
        }
    }

    #[test]
    fn a_subtree_mounted_elsewhere_is_found() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/memory.events"), "oom_kill 1\n").unwrap();
        let other = "30 20 0:1 / /proc rw - proc proc rw\n".repeat(500);
        let point = dir.path().display();
        let mountinfo = format!(
            "{other}1 2 0:3 /elsewhere {point} rw - cgroup2 none rw\n\
             1 2 0:3 /box {point}/nowhere rw - cgroup2 none rw\n\
             1 2 0:3 /box {point} rw - cgroup2 none rw\n{other}"
        );
        let find = |path: &str| {
            let open = |directory: &Path| watch_in(directory, Hierarchy::V2);
            search(mountinfo.as_bytes(), Hierarchy::V2, Path::new(path), open).unwrap()
        };
        assert_eq!(find("/box/sub").unwrap().seen.oom_kill, 1);
        assert!(find("/box").is_none());
        assert!(find("/sub").is_none());
    }

    #[test]
    fn a_process_that_is_gone_is_no_reason_to_stop() {
        // Above the largest pid that Linux has.
        assert!(OomWatch::arm(Pid::new(1 << 23).expect("positive")).is_none());
    }
}
