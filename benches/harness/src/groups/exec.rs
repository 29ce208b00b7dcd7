//! How long the caller of an exec session waits for its exit code.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::place::{Output, Place};
use crate::series::{Better, Series, Target, Who};
use crate::spawn::Launched;
use crate::{Bench, Result, doing, wait};

/// Runs exec sessions whose process ends at once, as a health check does.
pub fn run(bench: &Bench) -> Result<Vec<Series>> {
    let mut series = Series::new("exec: spawn to exit code", "ms", Better::Less)
        .limit("the stub alone")
        .target(Target::TimesAtMost(0.5));
    bench.alternately(if bench.args.quick { 3 } else { 200 }, |who| {
        let place = Place::new(bench, Output::SILENT)?;
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
            Who::Ours | Who::Reference => supervised(bench, who, &place, &spec)?,
        };
        series.push(who, took.as_secs_f64() * 1e3);
        place.remove()
    })?;
    Ok(vec![series])
}

fn supervised(bench: &Bench, who: Who, place: &Place, spec: &Path) -> Result<Duration> {
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
