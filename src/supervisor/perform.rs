//! What each effect of the lifecycle is done with.

use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use conward_protocol::record::HookStage;
use conward_protocol::{Cause, Signal, What};

use super::secured::Secured;
use super::{CONTAINER, Source, Supervisor};
use crate::core::{Answer, Effect, Event, Failure, Settled};
use crate::error::reason;
use crate::launch;
use crate::pid::Pid;
use crate::plan::{Stdio, Verb};
use crate::reactor::Watch;
use crate::serve::attach::Attach;
use crate::serve::console::Console;
use crate::serve::oom::OomWatch;
use crate::sys::clock::Timestamp;
use crate::sys::process::Relation;
use crate::sys::spawn::{Extra, Spawn};
use crate::sys::{fds, process};

impl Supervisor {
    /// Does it, and says what came of it where the lifecycle asked.
    pub(super) fn perform(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Spawn => {
                let spawned = self.spawn_runtime();
                // While the runtime works, so that nobody waits for it.
                self.secure_space();
                return Some(Event::Answered(Answer::Spawned(spawned)));
            }
            Effect::Settle => return Some(Event::Answered(Answer::Settled(self.settle()))),
            Effect::Adopt(pid) => return Some(self.adopt(pid)),
            Effect::Launched(pid) => {
                self.container.pump.release_stderr(&mut self.sinks);
                // First, since the caller may start it as soon as it knows the pid.
                self.life.created(pid);
                self.forget_former_record();
                // To open its namespaces takes what is given up after that.
                self.pin_namespaces(pid);
                self.give_up_privileges();
                self.caller.launched(pid);
                self.announce(What::Created { pid: pid.raw() }, Cause::Runtime);
                self.queue_hooks(HookStage::Created);
                if matches!(self.plan.verb, Verb::Restore { .. }) {
                    // Its program goes on where it was.
                    self.note_started(Cause::Runtime);
                }
                self.container.pump.give_back();
                self.untidy = true;
            }
            Effect::Failed(failure) => self.fail(&failure),
            Effect::SignalRuntime(pid, signal) => {
                warn_unless_sent("the runtime", process::signal_child(pid, signal))
            }
            Effect::SignalContainer(signal) => self.relay(signal),
            Effect::KillContainer => self.kill_container(),
            Effect::Drain(exit) => {
                self.note_exit(exit);
                self.drain();
            }
            Effect::Record(exit) => {
                self.record(exit);
                self.close_record();
                // Else `end_after_runtimes` says it.
                return (!self.awaits_runtimes()).then_some(Event::Answered(Answer::Recorded));
            }
            Effect::LetGo => {
                self.end_sessions();
                self.let_go();
            }
            // `run_hooks` is called when the last session has ended.
            Effect::RunHooks(HookStage::Exited) if self.awaits_sessions() => {}
            Effect::RunHooks(stage) => return self.run_hooks(stage),
            Effect::SignalHook(signal) => self.signal_hook(signal),
            Effect::Delete => return self.begin_teardown(),
            Effect::SignalDelete(signal) => self.signal_teardown(signal),
            Effect::RunExitCommand => {
                return Some(Event::Answered(Answer::CommandSpawned(self.spawn_exit_command())));
            }
            Effect::Finish(status) if self.sessions.is_empty() => self.finish(status),
            Effect::Finish(status) => self.sessions.finishing = Some(status),
        }
        None
    }

    fn spawn_runtime(&mut self) -> Result<Pid, String> {
        let replace = self.plan.runtime.replace_listen_pid;
        let listen_pid = std::env::var_os("LISTEN_PID");
        let set_listen_pid = launch::listen_pid(listen_pid.as_deref(), replace, process::own_pid())
            .and_then(|set| launch::forget_pid_file(&self.plan.runtime.pid_file).map(|()| set))
            .map_err(|error| error.text().to_owned())?;
        let console = self.container.console.as_ref();
        let handed = console.and_then(Console::handed);
        let spawned = Spawn {
            program: &self.plan.runtime.program,
            argv: &launch::argv(&self.plan, console.map(Console::argument)),
            stdio: launch::ends(self.plan.stdio, &self.container.theirs, &self.null, fds::standard()),
            die_with_supervisor: true,
            oom_score_adj: self.oom_score.as_deref(),
            set_listen_pid,
            extra: Extra { handed: handed.as_slice(), ..Extra::default() },
        }
        .start();
        self.container.theirs = [None, None, None];
        if self.plan.stdio == Stdio::Passthrough
            && let Err(error) = launch::release_stdio(&self.null)
        {
            log::warn!("{}", error.text());
        }
        spawned.map_err(|error| {
            format!("Failed to execute OCI runtime {}: {}", self.plan.runtime.program, reason(&error))
        })
    }

    /// The runtime has ended, so whatever it had to say is there by now.
    fn settle(&mut self) -> Settled {
        let console = self.container.settle(&mut self.reactor, &mut self.sinks);
        Settled { pid: launch::read_pid(&self.plan.runtime.pid_file), console }
    }

    fn adopt(&mut self, pid: Pid) -> Event {
        let event = self.container.adopt(&self.reactor, pid);
        if event != Event::Answered(Answer::Adopted(Ok(()))) {
            return event;
        }
        // Before the caller learns the pid: whatever happens later is news. But the dead have left
        // their cgroup for the root (cgroups(7)), which is nobody's business here.
        self.oom = OomWatch::arm(pid).filter(|_| process::relation(pid) != Relation::Ended);
        if let Some(Err(error)) =
            self.oom.as_ref().map(|watch| self.reactor.watch(watch, Source::Oom.id(), Watch::Reads))
        {
            log::warn!("cannot wait for out-of-memory events: {}", reason(&error));
        }
        event
    }

    fn fail(&mut self, failure: &Failure) {
        let stderr = self.container.pump.take_text();
        let text = launch::failure_text(failure, &self.plan.runtime.program, self.plan.stdio, stderr);
        self.caller.failed(&text);
        let message = String::from_utf8_lossy(&text).into_owned();
        self.announce(What::CreateFailed { message }, Cause::Runtime);
        self.container.pump.begin_drain();
        self.end_drain();
        self.tell_losses();
        self.container.console = None;
        self.inherited.close();
        self.close_clients();
        self.endpoints.remove();
    }

    fn relay(&mut self, number: i32) {
        if let Some(signal) = u64::try_from(number).ok().and_then(Signal::from_number) {
            self.evidence.sent(number, Cause::Signal { signal });
        }
        self.signal_container(number);
    }

    fn signal_container(&mut self, signal: i32) {
        if let Some(init) = &self.container.init {
            warn_unless_sent("the container", init.signal(signal));
        }
    }

    fn kill_container(&mut self) {
        if let Some(init) = self.container.init.as_ref().filter(|init| init.child) {
            process::signal_group_of(init.pid, libc::SIGKILL);
        }
        self.signal_container(libc::SIGKILL);
    }

    /// From here on the loop goes on until [`super::process::Process::is_drained`], or the lifecycle's limit.
    fn drain(&mut self) {
        self.sinks.lift_rates();
        self.container.drain(&mut self.reactor);
    }

    /// What is still to be read goes to the logs, and they are finished.
    pub(super) fn end_drain(&mut self) {
        self.container.pump.end_drain(&mut self.sinks);
        self.sinks.finish(Timestamp::now());
    }

    /// Nobody new can attach, and clients that have everything see the end.
    pub(super) fn close_clients(&mut self) {
        if let Some(listener) = self.endpoints.attach.as_mut().and_then(Attach::close) {
            self.close(listener);
        }
        for fd in self.container.pump.clients.part(Instant::now()) {
            self.close(fd);
        }
        self.tell_changes(CONTAINER);
    }

    /// Everything but lagging clients is closed: a terminal's processes get their hang-up, callers the
    /// end of their pipes, and the exit command may unmount what the log is on.
    fn let_go(&mut self) {
        if let Some(pipe) = self.caller.start_pipe() {
            self.reactor.forget(pipe);
        }
        self.caller.hang_up();
        self.container.close_streams(&self.reactor);
        for fifo in [self.endpoints.ctl.take(), self.endpoints.winsz.take()].into_iter().flatten() {
            self.reactor.forget(&fifo);
        }
        if let Some(relay) = self.endpoints.notify.take() {
            self.reactor.forget(&relay);
        }
        if let Some(watch) = self.oom.take() {
            self.reactor.forget(&watch);
        }
        if let Some(journal) = self.sinks.journal_fd() {
            self.reactor.forget(journal);
        }
        self.sinks.sync();
        self.sinks.close();
        if self.unwritten.is_empty() {
            self.secured = Secured::default();
        }
        // What is run from here on finds the state that it is run in.
        self.save_state();
        self.let_orphans_go();
    }

    /// The container is let go of: no orphan is to come here any more, unless it may be a session that a
    /// runtime has just started.
    pub(super) fn let_orphans_go(&self) {
        if self.sessions.are_being_launched() {
            return;
        }
        if let Err(error) = process::set_subreaper(false) {
            log::warn!("cannot stop being a subreaper: {}", reason(&error));
        }
    }

    fn spawn_exit_command(&mut self) -> Option<Pid> {
        let command = self.plan.exit_command.as_ref()?;
        let argv: Vec<String> = std::iter::once(&command.program).chain(&command.args).cloned().collect();
        let null = self.null.as_fd();
        let spawned = Spawn {
            program: &command.program,
            argv: &argv,
            stdio: [null, null, null],
            die_with_supervisor: false,
            oom_score_adj: self.oom_score.as_deref(),
            set_listen_pid: false,
            extra: Extra::default(),
        }
        .start();
        match spawned {
            Ok(pid) => Some(pid),
            Err(error) => {
                log::error!("cannot execute exit command {}: {}", command.program, reason(&error));
                None
            }
        }
    }
}

/// A process that has ended meanwhile needs no signal.
pub(super) fn warn_unless_sent(whom: &str, result: io::Result<()>) {
    if let Err(error) = result
        && error.raw_os_error() != Some(libc::ESRCH)
    {
        log::warn!("cannot send a signal to {whom}: {}", reason(&error));
    }
}
