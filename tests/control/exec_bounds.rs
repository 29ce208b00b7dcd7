//! Exec sessions at the bounds: runtimes that fail, times that are up, too many of them, and what is left.

use conward_protocol::limits::{EXECS_KEPT, EXECS_MAX};
use conward_protocol::request::Exec;
use conward_protocol::{Cause, ErrorCode, Exit, Outcome, Request, What};
use conward_testkit::{
    Console, Container as Whose, Footprint, PidFile, Place, Process, Script, Step, children, descriptors,
    state_of, wait_until,
};

use crate::client::{Client, tag};
use crate::exec::{exec, exits, named, on_terminal, running, stays};
use crate::{Container, directory, place};

/// What a supervisor holds: descriptors, children, and files in its directory.
fn holdings(place: &Place, supervisor: i32) -> (usize, usize, Vec<String>) {
    let names = std::fs::read_dir(directory(place)).expect("the control directory");
    let names = names.map(|entry| entry.expect("an entry").file_name().display().to_string());
    // The state file may just be written.
    let names = names.filter(|name| !name.starts_with(".conward-"));
    (descriptors(supervisor).len(), children(supervisor).len(), names.collect())
}

#[test]
fn a_runtime_that_fails_is_quoted_and_leaves_nothing() {
    let place = place();
    let mut container = running(&place);
    let supervisor = container.client.greeting.supervisor;
    let before = holdings(&place, supervisor);
    let said = [Step::out("not this\n"), Step::err("exec failed: no such file\n"), Step::Exit(1)];
    let no_pid =
        Script { pid_file: PidFile::Absent, after: vec![Step::Exit(4)], ..Script::of([Step::Exit(0)]) };
    let no_terminal = |console| Script { console, ..Script::of([Step::Pause]) };
    for (what, wanted) in [
        (exec(Script::failing(said.clone())), "exec failed: no such file"),
        (on_terminal(Script::failing(said)), "exec failed: no such file"),
        (exec(Script::failing([Step::Die(9)])), "gave no reason"),
        (exec(no_pid), "gave no reason"),
        (exec(Script { pid_file: PidFile::Text("no pid".into()), ..Script::of([]) }), "no pid"),
        (on_terminal(no_terminal(Console::Absent)), "terminal"),
        (on_terminal(no_terminal(Console::Silent)), "terminal"),
        (on_terminal(no_terminal(Console::NotATerminal)), "terminal"),
    ] {
        container.client.send("wait exec=f tag=w\n");
        assert!(matches!(container.client.reply().outcome, Outcome::Error(_)));
        let failure = container.client.no_exec(named("f", what));
        assert_eq!(failure.code, ErrorCode::RuntimeFailed, "{failure:?}");
        assert!(failure.message.starts_with("exec: ") && failure.message.contains(wanted), "{failure:?}");
        assert!(!failure.message.contains("not this"), "{failure:?}");
    }
    wait_until("nothing is left", || holdings(&place, supervisor) == before);
    assert!(container.client.state().execs.is_empty());
    assert_eq!(container.client.ok("stats")["execs_total"], 0);
    container.end();
}

/// The directory outlives a supervisor that was killed, and the next one gives the same names.
#[test]
fn a_pid_that_a_former_supervisor_has_left_is_nobody() {
    let place = place();
    let mut container = running(&place);
    let mut stranger = std::process::Command::new("sleep").arg("60").spawn().expect("a stranger");
    let stale = directory(&place).join("exec.1.pid");
    std::fs::write(&stale, stranger.id().to_string()).expect("a stale pid file");
    let failure = container.client.no_exec(exec(Script::failing([Step::err("no\n"), Step::Exit(1)])));
    assert_eq!(failure.code, ErrorCode::RuntimeFailed, "{failure:?}");
    assert!(!stale.exists());
    container.end();
    let pid = i32::try_from(stranger.id()).expect("a pid");
    assert!(state_of(pid).is_some_and(|state| state != 'Z'), "it was killed");
    stranger.kill().expect("the stranger is there");
    stranger.wait().expect("the stranger's end");
}

#[test]
fn a_runtime_that_hangs_holds_up_nothing_and_the_wait_for_it_is_answered() {
    let place = place();
    let mut container = running(&place);
    let mut gate = place.gate("runtime");
    let hangs = vec![Step::Touch(place.path("hangs")), Step::Await(gate.path().to_owned())];
    let script = Script { before: hangs, ..Script::failing([]) };
    container.client.request("slow", Request::Exec(named("slow", exec(script))));
    place.await_file("hangs");
    let client = &mut container.client;
    assert!(client.state().execs.is_empty(), "it has not begun");
    assert_eq!(client.refused("kill TERM exec=slow").code, ErrorCode::NotRunning);
    let (other, _) = client.start_exec(exits(0));
    assert_eq!(client.wait_exec(&other), Exit::Code(0));
    client.send("wait exec=slow tag=wait\n");
    client.ok("state");
    gate.open();
    for told in ["slow", "wait"] {
        let reply = client.reply();
        assert_eq!(tag(&reply), Some(told));
        let Outcome::Error(failure) = reply.outcome else { panic!("{reply:?}") };
        let code = if told == "slow" { ErrorCode::RuntimeFailed } else { ErrorCode::NoSuchExec };
        assert_eq!(failure.code, code);
    }
    container.end();
}

#[test]
fn when_its_time_is_up_all_its_processes_are_killed() {
    let place = place();
    let mut container = running(&place);
    let supervisor = container.client.greeting.supervisor;
    let before = holdings(&place, supervisor);
    // Two generations of children, one of which ignores what can be ignored.
    let (one, two) = (place.path("one"), place.path("two"));
    let grandchild = vec![Step::Record(two.clone()), Step::Pause];
    let child = vec![
        Step::Block((1..32).filter(|&s| s != 9 && s != 19).collect()),
        Step::Fork(grandchild),
        Step::Record(one.clone()),
        Step::Pause,
    ];
    let script = Script::of([Step::Fork(child), Step::Pause]);
    container.client.ok("subscribe");
    let (name, _) = container.client.start_exec(Exec { timeout_ms: Some(300), ..exec(script) });
    let pids = [one, two].map(|path| {
        place.await_file(&path);
        conward_testkit::Record::read(&path).expect("a record").pid
    });
    assert!(pids.iter().all(|pid| Process::open(*pid).is_some()));
    assert_eq!(container.client.wait_exec(&name), Exit::TimedOut);
    let left: Vec<_> = pids.iter().filter_map(|pid| state_of(*pid)).collect();
    assert!(left.iter().all(|state| *state == 'Z'), "alive when the end was told: {left:?}");
    container.client.event();
    let event = container.client.event();
    assert_eq!(
        (event.what, event.cause),
        (What::ExecExited { exec: name, exit: Exit::TimedOut }, Cause::Timeout)
    );
    wait_until("nothing is left", || holdings(&place, supervisor) == before);
    container.end();
}

#[test]
fn one_session_too_many_is_busy_and_old_outcomes_are_forgotten() {
    let place = place();
    let mut container = running(&place);
    let supervisor = container.client.greeting.supervisor;
    let before = holdings(&place, supervisor);
    // Requests of several clients, since each may have only so many without an answer.
    let mut clients: Vec<Client> = (0..4).map(|_| Client::connect(&place)).collect();
    for number in 0..EXECS_MAX {
        clients[number % 4].request("exec", Request::Exec(named(&format!("s{number}"), stays())));
    }
    for number in 0..EXECS_MAX {
        let reply = clients[number % 4].reply();
        assert!(matches!(reply.outcome, Outcome::Ok(_)), "{reply:?}");
    }
    let client = &mut container.client;
    assert_eq!(client.no_exec(stays()).code, ErrorCode::Busy);
    assert_eq!(client.ok("stats")["execs"], EXECS_MAX);
    assert_eq!(client.state().execs.len(), EXECS_MAX);
    for number in 0..EXECS_MAX {
        client.ok(&format!("kill KILL exec=s{number}"));
        assert_eq!(client.wait_exec(&format!("s{number}")), Exit::Signal(9));
    }
    assert_eq!(client.state().execs.len(), EXECS_KEPT);
    assert_eq!(client.refused("wait exec=s0").code, ErrorCode::NoSuchExec);
    let last = EXECS_MAX - 1;
    assert_eq!(client.wait_exec(&format!("s{last}")), Exit::Signal(9));
    drop(clients);
    wait_until("nothing is left", || holdings(&place, supervisor) == before);
    container.end();
}

#[test]
fn hundreds_in_a_row_leave_nothing() {
    let place = place();
    let mut container = running(&place);
    let supervisor = container.client.greeting.supervisor;
    let before = holdings(&place, supervisor);
    let round = |container: &mut Container, times: u32| {
        for number in 0..times {
            let script = Script::of([Step::out("some output\n"), Step::Exit(number as u8)]);
            let what = if number % 3 == 0 { on_terminal(script) } else { exec(script) };
            let (name, _) = container.client.start_exec(what);
            assert_eq!(container.client.wait_exec(&name), Exit::Code(number as u8));
        }
        wait_until("nothing is left", || holdings(&place, supervisor) == before);
        Footprint::of(supervisor).private_kb
    };
    let idle = Footprint::of(supervisor).private_kb;
    let first = round(&mut container, 300);
    let last = round(&mut container, 600);
    // The last 256 events and 64 outcomes, and what the allocator keeps at hand.
    assert!(last <= idle + 144, "from {idle} kB to {last} kB");
    assert!(last <= first + 64, "from {first} kB to {last} kB");
    container.end();
}

#[test]
fn a_manager_that_goes_leaves_its_session_running() {
    let place = place();
    let mut container = running(&place);
    let mut gate = place.gate("runtime");
    let before = vec![Step::Touch(place.path("asked")), Step::Await(gate.path().to_owned())];
    let script = Script { before, ..Script::of([Step::Pause]) };
    let mut manager = Client::connect(&place);
    manager.request("lost", Request::Exec(named("s", exec(script))));
    place.await_file("asked");
    drop(manager);
    container.client.send("wait exec=s tag=w\n");
    container.client.ok("subscribe");
    gate.open();
    let event = container.client.event();
    assert!(matches!(event.what, What::ExecStarted { exec, .. } if exec == "s"));
    container.client.ok("kill KILL exec=s");
    let body = container.client.reply();
    assert_eq!(tag(&body), Some("w"));
    container.end();
}

/// With a pid namespace they die with it; this container has none of its own.
#[test]
fn sessions_that_outlive_the_container_are_killed_before_the_supervisor_ends() {
    let place = place();
    let mut container = running(&place);
    let forked = place.path("forked");
    let script = Script::of([Step::Fork(vec![Step::Record(forked.clone()), Step::Pause]), Step::Pause]);
    let (name, pid) = container.client.start_exec(exec(script));
    place.await_file(&forked);
    let forked = conward_testkit::Record::read(&forked).expect("a record").pid;
    let hangs = vec![Step::Touch(place.path("hangs")), Step::Await(place.path("never"))];
    let _gate = place.gate("never");
    container.client.request("slow", Request::Exec(exec(Script { before: hangs, ..Script::failing([]) })));
    place.await_file("hangs");
    container.client.send(format!("wait exec={name} tag=w\n"));
    container.client.ok("subscribe");
    let (status, told) = container.end();
    assert_eq!(status, 137);
    let told: Vec<String> = told
        .into_iter()
        .map(|message| match message {
            conward_protocol::codec::Message::Reply(reply) => {
                let code = match &reply.outcome {
                    Outcome::Error(failure) => failure.code.name().to_owned(),
                    Outcome::Ok(body) => body["exit"].to_string(),
                };
                format!("{} {code}", tag(&reply).unwrap_or_default())
            }
            conward_protocol::codec::Message::Event(event) => match event.what {
                What::ExecExited { exit, .. } => format!("exec-exited {exit}"),
                What::Exited { .. } => "exited".into(),
                What::Recorded { .. } => "recorded".into(),
                What::Deleted { .. } => "deleted".into(),
                _ => "other".into(),
            },
            other => panic!("{other:?}"),
        })
        .collect();
    let at = |wanted: &str| {
        told.iter()
            .position(|line| line.starts_with(wanted))
            .unwrap_or_else(|| panic!("no {wanted}: {told:?}"))
    };
    assert!(at("exited") < at("recorded") && at("recorded") < at("exec-exited"), "{told:?}");
    assert!(at("exec-exited") < at("deleted") && at("w {\"signal\":9}") < at("deleted"), "{told:?}");
    assert!(at("slow gone") < at("deleted"), "{told:?}");
    for pid in [pid.expect("it runs"), forked] {
        assert!(state_of(pid).is_none_or(|state| state == 'Z'), "{pid} lives on");
    }
}

/// The runtime that is killed with the container has started the session, and has told so, but has not ended.
#[test]
fn a_session_that_is_still_launched_when_the_container_ends_ends_too() {
    for whose in [Whose::Orphan, Whose::Child] {
        let place = place();
        let mut container = running(&place);
        let (record, hangs) = (place.path("record"), place.path("hangs"));
        let _gate = place.gate("never");
        let script = Script {
            container: whose,
            after: vec![Step::Touch(hangs.clone()), Step::Await(place.path("never"))],
            ..Script::of([Step::Record(record.clone()), Step::Pause])
        };
        container.client.request("s", Request::Exec(exec(script)));
        place.await_file(&record);
        place.await_file(&hangs);
        let pid = conward_testkit::Record::read(&record).expect("a record").pid;
        assert_eq!(container.end().0, 137);
        assert!(state_of(pid).is_none_or(|state| state == 'Z'), "{whose:?}: {pid} lives on");
    }
}
