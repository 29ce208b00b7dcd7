//! File systems that are full, and limits that are reached.

use crate::place;
use conward_testkit::{Host, Launch, Place, Running, Script, Step, wait_until};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A container that ends with 7 at a byte, whose exit directory has no room.
fn launch(place: &Place) -> (Running<'_>, OwnedFd) {
    place.script(&Script::of([Step::AwaitStart, Step::Exit(7)]));
    let exits = place.path("exits").display().to_string();
    let mounts = format!(
        "mount -t tmpfs -o size=4096 full {exits}\n\
         head -c 4096 /dev/zero >{exits}/filler"
    );
    let mut running = Launch::create(place).mounts(&mounts).exit_command("hook.json").start().created();
    let seen = format!("/proc/{}/root{exits}", running.monitor().pid());
    // Held open, it outlives the supervisor's mount namespace.
    let dir = File::open(seen).expect("the directory that the supervisor sees");
    place.start_container();
    place.await_file("hook.json");
    assert_eq!(place.persist_exit().as_deref(), Some("7"), "one is held up by the other");
    (running, dir.into())
}

fn inside(dir: &OwnedFd, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()))
}

fn text(path: PathBuf) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.read_to_string(&mut text).ok().map(|_| text)
}

#[test]
fn an_exit_file_without_room_is_written_when_there_is_some() {
    let place = place();
    let (mut running, dir) = launch(&place);
    assert_eq!(text(inside(&dir, place.id())), None, "there was room");
    std::fs::remove_file(inside(&dir, "filler")).expect("make room");
    wait_until("the exit file", || text(inside(&dir, place.id())).is_some());
    assert_eq!(text(inside(&dir, place.id())).as_deref(), Some("7"));
    assert_eq!(running.status(), 7);
}

#[test]
fn one_that_never_gets_room_keeps_nobody_for_long() {
    let place = place();
    let (mut running, dir) = launch(&place);
    let since = Instant::now();
    assert_eq!(running.status(), 7);
    assert!(since.elapsed() > Duration::from_secs(2), "given up after {:?}", since.elapsed());
    let left = std::fs::read_dir(inside(&dir, "")).expect("the directory");
    let left: Vec<_> = left.map(|entry| entry.expect("an entry").file_name()).collect();
    assert_eq!(left, ["filler"], "something half-made is left");
}

#[test]
fn what_the_limit_of_the_log_withholds_is_told() {
    let place = place();
    let host = Host::new(&place);
    place.script(&Script::of([Step::out(&"123456789\n".repeat(20))]));
    // A record of ten bytes has 54.
    let limit = ["--log-global-size-max", "540", "--log-level", "info", "--syslog"];
    let mut running = Launch::create(&place).host(&host).args(limit).start().created();
    running.status();
    let logged = place.log_records().len();
    assert!((1..20).contains(&logged), "{logged} lines were logged");
    let wanted = format!("{} bytes of stdout are beyond the limit of the log file", (20 - logged) * 10);
    let told: Vec<String> = std::iter::from_fn(|| host.syslog(Duration::ZERO)).collect();
    assert!(told.iter().any(|line| line.ends_with(&wanted)), "{wanted}: {told:?}");
}
