//! How fast output goes to the journal, which the harness plays: it throws away what comes, as fast as it can.

use std::fs::{self, File};
use std::io::{IoSlice, IoSliceMut, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::thread::JoinHandle;
use std::time::Instant;

use nix::fcntl::OFlag;
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, sendmsg};
use nix::unistd::pipe2;

use super::flow::Flow;
use crate::place::{Output, Place};
use crate::series::{Better, Series, Target, Who};
use crate::spawn::{Log, Session, Wish};
use crate::{Bench, Result, clients, doing, host, proc, wait};

/// Entries that are received at once.
const BATCH: usize = 64;

/// Bytes that are kept of an entry; the rest is thrown away by the kernel.
const ENTRY: usize = 1024;

/// What an entry has beside its message, about as long as a supervisor's.
const FIELDS: &str = "PRIORITY=6\nCONTAINER_ID_FULL=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n\
    CONTAINER_ID=0123456789ab\nCONTAINER_NAME=bench\nSYSLOG_IDENTIFIER=0123456789ab\nMESSAGE=";

/// Lines of 80 B, an entry each.
pub fn run(bench: &Bench) -> Result<Vec<Series>> {
    let output = Output { line: 80, total: if bench.args.quick { 1 << 20 } else { 16 << 20 } };
    let limit = "a loop: read 64 KiB, memchr, one sendmsg a line";
    let mut speed = Series::new("journald throughput, lines of 80 B", "MB/s", Better::More)
        .limit(limit)
        .target(Target::TimesAtLeast(1.0));
    let mut cost = Series::new("journald CPU, lines of 80 B", "s/GB", Better::Less).limit(limit);
    bench.alternately(if bench.args.quick { 2 } else { 7 }, |who| {
        let flow = match who {
            Who::Limit => bare(bench, output)?,
            Who::Ours | Who::Reference => supervised(bench, who, output)?,
        };
        speed.push(who, flow.speed(output));
        cost.push(who, flow.cost(output));
        Ok(())
    })?;
    Ok(vec![speed, cost])
}

fn supervised(bench: &Bench, who: Who, output: Output) -> Result<Flow> {
    let journal = listen()?;
    let mut session = Session::start(bench, who, Wish::new(Log::Journal, output))?;
    let exits = session.watch()?;
    let before = proc::cpu(session.supervisor)?;
    let begin = Instant::now();
    let reader = drain(journal, output.lines());
    session.command(b"gx")?;
    clients::join(vec![reader])?;
    let took = begin.elapsed();
    session.exit_file(&exits, "0")?;
    let cpu = session.finish()?.saturating_sub(before);
    Ok(Flow { took, cpu })
}

/// The least that does the same work.
fn bare(bench: &Bench, output: Output) -> Result<Flow> {
    let journal = listen()?;
    let mut place = Place::new(bench, output)?;
    let (source, sink) = pipe2(OFlag::O_CLOEXEC).map_err(doing("make a pipe"))?;
    let (pid, _) = place.start_bare(&bench.args.stub, Stdio::from(sink))?;
    let (begin, cpu) = (Instant::now(), proc::own_cpu()?);
    let reader = drain(journal, output.lines());
    place.command(b"gx")?;
    send_lines(source)?;
    let cpu = proc::own_cpu()? - cpu;
    clients::join(vec![reader])?;
    let took = begin.elapsed();
    wait::reap(pid)?;
    place.remove()?;
    Ok(Flow { took, cpu })
}

/// Takes the place of journald, anew each time: nothing of the turn before is left in its queue.
fn listen() -> Result<UnixDatagram> {
    let _ = fs::remove_file(host::JOURNAL);
    let journal = UnixDatagram::bind(host::JOURNAL).map_err(doing(format!("bind {}", host::JOURNAL)))?;
    journal.set_read_timeout(Some(wait::LIMIT)).map_err(doing("set a timeout"))?;
    Ok(journal)
}

/// A thread that takes so many entries.
fn drain(journal: UnixDatagram, entries: u64) -> JoinHandle<Result<()>> {
    std::thread::spawn(move || {
        let mut buffers = vec![[0; ENTRY]; BATCH];
        let mut headers = MultiHeaders::<()>::preallocate(BATCH, None);
        let mut got = 0;
        while got < entries {
            let mut slices: Vec<[IoSliceMut; 1]> = buffers.iter_mut().map(|b| [IoSliceMut::new(b)]).collect();
            // As many as there are, at least one.
            let flags = MsgFlags::MSG_WAITFORONE;
            let received = recvmmsg(journal.as_raw_fd(), &mut headers, &mut slices, flags, None)
                .map_err(doing(format!("receive entry {} of {entries}", got + 1)))?;
            got += received.count() as u64;
        }
        Ok(())
    })
}

/// Sends each line of the pipe as an entry, the last one with what is left.
fn send_lines(source: OwnedFd) -> Result<()> {
    let socket = UnixDatagram::unbound().map_err(doing("make a socket"))?;
    socket.connect(host::JOURNAL).map_err(doing("connect to the journal"))?;
    let send = |line: &[u8]| {
        let parts = [IoSlice::new(FIELDS.as_bytes()), IoSlice::new(line), IoSlice::new(b"\n")];
        let sent = sendmsg::<()>(socket.as_raw_fd(), &parts, &[], MsgFlags::empty(), None);
        sent.map(drop).map_err(doing("send an entry"))
    };
    let (mut source, mut buffer, mut held) = (File::from(source), vec![0; 128 * 1024], 0);
    loop {
        let n = source.read(&mut buffer[held..held + 64 * 1024]).map_err(doing("read the pipe"))?;
        if n == 0 {
            return if held > 0 { send(&buffer[..held]) } else { Ok(()) };
        }
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &buffer[..held + n]) {
            send(&buffer[start..end])?;
            start = end + 1;
        }
        // The beginning of a line, which is shorter than what a read takes.
        buffer.copy_within(start..held + n, 0);
        held = held + n - start;
    }
}
