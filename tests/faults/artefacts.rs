//! Each call that writes what is left of a container made to fail as disks do: the log, both exit files, the
//! exit record. Whichever fails, the others are made, in their order.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use conward_testkit::fake_runtime;

use crate::calls::{Call, parse};
use crate::judge::{effort, faults};
use crate::life::{Life, Seen, live};
use crate::lives::LIVES;

/// A quota that is used up, a disk that has gone, one that was made read-only since it is going.
const ERRORS: [&str; 3] = ["EDQUOT", "EIO", "EROFS"];

/// Lives at the same time: most of each is waiting.
const AT_ONCE: usize = 4;

/// The calls that write, make, name or sync a file.
const CALLS: [&str; 11] = [
    "open",
    "openat",
    "write",
    "pwrite64",
    "writev",
    "ftruncate",
    "fallocate",
    "linkat",
    "rename",
    "fsync",
    "unlink",
];

fn is_of_an_artefact(call: &Call) -> bool {
    let places = ["/ctr.log", "/persist", "/exits", "/control/"];
    let makes =
        !call.name.starts_with("open") || call.text.contains("O_CREAT") || call.text.contains("O_TMPFILE");
    CALLS.contains(&call.name.as_str()) && makes && places.iter().any(|place| call.text.contains(place))
}

/// The lines of the trace at which each is first tried, from the container's end on: exit file of the persistent
/// directory, that of the exit directory, exit record, exit command.
fn tried(trace: &str) -> [Option<usize>; 4] {
    let lines: Vec<&str> = trace.lines().collect();
    let end =
        lines.iter().position(|line| line.contains("WEXITSTATUS(s) == 7")).expect("the container's end");
    let first = |mark: &str| lines[end..].iter().position(|line| line.contains(mark)).map(|at| end + at);
    ["/persist/", "/exits/", "\\\"exit\\\":{\\\"code\\\":7}", "CLONE_VFORK"].map(first)
}

/// What is wrong with the order in which they came.
fn disorder(seen: &Seen) -> Option<String> {
    let tried = tried(&seen.trace);
    let came: Vec<usize> = tried.iter().flatten().copied().collect();
    let logged = seen.trace.lines().collect::<Vec<_>>();
    let logged = logged.iter().rposition(|line| line.contains("write") && line.contains("/ctr.log>"));
    let ordered = came.is_sorted() && logged < came.first().copied();
    (came.len() < 4 || !ordered).then(|| format!("log at {logged:?}, others at {tried:?}"))
}

/// What is wrong with the life in which that call fails.
fn judge(life: &Life, call: &Call, error: &str, lasting: bool, usual: usize) -> Vec<String> {
    let when = format!("{}{}", call.nth, if lasting { "+" } else { "" });
    let fault = format!("{}:error={error}:when={when}", call.name);
    match live(life, &[fault]) {
        Err(hang) => vec![hang.text],
        Ok(seen) => {
            let mut wrong = faults(life, &seen, usual, lasting);
            if seen.ran && seen.messages.first().is_some_and(|(number, _)| *number > 0) {
                wrong.extend(disorder(&seen));
                // One failing step costs nothing but its own.
                if !lasting && seen.exits.iter().any(Option::is_none) {
                    wrong.push(format!("exit files {:?}", seen.exits));
                }
            }
            wrong
        }
    }
}

#[test]
fn each_of_them_fails() {
    let life = LIVES.iter().find(|life| life.name == "plain").expect("a life");
    let seen = live(life, &[]).unwrap_or_else(|hang| panic!("{}", hang.text));
    assert_eq!(disorder(&seen), None);
    let usual = effort(&seen.trace);
    let calls = parse(&seen.trace, &fake_runtime().display().to_string());
    let calls: Vec<&Call> = calls.iter().filter(|call| is_of_an_artefact(call)).collect();
    assert!(calls.len() > 20, "the calls were not found: {}", seen.trace);
    let all = std::env::var("CONWARD_FAULTS").is_ok_and(|wanted| wanted == "all");
    let lasting: &[bool] = if all { &[false, true] } else { &[false] };
    let mut sites = Vec::new();
    for call in calls {
        for error in ERRORS {
            sites.extend(lasting.iter().map(|lasting| (call, error, *lasting)));
        }
    }
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((call, error, lasting)) = sites.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let wrong = judge(life, call, error, *lasting, usual);
                    if !wrong.is_empty() {
                        let text = format!("{} {error}, lasting {lasting}: {wrong:#?}", call.text);
                        found.lock().expect("a list").push(text);
                    }
                }
            });
        }
    });
    let found = found.into_inner().expect("a list");
    assert!(found.is_empty(), "{} of {}: {}", found.len(), sites.len(), found.join("\n"));
}
