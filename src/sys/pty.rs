//! The master end of a container's terminal.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::termios::{OutputFlags, SetArg, tcgetattr, tcsetattr};

/// Makes the terminal write `\r\n` for `\n`: runtimes clear the flag, people expect it.
pub fn set_onlcr(master: impl AsFd) -> io::Result<()> {
    let master = master.as_fd();
    let mut settings = tcgetattr(master)?;
    settings.output_flags.insert(OutputFlags::ONLCR);
    tcsetattr(master, SetArg::TCSANOW, &settings)?;
    Ok(())
}

/// Sets the size of the terminal, in characters; the size in pixels becomes 0.
pub fn set_size(master: impl AsFd, rows: u16, cols: u16) -> io::Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one `struct winsize` (ioctl_tty(2)).
    let result = unsafe { libc::ioctl(master.as_fd().as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
