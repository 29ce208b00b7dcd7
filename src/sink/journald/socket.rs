//! The datagram socket to systemd-journald.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, sendmsg, socket,
};

use crate::sys::file::sealed;

/// Where journald listens.
pub const PATH: &str = "/run/systemd/journal/socket";

/// A socket that is the same descriptor from beginning to end: a datagram socket whose peer went away
/// is simply connected again (unix(7)), so whoever watches it need not be told.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    path: PathBuf,
}

/// Why an entry was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The queue is full; the descriptor becomes writable when there is room.
    Full,
    /// Nobody listens.
    Absent(Errno),
    /// Anything else, which concerns this entry.
    Failed(Errno),
}

impl Socket {
    /// A socket that is not connected yet.
    pub fn new(path: &Path) -> Result<Socket, Errno> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        Ok(Socket { fd, path: path.to_owned() })
    }

    /// The descriptor, the same for life.
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// The path of the peer.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Connects to whoever listens now.
    pub fn connect(&self) -> Result<(), Errno> {
        connect(self.fd.as_raw_fd(), &UnixAddr::new(&self.path)?)
    }

    /// Sends an entry. One that is too large for a datagram goes in a sealed memfd.
    pub fn send(&self, parts: &[IoSlice<'_>]) -> Result<(), Refusal> {
        match self.sendmsg(parts, &[]) {
            Err(Errno::EMSGSIZE | Errno::ENOBUFS) => {
                // journald maps no file that could still be changed.
                let file = sealed("journal-entry", parts).map_err(|error| {
                    Refusal::Failed(error.raw_os_error().map_or(Errno::EMSGSIZE, Errno::from_raw))
                })?;
                self.sendmsg(&[], &[file.as_raw_fd()]).map_err(Refusal::from)
            }
            result => result.map_err(Refusal::from),
        }
    }

    fn sendmsg(&self, parts: &[IoSlice<'_>], fds: &[RawFd]) -> Result<(), Errno> {
        let rights = [ControlMessage::ScmRights(fds)];
        let rights = if fds.is_empty() { &[][..] } else { &rights[..] };
        loop {
            match sendmsg::<UnixAddr>(self.fd.as_raw_fd(), parts, rights, MsgFlags::MSG_NOSIGNAL, None) {
                Err(Errno::EINTR) => {}
                result => return result.map(drop),
            }
        }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Refusal {
        match errno {
            Errno::EAGAIN => Refusal::Full,
            Errno::ECONNREFUSED | Errno::ENOENT | Errno::ENOTCONN | Errno::ECONNRESET | Errno::EPIPE => {
                Refusal::Absent(errno)
            }
            errno => Refusal::Failed(errno),
        }
    }
}
