//! One output stream being read.

use std::io;
use std::os::fd::OwnedFd;

use crate::error::reason;
use crate::plan::Stream;
use crate::sys::fds::readable_bytes;
use crate::sys::io::read_into;

/// Bytes of a read of a terminal at which there is more, as a rule: it gives so many at most (n_tty of the kernel).
const PAGE_MIN: usize = 4095;
/// Bytes of one chunk, and the size of the one buffer.
const READ_MAX: usize = 64 * 1024;
/// Bytes that are read from a stream after the container has ended, at least; more if more was
/// there at that moment. A pipe holds no more, unless its owner made it larger.
const DRAIN_MIN: usize = 1 << 20;

/// One output stream being read.
#[derive(Debug)]
pub struct Tap {
    pub stream: Stream,
    pub fd: OwnedFd,
    /// A terminal: it has no end, since it can be opened again.
    terminal: bool,
    phase: Phase,
    /// There was something to read while the pump could not take it.
    pub waiting: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The container lives.
    Flowing,
    /// It has ended: so many more bytes are read at most.
    Draining(usize),
    /// Nothing more is read.
    Done,
}

/// What one read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many as are in the buffer.
    Bytes,
    /// Nothing now.
    Empty,
    /// Nobody writes any more.
    End,
}

impl Tap {
    /// A non-blocking stream of a container that lives.
    pub fn new(stream: Stream, fd: OwnedFd, terminal: bool) -> Tap {
        Tap { stream, fd, terminal, phase: Phase::Flowing, waiting: false }
    }

    /// The container has ended: from here on it is read until it is empty once, or until everything was
    /// read that was there at this moment.
    pub fn begin_drain(&mut self) {
        self.phase = Phase::Draining(DRAIN_MIN.max(readable_bytes(&self.fd)));
    }

    /// Whether nothing more is to be read.
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// Reads into the emptied buffer: once, or, from a terminal, which gives a page at a time, as long as pages
    /// are full and there is room. A short read does not mean that the stream is empty: a pipe with O_DIRECT
    /// gives a packet (pipe(2)).
    pub fn read(&mut self, buffer: &mut Vec<u8>) -> Read {
        buffer.clear();
        buffer.reserve_exact(READ_MAX);
        let read = loop {
            match read_into(&self.fd, buffer) {
                Ok(0) if !buffer.is_empty() => break Read::Bytes,
                Ok(0) => break if self.terminal { Read::Empty } else { Read::End },
                Ok(count) if self.terminal && count >= PAGE_MIN && buffer.len() < READ_MAX => {}
                Ok(_) => break Read::Bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What is wrong, if anything is, the next read tells.
                Err(_) if !buffer.is_empty() => break Read::Bytes,
                Err(error) => {
                    // EIO: nobody has the terminal open just now (tty_ioctl(4) has the hang-up).
                    if error.kind() != io::ErrorKind::WouldBlock && error.raw_os_error() != Some(libc::EIO) {
                        log::warn!("cannot read the container's {}: {}", self.stream.name(), reason(&error));
                    }
                    break Read::Empty;
                }
            }
        };
        if let Phase::Draining(left) = self.phase {
            let left = left.saturating_sub(buffer.len());
            self.phase = if read == Read::Bytes && left > 0 { Phase::Draining(left) } else { Phase::Done };
        }
        read
    }
}
