//! What hooks are given, and in which order they run.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use conward_protocol::codec::Message;
use conward_protocol::record::{HookOutcome, HookStage, Record};
use conward_protocol::{Exit, Outcome, What};
use conward_testkit::{Place, Script, Step, descriptors, wait_until};
use serde_json::{Value, json};

use super::{brief, ending, hook, option, record};
use crate::client::{Client, tag};
use crate::{directory, launch, place, started};

/// Leaves its input, and its name in a list.
const LEAVES: &str = r#"n=$CONWARD_HOOK_STAGE.${0##*/}; cat >"$P/in.$n"; echo "$n" >>"$P/order""#;

/// What this hook of this stage has read.
fn input(place: &Place, name: &str) -> Value {
    let text = fs::read(place.path(format!("in.{name}"))).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::from_slice(&text).expect("JSON")
}

fn record_in(state: &Value) -> Record {
    let text = state["annotations"]["conward.exit-record"].as_str().expect("the record");
    serde_json::from_str(text).expect("a record")
}

#[test]
fn each_stage_in_its_order_with_the_state() {
    let place = place();
    let config =
        json!({"ociVersion": "1.0.2", "annotations": {"org.x/y": "ü", "conward.exit-record": "forged"}});
    fs::write(place.bundle().join("config.json"), config.to_string()).expect("config.json");
    let (a, b) = (hook(&place, "a", LEAVES), hook(&place, "b", LEAVES));
    let mut args = vec!["--delete-on-exit".to_owned()];
    // Not in the order of the stages; but b before a.
    for stage in [HookStage::Deleted, HookStage::Exited, HookStage::Created, HookStage::Started] {
        args.extend([option(stage, &b), option(stage, &a)]);
    }
    place.script(&Script::of([Step::AwaitStart, Step::Await(place.path("gate")), Step::Exit(7)]));
    let mut gate = place.gate("gate");
    let mut running = launch(&place).args(args).start().created();
    let mut client = Client::connect(&place);
    client.ok("subscribe 0");
    let mut ended = vec![next_hook(&mut client), next_hook(&mut client)];
    let pid = client.ok("start")["pid"].clone();
    ended.extend([next_hook(&mut client), next_hook(&mut client)]);
    client.send("wait deleted tag=w\n");
    gate.open();
    let told = client.messages_to_end();

    let order: Vec<String> =
        HookStage::ALL.iter().flat_map(|s| [format!("{s}.b"), format!("{s}.a")]).collect();
    let seen = fs::read_to_string(place.path("order")).expect("a list");
    assert_eq!(seen.lines().collect::<Vec<_>>(), order);
    for name in &order {
        let mut state = input(&place, name);
        let status = match name.split('.').next() {
            Some("created") => "created",
            Some("started") => "running",
            _ => "stopped",
        };
        let recorded = status == "stopped";
        if recorded {
            let record = record_in(&state);
            assert_eq!(record.exit, Exit::Code(7));
            let before = order.iter().take_while(|other| *other != name).count();
            assert_eq!(record.hooks.len(), before, "{name}: those that have ended");
            assert_eq!(record.teardown.is_some(), name.starts_with("deleted"), "{name}");
            state["annotations"].as_object_mut().expect("annotations").remove("conward.exit-record");
        }
        let mut wanted = json!({"ociVersion": "1.0.2", "id": place.id(), "status": status,
            "bundle": place.bundle().display().to_string(), "annotations": {"org.x/y": "ü"}});
        if !recorded {
            wanted["pid"] = pid.clone();
        }
        assert_eq!(state, wanted, "{name}");
    }

    // The same in the events and in the record, and at their places among the others.
    let mut names = Vec::new();
    for message in &told {
        if let Message::Event(event) = message {
            names.push(serde_json::to_value(&event.what).unwrap()["event"].as_str().unwrap().to_owned());
            if let What::HookEnded(outcome) = &event.what {
                ended.push(outcome.clone());
            }
        }
    }
    let end = ["exited", "drained", "recorded", "hook-ended", "hook-ended", "deleting", "hook-ended"];
    let from = names.iter().position(|name| name == "exited").expect("the end");
    assert_eq!(names[from..], [&end[..], &["hook-ended", "deleted"]].concat());
    let waited = told.iter().find_map(|message| match message {
        Message::Reply(reply) if tag(reply) == Some("w") => Some(reply.outcome.clone()),
        _ => None,
    });
    let Some(Outcome::Ok(body)) = waited else { panic!("{waited:?}") };
    let record: Record = serde_json::from_value(body["record"].clone()).expect("a record");
    assert_eq!(record.hooks, ended);
    let wanted: Vec<String> =
        order.iter().map(|name| format!("{}: exit status 0", name.replace('.', " "))).collect();
    assert_eq!(brief(&record.hooks), wanted);
    assert!(record.hooks.iter().all(|hook| hook.started >= record.times.created.unwrap()));
    assert_eq!(running.status(), 7);
}

#[test]
fn the_record_is_whole_on_disk_when_the_first_begins() {
    let place = place();
    let looks =
        format!("cp {} $P/copy && cp $P/exits/* $P/status", directory(&place).join("exit.json").display());
    let exited = hook(&place, "exited", &looks);
    let states = format!("cp {} $P/state.json", directory(&place).join("state.json").display());
    let args =
        [option(HookStage::Exited, &exited), option(HookStage::Exited, &hook(&place, "dumps", &states))];
    let args = ["--keep-state", &args[0], &args[1]];
    let (mut running, client) = started(&place, ending(), &args);
    drop(client);
    assert_eq!(running.status(), 7);
    let copy: Record = serde_json::from_str(&place.await_file("copy")).expect("a whole record");
    let mut last = record(&place);
    assert_eq!(brief(&last.hooks), ["exited exited: exit status 0", "exited dumps: exit status 0"]);
    last.hooks.clear();
    assert_eq!(copy, last);
    assert_eq!(place.await_file("status"), "7");
    let state: Value = serde_json::from_str(&place.await_file("state.json")).expect("a whole state");
    assert_eq!((&state["state"], &state["step"]), (&json!("stopped"), &json!("hooks")));
}

/// Nothing of the supervisor's but what is meant for it: no descriptor, no signal, no session.
#[test]
fn it_begins_clean() {
    let place = place();
    let looks = r#"read pid comm state ppid group session rest </proc/$$/stat
        echo "$(( pid == group )) $(( pid == session ))"
        grep -E '^Sig(Blk|Ign)' /proc/self/status
        test -z "$CONWARD_NAMESPACES" || echo "pinned: $CONWARD_NAMESPACES"
        exec ls -l /proc/self/fd"#;
    let created = option(HookStage::Created, &hook(&place, "created", looks));
    let deleted = option(HookStage::Deleted, &hook(&place, "deleted", looks));
    let exited = option(HookStage::Exited, &hook(&place, "exited", "exit 0"));
    let inherited: OwnedFd = fs::File::open("/dev/zero").expect("a descriptor").into();
    place.script(&ending());
    let args = ["--keep-state", "--pin-namespaces", &created, &exited, &deleted];
    let mut running = launch(&place).args(args).inherit(inherited).start().created();
    let supervisor = running.monitor().pid();
    let mut client = Client::connect(&place);
    client.ok("subscribe 0");
    let first = next_hook(&mut client);
    let held = |what: &str| descriptors(supervisor).iter().filter(|fd| fd.starts_with(what)).count();
    assert_eq!((held("/dev/zero"), held("pipe:")), (1, 2), "it has its own still, and nothing of the hook's");
    client.ok("start");
    next_hook(&mut client);
    client.send("delete tag=d\n");
    let last = next_hook(&mut client);
    for outcome in [first, last] {
        let lines: Vec<&str> = outcome.output.lines().collect();
        assert_eq!(lines[0], "1 1", "{outcome:?}");
        let [blocked, ignored] =
            [1, 2].map(|at| lines[at].split_whitespace().last().expect("a mask").trim_start_matches('0'));
        assert_eq!((blocked, ignored), ("", ""), "{outcome:?}");
        let links: Vec<&str> = lines[3..].iter().filter_map(|line| line.split(" -> ").nth(1)).collect();
        assert!(
            matches!(links[..], [stdin, stdout, stderr, own] if stdin.starts_with("/memfd:state")
                && stdout.starts_with("pipe:") && stdout == stderr && own.starts_with("/proc/")),
            "{outcome:?}"
        );
    }
    assert_eq!(running.status(), 7);
}

/// The outcome of the next hook.
fn next_hook(client: &mut Client) -> HookOutcome {
    std::iter::from_fn(|| Some(client.event().what))
        .find_map(|what| match what {
            What::HookEnded(outcome) => Some(outcome),
            _ => None,
        })
        .expect("an outcome")
}

#[test]
fn its_input_cannot_be_changed() {
    let place = place();
    let writes = r#"( echo x >/proc/self/fd/0 ) 2>/dev/null && echo written; cat"#;
    let hooks = [hook(&place, "writes", writes), hook(&place, "reads", "cat")];
    let [writes, reads] = hooks.map(|path| option(HookStage::Created, &path));
    let (mut running, client) = started(&place, ending(), &["--keep-state", &writes, &reads]);
    drop(client);
    assert_eq!(running.status(), 7);
    let outcomes = record(&place).hooks;
    for outcome in outcomes {
        assert!(
            outcome.output.starts_with(r#"{"ociVersion""#) && outcome.output.ends_with('}'),
            "{outcome:?}"
        );
    }
}

/// Namespaces are those of the container, in the order that the variable tells, and for `exited` hooks only.
#[test]
fn namespaces_are_handed_over_and_let_go() {
    let place = place();
    let looks = r#"echo "$CONWARD_NAMESPACES"; readlink /proc/$$/fd/3 /proc/$$/fd/4"#;
    let exited = option(HookStage::Exited, &hook(&place, "exited", looks));
    place.script(&ending());
    let gate = place.gate("gate");
    let launch = launch(&place).args(["--keep-state", "--pin-namespaces", &exited]);
    let mut running = launch.gated_exit_command("exit", &gate).start().created();
    let supervisor = running.monitor().pid();
    let pinned = || descriptors(supervisor).iter().filter(|fd| fd.contains(":[") && !is_other(fd)).count();
    let all = fs::read_dir("/proc/self/ns").expect("namespaces");
    let all =
        all.filter(|entry| !entry.as_ref().unwrap().file_name().display().to_string().contains("_for_"));
    assert_eq!(pinned(), all.count());
    Client::connect(&place).ok("start");
    // The exit command may want to unmount what a namespace holds.
    place.await_file("exit");
    assert_eq!(pinned(), 0);
    let mut gate = gate;
    gate.open();
    assert_eq!(running.status(), 7);
    let output = record(&place).hooks[0].output.clone();
    let lines: Vec<&str> = output.lines().collect();
    let [variable, mnt, net] = lines[..] else { panic!("{output}") };
    assert!(variable.starts_with("mnt=3,net=4,pid=5,ipc=6,uts=7,user=8"), "{variable}");
    let ours = |name: &str| fs::read_link(Path::new("/proc/self/ns").join(name)).expect("a namespace");
    assert_eq!((Path::new(mnt), Path::new(net)), (ours("mnt").as_path(), ours("net").as_path()));
}

fn is_other(fd: &str) -> bool {
    ["pipe:", "socket:", "anon_inode:"].iter().any(|kind| fd.starts_with(kind))
}

/// A caller that starts the container with a runtime of its own tells nobody.
#[test]
fn a_start_by_others_is_noticed() {
    let place = place();
    let sleep = ["/bin/sh", "-c", "read x <$0; exit 7"].map(str::to_owned);
    let gate = place.path("gate").display().to_string();
    place.script(&Script::of([Step::AwaitStart, Step::Become([&sleep[..], &[gate]].concat())]));
    let _gate = place.gate("gate");
    let hook = option(HookStage::Started, &hook(&place, "hook", LEAVES));
    let mut running = launch(&place).args(["--keep-state", &hook]).start().created();
    place.start_container();
    wait_until("the hook has run", || place.path("order").exists());
    assert_eq!(input(&place, "started.hook")["status"], "running");
    fs::write(place.path("gate"), "\n").expect("to the gate");
    assert_eq!(running.status(), 7);
    assert_eq!(brief(&record(&place).hooks), ["started hook: exit status 0"]);
}
