//! Hooks that do what they should not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use conward_protocol::Exit;
use conward_protocol::limits::HOOK_OUTPUT_MAX;
use conward_protocol::record::HookStage;
use conward_testkit::{Process, Step, children, descriptors, wait_until};

use super::{brief, ending, hook, option, record};
use crate::client::Client;
use crate::{launch, place, started};

/// All of them, one after the other, in one life that ends as it would have without.
#[test]
fn none_stops_the_rest() {
    let place = place();
    let table = [
        ("fails", "echo why >&2; exit 3", "exit status 3"),
        ("dies", "kill -9 $$", "signal 9"),
        ("hangs", "echo before; exec sleep 1000", "time limit"),
        ("deaf", "trap '' TERM INT; while :; do sleep 1000; done", "time limit"),
        ("stops", "kill -STOP $$", "time limit"),
        ("forks", "sleep 1000 & echo $! >$P/left; echo parent", "exit status 0"),
        ("hangs-in-a-child", "sleep 1000 & echo $! >$P/killed; wait", "time limit"),
        ("floods", "exec yes", "time limit"),
        ("mute", "exec <&- >&- 2>&-; exit 0", "exit status 0"),
        ("deletes", "rm -f $0", "exit status 0"),
    ];
    let mut args = vec!["--keep-state".to_owned(), "--hook-timeout=1".into()];
    for (name, script, _) in table {
        args.push(option(HookStage::Exited, &hook(&place, name, script)));
    }
    let text = place.path("text");
    fs::write(&text, "no program").expect("a file");
    args.push(option(HookStage::Exited, &text));
    fs::write(place.path("noise"), [0; 9]).expect("a file");
    fs::set_permissions(place.path("noise"), fs::Permissions::from_mode(0o755)).expect("chmod");
    args.push(option(HookStage::Exited, &place.path("noise")));
    args.extend([
        option(HookStage::Exited, &place.path("missing")),
        option(HookStage::Exited, &place.path("")),
    ]);
    args.push(option(HookStage::Exited, &hook(&place, "last", "touch $P/last")));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (mut running, client) = started(&place, ending(), &args);
    drop(client);
    let monitor = running.monitor().pid();
    wait_until("the last has run", || place.path("last").exists() || Process::open(monitor).is_none());
    assert_eq!(running.status(), 7);
    assert_eq!(place.exit_file().as_deref(), Some("7"));

    let record = record(&place);
    assert_eq!(record.exit, Exit::Code(7));
    let mut wanted: Vec<String> =
        table.iter().map(|(name, _, outcome)| format!("exited {name}: {outcome}")).collect();
    wanted.push("exited text: Permission denied".into());
    wanted.push("exited noise: Exec format error".into());
    wanted.push("exited missing: No such file or directory".into());
    let root = place.path("x").parent().unwrap().file_name().unwrap().display().to_string();
    wanted.push(format!("exited {root}: Permission denied"));
    wanted.push("exited last: exit status 0".into());
    assert_eq!(brief(&record.hooks), wanted);
    let output = |name: &str| {
        let found = record.hooks.iter().find(|hook| hook.path.ends_with(&format!("/{name}")));
        found.expect("an outcome").output.clone()
    };
    assert_eq!(output("fails"), "why\n");
    assert_eq!(output("hangs"), "before\n");
    assert_eq!(output("forks"), "parent\n");
    assert_eq!(output("floods"), "y\n".repeat(HOOK_OUTPUT_MAX / 2));
    for hook in record.hooks.iter().filter(|hook| hook.exit == Some(Exit::TimedOut)) {
        assert!((1000..20_000).contains(&hook.duration_ms), "{hook:?}");
    }

    // One that forks on purpose is left alone, one that is killed is killed with all its group.
    let pid = |name: &str| place.await_file(name).trim().parse::<i32>().expect("a pid");
    assert!(Process::open(pid("killed")).is_none_or(|left| left.ended_within(Duration::from_secs(5))));
    let left = Process::open(pid("left")).expect("it runs still");
    assert!(left.kill(nix::sys::signal::Signal::SIGKILL));
}

/// The container is created, started and ended while a hook does nothing.
#[test]
fn one_that_hangs_holds_up_no_container() {
    let place = place();
    let gate = place.gate("gate");
    let hangs = hook(&place, "hangs", "touch $P/hangs.runs; head -c1 <$P/gate >/dev/null");
    let ends = |name: &str| hook(&place, name, "touch $P/${0##*/}.ran");
    let options = [
        option(HookStage::Created, &hangs),
        option(HookStage::Started, &ends("started")),
        option(HookStage::Exited, &ends("exited")),
    ];
    let [created, start, exited] = options.each_ref().map(String::as_str);
    let (mut running, mut client) = started(&place, ending(), &["--keep-state", created, start, exited]);
    place.await_file("hangs.runs");
    client.ok("wait recorded");
    assert_eq!(place.exit_file().as_deref(), Some("7"));
    assert_eq!(record(&place).hooks.len(), 0);
    assert!(!place.path("started.ran").exists() && !place.path("exited.ran").exists());
    let mut gate = gate;
    gate.open();
    drop(client);
    assert_eq!(running.status(), 7);
    let wanted =
        ["created hangs", "started started", "exited exited"].map(|hook| format!("{hook}: exit status 0"));
    assert_eq!(brief(&record(&place).hooks), wanted);
}

#[test]
fn many_leave_nothing() {
    let place = place();
    let count = 60;
    let hook = hook(&place, "hook", "echo x; exit 0");
    let mut args = vec!["--keep-state".to_owned()];
    args.extend((0..count).map(|_| option(HookStage::Created, &hook)));
    args.extend((0..count).map(|_| option(HookStage::Exited, &hook)));
    place.script(&ending());
    let mut running = launch(&place).args(args).start().created();
    let supervisor = running.monitor().pid();
    let mut client = Client::connect(&place);
    client.ok("subscribe 0");
    let ended = |client: &mut Client| {
        let mut left = count;
        while left > 0 {
            left -= usize::from(matches!(client.event().what, conward_protocol::What::HookEnded(_)));
        }
    };
    ended(&mut client);
    let pipes = || descriptors(supervisor).iter().filter(|fd| fd.starts_with("pipe:")).count();
    assert_eq!((pipes(), children(supervisor).len()), (2, 1), "only the container's");
    client.ok("start");
    ended(&mut client);
    assert_eq!((pipes(), children(supervisor).len()), (0, 0));
    running.monitor().must_be_quiet();
    drop(client);
    assert_eq!(running.status(), 7);
    let record = record(&place);
    assert_eq!(record.hooks.len(), 2 * count);
    assert!(record.hooks.iter().all(|hook| hook.exit == Some(Exit::Code(0)) && hook.output == "x\n"));
}

/// A signal asks for the end: it goes to the hook that holds it up, with all its processes.
#[test]
fn a_signal_is_passed_on() {
    let place = place();
    let hangs = hook(&place, "hangs", "touch $P/hangs.runs; sleep 1000; exit 0");
    let hangs = option(HookStage::Exited, &hangs);
    let last = option(HookStage::Exited, &hook(&place, "last", "exit 0"));
    let begun = Instant::now();
    let (mut running, client) = started(&place, ending(), &["--keep-state", &hangs, &last]);
    drop(client);
    place.await_file("hangs.runs");
    running.kill(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(running.status(), 7);
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!(brief(&record(&place).hooks), ["exited hangs: signal 15", "exited last: exit status 0"]);
}

/// Where there was no container there is nothing to tell of.
#[test]
fn none_runs_for_a_launch_that_fails() {
    let place = place();
    let hook = hook(&place, "hook", "touch $P/ran");
    place.script(&conward_testkit::Script::failing([Step::err("no\n"), Step::Exit(1)]));
    let options = HookStage::ALL.iter().map(|stage| option(*stage, &hook));
    let mut running = launch(&place).args(["--delete-on-exit", "--keep-state"]).args(options).start();
    running.go();
    running.message();
    assert_eq!(running.status(), 1);
    assert!(!place.path("ran").exists());
}
