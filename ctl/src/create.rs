//! `create`: a container under a supervisor of its own.

use conward_protocol::client::Client;

use crate::bundle::Bundle;
use crate::cli::Create;
use crate::error::Error;
use crate::output;
use crate::place::{Found, Place};
use crate::spawn::{self, Wishes};

/// `create`.
///
/// # Errors
/// The bundle cannot work, the id is taken, or the supervisor or the runtime failed.
pub fn create(place: &Place, create: &Create) -> Result<u8, Error> {
    let bundle = Bundle::read(&create.bundle)?;
    made(place, create, &bundle, &Wishes { stdin: create.interactive, image: None })?;
    output::line(&create.id)?;
    Ok(0)
}

/// Creates the container, and connects to its supervisor.
///
/// # Errors
/// As of [`create`].
pub fn made(place: &Place, create: &Create, bundle: &Bundle, wishes: &Wishes) -> Result<Client, Error> {
    let id = &create.id;
    check_id(id)?;
    if place.ids()?.contains(id) {
        check_free(id, &place.look(id))?;
    }
    spawn::supervisor(place, create, bundle, wishes)?;
    // The supervisor goes on without a control socket where it cannot make one.
    place.connect(id).map_err(|error| Error::new(format!("created, but cannot be asked: {}", error.message)))
}

/// What a supervisor has left behind is not written over, unless it was killed before it had a container.
fn check_free(id: &str, found: &Found) -> Result<(), Error> {
    let why = match found {
        Found::Dead(remains) if remains.state.is_none() && remains.record.is_none() => return Ok(()),
        Found::Dead(_) => "there was a container of this id: delete it first",
        Found::Alive(_) | Found::Mute(_) => "there is a container of this id already",
    };
    Err(Error::new(format!("{id}: {why}")))
}

/// What runtimes take as an id, and a name of a directory can be.
fn check_id(id: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
    if id.is_empty() || id.starts_with('-') || matches!(id, "." | "..") || !id.chars().all(plain) {
        let what = "an id has letters, digits, '_', '.', '+' and '-' only, and no '-' first";
        return Err(Error::new(format!("{id:?}: {what}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_id;

    #[test]
    fn ids() {
        for good in ["a", "web-1", "a.b_c+d", "0123abc"] {
            assert!(check_id(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "-x", "a b", "ü"] {
            assert!(check_id(bad).is_err(), "{bad}");
        }
    }
}
