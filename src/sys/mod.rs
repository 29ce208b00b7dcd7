//! The kernel, behind types: the only place with `unsafe`. Nothing here knows what a container is.

pub mod fds;
pub mod pidfd;
pub mod process;
pub mod pty;
pub mod signals;
pub mod spawn;
