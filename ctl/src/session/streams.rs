//! The descriptors of a process's streams.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use conward_protocol::body::{Descriptor, Joined};
use conward_protocol::request::Stream;
use rustix::io::{Errno, ioctl_fionbio, read, write};

use crate::error::Error;

/// Bytes of one read of output.
const READ_MAX: usize = 64 * 1024;

/// Last output from before we came.
#[derive(Debug)]
struct Replay {
    stream: Stream,
    text: File,
    /// Whether the process had written more, so that it may begin in the middle of a line.
    cut: bool,
}

/// The streams of a process.
#[derive(Debug, Default)]
pub struct Streams {
    outputs: [Option<OwnedFd>; 2],
    replays: Vec<Replay>,
    input: Option<OwnedFd>,
    /// Input that found no room yet. While there is some, no more is taken: it has the bytes of one
    /// read of standard input, and keys held back, at most.
    pending: Vec<u8>,
    /// There will be no more.
    ended: bool,
}

impl Streams {
    /// Takes what came with an answer.
    ///
    /// # Errors
    /// A descriptor cannot be set.
    pub fn new(descriptors: Vec<(Descriptor, OwnedFd)>, joined: &[Joined]) -> io::Result<Streams> {
        let mut streams = Streams::default();
        let cut = |stream| joined.iter().any(|of| of.stream == stream && of.live_from > of.replayed);
        for (name, fd) in descriptors {
            let mut replay = |stream, fd| {
                streams.replays.push(Replay { stream, text: File::from(fd), cut: cut(stream) });
            };
            match name {
                Descriptor::ReplayStdout => replay(Stream::Stdout, fd),
                Descriptor::ReplayStderr => replay(Stream::Stderr, fd),
                Descriptor::Stdin | Descriptor::Stdout | Descriptor::Stderr => {
                    // The other end is another open file: the supervisor's reads and writes do not change.
                    ioctl_fionbio(&fd, true)?;
                    match name {
                        Descriptor::Stdout => streams.outputs[0] = Some(fd),
                        Descriptor::Stderr => streams.outputs[1] = Some(fd),
                        _ => streams.input = Some(fd),
                    }
                }
            }
        }
        Ok(streams)
    }

    /// Prints the last output from before we came; from the first whole line on where `lines` is set and
    /// it does not begin with one.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn replay(&mut self, lines: bool) -> Result<(), Error> {
        for Replay { stream, mut text, cut } in self.replays.drain(..) {
            // The supervisor holds no more than 64 KiB of it.
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut text, &mut bytes)
                .map_err(|error| Error::io("reading the replay", error))?;
            let newline = bytes.iter().position(|byte| *byte == b'\n').filter(|_| lines && cut);
            print(stream, &bytes[newline.map_or(0, |at| at + 1)..])?;
        }
        Ok(())
    }

    /// What there may still be output of, with its number for [`Streams::pass_output`].
    pub fn outputs(&self) -> impl Iterator<Item = (usize, &OwnedFd)> {
        self.outputs.iter().enumerate().filter_map(|(nth, fd)| Some((nth, fd.as_ref()?)))
    }

    /// Reads once from this output, and prints that.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn pass_output(&mut self, nth: usize) -> Result<(), Error> {
        let Some(fd) = &self.outputs[nth] else { return Ok(()) };
        let mut bytes = [0; READ_MAX];
        match read(fd, &mut bytes) {
            Ok(0) | Err(Errno::CONNRESET) => {
                self.outputs[nth] = None;
                Ok(())
            }
            Ok(count) => print(Stream::ALL[nth], &bytes[..count]),
            Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(error) => Err(Error::io("reading output", error)),
        }
    }

    /// The input, if there is something that waits for room in it.
    pub fn waiting_input(&self) -> Option<&OwnedFd> {
        self.input.as_ref().filter(|_| !self.pending.is_empty())
    }

    /// Whether more input may be taken.
    pub fn takes_input(&self) -> bool {
        self.input.is_some() && self.pending.is_empty()
    }

    /// Where input is added.
    pub fn pending(&mut self) -> &mut Vec<u8> {
        &mut self.pending
    }

    /// There will be no more input than what is pending.
    pub fn end_input(&mut self) {
        self.ended = true;
        self.flush();
    }

    /// Writes what is pending, as far as there is room. Whoever does not take any more gets none.
    pub fn flush(&mut self) {
        while let (Some(fd), false) = (&self.input, self.pending.is_empty()) {
            match write(fd, &self.pending) {
                Ok(written) => drop(self.pending.drain(..written)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.input = None,
            }
        }
        self.pending.clear();
        if self.ended {
            self.input = None;
        }
    }
}

fn print(stream: Stream, bytes: &[u8]) -> Result<(), Error> {
    let written = match stream {
        Stream::Stdout => {
            let mut out = io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        }
        Stream::Stderr => io::stderr().lock().write_all(bytes),
    };
    written.map_err(|error| Error::output(&error))
}
