//! Hooks of the supervisor's own: one after the other, beside everything else.
//!
//! What a hook does, or does not do, costs the container nothing and the end of it no more than the hook's
//! time: nothing here waits. `runs` has how one is started and what it says, `pins` the
//! namespaces that it may get.

mod pins;
mod runs;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use conward_protocol::record::{HookOutcome, HookStage};
use conward_protocol::{Cause, Exit, State, Step, What};

use super::Supervisor;
use super::source::{CONTAINER, Source};
use crate::core::{Answer, Event, KILL_LIMIT};
use crate::error::reason;
use crate::pid::Pid;
use crate::plan::Hook;
use crate::reactor::{Ready, Watch};
use crate::sys::process;
use pins::Pin;
use runs::Run;

/// How often it is looked whether a caller has started the container with a runtime of its own, where hooks wait
/// for that: one short file of /proc.
const LOOK: Duration = Duration::from_millis(100);

/// Those that are to be run, and the one that runs.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    /// Each hook of the plan stands here once at most.
    queue: VecDeque<Hook>,
    at_work: Option<Run>,
    /// The lifecycle waits until all have ended.
    awaited: bool,
    /// When to look whether the container was started.
    look: Option<Instant>,
    /// The container's namespaces, until the last `exited` hook has ended.
    pins: Vec<Pin>,
}

impl Hooks {
    fn are_over(&self) -> bool {
        self.queue.is_empty() && self.at_work.is_none()
    }

    /// When something is to be done even if nothing comes.
    pub fn deadline(&self) -> Option<Instant> {
        self.look.into_iter().chain(self.at_work.as_ref().map(|run| run.due)).min()
    }
}

impl Supervisor {
    /// Has the hooks of this stage run after those that are at work or wait already.
    pub(super) fn queue_hooks(&mut self, stage: HookStage) {
        let lifecycle = &self.plan.lifecycle;
        self.hooks.queue.extend(lifecycle.hooks_at(stage).cloned());
        if stage == HookStage::Created && lifecycle.hooks_at(HookStage::Started).next().is_some() {
            self.hooks.look = Some(Instant::now() + LOOK);
        }
    }

    /// The same for the lifecycle, which waits for the last one; at once, if there is none.
    pub(super) fn run_hooks(&mut self, stage: HookStage) -> Option<Event> {
        self.queue_hooks(stage);
        if self.hooks.are_over() {
            return Some(self.hooks_ended());
        }
        if stage == HookStage::Exited {
            self.life.step = Some(Step::Hooks);
            self.state_changed = true;
        }
        self.hooks.awaited = true;
        None
    }

    fn hooks_ended(&mut self) -> Event {
        // What a namespace holds may be in the way of the runtime's delete.
        self.hooks.pins = Vec::new();
        Event::Answered(Answer::HooksEnded)
    }

    /// Does what is due, and goes on to the next hook where one has ended. After the state was written and
    /// the caller told, since this is done last in a round.
    pub(super) fn turn_hooks(&mut self, now: Instant) {
        if self.hooks.look.is_some_and(|due| now >= due) {
            self.look_whether_started();
            self.hooks.look = (self.life.state == State::Created).then(|| now + LOOK);
        }
        self.end_late_hook(now);
        while self.hooks.at_work.is_none()
            && let Some(hook) = self.hooks.queue.pop_front()
        {
            self.save_state();
            self.start_hook(hook);
        }
        if self.hooks.are_over() && std::mem::take(&mut self.hooks.awaited) {
            let event = self.hooks_ended();
            self.happen(CONTAINER, event);
        }
    }

    fn start_hook(&mut self, hook: Hook) {
        // It takes memory for a moment to read the bundle's configuration.
        self.untidy = true;
        let started = super::life::now();
        match self.spawn_hook(&hook, started) {
            Ok(run) => {
                if let Err(error) = self.reactor.watch(&run.output, Source::Hook.id(), Watch::Reads) {
                    log::warn!("cannot watch the output of hook {}: {}", hook.path, reason(&error));
                }
                self.hooks.at_work = Some(run);
            }
            Err(error) => self.note_hook(HookOutcome {
                stage: hook.stage,
                path: hook.path,
                started,
                duration_ms: 0,
                exit: None,
                error: Some(reason(&error)),
                output: String::new(),
            }),
        }
    }

    /// The hook has said something. One that floods is read like any other source: by turns.
    pub(super) fn on_hook(&mut self) {
        if self.hooks.at_work.as_mut().is_some_and(Run::read) {
            self.reactor.again(Ready::to_read(Source::Hook.id()));
        }
    }

    /// Kills a hook whose time is up. One that does not even die of that is left to itself.
    fn end_late_hook(&mut self, now: Instant) {
        let Some(run) = self.hooks.at_work.as_mut().filter(|run| now >= run.due) else { return };
        if !run.late {
            run.late = true;
            run.due = now + KILL_LIMIT;
            process::signal_group_of(run.pid, libc::SIGKILL);
        } else if let Some(run) = self.hooks.at_work.take() {
            self.leave_hook(run, Exit::TimedOut);
        }
    }

    /// A signal asks for the end, which only a hook holds up.
    pub(super) fn signal_hook(&mut self, signal: i32) {
        if let Some(run) = &self.hooks.at_work {
            process::signal_group_of(run.pid, signal);
        }
    }

    /// A child has ended: maybe the hook. What it has left running keeps nobody waiting.
    pub(super) fn end_hook(&mut self, pid: Pid, exit: Exit) -> bool {
        let Some(run) = self.hooks.at_work.take_if(|run| run.pid == pid) else { return false };
        let exit = if run.late { Exit::TimedOut } else { exit };
        self.leave_hook(run, exit);
        true
    }

    fn leave_hook(&mut self, mut run: Run, exit: Exit) {
        run.read();
        self.reactor.forget(&run.output);
        let outcome = run.end(exit);
        self.note_hook(outcome);
    }

    /// On disk first, if there is a record already.
    fn note_hook(&mut self, outcome: HookOutcome) {
        let (stage, path) = (outcome.stage, &outcome.path);
        match (outcome.exit, &outcome.error) {
            (Some(Exit::Code(0)), _) => {}
            (Some(exit), _) => log::warn!("hook {path} of stage {stage} ended with {exit}"),
            (None, error) => log::warn!(
                "cannot run hook {path} of stage {stage}: {}",
                error.as_deref().unwrap_or_default()
            ),
        }
        self.add_hook(outcome.clone());
        self.announce(What::HookEnded(outcome), Cause::Supervisor);
    }
}
