//! From the request for a session to its start, and what time brings to all of them.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use conward_protocol::limits::REPLAY_MAX;
use conward_protocol::record::HookStage;
use conward_protocol::request::{Exec, Stdin};
use conward_protocol::{ErrorCode, Failure, Op, Tag};
use serde_json::{Map, Value};

use super::attachments::Wanted;
use super::exec_request::wants_terminal;
use super::operations;
use super::process::Process;
use super::requests::Answer;
use super::sessions::{Launch, Session};
use super::source::{CONTAINER, ProcessId};
use super::{At, Supervisor};
use crate::core::{Core, DRAIN_LIMIT, Event, KILL_LIMIT, Shape};
use crate::data::Clients;
use crate::error::{Error, reason};
use crate::launch::Streams;
use crate::plan::Stdio;
use crate::serve::console::Console;
use crate::serve::control::ControlId;
use crate::sink::Sinks;
use crate::sys::file::sealed;
use crate::sys::process;

/// How long the supervisor stays for sessions that outlive the container, from their SIGKILL on. What
/// has not ended then is told as an unknown end.
const SESSIONS_LIMIT: Duration = KILL_LIMIT.saturating_add(DRAIN_LIMIT);

impl Supervisor {
    /// Has the runtime start a session, which goes on whatever becomes of the client.
    pub(super) fn exec(&mut self, id: ControlId, tag: Option<&Tag>, asked: &Exec) -> Answer {
        self.check_in_flight(id, Op::Exec)?;
        let terminal = wants_terminal(&asked.process)?;
        let name = self.sessions.name(asked.id.as_deref())?;
        // The clients of a session end its input only where they have asked for that.
        let stdin = asked.stdin != Stdin::None;
        let stdio = match terminal {
            true => Stdio::Terminal { stdin, leave_open: true },
            false => Stdio::Pipes { stdin, leave_open: true },
        };
        let whom = self.sessions.next_id();
        let launch = self.prepare_launch(whom, id, tag, &asked.process);
        let made = launch.and_then(|launch| Ok((launch, self.make_process(whom, stdio, asked)?)));
        let (launch, process) = made.map_err(|error| {
            Failure::new(ErrorCode::Internal, format!("exec: prepare session {name}: {}", error.text()))
        })?;
        let (sinks, launch) = (Sinks::of_session(asked.log), Some(launch));
        self.sessions.add(Session { process, sinks, name, launch, started: None, hunt: None });
        if let Err(failure) = self.attach_before_launch(whom, id, asked) {
            self.remove_session(whom);
            return Err(failure);
        }
        self.happen(whom, Event::Go);
        Ok(None)
    }

    /// Makes the descriptors that the client is to get when the process runs.
    fn attach_before_launch(&mut self, whom: ProcessId, id: ControlId, asked: &Exec) -> Result<(), Failure> {
        if asked.stdin == Stdin::None && asked.streams.is_empty() {
            return Ok(());
        }
        let wanted = Wanted { op: Op::Exec, streams: &asked.streams, stdin: asked.stdin, replay: None };
        let handover = self.prepare_attachment(whom, id, &wanted)?;
        if let Some(Session { launch: Some(launch), .. }) = self.sessions.get_mut(whom) {
            launch.attached = Some(handover);
        }
        Ok(())
    }

    fn prepare_launch(
        &self,
        whom: ProcessId,
        client: ControlId,
        tag: Option<&Tag>,
        process: &Map<String, Value>,
    ) -> Result<Launch, Error> {
        let text = serde_json::to_vec(process).map_err(io::Error::from);
        let spec = text
            .and_then(|text| sealed("process", &[text]))
            .map_err(|error| Error::io("write the process to a memfd", error))?;
        Ok(Launch {
            client,
            tag: tag.cloned(),
            spec,
            pid_file: self.control_dir().join(format!("exec.{whom}.pid")),
            runtime: None,
            left: None,
            attached: None,
            due: Instant::now() + operations::DEADLINE,
            late: false,
        })
    }

    /// The process of a session, its descriptors watched.
    fn make_process(&self, whom: ProcessId, stdio: Stdio, asked: &Exec) -> Result<Process, Error> {
        let terminal = matches!(stdio, Stdio::Terminal { .. });
        let core = Core::new(Shape {
            exec: true,
            terminal,
            timeout: asked.timeout_ms.map(Duration::from_millis),
            exit_command: None,
            keep: false,
            delete: false,
        });
        let console = terminal.then(|| Console::open(self.control_dir())).transpose()?;
        let mut process = Process::new(whom, stdio, core, Streams::open(stdio)?, console);
        process.pump.clients = Clients::of_session();
        process.pump.keep_replays(REPLAY_MAX);
        if let Err(error) = process.watch(&self.reactor) {
            process.close_streams(&self.reactor);
            return Err(Error::io("watch its streams", error));
        }
        Ok(process)
    }

    /// Where the requests come from.
    fn control_dir(&self) -> &Path {
        self.endpoints.control.as_ref().map_or(Path::new(""), |control| control.dir())
    }

    /// What time has brought to the sessions, and what the last round has made possible.
    pub(super) fn catch_up_sessions(&mut self, now: Instant) {
        for whom in self.sessions.ids() {
            self.kill_late_launch(whom, now);
            if let Some(session) = self.sessions.get_mut(whom)
                && session.hunt.as_mut().is_some_and(|hunt| hunt.turn(now))
            {
                session.hunt = None;
            }
            self.pass_lines_on(whom);
            // Before it runs nobody has its descriptors, so nobody can be late.
            if self.sessions.get(whom).is_some_and(|session| session.launch.is_none()) {
                self.retire_channels(whom, now);
            }
            self.catch_up_with(whom, now);
        }
        if self.sessions.forget_served() {
            self.untidy = true;
            // The log's buffer may have been filled by lines of sessions alone.
            self.sinks.give_back();
        }
    }

    /// Brings what a session has written to the container's logs, if they take it. Its last line need
    /// not have an end.
    fn pass_lines_on(&mut self, whom: ProcessId) {
        if let Some(Session { process, sinks, .. }) = self.sessions.get_mut(whom)
            && self.sinks.has_room_for_guests()
        {
            sinks.pass_on(&mut self.sinks, process.draining && process.pump.streams_are_read());
        }
    }

    /// Whether a process has to wait with its end: a session until all its processes are hunted down and
    /// its lines are in the log; the container for the last lines of its sessions.
    pub(super) fn is_held_up(&self, whom: ProcessId) -> bool {
        match self.sessions.get(whom) {
            Some(Session { hunt, sinks, .. }) => {
                hunt.is_some() || sinks.gathers() && self.sinks.guests_wait()
            }
            None => self.sessions.are_being_logged(),
        }
    }

    fn kill_late_launch(&mut self, whom: ProcessId, now: Instant) {
        let Some(launch) = self.sessions.get_mut(whom).and_then(|session| session.launch.as_mut()) else {
            return;
        };
        if let Some(runtime) = launch.runtime.filter(|_| !launch.late && now >= launch.due) {
            launch.late = true;
            if let Err(error) = process::signal_child(runtime, libc::SIGKILL) {
                log::warn!("cannot kill the runtime: {}", reason(&error));
            }
        }
    }

    /// The container has ended and is recorded. Its sessions have ended with it, unless it had no pid
    /// namespace of its own; then they are killed.
    pub(super) fn end_sessions(&mut self) {
        self.sessions.until = Some(Instant::now() + SESSIONS_LIMIT);
        for whom in self.sessions.ids() {
            self.happen(whom, Event::Signalled(libc::SIGKILL));
        }
    }

    /// Whether the hooks of the container's end, and all that follows them, are to wait: sessions that were
    /// just killed may still hold what is cleaned up then.
    pub(super) fn awaits_sessions(&mut self) -> bool {
        self.sessions.hooks_due = (!self.sessions.is_empty()).then(|| Instant::now() + KILL_LIMIT);
        self.sessions.hooks_due.is_some()
    }

    /// Goes on with these hooks, if they have waited long enough.
    pub(super) fn run_hooks_after_sessions(&mut self, now: Instant) {
        if self.sessions.hooks_due.is_some_and(|due| self.sessions.is_empty() || now >= due) {
            self.sessions.hooks_due = None;
            if let Some(event) = self.run_hooks(HookStage::Exited) {
                self.happen(CONTAINER, event);
            }
        }
    }

    /// Ends the supervisor, if it waits for nothing but sessions and they are over.
    pub(super) fn finish_after_sessions(&mut self, now: Instant) {
        let Some(status) = self.sessions.finishing.filter(|_| self.sessions.are_over(now)) else { return };
        for whom in self.sessions.unfinished() {
            self.give_up_session(whom);
        }
        self.sessions.finishing = None;
        self.finish(status);
    }

    /// Whom a request is about: the container, or a session that runs.
    pub(super) fn target(&self, op: Op, exec: Option<&str>) -> Result<ProcessId, Failure> {
        let Some(name) = exec else { return Ok(CONTAINER) };
        let (code, what) = match (self.sessions.named(name), self.sessions.outcome(name)) {
            (Some(Session { started: Some(_), process, .. }), _) => return Ok(process.id),
            (Some(_), _) => (ErrorCode::NotRunning, "is still being started"),
            (None, Some(_)) => (ErrorCode::NotRunning, "has ended"),
            (None, None) => (ErrorCode::NoSuchExec, "is not known"),
        };
        Err(Failure::new(code, format!("{op}: session {name} {what}")))
    }

    /// The name of a session; none is that of the container.
    pub(super) fn session_name(&self, whom: ProcessId) -> Option<String> {
        self.sessions.get(whom).map(|session| session.name.clone())
    }

    /// A process that is looked after, as long as it is.
    pub(super) fn at(&mut self, whom: ProcessId) -> Option<At<'_>> {
        let (reactor, numbers) = (&mut self.reactor, &mut self.numbers);
        let (process, sinks) = match whom {
            CONTAINER => (&mut self.container, &mut self.sinks),
            session => self.sessions.get_mut(session).map(|found| (&mut found.process, &mut found.sinks))?,
        };
        Some(At { process, reactor, sinks, numbers })
    }
}
