//! Descriptors that were open before the program began.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};

/// Descriptors the caller left open for the runtime (`--preserve-fds`, socket activation) or for
/// the lifetime of the container (reserved ports). Their files are never touched, only held, and closed
/// before the exit file appears.
#[derive(Debug)]
pub struct Inherited(Vec<OwnedFd>);

impl Inherited {
    /// Adopts every descriptor from 3 up that came through execve(2), except those in `others`,
    /// which have owners of their own. To be called once. What this program has opened itself is
    /// close-on-exec, and so cannot be meant.
    pub fn adopt(others: &[RawFd]) -> io::Result<Inherited> {
        let mut inherited = Vec::new();
        for entry in fs::read_dir("/proc/self/fd")? {
            let name = entry?.file_name();
            if let Some(number) = name.to_str().and_then(|n| n.parse::<RawFd>().ok())
                && number > 2
                && !others.contains(&number)
                && flags(number) == Some(0)
            {
                inherited.push(own(number));
            }
        }
        Ok(Inherited(inherited))
    }

    /// Keeps them from programs that are started from now on (FD_CLOEXEC).
    ///
    /// # Errors
    ///
    /// Those of fcntl(2), which has no reason to fail.
    pub fn keep(&self) -> io::Result<()> {
        self.0.iter().try_for_each(|fd| fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map(drop))?;
        Ok(())
    }

    /// Closes them all.
    pub fn close(&mut self) {
        self.0.clear();
    }
}

/// Adopts a descriptor that the environment named, and keeps it from the runtime (FD_CLOEXEC).
pub fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    if flags(number).is_none() {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    let fd = own(number);
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(fd)
}

/// The process's own descriptors 0, 1 and 2, which are open from its start to its end
/// ([`entry`](super::entry)).
pub fn standard() -> [BorrowedFd<'static>; 3] {
    // SAFETY: nobody owns these three, so nobody closes them; dup2(2) replaces them at once.
    [0, 1, 2].map(|number| unsafe { BorrowedFd::borrow_raw(number) })
}

/// The path of an open file for the process that has it under this number: this one, or a program that is
/// [handed](super::spawn::Extra) it.
pub fn path(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

/// Makes reads and writes of the open file behind `fd` return instead of waiting.
pub fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let fd = fd.as_fd();
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    if !flags.contains(OFlag::O_NONBLOCK) {
        fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    }
    Ok(())
}

/// Bytes that can be read from `fd` at this moment, as far as the kernel says (FIONREAD).
pub fn readable_bytes(fd: impl AsFd) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int to the pointer it is given (ioctl_tty(2), pipe(7)).
    let result = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::FIONREAD, &raw mut count) };
    if result == 0 { usize::try_from(count).unwrap_or(0) } else { 0 }
}

/// The descriptor's flags; `None` if it is not open.
fn flags(number: RawFd) -> Option<i32> {
    // SAFETY: F_GETFD has no argument and no effect; a bad number gives EBADF.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    (flags >= 0).then_some(flags)
}

fn own(number: RawFd) -> OwnedFd {
    // SAFETY: the callers have just seen that the number is open, and it came with the process, so
    // nothing else in the program owns it; each number is passed once.
    unsafe { OwnedFd::from_raw_fd(number) }
}
