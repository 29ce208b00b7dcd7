//! System calls, thin and typed: descriptors are `OwnedFd` or `BorrowedFd`, errors are
//! `io::Error`. The only place of the crate where `unsafe` may stand.

pub mod file;
pub mod socket;
