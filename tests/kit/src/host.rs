//! Services of the host that a test plays itself: syslog and the journal.

use crate::{Place, readable};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use std::fs::{self, File};
use std::io::{IoSliceMut, Read, Seek};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

/// The largest datagram that is looked at whole.
const DATAGRAM_MAX: usize = 64 << 10;

/// The sockets `/dev/log` and `/run/systemd/journal/socket`, as [`crate::Launch::host`] shows them.
/// Of other devices there are `/dev/null` and terminals only.
#[derive(Debug)]
pub struct Host {
    root: PathBuf,
    syslog: UnixDatagram,
    journal: UnixDatagram,
}

impl Host {
    /// A host whose services listen, but take nothing before they are asked to.
    pub fn new(place: &Place) -> Host {
        let root = place.path("host");
        for dir in ["dev/pts", "run/systemd/journal"] {
            fs::create_dir_all(root.join(dir)).expect("directory of the host");
        }
        fs::write(root.join("dev/null"), "").expect("a place for /dev/null");
        std::os::unix::fs::symlink("pts/ptmx", root.join("dev/ptmx")).expect("a link to terminals");
        let listen = |name: &str| UnixDatagram::bind(root.join(name)).expect("socket of the host");
        Host { syslog: listen("dev/log"), journal: listen("run/systemd/journal/socket"), root }
    }

    /// A shell script that puts them where they are looked for.
    pub(crate) fn mounts(&self) -> String {
        let root = self.root.display();
        format!(
            "mount --bind /dev/null {root}/dev/null\n\
             mount -t devpts -o newinstance,ptmxmode=0666 devpts {root}/dev/pts\n\
             mount --rbind {root}/dev /dev\n\
             mount --bind {root}/run /run"
        )
    }

    /// The next line in syslog; `None` if none comes within `limit`.
    pub fn syslog(&self, limit: Duration) -> Option<String> {
        datagram(&self.syslog, limit).map(|line| String::from_utf8_lossy(&line).into_owned())
    }

    /// The message of the next entry in the journal; `None` if none comes within `limit`.
    pub fn journal(&self, limit: Duration) -> Option<Vec<u8>> {
        datagram(&self.journal, limit).map(|entry| message(&entry).expect("an entry has a message"))
    }
}

/// A datagram whole; or what is in the file that came instead of it, as it does for one that is too large, or when
/// the kernel has no room for it (systemd, "Native Journal Protocol").
fn datagram(socket: &UnixDatagram, limit: Duration) -> Option<Vec<u8>> {
    if !readable(socket, limit) {
        return None;
    }
    let (mut bytes, mut space) = (vec![0; DATAGRAM_MAX], nix::cmsg_space!(RawFd));
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let received = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags);
    let received = received.expect("receive a datagram");
    let mut files = Vec::new();
    for message in received.cmsgs().expect("what came with it") {
        if let ControlMessageOwned::ScmRights(fds) = message {
            // SAFETY: they are new, and nobody else's.
            files.extend(fds.into_iter().map(|fd| File::from(unsafe { OwnedFd::from_raw_fd(fd) })));
        }
    }
    let size = received.bytes;
    bytes.truncate(size);
    if let Some(mut file) = files.pop() {
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("the file of a datagram");
    }
    Some(bytes)
}

/// The field MESSAGE of an entry: `NAME=VALUE` lines, or a name alone, eight bytes of length, the
/// value and a newline (systemd, "Native Journal Protocol").
fn message(mut entry: &[u8]) -> Option<Vec<u8>> {
    while !entry.is_empty() {
        let end = entry.iter().position(|&byte| byte == b'\n')?;
        let (head, rest) = (&entry[..end], &entry[end + 1..]);
        if let Some(equals) = head.iter().position(|&byte| byte == b'=') {
            if &head[..equals] == b"MESSAGE" {
                return Some(head[equals + 1..].to_vec());
            }
            entry = rest;
        } else {
            let (length, rest) = rest.split_first_chunk()?;
            let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
            if head == b"MESSAGE" {
                return Some(rest.get(..length)?.to_vec());
            }
            entry = rest.get(length + 1..)?;
        }
    }
    None
}
