//! Doing the steps of a script, in the runtime itself and in what it forks.

use fake_runtime::{Numbered, Record, Step, Sum, To};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::unistd::{ForkResult, fork, getpid, ttyname};
use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// What steps need besides themselves.
pub struct Context {
    /// The fifo that `start` writes to.
    pub start: Option<OwnedFd>,
}

/// Does the steps in order. Does not return if one of them ends the process.
pub fn run(steps: &[Step], context: &Context) {
    for step in steps {
        if let Err(text) = one(step, context) {
            write_all(2, format!("fake-runtime: {step:?}: {text}\n").as_bytes());
            exit(70);
        }
    }
}

/// Ends the process without a second word.
pub fn exit(status: u8) -> ! {
    // SAFETY: _exit(2) is always allowed; nothing is buffered.
    unsafe { libc::_exit(i32::from(status)) }
}

/// Writes all of it; false when the reader is gone or the descriptor is closed.
pub fn write_all(fd: i32, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        // SAFETY: a plain number; a closed one gives EBADF.
        match nix::unistd::write(unsafe { BorrowedFd::borrow_raw(fd) }, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(nix::Error::EINTR) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Waits for one byte from a fifo.
pub fn await_byte(path: &Path) -> Result<(), String> {
    let fifo = OpenOptions::new().read(true).write(true).open(path);
    take_byte(fifo.map_err(|error| format!("{}: {error}", path.display()))?.as_fd())
}

fn take_byte(fd: BorrowedFd<'_>) -> Result<(), String> {
    match read(fd, &mut [0])? {
        1 => Ok(()),
        _ => Err("end of file".into()),
    }
}

fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, String> {
    loop {
        match nix::unistd::read(fd, buffer) {
            Err(nix::Error::EINTR) => {}
            other => return other.map_err(|error| error.to_string()),
        }
    }
}

fn echo_until(path: &Path) -> Result<(), String> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let fifo = OpenOptions::new().read(true).write(true).open(path).map_err(|error| error.to_string())?;
    let stdin = std::io::stdin();
    let mut ended = false;
    loop {
        let mut both =
            [PollFd::new(fifo.as_fd(), PollFlags::POLLIN), PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        let watched = if ended { &mut both[..1] } else { &mut both[..] };
        poll(watched, PollTimeout::NONE).map_err(|error| error.to_string())?;
        let ready = watched.iter().map(|fd| fd.any() == Some(true)).collect::<Vec<_>>();
        if ready[0] {
            return take_byte(fifo.as_fd());
        }
        let mut buffer = [0; 4096];
        let size = read(stdin.as_fd(), &mut buffer)?;
        ended = size == 0;
        write_all(1, &buffer[..size]);
    }
}

fn number_lines(to: To, lines: Numbered) -> Result<(), String> {
    lines.chunks().try_for_each(|chunk| ended(write_all(number(to), &chunk)))
}

fn number_until(to: To, mut lines: Numbered, pause: u64, path: &Path) -> Result<(), String> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let fifo = OpenOptions::new().read(true).write(true).open(path).map_err(|error| error.to_string())?;
    while poll(&mut [PollFd::new(fifo.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(0) {
        number_lines(to, lines)?;
        lines.first += lines.lines;
        std::thread::sleep(Duration::from_micros(pause));
    }
    take_byte(fifo.as_fd())
}

fn one(step: &Step, context: &Context) -> Result<(), String> {
    let io = |error: std::io::Error| error.to_string();
    let sys = |error: nix::Error| error.to_string();
    match step {
        Step::AwaitStart => take_byte(context.start.as_ref().ok_or("no start fifo in an exec")?.as_fd())?,
        Step::Await(path) => await_byte(path)?,
        Step::Write(to, bytes) => ended(write_all(number(*to), bytes))?,
        Step::Flood(to, bytes) => while write_all(number(*to), bytes) {},
        Step::Generate(to, pattern) => {
            for chunk in pattern.chunks() {
                ended(write_all(number(*to), &chunk))?;
            }
        }
        Step::Number(to, lines) => number_lines(*to, *lines)?,
        Step::NumberUntil(to, lines, pause, path) => number_until(*to, *lines, *pause, path)?,
        Step::Echo => ended(input(|bytes| write_all(1, bytes))?)?,
        Step::Checksum => {
            let mut sum = Sum::new();
            input(|bytes| {
                sum.add(bytes);
                true
            })?;
            ended(write_all(1, format!("{sum}\n").as_bytes()))?;
        }
        Step::EchoUntil(path) => echo_until(path)?,
        Step::EchoLine => ended(write_all(1, &line()?))?,
        Step::Touch(path) => drop(File::create(path).map_err(io)?),
        Step::Record(path) => Record::now().and_then(|record| record.write(path)).map_err(io)?,
        Step::Sleep(milliseconds) => std::thread::sleep(Duration::from_millis(*milliseconds)),
        // SAFETY: F_SETFL takes an int; a closed descriptor gives EBADF.
        Step::Packets(to) => match unsafe { libc::fcntl(number(*to), libc::F_SETFL, libc::O_DIRECT) } {
            0 => {}
            _ => return Err("no pipe of packets".into()),
        },
        Step::Close(to) => close(number(*to)),
        // SAFETY: the program has one thread.
        Step::Fork(steps) => match unsafe { fork() }.map_err(sys)? {
            ForkResult::Parent { .. } => {}
            ForkResult::Child => {
                run(steps, context);
                exit(0)
            }
        },
        Step::ReopenTty(closed, gate) => reopen(closed, gate)?,
        Step::TtySize => ended(write_all(1, format!("{} {}\n", size()?.0, size()?.1).as_bytes()))?,
        Step::TtySizes => sizes()?,
        Step::Block(signals) => {
            sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set(signals)?), None).map_err(sys)?;
        }
        Step::AwaitSignal(signals) => {
            let signal = set(signals)?.wait().map_err(sys)?;
            ended(write_all(1, format!("signal {}\n", signal as i32).as_bytes()))?;
        }
        Step::Pause => loop {
            nix::unistd::pause();
        },
        Step::Become(words) => {
            let program = words.first().ok_or("no program")?;
            let error = std::os::unix::process::CommandExt::exec(
                std::process::Command::new(program).args(&words[1..]),
            );
            return Err(format!("{program}: {error}"));
        }
        Step::Exit(status) => exit(*status),
        Step::Die(signal) => die(*signal)?,
    }
    Ok(())
}

fn number(to: To) -> i32 {
    match to {
        To::Stdin => 0,
        To::Stdout => 1,
        To::Stderr => 2,
    }
}

fn ended(written: bool) -> Result<(), String> {
    if written { Ok(()) } else { Err("nobody reads".into()) }
}

fn close(fd: i32) {
    // SAFETY: a standard stream; nothing in this program owns it.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
}

/// Hands stdin to `each` up to end of file, or until it says false.
fn input(mut each: impl FnMut(&[u8]) -> bool) -> Result<bool, String> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match read(std::io::stdin().as_fd(), &mut buffer)? {
            0 => return Ok(true),
            size => {
                if !each(&buffer[..size]) {
                    return Ok(false);
                }
            }
        }
    }
}

fn line() -> Result<Vec<u8>, String> {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        if read(std::io::stdin().as_fd(), &mut byte)? == 0 {
            break;
        }
        line.push(byte[0]);
    }
    Ok(line)
}

fn set(signals: &[i32]) -> Result<SigSet, String> {
    signals.iter().map(|&s| Signal::try_from(s).map_err(|error| error.to_string())).collect()
}

/// Ends by a signal whatever was done to it before, without a core file.
fn die(signal: i32) -> Result<(), String> {
    let name = Signal::try_from(signal).map_err(|error| error.to_string())?;
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain values; no handler is installed, and the struct outlives the call.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &none);
        libc::signal(signal, libc::SIG_DFL);
    }
    let unblock = set(&[signal])?;
    let _ = sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&unblock), None);
    kill(getpid(), name).map_err(|error| error.to_string())?;
    Err("still alive".into())
}

fn reopen(closed: &Path, gate: &Path) -> Result<(), String> {
    let name = ttyname(std::io::stdin()).map_err(|error| format!("no terminal: {error}"))?;
    (0..3).for_each(close);
    // From here on trouble cannot be told; the test sees the missing output.
    fs::write(closed, "").map_err(|error| error.to_string())?;
    await_byte(gate)?;
    for _ in 0..3 {
        // SAFETY: the path is a valid C string; the lowest free numbers are 0, 1 and 2 in turn,
        // since `await_byte` has closed its own.
        unsafe {
            let path =
                std::ffi::CString::new(name.as_os_str().as_encoded_bytes()).map_err(|e| e.to_string())?;
            libc::open(path.as_ptr(), libc::O_RDWR | libc::O_NOCTTY);
        }
    }
    Ok(())
}

fn size() -> Result<(u16, u16), String> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ fills the struct it is given (tty_ioctl(4)).
    match unsafe { libc::ioctl(std::io::stdin().as_raw_fd(), libc::TIOCGWINSZ, &mut size) } {
        0 => Ok((size.ws_row, size.ws_col)),
        _ => Err("no terminal size".into()),
    }
}

/// Prints the size whenever it changed. The test must wait for each before it sets the next: sizes
/// that follow each other quickly are seen as one.
fn sizes() -> Result<(), String> {
    let winch = set(&[libc::SIGWINCH])?;
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&winch), None).map_err(|error| error.to_string())?;
    loop {
        let (rows, columns) = size()?;
        ended(write_all(1, format!("size {rows} {columns}\n").as_bytes()))?;
        if rows == 1 {
            return Ok(());
        }
        winch.wait().map_err(|error| error.to_string())?;
    }
}
