//! What is made for a session before anything is started.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::{Bench, Result, doing, host, wait};

/// What a container engine puts into a bundle; the stub does not look at it, a supervisor may.
const CONFIG: &str = include_str!("config.json");

/// What the stub's container writes when it is told to go.
#[derive(Clone, Copy)]
pub struct Output {
    /// Length of a line with its newline.
    pub line: usize,
    /// Bytes in all.
    pub total: u64,
}

impl Output {
    /// A container that waits to be killed.
    pub const SILENT: Output = Output { line: 80, total: 0 };

    /// Lines in all.
    pub fn lines(self) -> u64 {
        self.total.div_ceil(self.line as u64)
    }
}

/// The directory of one session and what is made in it before anything is started.
pub struct Place {
    dir: PathBuf,
    /// The container id: 64 hexadecimal digits that no other session of the host has.
    pub id: String,
    /// Commands to the container. Its last writer is the harness: when it goes, so does the container.
    gate: File,
}

impl Place {
    /// Makes the directory and in it the bundle, with the stub's orders.
    pub fn new(bench: &Bench, output: Output) -> Result<Place> {
        let number = bench.sessions.get() + 1;
        bench.sessions.set(number);
        let id = format!("{:032x}{number:032x}", std::process::id());
        let dir = bench.scratch.path().join(number.to_string());
        for sub in ["bundle", "exits", "persist"] {
            fs::create_dir_all(dir.join(sub)).map_err(doing(format!("make {}", dir.display())))?;
        }
        let gate = dir.join("gate");
        mkfifo(&gate, Mode::S_IRUSR | Mode::S_IWUSR).map_err(doing("make the fifo for commands"))?;
        let orders = format!("{} {} {}\n", gate.display(), output.line, output.total);
        fs::write(dir.join("bundle/stub"), orders).map_err(doing("write the stub's orders"))?;
        fs::write(dir.join("bundle/config.json"), CONFIG).map_err(doing("write the bundle's config.json"))?;
        // Open for both, so that neither end waits for the other (fifo(7)).
        let gate = OpenOptions::new().read(true).write(true).open(&gate);
        Ok(Place { dir, id, gate: gate.map_err(doing("open the fifo for commands"))? })
    }

    /// Sends the container commands; see the stub.
    pub fn command(&mut self, commands: &[u8]) -> Result<()> {
        self.gate.write_all(commands).map_err(doing("send the container a command"))
    }

    /// Whether the container has taken all commands, and so has done all but the last one.
    pub fn is_obeyed(&self) -> Result<bool> {
        Ok(!wait::readable("the fifo for commands", &self.gate, Duration::ZERO)?)
    }

    /// The path of `name` in the session's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Conward's control socket, where it is by default.
    pub fn control(&self) -> PathBuf {
        Path::new(host::RUN).join("conward").join(&self.id).join("control.sock")
    }

    /// Removes the directory. A log is memory on tmpfs, so it goes as soon as it is not needed.
    pub fn remove(&self) -> Result<()> {
        fs::remove_dir_all(&self.dir).map_err(doing(format!("remove {}", self.dir.display())))
    }

    /// Starts the stub without any supervisor, its output going to `stdout`; gives the container's
    /// pid, which becomes a child of the harness, and the time that took.
    pub fn start_bare(&self, stub: &Path, stdout: Stdio) -> Result<(Pid, Duration)> {
        let begin = Instant::now();
        let mut command = Command::new(stub);
        command.arg("create").arg("--bundle").arg(self.path("bundle"));
        command.arg("--pid-file").arg(self.path("pidfile")).arg(&self.id).stdin(Stdio::null()).stdout(stdout);
        let status = command.status().map_err(doing(format!("run {}", stub.display())))?;
        let pid = read_pid(&self.path("pidfile"))?;
        let took = begin.elapsed();
        if status.success() { Ok((pid, took)) } else { Err(format!("the stub ended with {status}")) }
    }
}

/// The number that a pid file holds.
pub fn read_pid(path: &Path) -> Result<Pid> {
    let text = fs::read_to_string(path).map_err(doing(format!("read {}", path.display())))?;
    text.trim().parse().map(Pid::from_raw).map_err(|e| format!("{} holds {text:?}: {e}", path.display()))
}
