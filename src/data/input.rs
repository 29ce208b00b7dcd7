//! The container's standard input.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{Attachment, Clients, Kind, Received};
use crate::error::reason;

/// Room for one packet of a client, or one read. Clients send up to 32 KiB; a packet beyond this is cut, with
/// a diagnostic. At the bound no client is read any more until the container has taken everything:
/// back-pressure, and nothing is lost.
const PACKET_MAX: usize = 256 * 1024;

/// Where input goes.
#[derive(Debug)]
enum Target {
    /// Nowhere: the container has no stdin. Input is read and thrown away.
    Nowhere,
    /// To a terminal that has not come yet.
    Awaited,
    /// To this pipe or terminal.
    Open(OwnedFd),
}

/// What came of a turn.
#[derive(Debug)]
pub enum Step {
    /// There may be more to do at once.
    More,
    /// A client or the container must act first.
    Waits,
    /// The container's stdin is over: this is to be closed. Further input is thrown away.
    Closed(OwnedFd, Ender),
}

/// Who has ended the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ender {
    /// The container has closed it.
    Container,
    /// A client, by its end.
    Client(Attachment),
    /// A control client, by [`Input::end`].
    Request(u64),
}

/// One packet of input on its way from a client to the container.
#[derive(Debug)]
pub struct Input {
    target: Target,
    /// The end of a client of the attach socket ends it.
    once: bool,
    /// A terminal, whose input has no end but for a character.
    terminal: bool,
    packet: Vec<u8>,
    written: usize,
    /// It is to be closed when the packet is written.
    ending: Option<Ender>,
    /// Bytes that the container was given.
    total: u64,
}

impl Input {
    /// Input of a container without stdin.
    pub fn nowhere() -> Input {
        Input::to(Target::Nowhere, false)
    }

    /// Input of a terminal that the runtime will send. `once`: the end of any client of the attach socket
    /// ends it for good.
    pub fn awaited(once: bool) -> Input {
        Input { terminal: true, ..Input::to(Target::Awaited, once) }
    }

    /// Input into a non-blocking pipe; `once` as above.
    pub fn open(fd: OwnedFd, once: bool) -> Input {
        Input::to(Target::Open(fd), once)
    }

    fn to(target: Target, once: bool) -> Input {
        let packet = Vec::new();
        Input { target, once, terminal: false, packet, written: 0, ending: None, total: 0 }
    }

    /// Whether there is an input that can still be written.
    pub fn is_open(&self) -> bool {
        !matches!(self.target, Target::Nowhere) && self.ending.is_none()
    }

    /// The terminal has come.
    pub fn connect(&mut self, fd: OwnedFd) {
        if matches!(self.target, Target::Awaited) {
            self.target = Target::Open(fd);
        }
    }

    /// What to watch for room.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.target {
            Target::Open(fd) => Some(fd.as_fd()),
            Target::Nowhere | Target::Awaited => None,
        }
    }

    /// Bytes that the container was given.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// No more input will come, by request of this client: it closes as soon as what is on the way is
    /// written. If that is so already, nothing changes.
    pub fn end(&mut self, client: u64) {
        self.ending.get_or_insert(Ender::Request(client));
    }

    /// Moves input from the clients to the container until one side waits; at most `budget`
    /// packets.
    pub fn turn(&mut self, clients: &mut Clients, budget: usize) -> Step {
        for _ in 0..budget {
            match self.write() {
                Ok(true) => {}
                Ok(false) => return Step::Waits,
                Err(error) => {
                    // The container has closed its stdin: nobody will read this, or what follows.
                    log::debug!("the container takes no more input: {}", reason(&error));
                    return self.closed(Ender::Container);
                }
            }
            if let Some(ender) = self.ending {
                return self.closed(ender);
            }
            let Some(id) = clients.next_with_input() else {
                // Everything is written. Who types gets a new one with each packet, which costs no pages but
                // those that are filled.
                self.packet = Vec::new();
                return Step::Waits;
            };
            self.packet.reserve_exact(PACKET_MAX);
            if let Received::End(of, kind) = clients.receive(id, &mut self.packet)
                && self.ends_with(kind)
            {
                self.ending = Some(Ender::Client(of));
            }
            if matches!(self.target, Target::Nowhere) {
                self.packet.clear();
            }
        }
        Step::More
    }

    /// Whether the end of a client's input is the end of the container's.
    fn ends_with(&self, kind: Kind) -> bool {
        match kind {
            Kind::Packets => self.once,
            Kind::Input { once } => once && !self.terminal,
            Kind::Output(_) => false,
        }
    }

    fn closed(&mut self, ender: Ender) -> Step {
        self.close().map_or(Step::More, |fd| Step::Closed(fd, ender))
    }

    /// Writes what is there; `true` once everything is written.
    fn write(&mut self) -> io::Result<bool> {
        while self.written < self.packet.len() {
            let Target::Open(fd) = &self.target else { return Ok(false) };
            match nix::unistd::write(fd, &self.packet[self.written..]) {
                Ok(count) => {
                    self.written += count;
                    self.total += count as u64;
                }
                Err(nix::errno::Errno::EAGAIN) => return Ok(false),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.packet.clear();
        self.written = 0;
        Ok(true)
    }

    /// Nothing more goes to the container. Returns what is to be closed.
    pub fn close(&mut self) -> Option<OwnedFd> {
        self.ending = None;
        self.packet = Vec::new();
        self.written = 0;
        match std::mem::replace(&mut self.target, Target::Nowhere) {
            Target::Open(fd) => Some(fd),
            Target::Nowhere | Target::Awaited => None,
        }
    }
}
