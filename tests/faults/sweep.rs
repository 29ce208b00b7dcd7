//! Every call of a life made to fail, in each of the ways in which it may.

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use conward_testkit::fake_runtime;

use crate::calls::{Call, errors, parse};
use crate::judge::faults;
use crate::life::{Life, live};
use crate::lives::LIVES;

/// Lives at the same time: most of each is waiting.
const AT_ONCE: usize = 4;

/// One call made to fail.
struct Site {
    call: Call,
    error: &'static str,
}

/// All sites of a life, and the number of lines of its trace.
fn sites(life: &Life) -> (Vec<Site>, usize) {
    let seen = live(life, &[]).unwrap_or_else(|hang| panic!("{}: {hang}", life.name));
    let usual = seen.trace.lines().count();
    assert_eq!(faults(life, &seen, usual), [""; 0], "without any fault: {seen:#?}");
    assert_eq!(seen.visit, None, "without any fault");
    assert!(seen.ran && seen.logged == life.output && seen.hook, "without any fault: {seen:#?}");
    let calls = parse(&seen.trace, &fake_runtime().display().to_string());
    assert!(calls.len() > 100, "the beginning of the program was not found: {}", seen.trace);
    let mut sites = Vec::new();
    for call in calls {
        let errors = errors(&call).unwrap_or_else(|| panic!("{}: how may it fail?", call.text));
        sites.extend(errors.iter().map(|error| Site { call: call.clone(), error }));
    }
    (sites, usual)
}

/// Which of the sites are tried: all when `CONWARD_FAULTS=all`, one where it names it
/// (`plain:openat:12:EIO`), else each `SAMPLE`th, others in each life.
fn is_wanted(life: &Life, index: usize, site: &Site) -> bool {
    const SAMPLE: usize = 12;
    match std::env::var("CONWARD_FAULTS").as_deref() {
        Ok("all") => true,
        Ok(name) => name == title(life, site),
        Err(_) => (index + life.name.len()).is_multiple_of(SAMPLE),
    }
}

fn title(life: &Life, site: &Site) -> String {
    format!("{}:{}:{}:{}", life.name, site.call.name, site.call.nth, site.error)
}

fn judge(life: &Life, site: &Site, usual: usize) -> Option<String> {
    let fault = format!("{}:error={}:when={}", site.call.name, site.error, site.call.nth);
    let outcome = catch_unwind(|| match live(life, &[fault]) {
        Err(hang) => vec![hang],
        Ok(seen) => {
            let wrong = faults(life, &seen, usual);
            let details = || format!("{:?} {} {:?}", seen.messages, seen.status, seen.said);
            if wrong.is_empty() { wrong } else { wrong.into_iter().chain([details()]).collect() }
        }
    });
    let wrong = outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        vec![text.unwrap_or_else(|| "the test panicked".into())]
    });
    let text = || format!("{}\n    {}\n    {}", title(life, site), site.call.text, wrong.join("\n    "));
    (!wrong.is_empty()).then(text)
}

fn sweep(life: &Life) {
    let (sites, usual) = sites(life);
    let wanted: Vec<&Site> = sites
        .iter()
        .enumerate()
        .filter(|(index, site)| is_wanted(life, *index, site))
        .map(|(_, site)| site)
        .collect();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    // What a life panics with is told at the end, once.
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(site) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let wrong = judge(life, site, usual);
                    if let Some(wrong) = &wrong {
                        eprintln!("{wrong}");
                    }
                    found.lock().expect("failures").extend(wrong);
                }
            });
        }
    });
    let _ = std::panic::take_hook();
    let found = found.into_inner().expect("failures");
    let count = (found.len(), wanted.len(), sites.len());
    println!("{}: {} of {} sites tried", life.name, count.1, count.2);
    assert!(found.is_empty(), "{} of {} faults are not borne", count.0, count.1);
}

macro_rules! sweeps {
    ($($name:ident)*) => {
        $(#[test] fn $name() {
            sweep(LIVES.iter().find(|life| life.name == stringify!($name)).expect("a life"));
        })*
    };
}

sweeps! { plain detached visited terminal exec }
