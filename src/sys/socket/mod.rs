//! AF_UNIX sockets: at paths of any length, with exact modes, passing descriptors.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::socket::{
    self, AddressFamily, Backlog, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
};
use nix::sys::stat::{self, Mode, SFlag};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};

use crate::error::reason;

/// Most data bytes that [`receive_fd`] takes along with the descriptor. A runtime sends a name of
/// no interest; what is longer is cut (stream) or lost (datagram).
const NAME_MAX: usize = 4095;

/// A new socket of this kind, close-on-exec and non-blocking.
///
/// # Errors
///
/// Those of socket(2).
pub fn unix(kind: SockType) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket::socket(AddressFamily::Unix, kind, flags, None)?)
}

/// A socket bound to `path`, close-on-exec and non-blocking. A listener still needs [`listen`].
///
/// The path may be longer than `sun_path`: the kernel is given `/proc/self/fd/DIR/NAME`. Only
/// `NAME` itself is bounded then, to about 90 bytes.
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
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let dir = open_path(parent, libc::O_DIRECTORY)?;
    if replace {
        remove_stale(&dir, name, path)?;
    }

    let socket = unix(kind)?;
    stat::fchmod(&socket, Mode::from_bits_truncate(mode))?;
    socket::bind(socket.as_raw_fd(), &UnixAddr::new(&below(&dir, name))?)?;
    if let Err(error) = add_mode(&dir, name, mode) {
        let _ = unlinkat(&dir, name, UnlinkatFlags::NoRemoveDir);
        return Err(error);
    }
    Ok(socket)
}

/// Lets clients connect; at most `backlog` of them wait to be accepted.
///
/// # Errors
///
/// Those of listen(2).
pub fn listen(socket: &impl AsFd, backlog: i32) -> io::Result<()> {
    Ok(socket::listen(&socket.as_fd(), Backlog::new(backlog)?)?)
}

/// The next waiting client, close-on-exec and non-blocking; `None` if nobody waits.
///
/// # Errors
///
/// Those of accept(2), without the two that mean "try the next one".
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    loop {
        match socket::accept4(listener.as_raw_fd(), flags) {
            // SAFETY: accept4 has just made this descriptor, so nothing else owns it.
            Ok(fd) => return Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) })),
            Err(Errno::EAGAIN) => return Ok(None),
            Err(Errno::EINTR | Errno::ECONNABORTED) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The next waiting client that is root or this process's own user; others are closed at once, with
/// a diagnostic that calls them `what`. `None` if nobody waits.
///
/// # Errors
///
/// Those of accept(2).
pub fn accept_own(listener: BorrowedFd<'_>, what: &str) -> io::Result<Option<OwnedFd>> {
    while let Some(client) = accept(listener)? {
        match peer_uid(&client) {
            Ok(uid) if is_own(uid) => return Ok(Some(client)),
            Ok(uid) => log::warn!("refused {what} of user {uid}"),
            Err(error) => log::warn!("refused {what} of an unknown user: {}", reason(&error)),
        }
    }
    Ok(None)
}

/// Whether this is root or the user of this process.
pub fn is_own(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

/// The user id that the peer had when it connected (SO_PEERCRED, unix(7)).
///
/// # Errors
/// Those of getsockopt(2).
pub fn peer_uid(socket: &impl AsFd) -> io::Result<u32> {
    Ok(socket::getsockopt(&socket.as_fd(), socket::sockopt::PeerCredentials)?.uid())
}

/// Takes one message of at most 4095 bytes of no interest, which must carry exactly one descriptor.
///
/// # Errors
///
/// `WouldBlock` if no message is there yet, `UnexpectedEof` if none will come, `InvalidData` if it
/// carried no descriptor or several (all of them are closed), ENOBUFS if this process may have no
/// more descriptors, and those of recvmsg(2).
pub fn receive_fd(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut name = [0; NAME_MAX];
    // Room for all that a message can carry (SCM_MAX_FD, unix(7)), so that none is cut off.
    let mut control = cmsg_space!([RawFd; 253]);
    let mut data = [IoSliceMut::new(&mut name)];
    let message = socket::recvmsg::<()>(
        socket.as_raw_fd(),
        &mut data,
        Some(&mut control),
        MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT,
    )?;
    let mut received = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            // SAFETY: recvmsg has just installed these descriptors, so nothing else owns them.
            received.extend(fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    if received.len() == 1 {
        return Ok(received.remove(0));
    }
    if received.is_empty() && message.bytes == 0 {
        return Err(io::Error::new(ErrorKind::UnexpectedEof, "connection closed without a descriptor"));
    }
    let what = if received.is_empty() { "no descriptor" } else { "more than one descriptor" };
    Err(io::Error::new(ErrorKind::InvalidData, format!("message with {what}")))
}

/// Sends one datagram from `socket` to the socket at `to`: a path of any length, or `@NAME` for an
/// abstract one. Never blocks.
///
/// # Errors
///
/// `WouldBlock` if the receiver's queue is full, those of open(2) for a path longer than
/// `sun_path`, and those of sendto(2).
pub fn send_to(socket: BorrowedFd<'_>, to: &OsStr, bytes: &[u8]) -> io::Result<()> {
    // Keeps the number in the address valid until the datagram is sent.
    let target;
    let address = match to.as_bytes() {
        [b'@', name @ ..] => UnixAddr::new_abstract(name)?,
        _ => match UnixAddr::new(Path::new(to)) {
            Err(Errno::ENAMETOOLONG) => {
                target = open_path(Path::new(to), 0)?;
                UnixAddr::new(&by_number(&target))?
            }
            address => address?,
        },
    };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    // A datagram goes whole or not at all.
    socket::sendto(socket.as_raw_fd(), bytes, &address, flags)?;
    Ok(())
}

fn remove_stale(dir: &File, name: &OsStr, path: &Path) -> io::Result<()> {
    match stat::fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
        Ok(stat) if SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFSOCK => {
            Ok(unlinkat(dir, name, UnlinkatFlags::NoRemoveDir)?)
        }
        Ok(_) => {
            let text = format!("{} exists and is not a socket", path.display());
            Err(io::Error::new(ErrorKind::AlreadyExists, text))
        }
    }
}

/// Gives a freshly bound socket the bits of `mode` that the umask took. Through an O_PATH
/// descriptor, so that it is this entry that changes and not what a swapped-in link points to.
fn add_mode(dir: &File, name: &OsStr, mode: u32) -> io::Result<()> {
    let entry = open_path(&below(dir, name), libc::O_NOFOLLOW)?;
    let found = entry.metadata()?;
    if !found.file_type().is_socket() {
        return Err(io::Error::other("the socket was replaced while it was made"));
    }
    if found.permissions().mode() & 0o777 == mode {
        return Ok(());
    }
    std::fs::set_permissions(by_number(&entry), PermissionsExt::from_mode(mode))
}

fn open_path(path: &Path, flags: i32) -> io::Result<File> {
    // With O_PATH the access mode is ignored (open(2)); std wants one to be named.
    File::options().read(true).custom_flags(libc::O_PATH | flags).open(path)
}

fn by_number(fd: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn below(dir: &File, name: &OsStr) -> PathBuf {
    by_number(dir).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{ControlMessage, recv, sendmsg, socketpair};
    use std::fs;
    use std::io::{IoSlice, Read};
    use std::os::unix::fs::symlink;
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    fn pair(kind: SockType) -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK).unwrap()
    }

    /// A directory whose path is longer than `sun_path`, inside `dir`.
    fn deep(dir: &Path) -> PathBuf {
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

    #[test]
    fn clients_are_accepted_and_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let listener = rebind(&path, SockType::Stream, 0o600).unwrap();
        listen(&listener, 10).unwrap();
        assert!(accept(listener.as_fd()).unwrap().is_none());
        let mut client = UnixStream::connect(&path).unwrap();
        let server = accept(listener.as_fd()).unwrap().unwrap();
        assert_eq!(peer_uid(&server).unwrap(), nix::unistd::getuid().as_raw());
        assert!(accept(listener.as_fd()).unwrap().is_none());
        assert_eq!(recv(server.as_raw_fd(), &mut [0; 1], MsgFlags::empty()), Err(Errno::EAGAIN));
        drop(server);
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    }

    fn send_fds(socket: &OwnedFd, bytes: &[u8], fds: &[RawFd]) {
        let rights = [ControlMessage::ScmRights(fds)];
        let control = if fds.is_empty() { &[][..] } else { &rights[..] };
        sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::empty(), None).unwrap();
    }

    /// How many descriptors of this process refer to the same pipe or socket as `fd`.
    fn holders(fd: &OwnedFd) -> usize {
        let link = |entry: PathBuf| fs::read_link(entry).ok();
        let wanted = link(format!("/proc/self/fd/{}", fd.as_raw_fd()).into());
        fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter(|entry| link(entry.as_ref().unwrap().path()) == wanted)
            .count()
    }

    #[test]
    fn one_descriptor_exactly() {
        let (here, there) = pair(SockType::Stream);
        assert_eq!(receive_fd(here.as_fd()).unwrap_err().kind(), ErrorKind::WouldBlock);

        let (cargo, _peer) = pair(SockType::Stream);
        send_fds(&there, b"/dev/ptmx", &[cargo.as_raw_fd()]);
        let received = receive_fd(here.as_fd()).unwrap();
        assert_eq!(holders(&cargo), 2);
        assert_eq!(
            nix::fcntl::fcntl(&received, nix::fcntl::FcntlArg::F_GETFD).unwrap(),
            nix::fcntl::FdFlag::FD_CLOEXEC.bits()
        );
        drop(received);

        for (count, text) in [(0, "no descriptor"), (2, "more than one"), (253, "more than one")] {
            send_fds(&there, b"x", &vec![cargo.as_raw_fd(); count]);
            let error = receive_fd(here.as_fd()).unwrap_err();
            assert!(error.to_string().contains(text), "{count}: {error}");
            assert_eq!(holders(&cargo), 1, "{count}");
        }
        drop(there);
        assert_eq!(receive_fd(here.as_fd()).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn datagrams_reach_long_paths_and_abstract_names() {
        let dir = tempfile::tempdir().unwrap();
        let sender = unix(SockType::Datagram).unwrap();
        let mut buf = [0; 16];
        for base in [dir.path().to_owned(), deep(dir.path())] {
            let path = base.join("notify.sock");
            let receiver = UnixDatagram::from(rebind(&path, SockType::Datagram, 0o777).unwrap());
            send_to(sender.as_fd(), path.as_os_str(), b"READY=1").unwrap();
            let n = receiver.recv(&mut buf).unwrap();
            assert_eq!(&buf[..n], b"READY=1");
        }

        let name = format!("conward-test-{}", std::process::id());
        let receiver = unix(SockType::Datagram).unwrap();
        socket::bind(receiver.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes()).unwrap()).unwrap();
        send_to(sender.as_fd(), format!("@{name}").as_ref(), b"x").unwrap();
        assert_eq!(recv(receiver.as_raw_fd(), &mut buf, MsgFlags::empty()), Ok(1));

        for missing in [dir.path().join("none"), deep(dir.path()).join("none")] {
            let error = send_to(sender.as_fd(), missing.as_os_str(), b"x").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
        }
    }

    #[test]
    fn a_full_receiver_does_not_block() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("full");
        let _receiver = rebind(&path, SockType::Datagram, 0o600).unwrap();
        let sender = unix(SockType::Datagram).unwrap();
        let error = (0..100_000).find_map(|_| send_to(sender.as_fd(), path.as_os_str(), b"x").err()).unwrap();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
}
