//! Starting a supervisor as Podman does, and a session with it: one supervisor, one container.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::Pid;

use crate::place::{Output, Place, read_pid};
use crate::series::Who;
use crate::{Bench, Result, doing, proc, wait};

/// Where the supervisor logs to.
#[derive(Clone, Copy, PartialEq)]
pub enum Log {
    /// The k8s-file [`Session::log`].
    File,
    /// The same, begun anew after so many bytes.
    Rotated(u64),
    /// The journal at [`crate::host::JOURNAL`].
    Journal,
    /// Nowhere.
    None,
}

/// What a session shall be.
#[derive(Clone, Copy)]
pub struct Wish {
    /// Where its output is logged.
    pub log: Log,
    /// What the container writes when it is told to go.
    pub output: Output,
    /// Whether it has a terminal.
    pub terminal: bool,
}

impl Wish {
    /// A session without a terminal.
    pub fn new(log: Log, output: Output) -> Wish {
        Wish { log, output, terminal: false }
    }
}

/// A launched supervisor whose launcher has been let go.
pub struct Launched {
    /// Our end of the sync pipe.
    sync: File,
    /// When the launcher was spawned.
    pub begin: Instant,
    launcher: Pid,
}

impl Launched {
    /// Spawns `program` with a sync and a start pipe, its stderr in `place`, and says "go" at once.
    pub fn new(program: &Path, place: &Place, args: &[&dyn AsRef<OsStr>]) -> Result<Launched> {
        let (sync, sync_end) = seqpacket()?;
        let (start, start_end) = seqpacket()?;
        let errors = File::create(place.path("stderr")).map_err(doing("make the file for stderr"))?;
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).process_group(0);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("_OCI_SYNCPIPE", sync_end.as_raw_fd().to_string());
        command.env("_OCI_STARTPIPE", start_end.as_raw_fd().to_string());
        let begin = Instant::now();
        // The harness has one thread at this moment, so nothing else can inherit these two.
        for end in [&sync_end, &start_end] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::empty())).map_err(doing("let a pipe be inherited"))?;
        }
        let child = command.spawn().map_err(doing(format!("run {}", program.display())))?;
        drop((sync_end, start_end));
        File::from(start).write_all(&[0]).map_err(doing("write to the start pipe"))?;
        let launcher = Pid::from_raw(child.id() as i32);
        Ok(Launched { sync: File::from(sync), begin, launcher })
    }

    /// Waits for the next message on the sync pipe: its number, and when it came.
    pub fn number(&mut self, place: &Place) -> Result<(i32, Instant)> {
        wait::must_read("a message on the sync pipe", &self.sync)?;
        let mut buffer = [0; 8192];
        let n = self.sync.read(&mut buffer).map_err(doing("read the sync pipe"))?;
        let now = Instant::now();
        let text = String::from_utf8_lossy(&buffer[..n]);
        let message: Option<serde_json::Value> = serde_json::from_str(&text).ok();
        match message.as_ref().and_then(|m| m["data"].as_i64()).and_then(|n| i32::try_from(n).ok()) {
            Some(number) if number >= 0 => Ok((number, now)),
            _ => {
                let errors = fs::read_to_string(place.path("stderr")).unwrap_or_default();
                Err(format!("the sync pipe says {text:?}, stderr says {errors:?}"))
            }
        }
    }

    /// Reaps the launcher and reads the supervisor's pid.
    pub fn supervisor(&self, place: &Place) -> Result<Pid> {
        wait::reap(self.launcher)?;
        read_pid(&place.path("conmon.pid"))
    }
}

/// A session whose pid has not come yet.
pub struct Starting {
    place: Place,
    launched: Launched,
}

impl Starting {
    /// Spawns the supervisor of `who` with the command line that Podman 4.3 uses.
    pub fn new(bench: &Bench, who: Who, wish: Wish) -> Result<Starting> {
        let place = Place::new(bench, wish.output)?;
        let driver = match wish.log {
            Log::File | Log::Rotated(_) => format!("k8s-file:{}", place.path("log").display()),
            Log::Journal => "journald".into(),
            Log::None => "none".into(),
        };
        let (bundle, pid_file) = (place.path("bundle"), place.path("pidfile"));
        let (exit_dir, persist_dir) = (place.path("exits"), place.path("persist"));
        let own_pid_file = place.path("conmon.pid");
        #[rustfmt::skip]
        let mut args: Vec<&dyn AsRef<OsStr>> = vec![
            &"--api-version", &"-c", &place.id, &"-u", &place.id, &"-r", &bench.args.stub, &"-b", &bundle,
            &"-p", &pid_file, &"-n", &"bench", &"--exit-dir", &exit_dir, &"--persist-dir", &persist_dir,
            &"--full-attach", &"-l", &driver, &"--log-level", &"error", &"--conmon-pidfile", &own_pid_file,
        ];
        let size = if let Log::Rotated(size) = wish.log { Some(size.to_string()) } else { None };
        if let Some(size) = &size {
            args.extend([&"--log-size-max" as &dyn AsRef<OsStr>, size]);
        }
        if wish.terminal {
            args.push(&"-t");
        }
        let launched = Launched::new(bench.program(who), &place, &args)?;
        Ok(Starting { place, launched })
    }

    /// What to wait for, to call [`Starting::number`] without waiting.
    pub fn sync(&self) -> BorrowedFd<'_> {
        self.launched.sync.as_fd()
    }

    /// Waits for the container's pid.
    pub fn number(&mut self) -> Result<Numbered> {
        let (pid, at) = self.launched.number(&self.place)?;
        Ok(Numbered { pid: Pid::from_raw(pid), at })
    }

    /// The session, once its pid has come.
    pub fn started(self, numbered: Numbered) -> Result<Session> {
        let supervisor = self.launched.supervisor(&self.place)?;
        let Starting { place, launched } = self;
        Ok(Session {
            place,
            supervisor,
            container: numbered.pid,
            pid_at: numbered.at,
            launched,
            reaped: false,
        })
    }
}

/// A container's pid, and when it came.
#[derive(Clone, Copy)]
pub struct Numbered {
    pid: Pid,
    at: Instant,
}

/// A running supervisor and its container. Dropping it ends both.
pub struct Session {
    place: Place,
    /// The supervisor; a child of the harness, which is the nearest subreaper, until reaped.
    pub supervisor: Pid,
    /// The container, a child of the supervisor.
    container: Pid,
    pid_at: Instant,
    launched: Launched,
    reaped: bool,
}

impl Session {
    /// Starts a session and waits for the container's pid.
    pub fn start(bench: &Bench, who: Who, wish: Wish) -> Result<Session> {
        let mut starting = Starting::new(bench, who, wish)?;
        let numbered = starting.number()?;
        starting.started(numbered)
    }

    /// From the spawn to the container's pid.
    pub fn start_time(&self) -> Duration {
        self.pid_at - self.launched.begin
    }

    /// Sends the container commands; see the stub.
    pub fn command(&mut self, commands: &[u8]) -> Result<()> {
        self.place.command(commands)
    }

    /// Waits until the container has taken all commands, and so has done all but the last one.
    pub fn obeyed(&self) -> Result<()> {
        wait::until("the container's work", || self.place.is_obeyed())
    }

    /// Kills the container. Only for one that lives: its pid is the supervisor's to reap.
    pub fn kill_container(&self) -> Result<()> {
        kill(self.container, Signal::SIGKILL).map_err(doing("kill the container"))
    }

    /// Kills the container and waits for the supervisor's end.
    pub fn end(self) -> Result<()> {
        self.kill_container()?;
        self.finish().map(drop)
    }

    /// Conward's control socket.
    pub fn control(&self) -> PathBuf {
        self.place.control()
    }

    /// The log file, if there is one.
    pub fn log(&self) -> PathBuf {
        self.place.path("log")
    }

    /// The attach socket.
    pub fn attach(&self) -> PathBuf {
        self.place.path("bundle/attach")
    }

    /// Begins to watch for the exit file; to be called before what makes the container end.
    pub fn watch(&self) -> Result<Inotify> {
        let exits = Inotify::init(InitFlags::IN_CLOEXEC).map_err(doing("make an inotify descriptor"))?;
        let flags = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        exits.add_watch(&self.place.path("exits"), flags).map_err(doing("watch the exit directory"))?;
        Ok(exits)
    }

    /// Waits until the exit file appears and checks the status in it; gives the moment it was seen.
    pub fn exit_file(&self, exits: &Inotify, status: &str) -> Result<Instant> {
        loop {
            wait::must_read("the exit file", exits)?;
            let events = exits.read_events().map_err(doing("read the exit directory's events"))?;
            let now = Instant::now();
            // Both programs write a temporary file first; only the name of the container counts.
            if events.iter().any(|event| event.name.as_deref() == Some(self.place.id.as_ref())) {
                let path = self.place.path("exits").join(&self.place.id);
                let text = fs::read_to_string(&path).map_err(doing("read the exit file"))?;
                return if text == status { Ok(now) } else { Err(format!("the exit file says {text:?}")) };
            }
        }
    }

    /// Waits for the supervisor's end; gives the CPU time it used itself in its whole life.
    pub fn finish(mut self) -> Result<Duration> {
        wait::zombie(self.supervisor)?;
        let cpu = proc::cpu(self.supervisor)?;
        wait::reap(self.supervisor)?;
        self.reaped = true;
        Ok(cpu)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.reaped {
            // Only after an error: the supervisor is our unreaped child, so the pid is still its own.
            // The container ends by itself when the gate closes, or on a broken pipe.
            let _ = kill(self.supervisor, Signal::SIGKILL);
            let _ = wait::reap(self.supervisor);
        }
        let _ = self.place.remove();
    }
}

fn seqpacket() -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .map_err(doing("make a pair of sockets"))
}
