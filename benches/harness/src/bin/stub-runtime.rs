//! The smallest OCI runtime a supervisor can start: it forks a "container", writes its pid and ends.
//! It does nothing else, so what a measurement shows is the supervisor and not the runtime.
//!
//! `create --bundle B --pid-file P …` takes its orders from the file `B/stub`, `exec --process S
//! --pid-file P …` from the file `S`. Both hold one line, `GATE LINE TOTAL`: a fifo to read commands
//! from (`-`: none, the container ends at once with status 0), the length of a line of output with
//! its newline, and the bytes of output in all. The commands are single bytes:
//!
//! * `m` writes one short line, to see that a reader is there;
//! * `g` writes TOTAL bytes of lines as fast as they are taken, whole lines of at most 64 KiB a write;
//! * `x`, or the end of the fifo, ends the container with status 0.
//!
//! With `--console-socket S` the container gets a terminal, which goes to S as that of a runtime does.
//! `events` answers with an event that has nothing in it.
//!
//! The fifo ends when the harness does, however it ends, so no container outlives a measurement.

use std::fs;
use std::io::{IoSlice, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::exit;

use nix::pty::openpty;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::unistd::{ForkResult, dup2_stdout, fork, setsid};

/// The most that one write takes: what a pipe holds by default (pipe(7)).
const WRITE_MAX: usize = 64 * 1024;

/// What the container shall do.
struct Orders {
    gate: Option<PathBuf>,
    line: usize,
    total: u64,
}

/// What the command line asks for.
struct Call {
    orders: Orders,
    pid_file: PathBuf,
    console: Option<PathBuf>,
}

fn main() {
    if let Err(text) = run() {
        eprintln!("stub-runtime: {text}");
        exit(1);
    }
}

fn run() -> Result<(), String> {
    if std::env::args_os().any(|word| word == "events") {
        println!("{{\"type\":\"stats\",\"data\":{{}}}}");
        return Ok(());
    }
    let Call { orders, pid_file, console } = arguments()?;
    let terminal = console.map(|path| send_terminal(&path)).transpose()?;
    // SAFETY: the process has one thread, so the child may go on as an ordinary process.
    match unsafe { fork() }.map_err(|e| format!("fork the container: {e}"))? {
        ForkResult::Parent { child } => {
            fs::write(&pid_file, child.to_string()).map_err(|e| format!("write {}: {e}", pid_file.display()))
        }
        ForkResult::Child => contain(&orders, terminal),
    }
}

/// Reads the words of the runtime's command line that matter here; the others are ignored.
fn arguments() -> Result<Call, String> {
    let (mut file, mut pid_file, mut console) = (None, None, None);
    let mut words = std::env::args_os().skip(1);
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--bundle") => file = words.next().map(|bundle| PathBuf::from(bundle).join("stub")),
            Some("--process") => file = words.next().map(PathBuf::from),
            Some("--pid-file") => pid_file = words.next().map(PathBuf::from),
            Some("--console-socket") => console = words.next().map(PathBuf::from),
            _ => (),
        }
    }
    let file = file.ok_or("neither --bundle nor --process given")?;
    let pid_file = pid_file.ok_or("no --pid-file given")?;
    let text = fs::read_to_string(&file).map_err(|e| format!("read {}: {e}", file.display()))?;
    let mut words = text.split_whitespace();
    let orders = match (words.next(), words.next(), words.next()) {
        (Some(gate), Some(line), Some(total)) => Orders {
            gate: (gate != "-").then(|| PathBuf::from(gate)),
            line: line.parse().map_err(|e| format!("line length {line}: {e}"))?,
            total: total.parse().map_err(|e| format!("total {total}: {e}"))?,
        },
        _ => return Err(format!("{} is not `GATE LINE TOTAL`", file.display())),
    };
    if !(1..=WRITE_MAX).contains(&orders.line) {
        return Err(format!("line length {} is not in 1..={WRITE_MAX}", orders.line));
    }
    Ok(Call { orders, pid_file, console })
}

/// Makes a terminal, sends its master to whoever listens there, and gives the other end.
fn send_terminal(socket: &Path) -> Result<OwnedFd, String> {
    let pair = openpty(None, None).map_err(|e| format!("make a terminal: {e}"))?;
    let stream = UnixStream::connect(socket).map_err(|e| format!("connect to {}: {e}", socket.display()))?;
    let (master, name) = ([pair.master.as_raw_fd()], [IoSlice::new(b"terminal")]);
    sendmsg::<()>(stream.as_raw_fd(), &name, &[ControlMessage::ScmRights(&master)], MsgFlags::empty(), None)
        .map_err(|e| format!("send the terminal: {e}"))?;
    Ok(pair.slave)
}

/// The container's whole life. Any error ends it with a status that the harness does not expect.
fn contain(orders: &Orders, terminal: Option<OwnedFd>) -> Result<(), String> {
    if let Some(terminal) = terminal {
        setsid().map_err(|e| format!("leave the session: {e}"))?;
        dup2_stdout(terminal).map_err(|e| format!("take the terminal: {e}"))?;
    }
    let Some(gate) = &orders.gate else { return Ok(()) };
    let mut gate = fs::File::open(gate).map_err(|e| format!("open {}: {e}", gate.display()))?;
    let mut command = [0];
    while gate.read(&mut command).map_err(|e| format!("read a command: {e}"))? == 1 {
        match &command {
            b"m" => write(b"m\n")?,
            b"g" => stream(orders)?,
            _ => break,
        }
    }
    Ok(())
}

/// Writes `total` bytes of lines; the last one is cut where the total is reached.
fn stream(orders: &Orders) -> Result<(), String> {
    let mut line = vec![b'x'; orders.line];
    line[orders.line - 1] = b'\n';
    let block = line.repeat(WRITE_MAX / orders.line);
    let mut left = orders.total;
    while left > 0 {
        let part = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        write(&block[..part])?;
        left -= part as u64;
    }
    Ok(())
}

/// Writes to stdout without the buffer of `Stdout`, which would cut a block at its last newline.
fn write(bytes: &[u8]) -> Result<(), String> {
    let stdout = std::io::stdout();
    let mut rest = bytes;
    while !rest.is_empty() {
        let n = nix::unistd::write(stdout.as_fd(), rest).map_err(|e| format!("write output: {e}"))?;
        rest = &rest[n..];
    }
    Ok(())
}
