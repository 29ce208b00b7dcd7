//! Commands that are one request each.

use conward_protocol::request;
use conward_protocol::{Body, Exit, Request};

use crate::cli::{Kill, Stage, Stop};
use crate::error::Error;
use crate::output;
use crate::place::Place;

/// `start`.
///
/// # Errors
/// That of the first container for which it failed; the others are tried all the same.
pub fn start(place: &Place, ids: &[String]) -> Result<u8, Error> {
    ask(place, ids, &Request::Start)
}

/// `pause`.
///
/// # Errors
/// As of [`start`].
pub fn pause(place: &Place, ids: &[String]) -> Result<u8, Error> {
    ask(place, ids, &Request::Pause)
}

/// `resume`.
///
/// # Errors
/// As of [`start`].
pub fn resume(place: &Place, ids: &[String]) -> Result<u8, Error> {
    ask(place, ids, &Request::Resume)
}

/// `kill`.
///
/// # Errors
/// As of [`start`].
pub fn kill(place: &Place, kill: &Kill) -> Result<u8, Error> {
    let request = request::Kill { signal: kill.signal, all: kill.all, exec: kill.exec.clone() };
    ask(place, &kill.ids, &Request::Kill(request))
}

/// `stop`.
///
/// # Errors
/// As of [`start`].
pub fn stop(place: &Place, stop: &Stop) -> Result<u8, Error> {
    let timeout_ms = stop.timeout.map(|seconds| seconds * 1000);
    ask(place, &stop.ids, &Request::Stop(request::Stop { signal: stop.signal, timeout_ms }))
}

/// Asks each, and prints the ids of those that have done it.
fn ask(place: &Place, ids: &[String], request: &Request) -> Result<u8, Error> {
    each(ids, |wanted| {
        let (id, mut client) = place.find(wanted)?;
        client.call(request.clone()).map_err(|error| Error::asked(&id, &error))?;
        output::line(&id)
    })
}

/// Does it for each.
///
/// # Errors
/// The first one, at the end; the others are told.
pub fn each(ids: &[String], mut one: impl FnMut(&str) -> Result<(), Error>) -> Result<u8, Error> {
    let mut first = None;
    for id in ids {
        match one(id) {
            Ok(()) => {}
            Err(error) if error.output_closed => return Err(error),
            Err(error) if first.is_none() => first = Some(error),
            Err(error) => output::complain(&error.message),
        }
    }
    first.map_or(Ok(0), Err)
}

/// `wait`: of a container whose supervisor is dead, the exit record tells.
///
/// # Errors
/// Nobody can tell.
pub fn wait(place: &Place, stage: Stage, exec: Option<String>, wanted: &str) -> Result<u8, Error> {
    let id = place.resolve(wanted)?;
    let exit = match place.connect(&id) {
        Ok(mut client) => {
            let request = Request::Wait(request::Wait { stage: stage.into(), exec });
            match client.call(request).map_err(|error| Error::asked(&id, &error))?.body {
                Body::Waited(waited) => waited.exit,
                _ => None,
            }
        }
        Err(dead) => match place.remains(&id).exit() {
            Some(exit) if exec.is_none() => Some(exit),
            _ => return Err(dead),
        },
    };
    let exit = exit.ok_or_else(|| Error::new(format!("{id}: it was never created")))?;
    output::line(&exit.number().to_string())?;
    Ok(status(&id, exit))
}

/// The exit status that passes a container's on. One that nobody knows is 255, and said.
pub fn status(id: &str, exit: Exit) -> u8 {
    if matches!(exit, Exit::Unknown | Exit::TimedOut) {
        output::complain(&format!("{id}: it was ended by: {exit}"));
    }
    exit.as_process_status()
}
