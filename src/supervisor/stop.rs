//! Ending the container: its stop signal, the grace time, then freeze, KILL all, thaw.
//!
//! There is one stop at a time, whoever asks. Each step has a deadline, so that a runtime that hangs or
//! fails holds up nothing: the first process gets its SIGKILL by pidfd in any case.

use std::time::{Duration, Instant};

use conward_protocol::body::{Body, StopStep, Stopped};
use conward_protocol::limits::STOP_TIMEOUT_MS;
use conward_protocol::request::Stop;
use conward_protocol::{Cause, ErrorCode, Exit, Failure, Op, Signal, State, Tag, What};

use super::operations::Task;
use super::requests::Answer;
use super::{Supervisor, annotations};
use crate::error::reason;
use crate::serve::control::ControlId;

/// When everything was sent SIGKILL and the container still has not ended, it is done again so much
/// later: a process may have been forked where nothing could be frozen.
const AGAIN: Duration = Duration::from_secs(5);

/// How far a stop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The stop signal is sent, and the container has until then.
    Grace(Instant),
    /// A runtime is at work.
    Killing,
    /// Everything was sent SIGKILL. Then it is done again.
    Dying(Instant),
}

/// A stop at work, until the container has ended.
#[derive(Debug)]
pub(super) struct Stopping {
    stage: Stage,
    /// The stop signal that was sent last, if one was.
    sent: Option<Signal>,
    /// Whether SIGKILL was sent.
    killed: bool,
    /// Who asked first, and who or what made it go on to SIGKILL.
    asked: Cause,
    hurried: Cause,
    askers: Vec<(ControlId, Option<Tag>)>,
}

impl Stopping {
    /// When it must go on even if nothing comes.
    pub fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Grace(until) | Stage::Dying(until) => Some(until),
            Stage::Killing => None,
        }
    }

    /// Why the container ends, if it does so now.
    pub fn cause(&self) -> Cause {
        if self.killed { self.hurried.clone() } else { self.asked.clone() }
    }

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
    /// Begins a stop, or joins the one at work: the shorter grace time counts, and another signal is sent
    /// too.
    pub(super) fn stop(&mut self, id: ControlId, tag: Option<&Tag>, request: &Stop) -> Answer {
        self.check_in_flight(id, Op::Stop)?;
        let grace = Duration::from_millis(request.timeout_ms.unwrap_or(STOP_TIMEOUT_MS));
        let until = Instant::now() + grace;
        let asked = Cause::Client { client: id as u64, op: Some(Op::Stop) };
        let hurried = if grace.is_zero() { asked.clone() } else { Cause::Timeout };
        if let Some(stopping) = &mut self.stopping {
            stopping.askers.push((id, tag.cloned()));
            let Stage::Grace(former) = stopping.stage else { return Ok(None) };
            if until < former {
                stopping.stage = Stage::Grace(until);
                stopping.hurried = hurried;
            }
            let another = request.signal.filter(|signal| !grace.is_zero() && stopping.sent != Some(*signal));
            if let Some(signal) = another {
                stopping.sent = another;
                self.send_stop_signal(signal, asked);
            }
            return Ok(None);
        }
        let mut sent = None;
        if !grace.is_zero() {
            if self.container.init.is_none() {
                return Err(Failure::new(ErrorCode::NotRunning, "stop: the container has ended"));
            }
            let signal = request.signal.unwrap_or_else(|| self.stop_signal());
            sent = Some(signal);
            self.send_stop_signal(signal, asked.clone());
            if self.life.state == State::Paused {
                // What is frozen cannot end by itself.
                self.ask_for_step(Task::Thaw, &["resume"]);
            }
        }
        let askers = vec![(id, tag.cloned())];
        self.stopping =
            Some(Stopping { stage: Stage::Grace(until), sent, killed: false, asked, hurried, askers });
        Ok(None)
    }

    /// Ends the container without a grace time.
    pub(super) fn stop_at_once(&mut self, asked: Cause) {
        let stage = Stage::Grace(Instant::now());
        match &mut self.stopping {
            Some(stopping) if matches!(stopping.stage, Stage::Grace(_)) => {
                (stopping.stage, stopping.hurried) = (stage, asked);
            }
            Some(_) => {}
            None => {
                let hurried = asked.clone();
                self.stopping =
                    Some(Stopping { stage, sent: None, killed: false, asked, hurried, askers: Vec::new() });
            }
        }
    }

    fn send_stop_signal(&mut self, signal: Signal, cause: Cause) {
        let Some(init) = &self.container.init else { return };
        match init.signal(signal.number()) {
            Ok(()) => {
                self.evidence.sent(signal.number(), cause.clone());
                self.announce(What::Signalled { signal, all: false, exec: None }, cause);
            }
            // It has ended, which will be noticed soon. Else the runtime may have other means later.
            Err(error) => log::warn!("cannot send the stop signal {signal}: {}", reason(&error)),
        }
    }

    /// The annotation of the image, else TERM.
    fn stop_signal(&self) -> Signal {
        let Some(bundle) = &self.plan.runtime.bundle else { return Signal::TERM };
        match annotations::stop_signal(bundle) {
            Ok(signal) => signal.unwrap_or(Signal::TERM),
            Err(error) => {
                log::warn!("no stop signal from {bundle}/config.json: {}; TERM is sent", reason(&error));
                Signal::TERM
            }
        }
    }

    /// Goes on where a time is over.
    pub(super) fn stop_overdue(&mut self, now: Instant) {
        let Some(stopping) = &mut self.stopping else { return };
        if stopping.deadline().is_some_and(|due| now >= due) {
            stopping.stage = Stage::Killing;
            self.ask_for_step(Task::Freeze, &["pause"]);
        }
    }

    /// Starts a runtime for a step, or goes on without it.
    fn ask_for_step(&mut self, task: Task, verb: &[&str]) {
        log::debug!("stop: {}", verb.join(" "));
        if let Err(error) = self.spawn_operation(task, verb, None) {
            log::warn!("stop: start OCI runtime for {}: {}", verb.join(" "), reason(&error));
            if let Some(stopping) = self.stopping.as_mut().filter(|s| s.stage == Stage::Killing) {
                stopping.stage = Stage::Dying(Instant::now() + AGAIN);
                self.kill_first();
            }
        }
    }

    /// A step has ended, with an error or without. After the end of the container only what it froze
    /// is thawed.
    pub(super) fn stop_step_ended(&mut self, step: &Task, error: Option<String>) {
        if let Some(error) = &error {
            log::debug!("stop: {step:?}: {error}");
        }
        let lives = self.stopping.is_some();
        match step {
            Task::Freeze if lives => {
                self.note_killed();
                if error.is_some() {
                    // Such a runtime may fail to kill as well.
                    self.kill_first();
                }
                self.ask_for_step(Task::KillAll, &["kill", "--all", "9"]);
            }
            Task::Freeze | Task::KillAll => {
                self.kill_first();
                self.ask_for_step(Task::Thaw, &["resume"]);
            }
            Task::Thaw | Task::Request { .. } | Task::Checkpoint { .. } | Task::Delete => {
                self.thawed(error.is_none());
            }
        }
    }

    /// Either a paused container got its chance, or a killed one is to die.
    fn thawed(&mut self, thawed: bool) {
        let Some(stopping) = &mut self.stopping else { return };
        let cause = stopping.asked.clone();
        if stopping.stage == Stage::Killing {
            stopping.stage = Stage::Dying(Instant::now() + AGAIN);
        }
        if thawed && self.life.state == State::Paused {
            self.life.state = State::Running;
            self.announce(What::Resumed, cause);
        }
    }

    fn note_killed(&mut self) {
        let Some(stopping) = self.stopping.as_mut().filter(|stopping| !stopping.killed) else { return };
        stopping.killed = true;
        let (signal, cause) = (Signal::KILL, stopping.hurried.clone());
        self.evidence.sent(signal.number(), cause.clone());
        self.announce(What::Signalled { signal, all: true, exec: None }, cause);
    }

    /// To the first process by its own handle: whatever the runtime did, this one dies.
    fn kill_first(&mut self) {
        self.note_killed();
        if let Some(init) = &self.container.init
            && let Err(error) = init.signal(libc::SIGKILL)
            && error.raw_os_error() != Some(libc::ESRCH)
        {
            log::warn!("stop: cannot kill the container: {}", reason(&error));
        }
    }

    /// The container has ended.
    pub(super) fn answer_stops(&mut self, exit: Exit) {
        let Some(stopping) = self.stopping.take() else { return };
        let by = if stopping.killed { StopStep::Kill } else { StopStep::Signal };
        for (client, tag) in stopping.askers {
            self.reply(client, tag, Ok(Body::Stopped(Stopped { by, exit })));
        }
    }
}
