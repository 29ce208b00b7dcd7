//! Signals to this program, as data.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use signal_hook::consts::SIGTSTP;
use signal_hook::low_level::emulate_default_handler;

use crate::error::Error;

/// What is blocked, and comes as data instead. Those that stop and continue us are among them since a
/// shell must not get back a terminal that is raw.
const BLOCKED: [Signal; 9] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGTSTP,
    Signal::SIGCONT,
];

/// What somebody wants of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The terminal has a new size.
    Size,
    /// Stop.
    Suspend,
    /// Go on: we were stopped, by whatever signal.
    Continue,
    /// This signal, which is for the container, or else ends us.
    End(u8),
}

/// Signals that come as data. They are blocked from here on.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks them.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn block() -> Result<Signals, Error> {
        let set: SigSet = BLOCKED.into_iter().collect();
        set.thread_block()
            .and_then(|()| SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC))
            .map(Signals)
            .map_err(|error| Error::io("waiting for signals", error))
    }

    /// The next one that has come.
    pub fn next(&self) -> Option<Wish> {
        let number = self.0.read_signal().ok().flatten()?.ssi_signo;
        let number = u8::try_from(number).ok()?;
        Some(match Signal::try_from(i32::from(number)) {
            Ok(Signal::SIGWINCH) => Wish::Size,
            Ok(Signal::SIGTSTP) => Wish::Suspend,
            Ok(Signal::SIGCONT) => Wish::Continue,
            _ => Wish::End(number),
        })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Stops us until somebody continues us, as SIGTSTP would where it is not blocked.
pub fn stop() {
    // By SIGSTOP, which cannot be blocked or ignored (signal(7)), so this cannot fail.
    let _ = emulate_default_handler(SIGTSTP);
}
