//! What supervisors cost that have nothing to do: memory, wake-ups, descriptors; and their size.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use nix::unistd::Pid;

use crate::place::Output;
use crate::series::{Better, Series, Target, Who};
use crate::spawn::{Log, Session, Wish};
use crate::{Bench, Result, doing, proc};

/// Time for every supervisor to have finished its start.
const SETTLE: Duration = Duration::from_secs(1);

const KB: f64 = 1024.0;

/// The figures of a living process, in the order they are reported.
struct Figures {
    private: Series,
    proportional: Series,
    page_tables: Series,
    sleeps: Series,
    cpu: Series,
    descriptors: Series,
    size: Series,
    code: Series,
}

/// Starts 100 supervisors with a silent container each: first one side's, then the other's, so that
/// neither shares a library with the other.
pub fn run(bench: &Bench) -> Result<Vec<Series>> {
    let (count, window) = if bench.args.quick { (5, 1) } else { (100, 10) };
    let idle = "a static C program in pause()";
    let less = |name: &str, unit| Series::new(name, unit, Better::Less);
    let each = |what: &str| less(&format!("{what} of each of {count} at rest"), "KiB").limit(idle);
    let mut figures = Figures {
        private: each("private memory").target(Target::AtMost(110.0)),
        proportional: each("proportional memory"),
        page_tables: each("page tables"),
        sleeps: less(&format!("wake-ups of all {count} in {window} s at rest"), "")
            .target(Target::AtMost(0.0)),
        cpu: less(&format!("CPU of all {count} in {window} s at rest"), "ms"),
        descriptors: less("open descriptors", "").limit(idle),
        // 1.5 MB.
        size: less("binary", "KiB").limit(idle).target(Target::AtMost(1.5e6 / KB)),
        code: less("binary and its shared libraries", "KiB").limit(idle),
    };
    for who in [Who::Ours, Who::Reference] {
        supervisors(bench, who, count, Duration::from_secs(window), &mut figures)?;
        let size = fs::metadata(bench.program(who)).map_err(doing("stat the program"))?.len();
        figures.size.push(who, size as f64 / KB);
    }
    if let Some(program) = pause_program(bench)? {
        let mut children = Vec::new();
        for _ in 0..count {
            let child = Command::new(&program).spawn().map_err(doing("run the program that only waits"))?;
            children.push(child);
        }
        sleep(SETTLE);
        for child in &children {
            still(Pid::from_raw(child.id() as i32), Who::Limit, &mut figures)?;
        }
        for mut child in children {
            child.kill().map_err(doing("end the program that only waits"))?;
            child.wait().map_err(doing("reap the program that only waits"))?;
        }
        let size = fs::metadata(program).map_err(doing("stat the program that only waits"))?.len();
        figures.size.push(Who::Limit, size as f64 / KB);
    }
    let Figures { private, proportional, page_tables, sleeps, cpu, descriptors, size, code } = figures;
    Ok(vec![private, proportional, page_tables, sleeps, cpu, descriptors, size, code])
}

fn supervisors(bench: &Bench, who: Who, count: usize, window: Duration, figures: &mut Figures) -> Result<()> {
    let mut sessions = Vec::new();
    for _ in 0..count {
        bench.go_on()?;
        sessions.push(Session::start(bench, who, Wish::new(Log::File, Output::SILENT))?);
    }
    sleep(SETTLE);
    let (sleeps, cpu) = activity(&sessions)?;
    sleep(window);
    bench.go_on()?;
    let (sleeps_after, cpu_after) = activity(&sessions)?;
    figures.sleeps.push(who, (sleeps_after - sleeps) as f64);
    figures.cpu.push(who, (cpu_after - cpu).as_secs_f64() * 1e3);
    for session in &sessions {
        still(session.supervisor, who, figures)?;
    }
    sessions.into_iter().try_for_each(Session::end)
}

/// Wake-ups and CPU time of all supervisors since their birth.
fn activity(sessions: &[Session]) -> Result<(u64, Duration)> {
    let (mut sleeps, mut cpu) = (0, Duration::ZERO);
    for session in sessions {
        sleeps += proc::sleeps(session.supervisor)?;
        cpu += proc::cpu(session.supervisor)?;
    }
    Ok((sleeps, cpu))
}

/// Takes what does not change while a process sleeps.
fn still(pid: Pid, who: Who, figures: &mut Figures) -> Result<()> {
    let memory = proc::memory(pid)?;
    figures.private.push(who, memory.private as f64 / KB);
    figures.proportional.push(who, memory.proportional as f64 / KB);
    figures.page_tables.push(who, memory.page_tables as f64 / KB);
    figures.descriptors.push(who, proc::descriptors(pid)? as f64);
    if figures.code.values(who).is_empty() {
        figures.code.push(who, proc::mapped_code(pid)? as f64 / KB);
    }
    Ok(())
}

/// A static C program that only waits; None where no C compiler is at hand.
fn pause_program(bench: &Bench) -> Result<Option<PathBuf>> {
    let (source, program) = (bench.scratch.path().join("pause.c"), bench.scratch.path().join("pause"));
    fs::write(&source, "#include <unistd.h>\nint main(void) { return pause(); }\n")
        .map_err(doing("write C"))?;
    let built = Command::new("cc").args(["-O2", "-static", "-o"]).args([&program, &source]).status();
    Ok(built.is_ok_and(|status| status.success()).then_some(program))
}
