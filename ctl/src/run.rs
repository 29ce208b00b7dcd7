//! `run`, `attach` and `exec`: a process's streams and its exit status are ours.

use conward_protocol::client::{self, Client};
use conward_protocol::request::{self, Kill, Stdin, Stream, Wait};
use conward_protocol::{Body, Request, Signal, body};

use crate::bundle::Bundle;
use crate::cli::{Attach, Exec, Run};
use crate::create;
use crate::error::Error;
use crate::output;
use crate::place::Place;
use crate::process;
use crate::requests::status;
use crate::session::{Ended, Session};
use crate::spawn::Wishes;
use crate::terminal::{self, Keys};

/// `run`.
///
/// # Errors
/// The container could not be created or started, or its supervisor was lost.
pub fn run(place: &Place, run: &Run) -> Result<u8, Error> {
    let keys = Keys::parse(&run.detach_keys).map_err(Error::new)?;
    let bundle = Bundle::read(&run.create.bundle)?;
    check_terminal(run, &bundle)?;
    let id = run.create.id.as_str();
    let wishes = Wishes { stdin: run.create.interactive, image: None };
    let mut client = create::made(place, &run.create, &bundle, &wishes)?;
    if run.detach {
        if let Err(error) = client.call(Request::Start) {
            unmake(run, &mut client);
            return Err(Error::asked(id, &error));
        }
        output::line(id)?;
        return Ok(0);
    }
    let stdin = input(run.create.interactive, run.tty);
    let wanted = request::Attach { streams: Stream::ALL.to_vec(), stdin, replay: None, exec: None };
    let mut session = Session::attach(id, client, wanted)?;
    if run.tty {
        session.use_terminal(run.create.interactive.then_some(keys))?;
    } else {
        session.proxy_signals();
    }
    if run.create.interactive {
        session.pass_input();
    }
    session.start()?;
    let ended = session.pass();
    let unstarted = session.is_starting();
    let mut client = session.leave();
    if ended.is_err() && unstarted {
        unmake(run, &mut client);
    }
    let ended = ended?;
    if run.create.rm && matches!(ended, Ended::Exit(_)) {
        await_removal(id, &mut client);
    }
    Ok(outcome(id, ended))
}

/// The writer whose end is the end of the input, or, on a terminal, where that is a key, one of several.
fn input(wanted: bool, tty: bool) -> Stdin {
    match (wanted, tty) {
        (false, _) => Stdin::None,
        (true, true) => Stdin::Shared,
        (true, false) => Stdin::Once,
    }
}

/// A terminal is asked for in two places, which must agree.
fn check_terminal(run: &Run, bundle: &Bundle) -> Result<(), Error> {
    let told = |what: &str| {
        let file = bundle.dir.join("config.json");
        Err(Error::new(format!("{}: process.terminal: {what}", file.display())))
    };
    match (bundle.terminal, run.tty) {
        (false, true) => told("is not true, but -t asks for a terminal"),
        (true, false) if !run.detach => told("is true: run it with -t, or with -d"),
        _ => Ok(()),
    }
}

/// One that is to be removed at its end is not left behind if it was not started.
fn unmake(run: &Run, client: &mut Client) {
    if run.create.rm {
        // It may have ended by itself.
        let _ = client.call(Request::Kill(Kill { signal: Signal::KILL, all: false, exec: None }));
    }
}

/// `attach`.
///
/// # Errors
/// There is nothing to attach to, or the supervisor was lost.
pub fn attach(place: &Place, attach: &Attach) -> Result<u8, Error> {
    let keys = Keys::parse(&attach.detach_keys).map_err(Error::new)?;
    let (id, mut client) = place.find(&attach.id)?;
    let tty = has_terminal(&ask_state(&id, &mut client)?, attach.exec.as_deref());
    let replay = attach.replay.or_else(|| tty.then(screenful).flatten());
    let stdin = if attach.no_stdin { Stdin::None } else { Stdin::Shared };
    let wanted = request::Attach { streams: Stream::ALL.to_vec(), stdin, replay, exec: attach.exec.clone() };
    let mut session = Session::attach(&id, client, wanted)?;
    if tty {
        session.use_terminal((!attach.no_stdin).then_some(keys))?;
    } else if !attach.no_sig_proxy {
        session.proxy_signals();
    }
    if !attach.no_stdin {
        session.pass_input();
    }
    session.replay(attach.replay.is_none())?;
    let ended = session.pass();
    session.leave();
    Ok(outcome(&id, ended?))
}

/// As many bytes as there are places on our terminal.
fn screenful() -> Option<u64> {
    terminal::size().map(|(rows, cols)| u64::from(rows) * u64::from(cols))
}

fn has_terminal(state: &body::State, exec: Option<&str>) -> bool {
    match exec {
        Some(exec) => state.execs.iter().any(|session| session.exec == exec && session.terminal),
        None => state.terminal,
    }
}

fn ask_state(id: &str, client: &mut Client) -> Result<body::State, Error> {
    match client.call(Request::State).map_err(|error| Error::asked(id, &error))?.body {
        Body::State(state) => Ok(*state),
        _ => Err(Error::new(format!("{id}: an answer of another kind"))),
    }
}

/// `exec`.
///
/// # Errors
/// The runtime could not start it, or the supervisor was lost.
pub fn exec(place: &Place, exec: &Exec) -> Result<u8, Error> {
    let keys = Keys::parse(&exec.detach_keys).map_err(Error::new)?;
    let (id, mut client) = place.find(&exec.id)?;
    let state = ask_state(&id, &mut client)?;
    let mut wanted = request::Exec {
        process: process::of(&id, &state, exec)?,
        id: None,
        streams: Vec::new(),
        stdin: Stdin::None,
        timeout_ms: exec.timeout.map(|seconds| seconds * 1000),
        log: exec.log,
    };
    if exec.detach {
        let answer = client.call(Request::Exec(wanted)).map_err(|error| Error::asked(&id, &error))?;
        let Body::ExecStarted(started) = answer.body else {
            return Err(Error::new(format!("{id}: an answer of another kind")));
        };
        output::line(&started.exec)?;
        return Ok(0);
    }
    wanted.streams = Stream::ALL.to_vec();
    wanted.stdin = input(exec.interactive, exec.tty);
    let mut session = Session::exec(&id, client, wanted)?;
    if exec.tty {
        session.use_terminal(exec.interactive.then_some(keys))?;
    } else {
        session.proxy_signals();
    }
    if exec.interactive {
        session.pass_input();
    }
    let ended = session.pass();
    session.leave();
    Ok(outcome(&id, ended?))
}

fn outcome(id: &str, ended: Ended) -> u8 {
    match ended {
        Ended::Exit(exit) => status(id, exit),
        Ended::Detached => 0,
        Ended::Signal(number) => 128u8.saturating_add(number),
    }
}

fn await_removal(id: &str, client: &mut Client) {
    let wait = Wait { stage: request::Stage::Deleted, exec: None };
    match client.call(Request::Wait(wait)) {
        // It closes when all is done.
        Ok(_) | Err(client::Error::Closed) => {}
        Err(error) => output::complain(&Error::asked(id, &error).message),
    }
}
