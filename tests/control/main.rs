//! What managers can observe on the control socket, with a runtime that does as it is told. Tests that look into
//! the supervisor, at its descriptors say, need root, if only of a user namespace. `hidden` and `privileges` need that
//! of the host, and two others a second user id; they fail where there is none to be had.

mod attach;
mod busy;
mod checkpoint;
mod client;
mod delete;
mod end;
mod events;
mod exec;
mod exec_bounds;
mod exec_log;
mod half;
mod hidden;
mod hooks;
mod isolation;
mod keep;
mod lines;
mod log_rate;
mod logs;
mod malformed;
mod place;
mod privileges;
mod record;
mod runtime;
mod states;
mod stop;
mod vanish;

use std::path::PathBuf;

use client::Client;
use conward_protocol::{SOCKET_FILE, State};
use conward_testkit::{Gate, Launch, Place, Running, Script, Step, conward};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A place for a container that conward looks after.
fn place() -> Place {
    Place::new(conward())
}

/// The control directory of the place's container.
fn directory(place: &Place) -> PathBuf {
    place.path("control").join(place.id())
}

fn socket(place: &Place) -> PathBuf {
    directory(place).join(SOCKET_FILE)
}

/// A supervisor with a control socket in its place, and a runtime that remembers its containers.
fn launch(place: &Place) -> Launch<'_> {
    let root = place.path("state");
    let launch = Launch::create(place).arg("--control-dir").arg(place.path("control"));
    launch.args(["--runtime-arg", "--root", "--runtime-arg"]).arg(root)
}

/// A container in some state, and a client.
struct Container<'a> {
    running: Running<'a>,
    client: Client,
    /// What keeps the container in `creating` or `stopped`.
    gate: Gate,
    pid: Option<i32>,
}

/// One that waits to be started, and then for ever.
fn created(place: &Place) -> Container<'_> {
    container(place, Script::default(), &[])
}

/// The same, with a runtime that follows this script, and more arguments.
fn container<'a>(place: &'a Place, script: Script, args: &[&str]) -> Container<'a> {
    let steps = vec![Step::AwaitStart, Step::Touch(place.path("runs")), Step::Pause];
    place.script(&Script { steps, ..script });
    let gate = place.gate("gate");
    let mut running = launch(place).args(args).gated_exit_command("exit", &gate).start();
    running.go();
    let pid = Some(running.pid());
    Container { running, client: Client::connect(place), gate, pid }
}

/// A started container whose supervisor has these arguments and no exit command, and a client.
fn started<'a>(place: &'a Place, script: Script, args: &[&str]) -> (Running<'a>, Client) {
    place.script(&script);
    let running = launch(place).args(args).start().created();
    let mut client = Client::connect(place);
    client.ok("start");
    (running, client)
}

/// One in this state. `deleted` is none: the supervisor is gone then.
fn in_state(place: &Place, state: State) -> Container<'_> {
    if state == State::Creating {
        let gate = place.gate("gate");
        let before = vec![Step::Touch(place.path("asked")), Step::Await(gate.path().to_owned())];
        place.script(&Script { before, ..Script::of([Step::AwaitStart, Step::Pause]) });
        let mut running = launch(place).start();
        running.go();
        place.await_file("asked");
        return Container { running, client: Client::connect(place), gate, pid: None };
    }
    let mut container = created(place);
    let requests: &[&str] = match state {
        State::Creating | State::Created => &[],
        State::Running => &["start"],
        State::Paused => &["start", "pause"],
        State::Stopped => &["start", "kill KILL", "wait recorded"],
        State::Deleted => panic!("nobody is there to be asked"),
    };
    for request in requests {
        container.client.ok(request);
    }
    assert_eq!(container.client.state().state, state);
    container
}

impl Container<'_> {
    /// Ends it whatever it does, and the supervisor with it; what the client was still told.
    fn end(mut self) -> (i32, Vec<conward_protocol::codec::Message>) {
        self.gate.open();
        let pid = self.pid.unwrap_or_else(|| self.running.pid());
        // It may have ended already.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        let told = self.client.messages_to_end();
        (self.running.status(), told)
    }
}
