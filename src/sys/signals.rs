//! Signals to this process: what ends it, what it relays, and what it shrugs off.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

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

/// The signals a supervisor acts on, as something to read.
#[derive(Debug)]
pub struct Signals(SignalDelivery<UnixStream, SignalOnly>);

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
        let caught = [libc::SIGCHLD, RELAYED[0], RELAYED[1], RELAYED[2]];
        // A handler that stood before is called too by signal-hook; the launcher's would end us.
        set(Signal::SIGTERM, SigHandler::SigDfl)?;
        let (read, write) = UnixStream::pair()?;
        let signals = SignalDelivery::with_pipe(read, write, SignalOnly, caught)?;
        for number in 1..=libc::SIGRTMAX() {
            if !faults.contains(&number) && !caught.contains(&number) {
                ignore(number);
            }
        }
        Ok(Signals(signals))
    }

    /// The signals that have come since the last call, each once.
    pub fn pending(&mut self) -> impl Iterator<Item = i32> {
        self.0.pending()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_read().as_fd()
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
