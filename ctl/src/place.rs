//! Where supervisors are found.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use conward_protocol::client::{self, Client};
use conward_protocol::{Body, Exit, RECORD_FILE, Record, Request, SOCKET_FILE, STATE_FILE, State, body};

use crate::error::Error;

/// How long a supervisor may take for an answer that it has ready. One that is stopped (by SIGSTOP, or
/// a debugger) must not keep others from being listed.
const PATIENCE: Duration = Duration::from_secs(5);

/// The control directory.
#[derive(Debug)]
pub struct Place {
    dir: PathBuf,
}

/// What is behind a directory of a supervisor.
#[derive(Debug)]
pub enum Found {
    /// A supervisor, and what it said.
    Alive(Box<body::State>),
    /// A supervisor that does not answer, and why.
    Mute(String),
    /// Nobody serves the socket; what the files say.
    Dead(Box<Remains>),
}

/// What a supervisor has left behind.
#[derive(Debug, Default)]
pub struct Remains {
    /// Its last state.
    pub state: Option<body::State>,
    /// The exit record.
    pub record: Option<Record>,
}

impl Remains {
    /// How the container has ended, if that is known.
    pub fn exit(&self) -> Option<Exit> {
        let of_state = || self.state.as_ref().and_then(|state| state.exit);
        self.record.as_ref().map(|record| record.exit).or_else(of_state)
    }

    /// Where the container is in its life, as far as the files can tell. `None`: the supervisor was killed,
    /// and what has become of the container is not in them.
    pub fn known_state(&self) -> Option<State> {
        let state = self.state.as_ref().map(|state| state.state)?;
        matches!(state, State::Stopped | State::Deleted).then_some(state)
    }
}

impl Place {
    /// The directory given, else the usual one of this user.
    ///
    /// # Errors
    /// The user has no runtime directory.
    pub fn new(given: Option<PathBuf>) -> Result<Place, Error> {
        let dir = match given {
            Some(dir) => std::path::absolute(&dir)
                .map_err(|error| Error::io(format_args!("control directory {}", dir.display()), error))?,
            None if rustix::process::geteuid().is_root() => PathBuf::from("/run/conward"),
            None => match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
                Some(dir) => Path::new(&dir).join("conward"),
                None => return Err(Error::new("XDG_RUNTIME_DIR is not set: name a --control-dir")),
            },
        };
        Ok(Place { dir })
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The ids of all containers that have a directory here, sorted. None if there is no such place:
    /// the first supervisor makes it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn ids(&self) -> Result<Vec<String>, Error> {
        let failed = |error| Error::io(format_args!("control directory {}", self.dir.display()), error);
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed)?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && let Ok(name) = entry.file_name().into_string()
            {
                ids.push(name);
            }
        }
        ids.sort();
        Ok(ids)
    }

    /// The container that is meant: the one of this id, else the only one whose id begins so.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn resolve(&self, wanted: &str) -> Result<String, Error> {
        pick(&self.ids()?, wanted).map_err(|told| {
            Error::new(match told.as_slice() {
                [] => format!("{wanted}: no container of this id below {}", self.dir.display()),
                several => format!("{wanted}: could be any of {}", several.join(", ")),
            })
        })
    }

    /// Connects to the supervisor of a container, given by its whole id.
    ///
    /// # Errors
    /// It is not there, or refuses.
    pub fn connect(&self, id: &str) -> Result<Client, Error> {
        Client::connect(&self.dir.join(id).join(SOCKET_FILE)).map_err(|error| match error {
            client::Error::Io(error) if gone(&error) => {
                Error::new(format!("{id}: its supervisor has ended: nobody serves its control socket"))
            }
            other => Error::asked(id, &other),
        })
    }

    /// Connects to the supervisor of the container that is meant.
    ///
    /// # Errors
    /// As of [`Place::resolve`] and [`Place::connect`].
    pub fn find(&self, wanted: &str) -> Result<(String, Client), Error> {
        let id = self.resolve(wanted)?;
        let client = self.connect(&id)?;
        Ok((id, client))
    }

    /// What is behind the directory of this id.
    pub fn look(&self, id: &str) -> Found {
        let asked = Client::connect(&self.dir.join(id).join(SOCKET_FILE)).and_then(|mut client| {
            client.set_timeout(Some(PATIENCE)).map_err(client::Error::Io)?;
            client.call(Request::State)
        });
        match asked.map(|answer| answer.body) {
            Ok(Body::State(state)) => Found::Alive(state),
            Ok(_) => Found::Mute("an answer of another kind".to_owned()),
            Err(client::Error::Io(error)) if gone(&error) => Found::Dead(Box::new(self.remains(id))),
            // It has ended while we asked.
            Err(client::Error::Closed) => Found::Dead(Box::new(self.remains(id))),
            Err(error) => Found::Mute(error.to_string()),
        }
    }

    /// What is left of a container. Files that are not there or not understood say nothing.
    pub fn remains(&self, id: &str) -> Remains {
        let read = |name: &str| fs::read(self.dir.join(id).join(name)).ok();
        Remains {
            state: read(STATE_FILE).and_then(|text| serde_json::from_slice(&text).ok()),
            record: read(RECORD_FILE).and_then(|text| serde_json::from_slice(&text).ok()),
        }
    }
}

/// Whether nobody serves the socket.
fn gone(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound)
}

fn pick(ids: &[String], wanted: &str) -> Result<String, Vec<String>> {
    if ids.iter().any(|id| id == wanted) {
        return Ok(wanted.to_owned());
    }
    let begin: Vec<String> =
        ids.iter().filter(|id| !wanted.is_empty() && id.starts_with(wanted)).cloned().collect();
    match begin.as_slice() {
        [only] => Ok(only.clone()),
        _ => Err(begin),
    }
}

#[cfg(test)]
mod tests {
    use super::pick;

    #[test]
    fn ids_may_be_shortened() {
        let ids = ["web".to_owned(), "web2".to_owned(), "db".to_owned()];
        assert_eq!(pick(&ids, "web"), Ok("web".to_owned()));
        assert_eq!(pick(&ids, "d"), Ok("db".to_owned()));
        assert_eq!(pick(&ids, "we"), Err(vec!["web".to_owned(), "web2".to_owned()]));
        assert_eq!(pick(&ids, "x"), Err(Vec::new()));
        assert_eq!(pick(&ids, ""), Err(Vec::new()));
    }
}
