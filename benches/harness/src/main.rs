//! Measures two supervisors, conward and conmon, as whole processes and alternately in one run.
//! `benches/README.md` says how each figure is taken.

mod args;
mod chart;
mod clients;
mod groups;
mod host;
mod place;
mod proc;
mod report;
mod series;
mod spawn;
mod wait;

use std::cell::Cell;
use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::args::Args;
use crate::series::Who;

/// Errors are only shown: a figure that cannot be had ends the run.
type Result<T> = std::result::Result<T, String>;

/// For `map_err`: what was being done, before why it failed.
fn doing<E: Display>(what: impl Display) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}

/// What every measurement needs.
struct Bench {
    args: Args,
    /// A directory on tmpfs for everything that is made.
    scratch: tempfile::TempDir,
    /// How many sessions there were: each gets a directory and an id of its own.
    sessions: Cell<u32>,
    /// Set by a signal that asks the harness to end.
    stopped: Arc<AtomicBool>,
}

impl Bench {
    fn new(args: Args) -> Result<Bench> {
        let scratch = tempfile::Builder::new().prefix("bench-").tempdir_in(host::RUN);
        let scratch = scratch.map_err(doing(format!("make a directory in {}", host::RUN)))?;
        let stopped = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let set = signal_hook::flag::register(signal, Arc::clone(&stopped));
            set.map_err(doing("set a signal handler"))?;
        }
        if !args.quick && !args.out.is_dir() {
            std::fs::create_dir(&args.out).map_err(doing(format!("make {}", args.out.display())))?;
        }
        Ok(Bench { args, scratch, sessions: Cell::new(0), stopped })
    }

    /// The program that plays `who`; the limit is the stub alone.
    fn program(&self, who: Who) -> &Path {
        match who {
            Who::Ours => &self.args.ours,
            Who::Reference => &self.args.reference,
            Who::Limit => &self.args.stub,
        }
    }

    /// An error once a signal has asked the harness to end.
    fn go_on(&self) -> Result<()> {
        if self.stopped.load(Ordering::Relaxed) { Err("stopped by a signal".into()) } else { Ok(()) }
    }

    /// Runs `once` for everybody in turn, `count` times, each time beginning with another one: the
    /// noise of a shared machine then falls on all alike.
    fn alternately(&self, count: usize, mut once: impl FnMut(Who) -> Result<()>) -> Result<()> {
        for turn in 0..count {
            for step in 0..Who::ALL.len() {
                let who = Who::ALL[(turn + step) % Who::ALL.len()];
                self.go_on()?;
                once(who).map_err(doing(format!("{} (turn {turn})", who.word())))?;
            }
        }
        Ok(())
    }
}

fn run() -> Result<()> {
    // A pipe of `make`, or of whoever started this, must not be counted as a supervisor's descriptor.
    close_inherited()?;
    let args = args::parse(std::env::args().skip(1))?;
    host::set_up()?;
    let bench = Bench::new(args)?;
    nix::sys::prctl::set_child_subreaper(true).map_err(doing("become a subreaper"))?;
    let mut all = Vec::new();
    let mut outcome = Ok(());
    for (name, group) in groups::ALL {
        if bench.args.only.as_ref().is_none_or(|only| only.split(',').any(|word| word == name)) {
            let begin = Instant::now();
            eprint!("measuring: {name}");
            let outcome_of_group = group(&bench);
            eprintln!(" ({:.0} s)", begin.elapsed().as_secs_f64());
            match outcome_of_group {
                Ok(series) => all.extend(series),
                Err(error) => {
                    outcome = Err(format!("{name}: {error}"));
                    break;
                }
            }
        }
    }
    wait::end_children()?;
    outcome?;
    report::print(&bench, &all)
}

fn close_inherited() -> Result<()> {
    let list = std::fs::read_dir("/proc/self/fd").map_err(doing("read /proc/self/fd"))?;
    let names = list.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    for fd in names.filter(|fd| *fd > 2).collect::<Vec<_>>() {
        // One of them was the listing's own and is closed already.
        let _ = nix::unistd::close(fd);
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("conward-bench: {text}");
            ExitCode::FAILURE
        }
    }
}
