//! Leaving the caller.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::path::PathBuf;

use crate::error::{Error, reason};
use crate::plan::Detach;
use crate::sys::file::{remove, write_new};
use crate::sys::process::{self, Forked};

/// The launcher, as the supervisor sees it.
#[derive(Debug)]
pub struct Launcher {
    /// Its word that it has done its part; `None`: there is no launcher.
    word: Option<PipeReader>,
    pid_file: Option<PathBuf>,
}

/// Detaches as planned: from here on there are two processes. The supervisor, a fork that leads a
/// session of its own, is the one that returns. As the leader of one without a terminal it would get
/// any terminal that it opens without O_NOCTTY (setsid(2)): it opens none by a name.
///
/// The launcher writes the supervisor's pid file meanwhile, and ends.
///
/// # Errors
///
/// [`Error::Fatal`], in the launcher; no supervisor is left then.
pub fn detach(plan: &Detach) -> Result<Launcher, Error> {
    let Detach::Yes { pid_file } = plan else {
        // Fails harmlessly where the caller has made us the leader of a group.
        let _ = nix::unistd::setsid();
        return Ok(Launcher { word: None, pid_file: None });
    };
    let (theirs, ours) = pipe().map_err(|e| Error::io("Failed to make a pipe to the supervisor", e))?;
    let supervisor = match process::fork().map_err(|e| Error::io("Failed to fork", e))? {
        Forked::Parent(supervisor) => supervisor,
        Forked::Child => {
            // It has just been made, so it leads no group.
            let _ = nix::unistd::setsid();
            return Ok(Launcher { word: Some(theirs), pid_file: pid_file.clone() });
        }
    };
    let written = pid_file.as_ref().map_or(Ok(()), |path| {
        write_new(path, supervisor.to_string().as_bytes(), 0o644, false)
            .map_err(|e| format!("Failed to write conmon pidfile {}: {}", path.display(), reason(&e)))
    });
    match written.and_then(|()| agree(ours)) {
        Ok(()) => process::end_now(0),
        Err(text) => {
            // It sees the end of the pipe, and ends too.
            process::reap_child(supervisor);
            Err(Error::Fatal(text))
        }
    }
}

fn agree(mut to: PipeWriter) -> Result<(), String> {
    to.write_all(b"\0").map_err(|_| "The supervisor died at its start".to_owned())
}

impl Launcher {
    /// Waits until the pid file is written. `false`: the launcher has failed, or somebody has killed it,
    /// which its caller takes for a failed launch; there is no pid file then.
    pub fn agrees(self) -> bool {
        let Some(mut word) = self.word else { return true };
        let agreed = word.read_exact(&mut [0]).is_ok();
        if let (false, Some(path)) = (agreed, &self.pid_file) {
            remove(path);
        }
        agreed
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
