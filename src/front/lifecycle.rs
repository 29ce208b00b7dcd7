//! What the supervisor does of its own beside the container, and at its end.

use std::time::Duration;

use conward_protocol::record::HookStage;

use crate::error::Error;
use crate::flags::Words;
use crate::plan::{Hook, Lifecycle};

/// Seconds that a hook may take where nothing else is said: the default of the option's row.
const HOOK_TIMEOUT: i32 = 30;

/// # Errors
/// [`Error::Usage`] for an option that has nothing to work on, or a value that makes no sense.
pub(super) fn plan(words: &Words, has_control_dir: bool) -> Result<Lifecycle, Error> {
    let own = [
        (words.keep_state, "--keep-state"),
        (words.delete_on_exit, "--delete-on-exit"),
        (!words.hook.is_empty(), "--hook"),
        (words.hook_timeout != HOOK_TIMEOUT, "--hook-timeout"),
        (words.pin_namespaces, "--pin-namespaces"),
    ];
    if let Some((_, name)) = own.into_iter().find(|(given, _)| *given && words.exec) {
        return Err(Error::Usage(format!("{name} is about containers and cannot be used with --exec")));
    }
    if words.keep_state && !has_control_dir {
        let why = "no directory is known (--control-dir), or the container's id is no name for one";
        return Err(Error::Usage(format!("--keep-state needs a control directory: {why}")));
    }
    let timeout = match u64::try_from(words.hook_timeout) {
        Ok(seconds @ 1..) => Duration::from_secs(seconds),
        _ => {
            return Err(Error::Usage(format!("hook-timeout must be at least 1, got {}", words.hook_timeout)));
        }
    };
    let hooks: Result<Vec<Hook>, Error> = words.hook.iter().map(|word| hook(word, timeout)).collect();
    let lifecycle = Lifecycle {
        keep_state: words.keep_state,
        delete_on_exit: words.delete_on_exit,
        hooks: hooks?,
        pin_namespaces: words.pin_namespaces,
    };
    if words.pin_namespaces && lifecycle.hooks_at(HookStage::Exited).next().is_none() {
        return Err(Error::Usage("--pin-namespaces is for hooks of the stage exited: there is none".into()));
    }
    Ok(lifecycle)
}

fn hook(word: &str, timeout: Duration) -> Result<Hook, Error> {
    let fault = |what: String| Error::Usage(format!("--hook “{word}”: {what}"));
    let (name, path) =
        word.split_once('=').ok_or_else(|| fault("it is not of the form STAGE=PATH".into()))?;
    let stage = HookStage::from_name(name)
        .ok_or_else(|| fault(format!("“{name}” is no stage; there are {}", HookStage::NAMES.join(", "))))?;
    if !path.starts_with('/') {
        return Err(fault(format!("the path “{path}” is not absolute")));
    }
    Ok(Hook { stage, path: path.into(), timeout })
}
