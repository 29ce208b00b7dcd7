//! Every call of a life made to fail, in each of the ways in which it may.

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use conward_testkit::{conward, fake_runtime, reference};

use crate::calls::{Call, errors, parse};
use crate::judge::{effort, faults};
use crate::life::{Hang, Life, Seen, live};
use crate::lives::LIVES;

/// Lives at the same time: most of each is waiting.
const AT_ONCE: usize = 4;

/// One call made to fail.
struct Site {
    call: Call,
    error: &'static str,
    /// All later calls of this name fail too, as they do on a disk that stays full.
    lasting: bool,
}

/// All sites of a life, and the effort of one without faults.
fn sites(life: &Life) -> (Vec<Site>, usize) {
    let seen = live(life, &[]).unwrap_or_else(|hang| panic!("{}: {}", life.name, hang.text));
    let usual = effort(&seen.trace);
    assert_eq!(faults(life, &seen, usual, false), [""; 0], "without any fault: {seen:#?}");
    assert_eq!(seen.visit, None, "without any fault");
    assert!(seen.ran && seen.logged == life.output && seen.hook, "without any fault: {seen:#?}");
    let calls = parse(&seen.trace, &fake_runtime().display().to_string());
    assert!(calls.len() > 100, "the beginning of the program was not found: {}", seen.trace);
    let mut sites = Vec::new();
    for call in calls {
        // What the reference does besides is not looked into.
        let other = (conward() == reference()).then_some(&[][..]);
        let errors = errors(&call).or(other).unwrap_or_else(|| panic!("{}: how may it fail?", call.text));
        sites.extend(errors.iter().map(|error| Site { call: call.clone(), error, lasting: false }));
        // A call that is interrupted for ever is not to be outlived, nor is a kernel that reads nothing any more,
        // not even signals; and what syslog is told with is the witness.
        let once = ["read", "readv", "sendto"].contains(&call.name.as_str());
        let lasting = errors.iter().filter(|error| !once && !["EINTR", "ECONNABORTED"].contains(error));
        sites.extend(lasting.map(|error| Site { call: call.clone(), error, lasting: true }));
    }
    (sites, usual)
}

/// Which of the sites are tried: all when `CONWARD_FAULTS=all`, one where it names it
/// (`plain:openat:12:EIO`), else each `SAMPLE`th, others in each life.
fn is_wanted(life: &Life, index: usize, site: &Site) -> bool {
    const SAMPLE: usize = 11;
    match std::env::var("CONWARD_FAULTS").as_deref() {
        Ok("all") => true,
        Ok(name) => name == title(life, site),
        Err(_) => (index + life.name.len()).is_multiple_of(SAMPLE),
    }
}

/// In strace's words.
fn when(site: &Site) -> String {
    format!("{}{}", site.call.nth, if site.lasting { "+" } else { "" })
}

fn title(life: &Life, site: &Site) -> String {
    format!("{}:{}:{}:{}", life.name, site.call.name, when(site), site.error)
}

/// Whether the calls that were made to fail may fail so, as far as there are any.
fn befits(trace: &str, error: &str) -> bool {
    let injected = parse(trace, "").into_iter().filter(|call| call.text.contains("(INJECTED)"));
    injected.into_iter().all(|call| errors(&call).is_none_or(|errors| errors.contains(&error)))
}

/// What is wrong with the life in which that call fails; it counts those whose call did come.
fn judge(life: &Life, site: &Site, usual: usize, came: &AtomicUsize) -> Option<String> {
    let fault = format!("{}:error={}:when={}", site.call.name, site.error, when(site));
    let outcome = catch_unwind(|| match live(life, &[fault]) {
        // The order of some calls is chance: another one was made to fail, in a way in which it cannot.
        Err(Hang { trace, .. }) | Ok(Seen { trace, .. }) if !site.lasting && !befits(&trace, site.error) => {
            Vec::new()
        }
        Err(hang) => vec![hang.text],
        Ok(seen) => {
            came.fetch_add(usize::from(seen.trace.contains("(INJECTED)")), Ordering::Relaxed);
            let wrong = faults(life, &seen, usual, site.lasting);
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
    let (next, came, found) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(0));
    // What a life panics with is told at the end, once.
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(site) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(wrong) = judge(life, site, usual, &came) {
                        *found.lock().expect("a count") += 1;
                        eprintln!("{wrong}");
                    }
                }
            });
        }
    });
    let _ = std::panic::take_hook();
    let (found, came) = (found.into_inner().expect("a count"), came.into_inner());
    println!("{}: {} of {} faults tried, {came} came to pass", life.name, wanted.len(), sites.len());
    assert_eq!(found, 0, "so many of {} faults are not borne", wanted.len());
    // The order of some calls is chance, so that the last of a kind may not come.
    assert!(came * 10 >= wanted.len() * 8, "{came} of {} faults came to pass", wanted.len());
}

macro_rules! sweeps {
    ($($name:ident)*) => {
        $(#[test] fn $name() {
            sweep(LIVES.iter().find(|life| life.name == stringify!($name)).expect("a life"));
        })*
    };
}

sweeps! { plain detached visited terminal exec journald hooks session handed }
