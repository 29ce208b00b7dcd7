//! Reading into memory that has not been touched yet, so that an idle process stays small.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Appends what one read(2) gives to `buffer`, up to its spare capacity. 0: end of file, or no room.
pub fn read_into(fd: impl AsFd, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let spare = buffer.spare_capacity_mut();
    // SAFETY: the kernel writes at most `spare.len()` bytes to memory that is ours.
    let count = unsafe { libc::read(fd.as_fd().as_raw_fd(), spare.as_mut_ptr().cast(), spare.len()) };
    taken(buffer, count)
}

/// Appends one packet from a socket to `buffer`. Returns how long the packet was: more than what
/// was appended means that the rest did not fit and is gone. 0: the other side has ended, or sent
/// an empty packet.
pub fn receive_into(fd: impl AsFd, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let spare = buffer.spare_capacity_mut();
    let room = spare.len();
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    // SAFETY: as in `read_into`; MSG_TRUNC makes only the return value exceed the room.
    let length = unsafe { libc::recv(fd.as_fd().as_raw_fd(), spare.as_mut_ptr().cast(), room, flags) };
    let kept = length.min(isize::try_from(room).unwrap_or(isize::MAX));
    taken(buffer, kept)?;
    Ok(usize::try_from(length).unwrap_or(0))
}

fn taken(buffer: &mut Vec<u8>, count: isize) -> io::Result<usize> {
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has initialised `count` bytes after the old length, within the capacity.
    unsafe { buffer.set_len(buffer.len() + count) };
    Ok(count)
}
