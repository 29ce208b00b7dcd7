//! Signals to this process: what ends it, what it relays, and what it shrugs off.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Signals that ask for an end; they are relayed to the container.
pub const RELAYED: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT];

/// Signals of a fault of our own, which end the process at once.
const FAULTS: [i32; 7] =
    [libc::SIGILL, libc::SIGTRAP, libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGSEGV, libc::SIGSYS];

/// _NSIG of the kernel.
const KERNEL_SIGNALS: i32 = 64;
/// Bytes of its set of signals.
const SET_BYTES: usize = size_of::<u64>();

/// The state in which the launcher waits for its start: SIGTERM ends it with status 1, children
/// can be waited for even if the caller ignored SIGCHLD, and nothing is blocked. Broken pipes are
/// ignored since the start ([`entry`](super::entry)).
pub fn prepare() -> io::Result<()> {
    extern "C" fn end(_: libc::c_int) {
        super::process::end_now(1);
    }
    set(Signal::SIGTERM, SigHandler::Handler(end))?;
    set(Signal::SIGCHLD, SigHandler::SigDfl)?;
    set_mask(0);
    Ok(())
}

/// A pipe that nobody reads is an error of write(2), not the end of the process.
pub fn ignore_broken_pipes() {
    // A signal that exists can be ignored.
    let _ = set(Signal::SIGPIPE, SigHandler::SigIgn);
}

/// The signals a supervisor acts on, as something to read (signalfd(2)).
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks all signals that can be blocked, so that no noise from outside ends or stops a
    /// supervisor, and reads the end of children and the signals of [`RELAYED`]. (SIGXFSZ is among the
    /// blocked: a file size limit becomes a write error.) Faults stay what they are.
    ///
    /// Nothing is caught or ignored from here on, whatever the caller had ignored: a child that blocks
    /// nothing has what it should have.
    pub fn open() -> io::Result<Signals> {
        set_mask(FAULTS.iter().fold(!0, |mask, fault| mask & !(1 << (fault - 1))));
        (1..=KERNEL_SIGNALS).for_each(reset);
        let mut read = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
            read.add(signal);
        }
        Ok(Signals(SignalFd::with_flags(&read, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// The signals that have come since the last call, each once.
    pub fn pending(&mut self) -> impl Iterator<Item = i32> {
        // Blocked signals do not queue, but for the real-time ones: each is there once at most.
        let next = || loop {
            match self.0.read_signal() {
                Err(Errno::EINTR) => {}
                other => break other.ok().flatten(),
            }
        };
        std::iter::from_fn(next).filter_map(|signal| i32::try_from(signal.ssi_signo).ok())
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

/// Replaces the set of blocked signals: bit 0 is signal 1. Through the system call itself, like
/// [`reset`], since libc keeps two real-time signals to itself (nptl(7)), with which others can end us,
/// and which a caller may have left ignored.
pub(super) fn set_mask(blocked: u64) {
    // SAFETY: the kernel reads SET_BYTES bytes from `blocked`, and keeps nothing. This cannot fail.
    unsafe {
        let none = std::ptr::null_mut::<u64>();
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const blocked, none, SET_BYTES);
    }
}

/// Gives a signal its default action. KILL and STOP, which have no other, refuse.
fn reset(number: i32) {
    // The kernel's sigaction: SIG_DFL, no flags, an empty set are all zeroes.
    let action = [0u64; 4];
    // SAFETY: the kernel reads its structure from `action`, and keeps no pointer. No handler is set.
    unsafe {
        let none = std::ptr::null_mut::<u64>();
        libc::syscall(libc::SYS_rt_sigaction, number, action.as_ptr(), none, SET_BYTES);
    }
}
