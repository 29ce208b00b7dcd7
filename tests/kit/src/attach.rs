//! A client of the attach socket.

use crate::PATIENCE;
use crate::wire::{read_some, readable, writable};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::socket::{
    AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, UnixAddr, connect, send, shutdown, socket,
};
use nix::sys::stat::Mode;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// Both callers read into a buffer of this size: larger packets would be cut.
pub const PACKET_MAX: usize = 8193;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order.
    Eof,
    /// With ECONNRESET: input was thrown away unread.
    Reset,
}

/// All that a client received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Bytes of stream 2.
    pub stdout: Vec<u8>,
    /// Bytes of stream 3.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub ending: Ending,
}

impl Heard {
    fn new() -> Heard {
        Heard { stdout: Vec::new(), stderr: Vec::new(), ending: Ending::Eof }
    }

    fn take(&mut self, packet: &[u8]) {
        assert!(packet.len() > 1, "a packet without payload: {packet:?}");
        match packet[0] {
            2 => self.stdout.extend_from_slice(&packet[1..]),
            3 => self.stderr.extend_from_slice(&packet[1..]),
            other => panic!("a packet for stream {other}"),
        }
    }
}

/// A connection to the attach socket.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
}

impl Client {
    /// Connects to a socket at a path of any length, by way of its directory.
    pub fn connect(path: &Path) -> Client {
        Client::try_connect(path).unwrap_or_else(|error| panic!("connect to {}: {error}", path.display()))
    }

    /// The same, where failing is an answer.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn try_connect(path: &Path) -> nix::Result<Client> {
        let (dir, name) = (path.parent().expect("directory"), path.file_name().expect("name"));
        let dir = open(dir, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
        let short = format!("/proc/self/fd/{}/{}", dir.as_raw_fd(), name.to_string_lossy());
        connect(socket.as_raw_fd(), &UnixAddr::new(short.as_str())?)?;
        Ok(Client { socket })
    }

    /// Sends one packet; an empty one is a packet too.
    pub fn send(&self, packet: &[u8]) {
        assert!(self.try_send(packet), "the supervisor takes no more input");
    }

    /// Sends one packet if there is room within [`PATIENCE`]; false when the supervisor has gone.
    pub fn try_send(&self, packet: &[u8]) -> bool {
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            match send(self.socket.as_raw_fd(), packet, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
                Ok(sent) => return sent == packet.len(),
                Err(Errno::EAGAIN | Errno::EINTR) => {
                    let left = end.saturating_duration_since(std::time::Instant::now());
                    assert!(writable(&self.socket, left), "no room for input");
                }
                Err(Errno::EPIPE | Errno::ECONNRESET) => return false,
                Err(error) => panic!("send: {error}"),
            }
        }
    }

    /// Takes no more output, but stays connected.
    pub fn shut_read(&self) {
        shutdown(self.socket.as_raw_fd(), Shutdown::Read).expect("shutdown");
    }

    /// Ends the input.
    pub fn shut_write(&self) {
        shutdown(self.socket.as_raw_fd(), Shutdown::Write).expect("shutdown");
    }

    /// Waits until there is a packet, and leaves it unread.
    pub fn await_packet(&self) {
        assert!(readable(&self.socket, PATIENCE), "no packet");
    }

    /// The next packet, stream byte included. `None`: nothing came within `limit`.
    pub fn packet(&self, limit: Duration) -> Option<Result<Vec<u8>, Ending>> {
        readable(&self.socket, limit).then(|| self.receive())
    }

    fn receive(&self) -> Result<Vec<u8>, Ending> {
        match read_some(&self.socket, 64 << 10, PATIENCE, "attach socket") {
            Ok(packet) if packet.is_empty() => Err(Ending::Eof),
            Ok(packet) => {
                assert!(packet.len() <= PACKET_MAX, "a packet of {} bytes", packet.len());
                Ok(packet)
            }
            Err(Errno::ECONNRESET) => Err(Ending::Reset),
            Err(error) => panic!("attach socket: {error}"),
        }
    }

    /// Everything up to the end of the connection.
    pub fn read_to_end(&self) -> Heard {
        self.exchange(&[], usize::MAX)
    }

    /// Reads until this text has come on stdout; gives all that came.
    pub fn read_until(&self, text: &str) -> Vec<u8> {
        let mut heard = Heard::new();
        while !heard.stdout.windows(text.len()).any(|part| part == text.as_bytes()) {
            match self.packet(PATIENCE) {
                Some(Ok(packet)) => heard.take(&packet),
                other => {
                    panic!("{other:?} instead of {text:?} after {:?}", String::from_utf8_lossy(&heard.stdout))
                }
            }
        }
        heard.stdout
    }

    /// Sends `input` in packets of `size` bytes and then ends the input (unless there was none),
    /// reading all the while, up to the end of the connection.
    pub fn exchange(&self, input: &[u8], size: usize) -> Heard {
        let mut heard = Heard::new();
        let mut packets = input.chunks(size.max(1)).peekable();
        let mut sending = !input.is_empty();
        loop {
            if sending && let Some(packet) = packets.peek() {
                match send(self.socket.as_raw_fd(), packet, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
                    Ok(_) => drop(packets.next()),
                    Err(Errno::EAGAIN) => self.either(),
                    Err(error) => panic!("send: {error}"),
                }
            } else if sending {
                self.shut_write();
                sending = false;
            }
            while readable(&self.socket, if sending { Duration::ZERO } else { PATIENCE }) {
                match self.receive() {
                    Ok(packet) => heard.take(&packet),
                    Err(ending) => {
                        heard.ending = ending;
                        return heard;
                    }
                }
            }
            assert!(
                sending,
                "no end of the connection; {} bytes came",
                heard.stdout.len() + heard.stderr.len()
            );
        }
    }

    /// Waits until there is something to read or room to write.
    fn either(&self) {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        let both = PollFd::new(self.socket.as_fd(), PollFlags::POLLIN | PollFlags::POLLOUT);
        let limit = PollTimeout::try_from(PATIENCE).expect("a time limit");
        assert!(poll(&mut [both], limit).is_ok_and(|count| count > 0), "neither input nor output moves");
    }
}
