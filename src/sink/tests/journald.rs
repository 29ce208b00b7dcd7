//! A journald of the test's own.

use std::collections::BTreeMap;
use std::io::{IoSliceMut, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::unistd::close;

/// One journal entry: its fields, in order of their names.
pub type Entry = BTreeMap<String, Vec<u8>>;

/// A journald that takes entries when the test wants it to.
pub struct Journald {
    dir: tempfile::TempDir,
    socket: Option<UnixDatagram>,
}

impl Journald {
    /// Nobody listens yet.
    pub fn absent() -> Journald {
        Journald { dir: tempfile::tempdir().unwrap(), socket: None }
    }

    pub fn running() -> Journald {
        let mut journald = Journald::absent();
        journald.start();
        journald
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    pub fn start(&mut self) {
        let socket = UnixDatagram::bind(self.path()).unwrap();
        socket.set_nonblocking(true).unwrap();
        self.socket = Some(socket);
    }

    /// Takes nothing from anybody but itself: who sends is told EPERM (unix(7)), which no other entry mends.
    pub fn refuse(&self) {
        self.socket.as_ref().unwrap().connect(self.path()).unwrap();
    }

    pub fn stop(&mut self) {
        self.socket = None;
        std::fs::remove_file(self.path()).unwrap();
    }

    /// The next entry, if there is one.
    pub fn next(&self) -> Option<Entry> {
        let mut bytes = vec![0u8; 300_000];
        let mut space = nix::cmsg_space!([i32; 1]);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let fd = self.socket.as_ref().unwrap().as_raw_fd();
        let message = recvmsg::<()>(fd, &mut parts, Some(&mut space), MsgFlags::empty()).ok()?;
        let passed = message.cmsgs().unwrap().find_map(|c| match c {
            ControlMessageOwned::ScmRights(fds) => Some(fds[0]),
            _ => None,
        });
        let length = message.bytes;
        let Some(fd) = passed else { return Some(parse(&bytes[..length])) };
        assert_eq!(length, 0);
        let mut file = std::fs::File::open(format!("/proc/self/fd/{fd}")).unwrap();
        close(fd).unwrap();
        let seals = SealFlag::from_bits_truncate(fcntl(&file, FcntlArg::F_GET_SEALS).unwrap());
        assert!(seals.contains(SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK));
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        Some(parse(&content))
    }

    /// All entries that are there.
    pub fn entries(&self) -> Vec<Entry> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Their messages.
    pub fn messages(&self) -> Vec<String> {
        self.entries().iter().map(message).collect()
    }
}

pub fn message(entry: &Entry) -> String {
    String::from_utf8_lossy(&entry["MESSAGE"]).into_owned()
}

/// The fields of a datagram; panics where it does not follow the protocol.
fn parse(mut bytes: &[u8]) -> Entry {
    let mut entry = Entry::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|&b| b == b'\n').expect("a field without an end");
        let (name, value) = match bytes[..end].iter().position(|&b| b == b'=') {
            Some(equals) => {
                let value = &bytes[equals + 1..end];
                let name = &bytes[..equals];
                bytes = &bytes[end + 1..];
                (name, value)
            }
            None => {
                let name = &bytes[..end];
                let (length, rest) = bytes[end + 1..].split_first_chunk().expect("a length");
                let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
                assert_eq!(rest[length], b'\n');
                bytes = &rest[length + 1..];
                (name, &rest[..length])
            }
        };
        let name = String::from_utf8(name.to_vec()).expect("the name of a field");
        assert!(entry.insert(name.clone(), value.to_vec()).is_none(), "{name} twice");
    }
    entry
}
