//! `checkpoint` and `restore`: a container on disk.

use std::fs;
use std::path::{Path, PathBuf};

use conward_protocol::{Request, request};

use crate::bundle::Bundle;
use crate::cli::{Checkpoint, Restore};
use crate::create;
use crate::error::Error;
use crate::output;
use crate::place::Place;
use crate::spawn::{Image, Wishes};

/// criu's log of a restore, which the supervisor has it write in the bundle.
const LOG: &str = "restore.log";

/// `checkpoint`.
///
/// # Errors
/// The runtime, or criu, could not do it.
pub fn checkpoint(place: &Place, wanted: &Checkpoint) -> Result<u8, Error> {
    let request = Request::Checkpoint(request::Checkpoint {
        image: text(&wanted.image_path)?,
        work: wanted.work_path.as_deref().map(text).transpose()?,
        leave_running: wanted.leave_running,
        tcp_established: wanted.tcp_established,
        file_locks: wanted.file_locks,
    });
    let (id, mut client) = place.find(&wanted.id)?;
    client.call(request).map_err(|error| Error::asked(&id, &error))?;
    output::line(&id)?;
    Ok(0)
}

/// `restore`.
///
/// # Errors
/// The bundle cannot work, the id is taken, or the supervisor, the runtime or criu failed.
pub fn restore(place: &Place, restore: &Restore) -> Result<u8, Error> {
    let create = &restore.create;
    let bundle = Bundle::read(&create.bundle)?;
    let image = fs::canonicalize(&restore.image_path)
        .map_err(|error| Error::io(format_args!("image {}", restore.image_path.display()), error))?;
    let options = [(restore.tcp_established, "--tcp-established"), (restore.file_locks, "--file-locks")];
    let options = options.into_iter().filter_map(|(wanted, option)| wanted.then_some(option)).collect();
    let wishes = Wishes { stdin: create.interactive, image: Some(Image { dir: image, options }) };
    create::made(place, create, &bundle, &wishes).map_err(|error| with_reason(error, &bundle.dir))?;
    output::line(&create.id)?;
    Ok(0)
}

/// The protocol has absolute paths, as texts.
fn text(path: &Path) -> Result<String, Error> {
    let absolute = std::path::absolute(path).map_err(|error| Error::io(path.display(), error))?;
    let wrong = |path: PathBuf| Error::new(format!("{}: the path is not UTF-8", path.display()));
    absolute.into_os_string().into_string().map_err(|path| wrong(path.into()))
}

/// What criu says of it, where the runtime only names criu's log.
fn with_reason(error: Error, bundle: &Path) -> Error {
    let log = fs::read(bundle.join(LOG)).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    match log.lines().find_map(|line| line.split_once("Error (")?.1.split_once("): ")) {
        Some((_, reason)) if error.message.contains(LOG) => {
            Error { message: format!("{}: criu: {}", error.message, reason.trim()), ..error }
        }
        _ => error,
    }
}
