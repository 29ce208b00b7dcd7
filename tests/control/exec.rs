//! Exec sessions: how they are named, how they begin and end.

use conward_protocol::request::{Exec, Stdin};
use conward_protocol::{Cause, ErrorCode, Exit, Failure, Op, Outcome, Reply, Request, State, What};
use conward_testkit::{Container as Whose, PidFile, Place, Record, Script, Step, state_of, wait_until};
use serde_json::{Value, json};

use crate::client::{Client, tag};
use crate::{Container, created, in_state, place};

/// A request for a session whose process follows this script.
pub fn exec(script: Script) -> Exec {
    let process = json!({"args": ["fake"], "cwd": "/", "script": script});
    let Value::Object(process) = process else { panic!("no object") };
    Exec { process, id: None, streams: vec![], stdin: Stdin::None, timeout_ms: None, log: false }
}

/// The same with a terminal.
pub fn on_terminal(script: Script) -> Exec {
    let mut exec = exec(script);
    exec.process.insert("terminal".into(), json!(true));
    exec
}

pub fn named(id: &str, exec: Exec) -> Exec {
    Exec { id: Some(id.into()), ..exec }
}

/// One that ends with this status.
pub fn exits(status: u8) -> Exec {
    exec(Script::of([Step::Exit(status)]))
}

/// One that lives until it is killed.
pub fn stays() -> Exec {
    exec(Script::of([Step::Pause]))
}

impl Client {
    /// Asks for a session, and takes the next answer.
    pub fn exec(&mut self, exec: Exec) -> Reply<Value> {
        self.request("exec", Request::Exec(exec));
        self.reply()
    }

    /// The same, for one that must be started: its name, and its pid if it still runs.
    pub fn start_exec(&mut self, exec: Exec) -> (String, Option<i32>) {
        match self.exec(exec).outcome {
            Outcome::Ok(body) => (
                body["exec"].as_str().expect("a name").to_owned(),
                body["pid"].as_i64().map(|pid| i32::try_from(pid).expect("a pid")),
            ),
            Outcome::Error(failure) => panic!("{failure:?}"),
        }
    }

    /// The same, for one that must be refused.
    pub fn no_exec(&mut self, exec: Exec) -> Failure {
        match self.exec(exec).outcome {
            Outcome::Error(failure) => failure,
            Outcome::Ok(body) => panic!("{body}"),
        }
    }

    /// Waits for a session's end.
    pub fn wait_exec(&mut self, name: &str) -> Exit {
        let body = self.ok(&format!("wait exec={name}"));
        assert_eq!(body["stage"], "exited");
        serde_json::from_value(body["exit"].clone()).expect("an exit")
    }
}

pub fn running(place: &Place) -> Container<'_> {
    in_state(place, State::Running)
}

#[test]
fn a_session_in_events() {
    let place = place();
    let mut container = created(&place);
    let me = container.client.greeting.client;
    for state in [State::Created, State::Running] {
        assert_eq!(container.client.state().state, state);
        let seq = container.client.state().seq;
        container.client.ok(&format!("subscribe {seq}"));
        let mut gate = place.gate(&format!("gate-{state}"));
        let script = Script::of([Step::Await(gate.path().to_owned()), Step::Exit(7)]);
        let (name, pid) = container.client.start_exec(exec(script));
        let pid = pid.expect("it runs");
        let started = container.client.event();
        assert_eq!(started.what, What::ExecStarted { exec: name.clone(), pid });
        assert_eq!(started.cause, Cause::Client { client: me, op: Some(Op::Exec) });
        let told = container.client.state().execs;
        let told = told.iter().find(|session| session.exec == name).expect("it is listed");
        assert_eq!((told.pid, told.terminal, told.exit), (Some(pid), false, None));
        let stats = container.client.ok("stats");
        assert_eq!(stats["execs"], 1);
        container.client.send(format!("wait exec={name} tag=w\n"));
        assert!(container.client.is_silent());
        gate.open();
        assert_eq!(tag(&container.client.reply()), Some("w"));
        let exited = container.client.event();
        assert_eq!(exited.what, What::ExecExited { exec: name.clone(), exit: Exit::Code(7) });
        assert_eq!(exited.cause, Cause::Container);
        assert_eq!(container.client.wait_exec(&name), Exit::Code(7), "the outcome is kept");
        let told = container.client.state().execs;
        let told = told.iter().find(|session| session.exec == name).expect("it is listed");
        assert_eq!((told.pid, told.exit), (None, Some(Exit::Code(7))));
        container.client.ok("stats");
        if state == State::Created {
            container.client.ok("start");
            container.client.event();
        }
    }
    let stats = container.client.ok("stats");
    assert_eq!((&stats["execs"], &stats["execs_total"]), (&json!(0), &json!(2)));
    container.end();
}

#[test]
fn every_end_is_told_as_it_was() {
    let place = place();
    let mut container = running(&place);
    for (step, exit) in [
        (Step::Exit(0), Exit::Code(0)),
        (Step::Exit(255), Exit::Code(255)),
        (Step::Die(6), Exit::Signal(6)),
        (Step::Die(9), Exit::Signal(9)),
    ] {
        for pid_file in [PidFile::Written, PidFile::AfterExit] {
            for whose in [Whose::Orphan, Whose::Child] {
                let script =
                    Script { pid_file: pid_file.clone(), container: whose, ..Script::of([step.clone()]) };
                let (name, _) = container.client.start_exec(exec(script));
                assert_eq!(container.client.wait_exec(&name), exit, "{step:?} {pid_file:?} {whose:?}");
            }
        }
    }
    container.end();
}

#[test]
fn one_that_ended_before_its_pid_was_known_has_none() {
    let place = place();
    let mut container = running(&place);
    let mut gate = place.gate("runtime");
    let record = place.path("record");
    let after = vec![Step::Await(gate.path().to_owned())];
    let script = Script { after, ..Script::of([Step::Record(record.clone()), Step::Exit(3)]) };
    container.client.request("exec", Request::Exec(named("s", exec(script))));
    place.await_file(&record);
    let pid = Record::read(&record).expect("a record").pid;
    wait_until("it was reaped", || state_of(pid).is_none());
    gate.open();
    let Outcome::Ok(body) = container.client.reply().outcome else { panic!("not started") };
    assert_eq!(body, json!({"exec": "s"}));
    assert_eq!(container.client.wait_exec("s"), Exit::Code(3));
    container.end();
}

#[test]
fn a_terminal_comes_and_has_a_size() {
    let place = place();
    let mut container = running(&place);
    let mut gate = place.gate("sized");
    let script =
        Script::of([Step::Await(gate.path().to_owned()), Step::TtySize, Step::Touch(place.path("done"))]);
    let (name, _) = container.client.start_exec(named("t", on_terminal(script)));
    assert!(container.client.state().execs[0].terminal);
    container.client.ok("subscribe");
    container.client.ok(&format!("resize 33 44 exec={name}"));
    let event = container.client.event();
    assert_eq!(event.what, What::Resized { rows: 33, cols: 44, exec: Some(name.clone()) });
    let failure = container.client.refused(format!("close-stdin exec={name}"));
    assert_eq!(failure.code, ErrorCode::NoStdin);
    gate.open();
    assert_eq!(container.client.wait_exec(&name), Exit::Code(0));
    place.await_file("done");
    container.end();
}

#[test]
fn a_session_is_killed_by_its_name() {
    let place = place();
    let mut container = running(&place);
    let (name, _) = container.client.start_exec(stays());
    let client = &mut container.client;
    client.ok("subscribe");
    client.ok(&format!("kill TERM exec={name}"));
    let event = client.event();
    assert!(matches!(event.what, What::Signalled { all: false, exec: Some(exec), .. } if exec == name));
    assert_eq!(client.wait_exec(&name), Exit::Signal(15));
    for (request, code) in [
        (format!("kill TERM exec={name}"), ErrorCode::NotRunning),
        (format!("resize 1 1 exec={name}"), ErrorCode::NotRunning),
        (format!("close-stdin exec={name}"), ErrorCode::NotRunning),
        ("kill TERM exec=nobody".into(), ErrorCode::NoSuchExec),
        ("resize 1 1 exec=nobody".into(), ErrorCode::NoSuchExec),
        ("close-stdin exec=nobody".into(), ErrorCode::NoSuchExec),
        ("wait exec=nobody".into(), ErrorCode::NoSuchExec),
    ] {
        assert_eq!(client.refused(&request).code, code, "{request}");
    }
    assert_eq!(client.state().state, State::Running, "the container goes on");
    container.end();
}

#[test]
fn names_are_given_taken_and_given_again() {
    let place = place();
    let mut container = running(&place);
    let client = &mut container.client;
    assert_eq!(client.start_exec(named("exec-1", stays())).0, "exec-1");
    assert_eq!(client.start_exec(stays()).0, "exec-2", "a name that is taken is not given");
    assert_eq!(client.no_exec(named("exec-2", stays())).code, ErrorCode::ExecExists);
    client.ok("kill KILL exec=exec-1");
    assert_eq!(client.wait_exec("exec-1"), Exit::Signal(9));
    client.start_exec(named("exec-1", exits(4)));
    assert_eq!(client.wait_exec("exec-1"), Exit::Code(4), "the last one of this name");
    assert_eq!(client.state().execs.iter().filter(|session| session.exec == "exec-1").count(), 1);
    client.ok("kill KILL exec=exec-2");
    assert_eq!(client.wait_exec("exec-2"), Exit::Signal(9));
    container.end();
}

#[test]
fn a_process_that_is_none_is_refused_by_its_place() {
    let place = place();
    let mut container = running(&place);
    let before = container.client.state();
    for (process, field) in [
        (json!({}), "process.args"),
        (json!({"args": ["a", 7], "cwd": "/"}), "process.args[1]"),
        (json!({"args": ["a"], "cwd": "tmp"}), "process.cwd"),
        (json!({"args": ["a"], "cwd": "/", "terminal": 1}), "process.terminal"),
    ] {
        let failure = container.client.refused(json!({"op": "exec", "process": process}).to_string());
        assert_eq!((failure.code, failure.field.as_deref()), (ErrorCode::BadRequest, Some(field)));
    }
    assert_eq!(container.client.state(), before);
    container.end();
}
