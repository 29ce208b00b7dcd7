//! The standard streams that the runtime is started with.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::pipe2;

use crate::error::Error;
use crate::plan::Stdio;
use crate::sys::fds::set_nonblocking;

/// The two sides of the container's standard streams.
#[derive(Debug)]
pub struct Streams {
    /// What the runtime gets; `None`: it gets /dev/null.
    pub theirs: [Option<OwnedFd>; 3],
    /// The write end of stdin.
    pub stdin: Option<OwnedFd>,
    /// The read end of stdout; none with a terminal.
    pub stdout: Option<OwnedFd>,
    /// The read end of stderr.
    pub stderr: Option<OwnedFd>,
}

impl Streams {
    /// Makes the pipes that the plan asks for; our ends do not block.
    ///
    /// # Errors
    ///
    /// [`Error::Fatal`].
    pub fn open(stdio: Stdio) -> Result<Streams, Error> {
        Streams::make(stdio).map_err(|e| Error::io("Failed to make a pipe for the container", e))
    }

    fn make(stdio: Stdio) -> io::Result<Streams> {
        let mut streams = Streams { theirs: [None, None, None], stdin: None, stdout: None, stderr: None };
        if stdio == Stdio::Passthrough {
            return Ok(streams);
        }
        if matches!(stdio, Stdio::Pipes { stdin: true, .. }) {
            let (read, write) = pipe()?;
            set_nonblocking(&write)?;
            streams.theirs[0] = Some(read);
            streams.stdin = Some(write);
        }
        if matches!(stdio, Stdio::Pipes { .. }) {
            let (read, write) = pipe()?;
            set_nonblocking(&read)?;
            streams.theirs[1] = Some(write);
            streams.stdout = Some(read);
        }
        let (read, write) = pipe()?;
        set_nonblocking(&read)?;
        streams.theirs[2] = Some(write);
        streams.stderr = Some(read);
        Ok(streams)
    }
}

/// A pipe whose ends a process of any user can open again as /dev/stdout (conmon b0c3ea0).
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    fchmod(&read, Mode::from_bits_retain(0o777))?;
    Ok((read, write))
}

/// Descriptors 0 to 2 of the runtime.
pub fn ends<'a>(
    stdio: Stdio,
    theirs: &'a [Option<OwnedFd>; 3],
    null: &'a File,
    own: [BorrowedFd<'a>; 3],
) -> [BorrowedFd<'a>; 3] {
    if stdio == Stdio::Passthrough {
        return own;
    }
    theirs.each_ref().map(|end| end.as_ref().map_or(null.as_fd(), AsFd::as_fd))
}
