//! What the supervisor knows, for who asks and for who comes when it is gone.

use conward_protocol::body::State;
use conward_protocol::{STATE_FILE, What};

use super::requests::BODY_MAX;
use super::{Supervisor, annotations};
use crate::error::reason;
use crate::pid::Pid;
use crate::sys::file::{self, write_new};
use crate::sys::process;

impl Supervisor {
    /// All of it.
    pub(super) fn state(&self) -> State {
        use conward_protocol::State as Formal;
        let stopped = matches!(self.life.state, Formal::Stopped | Formal::Deleted);
        let annotations = self.plan.runtime.bundle.as_deref().map(annotations::read);
        let annotations = annotations.and_then(|read| {
            read.inspect_err(|error| log::debug!("no annotations of the bundle: {}", reason(error))).ok()
        });
        State {
            id: self.plan.identity.id.clone(),
            name: self.plan.identity.name.clone(),
            state: self.life.state,
            step: self.life.step.filter(|_| stopped),
            pid: self.life.pid.map(Pid::raw),
            supervisor: process::own_pid().raw(),
            version: env!("CARGO_PKG_VERSION").into(),
            capabilities: self.capabilities(),
            bundle: self.plan.runtime.bundle.clone(),
            runtime: self.plan.runtime.program.clone(),
            runtime_args: self.plan.runtime.global_args.clone(),
            terminal: self.container.has_terminal(),
            exit: self.life.exit,
            times: self.life.times,
            log: self.plan.logs.file.as_ref().map(|file| file.path.display().to_string()),
            record: self.exit_record.path().map(|path| path.display().to_string()),
            seq: self.life.events.last(),
            execs: self.sessions.states(),
            annotations: annotations.unwrap_or_default(),
            omitted: Vec::new(),
        }
    }

    /// Has the state file written soon, if that event belongs to a transition: at the end of the round, or
    /// before something is run at the container's end. So it is written once where one transition follows
    /// the other, and never before the caller is told.
    pub(super) fn note_transition(&mut self, what: &What) {
        self.state_changed |= match what {
            What::Created { .. }
            | What::Started
            | What::Paused
            | What::Resumed
            | What::Exited { .. }
            | What::Drained { .. }
            | What::Recorded { .. }
            | What::Deleting => true,
            What::CreateFailed { .. }
            | What::Updated
            | What::Signalled { .. }
            | What::Resized { .. }
            | What::StdinClosed { .. }
            | What::Oom(_)
            | What::ExecStarted { .. }
            | What::ExecExited { .. }
            | What::Checkpointed { .. }
            | What::HookEnded(_)
            | What::Deleted { .. }
            | What::LogDegraded { .. }
            | What::LogRecovered { .. }
            | What::LogsReopened
            | What::ClientAttached { .. }
            | What::ClientDetached { .. }
            | What::ClientDropped { .. }
            | What::Upgraded { .. }
            | What::Other => false,
        };
    }

    /// Writes the state file, if the state has changed. It is not synced: after a crash of the host there
    /// is no container either.
    pub(super) fn save_state(&mut self) {
        if !std::mem::take(&mut self.state_changed) {
            return;
        }
        let Some(dir) = self.endpoints.control.as_ref().map(|control| control.dir()) else { return };
        let path = dir.join(STATE_FILE);
        // To read the bundle's configuration takes memory for a moment.
        self.untidy = true;
        let written = serde_json::to_vec(&self.state())
            .map_err(std::io::Error::from)
            .and_then(|text| write_new(&path, &text, 0o600, false));
        if let Err(error) = written {
            log::warn!("cannot write the state file {}: {}", path.display(), reason(&error));
        }
    }

    /// Removes the record of an earlier container of this id, before it can be taken for that of this one.
    pub(super) fn forget_former_record(&self) {
        if let Some(control) = &self.endpoints.control {
            file::remove(&control.dir().join(conward_protocol::RECORD_FILE));
        }
    }
}

/// The state, with the fields left out that are too long for a line.
pub(super) fn for_a_line(mut state: State) -> State {
    let fits = |state: &State| serde_json::to_vec(state).is_ok_and(|json| json.len() <= BODY_MAX);
    if !fits(&state) {
        state.annotations.clear();
        state.omitted.push("annotations".into());
    }
    if !fits(&state) {
        state.execs.clear();
        state.omitted.push("execs".into());
    }
    state
}
