//! The control socket: lines from managers in, lines out. What they mean is not known here.

mod outgoing;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use conward_protocol::limits::{AHEAD_MAX, CLIENTS_MAX, LINE_MAX, QUEUE_MAX};
use conward_protocol::{Line, Lines, RECORD_FILE, SOCKET_FILE, STATE_FILE};
use nix::errno::Errno;
use nix::sys::socket::{SockType, setsockopt, sockopt};
use nix::unistd::geteuid;

use crate::error::{Error, reason};
use crate::sys::file::{Mark, remove, remove_dir};
use crate::sys::io::read_into;
use crate::sys::socket;
use outgoing::{BATCH, Outgoing};

/// Clients that may wait to be accepted.
pub const BACKLOG: i32 = 64;
/// Bytes of one read from a client.
const READ_MAX: usize = 16 * 1024;

/// What a descriptor that waits for a client costs of [`QUEUE_MAX`]: who asks for many and does not read is
/// dropped before they are missing elsewhere.
const DESCRIPTOR_COST: usize = 16 * 1024;

/// Names a client; never used twice by one supervisor.
pub type ControlId = usize;

/// The listening socket and its clients.
#[derive(Debug)]
pub struct Control {
    listener: OwnedFd,
    dir: PathBuf,
    /// Tells our socket from one that another supervisor has put in its place.
    mark: Mark,
    clients: Vec<Client>,
    next: ControlId,
    /// How many were dropped since they did not read.
    dropped: u64,
}

#[derive(Debug)]
struct Client {
    id: ControlId,
    fd: OwnedFd,
    lines: Lines,
    /// What was read and not looked at yet begins at `looked`.
    input: Vec<u8>,
    looked: usize,
    out: VecDeque<Outgoing>,
    /// Bytes that wait, and what the descriptors that wait with them cost.
    queued: usize,
    cost: usize,
    /// What is sent to it gathers, since more is about to follow.
    gathers: bool,
    /// It will send nothing more, but may still read.
    half_closed: bool,
    /// It will not read either: what it has sent is still to be looked at.
    hung_up: bool,
    ended: Option<Ended>,
}

/// Why a client is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It has gone by itself.
    Gone,
    /// It did not read, and so many bytes waited for it.
    TooSlow(usize),
}

/// Who has come.
#[derive(Debug)]
pub enum Accepted {
    /// A client.
    Client(ControlId),
    /// A peer that is neither root nor the supervisor's own user, and its user id.
    Stranger(Refused, u32),
    /// One more than there may be.
    Surplus(Refused),
}

/// A connection that is closed when it has been told why.
#[derive(Debug)]
pub struct Refused(OwnedFd);

impl Refused {
    /// Sends one line, if there is room, and closes.
    pub fn tell(self, line: Vec<u8>) {
        // Whoever does not hear it sees the end of the connection.
        let _ = Outgoing::new(line, Vec::new()).send(&self.0);
    }
}

/// What a read brought beside lines.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// There may be more to read at once.
    More,
    /// Nothing more now.
    Nothing,
    /// The client sends nothing more. Said once.
    HalfEnd {
        /// Its last line has no end.
        torn: bool,
    },
    /// The client has closed.
    End,
}

impl Control {
    /// Makes `BASE/ID/control.sock`: mode 0600, in a directory of mode 0700. A socket that stands
    /// there is left by an earlier run and replaced.
    ///
    /// # Errors
    ///
    /// [`Error::Fatal`], which the caller may take lightly: a container can do without.
    pub fn open(dir: &Path) -> Result<Control, Error> {
        Control::make(dir).map_err(|error| {
            Error::io(format_args!("Failed to make the control socket in {}", dir.display()), error)
        })
    }

    fn make(dir: &Path) -> io::Result<Control> {
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700).recursive(true).create(dir)?;
        let owner = fs::symlink_metadata(dir);
        if let Ok(owner) = &owner
            && (!owner.is_dir() || owner.uid() != geteuid().as_raw() || owner.mode() & 0o077 != 0)
        {
            return Err(io::Error::other("the directory is not ours alone"));
        }
        owner.and_then(|_| Control::listen(dir)).inspect_err(|_| {
            // It stays if there is something in it.
            let _ = fs::remove_dir(dir);
        })
    }

    fn listen(dir: &Path) -> io::Result<Control> {
        let path = dir.join(SOCKET_FILE);
        let listener = socket::rebind(&path, SockType::Stream, 0o600)?;
        let mark = socket::listen(&listener, BACKLOG).and_then(|()| Mark::of(&path));
        let mark = mark.inspect_err(|_| remove(&path))?;
        Ok(Control { listener, dir: dir.to_owned(), mark, clients: Vec::new(), next: 0, dropped: 0 })
    }

    /// What to watch for new clients.
    pub fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// What to watch for a client.
    pub fn fd(&self, id: ControlId) -> Option<BorrowedFd<'_>> {
        self.clients.iter().find(|c| c.id == id).map(|c| c.fd.as_fd())
    }

    /// The next client. `None`: nobody waits.
    ///
    /// # Errors
    ///
    /// Those of accept(2); the client goes on waiting.
    pub fn accept(&mut self) -> io::Result<Option<Accepted>> {
        let Some(fd) = socket::accept(self.listener.as_fd())? else { return Ok(None) };
        let uid = socket::peer_uid(&fd)?;
        if !socket::is_own(uid) {
            return Ok(Some(Accepted::Stranger(Refused(fd), uid)));
        }
        if self.clients.len() >= CLIENTS_MAX {
            return Ok(Some(Accepted::Surplus(Refused(fd))));
        }
        let id = self.next;
        self.next += 1;
        let lines = Lines::new(LINE_MAX);
        self.clients.push(Client {
            id,
            fd,
            lines,
            input: Vec::new(),
            looked: 0,
            out: VecDeque::new(),
            queued: 0,
            cost: 0,
            gathers: false,
            half_closed: false,
            hung_up: false,
            ended: None,
        });
        Ok(Some(Accepted::Client(id)))
    }

    /// Reads once from a client, for [`Control::next_line`], unless there still is something to look at.
    pub fn read(&mut self, id: ControlId) -> Heard {
        let Some(client) = self.clients.iter_mut().find(|c| c.id == id) else { return Heard::Nothing };
        if client.is_behind() {
            return Heard::Nothing;
        }
        if client.looked < client.input.len() {
            return Heard::More;
        }
        client.looked = 0;
        client.input = Vec::with_capacity(READ_MAX);
        let read = read_into(&client.fd, &mut client.input);
        if client.input.is_empty() {
            // A client at rest holds no buffer.
            client.input = Vec::new();
        }
        match read {
            Ok(0) if client.hung_up => Heard::End,
            Ok(0) if client.half_closed => Heard::Nothing,
            Ok(0) => {
                client.half_closed = true;
                Heard::HalfEnd { torn: client.lines.is_within_line() }
            }
            Ok(_) => Heard::More,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Heard::Nothing,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Heard::More,
            Err(error) => {
                log::debug!("control client {id}: {}", reason(&error));
                Heard::End
            }
        }
    }

    /// The next line of what was read. `None`: there is no more, or the client is to read first.
    pub fn next_line(&mut self, id: ControlId) -> Option<Line<'_>> {
        let client = self.clients.iter_mut().find(|c| c.id == id).filter(|client| !client.is_behind())?;
        let (taken, line) = client.lines.next(&client.input[client.looked..]);
        client.looked += taken;
        line
    }

    /// Sends a line, newline included, or queues it. `descriptors` come with it, one set with one line, and
    /// are closed here when they are sent, or when the client is removed.
    pub fn send(&mut self, id: ControlId, line: Vec<u8>, descriptors: Vec<OwnedFd>) {
        let Some(client) = self.clients.iter_mut().find(|c| c.id == id && c.ended.is_none()) else { return };
        client.queued += line.len();
        client.cost += descriptors.len() * DESCRIPTOR_COST;
        let next = Outgoing::new(line, descriptors);
        let apart = match client.out.back_mut() {
            Some(last) => last.join(next),
            None => Some(next),
        };
        client.out.extend(apart);
        if !client.gathers || client.queued + client.cost >= BATCH {
            client.flush();
        }
        if client.queued + client.cost > QUEUE_MAX {
            log::warn!("control client {id} does not read: dropped with {} bytes unsent", client.queued);
            client.ended = Some(Ended::TooSlow(client.queued));
            self.dropped += 1;
        }
    }

    /// Gathers the lines for this client until [`Control::flush`], up to [`BATCH`] at a time: answers to what
    /// has come at once go back at once.
    pub fn gather(&mut self, id: ControlId) {
        if let Some(client) = self.clients.iter_mut().find(|c| c.id == id) {
            client.gathers = true;
        }
    }

    /// Sends what waits for the client, as far as it has room.
    pub fn flush(&mut self, id: ControlId) {
        if let Some(client) = self.clients.iter_mut().find(|c| c.id == id) {
            client.gathers = false;
            client.flush();
        }
    }

    /// The client reads no more either.
    pub fn hang_up(&mut self, id: ControlId) {
        if let Some(client) = self.clients.iter_mut().find(|c| c.id == id) {
            client.hung_up = true;
        }
    }

    /// The clients that ask for nothing more, and for which nothing waits.
    pub fn half_closed(&self) -> impl Iterator<Item = ControlId> {
        self.clients.iter().filter(|client| client.half_closed && client.queued == 0).map(|client| client.id)
    }

    /// A last line for a client that did not read: as much as the system takes, behind the rest of the
    /// line that is on its way. Returns how long that rest is.
    pub fn take_leave(&mut self, id: ControlId, line: &[u8]) -> usize {
        let Some(client) = self.clients.iter_mut().find(|c| c.id == id) else { return 0 };
        let rest = client.out.front().map_or(&[][..], Outgoing::rest_of_line);
        let bytes = [rest, line].concat();
        // The buffer of the socket is full. The system gives it up to `net.core.wmem_max` of room.
        if let Err(error) = setsockopt(&client.fd, sockopt::SndBuf, &QUEUE_MAX) {
            log::debug!("control client {id}: {}", error.desc());
        }
        // Who does not get it sees the end of the connection.
        let _ = Outgoing::new(bytes, Vec::new()).send(&client.fd);
        rest.len()
    }

    /// Bytes that wait for a client.
    pub fn queued(&self, id: ControlId) -> usize {
        self.clients.iter().find(|client| client.id == id).map_or(0, |client| client.queued)
    }

    /// The clients for which nothing waits.
    pub fn served(&self) -> Vec<ControlId> {
        self.clients.iter().filter(|client| client.queued == 0).map(|client| client.id).collect()
    }

    /// A client that is to be removed, and why.
    pub fn ended(&self) -> Option<(ControlId, Ended)> {
        self.clients.iter().find_map(|client| Some((client.id, client.ended?)))
    }

    /// Takes a client out; the connection is to be closed.
    pub fn remove(&mut self, id: ControlId) -> Option<OwnedFd> {
        let at = self.clients.iter().position(|c| c.id == id)?;
        Some(self.clients.remove(at).fd)
    }

    /// The directory of the socket.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether no client is connected.
    pub fn is_deserted(&self) -> bool {
        self.clients.is_empty()
    }

    /// Removes the socket, and the directory if nothing else is in it, unless another supervisor has put
    /// its own there.
    pub fn remove_socket(&self) {
        self.retire(&[SOCKET_FILE]);
    }

    /// The same with the files beside the socket.
    pub fn remove_all(&self) {
        self.retire(&[SOCKET_FILE, STATE_FILE, RECORD_FILE]);
    }

    fn retire(&self, files: &[&str]) {
        if !self.mark.stands_at(&self.dir.join(SOCKET_FILE)) {
            return;
        }
        for file in files {
            remove(&self.dir.join(file));
        }
        match remove_dir(&self.dir) {
            Err(error) if files.len() > 1 || error.kind() != io::ErrorKind::DirectoryNotEmpty => {
                log::warn!("cannot remove {}: {}", self.dir.display(), reason(&error));
            }
            _ => {}
        }
    }

    /// How many clients there are, bytes that wait for them, and how many were dropped since they did
    /// not read.
    pub fn load(&self) -> (usize, usize, u64) {
        (self.clients.len(), self.clients.iter().map(|client| client.queued).sum(), self.dropped)
    }
}

impl Client {
    /// Whether so much waits for it that it has to read before it is listened to again. Flushing has then
    /// filled its socket, so it will be reported as writable.
    fn is_behind(&self) -> bool {
        self.queued > AHEAD_MAX && self.ended.is_none()
    }

    fn flush(&mut self) {
        while let Some(next) = self.out.front_mut() {
            match next.send(&self.fd) {
                Ok((sent, descriptors)) => {
                    self.queued -= sent;
                    self.cost -= descriptors * DESCRIPTOR_COST;
                    if next.is_sent() {
                        self.out.pop_front();
                    }
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Err(error) => {
                    log::debug!("control client {}: {}", self.id, reason(&error.into()));
                    self.ended.get_or_insert(Ended::Gone);
                    return;
                }
            }
        }
    }
}
