//! The one owner: every descriptor of the supervisor is held here, and the one loop runs here.
//!
//! [`run`] is the launch from top to bottom. After it, `turns` says what each ready descriptor
//! leads to, and `perform` what each effect of the lifecycle is done with.

mod perform;
mod source;
mod turns;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::core::{Core, Effect, Event};
use crate::data::{Input, Pump};
use crate::error::Error;
use crate::launch::{self, Standing, Streams};
use crate::pid::Pid;
use crate::plan::{Plan, Stdio, Stream, Verb};
use crate::reactor::{Reactor, Ready, Watch};
use crate::serve::attach::Attach;
use crate::serve::caller::Caller;
use crate::serve::console::Console;
use crate::serve::fifos::{self, Fifo, Size};
use crate::serve::notify::Relay;
use crate::serve::oom::OomWatch;
use crate::sink::Sinks;
use crate::sys::fds::Inherited;
use crate::sys::pidfd::PidFd;
use crate::sys::process;
use crate::sys::signals::{self, Signals};
use source::Source;

/// What a supervisor owns.
pub struct Supervisor {
    plan: Plan,
    core: Core,
    reactor: Reactor,
    signals: Signals,
    caller: Caller,
    inherited: Inherited,
    pump: Pump,
    input: Input,
    /// The runtime's side of the container's streams, until it is started.
    theirs: [Option<OwnedFd>; 3],
    null: File,
    attach: Option<Attach>,
    ctl: Option<Fifo>,
    winsz: Option<Fifo>,
    notify: Option<Relay>,
    console: Option<Console>,
    /// Whether the terminal that came can be used; `None`: none has come.
    terminal: Option<Result<(), String>>,
    /// The size to give to the terminal when it comes.
    size: Option<Size>,
    init: Option<Init>,
    oom: Option<OomWatch>,
    oom_score: Option<String>,
    draining: bool,
    /// The end, as soon as the last client has everything.
    finished: Option<u8>,
}

/// The container's first process, until it has ended.
struct Init {
    pid: Pid,
    /// It is a child of ours, so its pid cannot be reused before we reap it.
    child: bool,
    /// `None` on kernels before 5.3.
    handle: Option<PidFd>,
    /// When to ask again how it ended, after it was seen to end.
    ask_again: Option<Instant>,
    asked: u32,
}

/// Runs one container from its creation to its end. Returns the exit status for the process.
///
/// # Errors
///
/// Whatever goes wrong before the supervisor is in place; it is to be printed. Later trouble is
/// reported to the caller through its sync pipe, and ends with a status, not with an error.
pub fn run(plan: Plan) -> Result<u8, Error> {
    let report = plan.report;
    let lent: Vec<_> =
        [report.sync_pipe, report.start_pipe, report.attach_pipe].into_iter().flatten().collect();
    let inherited =
        Inherited::adopt(&lent).map_err(|e| Error::io("Failed to list the open descriptors", e))?;
    let mut caller = Caller::adopt(&report)?;
    let null = File::options().read(true).write(true).open("/dev/null");
    let null = null.map_err(|e| Error::io("Failed to open /dev/null", e))?;

    process::set_umask();
    let sinks = Sinks::open(&plan.logs, &plan.identity)?;
    let oom_score = process::protect_from_oom();
    signals::prepare().map_err(|e| Error::io("Failed to set up signals", e))?;

    // Before the caller's word nothing is forked: it may first move this process to a cgroup.
    caller.await_start(matches!(plan.verb, Verb::Exec { gated: true, .. }))?;

    match launch::detach(&plan.detach)? {
        Standing::Launcher => Ok(0),
        Standing::Supervisor => Ok(supervise(plan, caller, inherited, sinks, oom_score, null)),
    }
}

/// The supervisor proper. From here on nobody sees an `Err` or stderr: trouble goes to the sync pipe.
fn supervise(
    plan: Plan,
    mut caller: Caller,
    inherited: Inherited,
    sinks: Sinks,
    oom_score: Option<String>,
    null: File,
) -> u8 {
    let prepared = prepare(&plan, &null);
    let assembled = prepared.and_then(|()| Ground::make(&plan));
    match assembled {
        Ok(ground) => Supervisor::new(plan, caller, inherited, sinks, oom_score, null, ground).watch(),
        Err(error) => {
            log::error!("{}", error.text());
            caller.failed(error.text().as_bytes());
            1
        }
    }
}

fn prepare(plan: &Plan, null: &File) -> Result<(), Error> {
    if plan.stdio != Stdio::Passthrough {
        launch::release_stdio(null)?;
    }
    process::set_subreaper(true).map_err(|e| Error::io("Failed to become a subreaper", e))
}

/// What a supervisor stands on: all that may fail before the runtime is started.
struct Ground {
    reactor: Reactor,
    signals: Signals,
    streams: Streams,
    attach: Option<Attach>,
    ctl: Option<Fifo>,
    winsz: Option<Fifo>,
    notify: Option<Relay>,
    console: Option<Console>,
}

impl Ground {
    /// Makes everything, or nothing: what was made before an error is removed again.
    fn make(plan: &Plan) -> Result<Ground, Error> {
        let mut ground = Ground {
            reactor: Reactor::new().map_err(|e| Error::io("Failed to make an epoll instance", e))?,
            signals: Signals::open().map_err(|e| Error::io("Failed to catch signals", e))?,
            streams: Streams::open(plan.stdio)?,
            attach: None,
            ctl: None,
            winsz: None,
            notify: None,
            console: None,
        };
        match ground.make_endpoints(plan) {
            Ok(()) => Ok(ground),
            Err(error) => {
                remove_endpoints(ground.attach.as_ref(), ground.ctl.as_ref(), ground.winsz.as_ref());
                Err(error)
            }
        }
    }

    fn make_endpoints(&mut self, plan: &Plan) -> Result<(), Error> {
        let bundle = plan.runtime.bundle.as_deref().map(Path::new);
        if let (Some(bundle), Some(host)) = (bundle, &plan.endpoints.notify) {
            self.notify = Some(Relay::bind(bundle, host.as_ref())?);
        }
        if matches!(plan.stdio, Stdio::Terminal { .. }) {
            let dir = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty());
            self.console = Some(Console::open(&dir.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from))?);
        }
        let (Some(bundle), false) = (bundle, plan.stdio == Stdio::Passthrough) else { return Ok(()) };
        let names = plan.endpoints.socket_dir.as_deref().zip(plan.identity.uuid.as_deref());
        self.attach = Some(Attach::open(bundle, names.map(|(dir, uuid)| Path::new(dir).join(uuid)))?);
        self.ctl = Some(Fifo::create(&bundle.join("ctl"), fifos::ctl)?);
        self.winsz = Some(Fifo::create(&bundle.join("winsz"), fifos::winsz)?);
        Ok(())
    }
}

fn remove_endpoints(attach: Option<&Attach>, ctl: Option<&Fifo>, winsz: Option<&Fifo>) {
    if let Some(attach) = attach {
        attach.unlink_socket();
        attach.unlink_link();
    }
    for fifo in [ctl, winsz].into_iter().flatten() {
        crate::serve::attach::remove(fifo.path());
    }
}

impl Supervisor {
    fn new(
        plan: Plan,
        caller: Caller,
        inherited: Inherited,
        sinks: Sinks,
        oom_score: Option<String>,
        null: File,
        ground: Ground,
    ) -> Supervisor {
        let mut pump = Pump::new(sinks);
        if let Some(fd) = ground.streams.stdout {
            pump.add(Stream::Stdout, fd, false);
        }
        if let Some(fd) = ground.streams.stderr {
            pump.add(Stream::Stderr, fd, false);
        }
        let input = match (plan.stdio, ground.streams.stdin) {
            (Stdio::Terminal { stdin, leave_open }, _) => Input::awaited(stdin && !leave_open),
            (Stdio::Pipes { leave_open, .. }, Some(fd)) => Input::open(fd, !leave_open),
            (Stdio::Pipes { .. } | Stdio::Passthrough, _) => Input::nowhere(),
        };
        Supervisor {
            core: Core::new(&plan),
            reactor: ground.reactor,
            signals: ground.signals,
            caller,
            inherited,
            pump,
            input,
            theirs: ground.streams.theirs,
            null,
            attach: ground.attach,
            ctl: ground.ctl,
            winsz: ground.winsz,
            notify: ground.notify,
            console: ground.console,
            terminal: None,
            size: None,
            init: None,
            oom: None,
            oom_score,
            draining: false,
            finished: None,
            plan,
        }
    }

    /// Watches everything there is, asks for the runtime to be started, and loops until the end.
    fn watch(mut self) -> u8 {
        if let Err(error) = self.watch_all() {
            let text = format!("Failed to watch a descriptor: {error}");
            self.caller.failed(text.as_bytes());
            remove_endpoints(self.attach.as_ref(), self.ctl.as_ref(), self.winsz.as_ref());
            return 1;
        }
        self.caller.attach_is_ready();
        if !self.waits_for_second_start() {
            self.happen(Event::Go);
        }
        self.turn_until_finished()
    }

    fn watch_all(&self) -> io::Result<()> {
        let reads = |fd: Option<std::os::fd::BorrowedFd<'_>>, source: Source| {
            fd.map_or(Ok(()), |fd| self.reactor.watch(fd, source.id(), Watch::Reads))
        };
        reads(Some(self.signals.as_fd()), Source::Signals)?;
        reads(self.pump.fd(Stream::Stdout), Source::Stdout)?;
        reads(self.pump.fd(Stream::Stderr), Source::Stderr)?;
        reads(self.attach.as_ref().and_then(Attach::fd), Source::Attach)?;
        reads(self.ctl.as_ref().map(AsFd::as_fd), Source::Ctl)?;
        reads(self.winsz.as_ref().map(AsFd::as_fd), Source::Winsz)?;
        reads(self.notify.as_ref().map(AsFd::as_fd), Source::Notify)?;
        reads(self.console.as_ref().and_then(Console::fd), Source::Console)?;
        self.watch_stdin()?;
        let journal = self.pump.sinks.journal_fd();
        journal.map_or(Ok(()), |fd| self.reactor.watch(fd, Source::Journal.id(), Watch::Writes))
    }

    fn watch_stdin(&self) -> io::Result<()> {
        let fd = self.input.fd();
        fd.map_or(Ok(()), |fd| self.reactor.watch(fd, Source::Stdin.id(), Watch::Writes))
    }

    /// Whether the runtime is to wait for a second word, which a pipe that can be watched will bring.
    fn waits_for_second_start(&mut self) -> bool {
        match self.caller.start_pipe() {
            None => false,
            Some(pipe) => match self.reactor.watch(pipe, Source::Start.id(), Watch::Reads) {
                Ok(()) => true,
                Err(error) => {
                    log::debug!("the start pipe cannot be waited for: {error}");
                    false
                }
            },
        }
    }

    fn turn_until_finished(&mut self) -> u8 {
        let mut ready: Vec<Ready> = Vec::new();
        loop {
            if let Some(status) = self.finished.filter(|_| self.pump.clients.is_empty()) {
                return status;
            }
            if let Err(error) = self.reactor.wait(self.deadline(), &mut ready) {
                // epoll_wait(2) on a descriptor of our own fails only if memory is corrupt.
                log::error!("cannot wait for events: {error}");
                return 1;
            }
            for ready in &ready {
                self.turn(*ready);
            }
            self.catch_up();
        }
    }

    /// When the loop must go on even if nothing comes; `None` while the container just runs.
    fn deadline(&self) -> Option<Instant> {
        let asking = self.init.as_ref().and_then(|init| init.ask_again);
        [self.core.deadline(), self.pump.deadline(), asking].into_iter().flatten().min()
    }

    /// Tells the lifecycle what happened, and does what it asks for, until it asks for nothing.
    fn happen(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        let mut effects: Vec<Effect> = Vec::new();
        while let Some(event) = events.pop_front() {
            log::trace!("event: {event:?}");
            self.core.handle(Instant::now(), event, &mut effects);
            for effect in effects.drain(..) {
                log::trace!("effect: {effect:?}");
                events.extend(self.perform(effect));
            }
        }
    }
}
