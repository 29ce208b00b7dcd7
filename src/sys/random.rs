//! Names that nobody can guess.

use std::io;

/// 16 hexadecimal digits from getrandom(2).
pub fn name() -> io::Result<String> {
    let mut bytes = [0u8; 8];
    // SAFETY: at most 8 bytes are written to a buffer of 8. So few are never cut short, and once
    // the kernel has its first entropy the call does not wait (getrandom(2)).
    let count = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if count < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}
