//! Exec sessions: further processes in the container, each with a lifecycle of its own. `exec` starts
//! them; what their effects are done with is in `session_perform`.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

use conward_protocol::body::ExecState;
use conward_protocol::limits::{EXECS_KEPT, EXECS_MAX};
use conward_protocol::{ErrorCode, Exit, Failure, Tag, Timestamp};

use super::attachments::Handover;
use super::hunt::Hunt;
use super::process::Process;
use super::source::ProcessId;
use crate::data::ChannelId;
use crate::pid::Pid;
use crate::serve::control::ControlId;
use crate::sink::Sinks;
use crate::sys::fds;
use crate::sys::file::remove;

/// A session, from its request until its end is told.
pub(super) struct Session {
    pub process: Process,
    /// Where its output goes: nowhere, or whole lines of it to the container's logs.
    pub sinks: Sinks,
    /// The name by which managers call it.
    pub name: String,
    /// Until its process runs.
    pub launch: Option<Launch>,
    /// Since when it runs.
    pub started: Option<Timestamp>,
    /// All its processes are being ended.
    pub hunt: Option<Hunt>,
}

/// A session that the runtime is to start.
#[derive(Debug)]
pub(super) struct Launch {
    pub client: ControlId,
    pub tag: Option<Tag>,
    /// The process object, for the runtime.
    pub spec: File,
    pub pid_file: PathBuf,
    /// The runtime, until it was reaped.
    pub runtime: Option<Pid>,
    /// What it left in the pid file.
    pub left: Option<Pid>,
    /// What the client gets when the process runs.
    pub attached: Option<Handover>,
    /// When it has taken too long, and whether it was killed for that.
    pub due: Instant,
    pub late: bool,
}

impl Launch {
    /// Where a runtime finds the process object that is handed it.
    pub fn spec_path(&self) -> String {
        fds::path(&self.spec)
    }
}

impl Drop for Launch {
    fn drop(&mut self) {
        remove(&self.pid_file);
    }
}

/// What came of a session.
#[derive(Debug)]
pub(super) struct Ended {
    pub name: String,
    pub terminal: bool,
    pub started: Timestamp,
    pub exit: Exit,
}

/// The sessions of a container.
#[derive(Default)]
pub(super) struct Sessions {
    list: Vec<Session>,
    /// Sessions whose end was told, but not to all who hear their streams: they lag, and have some time.
    parting: Vec<Session>,
    /// Clients of sessions that were, dropped since they did not read.
    dropped: u64,
    /// The last that have ended, the oldest first; at most [`EXECS_KEPT`].
    ended: VecDeque<Ended>,
    /// The last number of a process, and the last one of a name, that was given.
    last: ProcessId,
    named: u64,
    /// Those that were started, ever.
    pub total: u64,
    /// From here on the hooks of the container's end wait for none of them, if they do so now.
    pub hooks_due: Option<Instant>,
    /// From here on the supervisor waits for none of them.
    pub until: Option<Instant>,
    /// The supervisor's exit status, while it waits only for them.
    pub finishing: Option<u8>,
}

impl Sessions {
    /// The numbers of their processes.
    pub fn ids(&self) -> Vec<ProcessId> {
        self.all().map(|session| session.process.id).collect()
    }

    /// Those of whom the end is not told yet.
    pub fn unfinished(&self) -> Vec<ProcessId> {
        self.list.iter().map(|session| session.process.id).collect()
    }

    pub fn get(&self, whom: ProcessId) -> Option<&Session> {
        self.all().find(|session| session.process.id == whom)
    }

    pub fn get_mut(&mut self, whom: ProcessId) -> Option<&mut Session> {
        self.list.iter_mut().chain(&mut self.parting).find(|session| session.process.id == whom)
    }

    /// The one that a client hears or writes to by this channel.
    pub fn of_channel(&self, id: ChannelId) -> Option<ProcessId> {
        let session = self.all().find(|session| session.process.pump.clients.fd(id).is_some())?;
        Some(session.process.id)
    }

    fn all(&self) -> impl Iterator<Item = &Session> {
        self.list.iter().chain(&self.parting)
    }

    /// The one of this name that has not ended.
    pub fn named(&self, name: &str) -> Option<&Session> {
        self.list.iter().find(|session| session.name == name)
    }

    /// How the one of this name has ended, if that is still known.
    pub fn outcome(&self, name: &str) -> Option<Exit> {
        self.ended.iter().find(|ended| ended.name == name).map(|ended| ended.exit)
    }

    /// A number for a new one.
    pub fn next_id(&mut self) -> ProcessId {
        self.last += 1;
        self.last
    }

    pub fn add(&mut self, session: Session) {
        self.list.push(session);
    }

    /// The end of a session was told: nothing but its clients may remain.
    pub fn remove(&mut self, whom: ProcessId) {
        self.parting.extend(self.list.extract_if(.., |session| session.process.id == whom));
        if self.list.is_empty() {
            self.list = Vec::new();
        }
    }

    /// Forgets those whose clients have gone. Returns whether that was the last memory of all.
    pub fn forget_served(&mut self) -> bool {
        let over = |session: &mut Session| session.process.pump.clients.is_empty();
        let lost = self.parting.extract_if(.., over).map(|session| session.process.pump.clients.load().2);
        let (count, dropped) = lost.fold((0, 0), |(count, sum), dropped| (count + 1, sum + dropped));
        self.dropped += dropped;
        if self.parting.is_empty() {
            self.parting = Vec::new();
        }
        count > 0 && self.is_empty() && self.are_served()
    }

    /// Whether all who heard sessions that are over have everything.
    pub fn are_served(&self) -> bool {
        self.parting.is_empty()
    }

    /// How many clients are attached to all of them, the bytes and overhead that wait for those, and how
    /// many were dropped since they did not read.
    pub fn load(&self) -> (usize, usize, u64) {
        let loads = self.all().map(|session| session.process.pump.clients.load());
        loads.fold((0, 0, self.dropped), |sum, load| (sum.0 + load.0, sum.1 + load.1, sum.2 + load.2))
    }

    /// Keeps an outcome.
    pub fn keep(&mut self, ended: Ended) {
        if self.ended.len() == EXECS_KEPT {
            self.ended.pop_front();
        }
        self.ended.push_back(ended);
    }

    /// The name is that of a new session.
    pub fn forget(&mut self, name: &str) {
        self.ended.retain(|ended| ended.name != name);
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether a runtime is at work for one of them.
    pub fn are_being_launched(&self) -> bool {
        self.list.iter().any(|session| session.launch.is_some())
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.list.iter().filter(|session| session.started.is_some()).count()
    }

    /// Whether the last output of one of them is on its way to the log.
    pub fn are_being_logged(&self) -> bool {
        self.list.iter().any(|session| session.process.draining && session.sinks.gathers())
    }

    /// How many answers a client waits for.
    pub fn askers(&self, id: ControlId) -> usize {
        let launches = self.list.iter().filter_map(|session| session.launch.as_ref());
        launches.filter(|launch| launch.client == id).count()
    }

    /// Those that run, and the last that have ended.
    pub fn states(&self) -> Vec<ExecState> {
        let running = self.list.iter().filter_map(|session| {
            Some(ExecState {
                exec: session.name.clone(),
                pid: session.process.init.as_ref().map(|init| init.pid.raw()),
                terminal: session.process.has_terminal(),
                started: session.started?,
                exit: None,
            })
        });
        let ended = self.ended.iter().map(|ended| ExecState {
            exec: ended.name.clone(),
            pid: None,
            terminal: ended.terminal,
            started: ended.started,
            exit: Some(ended.exit),
        });
        running.chain(ended).collect()
    }

    /// When one of them must go on even if nothing comes.
    pub fn deadline(&self) -> Option<Instant> {
        let of = |session: &Session| match &session.launch {
            Some(launch) => Some(launch.due).filter(|_| !launch.late),
            None => [session.process.deadline(), session.hunt.as_ref().map(|hunt| hunt.next)]
                .into_iter()
                .flatten()
                .min(),
        };
        let end = self.until.filter(|_| self.finishing.is_some());
        self.all().filter_map(of).chain(self.hooks_due).chain(end).min()
    }

    /// Whether the supervisor need not wait for them any more.
    pub fn are_over(&self, now: Instant) -> bool {
        self.list.is_empty() || self.until.is_some_and(|until| now >= until)
    }

    /// The name for a new session.
    pub fn name(&mut self, wanted: Option<&str>) -> Result<String, Failure> {
        if self.list.len() >= EXECS_MAX {
            let message = format!("exec: {EXECS_MAX} sessions run already");
            return Err(Failure::new(ErrorCode::Busy, message));
        }
        match wanted {
            Some(name) if self.named(name).is_some() => {
                Err(Failure::new(ErrorCode::ExecExists, format!("exec: a session {name} runs already")))
            }
            Some(name) => Ok(name.to_owned()),
            None => loop {
                self.named += 1;
                let name = format!("exec-{}", self.named);
                if self.named(&name).is_none() && self.outcome(&name).is_none() {
                    return Ok(name);
                }
            },
        }
    }
}
