//! The one owner: every descriptor of the supervisor is held here, and the one loop runs here.
//!
//! [`run`] is the launch from top to bottom. After it, `turns` says what each ready descriptor
//! leads to, and `perform` what each effect of the lifecycle is done with.

mod annotations;
mod attachments;
mod checkpoint;
mod control;
mod debug;
mod evidence;
mod exec;
pub mod exec_request;
mod exit_record;
mod ground;
mod guard;
mod hooks;
mod hunt;
mod life;
mod logs;
mod operations;
mod perform;
mod process;
mod ps;
mod record;
mod refused;
mod requests;
mod runtime;
mod secured;
mod session_perform;
mod sessions;
mod source;
mod state_file;
mod stats;
mod stop;
mod teardown;
mod turns;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use conward_protocol::limits::REPLAY_MAX;

use crate::core::{Core, Effect, Event, Shape};
use crate::error::{Error, reason};
use crate::launch::{self, Launcher};
use crate::plan::{Plan, Said, Stdio, Verb};
use crate::reactor::{Reactor, Ready, Watch};
use crate::serve::attach::Attach;
use crate::serve::caller::Caller;
use crate::serve::control::{Control, ControlId};
use crate::serve::oom::OomWatch;
use crate::sink::Sinks;
use crate::sys::fds::Inherited;
use crate::sys::signals::{self, Signals};
use crate::sys::{self, memory};
use attachments::Numbers;
use debug::Kept;
use evidence::Evidence;
use exit_record::ExitRecord;
use ground::{Endpoints, Ground, Lent};
use hooks::Hooks;
use life::Life;
use logs::Reading;
use operations::{Operation, OperationId};
use process::Process;
use record::Unwritten;
use refused::Refused;
use requests::Waiter;
use secured::Secured;
use sessions::Sessions;
use source::{CONTAINER, ProcessId, Source};
use stop::Stopping;
use teardown::Removal;

/// What a supervisor owns.
pub struct Supervisor {
    plan: Plan,
    reactor: Reactor,
    signals: Signals,
    caller: Caller,
    inherited: Inherited,
    container: Process,
    /// Further processes in the container.
    sessions: Sessions,
    /// The logs, which get all output of the container.
    sinks: Sinks,
    null: File,
    endpoints: Endpoints,
    /// Clients wait that could not be accepted.
    refused: Refused,
    oom: Option<OomWatch>,
    oom_score: Option<String>,
    /// What managers are told.
    life: Life,
    /// The state file is behind.
    state_changed: bool,
    evidence: Evidence,
    exit_record: ExitRecord,
    /// Programs that are run beside the container.
    hooks: Hooks,
    /// Who waits for the runtime's delete.
    removal: Removal,
    begun: Instant,
    numbers: Numbers,
    subscribers: Vec<ControlId>,
    waiters: Vec<Waiter>,
    /// Requests for which the log is being read.
    readings: Vec<Reading>,
    /// How long the end waits for them.
    readings_due: Option<Instant>,
    /// Runtimes at work for a request.
    operations: Vec<Operation>,
    next_operation: OperationId,
    /// How long the end of the container waits for them.
    runtimes_due: Option<Instant>,
    /// Memory that was needed for a moment is still to be given back.
    untidy: bool,
    /// When the buffers of output are given back, unless there is more of it.
    quiet_at: Option<Instant>,
    /// The one `stop` at work.
    stopping: Option<Stopping>,
    /// What the supervisor said last.
    diagnostics: Kept,
    /// Whether all output is in all logs, once that is known.
    log_complete: bool,
    /// The exit status in decimal, once it is known, and the files that still lack it.
    status: String,
    unwritten: Vec<Unwritten>,
    /// Space for them.
    secured: Secured,
    /// The end, as soon as nothing is owed to a client or a file.
    finished: Option<u8>,
}

/// A process, and what the supervisor lends it.
struct At<'a> {
    process: &'a mut Process,
    reactor: &'a mut Reactor,
    /// Where its output is logged.
    sinks: &'a mut Sinks,
    /// For its clients.
    numbers: &'a mut Numbers,
}

/// Runs one container from its creation to its end. Returns the exit status for the process.
///
/// # Errors
///
/// Whatever goes wrong before the supervisor is in place; it is to be printed. Later trouble is
/// reported to the caller through its sync pipe, and ends with a status, not with an error.
pub fn run(plan: Box<Plan>, said: Receiver<Said>) -> Result<u8, Error> {
    Ok(stand_up(*plan, said)?.turn_until_finished())
}

/// The launch from top to bottom, up to the moment when only the loop is left.
///
/// A frame of its own: what a launch needs of the stack is not to stay with the supervisor.
#[inline(never)]
fn stand_up(plan: Plan, said: Receiver<Said>) -> Result<Box<Supervisor>, Error> {
    // Before `protect_from_oom`: what that lowers, an undumpable child of a plain user could not raise again
    // between clone(2) and execve(2), since its `oom_score_adj` is root's. So this user cannot lower it either.
    if let Err(error) = sys::capability::hide() {
        log::warn!("cannot keep others from looking into the supervisor: {}", reason(&error));
    }
    let pipes = [plan.report.sync_pipe, plan.report.start_pipe, plan.report.attach_pipe];
    let pipes: Vec<_> = pipes.into_iter().flatten().collect();
    let inherited =
        Inherited::adopt(&pipes).map_err(|e| Error::io("Failed to list the open descriptors", e))?;
    let caller = Caller::adopt(&plan.report)?;
    let null = File::options().read(true).write(true).open("/dev/null");
    let null = null.map_err(|e| Error::io("Failed to open /dev/null", e))?;

    sys::process::set_umask();
    let sinks = Sinks::open(&plan.logs, &plan.identity)?;
    let oom_score = sys::process::protect_from_oom();
    signals::prepare().map_err(|e| Error::io("Failed to set up signals", e))?;
    let mut lent = Lent { caller, inherited, sinks, oom_score, null, said };

    // Before the caller's word nothing is forked: it may first move this process to a cgroup.
    lent.caller.await_start(matches!(plan.verb, Verb::Exec { gated: true, .. }))?;

    let launcher = launch::detach(&plan.detach)?;
    Ok(supervise(plan, lent, launcher))
}

/// The supervisor proper. From here on nobody sees an `Err`: trouble goes to the sync pipe.
fn supervise(plan: Plan, mut lent: Lent, launcher: Launcher) -> Box<Supervisor> {
    let assembled = prepare(&plan, &lent.null).and_then(|()| Ground::make(&plan));
    match assembled {
        Ok(mut ground) => {
            // Whoever learns the container's pid finds the supervisor's.
            if !launcher.agrees() {
                ground.endpoints.remove();
                sys::process::end_now(1);
            }
            let mut supervisor = Box::new(Supervisor::new(plan, lent, ground));
            supervisor.begin();
            supervisor
        }
        Err(error) => {
            log::error!("{}", error.text());
            // Else its status would depend on who is quicker. That there is nothing to supervise is told by the
            // pipe.
            let _ = launcher.agrees();
            lent.caller.failed(error.text().as_bytes());
            sys::process::end_now(1)
        }
    }
}

/// Lets go of the caller's terminal, and becomes the one to whom orphans go.
fn prepare(plan: &Plan, null: &File) -> Result<(), Error> {
    if plan.stdio != Stdio::Passthrough {
        launch::release_stdio(null)?;
    }
    sys::process::set_subreaper(true).map_err(|e| Error::io("Failed to become a subreaper", e))
}

impl Supervisor {
    fn new(plan: Plan, lent: Lent, ground: Ground) -> Supervisor {
        let core = Core::new(Shape::of(&plan));
        let mut container = Process::new(CONTAINER, plan.stdio, core, ground.streams, ground.console);
        if ground.endpoints.control.is_some() {
            container.pump.keep_replays(REPLAY_MAX);
        }
        Supervisor {
            reactor: ground.reactor,
            signals: ground.signals,
            caller: lent.caller,
            inherited: lent.inherited,
            container,
            sessions: Sessions::default(),
            sinks: lent.sinks,
            null: lent.null,
            endpoints: ground.endpoints,
            refused: Refused::default(),
            oom: None,
            oom_score: lent.oom_score,
            life: Life::new(),
            state_changed: false,
            evidence: Evidence::default(),
            exit_record: ExitRecord::default(),
            hooks: Hooks::default(),
            removal: Removal::default(),
            begun: Instant::now(),
            numbers: Numbers::default(),
            subscribers: Vec::new(),
            waiters: Vec::new(),
            readings: Vec::new(),
            readings_due: None,
            operations: Vec::new(),
            next_operation: 0,
            runtimes_due: None,
            untidy: false,
            quiet_at: None,
            stopping: None,
            diagnostics: Kept::new(lent.said),
            log_complete: false,
            status: String::new(),
            unwritten: Vec::new(),
            secured: Secured::default(),
            finished: None,
            plan,
        }
    }

    /// Watches everything there is, and asks for the runtime to be started.
    fn begin(&mut self) {
        if let Err(error) = self.watch_all() {
            let text = format!("Failed to watch the container's streams and endpoints: {}", reason(&error));
            self.caller.failed(text.as_bytes());
            self.container.console = None;
            self.endpoints.remove();
            self.finished = Some(1);
            return;
        }
        self.caller.attach_is_ready();
        if !self.waits_for_second_start() {
            self.happen(CONTAINER, Event::Go);
        }
    }

    fn watch_all(&self) -> io::Result<()> {
        let reads = |fd: Option<std::os::fd::BorrowedFd<'_>>, source: Source| {
            fd.map_or(Ok(()), |fd| self.reactor.watch(fd, source.id(), Watch::Reads))
        };
        reads(Some(self.signals.as_fd()), Source::Signals)?;
        let endpoints = &self.endpoints;
        reads(endpoints.attach.as_ref().and_then(Attach::fd), Source::Attach)?;
        reads(endpoints.ctl.as_ref().map(AsFd::as_fd), Source::Ctl)?;
        reads(endpoints.winsz.as_ref().map(AsFd::as_fd), Source::Winsz)?;
        reads(endpoints.notify.as_ref().map(AsFd::as_fd), Source::Notify)?;
        reads(endpoints.control.as_ref().map(Control::listener), Source::ControlListener)?;
        self.container.watch(&self.reactor)?;
        let journal = self.sinks.journal_fd();
        journal.map_or(Ok(()), |fd| self.reactor.watch(fd, Source::Journal.id(), Watch::Writes))
    }

    /// Whether the runtime is to wait for a second word, which a pipe that can be watched will bring.
    fn waits_for_second_start(&mut self) -> bool {
        match self.caller.start_pipe() {
            None => false,
            Some(pipe) => match self.reactor.watch(pipe, Source::Start.id(), Watch::Reads) {
                Ok(()) => true,
                Err(error) => {
                    log::debug!("the start pipe cannot be waited for: {}", reason(&error));
                    false
                }
            },
        }
    }

    fn turn_until_finished(&mut self) -> u8 {
        let mut ready: Vec<Ready> = Vec::new();
        loop {
            if let Some(status) = self.finished.filter(|_| self.owes_nothing()) {
                return status;
            }
            if std::mem::take(&mut self.untidy) {
                memory::trim();
            }
            if let Err(error) = self.reactor.wait(self.deadline(), &mut ready) {
                // epoll_wait(2) on a descriptor of our own fails only if memory is corrupt.
                log::error!("cannot wait for events: {}", reason(&error));
                return 1;
            }
            for ready in &ready {
                self.turn(*ready);
                self.diagnostics.turn();
            }
            self.catch_up();
        }
    }

    /// Whether clients and files have what they are to have.
    fn owes_nothing(&self) -> bool {
        let served = self.container.pump.clients.is_empty() && self.sessions.are_served();
        served && self.unwritten.is_empty() && self.readings_due.is_none()
    }

    /// When the loop must go on even if nothing comes; `None` while the container just runs.
    fn deadline(&self) -> Option<Instant> {
        let unwritten = self.unwritten.iter().map(|file| file.due).min();
        let late = self.operations.iter().filter(|operation| !operation.killed).map(|o| o.due).min();
        let stopping = self.stopping.as_ref().and_then(Stopping::deadline);
        let runtimes = self.runtimes_deadline();
        let (hooks, readings) = (self.hooks.deadline(), self.readings_due);
        let ours = [unwritten, late, stopping, runtimes, hooks, readings, self.quiet_at, self.refused.due];
        let others = [self.sinks.deadline(), self.container.deadline(), self.sessions.deadline()];
        ours.into_iter().chain(others).flatten().min()
    }

    /// Tells the lifecycle of a process what happened, and does what it asks for, until it asks for
    /// nothing.
    fn happen(&mut self, whom: ProcessId, event: Event) {
        let mut events = VecDeque::from([event]);
        let mut effects: Vec<Effect> = Vec::new();
        while let Some(event) = events.pop_front() {
            log::trace!("event: {event:?}");
            let Some(At { process, .. }) = self.at(whom) else { return };
            process.core.handle(Instant::now(), event, &mut effects);
            for effect in effects.drain(..) {
                log::trace!("effect: {effect:?}");
                events.extend(match whom {
                    CONTAINER => self.perform(effect),
                    session => self.perform_for(session, effect),
                });
            }
        }
    }
}
