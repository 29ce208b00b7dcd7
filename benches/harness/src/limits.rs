//! The least that does the same work. What a supervisor takes more than this is what it could save.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, pipe2};

use crate::measure_attach::{PACKET_MAX, receive};
use crate::spawn::{Output, Place};
use crate::{Bench, Result, doing, wait};

/// What a read takes at most: what a pipe holds by default (pipe(7)).
const READ_MAX: usize = 64 * 1024;

/// What a k8s-file record begins with; always the same here, a supervisor has to make it.
const PREFIX: &[u8] = b"2026-01-01T00:00:00.000000000+00:00 stdout F ";

/// How much of a logger's work the bare loop does. Each step includes those before it.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub enum Step {
    /// Reads the pipe.
    Read,
    /// Finds the ends of the lines.
    Find,
    /// Copies prefix and line into a buffer.
    Copy,
    /// Writes the buffer once a read.
    Write,
}

impl Step {
    /// The steps that are not yet the whole work.
    pub const PARTS: [Step; 3] = [Step::Read, Step::Find, Step::Copy];

    /// What the loop does.
    pub fn word(self) -> &'static str {
        match self {
            Step::Read => "read",
            Step::Find => "read, memchr",
            Step::Copy => "read, memchr, copy",
            Step::Write => "read, memchr, copy, write",
        }
    }
}

/// A bare loop on a container's output: seconds in all, and seconds of CPU of the loop.
pub fn log(bench: &Bench, output: Output, step: Step) -> Result<(f64, f64)> {
    let mut place = Place::new(bench, output)?;
    let (source, sink) = pipe2(OFlag::O_CLOEXEC).map_err(doing("make a pipe"))?;
    let (pid, _) = place.start_bare(&bench.args.stub, Stdio::from(sink))?;
    let mut file = File::create(place.path("log")).map_err(doing("make the log"))?;
    let (begin, cpu) = (Instant::now(), cpu_now()?);
    place.command(b"gx")?;
    let got = copy_lines(File::from(source), &mut file, step)?;
    let (took, cpu) = (begin.elapsed(), cpu_now()? - cpu);
    wait::reap(pid)?;
    if got != output.total {
        return Err(format!("the bare loop got {got} of {} bytes", output.total));
    }
    place.remove()?;
    Ok((took.as_secs_f64(), cpu.as_secs_f64()))
}

/// Gives the bytes read; with [`Step::Find`] and later, the bytes of the lines found and the rest.
fn copy_lines(mut source: File, sink: &mut File, step: Step) -> Result<u64> {
    let mut buffer = vec![0; READ_MAX];
    // Room for the most that a read can become: a record for every byte.
    let mut records = Vec::with_capacity(READ_MAX * (PREFIX.len() + 1));
    let mut got = 0;
    loop {
        let n = source.read(&mut buffer).map_err(doing("read the pipe"))?;
        if n == 0 {
            return Ok(got);
        }
        if step == Step::Read {
            got += n as u64;
            continue;
        }
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &buffer[..n]) {
            got += (end + 1 - start) as u64;
            if step >= Step::Copy {
                records.extend_from_slice(PREFIX);
                records.extend_from_slice(&buffer[start..=end]);
            }
            start = end + 1;
        }
        got += (n - start) as u64;
        if step >= Step::Copy {
            records.extend_from_slice(&buffer[start..n]);
        }
        if step == Step::Write {
            sink.write_all(&records).map_err(doing("write the log"))?;
        }
        std::hint::black_box(&records);
        records.clear();
    }
}

/// A bare loop from a container's pipe to a client on a socket pair: seconds in all, seconds of CPU.
pub fn attach(bench: &Bench, output: Output) -> Result<(f64, f64)> {
    let mut place = Place::new(bench, output)?;
    let (source, sink) = pipe2(OFlag::O_CLOEXEC).map_err(doing("make a pipe"))?;
    let (near, far) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .map_err(doing("make a pair of sockets"))?;
    let (pid, _) = place.start_bare(&bench.args.stub, Stdio::from(sink))?;
    let forwarder = std::thread::spawn(move || forward(source, far));
    let begin = Instant::now();
    place.command(b"gx")?;
    let got = receive(&near)?;
    let took = begin.elapsed();
    let cpu = forwarder.join().map_err(|_| "the forwarding thread panicked")??;
    wait::reap(pid)?;
    if got != output.total {
        return Err(format!("the client got {got} of {} bytes", output.total));
    }
    place.remove()?;
    Ok((took.as_secs_f64(), cpu.as_secs_f64()))
}

/// Copies until the end of the pipe; gives the CPU time of the thread that it has to itself.
fn forward(source: OwnedFd, client: OwnedFd) -> Result<Duration> {
    let mut packet = [0; PACKET_MAX];
    packet[0] = 2;
    loop {
        match nix::unistd::read(&source, &mut packet[1..]).map_err(doing("read the pipe"))? {
            0 => return cpu_now(),
            n => nix::unistd::write(&client, &packet[..n + 1]).map_err(doing("send a packet"))?,
        };
    }
}

/// A bare parent that waits for the container and leaves an exit file, from the kill to the event.
pub fn death(place: &Place, pid: Pid) -> Result<Duration> {
    let dir = place.path("exits");
    let events = Inotify::init(InitFlags::IN_CLOEXEC).map_err(doing("make an inotify descriptor"))?;
    events.add_watch(&dir, AddWatchFlags::IN_MOVED_TO).map_err(doing("watch the exit directory"))?;
    let begin = Instant::now();
    kill(pid, Signal::SIGKILL).map_err(doing("kill the container"))?;
    nix::sys::wait::waitpid(pid, None).map_err(doing("wait for the container"))?;
    fs::write(dir.join("new"), "137").map_err(doing("write an exit file"))?;
    fs::rename(dir.join("new"), dir.join("exit")).map_err(doing("rename an exit file"))?;
    wait::must_read("the exit file", events.as_fd())?;
    events.read_events().map_err(doing("read the exit directory's events"))?;
    Ok(begin.elapsed())
}

/// A static C program that only waits; None where no C compiler is at hand.
pub fn pause_program(bench: &Bench) -> Result<Option<PathBuf>> {
    let (source, program) = (bench.scratch.path().join("pause.c"), bench.scratch.path().join("pause"));
    fs::write(&source, "#include <unistd.h>\nint main(void) { return pause(); }\n")
        .map_err(doing("write C"))?;
    let built = Command::new("cc").args(["-O2", "-static", "-o"]).args([&program, &source]).status();
    Ok(built.is_ok_and(|status| status.success()).then_some(program))
}

/// CPU time of the calling thread.
fn cpu_now() -> Result<Duration> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).map_err(doing("read the CPU clock"))
}
