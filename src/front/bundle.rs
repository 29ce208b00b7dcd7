//! Paths that default to the working directory.

use crate::error::{Error, reason};
use crate::flags::Words;

/// The bundle. A caller that names one which is not there gets told so here, by its path; left to
/// the attach socket or the runtime it would be an obscure failure of something else.
pub(super) fn directory(words: &Words) -> Result<Option<String>, Error> {
    let path = match words.bundle.clone() {
        Some(path) => path,
        None if words.exec => return Ok(None),
        None => return working_directory().map(Some),
    };
    match std::fs::metadata(&path) {
        Ok(meta) if meta.is_dir() => Ok(Some(path)),
        Ok(_) => Err(Error::Fatal(format!("Bundle path {path} is not valid Not a directory"))),
        Err(error) => Err(Error::Fatal(format!("Bundle path {path} is not valid {}", reason(&error)))),
    }
}

/// The file into which the runtime writes the container's pid.
pub(super) fn pid_file(words: &Words, id: &str) -> Result<String, Error> {
    match words.container_pidfile.clone() {
        Some(path) => Ok(path),
        None => Ok(format!("{}/pidfile-{id}", working_directory()?)),
    }
}

fn working_directory() -> Result<String, Error> {
    let path =
        std::env::current_dir().map_err(|error| Error::io("Failed to get the working directory", error))?;
    path.into_os_string()
        .into_string()
        .map_err(|path| Error::Fatal(format!("Working directory {} is not UTF-8", path.display())))
}
