//! The runtime at work for a manager: one child for each request, beside everything else.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use conward_protocol::{Exit, Op, Tag};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use crate::pid::Pid;
use crate::serve::control::ControlId;
use crate::sys::fds::set_nonblocking;
use crate::sys::io::read_into;

/// How long a runtime may take; then it is killed.
pub(super) const DEADLINE: Duration = Duration::from_secs(120);
/// Bytes of what a runtime says that are kept; of more, the first ones.
const TEXT_MAX: usize = 64 * 1024;

/// Names an operation; never used twice by one supervisor.
pub(super) type OperationId = usize;

/// A runtime that was started for a request.
#[derive(Debug)]
pub(super) struct Operation {
    pub id: OperationId,
    pub pid: Pid,
    pub client: ControlId,
    pub tag: Option<Tag>,
    pub op: Op,
    pub due: Instant,
    pub killed: bool,
    output: OwnedFd,
    text: Vec<u8>,
}

impl Operation {
    /// An operation whose output comes from `output`.
    pub fn new(
        id: OperationId,
        pid: Pid,
        asked: (ControlId, Option<Tag>),
        op: Op,
        output: OwnedFd,
    ) -> Operation {
        let (client, tag) = asked;
        let due = Instant::now() + DEADLINE;
        Operation { id, pid, client, tag, op, due, killed: false, output, text: Vec::new() }
    }

    /// What to watch for output.
    pub fn output(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }

    /// Takes what the runtime has said so far, so that it never waits for us.
    pub fn read(&mut self) {
        let mut buffer = Vec::with_capacity(4096);
        loop {
            buffer.clear();
            match read_into(&self.output, &mut buffer) {
                Ok(1..) => {
                    let room = TEXT_MAX - self.text.len();
                    self.text.extend_from_slice(&buffer[..buffer.len().min(room)]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// What the runtime has said, and how it ended if that was not well.
    pub fn outcome(&mut self, exit: Exit) -> Result<(), String> {
        self.read();
        if exit == Exit::Code(0) {
            return Ok(());
        }
        match String::from_utf8_lossy(&self.text).trim() {
            "" => Err(format!("the runtime failed with {exit} and gave no reason")),
            text => Err(text.to_owned()),
        }
    }
}

/// A pipe for the runtime's words; our end does not block.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    set_nonblocking(&read)?;
    Ok((read, write))
}
