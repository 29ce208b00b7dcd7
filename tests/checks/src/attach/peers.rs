//! The three parties, and what each of them has seen.

use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;

use conward::data::{Attachment, Ender, Gone, Input, Kind, Pump, Step, Turn};
use conward::plan::Stream;
use conward::sink::Sinks;
use conward::sys::fds::set_nonblocking;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, recv, send, shutdown, socketpair,
};

/// Clients at most.
const CLIENTS_MAX: usize = 6;
/// A packet of input at most, and one of output with the byte of its stream.
const TOO_MUCH: usize = 256 * 1024 + 5;
const PACKET_MAX: usize = 8193;
/// Bytes that the container writes at most: less than what a client may lag behind.
const OUTPUT_MAX: u64 = 1 << 20;
/// The beginning of a packet of input: client, number of the packet, length.
const HEAD: usize = 4;

/// A client, as it sees itself.
struct Client {
    /// `None`: it has left.
    socket: Option<OwnedFd>,
    /// What each stream had given before it came.
    from: [u64; 2],
    heard: [Vec<u8>; 2],
    /// Packets of input that were sent.
    sent: u8,
    sends: bool,
}

pub struct Scene {
    pump: Pump,
    sinks: Sinks,
    input: Input,
    outputs: [PipeWriter; 2],
    written: [u64; 2],
    stdin: Option<PipeReader>,
    taken: Vec<u8>,
    clients: Vec<Client>,
    at: usize,
    once: bool,
    nowhere: bool,
    /// Who has ended the input.
    ended: Option<Ender>,
    asked: bool,
    gone: Vec<Gone>,
}

/// What the container has written at this place of a stream.
fn content(stream: Stream, at: u64) -> u8 {
    (at % 251) as u8 ^ if stream == Stream::Stderr { 0x80 } else { 0 }
}

fn pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    set_nonblocking(&reader).expect("a pipe");
    set_nonblocking(&writer).expect("a pipe");
    (reader, writer)
}

impl Scene {
    pub fn new(once: bool, nowhere: bool) -> Scene {
        let mut pump = Pump::default();
        let mut sinks = Sinks::default();
        pump.release_stderr(&mut sinks);
        let outputs = [Stream::Stdout, Stream::Stderr].map(|stream| {
            let (reader, writer) = pipe();
            pump.add(stream, reader.into(), false);
            writer
        });
        let (stdin, writer) = pipe();
        let input = if nowhere { Input::nowhere() } else { Input::open(writer.into(), once) };
        Scene {
            pump,
            sinks,
            input,
            outputs,
            written: [0; 2],
            stdin: Some(stdin),
            taken: Vec::new(),
            clients: Vec::new(),
            at: 0,
            once,
            nowhere,
            ended: None,
            asked: false,
            gone: Vec::new(),
        }
    }

    pub fn come(&mut self) {
        if self.clients.len() == CLIENTS_MAX {
            return;
        }
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).expect("a connection");
        self.at = self.clients.len();
        let of = Attachment { number: self.at as u64, client: None };
        self.pump.clients.add(self.at, of, Kind::Packets, ours);
        // It hears what is read from now on.
        let from = [0, 1].map(|number| self.pump.taken()[number].bytes);
        let heard = Default::default();
        self.clients.push(Client { socket: Some(theirs), from, heard, sent: 0, sends: true });
    }

    pub fn turn_to(&mut self, client: usize) {
        self.at = client.min(self.clients.len().saturating_sub(1));
    }

    /// Sends a packet, if the supervisor has room for it.
    pub fn send(&mut self, length: usize) {
        let at = self.at;
        let Some(client) = self.clients.get_mut(at).filter(|client| client.sends) else { return };
        let Some(socket) = &client.socket else { return };
        let mut packet = vec![b'x'; length];
        packet[..HEAD].copy_from_slice(&[at as u8, client.sent, (length >> 8) as u8, length as u8]);
        if send(socket.as_raw_fd(), &packet, MsgFlags::MSG_NOSIGNAL).is_ok() {
            client.sent = client.sent.wrapping_add(1);
        }
    }

    /// Of such a packet the beginning arrives.
    pub fn send_too_much(&mut self) {
        let Some(client) = self.clients.get(self.at).filter(|client| client.sends) else { return };
        let Some(socket) = &client.socket else { return };
        nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::SndBuf, &(2 * TOO_MUCH))
            .expect("room");
        let mut packet = vec![b'x'; TOO_MUCH];
        packet[..HEAD].copy_from_slice(&[u8::MAX, 0, 0, 0]);
        let _ = send(socket.as_raw_fd(), &packet, MsgFlags::MSG_NOSIGNAL);
    }

    pub fn send_empty(&mut self) {
        if let Some(client) = self.clients.get_mut(self.at)
            && let Some(socket) = &client.socket
            && client.sends
        {
            let sent = send(socket.as_raw_fd(), &[], MsgFlags::MSG_NOSIGNAL);
            client.sends = sent.is_err();
        }
    }

    pub fn send_no_more(&mut self) {
        if let Some(client) = self.clients.get_mut(self.at)
            && let Some(socket) = &client.socket
        {
            client.sends = false;
            let _ = shutdown(socket.as_raw_fd(), Shutdown::Write);
        }
    }

    pub fn leave(&mut self) {
        if let Some(client) = self.clients.get_mut(self.at)
            && client.socket.take().is_some()
        {
            self.pump.clients.hang_up(self.at);
        }
    }

    pub fn read(&mut self, packets: usize) {
        let at = self.at;
        if let Some(client) = self.clients.get_mut(at) {
            client.read(packets);
        }
    }

    pub fn write(&mut self, stream: Stream, count: u64) {
        let written = &mut self.written[stream as usize];
        if *written > OUTPUT_MAX {
            return;
        }
        let bytes: Vec<u8> = (*written..*written + count).map(|at| content(stream, at)).collect();
        match self.outputs[stream as usize].write(&bytes) {
            Ok(count) => *written += count as u64,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }

    pub fn take(&mut self, count: usize) {
        let Some(stdin) = &mut self.stdin else { return };
        let mut left = count;
        let mut buffer = [0; 4096];
        while left > 0 {
            let room = left.min(buffer.len());
            match stdin.read(&mut buffer[..room]) {
                Ok(0) => return,
                Ok(count) => {
                    self.taken.extend_from_slice(&buffer[..count]);
                    left -= count;
                }
                Err(error) => return assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
    }

    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    pub fn pump(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            while let Turn::Chunk = self.pump.read(stream, &self.sinks) {
                self.pump.pass_on(stream, &mut self.sinks);
            }
        }
    }

    pub fn move_input(&mut self) {
        for id in 0..self.clients.len() {
            self.pump.clients.note_input(id);
        }
        loop {
            match self.input.turn(&mut self.pump.clients, 4) {
                Step::More => {}
                Step::Waits => return,
                Step::Closed(fd, ender) => {
                    drop(fd);
                    self.pump.clients.end_input();
                    assert!(self.ended.replace(ender).is_none(), "the input has ended twice");
                }
            }
        }
    }

    pub fn flush(&mut self) {
        (0..self.clients.len()).for_each(|id| self.pump.clients.flush(id));
    }

    pub fn retire(&mut self) {
        drop(self.pump.clients.retire(Instant::now()));
        self.gone.extend(self.pump.clients.take_gone());
    }

    pub fn end_input(&mut self) {
        self.asked = true;
        self.input.end(7);
    }

    /// Everybody does what he can until nothing is left to be done.
    pub fn settle(&mut self) {
        for _ in 0..1000 {
            let before = (self.taken.len(), self.input.total());
            self.pump();
            self.move_input();
            self.take(usize::MAX);
            self.flush();
            let heard: usize = self.clients.iter_mut().map(|client| client.read(usize::MAX)).sum();
            if heard == 0 && before == (self.taken.len(), self.input.total()) && self.pump.clients.settled() {
                break;
            }
        }
        assert!(self.pump.clients.settled(), "output is left for a client that reads");
        self.retire();
    }

    pub fn gone(&self) -> &[Gone] {
        &self.gone
    }

    pub fn assert_outputs(&self) {
        for client in self.clients.iter().filter(|client| client.socket.is_some()) {
            for stream in [Stream::Stdout, Stream::Stderr] {
                let (from, to) = (client.from[stream as usize], self.written[stream as usize]);
                let there: Vec<u8> = (from..to).map(|at| content(stream, at)).collect();
                let heard = &client.heard[stream as usize];
                assert!(*heard == there, "{stream:?}: {} bytes for {}", heard.len(), there.len());
            }
        }
    }

    pub fn assert_input(&self) {
        if self.stdin.is_some() {
            assert_eq!(self.input.total(), self.taken.len() as u64);
        }
        assert!(!self.nowhere || self.taken.is_empty());
        let mut next = [0u8; CLIENTS_MAX];
        let mut rest = &self.taken[..];
        while let Some((head, _)) = rest.split_first_chunk::<HEAD>() {
            let [client, number, high, low] = *head;
            let length =
                if client == u8::MAX { TOO_MUCH - 5 } else { usize::from(high) << 8 | usize::from(low) };
            // One that was being written when the container closed its input is cut.
            let Some((packet, after)) = rest.split_at_checked(length) else { break };
            assert!(packet[HEAD..].iter().all(|&byte| byte == b'x'), "mixed packets");
            if client != u8::MAX {
                let next = &mut next[usize::from(client)];
                assert_eq!(number, *next, "packets of client {client}");
                *next = next.wrapping_add(1);
            }
            rest = after;
        }
        let may_end = self.stdin.is_none() || self.asked || self.once;
        assert!(self.ended.is_none() || may_end, "{:?}", self.ended);
        if self.ended.is_none() && !self.nowhere && self.stdin.is_some() {
            assert!(rest.is_empty(), "a torn packet");
            let sent: Vec<u8> = self.clients.iter().map(|client| client.sent).collect();
            assert_eq!(next[..sent.len()], sent, "packets are lost");
        }
    }
}

impl Client {
    /// Reads packets, and returns how many there were.
    fn read(&mut self, packets: usize) -> usize {
        let Some(socket) = &self.socket else { return 0 };
        let mut packet = [0; PACKET_MAX + 1];
        for count in 0..packets {
            match recv(socket.as_raw_fd(), &mut packet, MsgFlags::empty()) {
                Ok(length @ 2..=PACKET_MAX) => {
                    let stream = match packet[0] {
                        2 => Stream::Stdout,
                        3 => Stream::Stderr,
                        other => panic!("a packet of stream {other}"),
                    };
                    self.heard[stream as usize].extend_from_slice(&packet[1..length]);
                }
                Ok(length) => panic!("a packet of {length} bytes"),
                Err(Errno::EAGAIN) => return count,
                Err(error) => panic!("{error}"),
            }
        }
        packets
    }
}
