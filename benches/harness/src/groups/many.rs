//! Whether a supervisor costs more where there are many.

use std::thread::sleep;
use std::time::Duration;

use crate::place::Output;
use crate::series::{Better, Series, Target, Who};
use crate::spawn::{Log, Session, Wish};
use crate::{Bench, Result, proc};

/// Few, and many.
const COUNTS: [usize; 2] = [10, 1000];

/// Started and ended beside them, one after the other.
const MORE: usize = 50;

/// Figures beside many may be so much worse than beside few: what noise makes of the same.
const NOISE: [f64; 2] = [1.1, 1.02];

/// Time for every supervisor to have finished its start.
const SETTLE: Duration = Duration::from_secs(1);

/// Starts ten supervisors and then a thousand: first one side's, then the other's.
pub fn run(bench: &Bench) -> Result<Vec<Series>> {
    let counts = if bench.args.quick { [3, 12] } else { COUNTS };
    let mut all = Vec::new();
    for count in counts {
        all.push(Series::new(format!("spawn to pid beside {count} others"), "ms", Better::Less));
        all.push(Series::new(format!("private memory of each of {count}"), "KiB", Better::Less));
    }
    for who in [Who::Ours, Who::Reference] {
        let mut alive = Vec::new();
        for (count, series) in counts.iter().zip(all.chunks_mut(2)) {
            beside(bench, who, *count, &mut alive, series)?;
        }
        alive.iter().try_for_each(Session::kill_container)?;
        for session in alive {
            session.finish()?;
        }
    }
    for (few, noise) in NOISE.into_iter().enumerate() {
        if let Some([_, median, _]) = all[few].quartiles(Who::Ours) {
            all[few + 2].targets.push(Target::AtMost(median * noise));
        }
    }
    Ok(all)
}

fn beside(bench: &Bench, who: Who, count: usize, alive: &mut Vec<Session>, to: &mut [Series]) -> Result<()> {
    let start = || Session::start(bench, who, Wish::new(Log::File, Output::SILENT));
    while alive.len() < count {
        bench.go_on()?;
        alive.push(start()?);
    }
    sleep(SETTLE);
    for session in alive.iter().take(100) {
        to[1].push(who, proc::memory(session.supervisor)?.private as f64 / 1024.0);
    }
    for _ in 0..if bench.args.quick { 3 } else { MORE } {
        bench.go_on()?;
        let one_more = start()?;
        to[0].push(who, one_more.start_time().as_secs_f64() * 1e3);
        one_more.end()?;
    }
    Ok(())
}
