//! What managers are told of the container's life.

use std::collections::VecDeque;

use conward_protocol::record::Times;
use conward_protocol::{Cause, Event, Exit, State, Step, What, codec};

use crate::pid::Pid;
use crate::serve::ring::Ring;
use crate::sys::clock;

/// Core dumps of children that are remembered; the oldest is forgotten first.
const CORE_DUMPS_MAX: usize = 16;

/// Chunks of output that are looked at to see whether the container was started; more would cost a look each for as
/// long as it was not.
const LOOKS_MAX: u8 = 8;

/// The formal state, the events so far, and when what happened.
#[derive(Debug)]
pub(super) struct Life {
    pub state: State,
    /// In `stopped` and `deleted`: how far the supervisor is.
    pub step: Option<Step>,
    /// The first process, while it lives.
    pub pid: Option<Pid>,
    /// The same, also after its end: a number to tell, not to use.
    pub first: Option<Pid>,
    pub exit: Option<Exit>,
    pub times: Times,
    pub events: Ring,
    /// Children that have left a core dump, the last few: which of them is the container may not be
    /// known yet.
    core_dumps: VecDeque<Pid>,
    /// The name of the first process when it was created: the runtime has given it. Once it is another
    /// one, somebody has started the container.
    name: Option<Vec<u8>>,
    /// How often output may still come of a start that nobody has told of.
    looks: u8,
}

impl Life {
    /// Before the runtime is asked for anything.
    pub fn new() -> Life {
        Life {
            state: State::Creating,
            step: None,
            pid: None,
            first: None,
            exit: None,
            times: Times::default(),
            events: Ring::default(),
            core_dumps: VecDeque::new(),
            name: None,
            looks: LOOKS_MAX,
        }
    }

    /// The runtime has created the container.
    pub fn created(&mut self, pid: Pid) {
        self.state = State::Created;
        self.pid = Some(pid);
        self.first = Some(pid);
        self.times.created = Some(now());
        self.name = name(pid);
    }

    /// The container's program was started.
    pub fn started(&mut self) {
        self.state = State::Running;
        self.times.started = Some(now());
    }

    /// A child has ended and left a core dump.
    pub fn dumped_core(&mut self, pid: Pid) {
        if self.core_dumps.len() == CORE_DUMPS_MAX {
            self.core_dumps.pop_front();
        }
        self.core_dumps.push_back(pid);
    }

    /// The first process has ended. Returns whether that left a core dump.
    pub fn exited(&mut self, exit: Exit) -> bool {
        let core_dumped = self.pid.is_some_and(|pid| self.core_dumps.contains(&pid));
        self.state = State::Stopped;
        self.step = Some(Step::Reaped);
        self.pid = None;
        self.exit = Some(exit);
        self.times.finished = Some(now());
        core_dumped
    }

    /// Whether somebody other than the supervisor has started the container: callers with a runtime
    /// of their own do, and tell nobody. One short read; a process has its name until it is reaped.
    pub fn was_started_by_others(&self) -> bool {
        let Some(pid) = self.pid.filter(|_| self.state == State::Created) else { return false };
        self.name.is_some() && name(pid).is_some_and(|now| Some(now) != self.name)
    }

    /// Whether output that has just come may be that of a container which somebody else has started. What comes
    /// after [`LOOKS_MAX`] chunks is no news.
    pub fn may_have_started(&mut self) -> bool {
        let may = self.state == State::Created && self.looks > 0;
        self.looks -= u8::from(may);
        may
    }

    /// Numbers an event and keeps it. Returns its line.
    pub fn note(&mut self, what: What, cause: Cause) -> Vec<u8> {
        let line = |seq| codec::event_line(&Event { what, seq, time: now(), cause });
        self.events.push(line).to_vec()
    }
}

/// The present, as the protocol writes it.
pub(super) fn now() -> conward_protocol::Timestamp {
    let now = clock::Timestamp::now();
    conward_protocol::Timestamp::new(now.secs, now.nanos)
}

/// The name of a process, which every execve(2) changes to that of the program (proc_pid_comm(5)). What
/// the program is, `exe`, only those may know who could trace the process.
fn name(pid: Pid) -> Option<Vec<u8>> {
    std::fs::read(format!("/proc/{pid}/comm")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_output_of_a_created_container_may_come_of_a_start() {
        let own = crate::sys::process::own_pid();
        let mut life = Life::new();
        assert!(!life.may_have_started(), "what comes before is the runtime's");
        life.created(own);
        // The runtime may have a word first.
        assert_eq!((0..=LOOKS_MAX).filter(|_| life.may_have_started()).count(), usize::from(LOOKS_MAX));
        let mut life = Life::new();
        life.created(own);
        life.started();
        assert!(!life.may_have_started(), "a start is known");
    }
}
