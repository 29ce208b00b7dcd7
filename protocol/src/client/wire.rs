//! Lines and descriptors over a socket.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags, recvmsg, send,
};

use super::Error;
use crate::body::Descriptor;
use crate::limits::LINE_MAX;
use crate::{Line, Lines};

/// Bytes of one read.
const READ_MAX: usize = 16 * 1024;
/// Descriptors of one answer at most.
const SET_MAX: usize = Descriptor::ALL.len();

/// A socket, and what has come through it.
#[derive(Debug)]
pub struct Wire {
    pub socket: UnixStream,
    splitter: Lines,
    /// Whole lines of the last read, so of [`READ_MAX`] bytes and a partial line at most.
    lines: VecDeque<Vec<u8>>,
    /// Descriptors that no answer has taken yet. One read brings one set, so no more than two sets
    /// can wait: that of a whole line and that of a partial one. Who sends more is refused.
    descriptors: VecDeque<OwnedFd>,
}

impl Wire {
    pub fn new(socket: UnixStream) -> Wire {
        let splitter = Lines::new(LINE_MAX);
        Wire { socket, splitter, lines: VecDeque::new(), descriptors: VecDeque::new() }
    }

    /// The next whole line. With `wait` unset, `None` if there is none yet.
    pub fn line(&mut self, wait: bool) -> Result<Option<Vec<u8>>, Error> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(Some(line));
            }
            if !self.fill(wait)? {
                return Ok(None);
            }
        }
    }

    /// Takes the next descriptors, or says how many are missing.
    pub fn take(&mut self, count: usize) -> Result<Vec<OwnedFd>, Error> {
        if count > self.descriptors.len() {
            let there = self.descriptors.len();
            return Err(Error::Protocol(format!("an answer names {count} descriptors, {there} came")));
        }
        Ok(self.descriptors.drain(..count).collect())
    }

    /// Sends a whole line. A closed peer is an error, no SIGPIPE.
    pub fn send(&mut self, mut line: &[u8]) -> Result<(), Error> {
        while !line.is_empty() {
            match send(&self.socket, line, SendFlags::NOSIGNAL) {
                Ok(sent) => line = &line[sent..],
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(Error::Closed),
                Err(error) => return Err(Error::Io(error.into())),
            }
        }
        Ok(())
    }

    /// Reads once. `false`: nothing is there.
    fn fill(&mut self, wait: bool) -> Result<bool, Error> {
        let mut bytes = [0; READ_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SET_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut flags = RecvFlags::CMSG_CLOEXEC;
        flags.set(RecvFlags::DONTWAIT, !wait);
        let read = loop {
            match recvmsg(&self.socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags) {
                Ok(read) => break read,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if !wait => return Ok(false),
                Err(Errno::AGAIN) => return Err(Error::Io(io::ErrorKind::TimedOut.into())),
                Err(Errno::CONNRESET) => return Err(Error::Closed),
                Err(error) => return Err(Error::Io(error.into())),
            }
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        if read.flags.contains(ReturnFlags::CTRUNC) || self.descriptors.len() > 2 * SET_MAX {
            return Err(Error::Protocol("more descriptors came than answers can name".to_owned()));
        }
        if read.bytes == 0 {
            return Err(Error::Closed);
        }
        let (mut too_long, lines) = (false, &mut self.lines);
        self.splitter.push(&bytes[..read.bytes], |line| match line {
            Line::Text(text) => lines.push_back(text.to_vec()),
            Line::TooLong => too_long = true,
        });
        if too_long {
            return Err(Error::Protocol(format!("a line of more than {LINE_MAX} bytes came")));
        }
        Ok(true)
    }
}
