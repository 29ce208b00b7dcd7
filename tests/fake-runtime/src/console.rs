//! The container's terminal and its way to the supervisor.

use fake_runtime::Console;
use nix::pty::openpty;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, sendmsg, socket,
};
use nix::sys::termios::{OutputFlags, SetArg, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// Does what the script says with the console socket. The slave is given back where the container
/// is to have one.
pub fn send(what: Console, socket_path: &Path) -> Result<Option<OwnedFd>, String> {
    if what == Console::Absent {
        return Ok(None);
    }
    let why = |error: nix::Error| format!("console socket {}: {error}", socket_path.display());
    let wire = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).map_err(why)?;
    connect(wire.as_raw_fd(), &UnixAddr::new(socket_path).map_err(why)?).map_err(why)?;
    let pty = openpty(None, None).map_err(why)?;
    // runc clears ONLCR and leaves it to others to set it; so does this one.
    let mut modes = tcgetattr(&pty.slave).map_err(why)?;
    modes.output_flags.remove(OutputFlags::ONLCR);
    tcsetattr(&pty.slave, SetArg::TCSANOW, &modes).map_err(why)?;

    let null = File::open("/dev/null").map_err(|error| format!("/dev/null: {error}"))?;
    let fds = match what {
        Console::Absent | Console::Silent => return Ok(Some(pty.slave)),
        Console::Master => vec![pty.master.as_raw_fd()],
        Console::Text => Vec::new(),
        Console::Two => vec![pty.master.as_raw_fd(), null.as_raw_fd()],
        Console::NotATerminal => vec![null.as_raw_fd()],
    };
    let rights = [ControlMessage::ScmRights(&fds)];
    let control = if fds.is_empty() { &rights[..0] } else { &rights[..] };
    let text = [IoSlice::new(b"/dev/pts/fake")];
    sendmsg::<UnixAddr>(wire.as_raw_fd(), &text, control, MsgFlags::empty(), None).map_err(why)?;
    Ok(Some(pty.slave))
}
