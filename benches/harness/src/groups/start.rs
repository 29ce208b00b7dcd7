//! How long the caller waits for the container's pid, and for the exit file.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::place::{Output, Place};
use crate::series::{Better, Series, Target, Who};
use crate::spawn::{Log, Session, Wish};
use crate::{Bench, Result, doing, wait};

/// Starts a container and kills it, again and again.
pub fn run(bench: &Bench) -> Result<Vec<Series>> {
    let mut start = Series::new("spawn to pid", "ms", Better::Less)
        .limit("the stub alone")
        .target(Target::TimesAtMost(0.5));
    let mut death = Series::new("container death to exit file", "ms", Better::Less)
        .limit("a bare parent that waits and renames a file")
        .target(Target::TimesAtMost(0.7));
    bench.alternately(if bench.args.quick { 3 } else { 200 }, |who| {
        let (to_pid, to_file) = match who {
            Who::Limit => {
                let place = Place::new(bench, Output::SILENT)?;
                let (pid, to_pid) = place.start_bare(&bench.args.stub, Stdio::null())?;
                let to_file = bare_death(&place, pid)?;
                place.remove()?;
                (to_pid, to_file)
            }
            Who::Ours | Who::Reference => {
                let session = Session::start(bench, who, Wish::new(Log::File, Output::SILENT))?;
                (session.start_time(), session_death(session)?)
            }
        };
        start.push(who, to_pid.as_secs_f64() * 1e3);
        death.push(who, to_file.as_secs_f64() * 1e3);
        Ok(())
    })?;
    Ok(vec![start, death])
}

/// Kills the container and waits for the supervisor's end; gives the time until the exit file.
fn session_death(session: Session) -> Result<Duration> {
    let exits = session.watch()?;
    let begin = Instant::now();
    session.kill_container()?;
    let took = session.exit_file(&exits, "137")? - begin;
    session.finish()?;
    Ok(took)
}

/// A bare parent that waits for the container and leaves an exit file, from the kill to the event.
fn bare_death(place: &Place, pid: Pid) -> Result<Duration> {
    let dir = place.path("exits");
    let events = Inotify::init(InitFlags::IN_CLOEXEC).map_err(doing("make an inotify descriptor"))?;
    events.add_watch(&dir, AddWatchFlags::IN_MOVED_TO).map_err(doing("watch the exit directory"))?;
    let begin = Instant::now();
    kill(pid, Signal::SIGKILL).map_err(doing("kill the container"))?;
    nix::sys::wait::waitpid(pid, None).map_err(doing("wait for the container"))?;
    fs::write(dir.join("new"), "137").map_err(doing("write an exit file"))?;
    fs::rename(dir.join("new"), dir.join("exit")).map_err(doing("rename an exit file"))?;
    wait::must_read("the exit file", &events)?;
    events.read_events().map_err(doing("read the exit directory's events"))?;
    Ok(begin.elapsed())
}
