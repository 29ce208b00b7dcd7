//! What a life with a fault in it may come to.

use crate::life::{Life, STATUS, Seen};
use crate::visits::TYPED;

/// Processor time that a life may take, in ticks of 10 ms: traced, and on a busy machine.
const TICKS_MAX: u64 = 40;

/// How often the calls of a life may repeat themselves, against one without faults.
const CALLS_MAX: usize = 4;

/// The number of calls in a trace, but for those that look at each process of the machine, of which there may be
/// any number: who is in the session that is to be ended.
pub fn effort(trace: &str) -> usize {
    trace.lines().filter(|line| !line.contains("/stat\"") && !line.contains("/stat>")).count()
}

/// All that is wrong with it. `usual` is the number of calls of a life without faults. A fault that lasts
/// may keep both exit files from being written, and clients from being heard.
pub fn faults(life: &Life, seen: &Seen, usual: usize, lasting: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let said = |text: &str| seen.said.iter().any(|line| line.contains(text));
    if let Some(when) = seen.restless {
        wrong.push(format!("a busy loop {when}"));
    }
    let calls = effort(&seen.trace);
    if seen.ticks > TICKS_MAX || calls > usual * CALLS_MAX {
        wrong.push(format!("{} ticks, {calls} calls", seen.ticks));
    }
    let failed = seen.messages.iter().find(|(number, _)| *number == -1);
    // Without a container there is nothing to be lost, but the caller must learn it.
    if !seen.ran || failed.is_some() {
        match failed {
            Some((_, text)) if text.is_empty() => wrong.push("a failure without a reason".into()),
            // With nothing that can be written the exit status must do.
            None if seen.status == 0 || (seen.said.is_empty() && !lasting) => {
                wrong.push(format!("no container, status {}, and nobody was told", seen.status));
            }
            Some(_) | None => {}
        }
        // A command for a container that the runtime was never asked for would find nothing.
        let asked = seen.trace.contains("CLONE_VFORK");
        if asked && !seen.hook && failed.is_some() && !said("exit command") {
            wrong.push("the exit command did not run after a failure".into());
        }
        if seen.exits.iter().flatten().any(|status| *status != STATUS.to_string()) {
            wrong.push(format!("exit files {:?} of a failed launch", seen.exits));
        }
        return wrong;
    }
    if seen.messages.is_empty() && !said("sync pipe") {
        wrong.push("the caller was not told, and nothing was said".into());
    }
    if seen.status != STATUS {
        wrong.push(format!("status {}", seen.status));
    }
    for (file, name) in seen.exits.iter().zip(["exits/", "persist/"]) {
        match file.as_deref() {
            Some(status) if status == STATUS.to_string() => {}
            Some(status) => wrong.push(format!("{name}: {status:?}")),
            None if said(name) => {}
            None => wrong.push(format!("no {name}, and nothing was said")),
        }
    }
    if !lasting && seen.exits.iter().all(Option::is_none) {
        wrong.push("no exit file at all".into());
    }
    if !seen.hook && !said("exit command") {
        wrong.push("no exit command, and nothing was said".into());
    }
    // What nobody typed is not echoed; where the terminal could not be set up, lines end as they were written.
    let untouched = seen.visit.is_some() || !seen.visited;
    let untyped = untouched && seen.logged == life.output.trim_end_matches(TYPED);
    let raw = said("ONLCR") && seen.logged == life.output.replace('\r', "");
    if seen.logged != life.output && !untyped && !raw && !said("missing from the log") {
        wrong.push(format!("logged {:?}, and nothing was said", seen.logged));
    }
    if life.journal && seen.journal != life.output && !said("missing from the journal") {
        wrong.push(format!("the journal has {:?}, and nothing was said", seen.journal));
    }
    for stage in life.hooks.iter().filter(|stage| !seen.hooked.lines().any(|line| line == **stage)) {
        // What was not deleted has no hooks for that.
        if !(said("hook") || *stage == "deleted" && said("is not deleted")) {
            wrong.push(format!("the {stage} hook did not run, and nothing was said: {:?}", seen.hooked));
        }
    }
    if !seen.left.is_empty() && !said("remove") {
        wrong.push(format!("left: {:?}", seen.left));
    }
    // An answer may stay away while a fault lasts; a wrong one must never come.
    let silent = |missed: &str| !lasting && missed.starts_with("SILENCE");
    wrong.extend(seen.visit.clone().filter(|missed| silent(missed) || missed.starts_with("WRONG")));
    wrong
}
