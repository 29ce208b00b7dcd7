//! A client of an attach socket: one packet a chunk, the first byte names the stream.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, UnixAddr, connect, recv, send, setsockopt,
    shutdown, socket,
    sockopt::{ReceiveTimeout, SendTimeout},
};
use nix::sys::time::{TimeVal, TimeValLike};

/// Largest packet a supervisor sends: the stream's byte and 8 KiB.
const PACKET: usize = 8193;

/// Largest packet a supervisor takes.
const INPUT: usize = 32 * 1024;

/// How long a packet may take in either direction, in seconds.
const WAIT: u16 = 20;

/// A connection. What a container wrote while it stood is all there is: nothing is sent twice.
pub struct Client {
    socket: OwnedFd,
    /// All bytes of stdout and of terminals so far.
    pub stdout: Vec<u8>,
    /// All bytes of stderr so far.
    pub stderr: Vec<u8>,
}

impl Client {
    /// Connects; the path must be short enough for a socket address.
    pub fn connect(path: &Path) -> Client {
        let socket =
            socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
        let address = UnixAddr::new(path).unwrap_or_else(|e| panic!("address {}: {e}", path.display()));
        connect(socket.as_raw_fd(), &address)
            .unwrap_or_else(|e| panic!("connecting to {}: {e}", path.display()));
        let limit = TimeVal::seconds(WAIT.into());
        setsockopt(&socket, ReceiveTimeout, &limit).expect("a time limit for packets");
        setsockopt(&socket, SendTimeout, &limit).expect("a time limit for input");
        Client { socket, stdout: Vec::new(), stderr: Vec::new() }
    }

    /// Sends input, in packets that the supervisor takes whole.
    pub fn send(&self, input: &[u8]) {
        for chunk in input.chunks(INPUT) {
            let sent = send(self.socket.as_raw_fd(), chunk, MsgFlags::MSG_NOSIGNAL).expect("sending input");
            assert_eq!(sent, chunk.len(), "a packet is sent whole");
        }
    }

    /// Sends input and receives output at the same time, until all is sent: neither side has to hold
    /// what the other has not taken yet.
    pub fn exchange(&mut self, input: &[u8]) {
        let mut chunks = input.chunks(INPUT).peekable();
        while let Some(chunk) = chunks.peek() {
            let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN | PollFlags::POLLOUT)];
            let ready = poll(&mut fds, PollTimeout::from(WAIT * 1000)).expect("polling the connection");
            assert!(ready > 0, "neither input taken nor output sent for {WAIT} s");
            let events = fds[0].revents().unwrap_or(PollFlags::empty());
            if events.contains(PollFlags::POLLIN) {
                assert!(self.receive(), "closed before all input was sent");
            } else if events.contains(PollFlags::POLLOUT) {
                let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
                match send(self.socket.as_raw_fd(), chunk, flags) {
                    Ok(_) => drop(chunks.next()),
                    // POLLOUT of a packet socket does not promise room for a packet of this size.
                    Err(Errno::EAGAIN) => std::thread::yield_now(),
                    Err(error) => panic!("sending input: {error}"),
                }
            } else {
                panic!("the connection ended: {events:?}");
            }
        }
    }

    /// Ends the input; output still arrives.
    pub fn end_input(&self) {
        shutdown(self.socket.as_raw_fd(), Shutdown::Write).expect("ending the input");
    }

    /// Receives one packet. `false`: the supervisor has closed the connection.
    pub fn receive(&mut self) -> bool {
        let mut packet = [0; PACKET];
        let count =
            recv(self.socket.as_raw_fd(), &mut packet, MsgFlags::empty()).expect("a packet within 20 s");
        match &packet[..count] {
            [] => return false,
            [2, text @ ..] => self.stdout.extend_from_slice(text),
            [3, text @ ..] => self.stderr.extend_from_slice(text),
            [other, ..] => panic!("unknown stream {other}"),
        }
        true
    }

    /// Receives until stdout holds `text`, and gives stdout up to there, taking it away.
    pub fn expect(&mut self, text: &str) -> String {
        loop {
            let found = self.stdout.windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(at) = found {
                let rest = self.stdout.split_off(at + text.len());
                return String::from_utf8_lossy(&std::mem::replace(&mut self.stdout, rest)).into_owned();
            }
            let more = self.receive();
            assert!(more, "closed before {text:?}: {:?}", String::from_utf8_lossy(&self.stdout));
        }
    }

    /// Receives until the supervisor closes the connection.
    pub fn drain(&mut self) {
        while self.receive() {}
    }
}
