//! A small blocking client, for managers written in Rust.
//!
//! [`Client::call`] asks and waits. [`Client::send`] only asks, and [`Client::answer`] waits for that
//! answer: requests can be on their way together. What comes besides answers waits for
//! [`Client::receive`].

#[cfg(test)]
mod tests;
mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

use crate::body::{Descriptor, LogRecord};
use crate::codec::{self, Asked, Message};
use crate::limits::LINE_MAX;
use crate::{Body, Event, Failure, Greeting, Op, Outcome, PROTOCOL, Reply, Request, Tag};
use wire::Wire;

/// Events and log records that wait for [`Client::receive`] at most. More while an answer is awaited is
/// [`Error::Protocol`]: who subscribes must take events too.
const WAITING_MAX: usize = 4096;

/// Why something with a supervisor did not work.
#[derive(Debug)]
pub enum Error {
    /// The supervisor has answered with an error.
    Refused(Failure),
    /// The connection has ended.
    Closed,
    /// The peer does not speak this protocol.
    Protocol(String),
    /// A system call failed; [`io::ErrorKind::TimedOut`] if the time set was up.
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(failure) => f.write_str(&failure.message),
            Error::Closed => f.write_str("the supervisor has closed the connection"),
            Error::Protocol(what) => write!(f, "not the protocol of a supervisor: {what}"),
            Error::Io(error) => write!(f, "talking to the supervisor: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(error) => Some(error),
            Error::Refused(_) | Error::Closed | Error::Protocol(_) => None,
        }
    }
}

/// A request on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// What a request has brought.
#[derive(Debug)]
pub struct Answer {
    /// What was said.
    pub body: Body,
    /// What came with it.
    pub descriptors: Vec<(Descriptor, OwnedFd)>,
}

/// What comes besides answers.
#[derive(Debug)]
pub enum Incoming {
    /// Something happened.
    Event(Event),
    /// A record of the log that was asked for.
    Log(Ticket, LogRecord),
    /// The answer to this request is there, for [`Client::answer`].
    Answered(Ticket),
}

/// A connection to a supervisor.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    greeting: Greeting,
    last_ticket: u64,
    /// Requests without an answer.
    asked: BTreeMap<Ticket, Op>,
    /// Answers that were not taken. No more than there were requests.
    answers: BTreeMap<Ticket, Result<Answer, Error>>,
    incoming: VecDeque<Incoming>,
}

impl Client {
    /// Connects to the control socket, whose path may be of any length, and hears the greeting.
    ///
    /// # Errors
    /// Nobody listens there, or whoever does speaks another protocol or refuses this user.
    pub fn connect(socket: &Path) -> Result<Client, Error> {
        let name = socket.file_name().ok_or_else(|| Error::Io(io::ErrorKind::InvalidInput.into()))?;
        let parent = socket.parent().filter(|parent| !parent.as_os_str().is_empty());
        // sun_path has 108 bytes (unix(7)); the directory's descriptor makes any path short.
        let directory = File::open(parent.unwrap_or(Path::new("."))).map_err(Error::Io)?;
        let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
        Client::over(UnixStream::connect(short).map_err(Error::Io)?)
    }

    /// Takes a connected socket, and hears the greeting.
    ///
    /// # Errors
    /// As for [`Client::connect`].
    pub fn over(socket: UnixStream) -> Result<Client, Error> {
        let mut wire = Wire::new(socket);
        let line = wire.line(true)?.ok_or(Error::Closed)?;
        let greeting = match read(&line)? {
            Message::Greeting(greeting) if greeting.protocol == PROTOCOL => greeting,
            Message::Greeting(greeting) => {
                return Err(Error::Protocol(format!("it speaks version {}", greeting.protocol)));
            }
            Message::Reply(Reply { outcome: Outcome::Error(failure), .. }) => {
                return Err(Error::Refused(failure));
            }
            _ => return Err(Error::Protocol("it does not greet".to_owned())),
        };
        let (asked, answers) = (BTreeMap::new(), BTreeMap::new());
        Ok(Client { wire, greeting, last_ticket: 0, asked, answers, incoming: VecDeque::new() })
    }

    /// What the supervisor said first.
    pub fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// How long a read may take from now on. `None`: for ever, as it is at first.
    ///
    /// # Errors
    /// The time is zero.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.wire.socket.set_read_timeout(timeout)
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn call(&mut self, request: Request) -> Result<Answer, Error> {
        let ticket = self.send(request)?;
        self.answer(ticket)
    }

    /// Asks only.
    ///
    /// # Errors
    /// See [`Error`]. A request that does not fit in a line is [`io::ErrorKind::InvalidInput`].
    pub fn send(&mut self, request: Request) -> Result<Ticket, Error> {
        let ticket = Ticket(self.last_ticket + 1);
        let op = request.op();
        let line = codec::request_line(&Asked { tag: Some(Tag::from(ticket.0)), request });
        if line.len() > LINE_MAX + 1 {
            return Err(Error::Io(io::ErrorKind::InvalidInput.into()));
        }
        self.last_ticket = ticket.0;
        self.wire.send(&line)?;
        self.asked.insert(ticket, op);
        Ok(ticket)
    }

    /// Waits for this answer. Others that come meanwhile are kept.
    ///
    /// # Errors
    /// See [`Error`]. A ticket whose answer was taken is [`io::ErrorKind::NotFound`].
    pub fn answer(&mut self, ticket: Ticket) -> Result<Answer, Error> {
        loop {
            if let Some(answer) = self.answers.remove(&ticket) {
                let answered =
                    |incoming: &Incoming| matches!(incoming, Incoming::Answered(of) if *of == ticket);
                self.incoming.retain(|incoming| !answered(incoming));
                return answer;
            }
            if !self.asked.contains_key(&ticket) {
                return Err(Error::Io(io::ErrorKind::NotFound.into()));
            }
            self.step(true)?;
        }
    }

    /// Waits for the next event, log record or answer.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn receive(&mut self) -> Result<Incoming, Error> {
        loop {
            if let Some(incoming) = self.incoming.pop_front() {
                return Ok(incoming);
            }
            self.step(true)?;
        }
    }

    /// The next event, log record or answer, if it is there. For loops that poll the descriptor: call
    /// it until it is `None`, then poll.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn try_receive(&mut self) -> Result<Option<Incoming>, Error> {
        while self.incoming.is_empty() {
            if !self.step(false)? {
                return Ok(None);
            }
        }
        Ok(self.incoming.pop_front())
    }

    /// Takes in one line. `false`: there is none yet.
    fn step(&mut self, wait: bool) -> Result<bool, Error> {
        let Some(line) = self.wire.line(wait)? else { return Ok(false) };
        match read(&line)? {
            Message::Reply(reply) => self.take(reply)?,
            Message::Event(event) => self.incoming.push_back(Incoming::Event(event)),
            Message::Log { tag: Some(tag), record } => {
                if let Some(ticket) = ticket(&tag) {
                    self.incoming.push_back(Incoming::Log(ticket, record));
                }
            }
            Message::Log { tag: None, .. } | Message::Greeting(_) | Message::Other => {}
        }
        if self.incoming.len() > WAITING_MAX {
            return Err(Error::Protocol(format!("more than {WAITING_MAX} events wait to be taken")));
        }
        Ok(true)
    }

    /// An error without a tag of ours concerns the connection.
    fn take(&mut self, reply: Reply<serde_json::Value>) -> Result<(), Error> {
        let known = reply.tag.as_ref().and_then(ticket);
        let known = known.and_then(|ticket| self.asked.remove_entry(&ticket));
        let answer = match (known, reply.outcome) {
            (None, Outcome::Error(failure)) => return Err(Error::Refused(failure)),
            (None, Outcome::Ok(_)) => return Err(Error::Protocol("an answer to no request".to_owned())),
            (Some((ticket, _)), Outcome::Error(failure)) => (ticket, Err(Error::Refused(failure))),
            (Some((ticket, op)), Outcome::Ok(value)) => {
                let body = Body::read(op, value)
                    .map_err(|error| Error::Protocol(format!("the answer to {op}: {error}")))?;
                let names: &[Descriptor] = match &body {
                    Body::Attached(attached) => &attached.descriptors,
                    Body::ExecStarted(started) => &started.descriptors,
                    _ => &[],
                };
                let came = self.wire.take(names.len())?;
                let descriptors = names.iter().copied().zip(came).collect();
                (ticket, Ok(Answer { body, descriptors }))
            }
        };
        self.incoming.push_back(Incoming::Answered(answer.0));
        self.answers.insert(answer.0, answer.1);
        Ok(())
    }
}

/// To be polled for reading, after [`Client::try_receive`] has returned `None`.
impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wire.socket.as_fd()
    }
}

fn ticket(tag: &Tag) -> Option<Ticket> {
    match tag {
        Tag::Number(number) => number.as_u64().map(Ticket),
        Tag::Text(_) => None,
    }
}

fn read(line: &[u8]) -> Result<Message, Error> {
    codec::message(line).map_err(|error| Error::Protocol(error.to_string()))
}
