//! The phases up to the moment when the container's process is in hand.

use std::time::Instant;

use conward_protocol::Exit;

use super::early::Early;
use super::{Answer, Core, Effect, Event, Failure, Phase, Settled};
use crate::pid::Pid;

impl Core {
    pub(super) fn gated(&mut self, now: Instant, event: Event, out: &mut Vec<Effect>) -> Phase {
        match event {
            Event::Go => {
                out.push(Effect::Spawn);
                Phase::Spawning
            }
            Event::Signalled(signal) => self.fail(now, Failure::Interrupted(signal), out),
            Event::Reaped(..)
            | Event::Departed(_)
            | Event::DeleteAsked
            | Event::Abandoned
            | Event::Answered(_)
            | Event::Tick => Phase::Gated,
        }
    }

    pub(super) fn spawning(&mut self, now: Instant, event: Event, out: &mut Vec<Effect>) -> Phase {
        match event {
            Event::Answered(Answer::Spawned(Ok(runtime))) => {
                Phase::Launching { runtime, early: Early::default(), signal: None }
            }
            Event::Answered(Answer::Spawned(Err(text))) => self.fail(now, Failure::Spawn(text), out),
            Event::Go
            | Event::Signalled(_)
            | Event::Reaped(..)
            | Event::Departed(_)
            | Event::DeleteAsked
            | Event::Abandoned
            | Event::Answered(_)
            | Event::Tick => Phase::Spawning,
        }
    }

    pub(super) fn launching(
        &self,
        runtime: Pid,
        mut early: Early,
        mut signal: Option<i32>,
        event: Event,
        out: &mut Vec<Effect>,
    ) -> Phase {
        match event {
            Event::Reaped(pid, status) if pid == runtime => {
                out.push(Effect::Settle);
                return Phase::Settling { status, early, signal };
            }
            Event::Reaped(pid, exit) => early.remember(pid, exit),
            Event::Signalled(number) => {
                out.push(Effect::SignalRuntime(runtime, number));
                // A runtime that the signal ends may have started the process of an exec already, which is
                // judged by its pid file alone.
                signal = self.shape.exec.then_some(number);
            }
            Event::Go
            | Event::Departed(_)
            | Event::DeleteAsked
            | Event::Abandoned
            | Event::Answered(_)
            | Event::Tick => {}
        }
        Phase::Launching { runtime, early, signal }
    }

    /// The container's pid, or why there is no container. An exec is judged by its pid file alone:
    /// the runtime may end with the status of what it ran.
    fn verdict(&self, status: Exit, settled: Settled) -> Result<Pid, Failure> {
        if status != Exit::Code(0) && (!self.shape.exec || settled.pid.is_err()) {
            return Err(Failure::Runtime(status));
        }
        if self.shape.terminal {
            settled.console.map_err(Failure::Console)?;
        }
        settled.pid.map_err(Failure::PidFile)
    }

    pub(super) fn settling(
        &mut self,
        now: Instant,
        status: Exit,
        mut early: Early,
        mut signal: Option<i32>,
        event: Event,
        out: &mut Vec<Effect>,
    ) -> Phase {
        match event {
            Event::Answered(Answer::Settled(settled)) => {
                let init = match self.verdict(status, settled) {
                    Ok(init) => init,
                    Err(failure) => return self.fail(now, failure, out),
                };
                if let Some(exit) = early.exit_of(init) {
                    out.push(Effect::Launched(init));
                    return self.drain(now, exit, out);
                }
                out.push(Effect::Adopt(init));
                return Phase::Adopting { init, early, signal };
            }
            Event::Reaped(pid, exit) => early.remember(pid, exit),
            Event::Signalled(number) => signal = Some(number),
            Event::Go
            | Event::Departed(_)
            | Event::DeleteAsked
            | Event::Abandoned
            | Event::Answered(_)
            | Event::Tick => {}
        }
        Phase::Settling { status, early, signal }
    }

    pub(super) fn adopting(
        &mut self,
        now: Instant,
        init: Pid,
        mut early: Early,
        mut signal: Option<i32>,
        event: Event,
        out: &mut Vec<Effect>,
    ) -> Phase {
        match event {
            Event::Answered(Answer::Adopted(Ok(()))) => {
                out.push(Effect::Launched(init));
                if let Some(exit) = early.exit_of(init) {
                    return self.drain(now, exit, out);
                }
                out.extend(signal.map(Effect::SignalContainer));
                return Phase::Alive { init, until: self.shape.timeout.map(|limit| now + limit) };
            }
            Event::Answered(Answer::Adopted(Err(text))) => return self.fail(now, Failure::Watch(text), out),
            Event::Departed(exit) => {
                out.push(Effect::Launched(init));
                return self.drain(now, exit, out);
            }
            Event::Reaped(pid, exit) => early.remember(pid, exit),
            Event::Signalled(number) => signal = Some(number),
            Event::Go | Event::DeleteAsked | Event::Abandoned | Event::Answered(_) | Event::Tick => {}
        }
        Phase::Adopting { init, early, signal }
    }
}
