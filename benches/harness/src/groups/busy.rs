//! How long a manager waits while output flows; conmon has nothing to be asked.

use std::time::{Duration, Instant};

use crate::clients::Control;
use crate::place::Output;
use crate::series::{Better, Series, Target, Who, quantile};
use crate::spawn::{Log, Session, Wish};
use crate::{Bench, Result, doing};

/// More than flows while it is measured, in lines that let it flow fast.
const FLOW: Output = Output { line: 16 * 1024, total: 1 << 50 };

/// Asks one thing after the other while the container writes as fast as it can; a value is the slowest
/// answer but one in a hundred.
pub fn run(bench: &Bench) -> Result<Vec<Series>> {
    // The log takes up memory all the time.
    let (turns, window) = if bench.args.quick { (1, 100) } else { (5, 600) };
    let window = Duration::from_millis(window);
    let waits = |op: &str| {
        Series::new(format!("`{op}` while output flows, p99"), "ms", Better::Less).target(Target::AtMost(5.0))
    };
    let mut series = ["state", "stats"].map(waits);
    let mut flow = Series::new("output that flows meanwhile", "MB/s", Better::More);
    for _ in 0..turns {
        bench.go_on()?;
        let mut session = Session::start(bench, Who::Ours, Wish::new(Log::File, FLOW))?;
        let mut client = Control::connect(&session.control())?;
        session.command(b"g")?;
        let (begin, before) = (Instant::now(), read_so_far(&mut client)?);
        for (series, request) in series.iter_mut().zip(["state\n", "stats\n"]) {
            let mut times = Vec::new();
            let end = Instant::now() + window;
            while Instant::now() < end {
                let asked = Instant::now();
                client.ask(request)?;
                times.push(asked.elapsed().as_secs_f64() * 1e3);
            }
            times.sort_by(f64::total_cmp);
            series.push(Who::Ours, quantile(&times, 0.99));
        }
        let read = read_so_far(&mut client)? - before;
        flow.push(Who::Ours, read as f64 / 1e6 / begin.elapsed().as_secs_f64());
        session.end()?;
    }
    let [state, stats] = series;
    Ok(vec![state, stats, flow])
}

/// Bytes of the container's output that the supervisor has read.
fn read_so_far(client: &mut Control) -> Result<u64> {
    let answer = client.ask("stats\n")?;
    let answer: serde_json::Value = serde_json::from_slice(&answer).map_err(doing("read `stats`"))?;
    let read = answer["ok"]["streams"][0]["read"].as_u64();
    read.ok_or_else(|| format!("`stats` does not tell what was read: {answer}"))
}
