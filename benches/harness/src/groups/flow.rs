//! All output of a container through a supervisor: how long that takes, and what it costs.

use std::fs;
use std::time::{Duration, Instant};

use crate::place::Output;
use crate::series::Who;
use crate::spawn::{Session, Wish};
use crate::{Bench, Result, doing, proc};

/// What it took.
pub struct Flow {
    /// From the word to go until all was there.
    pub took: Duration,
    /// CPU time of the supervisor, or of the loop.
    pub cpu: Duration,
}

impl Flow {
    /// 10⁶ bytes of output a second.
    pub fn speed(&self, output: Output) -> f64 {
        output.total as f64 / 1e6 / self.took.as_secs_f64()
    }

    /// Seconds of CPU for 10⁹ bytes of output.
    pub fn cost(&self, output: Output) -> f64 {
        self.cpu.as_secs_f64() / (output.total as f64 / 1e9)
    }
}

/// From the word to go until the exit file is there, so every byte is in the log, which must have at `least` so many.
pub fn to_file(bench: &Bench, who: Who, wish: Wish, least: u64) -> Result<Flow> {
    let mut session = Session::start(bench, who, wish)?;
    let exits = session.watch()?;
    let before = proc::cpu(session.supervisor)?;
    let begin = Instant::now();
    session.command(b"gx")?;
    let took = session.exit_file(&exits, "0")? - begin;
    // Fast by leaving something out would not be fast.
    let size = fs::metadata(session.log()).map_err(doing("stat the log"))?.len();
    if size < least {
        return Err(format!("the log has {size} bytes, it must have at least {least}"));
    }
    let cpu = session.finish()?.saturating_sub(before);
    Ok(Flow { took, cpu })
}
