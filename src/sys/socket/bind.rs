//! Sockets that stand at a path.

use std::ffi::OsStr;
use std::fs::{File, Permissions, set_permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::socket::{self, SockType, UnixAddr};
use nix::sys::stat::{self, Mode};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::{open_path, unix};
use crate::sys::fds;

/// A socket bound to `path`, close-on-exec and non-blocking. A listener still needs [`listen`].
///
/// The path may be longer than `sun_path`: the kernel is then given `/proc/self/fd/DIR/NAME`. Only
/// `NAME` itself is bounded, to about 90 bytes.
///
/// The entry has `mode` whatever the umask is. It is never more open than that, not even between
/// bind(2) and chmod(2): bind gives the entry the mode of the socket less the umask (unix(7)), so
/// the socket gets it first, and what the umask took is added afterwards.
///
/// # Errors
///
/// Those of the system calls: EADDRINUSE if anything stands at the path.
pub fn bind(path: &Path, kind: SockType, mode: u32) -> io::Result<OwnedFd> {
    bind_in(path, kind, mode, false)
}

/// The same, for a path that belongs to this container: a socket that stands there is left by an
/// earlier run, and replaced.
///
/// # Errors
///
/// Those of the system calls, and `AlreadyExists` if the path is taken by something other than a
/// socket, which is left alone.
pub fn rebind(path: &Path, kind: SockType, mode: u32) -> io::Result<OwnedFd> {
    bind_in(path, kind, mode, true)
}

fn bind_in(path: &Path, kind: SockType, mode: u32, replace: bool) -> io::Result<OwnedFd> {
    let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
        return Err(io::Error::new(ErrorKind::InvalidInput, format!("{} names no file", path.display())));
    };
    let address = UnixAddr::new(path);
    if address != Err(Errno::ENAMETOOLONG) {
        let entry = Entry { dir: AT_FDCWD, name: path.as_os_str(), address: address? };
        return entry.bind(path, kind, mode, replace);
    }
    let dir = open_path(parent, OFlag::O_DIRECTORY)?;
    let address = UnixAddr::new(&Path::new(&fds::path(&dir)).join(name))?;
    Entry { dir: dir.as_fd(), name, address }.bind(path, kind, mode, replace)
}

/// Where a socket is to stand, for the calls that take a directory and for bind(2).
struct Entry<'a> {
    dir: BorrowedFd<'a>,
    name: &'a OsStr,
    address: UnixAddr,
}

impl Entry<'_> {
    fn bind(&self, path: &Path, kind: SockType, mode: u32, replace: bool) -> io::Result<OwnedFd> {
        if replace {
            self.remove_stale(path)?;
        }
        let socket = unix(kind)?;
        stat::fchmod(&socket, Mode::from_bits_truncate(mode))?;
        socket::bind(socket.as_raw_fd(), &self.address)?;
        if let Err(error) = self.add_mode(mode) {
            let _ = unlinkat(self.dir, self.name, UnlinkatFlags::NoRemoveDir);
            return Err(error);
        }
        Ok(socket)
    }

    fn remove_stale(&self, path: &Path) -> io::Result<()> {
        match stat::fstatat(self.dir, self.name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
            Ok(found) if is_socket(found.st_mode) => {
                Ok(unlinkat(self.dir, self.name, UnlinkatFlags::NoRemoveDir)?)
            }
            Ok(_) => {
                let text = format!("{} exists and is not a socket", path.display());
                Err(io::Error::new(ErrorKind::AlreadyExists, text))
            }
        }
    }

    /// Gives a freshly bound socket the bits of `mode` that the umask took. Through an O_PATH
    /// descriptor, so that it is this entry that changes and not what a swapped-in link points to.
    fn add_mode(&self, mode: u32) -> io::Result<()> {
        let found = stat::fstatat(self.dir, self.name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        if is_socket(found.st_mode) && found.st_mode & 0o777 == mode {
            return Ok(());
        }
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let entry = File::from(openat(self.dir, self.name, flags, Mode::empty())?);
        if !is_socket(stat::fstat(&entry)?.st_mode) {
            return Err(io::Error::other("the socket was replaced while it was made"));
        }
        set_permissions(fds::path(&entry), Permissions::from_mode(mode))
    }
}

fn is_socket(mode: libc::mode_t) -> bool {
    mode & libc::S_IFMT == libc::S_IFSOCK
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::sys::socket::listen;
    use std::fs;
    use std::os::unix::fs::{FileTypeExt, symlink};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::PathBuf;

    /// A directory whose path is longer than `sun_path`, inside `dir`.
    pub fn deep(dir: &Path) -> PathBuf {
        let deep = dir.join("d".repeat(100)).join("e".repeat(200));
        fs::create_dir_all(&deep).unwrap();
        deep
    }

    #[test]
    fn modes_are_exact() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o600, 0o700, 0o777, 0o666, 0o000] {
            for base in [dir.path().to_owned(), deep(dir.path())] {
                let path = base.join("attach");
                // The second time replaces the stale socket of the first.
                for _ in 0..2 {
                    let socket = rebind(&path, SockType::SeqPacket, mode).unwrap();
                    let found = fs::symlink_metadata(&path).unwrap();
                    assert!(found.file_type().is_socket());
                    assert_eq!(found.permissions().mode() & 0o7777, mode);
                    listen(&socket, 10).unwrap();
                }
            }
        }
    }

    #[test]
    fn only_a_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("attach");
        let socket = dir.path().join("elsewhere");
        let _listener = UnixListener::bind(&socket).unwrap();
        let make: [&dyn Fn(); 3] =
            [&|| fs::write(&path, "precious").unwrap(), &|| fs::create_dir(&path).unwrap(), &|| {
                symlink(&socket, &path).unwrap()
            }];
        for make in make {
            make();
            let error = rebind(&path, SockType::Stream, 0o600).unwrap_err();
            assert_eq!(error.to_string(), format!("{} exists and is not a socket", path.display()));
            fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
        }
        assert!(socket.exists());
    }

    #[test]
    fn bind_alone_touches_nothing_that_stands_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        let standing = bind(&path, SockType::Stream, 0o700).unwrap();
        listen(&standing, 1).unwrap();
        assert_eq!(bind(&path, SockType::Stream, 0o700).unwrap_err().kind(), ErrorKind::AddrInUse);
        UnixStream::connect(&path).unwrap();
    }
}
