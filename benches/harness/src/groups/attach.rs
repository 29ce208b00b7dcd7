//! How fast output goes to attached clients.

use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::pipe2;

use super::flow::Flow;
use crate::clients::{self, PACKET_MAX};
use crate::place::{Output, Place};
use crate::series::{Better, Series, Target, Who};
use crate::spawn::{Log, Session, Wish};
use crate::{Bench, Result, doing, proc, wait};

/// Output to one client, and to eight, without any log.
pub fn run(bench: &Bench) -> Result<Vec<Series>> {
    let mut all = Vec::new();
    for (count, total, words) in [(1, 256 << 20, "one client"), (8, 64 << 20, "8 clients")] {
        let limit = format!("a loop: read 8 KiB of the pipe, write it to {count} socket pairs");
        let mut speed = Series::new(format!("attach throughput, {words}"), "MB/s", Better::More)
            .limit(&limit)
            .target(Target::TimesAtLeast(1.5));
        let mut cost = Series::new(format!("attach CPU, {words}"), "s/GB", Better::Less).limit(&limit);
        let output = Output { line: 80, total: if bench.args.quick { total >> 5 } else { total } };
        bench.alternately(if bench.args.quick { 2 } else { 7 }, |who| {
            let flow = match who {
                Who::Limit => bare(bench, output, count)?,
                Who::Ours | Who::Reference => supervised(bench, who, output, count)?,
            };
            speed.push(who, flow.speed(output));
            cost.push(who, flow.cost(output));
            Ok(())
        })?;
        all.extend([speed, cost]);
    }
    Ok(all)
}

fn supervised(bench: &Bench, who: Who, output: Output, count: usize) -> Result<Flow> {
    let mut session = Session::start(bench, who, Wish::new(Log::None, output))?;
    let clients = clients::attach(&mut session, count)?;
    let exits = session.watch()?;
    let before = proc::cpu(session.supervisor)?;
    let begin = Instant::now();
    let readers = clients::read_all(clients, output.total);
    session.command(b"gx")?;
    clients::join(readers)?;
    let took = begin.elapsed();
    session.exit_file(&exits, "0")?;
    let cpu = session.finish()?.saturating_sub(before);
    Ok(Flow { took, cpu })
}

/// The least that does the same work.
fn bare(bench: &Bench, output: Output, count: usize) -> Result<Flow> {
    let mut place = Place::new(bench, output)?;
    let (source, sink) = pipe2(OFlag::O_CLOEXEC).map_err(doing("make a pipe"))?;
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
        let (one, other) = pair.map_err(doing("make a pair of sockets"))?;
        near.push(one);
        far.push(other);
    }
    let (pid, _) = place.start_bare(&bench.args.stub, Stdio::from(sink))?;
    let begin = Instant::now();
    let forwarder = std::thread::spawn(move || forward(source, far));
    let readers = clients::read_all(near, output.total);
    place.command(b"gx")?;
    clients::join(readers)?;
    let took = begin.elapsed();
    let cpu = clients::join(vec![forwarder])?.into_iter().sum();
    wait::reap(pid)?;
    place.remove()?;
    Ok(Flow { took, cpu })
}

/// Copies until the end of the pipe; gives the CPU time of the thread that it has to itself.
fn forward(source: OwnedFd, clients: Vec<OwnedFd>) -> Result<Duration> {
    let mut packet = [0; PACKET_MAX];
    packet[0] = 2;
    loop {
        let n = nix::unistd::read(&source, &mut packet[1..]).map_err(doing("read the pipe"))?;
        if n == 0 {
            return proc::own_cpu();
        }
        for client in &clients {
            nix::unistd::write(client, &packet[..n + 1]).map_err(doing("send a packet"))?;
        }
    }
}
