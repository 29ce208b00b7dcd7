//! A pseudo-terminal whose slave end is a command's controlling terminal, as a person's would be.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::tcgetpgrp;

use crate::sandbox::{need, succeed};

/// A command on a terminal, and what it wrote so far.
pub struct Terminal {
    master: File,
    child: Child,
    seen: Vec<u8>,
}

impl Terminal {
    /// Starts `command` on a new terminal of the given size.
    pub fn spawn(command: &Command, rows: u16, columns: u16) -> Terminal {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).expect("opening a pseudo-terminal");
        let end = |fd: &OwnedFd| Stdio::from(fd.try_clone().expect("duplicating the slave end"));
        // setsid(1) makes its standard input the controlling terminal: without one, no signal
        // would tell the command that the size has changed.
        let child = Command::new(need("setsid"))
            .args(["--ctty", "--wait"])
            .arg(command.get_program())
            .args(command.get_args())
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .stdin(end(&pty.slave))
            .stdout(end(&pty.slave))
            .stderr(end(&pty.slave))
            .spawn()
            .expect("spawning a command on a terminal");
        Terminal { master: File::from(pty.master), child, seen: Vec::new() }
    }

    /// Types.
    pub fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("writing to the terminal");
    }

    /// Changes the size, as a person does who drags a window's corner. (stty(1) would set rows and columns one after
    /// the other, and there would be a size between.)
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: TIOCSWINSZ reads the struct it is given (ioctl_tty(2)); the descriptor is open.
        let set = unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        assert_eq!(set, 0, "setting the size of the terminal");
    }

    /// How it is set, as stty(1) writes that down.
    pub fn modes(&self) -> String {
        self.stty(&["-g"])
    }

    /// Sets it, as a shell does that takes it back.
    pub fn set(&self, modes: &str) {
        self.stty(&[modes]);
    }

    /// Sends a signal to the processes in the foreground, as some keys do.
    pub fn signal(&self, signal: Signal) {
        let foreground = tcgetpgrp(&self.master).expect("the foreground of the terminal");
        killpg(foreground, signal).expect("signalling the foreground of the terminal");
    }

    fn stty(&self, args: &[&str]) -> String {
        let master = self.master.try_clone().expect("duplicating the master end");
        // stty(1) speaks of its standard input, whatever end of a terminal that is.
        succeed(Command::new("stty").args(args).stdin(master), "stty")
    }

    /// Waits until `text` was written since the last call; gives all up to and with it.
    pub fn expect(&mut self, text: &str, limit: Duration) -> String {
        let end = Instant::now() + limit;
        loop {
            let found = self.seen.windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(at) = found {
                let rest = self.seen.split_off(at + text.len());
                return String::from_utf8_lossy(&std::mem::replace(&mut self.seen, rest)).into_owned();
            }
            let more = self.read(end);
            let seen = String::from_utf8_lossy(&self.seen);
            assert!(more, "not within {limit:?}, or not before the end: {text:?} in {seen:?}");
        }
    }

    /// Waits for the command's end; gives its status and the rest of what it wrote.
    pub fn finish(mut self, limit: Duration) -> (ExitStatus, String) {
        let end = Instant::now() + limit;
        // Not until end of file: others may keep the terminal open, and that is not its fault.
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("waiting for the command on the terminal") {
                break status;
            }
            let seen = String::from_utf8_lossy(&self.seen);
            assert!(Instant::now() < end, "not ended within {limit:?}; wrote {seen:?}");
            self.read(Instant::now() + Duration::from_millis(20));
        };
        while self.read(Instant::now()) {}
        (status, String::from_utf8_lossy(&self.seen).into_owned())
    }

    /// Reads once. `false`: the other end is closed, or `end` has passed.
    fn read(&mut self, end: Instant) -> bool {
        let left = end.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        let wait = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        if poll(&mut fds, wait).expect("polling the terminal") == 0 {
            return false;
        }
        let mut buffer = [0; 4096];
        // EIO is a pseudo-terminal's end of file (ioctl_tty(2)): every slave end is closed.
        match self.master.read(&mut buffer) {
            Ok(count) => {
                self.seen.extend_from_slice(&buffer[..count]);
                count > 0
            }
            Err(_) => false,
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
