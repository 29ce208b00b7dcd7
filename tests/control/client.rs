//! A client of the control socket that takes nothing for granted.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use conward_protocol::codec::{Asked, Message, message, request_line};
use conward_protocol::limits::LINE_MAX;
use conward_protocol::{Event, Failure, Greeting, Outcome, Reply, Request, SOCKET_FILE, Tag, body};
use conward_testkit::{PATIENCE, Place};
use serde_json::Value;

pub struct Client {
    pub greeting: Greeting,
    stream: UnixStream,
    bytes: Vec<u8>,
    /// Events that came while an answer was awaited.
    events: VecDeque<Event>,
}

/// A connection, nothing read yet. The path may be too long for an address (unix(7)).
pub fn connect(place: &Place) -> std::io::Result<UnixStream> {
    connect_in(&crate::directory(place))
}

fn connect_in(dir: &Path) -> std::io::Result<UnixStream> {
    let dir = File::options().read(true).custom_flags(libc::O_PATH).open(dir)?;
    let stream = UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET_FILE}", dir.as_raw_fd()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The next line, without its newline; `None` at the end.
pub fn line(stream: &mut UnixStream, bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            assert!(end <= LINE_MAX, "a line of {end} bytes");
            let rest = bytes.split_off(end + 1);
            let mut line = std::mem::replace(bytes, rest);
            line.pop();
            return Some(line);
        }
        let mut buffer = [0; 16 * 1024];
        match stream.read(&mut buffer) {
            Ok(0) => {
                assert!(bytes.is_empty(), "half a line: {}", String::from_utf8_lossy(bytes));
                return None;
            }
            Ok(size) => bytes.extend_from_slice(&buffer[..size]),
            // Closed while it had not read all that was sent (unix(7)).
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("read from the control socket: {error}"),
        }
    }
}

impl Client {
    /// A client that was greeted.
    pub fn connect(place: &Place) -> Client {
        Client::try_connect(place).expect("a greeting")
    }

    /// The same; `Err` with what came instead of a greeting.
    pub fn try_connect(place: &Place) -> Result<Client, Vec<Message>> {
        Client::greeted(connect(place).expect("connect to the control socket"))
    }

    /// The same, of a supervisor whose control directory is this one.
    pub fn connect_in(dir: &Path) -> Client {
        Client::greeted(connect_in(dir).expect("connect to the control socket")).expect("a greeting")
    }

    fn greeted(mut stream: UnixStream) -> Result<Client, Vec<Message>> {
        let mut bytes = Vec::new();
        let mut told = Vec::new();
        while let Some(line) = line(&mut stream, &mut bytes) {
            match message(&line).expect("a line of the protocol") {
                Message::Greeting(greeting) if told.is_empty() => {
                    return Ok(Client { greeting, stream, bytes, events: VecDeque::new() });
                }
                other => told.push(other),
            }
        }
        Err(told)
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("write to the control socket");
    }

    /// Sends a request with a tag.
    pub fn request(&mut self, tag: &str, request: Request) {
        self.send(request_line(&Asked { tag: Some(tag.into()), request }));
    }

    /// Says that nothing more will be sent.
    pub fn half_close(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).expect("shutdown");
    }

    /// The next message; `None` at the end.
    pub fn message(&mut self) -> Option<Message> {
        let line = line(&mut self.stream, &mut self.bytes)?;
        Some(message(&line).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&line))))
    }

    /// All messages up to the end of the connection.
    pub fn messages_to_end(&mut self) -> Vec<Message> {
        let early: Vec<Message> = self.events.drain(..).map(Message::Event).collect();
        early.into_iter().chain(std::iter::from_fn(|| self.message())).collect()
    }

    /// The next answer.
    pub fn reply(&mut self) -> Reply<Value> {
        loop {
            match self.message().expect("an answer, not the end") {
                Message::Reply(reply) => return reply,
                Message::Event(event) => self.events.push_back(event),
                other => panic!("no answer: {other:?}"),
            }
        }
    }

    /// The next event.
    pub fn event(&mut self) -> Event {
        if let Some(event) = self.events.pop_front() {
            return event;
        }
        match self.message().expect("an event, not the end") {
            Message::Event(event) => event,
            other => panic!("no event: {other:?}"),
        }
    }

    /// Whether nothing comes within a short time.
    pub fn is_silent(&mut self) -> bool {
        let mut byte = [0];
        self.stream.set_read_timeout(Some(Duration::from_millis(30))).expect("timeout");
        let read = self.stream.read(&mut byte);
        self.stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        if let Ok(1) = read {
            self.bytes.push(byte[0]);
        }
        read.is_err() && self.events.is_empty()
    }

    /// Sends a line and takes the next answer.
    pub fn ask(&mut self, line: impl AsRef<[u8]>) -> Reply<Value> {
        self.send([line.as_ref(), b"\n"].concat());
        self.reply()
    }

    /// The same, for what must be done.
    pub fn ok(&mut self, line: &str) -> Value {
        match self.ask(line).outcome {
            Outcome::Ok(body) => body,
            Outcome::Error(failure) => panic!("{line}: {failure:?}"),
        }
    }

    /// The same, for what must be refused.
    pub fn refused(&mut self, line: impl AsRef<[u8]>) -> Failure {
        let reply = self.ask(&line);
        match reply.outcome {
            Outcome::Error(failure) => failure,
            Outcome::Ok(body) => panic!("{}: {body}", String::from_utf8_lossy(line.as_ref())),
        }
    }

    /// What the supervisor knows.
    pub fn state(&mut self) -> body::State {
        serde_json::from_value(self.ok("state")).expect("the body of state")
    }
}

/// The tag of an answer, if it is a text.
pub fn tag(reply: &Reply<Value>) -> Option<&str> {
    match &reply.tag {
        Some(Tag::Text(text)) => Some(text),
        _ => None,
    }
}
