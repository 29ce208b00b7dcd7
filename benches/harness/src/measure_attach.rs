//! How fast output goes to an attached client.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::series::{Better, Series, Who};
use crate::spawn::{Log, Output, Session};
use crate::{Bench, Result, doing, limits, proc, wait};

/// The most that one packet holds: the stream's number and 8192 bytes.
pub const PACKET_MAX: usize = 8193;

/// How long a client that has connected waits for the container's sign of life before it asks again.
const AGAIN: Duration = Duration::from_millis(20);

/// Output to one client, without any log.
pub fn run(bench: &Bench) -> Result<Vec<Series>> {
    let limit = "bare loop: pipe to socket pair, 8 KiB a packet";
    let mut speed = Series::new("attach throughput", "MB/s", Better::More, limit);
    let mut cost = Series::new("attach CPU", "s/GB", Better::Less, limit);
    let output = Output { line: 80, total: if bench.args.quick { 8 << 20 } else { 256 << 20 } };
    bench.alternately(if bench.args.quick { 2 } else { 9 }, |who| {
        let (seconds, cpu) = match who {
            Who::Limit => limits::attach(bench, output)?,
            Who::Ours | Who::Reference => supervised(bench, who, output)?,
        };
        speed.push(who, output.total as f64 / 1e6 / seconds);
        cost.push(who, cpu / (output.total as f64 / 1e9));
        Ok(())
    })?;
    Ok(vec![speed, cost])
}

fn supervised(bench: &Bench, who: Who, output: Output) -> Result<(f64, f64)> {
    let mut session = Session::start(bench, who, Log::None, output)?;
    let client = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None);
    let client = client.map_err(doing("make a socket"))?;
    let address = UnixAddr::new(&session.attach()).map_err(doing("name the attach socket"))?;
    connect(client.as_raw_fd(), &address).map_err(doing("connect to the attach socket"))?;
    // A connection in the backlog gets no output: see some before the clock starts.
    let mut asked = 0;
    loop {
        session.command(b"m")?;
        asked += 1;
        if wait::readable("the first packet", client.as_fd(), AGAIN)? {
            break;
        }
        if AGAIN * asked > wait::LIMIT {
            return Err("no output ever came to the attached client".into());
        }
    }
    let exits = session.watch()?;
    let before = proc::cpu(session.supervisor)?;
    let begin = Instant::now();
    session.command(b"gx")?;
    let got = receive(&client)?;
    let took = begin.elapsed();
    if got < output.total {
        return Err(format!("the client got {got} of {} bytes", output.total));
    }
    session.exit_file(&exits, "0")?;
    let cpu = session.finish()?.saturating_sub(before);
    Ok((took.as_secs_f64(), cpu.as_secs_f64()))
}

/// Reads packets until the end; gives the bytes of output in them.
pub fn receive(client: &OwnedFd) -> Result<u64> {
    let mut packet = [0; PACKET_MAX];
    let mut got = 0;
    loop {
        match nix::unistd::read(client, &mut packet).map_err(doing("read a packet"))? {
            0 => return Ok(got),
            n => got += n as u64 - 1,
        }
    }
}
