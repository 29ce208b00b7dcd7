//! The lifecycle: what happens, in which order. No descriptor, no clock, no log: events and the
//! time come in, effects go out.
//!
//! Each phase answers each event; there is no catch-all over events, so that a new one does not
//! compile until every phase has an answer. Where there is a container, only [`Answer::Recorded`] leads to hooks, to the exit
//! command and to the runtime's delete, so "recorded first" is structure, not care.

mod early;
mod ending;
mod event;
mod launching;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use conward_protocol::Exit;

use crate::pid::Pid;
use crate::plan::{Plan, Stdio, Verb};
use early::Early;
use ending::{last_hooks, resting};
pub use event::{Answer, Effect, Event, Failure, Settled};

/// How long output may take to reach logs and clients after the container has ended, before its end
/// is recorded. A journal or a client that is stuck costs this much and no more.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(2);
/// How long a container that was sent SIGKILL may take to end before its end is recorded anyway
/// (a process in uninterruptible sleep does not end).
pub const KILL_LIMIT: Duration = Duration::from_secs(2);

/// The lifecycle of one container, or of one exec session.
#[derive(Debug)]
pub struct Core {
    shape: Shape,
    phase: Phase,
    delete: Wish,
}

/// Whether the runtime is to delete the container once it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// Nobody wants that.
    None,
    /// The plan says so.
    Planned,
    /// A manager has asked for it.
    Asked,
    /// There is none to be deleted: none was made, or this is an exec session in one.
    Never,
}

/// The few facts that decide what happens.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The runtime is asked for `exec`, not for `create`.
    pub exec: bool,
    /// The runtime is to send a terminal.
    pub terminal: bool,
    /// How long the process may run, counted from its pid on.
    pub timeout: Option<Duration>,
    /// The delay of the exit command, if there is one.
    pub exit_command: Option<Duration>,
    /// Stay with what is left of the container until somebody has it deleted, or nobody is there to.
    pub keep: bool,
    /// Have it deleted at its end.
    pub delete: bool,
}

impl Shape {
    /// That of the container, or the session, that a plan is for.
    pub fn of(plan: &Plan) -> Shape {
        Shape {
            exec: matches!(plan.verb, Verb::Exec { .. }),
            terminal: matches!(plan.stdio, Stdio::Terminal { .. }),
            timeout: plan.timeout,
            exit_command: plan.exit_command.as_ref().map(|command| command.delay),
            keep: plan.lifecycle.keep_state,
            delete: plan.lifecycle.delete_on_exit,
        }
    }
}

#[derive(Debug)]
enum Phase {
    /// Waiting for the caller's word.
    Gated,
    /// The runtime is about to be started.
    Spawning,
    /// The runtime runs. The signal is the last one that the process, not only the runtime, is to get.
    Launching { runtime: Pid, early: Early, signal: Option<i32> },
    /// The runtime has ended; what it left is being looked at. This phase and the next pass within
    /// one turn of the loop today, but nothing here relies on that.
    Settling { status: Exit, early: Early, signal: Option<i32> },
    /// The container's pid is known; its process is being taken hold of.
    Adopting { init: Pid, early: Early, signal: Option<i32> },
    /// The container is created, or runs.
    Alive { init: Pid, until: Option<Instant> },
    /// It was sent SIGKILL since its time was up.
    Killed { init: Pid, until: Instant },
    /// It has ended; its output is on the way.
    Draining { exit: Exit, until: Instant },
    /// Its end is being recorded.
    Recording { exit: Exit },
    /// The hooks of its end run.
    Hooking { status: u8 },
    /// The exit command is due at this time.
    Delaying { until: Instant, status: u8 },
    /// The exit command is about to be started, or runs.
    Commanding { command: Option<Pid>, status: u8 },
    /// The runtime deletes the container.
    Deleting { status: u8 },
    /// The runtime has deleted it; the last hooks run.
    LastHooks { status: u8 },
    /// Nothing is left to do but what a manager may ask for.
    Resting { status: u8 },
    /// Nothing is left to do.
    Gone,
}

impl Core {
    /// A lifecycle in its first phase, which ends with [`Event::Go`].
    pub fn new(shape: Shape) -> Core {
        let delete = match shape {
            Shape { exec: true, .. } => Wish::Never,
            Shape { delete: true, .. } => Wish::Planned,
            Shape { .. } => Wish::None,
        };
        Core { shape, phase: Phase::Gated, delete }
    }

    /// Whether nothing is left to do but what a manager may ask for. Then somebody must look whether one
    /// still can, and say [`Event::Abandoned`] if not.
    pub fn rests(&self) -> bool {
        matches!(self.phase, Phase::Resting { .. })
    }

    /// When [`Event::Tick`] is due, at the latest. `None`: there is nothing to wait for but events.
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Alive { until, .. } => until,
            Phase::Killed { until, .. } | Phase::Draining { until, .. } | Phase::Delaying { until, .. } => {
                Some(until)
            }
            Phase::Gated
            | Phase::Spawning
            | Phase::Launching { .. }
            | Phase::Settling { .. }
            | Phase::Adopting { .. }
            | Phase::Recording { .. }
            | Phase::Hooking { .. }
            | Phase::Commanding { .. }
            | Phase::Deleting { .. }
            | Phase::LastHooks { .. }
            | Phase::Resting { .. }
            | Phase::Gone => None,
        }
    }

    /// Takes in an event at the time `now`; what is to be done is appended to `out`, in order.
    pub fn handle(&mut self, now: Instant, event: Event, out: &mut Vec<Effect>) {
        if event == Event::DeleteAsked && self.delete != Wish::Never {
            self.delete = Wish::Asked;
        }
        let ending = matches!(self.phase, Phase::Draining { .. } | Phase::Recording { .. });
        if let (Event::Signalled(_), true, Some(delay)) = (&event, ending, &mut self.shape.exit_command) {
            // There is nobody whom the signal could end any more, but a delay that it can cut short.
            *delay = Duration::ZERO;
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Gone);
        self.phase = match phase {
            Phase::Gated => self.gated(now, event, out),
            Phase::Spawning => self.spawning(now, event, out),
            Phase::Launching { runtime, early, signal } => self.launching(runtime, early, signal, event, out),
            Phase::Settling { status, early, signal } => {
                self.settling(now, status, early, signal, event, out)
            }
            Phase::Adopting { init, early, signal } => self.adopting(now, init, early, signal, event, out),
            Phase::Alive { init, until } => self.alive(now, init, until, event, out),
            Phase::Killed { init, until } => self.killed(now, init, until, event, out),
            Phase::Draining { exit, until } => self.draining(now, exit, until, event, out),
            Phase::Recording { exit } => self.recording(now, exit, event, out),
            Phase::Hooking { status } => self.hooking(now, status, event, out),
            Phase::Delaying { until, status } => self.delaying(now, until, status, event, out),
            Phase::Commanding { command, status } => self.commanding(command, status, event, out),
            Phase::Deleting { status } => self.deleting(status, event, out),
            Phase::LastHooks { status } => last_hooks(status, event, out),
            Phase::Resting { status } => resting(status, event, out),
            Phase::Gone => Phase::Gone,
        }
    }
}
