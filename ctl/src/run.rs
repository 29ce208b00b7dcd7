//! `run` and `attach`: a container's streams and its exit status are ours.

use std::path::Path;

use conward_protocol::client::{self, Client};
use conward_protocol::request::{self, Kill, Wait};
use conward_protocol::{Body, Request, Signal};

use crate::bundle::Bundle;
use crate::cli::{Attach, Run};
use crate::create;
use crate::error::Error;
use crate::output;
use crate::place::Place;
use crate::requests::status;
use crate::session::{Ended, Session, Signals};
use crate::spawn::Wishes;
use crate::terminal::Keys;

/// `run`.
///
/// # Errors
/// The container could not be created or started, or its supervisor was lost.
pub fn run(place: &Place, run: &Run) -> Result<u8, Error> {
    let keys = Keys::parse(&run.detach_keys).map_err(Error::new)?;
    let bundle = Bundle::read(&run.create.bundle)?;
    check_terminal(run, &bundle)?;
    let id = run.create.id.as_str();
    let wishes = Wishes { stdin: run.create.interactive, stdin_once: !run.detach, image: None };
    let mut client = create::made(place, &run.create, &bundle, &wishes)?;
    if run.detach {
        begin(run, &mut client).map_err(|error| Error::asked(id, &error))?;
        output::line(id)?;
        return Ok(0);
    }
    let mut session = Session::join(id, client, &bundle.dir, Signals::block()?)?;
    if run.tty {
        session.use_terminal(run.create.interactive.then_some(keys))?;
    }
    if run.create.interactive {
        session.pass_input();
    }
    if !run.tty {
        session.proxy_signals();
    }
    // A refusal is final. Of anything else, such as a supervisor that is done before it has answered,
    // the session learns what it came to.
    if let Err(error @ client::Error::Refused(_)) = begin(run, session.client()) {
        return Err(Error::asked(id, &error));
    }
    finish(id, session, run.create.rm)
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

/// Starts it. One that is to be removed at its end is not left behind if that fails.
fn begin(run: &Run, client: &mut Client) -> Result<(), client::Error> {
    let Err(error) = client.call(Request::Start) else { return Ok(()) };
    if run.create.rm && matches!(error, client::Error::Refused(_)) {
        let kill = Kill { signal: Signal::KILL, all: false, exec: None };
        // It may have ended by itself.
        let _ = client.call(Request::Kill(kill));
    }
    Err(error)
}

/// `attach`.
///
/// # Errors
/// There is nothing to attach to, or the supervisor was lost.
pub fn attach(place: &Place, attach: &Attach) -> Result<u8, Error> {
    let keys = Keys::parse(&attach.detach_keys).map_err(Error::new)?;
    let (id, mut client) = place.find(&attach.id)?;
    let answer = client.call(Request::State).map_err(|error| Error::asked(&id, &error))?;
    let Body::State(state) = answer.body else {
        return Err(Error::new(format!("{id}: an answer of another kind")));
    };
    let bundle = state.bundle.ok_or_else(|| Error::new(format!("{id}: it has no bundle directory")))?;
    let mut session = Session::join(&id, client, Path::new(&bundle), Signals::block()?)?;
    if state.terminal {
        session.use_terminal((!attach.no_stdin).then_some(keys))?;
    } else if !attach.no_sig_proxy {
        session.proxy_signals();
    }
    if !attach.no_stdin {
        session.pass_input();
    }
    finish(&id, session, false)
}

/// Passes streams until the end. Whether the terminal is restored does not depend on how that comes.
fn finish(id: &str, mut session: Session, wait_for_removal: bool) -> Result<u8, Error> {
    let ended = session.pass();
    let mut client = session.leave();
    match ended? {
        Ended::Exit(exit) => {
            if wait_for_removal {
                let wait = Wait { stage: request::Stage::Deleted, exec: None };
                match client.call(Request::Wait(wait)) {
                    // It closes when all is done.
                    Ok(_) | Err(client::Error::Closed) => {}
                    Err(error) => output::complain(&Error::asked(id, &error).message),
                }
            }
            Ok(status(id, exit))
        }
        Ended::Detached => Ok(0),
        Ended::Signal(number) => Ok(128u8.saturating_add(number)),
    }
}
