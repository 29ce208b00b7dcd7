//! The container's standard input.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{Clients, Received};
use crate::error::reason;

/// Room for one packet of a client. Clients send up to 32 KiB; a packet beyond this is cut, with a
/// diagnostic. At the bound no client is read any more until the container has taken everything:
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
    Closed(OwnedFd),
}

/// One packet of input on its way from a client to the container.
#[derive(Debug)]
pub struct Input {
    target: Target,
    once: bool,
    packet: Vec<u8>,
    written: usize,
    ending: bool,
    /// Bytes that the container was given.
    total: u64,
}

impl Input {
    /// Input of a container without stdin.
    pub fn nowhere() -> Input {
        Input::to(Target::Nowhere, false)
    }

    /// Input of a terminal that the runtime will send. `once`: the end of any client's input ends
    /// it for good.
    pub fn awaited(once: bool) -> Input {
        Input::to(Target::Awaited, once)
    }

    /// Input into a non-blocking pipe; `once` as above.
    pub fn open(fd: OwnedFd, once: bool) -> Input {
        Input::to(Target::Open(fd), once)
    }

    fn to(target: Target, once: bool) -> Input {
        Input { target, once, packet: Vec::new(), written: 0, ending: false, total: 0 }
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

    /// No more input will come: it closes as soon as what is on the way is written.
    pub fn end(&mut self) {
        self.ending = true;
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
                    return self.close().map_or(Step::More, Step::Closed);
                }
            }
            if self.ending {
                return self.close().map_or(Step::More, Step::Closed);
            }
            let Some(id) = clients.next_with_input() else {
                if clients.is_empty() {
                    self.packet = Vec::new();
                }
                return Step::Waits;
            };
            self.packet.reserve_exact(PACKET_MAX);
            if clients.receive(id, &mut self.packet) == Received::End {
                self.ending = self.once;
            }
            if matches!(self.target, Target::Nowhere) {
                self.packet.clear();
            }
        }
        Step::More
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
        self.ending = false;
        self.packet = Vec::new();
        self.written = 0;
        match std::mem::replace(&mut self.target, Target::Nowhere) {
            Target::Open(fd) => Some(fd),
            Target::Nowhere | Target::Awaited => None,
        }
    }
}
