//! Joined to the streams of a container, by its attach socket.
//!
//! A packet from the supervisor is a byte that names the stream (2 stdout or terminal, 3 stderr) and up
//! to 8192 bytes; one to it is input, without a header.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use conward_protocol::client::{Client, Incoming, Ticket};
use conward_protocol::request::{Kill, Resize, Stage, Wait};
use conward_protocol::{Body, Exit, Request, Signal};
use nix::sys::signal::{SigSet, Signal as Caught};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, shutdown, socket_with,
};
use rustix::stdio::stdin;

use crate::error::Error;
use crate::terminal::{self, Keys, Raw};

/// Bytes of a packet from the supervisor at most.
const PACKET_MAX: usize = 8193;
/// Bytes of a packet to it. It takes 32 KiB; a smaller one finds room sooner. No more input than this
/// waits here: while it does, standard input is not read.
const INPUT_MAX: usize = 8192;

/// Signals that come as data. They are blocked from here on.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks them.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn block() -> Result<Signals, Error> {
        let mut set = SigSet::empty();
        for signal in [
            Caught::SIGINT,
            Caught::SIGTERM,
            Caught::SIGHUP,
            Caught::SIGQUIT,
            Caught::SIGUSR1,
            Caught::SIGUSR2,
            Caught::SIGWINCH,
        ] {
            set.add(signal);
        }
        set.thread_block()
            .and_then(|()| SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC))
            .map(Signals)
            .map_err(|error| Error::io("waiting for signals", error))
    }

    fn next(&self) -> Option<u8> {
        let signal = self.0.read_signal().ok().flatten()?;
        u8::try_from(signal.ssi_signo).ok()
    }
}

/// How it ended for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The container has ended.
    Exit(Exit),
    /// Somebody typed the keys for it; the container runs on.
    Detached,
    /// We got this signal; the container runs on.
    Signal(u8),
}

/// The streams of a container, and the supervisor to ask about it.
#[derive(Debug)]
pub struct Session {
    id: String,
    client: Client,
    socket: OwnedFd,
    signals: Signals,
    /// The answer to it is how the container ended.
    wait: Ticket,
    exit: Option<Exit>,
    /// Whether there may be more output.
    output: bool,
    /// Whether standard input is passed.
    input: bool,
    /// Input that the supervisor has not taken yet.
    pending: Vec<u8>,
    tty: bool,
    raw: Option<Raw>,
    keys: Option<Keys>,
    proxy: bool,
}

impl Session {
    /// Connects to `BUNDLE/attach`, and asks for the exit status.
    ///
    /// # Errors
    /// The socket is not served, or the supervisor is lost.
    pub fn join(id: &str, mut client: Client, bundle: &Path, signals: Signals) -> Result<Session, Error> {
        let socket = attach_socket(bundle)
            .map_err(|error| Error::io(format_args!("{id}: {}", bundle.join("attach").display()), error))?;
        let wait = Request::Wait(Wait { stage: Stage::Exited, exec: None });
        let wait = client.send(wait).map_err(|error| Error::asked(id, &error))?;
        let pending = Vec::new();
        let (exit, raw, keys) = (None, None, None);
        let (output, input, tty, proxy) = (true, false, false, false);
        let id = id.to_owned();
        Ok(Session { id, client, socket, signals, wait, exit, output, input, pending, tty, raw, keys, proxy })
    }

    /// Lets the container's terminal have our size, and, with keys that detach, all we type.
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

    /// The supervisor.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Restores the terminal, and leaves the streams.
    pub fn leave(self) -> Client {
        self.client
    }

    /// Passes streams and signals until the end.
    ///
    /// # Errors
    /// The supervisor is lost, or our output cannot be written.
    pub fn pass(&mut self) -> Result<Ended, Error> {
        loop {
            self.hear()?;
            if let (Some(exit), false) = (self.exit, self.output) {
                return Ok(Ended::Exit(exit));
            }
            let [signalled, readable, writable, typed] = self.poll()?;
            if signalled && let Some(ended) = self.on_signals()? {
                return Ok(ended);
            }
            if readable {
                self.on_output()?;
            }
            if typed && self.on_input()? {
                return Ok(Ended::Detached);
            }
            if writable || typed {
                self.send_pending();
            }
        }
    }

    /// Waits for signals, output, room for input, or input; the supervisor's words wake us too.
    fn poll(&self) -> Result<[bool; 4], Error> {
        let nothing = PollFlags::empty();
        let of = |wanted: bool| if wanted { PollFlags::IN } else { nothing };
        let room = if self.pending.is_empty() { nothing } else { PollFlags::OUT };
        let input = stdin();
        let mut fds = vec![
            PollFd::from_borrowed_fd(self.signals.0.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.client.as_fd(), PollFlags::IN),
        ];
        // A closed descriptor is always ready: those that nothing is wanted from are left out.
        let output_at = self.output.then_some(fds.len());
        if self.output {
            fds.push(PollFd::from_borrowed_fd(self.socket.as_fd(), of(true) | room));
        }
        let typed_at = (self.input && self.pending.is_empty()).then_some(fds.len());
        if typed_at.is_some() {
            fds.push(PollFd::from_borrowed_fd(input, PollFlags::IN));
        }
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Error::io("waiting", error)),
        }
        let ready = |at: Option<usize>| at.map_or(nothing, |at| fds[at].revents());
        let output = ready(output_at);
        Ok([
            !ready(Some(0)).is_empty(),
            output.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR),
            output.contains(PollFlags::OUT),
            !ready(typed_at).is_empty(),
        ])
    }

    /// Takes what the supervisor says.
    fn hear(&mut self) -> Result<(), Error> {
        while self.exit.is_none() {
            let said = self.client.try_receive().map_err(|error| Error::asked(&self.id, &error))?;
            match said {
                None => return Ok(()),
                Some(Incoming::Answered(ticket)) if ticket == self.wait => {
                    let answer =
                        self.client.answer(ticket).map_err(|error| Error::asked(&self.id, &error))?;
                    let Body::Waited(waited) = answer.body else { continue };
                    let never = || Error::new(format!("{}: it was never created", self.id));
                    self.exit = Some(waited.exit.ok_or_else(never)?);
                }
                // A resize or a signal that came too late.
                Some(Incoming::Answered(ticket)) => drop(self.client.answer(ticket)),
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn on_signals(&mut self) -> Result<Option<Ended>, Error> {
        while let Some(number) = self.signals.next() {
            let window = number == Caught::SIGWINCH as u8;
            if window && self.tty {
                self.resize()?;
            } else if !window && self.proxy {
                let Some(signal) = Signal::from_number(number.into()) else { continue };
                self.ask(Request::Kill(Kill { signal, all: false, exec: None }))?;
            } else if !window {
                return Ok(Some(Ended::Signal(number)));
            }
        }
        Ok(None)
    }

    fn resize(&mut self) -> Result<(), Error> {
        match terminal::size() {
            Some((rows, cols)) => self.ask(Request::Resize(Resize { rows, cols, exec: None })),
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

    fn on_output(&mut self) -> Result<(), Error> {
        let mut packet = [0; PACKET_MAX];
        let written = match recv(&self.socket, &mut packet, RecvFlags::DONTWAIT) {
            Ok((0, _)) | Err(Errno::CONNRESET) => {
                self.output = false;
                return Ok(());
            }
            Ok((count, _)) if packet[0] == 3 => io::stderr().lock().write_all(&packet[1..count]),
            Ok((count, _)) => {
                let mut out = io::stdout().lock();
                out.write_all(&packet[1..count]).and_then(|()| out.flush())
            }
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(error) => return Err(Error::io(format_args!("{}: reading output", self.id), error)),
        };
        written.map_err(|error| Error::output(&error))
    }

    /// `true`: the keys that detach were typed.
    fn on_input(&mut self) -> Result<bool, Error> {
        let mut bytes = [0; INPUT_MAX];
        let count = match rustix::io::read(stdin(), &mut bytes) {
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
            // The terminal was hung up.
            Err(Errno::IO) => 0,
            Err(error) => return Err(Error::io("reading the input", error)),
        };
        let Some(keys) = &mut self.keys else {
            self.pending.extend_from_slice(&bytes[..count]);
            self.input = count > 0;
            if count == 0 && !self.tty {
                // The supervisor passes that on, unless it was told to keep the input open.
                let _ = shutdown(&self.socket, Shutdown::Write);
            }
            return Ok(false);
        };
        if count == 0 {
            self.input = false;
            self.pending.extend(keys.rest());
            return Ok(false);
        }
        Ok(keys.pass(&bytes[..count], &mut self.pending))
    }

    /// Sends what waits, if there is room. Where the supervisor has closed, the output will tell.
    fn send_pending(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let end = self.pending.len().min(INPUT_MAX);
        match send(&self.socket, &self.pending[..end], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(sent) => drop(self.pending.drain(..sent)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => {
                self.pending.clear();
                self.input = false;
            }
        }
    }
}

/// The path may be of any length: sun_path has 108 bytes (unix(7)), the directory's descriptor few.
fn attach_socket(bundle: &Path) -> io::Result<OwnedFd> {
    let directory = File::open(bundle)?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/attach", directory.as_raw_fd()))?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    connect(&socket, &address)?;
    Ok(socket)
}
