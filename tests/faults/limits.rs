//! Limits that a running supervisor reaches: descriptors, processes.

use std::fs;
use std::time::Duration;

use conward_testkit::{
    Client, Launch, PATIENCE, Place, Running, Script, Step, conward, descriptors, reference, wait_until,
};

use crate::control::Control;

/// Every request that starts something or opens something, and some that do not.
const REQUESTS: [&str; 13] = [
    "start",
    "state",
    "stats",
    "ps",
    "pause",
    "resume",
    "update,\"resources\":{}",
    "kill,\"signal\":\"WINCH\"",
    "kill,\"signal\":\"WINCH\",\"all\":true",
    "reopen-logs",
    "resize,\"rows\":24,\"cols\":80",
    "checkpoint,\"image\":\"/nonexistent\",\"leave_running\":true",
    "debug",
];

fn launch(place: &Place) -> Launch<'_> {
    let (ran, gate) = (place.path("ran"), place.gate("gate"));
    let steps =
        [Step::AwaitStart, Step::out("a line\n"), Step::Touch(ran), Step::Await(gate.path().to_owned())];
    place.script(&Script::of(steps.into_iter().chain([Step::Exit(7)]).collect::<Vec<_>>()));
    let root = place.path("state");
    let launch = Launch::create(place).control();
    launch.args(["--runtime-arg", "--root", "--runtime-arg"]).arg(root).exit_command("hook.json")
}

fn open_gate(place: &Place) {
    fs::write(place.path("gate"), "\0").expect("a gate");
}

/// Asks everything. Each question has an answer, whatever it is.
fn ask_all(client: &mut Control) -> Vec<String> {
    REQUESTS.iter().map(|request| client.ask(request).unwrap_or_else(|missed| panic!("{missed}"))).collect()
}

fn is_error(answers: &[String], request: &str) -> bool {
    let at = REQUESTS.iter().position(|known| *known == request).expect("a request");
    answers[at].contains("\"error\":")
}

pub fn limit_descriptors(running: &mut Running, limit: u64) {
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: 4096 };
    let pid = running.monitor().pid();
    // SAFETY: the call reads one structure.
    let result = unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut()) };
    assert_eq!(result, 0, "prlimit: {}", std::io::Error::last_os_error());
}

/// The number of the first descriptor that is not open.
pub fn first_free(pid: i32) -> u64 {
    (0..).find(|fd| !fs::exists(format!("/proc/{pid}/fd/{fd}")).expect("descriptors")).expect("a number")
}

#[test]
fn without_a_descriptor_each_request_is_answered_and_the_container_goes_on() {
    let place = Place::new(conward());
    let mut running = launch(&place).start().created();
    // The reference has no socket to ask by.
    let asked = || Control::connect(&place, PATIENCE).expect("a client");
    let mut client = (conward() != reference()).then(asked);
    let pid = running.monitor().pid();
    limit_descriptors(&mut running, first_free(pid));
    if let Some(client) = &mut client {
        let answers = ask_all(client);
        // The container waits still, since nothing could be started for that.
        assert!(is_error(&answers, "start") && is_error(&answers, "ps"), "{answers:#?}");
        assert!(!is_error(&answers, "state") && !is_error(&answers, "debug"), "{answers:#?}");
    }
    let before = running.monitor().cpu_ticks();
    // For this one there is no descriptor; it waits without being known.
    let late = Client::connect(&place.bundle().join("attach"));
    assert_eq!(late.packet(Duration::from_millis(1200)), None, "it was accepted, or refused");
    assert!(running.monitor().cpu_ticks() - before < 20, "a busy loop");
    limit_descriptors(&mut running, 1024);
    place.start_container();
    assert_eq!(late.read_until("a line\n"), b"a line\n");
    wait_until("the container runs", || place.path("ran").exists());
    if let Some(client) = &mut client {
        assert!(!is_error(&ask_all(client), "stats"), "stats");
    }
    drop((late, client));
    open_gate(&place);
    assert_eq!(running.status(), 7);
    assert_eq!((place.exit_file().as_deref(), place.persist_exit().as_deref()), (Some("7"), Some("7")));
}

#[test]
fn even_at_its_end_the_status_is_told_without_a_descriptor() {
    let place = Place::new(conward());
    let mut running = launch(&place).start().created();
    place.start_container();
    wait_until("the container runs", || place.path("ran").exists());
    let pid = running.monitor().pid();
    limit_descriptors(&mut running, first_free(pid));
    open_gate(&place);
    assert_eq!(running.status(), 7);
    assert_eq!((place.exit_file().as_deref(), place.persist_exit().as_deref()), (Some("7"), Some("7")));
    assert!(place.path("hook.json").exists(), "the exit command");
}

#[test]
fn without_a_process_each_request_is_answered_and_the_status_told() {
    for error in ["EAGAIN", "ENOMEM"] {
        let place = Place::new(conward());
        // The first is the runtime that creates the container.
        let faults = [format!("clone:error={error}:when=2+")];
        let launch = launch(&place).sync().injected(&faults, false, place.path("trace"));
        let mut running = launch.start().created();
        let mut client = Control::connect(&place, PATIENCE).expect("a client");
        let answers = ask_all(&mut client);
        assert!(is_error(&answers, "start") && is_error(&answers, "pause"), "{answers:#?}");
        let open = descriptors(running.monitor().pid()).len();
        ask_all(&mut client);
        assert_eq!(descriptors(running.monitor().pid()).len(), open, "descriptors are left of what failed");
        drop(client);
        place.start_container();
        open_gate(&place);
        assert_eq!(running.status(), 7, "{error}");
        assert_eq!(place.exit_file().as_deref(), Some("7"), "{error}");
        assert!(!place.path("hook.json").exists(), "the fault did not come to pass");
    }
}
