//! The console socket: where the runtime sends the master end of the container's terminal.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::socket::SockType;

use crate::error::{Error, reason};
use crate::sys::file::remove;
use crate::sys::{fds, random, socket};

/// The longest path that fits into `sun_path` with its NUL (unix(7)).
const SUN_PATH_MAX: usize = 107;
/// How many more names are tried where one is taken.
const NAMES: u32 = 16;

/// A listening socket for one connection that brings one descriptor. Its path goes when the
/// connection has come, or when this is dropped.
#[derive(Debug)]
pub struct Console {
    state: State,
    path: PathBuf,
    argument: String,
    /// The socket's entry, where [`Console::argument`] means the runtime's descriptor of this number.
    entry: Option<File>,
}

#[derive(Debug)]
enum State {
    Listening(OwnedFd),
    Connected(OwnedFd),
    Over,
}

/// What came of a turn.
#[derive(Debug)]
pub enum Came {
    /// Nothing yet.
    Nothing,
    /// The runtime has connected: watch [`Console::fd`] anew.
    Connection,
    /// The terminal.
    Terminal(OwnedFd),
}

impl Console {
    /// Makes the socket `DIR/conmon-term.RANDOM`, mode 0700. The directory is often one that all
    /// share, so nothing that stands there is touched. Its path may be of any length: where the
    /// socket's would not fit, the runtime is [`handed`](Console::handed) the socket. Not the directory: a
    /// container whose runtime leaks that could get out by it (runc CVE-2024-21626).
    ///
    /// # Errors
    ///
    /// [`Error::Fatal`].
    pub fn open(dir: &Path) -> Result<Console, Error> {
        let doing =
            |error| Error::io(format_args!("Failed to make a console socket in {}", dir.display()), error);
        let mut tries = 0;
        let (listener, name) = loop {
            let name = format!("conmon-term.{}", random::name().map_err(doing)?);
            match socket::bind(&dir.join(&name), SockType::Stream, 0o700) {
                Ok(listener) => break (listener, name),
                Err(error) if error.kind() == ErrorKind::AddrInUse && tries < NAMES => tries += 1,
                Err(error) => return Err(doing(error)),
            }
        };
        let mut console = Console {
            state: State::Over,
            argument: dir.join(&name).to_string_lossy().into_owned(),
            path: dir.join(&name),
            entry: None,
        };
        socket::listen(&listener, 1).map_err(doing)?;
        if console.argument.len() > SUN_PATH_MAX || console.path.to_str().is_none() {
            let entry = socket::open_path(&console.path, OFlag::O_NOFOLLOW).map_err(doing)?;
            console.argument = fds::path(&entry);
            console.entry = Some(entry);
        }
        console.state = State::Listening(listener);
        Ok(console)
    }

    /// What the runtime gets as `--console-socket`.
    pub fn argument(&self) -> &str {
        &self.argument
    }

    /// What the runtime must have under the number that it has here.
    pub fn handed(&self) -> Option<BorrowedFd<'_>> {
        self.entry.as_ref().map(AsFd::as_fd)
    }

    /// What to watch for something to read; changes once, with [`Came::Connection`].
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Listening(fd) | State::Connected(fd) => Some(fd.as_fd()),
            State::Over => None,
        }
    }

    /// Takes what has come. Only root and the supervisor's own user may bring a terminal.
    ///
    /// # Errors
    ///
    /// Why no terminal will come any more, in words.
    pub fn turn(&mut self) -> Result<Came, String> {
        let came = match &self.state {
            State::Listening(listener) => {
                let accepted = socket::accept_own(listener.as_fd(), "a console");
                accepted.map(|connection| connection.map(State::Connected))
            }
            State::Connected(connection) => match socket::receive_fd(connection.as_fd()) {
                Ok(terminal) => {
                    self.state = State::Over;
                    return Ok(Came::Terminal(terminal));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error),
            },
            State::Over => return Ok(Came::Nothing),
        };
        match came {
            Ok(None) => Ok(Came::Nothing),
            Ok(Some(connected)) => {
                remove(&self.path);
                self.state = connected;
                Ok(Came::Connection)
            }
            Err(error) => {
                self.state = State::Over;
                Err(reason(&error))
            }
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        remove(&self.path);
    }
}
