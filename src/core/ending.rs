//! The phases from a running container to the end of its supervisor.

use std::time::{Duration, Instant};

use conward_protocol::Exit;

use super::{Core, DRAIN_LIMIT, Effect, Event, Failure, KILL_LIMIT, Phase};
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
            | Event::Spawned(_)
            | Event::Settled(_)
            | Event::Adopted(_)
            | Event::Drained
            | Event::Recorded
            | Event::CommandSpawned(_)
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
            | Event::Spawned(_)
            | Event::Settled(_)
            | Event::Adopted(_)
            | Event::Drained
            | Event::Recorded
            | Event::CommandSpawned(_)
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
            Event::Drained => self.record(exit, out),
            Event::Tick if now >= until => self.record(exit, out),
            Event::Go
            | Event::Reaped(..)
            | Event::Departed(_)
            | Event::Signalled(_)
            | Event::Spawned(_)
            | Event::Settled(_)
            | Event::Adopted(_)
            | Event::Recorded
            | Event::CommandSpawned(_)
            | Event::Tick => Phase::Draining { exit, until },
        }
    }

    pub(super) fn recording(&self, now: Instant, exit: Exit, event: Event, out: &mut Vec<Effect>) -> Phase {
        match event {
            Event::Recorded => self.leave(now, exit.as_process_status(), out),
            Event::Go
            | Event::Reaped(..)
            | Event::Departed(_)
            | Event::Signalled(_)
            | Event::Spawned(_)
            | Event::Settled(_)
            | Event::Adopted(_)
            | Event::Drained
            | Event::CommandSpawned(_)
            | Event::Tick => Phase::Recording { exit },
        }
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
            Event::Signalled(_) => self.command(status, out),
            Event::Tick if now >= until => self.command(status, out),
            Event::Go
            | Event::Reaped(..)
            | Event::Departed(_)
            | Event::Spawned(_)
            | Event::Settled(_)
            | Event::Adopted(_)
            | Event::Drained
            | Event::Recorded
            | Event::CommandSpawned(_)
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
            Event::CommandSpawned(Some(pid)) => Phase::Commanding { command: Some(pid), status },
            Event::CommandSpawned(None) => finish(status, out),
            Event::Reaped(pid, _) if command == Some(pid) => finish(status, out),
            Event::Go
            | Event::Reaped(..)
            | Event::Departed(_)
            | Event::Signalled(_)
            | Event::Spawned(_)
            | Event::Settled(_)
            | Event::Adopted(_)
            | Event::Drained
            | Event::Recorded
            | Event::Tick => Phase::Commanding { command, status },
        }
    }

    pub(super) fn fail(&self, now: Instant, failure: Failure, out: &mut Vec<Effect>) -> Phase {
        out.push(Effect::Failed(failure));
        self.leave(now, 1, out)
    }

    pub(super) fn drain(&self, now: Instant, exit: Exit, out: &mut Vec<Effect>) -> Phase {
        out.push(Effect::Drain(exit));
        Phase::Draining { exit, until: now + DRAIN_LIMIT }
    }

    pub(super) fn record(&self, exit: Exit, out: &mut Vec<Effect>) -> Phase {
        out.push(Effect::Record(exit));
        Phase::Recording { exit }
    }

    fn command(&self, status: u8, out: &mut Vec<Effect>) -> Phase {
        out.push(Effect::RunExitCommand);
        Phase::Commanding { command: None, status }
    }

    /// From here on only the exit command is left. The caller is let go before its delay begins.
    pub(super) fn leave(&self, now: Instant, status: u8, out: &mut Vec<Effect>) -> Phase {
        out.push(Effect::LetGo);
        match self.shape.exit_command {
            None => finish(status, out),
            Some(Duration::ZERO) => self.command(status, out),
            Some(delay) => Phase::Delaying { until: now + delay, status },
        }
    }
}

fn finish(status: u8, out: &mut Vec<Effect>) -> Phase {
    out.push(Effect::Finish(status));
    Phase::Gone
}
