//! The kernel, behind types: descriptors are `OwnedFd` or `BorrowedFd`, errors are `io::Error`. The
//! only place of the crate where `unsafe` may stand. Nothing here knows what a container is.

pub mod capability;
pub mod clock;
#[cfg(all(target_arch = "x86_64", any(target_env = "musl", test)))]
mod copy;
pub mod entry;
pub mod fds;
pub mod file;
pub mod io;
pub mod memory;
pub mod pidfd;
pub mod process;
pub mod pty;
pub mod random;
pub mod reserve;
pub mod session;
pub mod signals;
pub mod socket;
pub mod spawn;
