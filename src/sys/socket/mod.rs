//! AF_UNIX sockets: at paths of any length, with exact modes, passing descriptors.

mod bind;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::socket::{
    self, AddressFamily, Backlog, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
};
use nix::sys::stat::Mode;
use nix::unistd::geteuid;

use super::fds;
use crate::error::reason;
pub use bind::{bind, rebind};

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
                target = open_path(Path::new(to), OFlag::empty())?;
                UnixAddr::new(Path::new(&fds::path(&target)))?
            }
            address => address?,
        },
    };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    // A datagram goes whole or not at all.
    socket::sendto(socket.as_raw_fd(), bytes, &address, flags)?;
    Ok(())
}

/// The entry at `path`, of whatever kind, close-on-exec: not to be read or written, but to be reached by a
/// short path ([`fds::path`](super::fds::path)). `flags` are those of open(2) that go with O_PATH.
///
/// # Errors
///
/// Those of open(2).
pub fn open_path(path: &Path, flags: OFlag) -> io::Result<File> {
    // Not by std, which takes O_PATH for an access mode where musl does.
    Ok(open(path, OFlag::O_PATH | OFlag::O_CLOEXEC | flags, Mode::empty())?.into())
}

#[cfg(test)]
mod tests {
    use super::bind::tests::deep;
    use super::*;
    use nix::sys::socket::{ControlMessage, recv, sendmsg, socketpair};
    use std::fs;
    use std::io::{IoSlice, Read};
    use std::os::unix::net::{UnixDatagram, UnixStream};

    fn pair(kind: SockType) -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK).unwrap()
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
        let link = |entry: std::path::PathBuf| fs::read_link(entry).ok();
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
