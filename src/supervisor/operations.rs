//! The runtime at work for a manager: one child for each request, beside everything else.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use conward_protocol::request::Checkpoint;
use conward_protocol::{Cause, Exit, Op, Signal, Tag};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use crate::pid::Pid;
use crate::serve::control::ControlId;
use crate::sys::fds::set_nonblocking;
use crate::sys::io::read_into;

/// How long a runtime may take for a request; then it is killed.
pub(super) const DEADLINE: Duration = Duration::from_secs(120);
/// How long it may take for a step of `stop`, which goes on without it.
const STEP_DEADLINE: Duration = Duration::from_secs(10);
/// Bytes of a runtime's answer that are kept: the processes of a container that has too many of them.
/// A longer one is a failure if it is read, else only shorter.
const ANSWER_MAX: usize = 1 << 20;
/// Bytes of a runtime's error text that are kept; of more, the first ones.
const ERRORS_MAX: usize = 64 * 1024;

/// Bytes that are read of a stream in one turn: what a pipe holds as a rule (pipe(7)). The rest comes after
/// others had theirs, as the runtime may be quicker to write than we are to read.
const READ_BUDGET: usize = 64 * 1024;

/// Names an operation; never used twice by one supervisor.
pub(super) type OperationId = usize;

/// What a runtime is at work for.
#[derive(Debug)]
pub(super) enum Task {
    /// A request; its end is the answer. With `kill`, the signal.
    Request { client: ControlId, tag: Option<Tag>, op: Op, signal: Option<Signal> },
    /// A `checkpoint`, whose end is the answer too.
    Checkpoint { client: ControlId, tag: Option<Tag>, request: Box<Checkpoint> },
    /// A `stop` has the container frozen, so that nothing can fork while it is killed.
    Freeze,
    /// A `stop` has all processes killed.
    KillAll,
    /// A `stop` has the container thawed: what is frozen does not die.
    Thaw,
    /// The container is deleted.
    Delete,
}

impl Task {
    /// Who waits for the answer.
    pub fn client(&self) -> Option<ControlId> {
        match self {
            Task::Request { client, .. } | Task::Checkpoint { client, .. } => Some(*client),
            Task::Freeze | Task::KillAll | Task::Thaw | Task::Delete => None,
        }
    }

    /// The signal that the container gets by it, and from whom.
    pub fn sends(&self) -> Option<(i32, Cause)> {
        let by = |client: ControlId, op| Cause::Client { client: client as u64, op: Some(op) };
        match self {
            Task::Request { client, op, signal: Some(signal), .. } => {
                Some((signal.number(), by(*client, *op)))
            }
            // What is written to disk is then killed.
            Task::Checkpoint { client, request, .. } if !request.leave_running => {
                Some((libc::SIGKILL, by(*client, Op::Checkpoint)))
            }
            // A stop notes its own signals.
            Task::Request { .. } | Task::Checkpoint { .. } => None,
            Task::Freeze | Task::KillAll | Task::Thaw | Task::Delete => None,
        }
    }

    /// The client that asked for this operation, if one did.
    pub fn asks_for(&self, wanted: Op) -> Option<ControlId> {
        match self {
            Task::Request { client, op, .. } if *op == wanted => Some(*client),
            _ => None,
        }
    }

    /// Whether what the runtime prints is the answer. Else it is only looked at for the reason of a failure.
    fn is_read(&self) -> bool {
        matches!(self, Task::Request { op: Op::Ps | Op::Stats, .. })
    }

    fn deadline(&self) -> Duration {
        match self {
            Task::Request { .. } | Task::Checkpoint { .. } | Task::Delete => DEADLINE,
            Task::Freeze | Task::KillAll | Task::Thaw => STEP_DEADLINE,
        }
    }
}

/// A runtime that was started.
#[derive(Debug)]
pub(super) struct Operation {
    pub id: OperationId,
    pub pid: Pid,
    pub task: Task,
    pub due: Instant,
    pub killed: bool,
    answer: Words,
    errors: Words,
}

/// One of the runtime's streams, and what came from it.
#[derive(Debug)]
struct Words {
    fd: OwnedFd,
    text: Vec<u8>,
    max: usize,
    cut: bool,
}

impl Operation {
    /// A runtime whose stdout and stderr come from these pipes.
    pub fn new(id: OperationId, pid: Pid, task: Task, stdout: OwnedFd, stderr: OwnedFd) -> Operation {
        let due = Instant::now() + task.deadline();
        let words = |fd, max| Words { fd, text: Vec::new(), max, cut: false };
        let (answer, errors) = (words(stdout, ANSWER_MAX), words(stderr, ERRORS_MAX));
        Operation { id, pid, task, due, killed: false, answer, errors }
    }

    /// Whether its time is up and it was not killed yet.
    pub fn is_late(&self, now: Instant) -> bool {
        !self.killed && now >= self.due
    }

    /// What to watch for output.
    pub fn outputs(&self) -> [BorrowedFd<'_>; 2] {
        [self.answer.fd.as_fd(), self.errors.fd.as_fd()]
    }

    /// Takes what the runtime has said so far, so that it never waits for us. Returns whether there may be
    /// more.
    pub fn read(&mut self) -> bool {
        let more = [&mut self.answer, &mut self.errors].map(|words| words.read(READ_BUDGET));
        more.contains(&true)
    }

    /// Ends it: closes its pipes, so that whoever hears the answer finds none of them. Returns the task,
    /// whether it was killed, and what [`Operation::outcome`] says.
    pub fn end(mut self, exit: Exit) -> (Task, bool, Result<Vec<u8>, String>) {
        let outcome = self.outcome(exit);
        (self.task, self.killed, outcome)
    }

    /// What the runtime has answered; why there is no answer, if there is none.
    fn outcome(&mut self, exit: Exit) -> Result<Vec<u8>, String> {
        // All that it has left behind, and no more: somebody else may have its pipes and go on.
        for words in [&mut self.answer, &mut self.errors] {
            words.read(words.capacity());
        }
        if self.killed {
            return Err(format!("killed after {} s: {}", self.task.deadline().as_secs(), self.reason(exit)));
        }
        if exit != Exit::Code(0) {
            return Err(self.reason(exit));
        }
        if self.answer.cut && self.task.is_read() {
            return Err(format!("the runtime's answer is longer than {ANSWER_MAX} bytes"));
        }
        Ok(std::mem::take(&mut self.answer.text))
    }

    fn reason(&self, exit: Exit) -> String {
        let texts = [&self.errors.text, &self.answer.text].map(|text| String::from_utf8_lossy(text));
        match texts.iter().map(|text| text.trim()).find(|text| !text.is_empty()) {
            None => format!("the runtime failed with {exit} and gave no reason"),
            Some(text) => text.to_owned(),
        }
    }
}

impl Words {
    /// Reads until nothing is there, or at least `budget` bytes were. Returns whether there may be more.
    fn read(&mut self, budget: usize) -> bool {
        let mut buffer = Vec::with_capacity(4096);
        let mut read = 0;
        while read < budget {
            buffer.clear();
            match read_into(&self.fd, &mut buffer) {
                Ok(count @ 1..) => {
                    read += count;
                    let room = self.max - self.text.len();
                    self.cut |= buffer.len() > room;
                    self.text.extend_from_slice(&buffer[..buffer.len().min(room)]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return false,
            }
        }
        true
    }

    /// Bytes that the pipe can hold: its owner may have changed it (F_SETPIPE_SZ).
    fn capacity(&self) -> usize {
        let size = fcntl(&self.fd, FcntlArg::F_GETPIPE_SZ).unwrap_or_default();
        usize::try_from(size).unwrap_or_default().max(READ_BUDGET)
    }
}

/// A pipe for the runtime's words; our end does not block.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    set_nonblocking(&read)?;
    Ok((read, write))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A runtime at work, and the ends of the pipes that it writes to.
    fn at_work(task: Task) -> (Operation, [OwnedFd; 2]) {
        let ((answer, stdout), (errors, stderr)) = (pipe().expect("a pipe"), pipe().expect("a pipe"));
        let pid = Pid::new(i32::MAX).expect("positive");
        (Operation::new(1, pid, task, answer, errors), [stdout, stderr])
    }

    /// One that says more than can be read holds up nothing: neither while it is at work, nor at its end,
    /// when a process that it has left behind goes on.
    #[test]
    fn one_that_floods_is_read_in_turns() {
        let (mut operation, [stdout, _stderr]) = at_work(Task::Freeze);
        fcntl(&stdout, FcntlArg::F_SETPIPE_SZ(4 * READ_BUDGET as i32)).expect("a larger pipe");
        let write = |size| nix::unistd::write(&stdout, &vec![b'x'; size]).expect("room in the pipe");
        assert_eq!(write(4 * READ_BUDGET), 4 * READ_BUDGET);
        assert!(operation.read() && operation.read());
        assert_eq!(operation.answer.text.len(), 2 * READ_BUDGET);
        write(2 * READ_BUDGET);
        let flood = std::thread::spawn(move || while nix::unistd::write(&stdout, &[b'y'; 4096]).is_ok() {});
        let (_, _, outcome) = operation.end(Exit::Code(0));
        let answer = outcome.expect("an answer");
        assert!((6 * READ_BUDGET..7 * READ_BUDGET).contains(&answer.len()), "{}", answer.len());
        flood.join().expect("the pipe was closed");
    }

    /// One that hangs is killed, whatever it is at work for: nobody waits for it for ever.
    #[test]
    fn every_task_has_its_time() {
        let client = || Task::Request { client: 1, tag: None, op: Op::Pause, signal: None };
        for (task, limit) in [
            (client(), DEADLINE),
            (Task::Delete, DEADLINE),
            (Task::Freeze, STEP_DEADLINE),
            (Task::KillAll, STEP_DEADLINE),
            (Task::Thaw, STEP_DEADLINE),
        ] {
            let begun = Instant::now();
            let (mut operation, _theirs) = at_work(task);
            let made = Instant::now();
            assert!(!operation.is_late(begun + limit - Duration::from_millis(1)), "{operation:?}");
            assert!(operation.is_late(made + limit), "{operation:?}");
            operation.killed = true;
            assert!(!operation.is_late(made + limit), "once");
            let (_, killed, outcome) = operation.end(Exit::Signal(9));
            let text = outcome.expect_err("killed");
            assert!(killed && text.starts_with(&format!("killed after {} s: ", limit.as_secs())), "{text}");
        }
    }
}
