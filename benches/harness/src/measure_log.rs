//! How fast output goes into the log, and what that costs.

use std::fs;
use std::time::Instant;

use crate::limits::{self, Step};
use crate::series::{Better, Series, Who};
use crate::spawn::{Log, Output, Session};
use crate::{Bench, Result, doing, proc};

/// The lengths of lines, and the bytes of output that make a turn about as long with each.
const LINES: [(usize, u64); 4] = [(16, 64 << 20), (80, 256 << 20), (1024, 512 << 20), (16 * 1024, 512 << 20)];

/// The least that a k8s-file record adds to its line: time, stream, tag and three blanks.
const RECORD_MIN: u64 = 45;

/// Output of each length of line into a k8s-file, as fast as the supervisor takes it.
pub fn run(bench: &Bench) -> Result<Vec<Series>> {
    let mut all = Vec::new();
    for (line, total) in LINES {
        let total = if bench.args.quick { total >> 5 } else { total };
        let name = |what: &str| format!("log {what}, lines of {line} B");
        let limit = "bare loop: read, memchr, copy, one write a read";
        let mut speed = Series::new(name("throughput"), "MB/s", Better::More, limit);
        let mut cost = Series::new(name("CPU"), "s/GB", Better::Less, limit);
        let mut steps = Step::PARTS.map(|step| {
            Series::new(
                format!("bare loop: {}, lines of {line} B", step.word()),
                "s/GB",
                Better::Less,
                step.word(),
            )
        });
        let output = Output { line, total };
        bench.alternately(if bench.args.quick { 2 } else { 9 }, |who| {
            let (seconds, cpu) = match who {
                Who::Limit => {
                    for (series, step) in steps.iter_mut().zip(Step::PARTS) {
                        series.push(who, limits::log(bench, output, step)?.1 / gigabytes(total));
                    }
                    limits::log(bench, output, Step::Write)?
                }
                Who::Ours | Who::Reference => supervised(bench, who, output)?,
            };
            speed.push(who, total as f64 / 1e6 / seconds);
            cost.push(who, cpu / gigabytes(total));
            Ok(())
        })?;
        all.extend([speed, cost]);
        all.extend(steps);
    }
    Ok(all)
}

fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

/// One container's output through a supervisor: seconds from the word to go until the exit file is
/// there, and seconds of CPU that the supervisor used for it.
fn supervised(bench: &Bench, who: Who, output: Output) -> Result<(f64, f64)> {
    let mut session = Session::start(bench, who, Log::File, output)?;
    let exits = session.watch()?;
    let before = proc::cpu(session.supervisor)?;
    let begin = Instant::now();
    session.command(b"gx")?;
    let took = session.exit_file(&exits, "0")? - begin;
    // Fast by leaving something out would not be fast.
    let size = fs::metadata(session.log()).map_err(doing("stat the log"))?.len();
    let least = output.total + output.total.div_ceil(output.line as u64) * RECORD_MIN;
    if size < least {
        return Err(format!("the log has {size} bytes, it must have at least {least}"));
    }
    let cpu = session.finish()?.saturating_sub(before);
    Ok((took.as_secs_f64(), cpu.as_secs_f64()))
}
