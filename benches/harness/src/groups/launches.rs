//! Many containers started at the same moment: what users run in parallel and find slow.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::place::Output;
use crate::series::{Better, Series, Target, Who, quantile};
use crate::spawn::{Log, Numbered, Session, Starting, Wish};
use crate::{Bench, Result, doing, wait};

/// Spawns 200 supervisors without waiting for any; one value each time, of the slowest but two.
pub fn run(bench: &Bench) -> Result<Vec<Series>> {
    let count = if bench.args.quick { 20 } else { 200 };
    let name = format!("{count} launches at once: spawn to pid, p99");
    let mut series = Series::new(name, "ms", Better::Less).target(Target::TimesAtMost(1.0));
    bench.alternately(if bench.args.quick { 1 } else { 7 }, |who| {
        if who == Who::Limit {
            return Ok(());
        }
        let sessions = launch(bench, who, count)?;
        let mut times: Vec<f64> = sessions.iter().map(|s| s.start_time().as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        series.push(who, quantile(&times, 0.99));
        sessions.iter().try_for_each(Session::kill_container)?;
        sessions.into_iter().try_for_each(|session| session.finish().map(drop))
    })?;
    Ok(vec![series])
}

fn launch(bench: &Bench, who: Who, count: usize) -> Result<Vec<Session>> {
    let (mut waiting, mut arrived) = (Vec::new(), Vec::new());
    for _ in 0..count {
        waiting.push(Starting::new(bench, who, Wish::new(Log::File, Output::SILENT))?);
        hear(&mut waiting, &mut arrived, PollTimeout::ZERO)?;
    }
    let limit = PollTimeout::try_from(wait::LIMIT).map_err(doing("make a timeout"))?;
    while !waiting.is_empty() {
        if !hear(&mut waiting, &mut arrived, limit)? {
            return Err(format!("{} pids never came", waiting.len()));
        }
    }
    arrived.into_iter().map(|(starting, numbered)| starting.started(numbered)).collect()
}

/// Reads the pids that have come. Nothing else is waited for, so the next ones are read when they come.
fn hear(
    waiting: &mut Vec<Starting>,
    arrived: &mut Vec<(Starting, Numbered)>,
    limit: PollTimeout,
) -> Result<bool> {
    let mut fds: Vec<PollFd> = waiting.iter().map(|one| PollFd::new(one.sync(), PollFlags::POLLIN)).collect();
    poll(&mut fds, limit).map_err(doing("wait for pids"))?;
    let ready: Vec<bool> = fds.iter().map(|fd| fd.any() == Some(true)).collect();
    for at in (0..ready.len()).rev().filter(|at| ready[*at]) {
        let mut starting = waiting.swap_remove(at);
        let numbered = starting.number()?;
        arrived.push((starting, numbered));
    }
    Ok(ready.contains(&true))
}
