//! `delete`: by the supervisor, or, where that has ended, with what it has left behind.

use std::fs;
use std::process::{Command, Stdio};

use conward_protocol::{Request, State, body, request};
use serde_json::Value;

use crate::cli::Delete;
use crate::error::Error;
use crate::output;
use crate::place::{Found, Place, Remains};
use crate::requests;

/// `delete`.
///
/// # Errors
/// That of the first container for which it failed; the others are tried all the same.
pub fn delete(place: &Place, delete: &Delete) -> Result<u8, Error> {
    requests::each(&delete.ids, |wanted| {
        let id = place.resolve(wanted)?;
        one(place, &id, delete.force)?;
        output::line(&id)
    })
}

fn one(place: &Place, id: &str, force: bool) -> Result<(), Error> {
    let refused = match place.look(id) {
        Found::Dead(remains) => return bury(place, id, &remains, force),
        Found::Mute(why) => return Err(Error::new(format!("{id}: its supervisor does not answer: {why}"))),
        Found::Alive(_) => match ask(place, id, force) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        },
    };
    // One that keeps the files ends as soon as nobody is connected: it may have done so meanwhile.
    match place.look(id) {
        Found::Dead(remains) => bury(place, id, &remains, force),
        Found::Alive(_) | Found::Mute(_) => Err(refused),
    }
}

fn ask(place: &Place, id: &str, force: bool) -> Result<(), Error> {
    let request = Request::Delete(request::Delete { force });
    place.connect(id)?.call(request).map(drop).map_err(|error| Error::asked(id, &error))
}

/// Has the runtime forget a container that nobody looks after, and removes its directory.
fn bury(place: &Place, id: &str, remains: &Remains, force: bool) -> Result<(), Error> {
    match &remains.state {
        Some(state) if state.state != State::Deleted => forget(state, force)?,
        Some(_) => {}
        None if force => output::complain(&format!("{id}: no runtime was asked: there is no state file")),
        None => {
            let why = "its supervisor has left no state file: -f removes the directory, and asks no runtime";
            return Err(Error::new(format!("{id}: {why}")));
        }
    }
    let dir = place.dir().join(id);
    fs::remove_dir_all(&dir).map_err(|error| Error::io(dir.display(), error))
}

/// The runtime may have forgotten it already, as after a checkpoint.
fn forget(state: &body::State, force: bool) -> Result<(), Error> {
    let id = &state.id;
    let Some(status) = status(state)? else { return Ok(()) };
    if status != "stopped" && !force {
        let why = format!("it is {status} without a supervisor: -f kills it");
        return Err(Error::new(format!("{id}: {why}")));
    }
    let verb: &[&str] = if force { &["delete", "--force"] } else { &["delete"] };
    call(state, verb).and_then(|called| called.map(drop).map_err(|text| Error::runtime(id, &text)))
}

/// What the runtime says of the container. `None`: it knows of none.
fn status(state: &body::State) -> Result<Option<String>, Error> {
    match call(state, &["state"])? {
        Ok(text) => {
            let told: Value = serde_json::from_str(&text).unwrap_or_default();
            let status = told["status"].as_str().map(str::to_owned);
            let unclear = || Error::new(format!("{}: {} tells no status", state.id, state.runtime));
            Ok(Some(status.ok_or_else(unclear)?))
        }
        // runc and youki say the one, crun the other.
        Err(text) if text.contains("does not exist") || text.contains("No such file or directory") => {
            Ok(None)
        }
        Err(text) => Err(Error::runtime(&state.id, &text)),
    }
}

/// Gives what the runtime has printed, or else its error text.
fn call(state: &body::State, verb: &[&str]) -> Result<Result<String, String>, Error> {
    let called = Command::new(&state.runtime)
        .args(&state.runtime_args)
        .args(verb)
        .arg(&state.id)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Error::io(format_args!("{}: starting {}", state.id, state.runtime), error))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(if called.status.success() { Ok(text(&called.stdout)) } else { Err(text(&called.stderr)) })
}
