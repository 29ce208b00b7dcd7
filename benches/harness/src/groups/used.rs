//! What is left in memory of much work: nothing, if all goes well.

use std::thread::sleep;
use std::time::Duration;

use crate::place::Output;
use crate::series::{Better, Series, Target, Who};
use crate::spawn::{Log, Session, Wish};
use crate::{Bench, Result, clients, proc};

/// What the container writes at a word, and how often it is told to.
const OUTPUT: Output = Output { line: 1024, total: 64 << 20 };
const TIMES: usize = 16;

/// Clients that hear the first of them, and then go.
const CLIENTS: usize = 8;

/// The log begins anew after so many bytes.
const LOG_MAX: u64 = 32 << 20;

/// Time for every supervisor to have finished, and to have given back what it does at rest.
const SETTLE: Duration = Duration::from_secs(3);

/// Some supervisors that have one hard day each.
pub fn run(bench: &Bench) -> Result<Vec<Series>> {
    let (count, times) = if bench.args.quick { (1, 2) } else { (3, TIMES) };
    let name = format!("memory over idle after {} MiB, 8 clients, rotation", times * 64);
    let mut series = Series::new(name, "KiB", Better::Less).target(Target::AtMost(64.0));
    for who in [Who::Ours, Who::Reference] {
        let mut sessions = Vec::new();
        for _ in 0..count {
            sessions.push(Session::start(bench, who, Wish::new(Log::Rotated(LOG_MAX), OUTPUT))?);
        }
        sleep(SETTLE);
        let before = memory(&sessions)?;
        for session in &mut sessions {
            bench.go_on()?;
            let clients = clients::attach(session, CLIENTS)?;
            let readers = clients::read_all(clients, OUTPUT.total);
            session.command(b"g")?;
            clients::join(readers)?;
            // The last word is taken when all before it is written.
            session.command(&[&b"g".repeat(times - 1)[..], b"m"].concat())?;
            session.obeyed()?;
        }
        sleep(SETTLE);
        for (after, before) in memory(&sessions)?.into_iter().zip(before) {
            series.push(who, after - before);
        }
        sessions.into_iter().try_for_each(Session::end)?;
    }
    Ok(vec![series])
}

/// Private memory of each, in KiB.
fn memory(sessions: &[Session]) -> Result<Vec<f64>> {
    let private = |session: &Session| Ok(proc::memory(session.supervisor)?.private as f64 / 1024.0);
    sessions.iter().map(private).collect()
}
