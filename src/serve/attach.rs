//! The attach socket: where clients connect to get the container's output and to send input.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::sys::socket::SockType;
use nix::unistd::geteuid;

use crate::error::Error;
use crate::sys::socket;

/// Clients that may wait to be accepted.
pub const BACKLOG: i32 = 128;

/// A listening SEQPACKET socket `BUNDLE/attach`, and the link through which callers with short
/// paths find it.
#[derive(Debug)]
pub struct Attach {
    listener: Option<OwnedFd>,
    path: PathBuf,
    link: Option<PathBuf>,
}

impl Attach {
    /// Makes `BUNDLE/attach` (mode 0700) and, if wanted, `SOCKET_DIR/UUID` as a link to the bundle.
    /// A socket or link that stands there is left by an earlier run and replaced.
    ///
    /// # Errors
    ///
    /// [`Error::Fatal`], also if something else stands there; then nothing is left behind.
    pub fn open(bundle: &Path, link: Option<PathBuf>) -> Result<Attach, Error> {
        let path = bundle.join("attach");
        let doing = format_args!("Failed to make attach socket {}", path.display()).to_string();
        let listener = socket::bind(&path, SockType::SeqPacket, 0o700).map_err(|e| Error::io(&doing, e))?;
        let finished = socket::listen(&listener, BACKLOG)
            .map_err(|e| Error::io(&doing, e))
            .and_then(|()| link.as_deref().map_or(Ok(()), |link| make_link(link, bundle)));
        match finished {
            Ok(()) => Ok(Attach { listener: Some(listener), path, link }),
            Err(error) => {
                remove(&path);
                Err(error)
            }
        }
    }

    /// The next client. `None`: nobody waits. A peer that is neither root nor the supervisor's own
    /// user is closed at once; the mode of the socket keeps most of them out already.
    ///
    /// # Errors
    ///
    /// Those of accept(2); the client goes on waiting.
    pub fn accept(&self) -> io::Result<Option<OwnedFd>> {
        let Some(listener) = &self.listener else { return Ok(None) };
        while let Some(client) = socket::accept(listener.as_fd())? {
            let uid = socket::peer_uid(&client)?;
            if uid == 0 || uid == geteuid().as_raw() {
                return Ok(Some(client));
            }
            log::warn!("refused an attach client of user {uid}");
        }
        Ok(None)
    }

    /// What to watch for clients, until it is closed.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.listener.as_ref().map(AsFd::as_fd)
    }

    /// Stops listening; the path stays. Returns what is to be closed.
    pub fn close(&mut self) -> Option<OwnedFd> {
        self.listener.take()
    }

    /// Removes the socket's path.
    pub fn unlink_socket(&self) {
        remove(&self.path);
    }

    /// Removes the link.
    pub fn unlink_link(&self) {
        if let Some(link) = &self.link {
            remove(link);
        }
    }
}

fn make_link(link: &Path, bundle: &Path) -> Result<(), Error> {
    let doing = format!("Failed to make attach link {}", link.display());
    match fs::symlink_metadata(link) {
        Ok(found) if found.file_type().is_symlink() => {
            fs::remove_file(link).map_err(|e| Error::io(&doing, e))?;
        }
        Ok(_) => return Err(Error::Fatal(format!("{doing}: there is something else"))),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io(&doing, error)),
    }
    symlink(bundle, link).map_err(|e| Error::io(&doing, e))
}

/// Removes a path that may have been removed by the manager already.
pub fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            log::warn!("cannot remove {}: {error}", path.display());
        }
        _ => {}
    }
}
