//! The phases from a running container to the end of its supervisor.

use std::time::Instant;

use conward_protocol::Exit;
use conward_protocol::record::HookStage;

use super::{Answer, Core, DRAIN_LIMIT, Effect, Event, Failure, KILL_LIMIT, Phase, Wish};
use crate::pid::Pid;

impl Core {
    pub(super) fn alive(
        &self,
        now: Instant,
        init: Pid,
        until: Option<Instant>,
        event: Event,
        out: &mut Vec<Effect>,
    ) -> Phase {
        match event {
            Event::Reaped(pid, exit) if pid == init => return self.drain(now, exit, out),
            Event::Departed(exit) => return self.drain(now, exit, out),
            Event::Signalled(signal) => out.push(Effect::SignalContainer(signal)),
            Event::Tick if until.is_some_and(|until| now >= until) => {
                out.push(Effect::KillContainer);
                return Phase::Killed { init, until: now + KILL_LIMIT };
            }
            Event::Go
            | Event::Reaped(..)
            | Event::DeleteAsked
            | Event::Abandoned
            | Event::Answered(_)
            | Event::Tick => {}
        }
        Phase::Alive { init, until }
    }

    pub(super) fn killed(
        &self,
        now: Instant,
        init: Pid,
        until: Instant,
        event: Event,
        out: &mut Vec<Effect>,
    ) -> Phase {
        match event {
            Event::Reaped(pid, _) if pid == init => self.drain(now, Exit::TimedOut, out),
            Event::Departed(_) => self.drain(now, Exit::TimedOut, out),
            Event::Tick if now >= until => self.drain(now, Exit::TimedOut, out),
            Event::Go
            | Event::Reaped(..)
            | Event::Signalled(_)
            | Event::DeleteAsked
            | Event::Abandoned
            | Event::Answered(_)
            | Event::Tick => Phase::Killed { init, until },
        }
    }

    pub(super) fn draining(
        &self,
        now: Instant,
        exit: Exit,
        until: Instant,
        event: Event,
        out: &mut Vec<Effect>,
    ) -> Phase {
        match event {
            Event::Answered(Answer::Drained) => self.record(exit, out),
            Event::Tick if now >= until => self.record(exit, out),
            Event::Go
            | Event::Reaped(..)
            | Event::Departed(_)
            | Event::Signalled(_)
            | Event::DeleteAsked
            | Event::Abandoned
            | Event::Answered(_)
            | Event::Tick => Phase::Draining { exit, until },
        }
    }

    pub(super) fn recording(&self, now: Instant, exit: Exit, event: Event, out: &mut Vec<Effect>) -> Phase {
        let status = exit.as_process_status();
        match event {
            Event::Answered(Answer::Recorded) if self.shape.exec => self.leave(now, status, out),
            Event::Answered(Answer::Recorded) => {
                out.extend([Effect::LetGo, Effect::RunHooks(HookStage::Exited)]);
                Phase::Hooking { status }
            }
            Event::Go
            | Event::Reaped(..)
            | Event::Departed(_)
            | Event::Signalled(_)
            | Event::DeleteAsked
            | Event::Abandoned
            | Event::Answered(_)
            | Event::Tick => Phase::Recording { exit },
        }
    }

    pub(super) fn hooking(&self, now: Instant, status: u8, event: Event, out: &mut Vec<Effect>) -> Phase {
        match event {
            Event::Answered(Answer::HooksEnded) => return self.put_off(now, status, out),
            Event::Signalled(signal) => out.push(Effect::SignalHook(signal)),
            Event::Go
            | Event::Reaped(..)
            | Event::Departed(_)
            | Event::DeleteAsked
            | Event::Abandoned
            | Event::Answered(_)
            | Event::Tick => {}
        }
        Phase::Hooking { status }
    }

    pub(super) fn delaying(
        &self,
        now: Instant,
        until: Instant,
        status: u8,
        event: Event,
        out: &mut Vec<Effect>,
    ) -> Phase {
        match event {
            // Whoever asks for the end need not wait for a delay that only puts things off.
            Event::Signalled(_) | Event::DeleteAsked => self.command(status, out),
            Event::Tick if now >= until => self.command(status, out),
            Event::Go
            | Event::Reaped(..)
            | Event::Departed(_)
            | Event::Abandoned
            | Event::Answered(_)
            | Event::Tick => Phase::Delaying { until, status },
        }
    }

    pub(super) fn commanding(
        &self,
        command: Option<Pid>,
        status: u8,
        event: Event,
        out: &mut Vec<Effect>,
    ) -> Phase {
        match event {
            Event::Answered(Answer::CommandSpawned(Some(pid))) => {
                Phase::Commanding { command: Some(pid), status }
            }
            Event::Answered(Answer::CommandSpawned(None)) => self.rest(status, out),
            Event::Reaped(pid, _) if command == Some(pid) => self.rest(status, out),
            Event::Go
            | Event::Reaped(..)
            | Event::Departed(_)
            | Event::Signalled(_)
            | Event::DeleteAsked
            | Event::Abandoned
            | Event::Answered(_)
            | Event::Tick => Phase::Commanding { command, status },
        }
    }

    pub(super) fn deleting(&mut self, status: u8, event: Event, out: &mut Vec<Effect>) -> Phase {
        match event {
            Event::Answered(Answer::Deleted(true)) => {
                out.push(Effect::RunHooks(HookStage::Deleted));
                Phase::LastHooks { status }
            }
            // Who has asked for it is told, and may ask again.
            Event::Answered(Answer::Deleted(false)) => {
                self.shape.keep |= self.delete == Wish::Asked;
                self.delete = Wish::None;
                self.rest(status, out)
            }
            Event::Signalled(signal) => {
                out.push(Effect::SignalDelete(signal));
                Phase::Deleting { status }
            }
            Event::Go
            | Event::Reaped(..)
            | Event::Departed(_)
            | Event::DeleteAsked
            | Event::Abandoned
            | Event::Answered(_)
            | Event::Tick => Phase::Deleting { status },
        }
    }

    pub(super) fn fail(&mut self, now: Instant, failure: Failure, out: &mut Vec<Effect>) -> Phase {
        out.push(Effect::Failed(failure));
        // There is nothing to be kept or deleted.
        self.delete = Wish::Never;
        self.leave(now, 1, out)
    }

    pub(super) fn drain(&self, now: Instant, exit: Exit, out: &mut Vec<Effect>) -> Phase {
        out.push(Effect::Drain(exit));
        Phase::Draining { exit, until: now + DRAIN_LIMIT }
    }

    fn record(&self, exit: Exit, out: &mut Vec<Effect>) -> Phase {
        out.push(Effect::Record(exit));
        Phase::Recording { exit }
    }

    /// The caller is let go before the delay of its exit command begins.
    fn leave(&self, now: Instant, status: u8, out: &mut Vec<Effect>) -> Phase {
        out.push(Effect::LetGo);
        self.put_off(now, status, out)
    }

    /// The exit command is due after its delay.
    fn put_off(&self, now: Instant, status: u8, out: &mut Vec<Effect>) -> Phase {
        match self.shape.exit_command {
            None => self.rest(status, out),
            Some(delay) if delay.is_zero() || self.delete == Wish::Asked => self.command(status, out),
            Some(delay) => Phase::Delaying { until: now + delay, status },
        }
    }

    fn command(&self, status: u8, out: &mut Vec<Effect>) -> Phase {
        out.push(Effect::RunExitCommand);
        Phase::Commanding { command: None, status }
    }

    /// Only the delete is left, if it is wanted or may still be.
    fn rest(&self, status: u8, out: &mut Vec<Effect>) -> Phase {
        match self.delete {
            Wish::Planned | Wish::Asked => delete(status, out),
            Wish::None if self.shape.keep => Phase::Resting { status },
            Wish::None | Wish::Never => finish(status, out),
        }
    }
}

pub(super) fn last_hooks(status: u8, event: Event, out: &mut Vec<Effect>) -> Phase {
    match event {
        Event::Answered(Answer::HooksEnded) => return finish(status, out),
        Event::Signalled(signal) => out.push(Effect::SignalHook(signal)),
        Event::Go
        | Event::Reaped(..)
        | Event::Departed(_)
        | Event::DeleteAsked
        | Event::Abandoned
        | Event::Answered(_)
        | Event::Tick => {}
    }
    Phase::LastHooks { status }
}

pub(super) fn resting(status: u8, event: Event, out: &mut Vec<Effect>) -> Phase {
    match event {
        Event::DeleteAsked => delete(status, out),
        Event::Abandoned | Event::Signalled(_) => finish(status, out),
        Event::Go | Event::Reaped(..) | Event::Departed(_) | Event::Answered(_) | Event::Tick => {
            Phase::Resting { status }
        }
    }
}

fn delete(status: u8, out: &mut Vec<Effect>) -> Phase {
    out.push(Effect::Delete);
    Phase::Deleting { status }
}

fn finish(status: u8, out: &mut Vec<Effect>) -> Phase {
    out.push(Effect::Finish(status));
    Phase::Gone
}
