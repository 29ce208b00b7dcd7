//! Clients of the attach socket, and of the control socket.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::spawn::Session;
use crate::{Result, doing, wait};

/// The most that one packet holds: the stream's number and 8192 bytes.
pub const PACKET_MAX: usize = 8193;

/// How long a client that has connected waits for the container's sign of life before it asks again.
const AGAIN: Duration = Duration::from_millis(20);

/// Requests of one client that may wait for their answer: what the protocol allows.
const IN_FLIGHT_MAX: usize = 64;

/// Connects so many clients, and waits until each has heard something: one in the backlog gets no output.
pub fn attach(session: &mut Session, count: usize) -> Result<Vec<OwnedFd>> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let client = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None);
        let client = client.map_err(doing("make a socket"))?;
        let address = UnixAddr::new(&session.attach()).map_err(doing("name the attach socket"))?;
        connect(client.as_raw_fd(), &address).map_err(doing("connect to the attach socket"))?;
        clients.push(client);
    }
    for client in &clients {
        let mut asked = 0;
        loop {
            session.command(b"m")?;
            asked += 1;
            if wait::readable("the first packet", client, AGAIN)? {
                break;
            }
            if AGAIN * asked > wait::LIMIT {
                return Err("no output ever came to an attached client".into());
            }
        }
    }
    Ok(clients)
}

/// One thread for each client, which reads until the end, or until it has got `enough`.
pub fn read_all(clients: Vec<OwnedFd>, enough: u64) -> Vec<JoinHandle<Result<()>>> {
    let read = |client: OwnedFd| std::thread::spawn(move || receive(&client, enough));
    clients.into_iter().map(read).collect()
}

/// Reads packets until there were `enough` bytes of output in them.
fn receive(client: &impl AsFd, enough: u64) -> Result<()> {
    let mut packet = [0; PACKET_MAX];
    let mut got = 0;
    while got < enough {
        match nix::unistd::read(client, &mut packet).map_err(doing("read a packet"))? {
            0 => return Err(format!("the client got {got} of {enough} bytes")),
            n => got += n as u64 - 1,
        }
    }
    Ok(())
}

/// Waits for threads that read or write.
pub fn join<T>(threads: Vec<JoinHandle<Result<T>>>) -> Result<Vec<T>> {
    let join = |thread: JoinHandle<Result<T>>| thread.join().map_err(|_| "a thread panicked".to_string())?;
    threads.into_iter().map(join).collect()
}

/// A client of the control socket, or of something that answers lines with lines.
pub struct Control {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Control {
    /// Connects, and reads the greeting.
    pub fn connect(path: &Path) -> Result<Control> {
        let stream = UnixStream::connect(path).map_err(doing(format!("connect to {}", path.display())))?;
        let mut control = Control::new(stream)?;
        control.line()?;
        Ok(control)
    }

    /// A client of whoever has the other end.
    pub fn new(stream: UnixStream) -> Result<Control> {
        stream.set_read_timeout(Some(wait::LIMIT)).map_err(doing("set a timeout"))?;
        Ok(Control { stream, buffer: vec![0; 256 * 1024] })
    }

    /// Asks one thing, and waits for the answer, which must be a good one.
    pub fn ask(&mut self, request: &str) -> Result<Vec<u8>> {
        self.stream.write_all(request.as_bytes()).map_err(doing("send a request"))?;
        let answer = self.line()?;
        if memchr::memmem::find(&answer, b"\"ok\"").is_none() {
            return Err(format!("{} is answered with {}", request.trim(), String::from_utf8_lossy(&answer)));
        }
        Ok(answer)
    }

    fn line(&mut self) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let n = self.stream.read(&mut self.buffer).map_err(doing("read an answer"))?;
            if n == 0 {
                return Err("the control socket was closed".into());
            }
            line.extend_from_slice(&self.buffer[..n]);
        }
        Ok(line)
    }

    /// Asks the same `count` times without waiting for the answer before, as far as the protocol allows.
    pub fn pipeline(&mut self, request: &str, count: u64) -> Result<()> {
        let block = request.repeat(IN_FLIGHT_MAX);
        let (mut asked, mut answered, mut room) = (0, 0, IN_FLIGHT_MAX as u64);
        while answered < count {
            let some = room.min(count - asked);
            let bytes = &block.as_bytes()[..request.len() * some as usize];
            self.stream.write_all(bytes).map_err(doing("send requests"))?;
            asked += some;
            let n = self.stream.read(&mut self.buffer).map_err(doing("read answers"))?;
            if n == 0 {
                return Err(format!("the control socket was closed after {answered} answers"));
            }
            room = memchr::memchr_iter(b'\n', &self.buffer[..n]).count() as u64;
            answered += room;
        }
        Ok(())
    }
}
