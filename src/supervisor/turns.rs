//! What a ready descriptor leads to.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use conward_protocol::Exit;

use super::{Source, Supervisor};
use crate::core::Event;
use crate::data::{Step, Turn};
use crate::error::reason;
use crate::plan::{Stdio, Stream};
use crate::reactor::{Ready, Watch};
use crate::serve::attach;
use crate::serve::console::Came;
use crate::serve::fifos::{Fifo, Size};
use crate::sys::process::Reaped;
use crate::sys::pty;
use crate::sys::signals::RELAYED;
use crate::sys::{fds, process};

/// Reads of one output stream in one turn.
const READ_BUDGET: usize = 4;
/// Packets of input that are moved in one turn.
const INPUT_BUDGET: usize = 16;
/// Clients that are accepted in one turn: all that can have been waiting when it began.
const ACCEPT_BUDGET: usize = attach::BACKLOG as usize + 1;
/// How often, and how long apart, a process that is not our child is asked how it ended: its parent
/// must reap it first. A second in all; then its status is unknown.
const ASK_TIMES: u32 = 200;
const ASK_PAUSE: Duration = Duration::from_millis(5);

impl Supervisor {
    /// Lets one source go on. (With a frame of its own, so that the loop's stays small.)
    #[inline(never)]
    pub(super) fn turn(&mut self, ready: Ready) {
        match Source::from_id(ready.id) {
            Source::Signals => self.on_signals(),
            Source::Start => self.on_start(),
            Source::Console => self.on_console(),
            Source::Stdout => self.on_output(Stream::Stdout),
            Source::Stderr => self.on_output(Stream::Stderr),
            Source::Stdin => self.move_input(),
            Source::Attach => self.on_attach(),
            Source::Ctl => self.on_fifo(Source::Ctl),
            Source::Winsz => self.on_fifo(Source::Winsz),
            Source::Notify => self.on_notify(),
            Source::Oom => self.on_oom(),
            Source::Init => self.on_init(),
            Source::Journal => self.pump.sinks.turn(Instant::now()),
            Source::ControlListener => self.on_control(),
            Source::Channel(id) => self.on_channel(id, ready),
            Source::Control(id) => self.on_control_client(id, ready),
            Source::Operation(id) => self.on_operation(id),
        }
    }

    /// After each round: what time has brought, and what the round has made possible.
    #[inline(never)]
    pub(super) fn catch_up(&mut self) {
        let now = Instant::now();
        if self.pump.sinks.deadline().is_some_and(|deadline| now >= deadline) {
            self.pump.sinks.turn(now);
        }
        self.retire_channels(now);
        for stream in self.pump.resume() {
            self.reactor.again(Ready::to_read(output(stream).id()));
        }
        if self.init.as_ref().and_then(|init| init.ask_again).is_some_and(|at| now >= at) {
            self.on_init();
        }
        self.write_overdue(now);
        self.kill_late_operations(now);
        self.stop_overdue(now);
        self.diagnostics.turn();
        self.drop_ended_control_clients();
        if self.draining && self.pump.drained() {
            self.draining = false;
            self.happen(Event::Drained);
        }
        if self.core.deadline().is_some_and(|deadline| now >= deadline) {
            self.happen(Event::Tick);
        }
    }

    fn on_signals(&mut self) {
        let pending: Vec<i32> = self.signals.pending().collect();
        // First, so that no signal goes to a process that has ended, and gets lost with it.
        self.reap();
        for signal in pending {
            if RELAYED.contains(&signal) {
                self.happen(Event::Signalled(signal));
            }
        }
    }

    /// Reaps all children that have ended. The only place that does.
    fn reap(&mut self) {
        while let Some(Reaped { pid, exit, core_dumped }) = process::reap() {
            if core_dumped {
                self.life.dumped_core(pid);
            }
            if self.end_operation(pid, exit) {
                continue;
            }
            if self.init.as_ref().is_some_and(|init| init.pid == pid) {
                // From here on the pid may be anybody's.
                self.forget_init();
            }
            self.happen(Event::Reaped(pid, exit));
        }
    }

    fn on_start(&mut self) {
        if let Some(pipe) = self.caller.take_second_start() {
            self.close(pipe);
            self.happen(Event::Go);
        }
    }

    fn on_output(&mut self, stream: Stream) {
        for _ in 0..READ_BUDGET {
            match self.pump.read(stream) {
                Turn::Chunk => {
                    // A client whose connect(2) returned before the container wrote must hear it,
                    // whatever the order in which epoll reports the two.
                    self.on_attach();
                    self.pump.pass_on(stream);
                }
                Turn::Dry => return,
                Turn::Ended(fd) => return self.close(fd),
            }
        }
        self.reactor.again(Ready::to_read(output(stream).id()));
    }

    /// Takes in what the runtime sends over the console socket.
    pub(super) fn on_console(&mut self) {
        let Some(console) = &mut self.endpoints.console else { return };
        loop {
            match console.turn() {
                Ok(Came::Nothing) => return,
                Ok(Came::Connection) => {
                    let fd = console.fd();
                    let watched =
                        fd.map_or(Ok(()), |fd| self.reactor.watch(fd, Source::Console.id(), Watch::Reads));
                    if let Err(error) = watched {
                        log::debug!("the console connection cannot be watched: {error}");
                    }
                }
                Ok(Came::Terminal(master)) => {
                    self.terminal = Some(
                        self.connect_terminal(master)
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
        self.endpoints.console = None;
    }

    fn connect_terminal(&mut self, master: OwnedFd) -> io::Result<()> {
        fds::set_nonblocking(&master)?;
        if let Err(error) = pty::set_onlcr(&master) {
            log::warn!("cannot set ONLCR on the terminal: {}", reason(&error));
        }
        let input = master.try_clone()?;
        self.reactor.watch(&master, Source::Stdout.id(), Watch::Reads)?;
        self.pump.add(Stream::Stdout, master, true);
        self.input.connect(input);
        self.watch_stdin()?;
        if let Some(size) = self.size {
            self.resize(size);
        }
        self.move_input();
        Ok(())
    }

    /// Moves input from the clients to the container.
    pub(super) fn move_input(&mut self) {
        match self.input.turn(&mut self.pump.clients, INPUT_BUDGET) {
            Step::More => {
                self.reactor.again(Ready { writable: true, ..Ready::to_read(Source::Stdin.id()) });
            }
            Step::Waits => {}
            Step::Closed(fd, ender) => {
                self.close(fd);
                self.note_end_of_input(ender);
                self.move_input();
            }
        }
    }

    fn on_attach(&mut self) {
        for _ in 0..ACCEPT_BUDGET {
            let Some(attach) = &self.endpoints.attach else { return };
            match attach.accept() {
                Ok(None) => return,
                Ok(Some(fd)) => self.add_client(fd),
                Err(error) => {
                    // Out of descriptors: the client waits until another one has gone.
                    log::warn!("cannot accept an attach client: {}", reason(&error));
                    return;
                }
            }
        }
        self.reactor.again(Ready::to_read(Source::Attach.id()));
    }

    fn on_fifo(&mut self, source: Source) {
        let fifo = if source == Source::Ctl { &mut self.endpoints.ctl } else { &mut self.endpoints.winsz };
        let Some(wishes) = fifo.as_mut().map(Fifo::turn) else { return };
        match wishes {
            Ok(wishes) => {
                if let Some(size) = wishes.resize {
                    self.resize(size);
                }
                if wishes.reopen {
                    self.pump.sinks.reopen();
                }
                if wishes.more {
                    self.reactor.again(Ready::to_read(source.id()));
                }
            }
            Err(error) => log::warn!("cannot read the {source:?} fifo: {}", reason(&error)),
        }
    }

    pub(super) fn resize(&mut self, size: Size) {
        self.size = Some(size);
        if !matches!(self.plan.stdio, Stdio::Terminal { .. }) {
            return;
        }
        let resized = self.pump.fd(Stream::Stdout).map(|master| pty::set_size(master, size.rows, size.cols));
        if let Some(Err(error)) = resized {
            log::warn!("cannot resize the terminal: {}", reason(&error));
        }
    }

    fn on_notify(&mut self) {
        match self.endpoints.notify.as_mut().map(|relay| relay.turn()) {
            Some(Ok(true)) => self.reactor.again(Ready::to_read(Source::Notify.id())),
            Some(Err(error)) => log::warn!("cannot read the notify socket: {}", reason(&error)),
            Some(Ok(false)) | None => {}
        }
    }

    fn on_oom(&mut self) {
        if self.oom.as_mut().is_some_and(|watch| watch.turn()) {
            self.note_oom();
        }
    }

    /// The container, which is not our child, has ended: how can be learnt once it was reaped.
    fn on_init(&mut self) {
        // It may have become our child meanwhile, by the end of its parent; then we are told more.
        self.reap();
        let Some(init) = &mut self.init else { return };
        let exit = init.handle.as_ref().and_then(|handle| handle.exit());
        if exit.is_none() && init.asked < ASK_TIMES {
            init.asked += 1;
            init.ask_again = Some(Instant::now() + ASK_PAUSE);
            return;
        }
        self.forget_init();
        self.happen(Event::Departed(exit.unwrap_or(Exit::Unknown)));
    }

    /// Lets go of the container's process: nothing may be sent to it any more.
    fn forget_init(&mut self) {
        if let Some(init) = self.init.take()
            && let (Some(handle), false) = (&init.handle, init.child)
        {
            self.reactor.forget(handle);
        }
    }

    /// Stops watching a descriptor and closes it, in this order.
    pub(super) fn close(&mut self, fd: OwnedFd) {
        self.reactor.forget(fd.as_fd());
    }
}

/// The source of an output stream.
pub(super) fn output(stream: Stream) -> Source {
    match stream {
        Stream::Stdout => Source::Stdout,
        Stream::Stderr => Source::Stderr,
    }
}
