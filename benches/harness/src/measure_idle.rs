//! What supervisors cost that have nothing to do: memory, wake-ups, descriptors; and their size.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::series::{Better, Series, Who};
use crate::spawn::{Log, Output, Session};
use crate::{Bench, Result, doing, limits, proc, wait};

/// What each container writes before memory is taken a second time.
const BUSY: Output = Output { line: 80, total: 1 << 20 };

/// Time for every supervisor to have finished its start.
const SETTLE: Duration = Duration::from_secs(1);

const KB: f64 = 1024.0;

/// The figures of a living process, in the order they are reported.
struct Figures {
    private: Series,
    proportional: Series,
    page_tables: Series,
    busy: Series,
    sleeps: Series,
    cpu: Series,
    descriptors: Series,
    size: Series,
    code: Series,
}

/// Starts 50 supervisors with a silent container each: first one side's, then the other's, so that
/// neither shares a library with the other.
pub fn run(bench: &Bench) -> Result<Vec<Series>> {
    let (count, window) = if bench.args.quick { (5, 1) } else { (50, 10) };
    let less = |name: String, unit, limit| Series::new(name, unit, Better::Less, limit);
    let each = |what: &str| format!("{what} of each of {count} idle supervisors");
    let idle = "a static C program in pause()";
    let mut figures = Figures {
        private: less(each("private memory"), "KiB", idle),
        proportional: less(each("proportional memory"), "KiB", idle),
        page_tables: less(each("page tables"), "KiB", idle),
        busy: less("private memory after 1 MiB of output".into(), "KiB", ""),
        sleeps: less(format!("wake-ups of all {count} in {window} s while idle"), "", ""),
        cpu: less(format!("CPU of all {count} in {window} s while idle"), "ms", ""),
        descriptors: less("open descriptors".into(), "", idle),
        size: less("binary".into(), "KiB", idle),
        code: less("binary and its shared libraries".into(), "KiB", idle),
    };
    for who in [Who::Ours, Who::Reference] {
        supervisors(bench, who, count, Duration::from_secs(window), &mut figures)?;
        let size = fs::metadata(bench.program(who)).map_err(doing("stat the program"))?.len();
        figures.size.push(who, size as f64 / KB);
    }
    if let Some(program) = limits::pause_program(bench)? {
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
        let size = fs::metadata(program).map_err(doing("stat the program"))?.len();
        figures.size.push(Who::Limit, size as f64 / KB);
    }
    let Figures { private, proportional, page_tables, busy, sleeps, cpu, descriptors, size, code } = figures;
    Ok(vec![private, proportional, page_tables, busy, sleeps, cpu, descriptors, size, code])
}

fn supervisors(bench: &Bench, who: Who, count: usize, window: Duration, figures: &mut Figures) -> Result<()> {
    let mut sessions = Vec::new();
    for _ in 0..count {
        bench.go_on()?;
        sessions.push(Session::start(bench, who, Log::File, BUSY)?);
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
    for session in &mut sessions {
        session.command(b"g")?;
        let end = Instant::now() + wait::LIMIT;
        while fs::metadata(session.log()).map_err(doing("stat the log"))?.len() <= BUSY.total {
            if Instant::now() > end {
                return Err("the output did not come to the log".into());
            }
            sleep(Duration::from_millis(1));
        }
    }
    sleep(SETTLE);
    for session in sessions {
        figures.busy.push(who, proc::memory(session.supervisor)?.private as f64 / KB);
        session.kill_container()?;
        session.finish()?;
    }
    Ok(())
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
