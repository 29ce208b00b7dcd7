//! A private place for engines and containers: mount and PID namespaces of their own, gone with the test.
//!
//! Engines keep state outside the directories they are given: locks in `/dev/shm`, sockets below
//! `/run`, mounts, and processes that outlive them by design. In here each of these is private.
//! When the first process of a PID namespace ends, the kernel kills the rest: a failed test leaves
//! no supervisor and no container behind, even when the test itself was killed.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use tempfile::TempDir;

/// How long a command may take before it is killed, in seconds. A hang becomes a failure with a text.
const COMMAND_LIMIT: &str = "60";

/// Runs as the namespace's first process. It makes what must be private, says so, and waits for end
/// of file, which comes when the test ends, however it ends. The reading is left to a child, because
/// a shell reaps the orphans it adopted only while it waits for a child; `exit` keeps the shell from
/// becoming that child.
const INIT: &str = r#"
set -eu
mount --make-rshared /
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/user /run/systemd/journal /run/log/journal
echo ready
cat >/dev/null
exit 0
"#;

/// The namespaces, and a directory that everything in them may use.
pub struct Sandbox {
    dir: TempDir,
    holder: Child,
    /// Closing it ends the first process. `Some` until then.
    life: Option<ChildStdin>,
    /// The first process, as this test's own PID namespace numbers it.
    init: u32,
    /// Kept open, so that nothing in there is ever killed for writing to it.
    _out: BufReader<ChildStdout>,
}

impl Sandbox {
    /// Makes the namespaces; panics with the reason where that is not possible.
    pub fn new() -> Sandbox {
        assert!(
            nix::unistd::geteuid().is_root(),
            "tests on real runtimes need root (mount and PID namespaces)"
        );
        let dir =
            tempfile::Builder::new().prefix("conward-").tempdir().expect("making a temporary directory");
        // Ordinary users work in here too.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("chmod of the directory");
        let mut holder = Command::new(need("unshare"))
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"])
            .args(["sh", "-c", INIT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("spawning unshare");
        let mut out = BufReader::new(holder.stdout.take().expect("piped stdout"));
        let mut line = String::new();
        out.read_line(&mut line).expect("reading from the first process of the namespace");
        assert_eq!(line, "ready\n", "no private namespaces here: see the message of unshare or mount above");
        let children = format!("/proc/{0}/task/{0}/children", holder.id());
        let children = fs::read_to_string(&children).unwrap_or_else(|e| panic!("reading {children}: {e}"));
        let init =
            children.trim().parse().unwrap_or_else(|e| panic!("children of unshare {children:?}: {e}"));
        let life = holder.stdin.take();
        Sandbox { dir, holder, life, init, _out: out }
    }

    /// The directory, mode 0755; removed with the sandbox.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// `program` in the namespaces, without a limit of time.
    pub fn command(&self, program: &str) -> Command {
        need(program);
        let mut command = Command::new(need("nsenter"));
        command.args(["-t", &self.init.to_string(), "--mount", "--pid", "--", program]);
        command
    }

    /// `program` in the namespaces, killed after a minute.
    pub fn limited(&self, program: &str) -> Command {
        need(program);
        let mut command = Command::new(need("timeout"));
        command.stdin(Stdio::null()).args([
            "--kill-after=1",
            COMMAND_LIMIT,
            "nsenter",
            "-t",
            &self.init.to_string(),
        ]);
        command.args(["--mount", "--pid", "--", program]);
        command
    }

    /// Runs a script in the namespaces and gives its standard output; panics if it fails.
    pub fn script(&self, script: &str) -> String {
        succeed(self.limited("sh").args(["-euc", script]), script)
    }

    /// The proc directory of a process, given the number it has inside.
    pub fn proc(&self, pid: i32) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root/proc/{pid}", self.init))
    }

    /// The cgroup below which everything here belongs, from the root of each hierarchy.
    pub fn cgroup(&self) -> String {
        let name = self.dir().file_name().expect("a directory's name");
        format!("/{}", name.to_string_lossy())
    }

    /// A path inside, as seen from outside (`/run` and `/dev/shm` differ).
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.init))
    }

    /// A copy of the program under test, at a path that an ordinary user may reach too.
    pub fn supervisor(&self) -> PathBuf {
        let path = self.dir().join("conward");
        if !path.exists() {
            let source = crate::conward();
            fs::copy(&source, &path).unwrap_or_else(|e| panic!("copying {}: {e}", source.display()));
            fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("chmod of the copy");
        }
        path
    }

    /// The command lines of all processes inside, for messages.
    pub fn processes(&self) -> String {
        self.script(
            "for p in /proc/[0-9]*; do echo \"${p#/proc/} $(tr '\\0' ' ' <$p/cmdline 2>/dev/null)\"; done",
        )
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Sandbox::new()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let cgroups = cgroups(&self.cgroup());
        for cgroup in &cgroups {
            // What is frozen cannot even be killed (cgroup-v1/freezer-subsystem.rst).
            let _ = fs::write(cgroup.join("freezer.state"), "THAWED");
        }
        drop(self.life.take());
        let _ = self.holder.wait();
        for cgroup in &cgroups {
            let _ = fs::remove_dir(cgroup);
        }
    }
}

/// All cgroups of this name and below, in every hierarchy, each after those that it contains.
fn cgroups(name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let roots = hierarchies.map(|entry| entry.path()).chain([PathBuf::from("/sys/fs/cgroup")]);
    for root in roots {
        let mut todo = vec![root.join(&name[1..])];
        while let Some(dir) = todo.pop() {
            if dir.is_dir() && !found.contains(&dir) {
                let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
                todo.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
                found.push(dir);
            }
        }
    }
    found.reverse();
    found
}

/// The full path of a program; panics, naming what installs it, when it is missing.
pub fn need(program: &str) -> PathBuf {
    if program.starts_with('/') {
        return PathBuf::from(program);
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let dirs = path.split(':').chain(["/usr/sbin", "/sbin", "/usr/lib/systemd"]);
    dirs.map(|dir| Path::new(dir).join(program))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{program} is not installed: run tests/setup"))
}

/// Runs a command and gives its standard output; panics with both streams when it fails.
pub fn succeed(command: &mut Command, what: &str) -> String {
    let output = finish(command, what);
    assert!(
        output.status.success(),
        "{what}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap_or_else(|e| panic!("{what}: output is not text: {e}"))
}

/// Runs a command to its end; panics when it ran into its limit of time.
pub fn finish(command: &mut Command, what: &str) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{what}: {e}"));
    // timeout(1): 124 means that it took too long.
    let late = output.status.code() == Some(124);
    assert!(!late, "{what}: not done after {COMMAND_LIMIT} s\n{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Writes all of `input` to a child's standard input and closes it, while the child's output is
/// collected: neither side can fill a pipe that the other has stopped reading.
pub fn feed(command: &mut Command, input: &[u8], what: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{what}: {e}"));
    let mut stdin = child.stdin.take().expect("piped stdin");
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap_or_else(|e| panic!("{what}: {e}"))
    })
}
