//! One process that is looked after: the container's first one. What is about its descriptors, its
//! streams and its life is here; what it means to callers and managers is the supervisor's.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use conward_protocol::Exit;

use super::source::{Part, ProcessId, Source};
use crate::core::{Answer, Core, Event};
use crate::data::{Ender, Input, Pump, Step, Turn};
use crate::error::reason;
use crate::launch::Streams;
use crate::pid::Pid;
use crate::plan::{Stdio, Stream};
use crate::reactor::{Reactor, Ready, Watch};
use crate::serve::console::{Came, Console};
use crate::serve::fifos::Size;
use crate::sink::Sinks;
use crate::sys::pidfd::PidFd;
use crate::sys::process::Relation;
use crate::sys::{fds, process, pty};

/// Packets of input that are moved in one turn.
const INPUT_BUDGET: usize = 16;
/// How often, and how long apart, a process that is not our child is asked how it ended: its parent
/// must reap it first. A second in all; then its status is unknown.
const ASK_TIMES: u32 = 200;
const ASK_PAUSE: Duration = Duration::from_millis(5);

/// A process, and all that belongs to it alone.
pub(super) struct Process {
    pub id: ProcessId,
    pub stdio: Stdio,
    pub core: Core,
    pub pump: Pump,
    pub input: Input,
    /// The runtime's side of the streams, until it is started.
    pub theirs: [Option<OwnedFd>; 3],
    /// Until the terminal has come.
    pub console: Option<Console>,
    /// Whether the terminal that came can be used; `None`: none has come.
    terminal: Option<Result<(), String>>,
    /// The size to give to the terminal when it comes.
    size: Option<Size>,
    pub init: Option<Init>,
    pub draining: bool,
    /// Who has ended its input, until that is told.
    pub input_ended: Option<Ender>,
}

/// The process itself, until it has ended.
pub(super) struct Init {
    pub pid: Pid,
    /// It is a child of ours, so its pid cannot be reused before we reap it.
    pub child: bool,
    /// `None` on kernels before 5.3.
    handle: Option<PidFd>,
    /// When to ask again how it ended, after it was seen to end.
    ask_again: Option<Instant>,
    asked: u32,
}

impl Init {
    /// Sends a signal to this very process.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        match &self.handle {
            Some(handle) => handle.signal(signal),
            None => process::signal_child(self.pid, signal),
        }
    }
}

impl Process {
    /// A process that is still to be launched, with these streams.
    pub fn new(
        id: ProcessId,
        stdio: Stdio,
        core: Core,
        streams: Streams,
        console: Option<Console>,
    ) -> Process {
        let mut pump = Pump::default();
        if let Some(fd) = streams.stdout {
            pump.add(Stream::Stdout, fd, false);
        }
        if let Some(fd) = streams.stderr {
            pump.add(Stream::Stderr, fd, false);
        }
        let input = match (stdio, streams.stdin) {
            (Stdio::Terminal { stdin, leave_open }, _) => Input::awaited(stdin && !leave_open),
            (Stdio::Pipes { leave_open, .. }, Some(fd)) => Input::open(fd, !leave_open),
            (Stdio::Pipes { .. } | Stdio::Passthrough, _) => Input::nowhere(),
        };
        Process {
            id,
            stdio,
            core,
            pump,
            input,
            theirs: streams.theirs,
            console,
            terminal: None,
            size: None,
            init: None,
            draining: false,
            input_ended: None,
        }
    }

    fn source(&self, part: Part) -> usize {
        Source::Of(self.id, part).id()
    }

    /// Whether its streams are a terminal.
    pub fn has_terminal(&self) -> bool {
        matches!(self.stdio, Stdio::Terminal { .. })
    }

    /// The output streams that there are. With a terminal there is no stderr: what the runtime says there
    /// is nothing that its process has written.
    pub fn output_streams(&self) -> &'static [Stream] {
        match self.stdio {
            Stdio::Pipes { .. } => &[Stream::Stdout, Stream::Stderr],
            Stdio::Terminal { .. } => &[Stream::Stdout],
            Stdio::Passthrough => &[],
        }
    }

    /// Whether what is written to its input may be read by it.
    pub fn takes_input(&self) -> bool {
        self.input.is_open() && !self.draining && !self.pump.is_over()
    }

    /// Watches all its streams.
    pub fn watch(&self, reactor: &Reactor) -> io::Result<()> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if let Some(fd) = self.pump.fd(stream) {
                reactor.watch(fd, self.source(stream.into()), Watch::Reads)?;
            }
        }
        if let Some(fd) = self.console.as_ref().and_then(Console::fd) {
            reactor.watch(fd, self.source(Part::Console), Watch::Reads)?;
        }
        self.watch_stdin(reactor)
    }

    fn watch_stdin(&self, reactor: &Reactor) -> io::Result<()> {
        let fd = self.input.fd();
        fd.map_or(Ok(()), |fd| reactor.watch(fd, self.source(Part::Stdin), Watch::Writes))
    }

    /// When the loop must go on for it even if nothing comes.
    pub fn deadline(&self) -> Option<Instant> {
        let asking = self.init.as_ref().and_then(|init| init.ask_again);
        [asking, self.core.deadline(), self.pump.deadline()].into_iter().flatten().min()
    }

    /// Runs a stream in the next round.
    pub fn read_again(&self, reactor: &mut Reactor, stream: Stream) {
        reactor.again(Ready::to_read(self.source(stream.into())));
    }

    /// Takes in what the runtime sends over the console socket.
    pub fn on_console(&mut self, reactor: &mut Reactor) {
        let Some(console) = &mut self.console else { return };
        let source = Source::Of(self.id, Part::Console).id();
        loop {
            match console.turn() {
                Ok(Came::Nothing) => return,
                Ok(Came::Connection) => {
                    let watched = console.fd().map_or(Ok(()), |fd| reactor.watch(fd, source, Watch::Reads));
                    if let Err(error) = watched {
                        log::debug!("the console connection cannot be watched: {}", reason(&error));
                    }
                }
                Ok(Came::Terminal(master)) => {
                    self.terminal = Some(
                        self.connect_terminal(reactor, master)
                            .map_err(|error| format!("Failed to set up the terminal: {}", reason(&error))),
                    );
                    break;
                }
                Err(text) => {
                    self.terminal = Some(Err(format!("Runtime did not set up terminal: {text}")));
                    break;
                }
            }
        }
        self.console = None;
    }

    fn connect_terminal(&mut self, reactor: &mut Reactor, master: OwnedFd) -> io::Result<()> {
        fds::set_nonblocking(&master)?;
        if let Err(error) = pty::set_onlcr(&master) {
            log::warn!("cannot set ONLCR on the terminal: {}", reason(&error));
        }
        let input = master.try_clone()?;
        reactor.watch(&master, self.source(Part::Stdout), Watch::Reads)?;
        self.pump.add(Stream::Stdout, master, true);
        self.input.connect(input);
        self.watch_stdin(reactor)?;
        if let Some(size) = self.size {
            self.resize(size);
        }
        self.move_input(reactor);
        Ok(())
    }

    /// Sets the size of the terminal, if it has one, now or when it comes.
    pub fn resize(&mut self, size: Size) {
        self.size = Some(size);
        if !self.has_terminal() {
            return;
        }
        let resized = self.pump.fd(Stream::Stdout).map(|master| pty::set_size(master, size.rows, size.cols));
        if let Some(Err(error)) = resized {
            log::warn!("cannot resize the terminal: {}", reason(&error));
        }
    }

    /// Moves input from the clients to the process.
    pub fn move_input(&mut self, reactor: &mut Reactor) {
        loop {
            match self.input.turn(&mut self.pump.clients, INPUT_BUDGET) {
                Step::More => {
                    let id = self.source(Part::Stdin);
                    return reactor.again(Ready { writable: true, ..Ready::to_read(id) });
                }
                Step::Waits => return,
                Step::Closed(fd, ender) => {
                    reactor.close(fd);
                    self.pump.clients.end_input();
                    self.input_ended = Some(ender);
                }
            }
        }
    }

    /// The runtime has ended: takes in all that it had to say. Returns whether the terminal came,
    /// where one was asked for; else why not.
    pub fn settle(&mut self, reactor: &mut Reactor, sinks: &mut Sinks) -> Result<(), String> {
        self.on_console(reactor);
        self.console = None;
        while self.pump.undecided() {
            match self.pump.read(Stream::Stderr, sinks) {
                Turn::Chunk => self.pump.pass_on(Stream::Stderr, sinks),
                Turn::Dry => break,
                Turn::Ended(fd) => {
                    reactor.close(fd);
                    break;
                }
            }
        }
        self.terminal.clone().unwrap_or_else(|| Err("Runtime did not set up terminal".to_owned()))
    }

    /// Takes hold of the process, which may be a zombie, or no child of ours.
    pub fn adopt(&mut self, reactor: &Reactor, pid: Pid) -> Event {
        let child = process::relation(pid) != Relation::Stranger;
        let handle = match PidFd::open(pid) {
            Ok(handle) => Some(handle),
            Err(_) if child => None,
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Event::Departed(Exit::Unknown),
            Err(error) => return Event::Answered(Answer::Adopted(Err(reason(&error)))),
        };
        if !child
            && let Some(handle) = &handle
            && let Err(error) = reactor.watch(handle, self.source(Part::Init), Watch::Reads)
        {
            return Event::Answered(Answer::Adopted(Err(reason(&error))));
        }
        self.init = Some(Init { pid, child, handle, ask_again: None, asked: 0 });
        Event::Answered(Answer::Adopted(Ok(())))
    }

    /// Whether it is time to ask again how the process, which is no child of ours, has ended.
    pub fn is_to_be_asked(&self, now: Instant) -> bool {
        self.init.as_ref().and_then(|init| init.ask_again).is_some_and(|at| now >= at)
    }

    /// How the process, which is no child of ours, has ended; `None`: it is to be asked again later.
    pub fn departure(&mut self, reactor: &Reactor) -> Option<Exit> {
        let init = self.init.as_mut()?;
        let exit = init.handle.as_ref().and_then(|handle| handle.exit());
        if exit.is_none() && init.asked < ASK_TIMES {
            init.asked += 1;
            init.ask_again = Some(Instant::now() + ASK_PAUSE);
            return None;
        }
        self.forget_init(reactor);
        Some(exit.unwrap_or(Exit::Unknown))
    }

    /// Lets go of the process: nothing may be sent to it any more.
    pub fn forget_init(&mut self, reactor: &Reactor) {
        if let Some(init) = self.init.take()
            && let (Some(handle), false) = (&init.handle, init.child)
        {
            reactor.forget(handle);
        }
    }

    /// From here on the loop goes on until [`Process::is_drained`], or the lifecycle's limit.
    pub fn drain(&mut self, reactor: &mut Reactor) {
        self.pump.begin_drain();
        self.draining = true;
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.read_again(reactor, stream);
        }
    }

    /// Whether draining has just been completed: `true` once.
    pub fn is_drained(&mut self, sinks: &Sinks) -> bool {
        let drained = self.draining && self.pump.drained(sinks);
        self.draining &= !drained;
        drained
    }

    /// Closes its streams: the processes of a terminal get their hang-up.
    pub fn close_streams(&mut self, reactor: &Reactor) {
        for fd in self.pump.close_streams().into_iter().chain(self.input.close()) {
            reactor.close(fd);
        }
    }
}
