//! How a launch went, as seen from what the runtime left.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::core::Failure;
use crate::pid::Pid;

/// Bytes of a pid file that are looked at.
const PID_FILE_MAX: u64 = 64;

/// Removes the pid file of a former run, so that a runtime which writes none cannot make us send
/// signals to whoever has that pid now. One that cannot be removed cannot be written either.
pub fn forget_pid_file(path: &str) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            log::debug!("cannot remove the old pid file {path}: {error}");
        }
        _ => {}
    }
}

/// The pid that the runtime wrote.
///
/// # Errors
///
/// What is wrong with the file, in words.
pub fn read_pid(path: &str) -> Result<Pid, String> {
    let mut text = Vec::new();
    File::open(Path::new(path))
        .and_then(|file| file.take(PID_FILE_MAX).read_to_end(&mut text))
        .map_err(|error| format!("Failed to read pid file {path}: {}", crate::error::reason(&error)))?;
    let text = String::from_utf8_lossy(&text);
    match text.trim() {
        "" => Err(format!("Pid file {path} is empty")),
        number => number
            .parse()
            .ok()
            .and_then(Pid::new)
            .ok_or_else(|| format!("Pid file {path} holds no pid: {:?}", number)),
    }
}

/// The message to the caller: the runtime's own words where it had any and they can be the reason.
/// A message ends at its first NUL byte, so words that begin with one are none.
pub fn failure_text(failure: &Failure, runtime: &str, stderr: Vec<u8>) -> Vec<u8> {
    match failure {
        Failure::Runtime(_) | Failure::PidFile(_) if stderr.first().is_some_and(|&byte| byte != 0) => stderr,
        Failure::Runtime(exit) => {
            format!("OCI runtime {runtime} failed with {exit} and gave no reason").into_bytes()
        }
        Failure::PidFile(text) => text.clone().into_bytes(),
        Failure::Spawn(text) => format!("Failed to execute OCI runtime {runtime}: {text}").into_bytes(),
        Failure::Console(text) => text.clone().into_bytes(),
        Failure::Watch(text) => format!("Failed to watch the container: {text}").into_bytes(),
        Failure::Interrupted(signal) => {
            format!("Signal {signal} came before OCI runtime {runtime} was started").into_bytes()
        }
    }
}
