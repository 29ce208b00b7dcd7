//! How fast the output of a terminal goes into the log.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Instant;

use nix::pty::openpty;

use super::flow::{self, Flow};
use crate::place::{Output, Place};
use crate::series::{Better, Series, Target, Who};
use crate::spawn::{Log, Wish};
use crate::{Bench, Result, doing, proc, wait};

/// Lines of 80 B into a k8s-file.
pub fn run(bench: &Bench) -> Result<Vec<Series>> {
    let output = Output { line: 80, total: if bench.args.quick { 1 << 20 } else { 32 << 20 } };
    let limit = "`cat`: read the terminal, write what came";
    let mut speed = Series::new("terminal throughput, lines of 80 B", "MB/s", Better::More)
        .limit(limit)
        .target(Target::TimesAtLeast(1.5));
    let mut cost = Series::new("terminal CPU, lines of 80 B", "s/GB", Better::Less).limit(limit);
    bench.alternately(if bench.args.quick { 2 } else { 7 }, |who| {
        let flow = match who {
            Who::Limit => bare(bench, output)?,
            Who::Ours | Who::Reference => {
                let wish = Wish { terminal: true, ..Wish::new(Log::File, output) };
                flow::to_file(bench, who, wish, written(output))?
            }
        };
        speed.push(who, flow.speed(output));
        cost.push(who, flow.cost(output));
        Ok(())
    })?;
    Ok(vec![speed, cost])
}

/// What a terminal makes of the output: a carriage return before each newline.
fn written(output: Output) -> u64 {
    output.total + output.total / output.line as u64
}

fn bare(bench: &Bench, output: Output) -> Result<Flow> {
    let mut place = Place::new(bench, output)?;
    let pair = openpty(None, None).map_err(doing("make a terminal"))?;
    let (pid, _) = place.start_bare(&bench.args.stub, Stdio::from(pair.slave))?;
    let mut file = File::create(place.path("log")).map_err(doing("make the log"))?;
    let (begin, cpu) = (Instant::now(), proc::own_cpu()?);
    place.command(b"gx")?;
    let got = cat(pair.master, &mut file)?;
    let flow = Flow { took: begin.elapsed(), cpu: proc::own_cpu()? - cpu };
    wait::reap(pid)?;
    if got != written(output) {
        return Err(format!("the bare loop got {got} of {} bytes", written(output)));
    }
    place.remove()?;
    Ok(flow)
}

/// Gives the bytes copied until nobody has the terminal open any more, which is EIO on Linux.
fn cat(terminal: OwnedFd, to: &mut File) -> Result<u64> {
    let (mut terminal, mut buffer, mut got) = (File::from(terminal), vec![0; 64 * 1024], 0);
    loop {
        let n = match terminal.read(&mut buffer) {
            Err(error) if error.raw_os_error() == Some(nix::libc::EIO) => 0,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other.map_err(doing("read the terminal"))?,
        };
        if n == 0 {
            return Ok(got);
        }
        to.write_all(&buffer[..n]).map_err(doing("write what came"))?;
        got += n as u64;
    }
}
