//! What goes out to one client of the control socket: lines, and the descriptors that come with them.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

/// Bytes of lines that are gathered for one sendmsg(2), about. A longer line goes alone.
pub const BATCH: usize = 32 * 1024;

/// Lines, and the descriptors that come with the first byte of them.
#[derive(Debug)]
pub struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    descriptors: Vec<OwnedFd>,
}

impl Outgoing {
    /// A line, or lines, with the descriptors that come with it.
    pub fn new(bytes: Vec<u8>, descriptors: Vec<OwnedFd>) -> Outgoing {
        Outgoing { bytes, sent: 0, descriptors }
    }

    /// Takes the next line in, to be sent at once with those that are here, if there is room. A descriptor
    /// has to come with the first byte of its own line.
    pub fn join(&mut self, next: Outgoing) -> Option<Outgoing> {
        let alone = !self.descriptors.is_empty() || !next.descriptors.is_empty();
        if alone || self.bytes.len() + next.bytes.len() > BATCH {
            return Some(next);
        }
        self.bytes.extend_from_slice(&next.bytes);
        None
    }

    /// Whether all was sent.
    pub fn is_sent(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// What is missing of a line whose beginning was sent.
    pub fn rest_of_line(&self) -> &[u8] {
        let (sent, rest) = self.bytes.split_at(self.sent);
        let end = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |newline| newline + 1);
        if matches!(sent, [] | [.., b'\n']) { &[] } else { &rest[..end] }
    }

    /// Sends as much as there is room for. Returns how many bytes and descriptors those were.
    pub fn send(&mut self, to: &OwnedFd) -> nix::Result<(usize, usize)> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let numbers: Vec<RawFd> = self.descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&numbers)];
        let control = if numbers.is_empty() { &[][..] } else { &rights[..] };
        let bytes = [IoSlice::new(&self.bytes[self.sent..])];
        let sent = sendmsg::<()>(to.as_raw_fd(), &bytes, control, flags, None)?;
        self.sent += sent;
        // They have gone with the first of these bytes (unix(7)).
        self.descriptors = Vec::new();
        Ok((sent, numbers.len()))
    }
}
