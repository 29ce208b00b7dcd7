//! How long the caller waits: for the container's pid, for the exit file, for an exec's exit code.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::series::{Better, Series, Who};
use crate::spawn::{Launched, Log, Output, Place, Session, Starting};
use crate::{Bench, Result, doing, limits, wait};

/// A container that waits to be killed.
const SILENT: Output = Output { line: 80, total: 0 };

/// How many containers are started at once: what users run in parallel and find slow.
const BURST: usize = 32;

/// Starts a container and kills it, again and again.
pub fn run(bench: &Bench) -> Result<Vec<Series>> {
    let mut start = Series::new("spawn to pid on the sync pipe", "ms", Better::Less, "the stub alone");
    let limit = "a bare parent that waits and renames a file";
    let mut death = Series::new("container death to exit file", "ms", Better::Less, limit);
    bench.alternately(if bench.args.quick { 3 } else { 200 }, |who| {
        let (to_pid, to_file) = match who {
            Who::Limit => {
                let place = Place::new(bench, SILENT)?;
                let (pid, to_pid) = place.start_bare(&bench.args.stub, Stdio::null())?;
                let to_file = limits::death(&place, pid)?;
                place.remove()?;
                (to_pid, to_file)
            }
            Who::Ours | Who::Reference => {
                let session = Session::start(bench, who, Log::File, SILENT)?;
                (session.pid_at - session.begin(), end(session)?)
            }
        };
        start.push(who, to_pid.as_secs_f64() * 1e3);
        death.push(who, to_file.as_secs_f64() * 1e3);
        Ok(())
    })?;
    Ok(vec![start, death])
}

/// Kills the container and waits for the supervisor's end; gives the time until the exit file.
fn end(session: Session) -> Result<Duration> {
    let exits = session.watch()?;
    let begin = Instant::now();
    session.kill_container()?;
    let took = session.exit_file(&exits, "137")? - begin;
    session.finish()?;
    Ok(took)
}

/// Starts many containers at the same moment.
pub fn run_burst(bench: &Bench) -> Result<Vec<Series>> {
    let name = format!("{BURST} spawned at once to the last pid");
    let mut series = Series::new(name, "ms", Better::Less, "");
    bench.alternately(if bench.args.quick { 1 } else { 20 }, |who| {
        if who == Who::Limit {
            return Ok(());
        }
        let mut starting = Vec::new();
        for _ in 0..BURST {
            starting.push(Starting::new(bench, who, Log::File, SILENT)?);
        }
        let sessions: Vec<Session> = starting.into_iter().map(Starting::ready).collect::<Result<_>>()?;
        let (begin, last) =
            (sessions.iter().map(Session::begin).min(), sessions.iter().map(|s| s.pid_at).max());
        if let (Some(begin), Some(last)) = (begin, last) {
            series.push(who, (last - begin).as_secs_f64() * 1e3);
        }
        sessions.into_iter().try_for_each(|session| end(session).map(drop))
    })?;
    Ok(vec![series])
}

/// Runs exec sessions whose process ends at once, as a health check does.
pub fn run_exec(bench: &Bench) -> Result<Vec<Series>> {
    let mut series =
        Series::new("exec: spawn to exit code on the sync pipe", "ms", Better::Less, "the stub alone");
    bench.alternately(if bench.args.quick { 3 } else { 200 }, |who| {
        let place = Place::new(bench, SILENT)?;
        let spec = place.path("spec");
        fs::write(&spec, "- 1 0\n").map_err(doing("write the exec's orders"))?;
        let took = match who {
            Who::Limit => {
                fs::copy(&spec, place.path("bundle/stub")).map_err(doing("write the stub's orders"))?;
                let begin = Instant::now();
                let (pid, _) = place.start_bare(&bench.args.stub, Stdio::null())?;
                wait::reap(pid)?;
                begin.elapsed()
            }
            Who::Ours | Who::Reference => exec(bench, who, &place, &spec)?,
        };
        series.push(who, took.as_secs_f64() * 1e3);
        place.remove()
    })?;
    Ok(vec![series])
}

fn exec(bench: &Bench, who: Who, place: &Place, spec: &Path) -> Result<Duration> {
    let (bundle, pid_file, own_pid_file) =
        (place.path("bundle"), place.path("pidfile"), place.path("conmon.pid"));
    let (exit_dir, persist_dir) = (place.path("exits"), place.path("persist"));
    #[rustfmt::skip]
    let mut launched = Launched::new(bench.program(who), place, &[
        &"--api-version", &"-c", &place.id, &"-u", &"session", &"-r", &bench.args.stub, &"-b", &bundle,
        &"-p", &pid_file, &"-n", &"bench", &"--exit-dir", &exit_dir, &"--persist-dir", &persist_dir,
        &"--full-attach", &"-l", &"none", &"--log-level", &"error", &"--conmon-pidfile", &own_pid_file,
        &"-e", &"--exec-process-spec", &spec,
    ])?;
    launched.number(place)?;
    let (code, end) = launched.number(place)?;
    if code != 0 {
        return Err(format!("the exec's exit code is {code}"));
    }
    wait::reap(launched.supervisor(place)?)?;
    Ok(end - launched.begin)
}
