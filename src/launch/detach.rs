//! Leaving the caller.

use std::fs::File;

use crate::error::{Error, reason};
use crate::plan::Detach;
use crate::sys::file::write_new;
use crate::sys::process::{self, Detached, own_pid};

/// Who goes on.
pub enum Standing {
    /// The launcher, which has nothing more to do.
    Launcher,
    /// The supervisor.
    Supervisor,
}

/// Detaches as planned, and writes the supervisor's pid file. The launcher returns only when the
/// supervisor is in place.
///
/// # Errors
///
/// [`Error::Fatal`], in the launcher, whichever side had the trouble; no supervisor is left then.
pub fn detach(plan: &Detach) -> Result<Standing, Error> {
    let pid_file = match plan {
        Detach::No => {
            // Fails harmlessly where the caller has made us the leader of a group.
            let _ = nix::unistd::setsid();
            return Ok(Standing::Supervisor);
        }
        Detach::Yes { pid_file } => pid_file,
    };
    match process::detach().map_err(|e| Error::io("Failed to fork", e))? {
        Detached::Launcher(supervisor) => match process::await_announcement(supervisor) {
            Ok(()) => Ok(Standing::Launcher),
            Err(text) if text.is_empty() => Err(Error::Fatal("The supervisor died at its start".into())),
            Err(text) => Err(Error::Fatal(text)),
        },
        Detached::Supervisor(launcher) => {
            let written = pid_file.as_ref().map_or(Ok(()), |path| {
                write_new(path, own_pid().to_string().as_bytes(), 0o644, false)
                    .map_err(|e| format!("Failed to write conmon pidfile {}: {}", path.display(), reason(&e)))
            });
            let told = process::announce(&launcher, written.as_ref().map(|_| ()).map_err(String::as_str));
            match (written, told) {
                (Ok(()), Ok(())) => Ok(Standing::Supervisor),
                (Ok(()), Err(_)) => {
                    // Somebody has killed the launcher: its caller takes this for a failed launch.
                    pid_file.as_deref().map(std::fs::remove_file);
                    process::end_now(1)
                }
                (Err(_), _) => process::end_now(1),
            }
        }
    }
}

/// Lets go of the caller's standard streams, whose end it may be waiting for.
///
/// # Errors
///
/// [`Error::Fatal`] from dup2(2).
pub fn release_stdio(null: &File) -> Result<(), Error> {
    nix::unistd::dup2_stdin(null)
        .and_then(|()| nix::unistd::dup2_stdout(null))
        .and_then(|()| nix::unistd::dup2_stderr(null))
        .map_err(|e| Error::io("Failed to redirect stdio to /dev/null", e))
}
