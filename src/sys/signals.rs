//! Signals to this process: what ends it, what it relays, and what it shrugs off.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Signals that ask for an end; they are relayed to the container.
pub const RELAYED: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT];

/// The state in which the launcher waits for its start: SIGTERM ends it with status 1, children
/// can be waited for even if the caller ignored SIGCHLD, and nothing is blocked.
pub fn prepare() -> io::Result<()> {
    extern "C" fn end(_: libc::c_int) {
        super::process::end_now(1);
    }
    set(Signal::SIGTERM, SigHandler::Handler(end))?;
    set(Signal::SIGCHLD, SigHandler::SigDfl)?;
    ignore(libc::SIGPIPE);
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// The signals a supervisor acts on, as something to read: signalfd(2). They are blocked, and stay pending
/// until they are read. A handler would have to send itself a byte, which fails when there is no memory for
/// it, as in a cgroup that is just being emptied by the OOM killer; the end of a child would go unnoticed.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Catches the end of children and the signals of [`RELAYED`]; ignores all others that can be
    /// ignored, so that no noise from outside ends or stops a supervisor. (SIGXFSZ among them: a
    /// file size limit becomes a write error.) Faults keep their default action.
    pub fn open() -> io::Result<Signals> {
        let faults = [
            libc::SIGILL,
            libc::SIGTRAP,
            libc::SIGABRT,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGSEGV,
            libc::SIGSYS,
        ];
        let caught = [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT];
        let mask: SigSet = caught.into_iter().collect();
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        mask.thread_set_mask()?;
        for number in 1..=libc::SIGRTMAX() {
            if !faults.contains(&number) && !caught.iter().any(|&signal| signal as i32 == number) {
                ignore(number);
            }
        }
        Ok(Signals(signals))
    }

    /// The signals that have come since the last call, each once: the kernel keeps no more of them (signal(7)).
    pub fn pending(&mut self) -> Vec<i32> {
        let mut pending = Vec::new();
        loop {
            match self.0.read_signal() {
                Ok(Some(info)) => pending.extend(i32::try_from(info.ssi_signo)),
                Err(Errno::EINTR) => {}
                Ok(None) => return pending,
                Err(error) => {
                    log::error!("cannot read signals: {}", error.desc());
                    return pending;
                }
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn set(signal: Signal, handler: SigHandler) -> io::Result<()> {
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handlers given here only call _exit(2), which is async-signal-safe.
    unsafe { sigaction(signal, &action) }?;
    Ok(())
}

/// By number, because nix knows no real-time signals. KILL, STOP and the two that libc keeps for
/// itself refuse; that is as good.
fn ignore(number: libc::c_int) {
    // SAFETY: SIG_IGN runs no code of ours.
    unsafe { libc::signal(number, libc::SIG_IGN) };
}
