//! Joined to the streams of a container, or of a process that was added to it, until it ends.

mod signals;
mod streams;

use conward_protocol::client::{self, Answer, Client, Incoming, Ticket};
use conward_protocol::request::{self, Kill, Resize, Stage, Stdin, Subscribe, Wait};
use conward_protocol::{Body, ErrorCode, Exit, Request, Signal, What};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::stdio::stdin;

use crate::error::Error;
use crate::output;
use crate::terminal::{self, Keys, Raw};
use signals::{Signals, Wish};
use streams::Streams;

/// Bytes of one read of standard input. Not much more waits here: while it does, no more is read.
const INPUT_MAX: usize = 8192;

/// How it ended for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The process has ended.
    Exit(Exit),
    /// Somebody typed the keys for it; the process runs on.
    Detached,
    /// We got this signal; the process runs on.
    Signal(u8),
}

/// What there is to do.
#[derive(Clone, Copy, Debug)]
enum Ready {
    Signals,
    Supervisor,
    Output(usize),
    Room,
    Typed,
}

/// The streams of a process, and the supervisor to ask about it.
#[derive(Debug)]
pub struct Session {
    id: String,
    client: Client,
    /// The exec session; `None`: the container's first process.
    exec: Option<String>,
    attachment: Option<u64>,
    streams: Streams,
    signals: Signals,
    /// The answer to it is how the process ended.
    wait: Ticket,
    exit: Option<Exit>,
    /// A `start` on its way.
    start: Option<Ticket>,
    /// Whether standard input is read.
    input: bool,
    /// Whether our terminal stands for the process's.
    tty: bool,
    raw: Option<Raw>,
    keys: Option<Keys>,
    proxy: bool,
}

impl Session {
    /// Attaches, and asks for the exit status. One that has no input is heard only.
    ///
    /// # Errors
    /// There is nothing to attach to, or the supervisor is lost.
    pub fn attach(id: &str, mut client: Client, wanted: request::Attach) -> Result<Session, Error> {
        let asked = |error| Error::asked(id, &error);
        subscribe(&mut client).map_err(asked)?;
        let mute = request::Attach { stdin: Stdin::None, ..wanted.clone() };
        let exec = wanted.exec.clone();
        let answer = match client.call(Request::Attach(wanted)) {
            Err(client::Error::Refused(failure)) if failure.code == ErrorCode::NoStdin => {
                client.call(Request::Attach(mute))
            }
            other => other,
        };
        Session::of(id, client, answer.map_err(asked)?, exec)
    }

    /// Runs a process in the container, and asks for its exit status.
    ///
    /// # Errors
    /// The runtime could not start it, or the supervisor is lost.
    pub fn exec(id: &str, mut client: Client, wanted: request::Exec) -> Result<Session, Error> {
        let asked = |error| Error::asked(id, &error);
        subscribe(&mut client).map_err(asked)?;
        let answer = client.call(Request::Exec(wanted)).map_err(asked)?;
        Session::of(id, client, answer, None)
    }

    fn of(id: &str, mut client: Client, answer: Answer, exec: Option<String>) -> Result<Session, Error> {
        let signals = Signals::block()?;
        let (attachment, exec, joined) = match answer.body {
            Body::Attached(attached) => (Some(attached.attachment), exec, attached.streams),
            Body::ExecStarted(started) => (started.attachment, Some(started.exec), Vec::new()),
            _ => return Err(Error::new(format!("{id}: an answer of another kind"))),
        };
        let streams = Streams::new(answer.descriptors, &joined)
            .map_err(|error| Error::io(format_args!("{id}: setting the streams"), error))?;
        let wait = Request::Wait(Wait { stage: Stage::Exited, exec: exec.clone() });
        let wait = client.send(wait).map_err(|error| Error::asked(id, &error))?;
        let (exit, start, raw, keys) = (None, None, None, None);
        let (input, tty, proxy, id) = (false, false, false, id.to_owned());
        Ok(Session {
            id,
            client,
            exec,
            attachment,
            streams,
            signals,
            wait,
            exit,
            start,
            input,
            tty,
            raw,
            keys,
            proxy,
        })
    }

    /// Lets the process's terminal have our size, and, with keys that detach, all we type.
    ///
    /// # Errors
    /// The terminal cannot be set.
    pub fn use_terminal(&mut self, keys: Option<Keys>) -> Result<(), Error> {
        self.tty = true;
        self.resize()?;
        if let Some(keys) = keys {
            self.raw = Raw::new().map_err(|error| Error::io("setting the terminal", error))?;
            self.keys = self.raw.is_some().then_some(keys);
        }
        Ok(())
    }

    /// Passes standard input on.
    pub fn pass_input(&mut self) {
        self.input = true;
    }

    /// Passes signals on, instead of ending by them.
    pub fn proxy_signals(&mut self) {
        self.proxy = true;
    }

    /// Prints the last output from before we came; with `lines`, whole lines of it.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn replay(&mut self, lines: bool) -> Result<(), Error> {
        self.streams.replay(lines)
    }

    /// Has the container's program started.
    ///
    /// # Errors
    /// The supervisor is lost.
    pub fn start(&mut self) -> Result<(), Error> {
        self.start = Some(self.client.send(Request::Start).map_err(|error| Error::asked(&self.id, &error))?);
        Ok(())
    }

    /// Whether a start was asked for that has not succeeded.
    pub fn is_starting(&self) -> bool {
        self.start.is_some()
    }

    /// Restores the terminal, and leaves the streams.
    pub fn leave(self) -> Client {
        self.client
    }

    /// Passes streams and signals until the end.
    ///
    /// # Errors
    /// The program was not started, the supervisor is lost, or our output cannot be written.
    pub fn pass(&mut self) -> Result<Ended, Error> {
        loop {
            self.hear()?;
            if let (Some(exit), None) = (self.exit, self.streams.outputs().next()) {
                return Ok(Ended::Exit(exit));
            }
            for what in self.poll()? {
                let ended = match what {
                    Ready::Signals => self.on_signals()?,
                    Ready::Supervisor => None,
                    Ready::Output(nth) => self.streams.pass_output(nth).map(|()| None)?,
                    Ready::Room => {
                        self.streams.flush();
                        None
                    }
                    Ready::Typed => self.on_input()?,
                };
                if let Some(ended) = ended {
                    return Ok(ended);
                }
            }
        }
    }

    /// Waits until something is to be done.
    fn poll(&self) -> Result<Vec<Ready>, Error> {
        let keyboard = stdin();
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
        let mut whose = vec![Ready::Signals];
        // A closed descriptor is always ready: those that nothing is wanted from are left out.
        if self.exit.is_none() {
            fds.push(PollFd::new(&self.client, PollFlags::IN));
            whose.push(Ready::Supervisor);
        }
        for (nth, fd) in self.streams.outputs() {
            fds.push(PollFd::new(fd, PollFlags::IN));
            whose.push(Ready::Output(nth));
        }
        if let Some(fd) = self.streams.waiting_input() {
            fds.push(PollFd::new(fd, PollFlags::OUT));
            whose.push(Ready::Room);
        } else if self.input && (self.streams.takes_input() || self.keys.is_some()) {
            fds.push(PollFd::new(&keyboard, PollFlags::IN));
            whose.push(Ready::Typed);
        }
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Error::io("waiting", error)),
        }
        let ready = fds.iter().zip(whose).filter(|(fd, _)| !fd.revents().is_empty());
        Ok(ready.map(|(_, what)| what).collect())
    }

    /// Takes what the supervisor says.
    fn hear(&mut self) -> Result<(), Error> {
        while self.exit.is_none() {
            let asked = |error| Error::asked(&self.id, &error);
            match self.client.try_receive().map_err(asked)? {
                None => return Ok(()),
                Some(Incoming::Answered(ticket)) if ticket == self.wait => {
                    let Body::Waited(waited) = self.client.answer(ticket).map_err(asked)?.body else {
                        continue;
                    };
                    let never = || Error::new(format!("{}: it was never created", self.id));
                    self.exit = Some(waited.exit.ok_or_else(never)?);
                }
                Some(Incoming::Answered(ticket)) if self.start == Some(ticket) => {
                    self.client.answer(ticket).map_err(asked)?;
                    self.start = None;
                }
                // A resize or a signal that came too late.
                Some(Incoming::Answered(ticket)) => drop(self.client.answer(ticket)),
                Some(Incoming::Event(event)) => self.on_event(&event.what),
                Some(Incoming::Log(..)) => {}
            }
        }
        Ok(())
    }

    /// Output that we were too slow for is lost to us; that must not look as if there had been none.
    fn on_event(&self, what: &What) {
        if let What::ClientDropped { attachment, lost, .. } = what
            && attachment.is_some()
            && *attachment == self.attachment
        {
            let id = &self.id;
            output::complain(&format!(
                "{id}: the output was not read for too long: {lost} bytes or more are lost"
            ));
        }
    }

    fn on_signals(&mut self) -> Result<Option<Ended>, Error> {
        while let Some(wish) = self.signals.next() {
            match wish {
                Wish::Size => self.resize()?,
                Wish::Suspend => {
                    self.raw.iter().for_each(Raw::suspend);
                    signals::stop();
                }
                Wish::Continue => {
                    self.raw.iter().for_each(Raw::resume);
                    self.resize()?;
                }
                Wish::End(number) if self.proxy => {
                    let Some(signal) = Signal::from_number(number.into()) else { continue };
                    self.ask(Request::Kill(Kill { signal, all: false, exec: self.exec.clone() }))?;
                }
                Wish::End(number) => return Ok(Some(Ended::Signal(number))),
            }
        }
        Ok(None)
    }

    fn resize(&mut self) -> Result<(), Error> {
        match terminal::size().filter(|_| self.tty) {
            Some((rows, cols)) => self.ask(Request::Resize(Resize { rows, cols, exec: self.exec.clone() })),
            None => Ok(()),
        }
    }

    /// Asks, and does not wait for the answer.
    fn ask(&mut self, request: Request) -> Result<(), Error> {
        if self.exit.is_some() {
            return Ok(());
        }
        self.client.send(request).map(drop).map_err(|error| Error::asked(&self.id, &error))
    }

    fn on_input(&mut self) -> Result<Option<Ended>, Error> {
        let mut bytes = [0; INPUT_MAX];
        let count = match rustix::io::read(stdin(), &mut bytes) {
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            // The terminal was hung up.
            Err(Errno::IO) => 0,
            Err(error) => return Err(Error::io("reading the input", error)),
        };
        let pending = self.streams.pending();
        let mut detached = false;
        match &mut self.keys {
            Some(keys) if count > 0 => detached = keys.pass(&bytes[..count], pending),
            Some(keys) => pending.extend(keys.rest()),
            None => pending.extend_from_slice(&bytes[..count]),
        }
        if count == 0 {
            self.input = false;
            self.streams.end_input();
        }
        self.streams.flush();
        Ok(detached.then_some(Ended::Detached))
    }
}

/// Whether the supervisor gives us up, since we do not read, is an event.
fn subscribe(client: &mut Client) -> Result<(), client::Error> {
    client.call(Request::Subscribe(Subscribe::default())).map(drop)
}
