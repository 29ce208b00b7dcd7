//! How a launch went, as seen from what the runtime left.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::core::Failure;
use crate::error::Error;
use crate::pid::Pid;
use crate::plan::Stdio;
use crate::sys::process;

/// Bytes of a pid file that are looked at.
const PID_FILE_MAX: u64 = 64;

/// Removes the pid file of a former run, or empties one that cannot be removed, so that a runtime
/// which writes none cannot make us send signals to whoever has that pid now.
///
/// # Errors
///
/// [`Error::Fatal`] if the old content cannot be got rid of.
pub fn forget_pid_file(path: &str) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => File::options()
            .write(true)
            .truncate(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)
            .map(drop)
            .map_err(|_| Error::io(format_args!("Failed to remove the old pid file {path}"), error)),
    }
}

/// The pid that the runtime wrote.
///
/// # Errors
///
/// What is wrong with the file, in words.
pub fn read_pid(path: &str) -> Result<Pid, String> {
    let mut text = Vec::new();
    // A fifo in the place of the file must not hold anybody up.
    File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(Path::new(path))
        .and_then(|file| file.take(PID_FILE_MAX).read_to_end(&mut text))
        .map_err(|error| format!("Failed to read pid file {path}: {}", crate::error::reason(&error)))?;
    let text = String::from_utf8_lossy(&text);
    match text.trim() {
        "" => Err(format!("Pid file {path} is empty")),
        number => match number.parse().ok().and_then(Pid::new) {
            // We would wait for ourselves, and kill ourselves.
            Some(pid) if pid == process::own_pid() => {
                Err(format!("Pid file {path} holds the supervisor's pid"))
            }
            Some(pid) => Ok(pid),
            None => Err(format!("Pid file {path} holds no pid: {number:?}")),
        },
    }
}

/// The message to the caller: the runtime's own words where it had any and they can be the reason.
/// They end at the first NUL, where callers stop reading too.
pub fn failure_text(failure: &Failure, runtime: &str, stdio: Stdio, mut stderr: Vec<u8>) -> Vec<u8> {
    stderr.truncate(stderr.iter().position(|&byte| byte == 0).unwrap_or(stderr.len()));
    match failure {
        Failure::Runtime(_) | Failure::PidFile(_) if !stderr.is_empty() => stderr,
        Failure::Runtime(exit) if stdio == Stdio::Passthrough => {
            format!("OCI runtime {runtime} failed with {exit}; its standard error has the reason")
                .into_bytes()
        }
        Failure::Runtime(exit) => {
            format!("OCI runtime {runtime} failed with {exit} and gave no reason").into_bytes()
        }
        Failure::PidFile(text) => text.clone().into_bytes(),
        Failure::Spawn(text) => text.clone().into_bytes(),
        Failure::Console(text) => text.clone().into_bytes(),
        Failure::Watch(text) => format!("Failed to watch the container: {text}").into_bytes(),
        Failure::Interrupted(signal) => {
            format!("Signal {signal} came before OCI runtime {runtime} was started").into_bytes()
        }
    }
}
