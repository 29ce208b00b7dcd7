//! What the supervisor does of its own at the end of the container.

use crate::error::Error;
use crate::flags::Words;
use crate::plan::Lifecycle;

/// # Errors
/// [`Error::Usage`] for an option that has nothing to work on.
pub(super) fn plan(words: &Words, has_control_dir: bool) -> Result<Lifecycle, Error> {
    let own = [(words.keep_state, "--keep-state"), (words.delete_on_exit, "--delete-on-exit")];
    if let Some((_, name)) = own.into_iter().find(|(given, _)| *given && words.exec) {
        return Err(Error::Usage(format!("{name} is about containers and cannot be used with --exec")));
    }
    if words.keep_state && !has_control_dir {
        let why = "no directory is known (--control-dir), or the container's id is no name for one";
        return Err(Error::Usage(format!("--keep-state needs a control directory: {why}")));
    }
    Ok(Lifecycle { keep_state: words.keep_state, delete_on_exit: words.delete_on_exit })
}
