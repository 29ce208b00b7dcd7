//! What the supervisor may do once the container is created, and what the programs may that it starts.
//! These tests need root: nobody else has anything to drop.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use conward_protocol::State;
use conward_testkit::{Place, Record, Script, Step, fake_runtime, wait_until};

use crate::client::Client;
use crate::{launch, place};

/// The one who owns nothing, and whom containers often run as.
pub const NOBODY: u32 = 65534;
/// CAP_KILL and CAP_SYS_RESOURCE (linux/capability.h).
const MODEST: u64 = 1 << 5 | 1 << 24;
/// CAP_DAC_OVERRIDE.
const OVERRIDE: u64 = 1 << 1;
/// CAP_SYS_PTRACE.
const TRACE: u64 = 1 << 19;

/// The sets of a process, from `/proc/PID/status`.
#[derive(Debug, PartialEq)]
struct Sets {
    inheritable: u64,
    permitted: u64,
    effective: u64,
    bounding: u64,
    ambient: u64,
}

fn sets(status: &BTreeMap<String, String>) -> Sets {
    let set = |name: &str| u64::from_str_radix(&status[name], 16).expect("a set of capabilities");
    Sets {
        inheritable: set("CapInh"),
        permitted: set("CapPrm"),
        effective: set("CapEff"),
        bounding: set("CapBnd"),
        ambient: set("CapAmb"),
    }
}

fn sets_of(pid: impl std::fmt::Display) -> Sets {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("status of a process");
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    sets(&lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
}

/// What a process of root's has if nobody interferes.
fn all() -> u64 {
    assert!(nix::unistd::geteuid().is_root(), "these tests need root");
    sets_of("self").bounding
}

fn assert_modest(sets: &Sets, bounding: u64) {
    let kept = MODEST & bounding;
    assert_eq!(*sets, Sets { inheritable: 0, permitted: kept, effective: kept, bounding, ambient: 0 });
}

fn assert_full(place: &Place, record: &str, full: u64) {
    let record = Record::read(&place.path(record)).expect("a record");
    let sets = sets(&record.status);
    assert_eq!((sets.permitted, sets.effective, sets.bounding), (full, full, full), "{:?}", record.argv);
    let own = fs::read_to_string("/proc/self/limits").expect("limits");
    assert_eq!(record.limits, own, "{:?}", record.argv);
}

/// Everybody who is started, by when: `create` before the supervisor drops anything, the others after it.
#[test]
fn two_capabilities_are_kept_and_children_have_all() {
    let full = all();
    // As root of the host, as root of a user namespace, and without one capability or another from the beginning.
    let ways: [(&[&str], u64); 4] = [
        (&[], full),
        (&["unshare", "--user", "--map-root-user"], u64::MAX),
        (&["setpriv", "--bounding-set", "-kill"], full & !(1 << 5)),
        (&["setpriv", "--bounding-set", "-sys_ptrace"], full & !TRACE),
    ];
    for (prefix, full) in ways {
        let place = place();
        let records = |name: &str| [Step::Record(place.path(name))];
        let script =
            Script { record: Some(place.path("create")), ..Script::of([Step::AwaitStart, Step::Pause]) };
        let script = script.at("start", records("start")).at("pause", records("pause"));
        place.script(&script);
        let hook = place.path("hook.sh");
        let record =
            format!("#!/bin/sh\nexec {} record {}\n", fake_runtime().display(), place.path("hook").display());
        fs::write(&hook, record).expect("a hook");
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("chmod");
        let launch = launch(&place).through(prefix).exit_command("exit");
        let hook = format!("exited={}", hook.display());
        let mut running = launch.args(["--hook", &hook, "--pin-namespaces"]).start().created();
        let supervisor = sets_of(running.monitor().pid());
        // A user namespace begins with all that the kernel knows.
        let full = if full == u64::MAX { supervisor.bounding } else { full };
        assert_modest(&supervisor, full);
        let mut client = Client::connect(&place);
        for request in ["start", "pause", "resume", "kill KILL"] {
            client.ok(request);
        }
        assert_eq!(running.status(), 137, "{prefix:?}");
        for record in ["create", "start", "pause", "hook", "exit"] {
            assert_full(&place, record, full);
        }
        // Its namespaces were opened while that was allowed.
        let hook = Record::read(&place.path("hook")).expect("record of the hook");
        assert!(hook.fds.values().any(|name| name.starts_with("mnt:[")), "{:?}", hook.fds);
    }
}

/// Where `/proc` hides processes, one is still noticed that others have started.
#[test]
fn a_proc_that_hides_processes_is_seen_through() {
    let full = all();
    let place = place();
    let program = ["sleep", "1000"].map(str::to_owned).to_vec();
    place.script(&Script::of([Step::AwaitStart, Step::Become(program)]));
    // For all but a group of which nobody is: without one it is that of root.
    let hide = "mount -t proc -o hidepid=invisible,gid=64999 proc /proc";
    let mut running = launch(&place).mounts(hide).start().created();
    let kept = (MODEST | TRACE) & full;
    let sets = sets_of(running.monitor().pid());
    assert_eq!((sets.permitted, sets.effective), (kept, kept));
    let mut client = Client::connect(&place);
    place.start_container();
    wait_until("the start is noticed", || client.state().state == State::Running);
    client.ok("kill KILL");
    running.status();
}

#[test]
fn state_names_what_is_held() {
    let full = all();
    for (prefix, held) in [(&[][..], MODEST & full), (&["setpriv", "--no-new-privs"], full)] {
        let place = place();
        place.script(&Script::of([Step::AwaitStart, Step::Pause]));
        let running = launch(&place).through(prefix).start().created();
        let mut client = Client::connect(&place);
        let names = client.state().capabilities;
        assert_eq!(names.len(), held.count_ones() as usize, "{names:?}");
        assert!(names.iter().all(|name| name.starts_with("CAP_")), "{names:?}");
        for (bit, name) in [(5, "CAP_KILL"), (21, "CAP_SYS_ADMIN"), (24, "CAP_SYS_RESOURCE")] {
            assert_eq!(names.iter().any(|held| held == name), held >> bit & 1 == 1, "{name}: {names:?}");
        }
        client.ok("kill KILL");
        drop(running);
    }
}

/// With no_new_privs an execve(2) gives nothing back, so nothing is dropped that the runtime will need.
#[test]
fn nothing_is_dropped_that_children_could_not_have_back() {
    let full = all();
    let place = place();
    let script = Script::of([Step::AwaitStart, Step::Pause]).at("start", [Step::Record(place.path("start"))]);
    place.script(&script);
    let launch = launch(&place).through(["setpriv", "--no-new-privs"]);
    let mut running = launch.exit_command("exit").start().created();
    let supervisor = sets_of(running.monitor().pid());
    assert_eq!((supervisor.permitted, supervisor.effective), (full, full));
    let mut client = Client::connect(&place);
    client.ok("start");
    client.ok("kill KILL");
    assert_eq!(running.status(), 137);
    for record in ["start", "exit"] {
        assert_full(&place, record, full);
    }
}

/// Gives a path to somebody else, who lets nobody in.
fn give_away(path: &Path) {
    let mode = if path.is_dir() { 0o700 } else { 0o600 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    chown(path, Some(NOBODY), Some(NOBODY)).expect("chown");
}

#[test]
fn places_of_others_can_still_be_written_to() {
    let full = all();
    for foreign in ["exits", "persist", "logs", "logs/ctr.log", "control", "bundle", "bundle/config.json"] {
        let place = place();
        fs::create_dir(place.path("logs")).expect("a directory");
        fs::create_dir(place.path("control")).expect("a directory");
        for file in ["logs/ctr.log", "bundle/config.json"] {
            fs::write(place.path(file), "{}").expect("a file");
        }
        give_away(&place.path(foreign));
        place.script(&Script::of([Step::AwaitStart, Step::out("told\n"), Step::Pause]));
        let log = format!("k8s-file:{}", place.path("logs/ctr.log").display());
        let mut running = launch(&place).args(["-l", &log]).start().created();
        let held = (MODEST | OVERRIDE) & full;
        assert_eq!(sets_of(running.monitor().pid()).effective, held, "{foreign}");
        let mut client = Client::connect(&place);
        client.ok("reopen-logs");
        client.ok("start");
        let logged = || fs::read_to_string(place.path("logs/ctr.log")).is_ok_and(|log| log.contains("told"));
        wait_until("it is logged", logged);
        client.ok("stop timeout_ms=20000");
        assert_eq!(running.status(), 143, "{foreign}");
        assert_eq!(place.exit_file().as_deref(), Some("143"), "{foreign}");
        assert_eq!(place.persist_exit().as_deref(), Some("143"), "{foreign}");
    }
}

/// `setpriv` to another user's identity, without any capability.
pub fn as_nobody(words: &[&str]) -> Vec<String> {
    let user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    user.iter().chain(words).map(|&word| word.to_owned()).collect()
}

#[test]
fn containers_of_other_users_get_their_signals() {
    all();
    for (request, status) in [("kill TERM", 143), ("stop timeout_ms=0", 137), ("stop", 143)] {
        let place = place();
        place.script(&Script::of([Step::AwaitStart, Step::Become(as_nobody(&["sleep", "1000"]))]));
        let mut running = launch(&place).start();
        running.go();
        let pid = running.pid();
        let mut client = Client::connect(&place);
        client.ok("start");
        let name = || fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        wait_until("it is another user's", || name() == "sleep\n");
        client.ok(request);
        assert_eq!(running.status(), status, "{request}");
    }
}

/// What spares the supervisor when memory runs out is not for those whom it starts, not even as a right
/// to take it (oom_score_adj_min of the kernel, which a child inherits).
#[test]
fn later_programs_cannot_have_themselves_spared() {
    all();
    let place = place();
    let tries = as_nobody(&["sh", "-c", "if echo -1000 >/proc/self/oom_score_adj; then exit 1; fi"]);
    place.script(&Script::of([Step::AwaitStart, Step::Pause]).at("start", [Step::Become(tries)]));
    let mut running = launch(&place).start().created();
    let mut client = Client::connect(&place);
    client.ok("start");
    client.ok("kill KILL");
    assert_eq!(running.status(), 137);
}
