//! A fifo that holds a scripted process until the test lets it go.

use nix::sys::stat::Mode;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Something scripted processes wait for with [`crate::Step::Await`].
#[derive(Debug)]
pub struct Gate {
    path: PathBuf,
    fifo: File,
}

impl Gate {
    /// A closed gate at this path.
    pub(crate) fn new(path: PathBuf) -> Gate {
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).expect("mkfifo");
        // At both ends, so that a byte written early is not lost.
        let fifo = OpenOptions::new().read(true).write(true).open(&path).expect("open a fifo");
        Gate { path, fifo }
    }

    /// The fifo, to be kept open for those who come after the gate was opened and forgotten.
    pub(crate) fn keep(&self) -> File {
        self.fifo.try_clone().expect("duplicate a descriptor")
    }

    /// What the script names.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets one process pass, now or when it comes.
    pub fn open(&mut self) {
        self.fifo.write_all(b"\0").expect("write to a fifo");
    }
}
