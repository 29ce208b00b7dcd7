//! The OOM watch against a real cgroup of the v1 memory controller.
//!
//! Skipped, with a line saying so, where such a cgroup cannot be made.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use conward::pid::Pid;
use conward::serve::oom::OomWatch;
use conward_testkit::wait_for;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

const LIMIT: Duration = Duration::from_secs(20);

/// A cgroup of its own with a shell in it, which eats memory in a child of its own at each word
/// from its stdin.
struct Cage {
    directory: PathBuf,
    shell: Child,
}

impl Cage {
    /// Needs root and a v1 memory hierarchy. Without them the test fails, since nobody would look.
    fn new(name: &str) -> Cage {
        let directory =
            PathBuf::from(format!("/sys/fs/cgroup/memory/conward-oom-{name}-{}", std::process::id()));
        fs::create_dir(&directory).unwrap_or_else(|error| panic!("create {}: {error}", directory.display()));
        let shell = Command::new("sh")
            .args(["-c", "while read -r word; do tail /dev/zero; echo $?; done"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let cage = Cage { directory, shell };
        cage.set("memory.limit_in_bytes", "8M");
        if cage.directory.join("memory.memsw.limit_in_bytes").exists() {
            cage.set("memory.memsw.limit_in_bytes", "8M");
        }
        cage.set("cgroup.procs", &cage.shell.id().to_string());
        cage
    }

    fn set(&self, file: &str, value: &str) {
        fs::write(self.directory.join(file), value).unwrap();
    }

    fn watch(&self) -> OomWatch {
        OomWatch::arm(Pid::new(self.shell.id().try_into().unwrap()).unwrap()).unwrap()
    }

    /// A child of the shell runs out of memory; returns when the kernel has counted that.
    fn eat(&mut self) {
        let before = self.kills();
        self.shell.stdin.as_mut().unwrap().write_all(b"eat\n").unwrap();
        wait_for("an OOM kill", LIMIT, || (self.kills() > before).then_some(()));
    }

    fn kills(&self) -> u64 {
        let text = fs::read_to_string(self.directory.join("memory.oom_control")).unwrap();
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")).unwrap().parse().unwrap()
    }

    fn remove(&mut self) {
        self.shell.kill().unwrap();
        self.shell.wait().unwrap();
        wait_for("removal of the cgroup", LIMIT, || match fs::remove_dir(&self.directory) {
            Err(error) if error.kind() != ErrorKind::NotFound => None,
            _ => Some(()),
        });
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        if self.directory.exists() {
            self.remove();
        }
    }
}

fn woken(watch: &OomWatch, timeout: PollTimeout) -> bool {
    poll(&mut [PollFd::new(watch.as_fd(), PollFlags::POLLIN)], timeout).unwrap() > 0
}

#[test]
fn a_killed_child_is_noticed_once() {
    let mut cage = Cage::new("child");
    let mut watch = cage.watch();
    assert!(!woken(&watch, PollTimeout::ZERO));
    assert!(!watch.turn());
    cage.eat();
    assert!(woken(&watch, PollTimeout::from(20_000u16)));
    assert!(watch.turn());
    assert!(!watch.turn());
    assert!(cage.shell.try_wait().unwrap().is_none(), "the shell lives on");

    // A later watch, as of an exec, does not report what was before it.
    let mut later = cage.watch();
    assert!(!later.turn());
    cage.eat();
    assert!(later.turn());
    assert!(watch.turn());
}

#[test]
fn removal_is_no_oom() {
    let mut cage = Cage::new("removal");
    let mut watch = cage.watch();
    cage.remove();
    assert!(woken(&watch, PollTimeout::from(20_000u16)), "removal is signalled");
    assert!(!watch.turn());
}

#[test]
fn an_oom_before_the_removal_is_noticed_after_it() {
    let mut cage = Cage::new("both");
    let mut watch = cage.watch();
    cage.eat();
    cage.remove();
    // Two signals add up; the second one comes some time after the removal.
    wait_for("both signals", LIMIT, || watch.turn().then_some(()));
}
