//! Lines out of chunks: one stream's output becomes journal entries.

use memchr::memchr;

use super::fields::{Entry, default_priority};
use crate::plan::Stream;

/// Bytes of a line in one entry at most, its newline not counted; a longer line becomes several
/// partial entries.
pub const LINE_MAX: usize = 8192;

/// Cuts the output of one stream into entries. However the output is chunked, the entries are the
/// same.
#[derive(Debug)]
pub struct Lines {
    default: u8,
    prefixes: bool,
    /// The beginning of a line that has not ended, at most [`LINE_MAX`] bytes. Allocated only while
    /// there is one.
    carry: Vec<u8>,
    /// The priority of the line whose first pieces are in the journal already.
    begun: Option<u8>,
    /// Whether the next byte begins a line.
    at_start: bool,
}

impl Lines {
    /// A stream at its beginning. With `prefixes`, a line's `<0>` to `<7>` is its priority.
    pub fn new(stream: Stream, prefixes: bool) -> Lines {
        Lines { default: default_priority(stream), prefixes, carry: Vec::new(), begun: None, at_start: true }
    }

    /// Hands each entry of `output` to `send`, with the number of bytes of output it stands for,
    /// until it fails. Returns how many bytes of `output` were taken: if an entry fails, it can be
    /// repeated with the bytes from there on.
    pub fn push<E>(
        &mut self,
        output: &[u8],
        mut send: impl FnMut(Entry<'_>, usize) -> Result<(), E>,
    ) -> (usize, Result<(), E>) {
        let mut done = 0;
        while done < output.len() {
            let rest = &output[done..];
            let left = LINE_MAX - self.carry.len();
            let window = &rest[..rest.len().min(left + 1)];
            let take = match memchr(b'\n', window) {
                Some(end) => end + 1,
                None if rest.len() > left => left,
                None => {
                    self.carry.extend_from_slice(rest);
                    return (output.len(), Ok(()));
                }
            };
            if let Err(error) = self.send(&rest[..take], &mut send) {
                return (done, Err(error));
            }
            done += take;
        }
        (done, Ok(()))
    }

    /// A cutter for the output of somebody else, which is in no line yet.
    pub fn fresh(&self) -> Lines {
        Lines { carry: Vec::new(), begun: None, at_start: true, ..*self }
    }

    /// Whether the first pieces of a line are sent, and its end is not.
    pub fn is_open(&self) -> bool {
        self.begun.is_some()
    }

    /// Ends a line that is open before its time. What follows of it begins another one.
    pub fn cut<E>(&mut self, mut send: impl FnMut(Entry<'_>, usize) -> Result<(), E>) -> Result<(), E> {
        let Some(priority) = self.begun else { return Ok(()) };
        send(Entry { message: (&self.carry, b"\n"), priority, partial: false }, self.carry.len())?;
        self.carry = Vec::new();
        self.begun = None;
        Ok(())
    }

    /// Sends the unfinished line, if there is one: nothing more will come.
    pub fn finish<E>(&mut self, mut send: impl FnMut(Entry<'_>, usize) -> Result<(), E>) -> Result<(), E> {
        match self.carry.is_empty() {
            true => Ok(()),
            false => self.send(b"", &mut send),
        }
    }

    /// Output was lost, after what was pushed, and ended a line or not; `None`: there was none. The unfinished
    /// line goes with it: returns its length.
    pub fn skip(&mut self, ends_line: Option<bool>) -> usize {
        let carried = std::mem::take(&mut self.carry).len();
        self.begun = None;
        if let Some(ends_line) = ends_line {
            self.at_start = ends_line;
        } else if carried > 0 {
            self.at_start = false;
        }
        carried
    }

    /// Sends what is carried, and `tail` after it. Only if that succeeds does anything change.
    fn send<E>(
        &mut self,
        tail: &[u8],
        send: &mut impl FnMut(Entry<'_>, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        let ends = tail.last() == Some(&b'\n');
        let (priority, prefix) = self.priority(tail);
        let head = &self.carry[prefix.min(self.carry.len())..];
        let rest = &tail[prefix.saturating_sub(self.carry.len())..];
        let bytes = self.carry.len() + tail.len();
        send(Entry { message: (head, rest), priority, partial: !ends }, bytes)?;
        self.carry = Vec::new();
        self.begun = (!ends).then_some(priority);
        self.at_start = ends;
        Ok(())
    }

    /// The priority of the line that begins with what is carried and goes on with `tail`, and how
    /// many bytes its prefix has. Pieces of a line have the priority of the line.
    fn priority(&self, tail: &[u8]) -> (u8, usize) {
        if let Some(priority) = self.begun {
            return (priority, 0);
        }
        let mut first = self.carry.iter().chain(tail).copied();
        match (first.next(), first.next(), first.next()) {
            (Some(b'<'), Some(priority @ b'0'..=b'7'), Some(b'>')) if self.prefixes && self.at_start => {
                (priority, 3)
            }
            _ => (self.default, 0),
        }
    }
}
