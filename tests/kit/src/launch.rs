//! Starting a supervisor as its callers do.

use crate::running::Running;
use crate::{Clocks, Host, Place, REFERENCE, Script, fake_runtime};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::pipe2;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What the pipes between caller and supervisor are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipes {
    /// Packet sockets, as Podman makes them.
    SeqPacket,
    /// Stream sockets, as CRI-O makes them.
    Stream,
    /// A pipe each, as CRI-O makes one for ExecSync.
    Plain,
}

/// A supervisor's command line and surroundings.
#[derive(Debug)]
pub struct Launch<'a> {
    place: &'a Place,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    unset: Vec<OsString>,
    pipes: Pipes,
    with_start: bool,
    with_attach: bool,
    inherited: Vec<OwnedFd>,
    pid_file: Option<PathBuf>,
    cwd: Option<PathBuf>,
    file_size: Option<u64>,
    mounts: Option<String>,
    tracer: Vec<OsString>,
}

impl<'a> Launch<'a> {
    /// No arguments at all, and no pipes but the sync pipe.
    pub fn bare(place: &'a Place) -> Launch<'a> {
        Launch {
            place,
            args: Vec::new(),
            env: Vec::new(),
            unset: Vec::new(),
            pipes: Pipes::SeqPacket,
            with_start: false,
            with_attach: false,
            inherited: Vec::new(),
            pid_file: None,
            cwd: None,
            file_size: None,
            mounts: None,
            tracer: Vec::new(),
        }
    }

    /// `create` with the words that it needs, and no log yet: `-l` is to follow.
    pub fn least(place: &'a Place) -> Launch<'a> {
        Launch::bare(place)
            .args(["--sync", "--full-attach", "-c", place.id(), "-u", place.id()])
            .arg("-r")
            .arg(fake_runtime())
            .arg("-b")
            .arg(place.bundle())
            .arg("-p")
            .arg(place.path("pidfile"))
    }

    /// `create` as Podman asks for it: the log is a k8s-file, there is no stdin.
    pub fn create(place: &'a Place) -> Launch<'a> {
        let mut launch = Launch::podman(place, place.id(), "pidfile").log();
        launch.with_start = true;
        launch.pid_file = Some(place.path("conmon.pid"));
        launch.arg("--bundle").arg(place.bundle()).arg("--conmon-pidfile").arg(place.path("conmon.pid"))
    }

    /// `exec` as Podman asks for it: gated, in a session directory `session`, without a log.
    pub fn exec(place: &'a Place, script: &Script) -> Launch<'a> {
        let session = place.path("session");
        fs::create_dir_all(&session).expect("session directory");
        place.script_at(&session.join("process.json"), script);
        let mut launch = Launch::podman(place, &"5e55".repeat(16), "session/exec_pid");
        launch.with_start = true;
        launch.with_attach = true;
        launch.cwd = Some(session.clone());
        // Podman writes none for an exec, but the test wants to know the supervisor.
        launch.pid_file = Some(place.path("exec.pid"));
        launch
            .args(["-l", "none", "-e", "--exec-attach", "--exec-process-spec"])
            .arg(session.join("process.json"))
            .arg("-b")
            .arg(&session)
            .arg("--conmon-pidfile")
            .arg(place.path("exec.pid"))
    }

    /// `create` as CRI-O asks for it.
    pub fn crio_create(place: &'a Place) -> Launch<'a> {
        let mut launch = Launch::bare(place).pipes(Pipes::Stream).log();
        launch.with_start = true;
        launch.pid_file = Some(place.path("conmon.pid"));
        launch.cwd = Some(place.bundle().to_owned());
        launch
            .args(["-c", place.id(), "-u", place.id(), "-n", "name", "--log-level", "info"])
            .arg("-b")
            .arg(place.bundle())
            .arg("--exit-dir")
            .arg(place.path("exits"))
            .arg("--persist-dir")
            .arg(place.path("persist"))
            .arg("-P")
            .arg(place.path("conmon.pid"))
            .arg("-p")
            .arg(place.path("pidfile"))
            .arg("-r")
            .arg(fake_runtime())
            .arg("--socket-dir-path")
            .arg(place.path("sockets"))
    }

    /// `exec` as CRI-O's ExecSync asks for it: no bundle, one message on a plain pipe, a pid file
    /// that exists already and is empty.
    pub fn crio_exec(place: &'a Place, script: &Script) -> Launch<'a> {
        place.script_at(&place.path("process.json"), script);
        fs::write(place.path("exec_pid"), "").expect("pid file");
        Launch::bare(place)
            .pipes(Pipes::Plain)
            .log()
            .args(["-c", place.id(), "-n", "name", "-e", "--sync", "--log-level", "info"])
            .arg("-r")
            .arg(fake_runtime())
            .arg("-p")
            .arg(place.path("exec_pid"))
            .arg("--exec-process-spec")
            .arg(place.path("process.json"))
            .arg("--socket-dir-path")
            .arg(place.path("sockets"))
    }

    fn podman(place: &'a Place, uuid: &str, pid_file: &str) -> Launch<'a> {
        Launch::bare(place)
            .args(["--api-version", "1", "-c", place.id(), "-u", uuid, "-n", "name", "--full-attach"])
            .arg("-r")
            .arg(fake_runtime())
            .arg("-p")
            .arg(place.path(pid_file))
            .arg("--exit-dir")
            .arg(place.path("exits"))
            .arg("--persist-dir")
            .arg(place.path("persist"))
    }

    fn log(self) -> Launch<'a> {
        let log = self.place.log();
        self.arg("-l").arg(format!("k8s-file:{}", log.display()))
    }

    /// conward's control directory in the place. The reference has none, nor a word for it.
    pub fn control(self) -> Launch<'a> {
        if self.place.program() == Path::new(REFERENCE) {
            return self;
        }
        let dir = self.place.path("control");
        self.arg("--control-dir").arg(dir)
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Launch<'a> {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Launch<'a> {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// One more variable in the environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Launch<'a> {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// One variable less.
    pub fn without_env(mut self, name: impl AsRef<OsStr>) -> Launch<'a> {
        self.unset.push(name.as_ref().to_owned());
        self
    }

    /// Another working directory.
    pub fn cwd(mut self, dir: PathBuf) -> Launch<'a> {
        self.cwd = Some(dir);
        self
    }

    /// Bytes beyond which no file may grow (RLIMIT_FSIZE, getrlimit(2)).
    pub fn file_size_limit(mut self, bytes: u64) -> Launch<'a> {
        self.file_size = Some(bytes);
        self
    }

    /// It finds the test's own syslog and journal, in a mount namespace of its own.
    pub fn host(mut self, host: &Host) -> Launch<'a> {
        self.mounts = Some(host.mounts());
        self
    }

    /// It has a mount namespace of its own, in which this shell script was run first.
    pub fn mounts(mut self, script: &str) -> Launch<'a> {
        self.mounts = Some(script.to_owned());
        self
    }

    /// strace(1) writes these system calls of the supervisor to a file, with the paths of descriptors.
    /// It ends after the supervisor, and holds what that inherited as long.
    pub fn traced(mut self, calls: &str, file: PathBuf) -> Launch<'a> {
        let calls = format!("trace={calls}");
        // As a grandchild, so that the supervisor is the caller's own child all the same.
        self.tracer =
            ["strace", "-D", "-f", "-y", "-s", "256", "-e", &calls, "-o"].map(OsString::from).into();
        self.tracer.push(file.into());
        self
    }

    /// strace(1) writes the system calls of the spawned process to a file, and makes some fail: `faults` are
    /// its `inject=` expressions. With `forks`, those of the processes that it forks too, up to their execve(2).
    /// As with [`Launch::traced`], the tracer holds what the supervisor inherited.
    pub fn injected(mut self, faults: &[String], forks: bool, file: PathBuf) -> Launch<'a> {
        self.tracer = ["strace", "-D", "-q", "-y", "-s", "256"].map(OsString::from).into();
        if forks {
            self.tracer.extend(["-f", "-b", "execve"].map(OsString::from));
        }
        for fault in faults {
            self.tracer.extend(["-e".into(), format!("inject={fault}").into()]);
        }
        self.tracer.extend(["-o".into(), file.into()]);
        self
    }

    /// With descriptors 0 to 2 closed, as nobody should start a program, but some do.
    pub fn without_streams(self) -> Launch<'a> {
        self.through(["sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"])
    }

    /// These words start the supervisor: programs that change something and then become it.
    pub fn through<S: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = S>) -> Launch<'a> {
        self.tracer.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// Other pipes.
    pub fn pipes(mut self, pipes: Pipes) -> Launch<'a> {
        self.pipes = pipes;
        self
    }

    /// No start pipe: it begins at once.
    pub fn without_start(mut self) -> Launch<'a> {
        self.with_start = false;
        self
    }

    /// One more descriptor that the supervisor inherits under its number here.
    pub fn inherit(mut self, fd: OwnedFd) -> Launch<'a> {
        self.inherited.push(fd);
        self
    }

    /// `--sync`: the supervisor stays the test's own child and writes no pid file.
    pub fn sync(mut self) -> Launch<'a> {
        self.pid_file = None;
        self.arg("--sync")
    }

    /// An exit command that leaves a [`crate::Record`] in `NAME` of the place.
    pub fn exit_command(self, name: &str) -> Launch<'a> {
        let record = self.place.path(name);
        self.arg("--exit-command")
            .arg(fake_runtime())
            .args(["--exit-command-arg", "record", "--exit-command-arg"])
            .arg(record)
    }

    /// The same, but it then waits for a gate.
    pub fn gated_exit_command(self, name: &str, gate: &crate::Gate) -> Launch<'a> {
        self.exit_command(name).arg("--exit-command-arg").arg(gate.path())
    }

    /// Spawns the supervisor. It waits for the start byte if it has a start pipe.
    pub fn start(self) -> Running<'a> {
        self.start_by(|command| (command.spawn().expect("start the supervisor"), ())).0
    }

    /// The same, with clocks of its own.
    pub fn start_with_clocks(self) -> (Running<'a>, Clocks) {
        self.start_by(Clocks::spawn)
    }

    fn start_by<T>(self, spawn: impl FnOnce(&mut Command) -> (Child, T)) -> (Running<'a>, T) {
        let mut command = self.command();
        command.args(&self.args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // conward's own control directory belongs into the test's place, not into /run.
        command.env("XDG_RUNTIME_DIR", self.place.path("run"));
        command.env(self.place.mark().0, self.place.mark().1).process_group(0);
        for name in &self.unset {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        let mut handed: Vec<RawFd> = self.inherited.iter().map(AsRawFd::as_raw_fd).collect();
        let mut pipe = |wanted: bool, name: &str, theirs_writes: bool| {
            let (ours, theirs) = wanted.then(|| self.pipes.pair(theirs_writes))?;
            command.env(name, theirs.as_raw_fd().to_string());
            handed.push(theirs.as_raw_fd());
            Some((ours, theirs))
        };
        let sync = pipe(true, "_OCI_SYNCPIPE", true);
        let start = pipe(self.with_start, "_OCI_STARTPIPE", false);
        let attach = pipe(self.with_attach, "_OCI_ATTACHPIPE", true);
        let file_size = self.file_size;
        let hand_over = move || {
            if let Some(limit) = file_size {
                setrlimit(Resource::RLIMIT_FSIZE, limit, limit)?;
            }
            // What the test itself inherited (from cargo, from a shell) is none of the supervisor's.
            // SAFETY: the call only sets a flag on descriptors of this process.
            unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
            handed.iter().try_for_each(|&fd| keep_over_exec(fd))
        };
        // SAFETY: setrlimit(2), close_range(2) and fcntl(2) are async-signal-safe, nothing is allocated, and the
        // descriptors stay open until the spawn.
        unsafe { command.pre_exec(hand_over) };
        let (child, more) = spawn(&mut command);
        let ours = |pair: Option<(OwnedFd, OwnedFd)>| pair.map(|(ours, _theirs)| ours);
        (Running::new(self.place, child, ours(sync), ours(start), ours(attach), self.pid_file), more)
    }
}

impl Launch<'_> {
    /// The supervisor, without arguments. It keeps the pid of whatever makes its mounts.
    fn command(&self) -> Command {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(mounts) = &self.mounts {
            words.push("unshare".into());
            if !nix::unistd::geteuid().is_root() {
                words.push("--map-root-user".into());
            }
            let script = format!("{mounts}\nexec \"$@\"");
            words.extend(["--mount", "sh", "-euc", &script, "sh"].map(OsString::from));
        }
        words.extend(self.tracer.iter().cloned());
        words.push(self.place.program().into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    }
}

impl Pipes {
    /// Our end and theirs.
    fn pair(self, theirs_writes: bool) -> (OwnedFd, OwnedFd) {
        let kind = match self {
            Pipes::SeqPacket => SockType::SeqPacket,
            Pipes::Stream => SockType::Stream,
            Pipes::Plain => {
                let (read, write) = pipe2(OFlag::O_CLOEXEC).expect("pipe");
                return if theirs_writes { (read, write) } else { (write, read) };
            }
        };
        socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC).expect("socketpair")
    }
}

fn keep_over_exec(fd: RawFd) -> std::io::Result<()> {
    // SAFETY: the descriptor is open: the parent of this fork holds it.
    fcntl(unsafe { BorrowedFd::borrow_raw(fd) }, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}
