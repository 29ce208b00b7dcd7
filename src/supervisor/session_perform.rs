//! What each effect of a session's lifecycle is done with.

use std::os::fd::AsFd;
use std::time::Instant;

use conward_protocol::body::{self, Body};
use conward_protocol::{Cause, ErrorCode, Exit, Op, State, What};

use super::hunt::Hunt;
use super::life;
use super::perform::warn_unless_sent;
use super::sessions::Ended;
use super::source::ProcessId;
use super::{At, Supervisor};
use crate::core::{Answer, Effect, Event, Failure, Settled};
use crate::error::reason;
use crate::launch;
use crate::pid::Pid;
use crate::serve::console::Console;
use crate::sys::process::{self, Relation};
use crate::sys::session;
use crate::sys::spawn::{Extra, Spawn};

impl Supervisor {
    /// Does it, and says what came of it where the lifecycle asked.
    pub(super) fn perform_for(&mut self, whom: ProcessId, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Spawn => return Some(Event::Answered(Answer::Spawned(self.spawn_session(whom)))),
            Effect::Settle => return Some(Event::Answered(Answer::Settled(self.settle_session(whom)))),
            Effect::Adopt(pid) => {
                return self.at(whom).map(|At { process, reactor, .. }| process.adopt(reactor, pid));
            }
            Effect::Launched(pid) => {
                self.session_launched(whom, pid);
                self.one_launch_less();
            }
            Effect::Failed(failure) => {
                self.session_failed(whom, &failure);
                self.one_launch_less();
            }
            Effect::SignalRuntime(pid, signal) => {
                warn_unless_sent("the runtime", process::signal_child(pid, signal));
            }
            // The one signal that a session is sent is that for its end with the supervisor.
            Effect::SignalContainer(_) | Effect::KillContainer => self.kill_session(whom),
            Effect::Drain(_) => {
                if let Some(At { process, reactor, .. }) = self.at(whom) {
                    process.drain(reactor);
                }
            }
            Effect::Record(exit) => {
                self.record_session(whom, exit);
                return Some(Event::Answered(Answer::Recorded));
            }
            Effect::LetGo => {
                if let Some(At { process, reactor, .. }) = self.at(whom) {
                    process.close_streams(reactor);
                }
            }
            // Its shape has none of these.
            Effect::RunHooks(_) => return Some(Event::Answered(Answer::HooksEnded)),
            Effect::RunExitCommand => return Some(Event::Answered(Answer::CommandSpawned(None))),
            Effect::Delete => return Some(Event::Answered(Answer::Deleted(false))),
            Effect::SignalHook(_) | Effect::SignalDelete(_) => {}
            Effect::Finish(_) => self.remove_session(whom),
        }
        None
    }

    fn spawn_session(&mut self, whom: ProcessId) -> Result<Pid, String> {
        let Some(session) = self.sessions.get_mut(whom) else { return Err("it is gone".to_owned()) };
        let Some(launch) = &mut session.launch else { return Err("it was launched before".to_owned()) };
        let theirs = std::mem::take(&mut session.process.theirs);
        let null = self.null.as_fd();
        let pid_file = launch.pid_file.display().to_string();
        // Names come again with each supervisor, and the directory outlives one that was killed.
        launch::forget_pid_file(&pid_file).map_err(|error| error.text().to_owned())?;
        let console = session.process.console.as_ref();
        let handed: Vec<_> =
            console.and_then(Console::handed).into_iter().chain([launch.spec.as_fd()]).collect();
        let spawned = Spawn {
            program: &self.plan.runtime.program,
            argv: &launch::exec_argv(
                &self.plan,
                &pid_file,
                &launch.spec_path(),
                console.map(Console::argument),
            ),
            stdio: theirs.each_ref().map(|end| end.as_ref().map_or(null, AsFd::as_fd)),
            die_with_supervisor: true,
            oom_score_adj: self.oom_score.as_deref(),
            set_listen_pid: false,
            extra: Extra { handed: &handed, ..Extra::default() },
        }
        .start();
        launch.runtime = spawned.as_ref().ok().copied();
        spawned.map_err(|error| {
            format!("Failed to execute OCI runtime {}: {}", self.plan.runtime.program, reason(&error))
        })
    }

    /// The runtime has ended, so whatever it had to say is there by now.
    fn settle_session(&mut self, whom: ProcessId) -> Settled {
        let gone = || Settled { pid: Err("it is gone".to_owned()), console: Ok(()) };
        let Some(At { process, reactor, sinks, .. }) = self.at(whom) else { return gone() };
        let console = process.settle(reactor, sinks);
        let session = self.sessions.get_mut(whom);
        let Some(launch) = session.and_then(|session| session.launch.as_mut()) else { return gone() };
        launch.runtime = None;
        let pid = launch::read_pid(&launch.pid_file.display().to_string());
        launch.left = pid.as_ref().ok().copied();
        Settled { pid, console }
    }

    /// At the end of the container this may have been the last for which orphans were still taken in.
    fn one_launch_less(&self) {
        if self.sessions.until.is_some() {
            self.let_orphans_go();
        }
    }

    fn session_launched(&mut self, whom: ProcessId, pid: Pid) {
        let Some(session) = self.sessions.get_mut(whom) else { return };
        session.process.pump.release_stderr(&mut session.sinks);
        // From here on it is a matter of the client's whether it reads.
        session.process.pump.clients.excuse();
        session.started = Some(life::now());
        let alive = session.process.init.as_ref().map(|init| init.pid.raw());
        let (name, launch) = (session.name.clone(), session.launch.take());
        self.sessions.total += 1;
        self.sessions.forget(&name);
        let Some(mut launch) = launch else { return };
        let cause = Cause::Client { client: launch.client as u64, op: Some(Op::Exec) };
        self.announce(What::ExecStarted { exec: name.clone(), pid: pid.raw() }, cause.clone());
        let mut body =
            body::ExecStarted { exec: name, pid: alive, attachment: None, descriptors: Vec::new() };
        let mut fds = Vec::new();
        if let Some(handover) = launch.attached.take() {
            self.tell_attached(whom, &handover, cause);
            body.attachment = Some(handover.attached.attachment);
            (body.descriptors, fds) = (handover.attached.descriptors, handover.fds);
        }
        self.reply_with(launch.client, launch.tag.take(), Body::ExecStarted(body), fds);
    }

    /// What the runtime wrote to stderr is the reason; of its output nothing is kept.
    fn session_failed(&mut self, whom: ProcessId, failure: &Failure) {
        let Some(session) = self.sessions.get_mut(whom) else { return };
        let (stdio, text) = (session.process.stdio, session.process.pump.take_text());
        let name = session.name.clone();
        let Some(mut launch) = session.launch.take() else { return };
        if let Some(pid) = launch.left.filter(|pid| process::relation(*pid) == Relation::Child) {
            // It runs, but cannot be looked after.
            if let Some(session) = session::of(pid) {
                session::kill(session);
            }
            warn_unless_sent("the session", process::signal_child(pid, libc::SIGKILL));
        }
        let text = launch::failure_text(failure, &self.plan.runtime.program, stdio, text);
        let code = match failure {
            _ if launch.late => ErrorCode::TimedOut,
            _ if matches!(self.life.state, State::Stopped | State::Deleted) => ErrorCode::Gone,
            Failure::Spawn(_) | Failure::Watch(_) => ErrorCode::Internal,
            Failure::Interrupted(_) => ErrorCode::Gone,
            Failure::Runtime(_) | Failure::PidFile(_) | Failure::Console(_) => ErrorCode::RuntimeFailed,
        };
        let text = String::from_utf8_lossy(&text);
        let failed = conward_protocol::Failure::new(code, format!("exec: {}", text.trim()));
        if let (Some(handover), Some(At { process, reactor, .. })) = (&launch.attached, self.at(whom)) {
            process.pump.clients.abandon(handover.of).into_iter().for_each(|fd| reactor.close(fd));
        }
        self.reply(launch.client, launch.tag.take(), Err(failed));
        self.answer_exec_waiters(whom, &name, None);
    }

    /// Ends all its processes: the group at once, those that have left it one by one.
    fn kill_session(&mut self, whom: ProcessId) {
        let Some(session) = self.sessions.get_mut(whom) else { return };
        let Some(init) = &session.process.init else { return };
        if init.child {
            process::signal_group_of(init.pid, libc::SIGKILL);
        }
        session.hunt = Hunt::begin(init.pid, Instant::now());
        warn_unless_sent("the session", init.signal(libc::SIGKILL));
    }

    fn record_session(&mut self, whom: ProcessId, exit: Exit) {
        let Some(session) = self.sessions.get_mut(whom) else { return };
        session.process.draining = false;
        session.process.pump.end_drain(&mut session.sinks);
        session.sinks.pass_on(&mut self.sinks, true);
        self.tell_session_end(whom, exit);
    }

    fn tell_session_end(&mut self, whom: ProcessId, exit: Exit) {
        let Some(session) = self.sessions.get_mut(whom) else { return };
        let Some(started) = session.started.take() else { return };
        for fd in session.process.pump.clients.part(Instant::now()) {
            self.reactor.close(fd);
        }
        let (name, terminal) = (session.name.clone(), session.process.has_terminal());
        self.sessions.keep(Ended { name: name.clone(), terminal, started, exit });
        let cause = match exit {
            Exit::TimedOut => Cause::Timeout,
            Exit::Code(_) | Exit::Signal(_) | Exit::Unknown => Cause::Container,
        };
        self.announce(What::ExecExited { exec: name.clone(), exit }, cause);
        self.answer_exec_waiters(whom, &name, Some(exit));
        self.tell_changes(whom);
    }

    /// The supervisor ends, and the session has not.
    pub(super) fn give_up_session(&mut self, whom: ProcessId) {
        if self.sessions.get(whom).is_some_and(|session| session.launch.is_some()) {
            self.session_failed(whom, &Failure::Interrupted(libc::SIGKILL));
        } else {
            self.tell_session_end(whom, Exit::Unknown);
        }
        self.remove_session(whom);
    }

    /// What remains of it is for clients that lag, if there are any.
    pub(super) fn remove_session(&mut self, whom: ProcessId) {
        let Some(At { process, reactor, .. }) = self.at(whom) else { return };
        process.close_streams(reactor);
        process.forget_init(reactor);
        // Its socket is a file in the control directory, which may be about to be removed.
        process.console = None;
        self.sessions.remove(whom);
    }
}
