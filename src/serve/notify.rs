//! The relay of the container's sd_notify(3) messages to the host's service manager.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockType, recv};

use crate::error::{Error, reason};
use crate::sys::socket;

/// Most bytes of a datagram, as systemd has it too. A longer one is dropped whole.
const DATAGRAM_MAX: usize = 4096;

/// Datagrams taken in one [`Relay::turn`]. What is left then waits for the next turn.
const DATAGRAMS: usize = 32;

/// The lines that pass as they are.
const LINES: [&[u8]; 5] = [b"READY=1", b"RELOADING=1", b"STOPPING=1", b"WATCHDOG=1", b"WATCHDOG=trigger"];

/// The lines that pass with any value.
const PREFIXES: [&[u8]; 4] = [b"STATUS=", b"ERRNO=", b"BUSERROR=", b"MONOTONIC_USEC="];

/// The part of a datagram that the manager may see: what tells of the service's state. Nothing that
/// names processes or hands over descriptors (`MAINPID`, `FDSTORE`, `BARRIER`, …) comes from inside
/// a container. The text ends at its first NUL; the result is empty if nothing may pass.
pub fn filter(datagram: &[u8]) -> Vec<u8> {
    let text = datagram.split(|&byte| byte == 0).next().unwrap_or_default();
    let mut passed = Vec::new();
    for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
        if LINES.contains(&line) || PREFIXES.iter().any(|prefix| line.starts_with(prefix)) {
            if !passed.is_empty() {
                passed.push(b'\n');
            }
            passed.extend_from_slice(line);
        }
    }
    passed
}

/// The socket in the bundle, and where its messages go.
#[derive(Debug)]
pub struct Relay {
    socket: OwnedFd,
    host: OsString,
    dropped: u64,
}

impl Relay {
    /// Binds `BUNDLE/notify/notify.sock`, mode 0777, for the container to send to. The directory
    /// must exist; a socket that stands there already is replaced.
    ///
    /// `host` is the manager's socket: a path of any length, or `@NAME` for an abstract one. It is
    /// looked up for each message anew, so it may come and go.
    ///
    /// # Errors
    ///
    /// [`Error::Fatal`] if the socket cannot be made.
    pub fn bind(bundle: &Path, host: &OsStr) -> Result<Relay, Error> {
        let path = bundle.join("notify/notify.sock");
        let socket = socket::rebind(&path, SockType::Datagram, 0o777).map_err(|error| {
            Error::io(format_args!("Failed to bind notify socket {}", path.display()), error)
        })?;
        Ok(Relay { socket, host: host.to_owned(), dropped: 0 })
    }

    /// Relays up to 32 waiting datagrams; `true` if there may be more, so that another turn is due
    /// without waiting for epoll.
    ///
    /// A message that is too long, or that the manager does not take at once, is dropped, alone.
    /// Drops are counted, with a warning each time the count has doubled. Descriptors sent along
    /// are closed, which also answers a sender who waits at a `BARRIER`.
    ///
    /// # Errors
    ///
    /// Those of recv(2), which mean that no more can be received ever.
    pub fn turn(&mut self) -> io::Result<bool> {
        let mut buf = [0; DATAGRAM_MAX];
        for _ in 0..DATAGRAMS {
            // With MSG_TRUNC the length is that of the datagram, however much of it fits. Without
            // a control buffer the kernel closes descriptors that were sent along.
            match recv(self.socket.as_raw_fd(), &mut buf, MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT) {
                Ok(length) => match buf.get(..length) {
                    Some(datagram) => self.relay(datagram),
                    None => self.drop_one(&format!("it has {length} bytes, more than {DATAGRAM_MAX}")),
                },
                Err(Errno::EAGAIN) => return Ok(false),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(true)
    }

    fn relay(&mut self, datagram: &[u8]) {
        let message = filter(datagram);
        if message.is_empty() {
            return;
        }
        if let Err(error) = socket::send_to(self.socket.as_fd(), &self.host, &message) {
            let why = format!("send to {}: {}", self.host.display(), reason(&error));
            self.drop_one(&why);
        }
    }

    fn drop_one(&mut self, why: &str) {
        self.dropped += 1;
        if self.dropped.is_power_of_two() {
            log::warn!("drop a notify message ({} so far): {why}", self.dropped);
        }
    }
}

impl AsFd for Relay {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn what_passes() {
        let table: [(&[u8], &[u8]); 16] = [
            (b"READY=1", b"READY=1"),
            (b"READY=1\n", b"READY=1"),
            (b"READY=1\0", b"READY=1"),
            (b"READY=1\nMAINPID=7\nSTATUS=all well", b"READY=1\nSTATUS=all well"),
            (b"\r\n\nRELOADING=1\r\nMONOTONIC_USEC=12\n", b"RELOADING=1\nMONOTONIC_USEC=12"),
            (b"STOPPING=1\rWATCHDOG=1\rWATCHDOG=trigger", b"STOPPING=1\nWATCHDOG=1\nWATCHDOG=trigger"),
            (b"ERRNO=2\nBUSERROR=org.example\nSTATUS=", b"ERRNO=2\nBUSERROR=org.example\nSTATUS="),
            (b"STATUS=\xff\xfe", b"STATUS=\xff\xfe"),
            (b"STATUS=a\0\nREADY=1", b"STATUS=a"),
            (b"READY=0\nREADY=11\nREADY=\nREADY", b""),
            (b" READY=1\nready=1\nXREADY=1", b""),
            (b"WATCHDOG=0\nWATCHDOG_USEC=5\nSTATUS", b""),
            (b"MAINPID=1\nMAINPIDFDID=1\nMAINPIDFD=1", b""),
            (b"FDSTORE=1\nFDNAME=x\nFDSTOREREMOVE=1\nFDPOLL=0\nBARRIER=1", b""),
            (b"NOTIFYACCESS=all\nEXTEND_TIMEOUT_USEC=9\nEXIT_STATUS=0", b""),
            (b"", b""),
        ];
        for (datagram, expected) in table {
            let passed = filter(datagram);
            assert_eq!(passed, expected, "{}", datagram.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn what_passed_passes_again_unchanged(
            lines in proptest::collection::vec(prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..12),
                proptest::sample::select(&LINES[..]).prop_map(<[u8]>::to_vec),
                proptest::sample::select(&PREFIXES[..]).prop_map(<[u8]>::to_vec),
            ], 0..8),
        ) {
            let datagram = lines.join(&b'\n');
            let once = filter(&datagram);
            prop_assert!(once.len() <= datagram.len());
            prop_assert_eq!(filter(&once), once);
        }
    }

    struct Setup {
        bundle: tempfile::TempDir,
        relay: Relay,
        container: UnixDatagram,
    }

    fn setup(host: &OsStr) -> Setup {
        let bundle = tempfile::tempdir().unwrap();
        fs::create_dir(bundle.path().join("notify")).unwrap();
        // The second bind replaces the stale socket of the first.
        drop(Relay::bind(bundle.path(), host).unwrap());
        let relay = Relay::bind(bundle.path(), host).unwrap();
        let path = bundle.path().join("notify/notify.sock");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o777);
        let container = UnixDatagram::unbound().unwrap();
        container.connect(&path).unwrap();
        container.set_nonblocking(true).unwrap();
        Setup { bundle, relay, container }
    }

    fn received(host: &UnixDatagram) -> Option<Vec<u8>> {
        let mut buf = [0; 2 * DATAGRAM_MAX];
        host.set_nonblocking(true).unwrap();
        host.recv(&mut buf).ok().map(|n| buf[..n].to_vec())
    }

    #[test]
    fn relays_and_survives_a_missing_manager() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("host.sock");
        let mut setup = setup(path.as_os_str());
        setup.container.send(b"READY=1\nMAINPID=1").unwrap();
        assert!(!setup.relay.turn().unwrap());
        assert_eq!(setup.relay.dropped, 1);

        let host = UnixDatagram::bind(&path).unwrap();
        setup.container.send(b"MAINPID=1").unwrap();
        setup.container.send(b"STATUS=up\nMAINPID=1").unwrap();
        assert!(!setup.relay.turn().unwrap());
        assert_eq!(received(&host).unwrap(), b"STATUS=up");
        assert_eq!(received(&host), None);
        assert_eq!(setup.relay.dropped, 1);
    }

    #[test]
    fn too_long_is_dropped_and_the_longest_passes() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("conward-notify-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let host = UnixDatagram::bind_addr(&address).unwrap();
        let mut setup = setup(format!("@{name}").as_ref());
        let mut message = b"STATUS=".to_vec();
        message.resize(DATAGRAM_MAX, b'x');
        setup.container.send(&message).unwrap();
        message.push(b'x');
        setup.container.send(&message).unwrap();
        assert!(!setup.relay.turn().unwrap());
        message.pop();
        assert_eq!(received(&host).unwrap(), message);
        assert_eq!(received(&host), None);
        assert_eq!(setup.relay.dropped, 1);
    }

    #[test]
    fn a_manager_that_does_not_read_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("host.sock");
        let _host = UnixDatagram::bind(&path).unwrap();
        let mut setup = setup(path.as_os_str());
        while setup.relay.dropped < 3 {
            setup.container.send(b"WATCHDOG=1").unwrap();
            setup.relay.turn().unwrap();
        }
    }

    #[test]
    fn descriptors_sent_along_are_closed() {
        use nix::sys::socket::{ControlMessage, sendmsg};
        use std::io::{IoSlice, Read};
        let mut setup = setup("/nowhere".as_ref());
        let (mut reader, writer) = io::pipe().unwrap();
        let rights = [writer.as_raw_fd()];
        let control = [ControlMessage::ScmRights(&rights)];
        let data = [IoSlice::new(b"BARRIER=1")];
        sendmsg::<()>(setup.container.as_raw_fd(), &data, &control, MsgFlags::empty(), None).unwrap();
        drop(writer);
        assert!(!setup.relay.turn().unwrap());
        // End of file: nobody holds the other end any more.
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn only_a_socket_is_replaced() {
        let setup = setup("/nowhere".as_ref());
        let path = setup.bundle.path().join("notify/notify.sock");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        let error = Relay::bind(setup.bundle.path(), "/nowhere".as_ref()).unwrap_err();
        let path = path.display();
        assert_eq!(
            error.text(),
            format!("Failed to bind notify socket {path}: {path} exists and is not a socket")
        );
    }
}
