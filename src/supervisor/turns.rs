//! What a ready descriptor leads to.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::source::{CONTAINER, Part, ProcessId, Source};
use super::{At, Supervisor};
use crate::core::{Answer, Event};
use crate::data::Turn;
use crate::error::reason;
use crate::plan::Stream;
use crate::reactor::Ready;
use crate::serve::attach;
use crate::serve::fifos::Fifo;
use crate::sys::process::{self, Reaped};
use crate::sys::signals::RELAYED;

/// Reads of one output stream in one turn.
const READ_BUDGET: usize = 4;
/// Clients that are accepted in one turn: all that can have been waiting when it began.
const ACCEPT_BUDGET: usize = attach::BACKLOG as usize + 1;
/// How long buffers are kept after the last read that took much: one wake-up more, and then none.
const QUIET: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Lets one source go on. (With a frame of its own, so that the loop's stays small.)
    #[inline(never)]
    pub(super) fn turn(&mut self, ready: Ready) {
        match Source::from_id(ready.id) {
            Source::Signals => self.on_signals(),
            Source::Start => self.on_start(),
            Source::Attach => self.on_attach(),
            Source::Ctl => self.on_fifo(Source::Ctl),
            Source::Winsz => self.on_fifo(Source::Winsz),
            Source::Notify => self.on_notify(),
            Source::Oom => self.on_oom(),
            Source::Journal => self.sinks.turn(Instant::now()),
            Source::ControlListener => self.on_control(),
            Source::Hook => self.on_hook(),
            Source::Of(whom, part) => self.turn_of(whom, part),
            Source::Channel(id) => self.on_channel(id, ready),
            Source::Control(id) => self.on_control_client(id, ready),
            Source::Operation(id) => self.on_operation(id),
        }
    }

    /// After each round: what time has brought, and what the round has made possible.
    #[inline(never)]
    pub(super) fn catch_up(&mut self) {
        let now = Instant::now();
        if self.sinks.deadline().is_some_and(|deadline| now >= deadline) {
            self.sinks.turn(now);
        }
        // First the sessions, whose end comes before that of the container.
        self.catch_up_sessions(now);
        self.retire_channels(CONTAINER, now);
        self.catch_up_with(CONTAINER, now);
        self.run_hooks_after_sessions(now);
        self.finish_after_sessions(now);
        self.write_overdue(now);
        self.kill_late_operations(now);
        self.stop_overdue(now);
        self.end_after_runtimes(now);
        self.diagnostics.turn();
        self.drop_ended_control_clients();
        self.drop_served_control_clients();
        self.turn_hooks(now);
        self.look_whether_abandoned();
        // While the container's last output is read, its exit file is waited for by others.
        if !self.container.draining {
            self.save_state();
        }
        self.accept_again(now);
        self.let_readers_go(now);
        self.wake_readings();
        self.give_back(now);
    }

    /// Frees what only much output needs, when there was none for a while.
    fn give_back(&mut self, now: Instant) {
        if self.container.pump.took_much() {
            self.quiet_at = Some(now + QUIET);
        } else if self.quiet_at.is_some_and(|at| now >= at) {
            self.quiet_at = None;
            self.container.pump.give_back();
            self.sinks.give_back();
            self.untidy = true;
        }
    }

    /// The same for one process.
    pub(super) fn catch_up_with(&mut self, whom: ProcessId, now: Instant) {
        let Some(At { process, reactor, sinks, .. }) = self.at(whom) else { return };
        for stream in process.pump.resume(sinks) {
            process.read_again(reactor, stream);
        }
        if process.is_to_be_asked(now) {
            self.on_departure(whom);
        }
        let held_up = self.is_held_up(whom);
        if self.at(whom).is_some_and(|at| !held_up && at.process.is_drained(at.sinks)) {
            self.happen(whom, Event::Answered(Answer::Drained));
        }
        let deadline = self.at(whom).and_then(|at| at.process.core.deadline());
        if deadline.is_some_and(|deadline| now >= deadline) {
            self.happen(whom, Event::Tick);
        }
    }

    fn on_signals(&mut self) {
        let pending: Vec<i32> = self.signals.pending().collect();
        // First, so that no signal goes to a process that has ended, and gets lost with it.
        self.reap();
        for signal in pending {
            if RELAYED.contains(&signal) {
                self.happen(CONTAINER, Event::Signalled(signal));
            }
        }
    }

    /// Reaps all children that have ended. The only place that does.
    fn reap(&mut self) {
        // While its process can still be looked at.
        self.look_whether_started();
        while let Some(Reaped { pid, exit, core_dumped }) = process::reap() {
            if core_dumped {
                self.life.dumped_core(pid);
            }
            if self.end_operation(pid, exit) || self.end_hook(pid, exit) {
                continue;
            }
            if self.container.init.as_ref().is_some_and(|init| init.pid == pid) {
                // From here on the pid may be anybody's.
                self.container.forget_init(&self.reactor);
            }
            self.happen(CONTAINER, Event::Reaped(pid, exit));
            for whom in self.sessions.ids() {
                let Some(At { process, reactor, .. }) = self.at(whom) else { continue };
                if process.init.as_ref().is_some_and(|init| init.pid == pid) {
                    process.forget_init(reactor);
                }
                self.happen(whom, Event::Reaped(pid, exit));
            }
        }
    }

    fn on_start(&mut self) {
        if let Some(pipe) = self.caller.take_second_start() {
            self.close(pipe);
            self.happen(CONTAINER, Event::Go);
        }
    }

    /// Lets one descriptor of a process go on.
    fn turn_of(&mut self, whom: ProcessId, part: Part) {
        match part {
            Part::Stdout => return self.on_output(whom, Stream::Stdout),
            Part::Stderr => return self.on_output(whom, Stream::Stderr),
            Part::Init => return self.on_departure(whom),
            Part::Console | Part::Stdin => {}
        }
        let Some(At { process, reactor, .. }) = self.at(whom) else { return };
        if part == Part::Console { process.on_console(reactor) } else { process.move_input(reactor) }
    }

    fn on_output(&mut self, whom: ProcessId, stream: Stream) {
        for _ in 0..READ_BUDGET {
            let Some(At { process, reactor, sinks, .. }) = self.at(whom) else { return };
            match process.pump.read(stream, sinks) {
                Turn::Chunk => {}
                Turn::Dry => return,
                Turn::Ended(fd) => return reactor.close(fd),
            }
            if whom == CONTAINER && self.life.may_have_started() {
                self.look_whether_started();
            }
            // A client whose connect(2) returned before the container wrote must hear it,
            // whatever the order in which epoll reports the two.
            self.on_attach();
            if let Some(At { process, sinks, .. }) = self.at(whom) {
                process.pump.pass_on(stream, sinks);
            }
        }
        if let Some(At { process, reactor, .. }) = self.at(whom) {
            process.read_again(reactor, stream);
        }
    }

    fn on_attach(&mut self) {
        for _ in 0..ACCEPT_BUDGET {
            let Some(attach) = &self.endpoints.attach else { return };
            match attach.accept() {
                Ok(None) => return,
                Ok(Some(fd)) => {
                    self.refused.is_over();
                    self.add_client(fd);
                }
                Err(error) => return self.refused.note("an attach client", &error),
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
                    self.container.resize(size);
                }
                if wishes.reopen {
                    self.sinks.reopen();
                }
                if wishes.more {
                    self.reactor.again(Ready::to_read(source.id()));
                }
            }
            Err(error) => log::warn!("cannot read the {source:?} fifo: {}", reason(&error)),
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
        self.look_whether_started();
        self.look_for_oom();
    }

    /// A process that is not our child has ended: how can be learnt once it was reaped.
    fn on_departure(&mut self, whom: ProcessId) {
        // It may have become our child meanwhile, by the end of its parent; then we are told more.
        self.reap();
        let Some(At { process, reactor, .. }) = self.at(whom) else { return };
        if let Some(exit) = process.departure(reactor) {
            self.happen(whom, Event::Departed(exit));
        }
    }

    /// Stops watching a descriptor and closes it, in this order.
    pub(super) fn close(&mut self, fd: OwnedFd) {
        self.reactor.close(fd);
    }
}
