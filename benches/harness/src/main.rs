//! Measures two supervisors, conward and conmon, as whole processes and alternately in one run.
//! `benches/README.md` says how each figure is taken.

mod args;
mod limits;
mod measure_attach;
mod measure_idle;
mod measure_log;
mod measure_start;
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

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::args::Args;
use crate::series::{Series, Who};

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
        let scratch = tempfile::Builder::new().prefix("conward-bench-").tempdir_in("/dev/shm");
        let scratch = scratch.map_err(doing("make a directory in /dev/shm"))?;
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

type Group = fn(&Bench) -> Result<Vec<Series>>;

/// All measurements, by the names that `--only` takes.
const GROUPS: [(&str, Group); 6] = [
    ("start", measure_start::run),
    ("burst", measure_start::run_burst),
    ("exec", measure_start::run_exec),
    ("log", measure_log::run),
    ("attach", measure_attach::run),
    ("idle", measure_idle::run),
];

fn run() -> Result<()> {
    // A pipe of `make`, or of whoever started this, must not be counted as a supervisor's descriptor.
    close_inherited()?;
    let bench = Bench::new(args::parse(std::env::args().skip(1))?)?;
    nix::sys::prctl::set_child_subreaper(true).map_err(doing("become a subreaper"))?;
    let mut all = Vec::new();
    let mut outcome = Ok(());
    for (name, group) in GROUPS {
        if bench.args.only.as_ref().is_none_or(|only| only.split(',').any(|word| word == name)) {
            eprintln!("measuring: {name}");
            match group(&bench) {
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
