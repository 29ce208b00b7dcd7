//! Reading from descriptors with a time limit.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// Waits until there is something to read, or the end. False after `limit`.
pub fn readable(fd: impl AsFd, limit: Duration) -> bool {
    ready(fd.as_fd(), PollFlags::POLLIN, limit)
}

/// Waits until the descriptor can be written to. False after `limit`.
pub(crate) fn writable(fd: impl AsFd, limit: Duration) -> bool {
    ready(fd.as_fd(), PollFlags::POLLOUT, limit)
}

fn ready(fd: BorrowedFd<'_>, what: PollFlags, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd, what)], timeout) {
            Err(Errno::EINTR) => {}
            Ok(count) => return count > 0,
            Err(error) => panic!("poll: {error}"),
        }
    }
}

/// One read of at most `max` bytes; `Ok` and empty at the end of file.
pub(crate) fn read_some(fd: impl AsFd, max: usize, limit: Duration, what: &str) -> Result<Vec<u8>, Errno> {
    assert!(readable(&fd, limit), "nothing to read within {limit:?}: {what}");
    let mut buffer = vec![0; max];
    let size = nix::unistd::read(fd, &mut buffer)?;
    buffer.truncate(size);
    Ok(buffer)
}

/// Everything up to the end of file, which must come within `limit`.
pub fn read_to_end(fd: impl AsFd, limit: Duration, what: &str) -> Vec<u8> {
    let end = Instant::now() + limit;
    let mut all = Vec::new();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let some = read_some(&fd, 64 << 10, left, what).unwrap_or_else(|error| panic!("{what}: {error}"));
        if some.is_empty() {
            return all;
        }
        all.extend_from_slice(&some);
    }
}
