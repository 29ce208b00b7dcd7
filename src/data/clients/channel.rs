//! One connection of an attached client.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

use nix::sys::socket::{AddressFamily, Shutdown, SockFlag, SockType, shutdown, socketpair};

use super::super::outbox::{Framing, Outbox, Output};
use super::{Attachment, ChannelId, Received};
use crate::error::reason;
use crate::plan::Stream;
use crate::sys::fds::set_nonblocking;
use crate::sys::io::{read_into, receive_into};

/// Reads from a client that are thrown away at the end, at most; a client that goes on sending sees a
/// reset.
const DISCARDED_MAX: usize = 1024;

/// What a channel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Both output streams out, and input in, in the packets of the attach socket.
    Packets,
    /// The bytes of this stream out.
    Output(Stream),
    /// Input in.
    Input {
        /// It is the only writer, and its end is the end of the input.
        once: bool,
    },
}

#[derive(Debug)]
pub(super) struct Channel {
    pub id: ChannelId,
    pub of: Attachment,
    pub kind: Kind,
    pub fd: OwnedFd,
    pub outbox: Outbox,
    /// It may still send.
    pub sends: bool,
    /// It has sent something, for which there was no room yet.
    pub has_input: bool,
    /// It takes no more output. What it has sent before still counts.
    pub deaf: bool,
}

impl Kind {
    /// A stream socket for one direction: our end, which does not block, and the client's, which does. What
    /// goes in the other direction fails at once with EPIPE, or is at its end. So no byte of a client can
    /// lie unread in an end that is closed, which would make a reset of the end of the output.
    ///
    /// # Errors
    ///
    /// Those of socketpair(2): EMFILE if this process may have no more descriptors.
    pub fn pair(self) -> io::Result<(OwnedFd, OwnedFd)> {
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
        match self {
            Kind::Packets => {}
            Kind::Output(_) => shutdown(ours.as_raw_fd(), Shutdown::Read)?,
            Kind::Input { .. } => shutdown(ours.as_raw_fd(), Shutdown::Write)?,
        }
        set_nonblocking(&ours)?;
        Ok((ours, theirs))
    }

    fn framing(self) -> Framing {
        match self {
            Kind::Packets => Framing::Packets,
            Kind::Output(_) | Kind::Input { .. } => Framing::Bytes,
        }
    }
}

impl Channel {
    pub fn new(id: ChannelId, of: Attachment, kind: Kind, fd: OwnedFd) -> Channel {
        let sends = match kind {
            Kind::Packets | Kind::Input { .. } => true,
            Kind::Output(_) => false,
        };
        let outbox = Outbox::new(kind.framing());
        Channel { id, of, kind, fd, outbox, sends, has_input: false, deaf: false }
    }

    /// Whether output of this stream goes through it; `None`: of any stream.
    pub fn hears(&self, stream: Option<Stream>) -> bool {
        let of_kind = match self.kind {
            Kind::Packets => true,
            Kind::Output(own) => stream.is_none_or(|stream| stream == own),
            Kind::Input { .. } => false,
        };
        of_kind && !self.deaf
    }

    /// Whether the client has closed it, and all that it sent was read.
    pub fn is_over(&self) -> bool {
        match self.kind {
            Kind::Packets => self.deaf && !self.sends,
            Kind::Output(_) => self.deaf,
            Kind::Input { .. } => !self.sends,
        }
    }

    /// Whether the client has closed it, but there may be input that nobody has read. (The one writer
    /// whose end is the end of the input is waited for in any case.)
    pub fn waits_to_be_read(&self) -> bool {
        self.deaf && self.sends && self.kind != Kind::Input { once: true }
    }

    pub fn offer(&mut self, output: &Output<'_>, bound: usize) {
        let sent = self.outbox.send(self.fd.as_fd(), output, bound);
        self.note(sent);
    }

    pub fn flush(&mut self) {
        if !self.deaf {
            let sent = self.outbox.flush(self.fd.as_fd());
            self.note(sent);
        }
    }

    pub fn stop_output(&mut self) {
        self.deaf = true;
        self.outbox.discard();
    }

    /// Whether the client has to hurry, and has not.
    pub fn is_late(&self, now: Instant) -> bool {
        self.outbox.deadline().is_some_and(|deadline| now >= deadline)
    }

    /// Reads once into the spare room of `buffer`.
    pub fn receive(&mut self, buffer: &mut Vec<u8>) -> Received {
        let before = buffer.len();
        let read = match self.kind {
            Kind::Packets => receive_into(&self.fd, buffer),
            Kind::Output(_) | Kind::Input { .. } => read_into(&self.fd, buffer),
        };
        match read {
            Ok(0) => {
                // After an empty packet the other side may still try to send; now it is told.
                let _ = shutdown(self.fd.as_raw_fd(), Shutdown::Read);
                self.end_of_input()
            }
            Ok(length) => {
                let kept = buffer.len() - before;
                if length > kept {
                    let lost = length - kept;
                    log::warn!(
                        "attachment {}: packet of {length} bytes, {lost} of them lost",
                        self.of.number
                    );
                }
                Received::Bytes(kept)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.has_input = false;
                Received::Nothing
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Received::Nothing,
            // It has left output unread. A SEQPACKET socket says so once, before it gives what was sent (Linux,
            // net/unix/af_unix.c).
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Received::Nothing,
            Err(error) => {
                log::debug!("attachment {}: {}", self.of.number, reason(&error));
                self.end_of_input()
            }
        }
    }

    /// Throws away what the client sent and nobody read: a peer whose data is thrown away by
    /// close(2) sees ECONNRESET instead of the end.
    pub fn close(self) -> OwnedFd {
        let mut buffer = Vec::with_capacity(4096);
        for _ in 0..DISCARDED_MAX {
            buffer.clear();
            if !matches!(receive_into(&self.fd, &mut buffer), Ok(1..)) {
                break;
            }
        }
        self.fd
    }

    fn end_of_input(&mut self) -> Received {
        self.sends = false;
        self.has_input = false;
        Received::End(self.of, self.kind)
    }

    fn note(&mut self, sent: io::Result<()>) {
        if let Err(error) = sent {
            log::debug!("attachment {} takes no more output: {}", self.of.number, reason(&error));
            self.stop_output();
        }
    }
}
