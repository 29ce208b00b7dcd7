//! The pipes to whoever spawned the supervisor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use conward_protocol::Exit;

use super::pipes;
use crate::error::{Error, reason};
use crate::pid::Pid;
use crate::plan::{ReportForm, ReportPlan};
use crate::sys::fds;

/// Bytes of one start message; their content has no meaning.
const START_MAX: usize = 8192;

/// The caller's three pipes.
#[derive(Debug)]
pub struct Caller {
    form: ReportForm,
    sync: Option<OwnedFd>,
    start: Option<OwnedFd>,
    attach: Option<OwnedFd>,
}

impl Caller {
    /// Takes over the descriptors that the environment named.
    ///
    /// # Errors
    ///
    /// [`Error::Fatal`] naming the variable.
    pub fn adopt(plan: &ReportPlan) -> Result<Caller, Error> {
        let adopt = |name: &str, number: Option<RawFd>| {
            let adopted = number.map(fds::adopt).transpose();
            // In the words of the reference, without a colon.
            adopted.map_err(|e| Error::Fatal(format!("unable to make {name} CLOEXEC {}", reason(&e))))
        };
        Ok(Caller {
            form: plan.form,
            sync: adopt("_OCI_SYNCPIPE", plan.sync_pipe)?,
            start: adopt("_OCI_STARTPIPE", plan.start_pipe)?,
            attach: adopt("_OCI_ATTACHPIPE", plan.attach_pipe)?,
        })
    }

    /// Waits for the caller's word: one message, or the end of the pipe. It may block: there is no
    /// other process yet, and nothing else to do.
    /// `again`: the pipe will be needed for a second word.
    ///
    /// # Errors
    ///
    /// [`Error::Fatal`] from read(2).
    pub fn await_start(&mut self, again: bool) -> Result<(), Error> {
        if self.start.is_some() {
            self.take_start()?;
        }
        if !again {
            self.start = None;
        }
        Ok(())
    }

    /// What to watch for the second word; `None` if there is no pipe to wait for.
    pub fn start_pipe(&self) -> Option<BorrowedFd<'_>> {
        self.start.as_ref().map(AsFd::as_fd)
    }

    /// Takes the second word, which is there, and returns the pipe to be closed.
    pub fn take_second_start(&mut self) -> Option<OwnedFd> {
        if let Err(error) = self.take_start() {
            log::warn!("{}", error.text());
        }
        self.start.take()
    }

    fn take_start(&self) -> Result<(), Error> {
        let Some(pipe) = &self.start else { return Ok(()) };
        let mut message = Vec::with_capacity(START_MAX);
        loop {
            match crate::sys::io::read_into(pipe, &mut message) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("Failed to read from start pipe", error)),
                Ok(_) => return Ok(()),
            }
        }
    }

    /// Says that clients can attach, and closes that pipe.
    pub fn attach_is_ready(&mut self) {
        if let Some(pipe) = self.attach.take() {
            was_told(pipes::send(&pipe, &pipes::encode(ReportForm::Data, 0, None)), "attach");
        }
    }

    /// Tells the pid, in the forms that do.
    pub fn launched(&mut self, pid: Pid) {
        match self.form {
            ReportForm::Pid | ReportForm::Data => self.say(pid.raw(), None),
            ReportForm::ExitCode => {}
        }
    }

    /// Tells why the launch failed.
    pub fn failed(&mut self, text: &[u8]) {
        self.say(-1, Some(text));
    }

    /// Tells how an exec session ended.
    pub fn ended(&mut self, exit: Exit) {
        let text: Option<&[u8]> = (exit == Exit::TimedOut).then_some(b"command timed out");
        self.say(exit.number(), text);
    }

    /// The descriptors that are still open, to be closed: the caller sees the end of its pipes.
    pub fn hang_up(&mut self) {
        self.sync = None;
        self.start = None;
        self.attach = None;
    }

    fn say(&mut self, number: i32, text: Option<&[u8]>) {
        if let Some(pipe) = &self.sync {
            let result = pipes::send(pipe, &pipes::encode(self.form, number, text));
            if !was_told(result, "sync") {
                self.sync = None;
            }
        }
    }
}

/// A caller that has gone is no trouble of ours: what it was not told is in the exit files.
fn was_told(result: std::io::Result<()>, pipe: &str) -> bool {
    if let Err(error) = &result {
        log::warn!("cannot write to the {pipe} pipe: {}", reason(error));
    }
    result.is_ok()
}

#[cfg(test)]
mod tests {
    use super::Caller;
    use crate::plan::{ReportForm, ReportPlan};

    #[test]
    fn a_closed_descriptor_is_named_by_its_variable() {
        // Above any limit of open files, so no other test can open it meanwhile.
        let closed = Some(i32::MAX);
        let none = ReportPlan { form: ReportForm::Pid, sync_pipe: None, start_pipe: None, attach_pipe: None };
        for (name, plan) in [
            ("SYNC", ReportPlan { sync_pipe: closed, ..none }),
            ("START", ReportPlan { start_pipe: closed, ..none }),
            ("ATTACH", ReportPlan { attach_pipe: closed, ..none }),
        ] {
            let error = Caller::adopt(&plan).expect_err("a closed descriptor");
            assert_eq!(error.text(), format!("unable to make _OCI_{name}PIPE CLOEXEC Bad file descriptor"));
        }
    }
}
