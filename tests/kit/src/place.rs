//! A directory for each test, and the account of the processes it started.

use crate::{Gate, LogRecord, PATIENCE, Script, parse_log, process, wait_until};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The variable that marks everything a test starts.
const MARK: &str = "CONWARD_TEST_PLACE";

/// Where one test keeps its container, and which supervisor looks after it. When it is dropped, no
/// process that was started from it may be left: the test fails if one is.
#[derive(Debug)]
pub struct Place {
    root: TempDir,
    program: PathBuf,
    id: String,
    bundle: PathBuf,
    gates: Mutex<Vec<File>>,
}

impl Place {
    /// A new place for this supervisor.
    pub fn new(program: PathBuf) -> Place {
        become_subreaper();
        let root = tempfile::Builder::new().prefix("cw").tempdir().expect("temporary directory");
        // Unique, since it names things outside of this directory too; as long as real ones.
        let unique: String = root.path().display().to_string().bytes().map(|b| format!("{b:02x}")).collect();
        let bundle = root.path().join("bundle");
        let place =
            Place { id: format!("{unique:0<64.64}"), program, bundle, root, gates: Mutex::new(Vec::new()) };
        for dir in [place.bundle(), &place.path("exits"), &place.path("persist"), &place.path("sockets")] {
            fs::create_dir_all(dir).expect("directory of the test");
        }
        place
    }

    /// Moves the bundle to another directory below this place, which is made.
    pub fn set_bundle(&mut self, name: impl AsRef<Path>) {
        self.bundle = self.path(name);
        fs::create_dir_all(&self.bundle).expect("bundle directory");
    }

    /// The supervisor.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The container's id: 64 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A path in this place.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(name)
    }

    /// The bundle, which has the attach socket and the fifos too.
    pub fn bundle(&self) -> &Path {
        &self.bundle
    }

    /// The log file.
    pub fn log(&self) -> PathBuf {
        self.path("ctr.log")
    }

    /// The records in the log file.
    pub fn log_records(&self) -> Vec<LogRecord> {
        parse_log(&fs::read(self.log()).expect("log file"))
    }

    /// What the container is to do.
    pub fn script(&self, script: &Script) {
        self.script_at(&self.bundle.join("fake.json"), script);
    }

    /// A script in a file of its own, for `exec`.
    pub fn script_at(&self, path: &Path, script: &Script) {
        fs::write(path, serde_json::to_vec(script).expect("script as JSON")).expect("script file");
    }

    /// A new gate with this name.
    pub fn gate(&self, name: &str) -> Gate {
        let gate = Gate::new(self.path(name));
        self.gates.lock().expect("gates").push(gate.keep());
        gate
    }

    /// Lets the created container run, as the runtime's `start` does.
    pub fn start_container(&self) {
        // With both ends, the open does not wait for a container that has gone.
        let fifo = OpenOptions::new().read(true).write(true).open(self.bundle.join("start.fifo"));
        fifo.and_then(|mut fifo| fifo.write_all(b"\0")).expect("start the container");
    }

    /// Writes to the control fifo, as Podman does it.
    pub fn ctl(&self, bytes: &[u8]) {
        assert!(self.try_ctl(bytes), "nobody has the ctl fifo open");
    }

    /// The same; false when the supervisor has gone.
    pub fn try_ctl(&self, bytes: &[u8]) -> bool {
        let fifo =
            OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(self.bundle.join("ctl"));
        let mut fifo = match fifo {
            Ok(fifo) => fifo,
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => return false,
            Err(error) => panic!("open ctl: {error}"),
        };
        let mut left = bytes;
        let end = Instant::now() + PATIENCE;
        while !left.is_empty() {
            match fifo.write(left) {
                Ok(size) => left = &left[size..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(Instant::now() < end, "nobody reads the ctl fifo");
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return false,
                Err(error) => panic!("ctl: {error}"),
            }
        }
        true
    }

    /// The content of the file in the exit directory, once there is one.
    pub fn exit_file(&self) -> Option<String> {
        fs::read_to_string(self.path("exits").join(&self.id)).ok()
    }

    /// The content of the exit file in the persistent directory.
    pub fn persist_exit(&self) -> Option<String> {
        fs::read_to_string(self.path("persist/exit")).ok()
    }

    /// Waits for a file and gives its content.
    pub fn await_file(&self, path: impl AsRef<Path>) -> String {
        let path = self.path(path);
        wait_until(&format!("{} exists", path.display()), || path.exists());
        fs::read_to_string(&path).expect("read a file")
    }

    /// A file system object's type and permissions, like `s700`; `-` where there is none.
    pub fn mode(&self, path: impl AsRef<Path>) -> String {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let Ok(meta) = fs::symlink_metadata(self.path(path)) else { return "-".into() };
        let kind = match meta.file_type() {
            kind if kind.is_socket() => 's',
            kind if kind.is_fifo() => 'p',
            kind if kind.is_dir() => 'd',
            kind if kind.is_symlink() => 'l',
            _ => 'f',
        };
        format!("{kind}{:03o}", meta.mode() & 0o7777)
    }

    /// A command that counts as started from here, with all that it starts.
    pub fn marked(&self, program: impl AsRef<OsStr>) -> Command {
        let (name, value) = self.mark();
        let mut command = Command::new(program);
        command.env(name, value);
        command
    }

    /// The environment entry that marks what is started from here.
    pub(crate) fn mark(&self) -> (&'static str, &OsStr) {
        (MARK, self.root.path().as_os_str())
    }

    /// The living processes that were started from here.
    pub fn processes(&self) -> Vec<i32> {
        process::marked(&format!("{MARK}={}", self.root.path().display()))
    }

    /// Whether nothing that was started from here lives. In the middle of its execve(2) a process has no
    /// environment for a moment, so this looks more than once.
    pub fn is_deserted(&self) -> bool {
        const LOOKS: usize = 4;
        (0..LOOKS).all(|_| {
            std::thread::sleep(Duration::from_millis(2));
            self.processes().is_empty()
        })
    }

    /// Kills what was started from here and still lives.
    pub fn end_all(&self) {
        // Again and again, since what floods or forks may be between two looks.
        for _ in 0..3 {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            left.into_iter().for_each(process::end);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let end = Instant::now() + PATIENCE;
        while !std::thread::panicking() && !self.processes().is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
        let left: Vec<(i32, String)> =
            self.processes().iter().map(|&pid| (pid, process::name_of(pid))).collect();
        self.end_all();
        if !std::thread::panicking() {
            assert!(left.is_empty(), "left behind: {left:?}");
        }
    }
}

/// Makes the test process inherit the orphans of its descendants, so that it learns their status.
fn become_subreaper() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| nix::sys::prctl::set_child_subreaper(true).expect("become a subreaper"));
}
