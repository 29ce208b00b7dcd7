//! The runtime's delete, and the end of the supervisor.

use conward_protocol::body::{Body, Removed};
use conward_protocol::record::{HookStage, Teardown};
use conward_protocol::request::Delete;
use conward_protocol::{Cause, ErrorCode, Exit, Failure, Op, State, Step, Tag, What};

use super::Supervisor;
use super::life::now;
use super::operations::Task;
use super::perform::warn_unless_sent;
use super::record::Content;
use super::requests::Answer;
use super::source::CONTAINER;
use crate::core::{self, Event};
use crate::error::reason;
use crate::serve::control::{Control, ControlId};
use crate::sys::process;

/// Who wants the container deleted.
#[derive(Debug, Default)]
pub(super) struct Removal {
    askers: Vec<(ControlId, Option<Tag>)>,
    /// Who was the first.
    asked: Option<Cause>,
    /// Also if the runtime does not know the container.
    force: bool,
    /// The runtime has done it.
    done: bool,
}

impl Removal {
    /// How many answers a client waits for.
    pub fn askers(&self, id: ControlId) -> usize {
        self.askers.iter().filter(|(client, _)| *client == id).count()
    }

    /// The client has gone. What it asked for goes on.
    pub fn forget(&mut self, id: ControlId) {
        self.askers.retain(|(client, _)| *client != id);
    }
}

impl Supervisor {
    /// Has the container ended, if it has not, and deleted as the last thing that is done with it.
    pub(super) fn delete(&mut self, id: ControlId, tag: Option<&Tag>, request: &Delete) -> Answer {
        self.check_in_flight(id, Op::Delete)?;
        let at_the_end = self.sessions.finishing.is_some() || self.finished.is_some();
        if at_the_end && !self.removal.done {
            return Err(not_deleted());
        }
        let cause = Cause::Client { client: id as u64, op: Some(Op::Delete) };
        if self.life.state != State::Stopped {
            self.stop_at_once(cause.clone());
        }
        self.removal.askers.push((id, tag.cloned()));
        self.removal.asked.get_or_insert(cause);
        self.removal.force |= request.force;
        self.happen(CONTAINER, Event::DeleteAsked);
        Ok(None)
    }

    /// Starts the runtime. Its end is the answer to the lifecycle, unless that is known at once.
    pub(super) fn begin_teardown(&mut self) -> Option<Event> {
        self.life.step = Some(Step::Deleting);
        let cause = self.removal.asked.clone().unwrap_or(Cause::Supervisor);
        self.announce(What::Deleting, cause);
        let verb: &[&str] = if self.removal.force { &["delete", "--force"] } else { &["delete"] };
        let error = self.spawn_operation(Task::Delete, verb, None).err()?;
        let text = format!("start OCI runtime {}: {}", self.plan.runtime.program, reason(&error));
        Some(self.end_teardown(None, Some((ErrorCode::Internal, text))))
    }

    /// A signal asks for the end, which only the runtime's delete holds up.
    pub(super) fn signal_teardown(&mut self, signal: i32) {
        if let Some(runtime) = self.operations.iter().find(|o| matches!(o.task, Task::Delete)) {
            warn_unless_sent("the runtime", process::signal_child(runtime.pid, signal));
        }
    }

    /// The runtime has ended. What came of it goes into the record before anybody is told.
    pub(super) fn end_teardown(&mut self, exit: Option<Exit>, failed: Option<(ErrorCode, String)>) -> Event {
        // As a failure it has a bound.
        let failure = failed.map(|(code, text)| Failure::new(code, text));
        let error = failure.as_ref().map(|failure| failure.message.clone());
        if let Some(error) = &error {
            log::warn!("the container is not deleted: {error}");
        }
        self.add_teardown(Teardown { time: now(), exit, error });
        self.removal.done = failure.is_none();
        if let Some(failure) = failure {
            let refusal = Failure::new(failure.code, format!("delete: {}", failure.message));
            for (client, tag) in std::mem::take(&mut self.removal).askers {
                self.reply(client, tag, Err(refusal.clone()));
            }
        }
        Event::Answered(core::Answer::Deleted(self.removal.done))
    }

    /// Nothing is left to be done: stays no longer than somebody is there who may still ask for the delete.
    pub(super) fn look_whether_abandoned(&mut self) {
        if !self.container.core.rests() {
            return;
        }
        // Whoever has connected already is somebody.
        self.on_control();
        let lifecycle = &self.plan.lifecycle;
        // What is kept is deleted one day, and these hooks are to run then.
        let hooks_are_left = lifecycle.keep_state && lifecycle.hooks_at(HookStage::Deleted).next().is_some();
        let deserted = |control: &Control| control.is_deserted() && !hooks_are_left;
        if self.endpoints.control.as_ref().is_none_or(deserted) {
            self.happen(CONTAINER, Event::Abandoned);
        }
    }

    /// The last thing: the control directory goes or stays, and then managers are told, so that whoever hears
    /// of the delete finds nothing any more.
    pub(super) fn finish(&mut self, status: u8) {
        let keep = self.plan.lifecycle.keep_state && self.life.exit.is_some() && !self.removal.done;
        self.life.step = Some(Step::Announced);
        if keep {
            self.state_changed = true;
            self.save_state();
            self.endpoints.control.iter().for_each(Control::remove_socket);
        } else {
            self.life.state = State::Deleted;
            self.endpoints.control.iter().for_each(Control::remove_all);
            let teardown = self.exit_record.teardown().cloned();
            self.announce(What::Deleted { teardown }, Cause::Supervisor);
            self.answer_waiters();
            // It has no directory any more.
            self.unwritten.retain(|file| file.content != Content::Record);
        }
        self.answer_removal();
        self.give_up_operations();
        self.close_control();
        if let Some(attach) = &self.endpoints.attach {
            attach.unlink_link();
        }
        self.finished = Some(status);
    }

    /// It is deleted, and all hooks have run; or nobody will have it deleted any more.
    fn answer_removal(&mut self) {
        let teardown = self.exit_record.teardown().filter(|_| self.removal.done).cloned();
        for (client, tag) in std::mem::take(&mut self.removal.askers) {
            let removed = teardown.clone().map(|teardown| Body::Removed(Removed { teardown }));
            self.reply(client, tag, removed.ok_or_else(not_deleted));
        }
    }
}

fn not_deleted() -> Failure {
    Failure::new(ErrorCode::Gone, "delete: the supervisor ends, and the container is not deleted")
}
