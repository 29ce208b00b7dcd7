//! How fast output goes into the log, and what that costs.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Instant;

use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use super::flow;
use crate::place::{Output, Place};
use crate::series::{Better, Series, Target, Who};
use crate::spawn::{Log, Wish};
use crate::{Bench, Result, doing, proc, wait};

/// The lengths of lines; the bytes of output that make a turn about as long with each; and the targets: so many
/// times the throughput, and so much of the CPU time.
const LINES: [(usize, u64, f64, f64); 4] = [
    (16, 64 << 20, 3.5, 0.3),
    (80, 256 << 20, 2.5, 0.42),
    (1024, 512 << 20, 1.4, 0.65),
    (16 * 1024, 512 << 20, 1.3, 0.75),
];

/// What a read takes at most: what a pipe holds by default (pipe(7)).
const READ_MAX: usize = 64 * 1024;

/// What a k8s-file record begins with; always the same here, a supervisor has to make it.
const PREFIX: &[u8] = b"2026-01-01T00:00:00.000000000+00:00 stdout F ";

/// Output of each length of line into a k8s-file, as fast as the supervisor takes it.
pub fn run(bench: &Bench) -> Result<Vec<Series>> {
    let mut all = Vec::new();
    for (line, total, faster, cheaper) in LINES {
        let output = Output { line, total: if bench.args.quick { total >> 5 } else { total } };
        let limit = "a loop: read 64 KiB, memchr, copy prefix and line, one write a read";
        let mut speed = Series::new(format!("log throughput, lines of {line} B"), "MB/s", Better::More)
            .limit(limit)
            .target(Target::TimesAtLeast(faster))
            .target(Target::OfLimit(0.85));
        let mut cost = Series::new(format!("log CPU, lines of {line} B"), "s/GB", Better::Less)
            .limit(limit)
            .target(Target::TimesAtMost(cheaper));
        bench.alternately(if bench.args.quick { 2 } else { 9 }, |who| {
            let flow = match who {
                Who::Limit => bare(bench, output)?,
                Who::Ours | Who::Reference => {
                    let least = output.total + output.lines() * PREFIX.len() as u64;
                    flow::to_file(bench, who, Wish::new(Log::File, output), least)?
                }
            };
            speed.push(who, flow.speed(output));
            cost.push(who, flow.cost(output));
            Ok(())
        })?;
        all.extend([speed, cost]);
    }
    Ok(all)
}

/// The least that does the same work.
fn bare(bench: &Bench, output: Output) -> Result<flow::Flow> {
    let mut place = Place::new(bench, output)?;
    let (source, sink) = pipe2(OFlag::O_CLOEXEC).map_err(doing("make a pipe"))?;
    let (pid, _) = place.start_bare(&bench.args.stub, Stdio::from(sink))?;
    let mut file = File::create(place.path("log")).map_err(doing("make the log"))?;
    let (begin, cpu) = (Instant::now(), proc::own_cpu()?);
    place.command(b"gx")?;
    let got = copy_lines(File::from(source), &mut file)?;
    let flow = flow::Flow { took: begin.elapsed(), cpu: proc::own_cpu()? - cpu };
    wait::reap(pid)?;
    if got != output.total {
        return Err(format!("the bare loop got {got} of {} bytes", output.total));
    }
    place.remove()?;
    Ok(flow)
}

/// Gives the bytes of the lines found and of the rest.
fn copy_lines(mut source: File, sink: &mut File) -> Result<u64> {
    let mut buffer = vec![0; READ_MAX];
    // Room for the most that a read can become: a record for every byte.
    let mut records = Vec::with_capacity(READ_MAX * (PREFIX.len() + 1));
    let mut got = 0;
    loop {
        let n = source.read(&mut buffer).map_err(doing("read the pipe"))?;
        if n == 0 {
            return Ok(got);
        }
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &buffer[..n]) {
            got += (end + 1 - start) as u64;
            records.extend_from_slice(PREFIX);
            records.extend_from_slice(&buffer[start..=end]);
            start = end + 1;
        }
        got += (n - start) as u64;
        records.extend_from_slice(&buffer[start..n]);
        sink.write_all(&records).map_err(doing("write the log"))?;
        records.clear();
    }
}
