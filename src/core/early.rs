//! Children that ended before anybody knew who they were.

use std::collections::VecDeque;

use conward_protocol::Exit;

use crate::pid::Pid;

/// A container may end before its pid is known (conmon 36b07f9, 10823ae), so until then each
/// reaped child is remembered. At the bound the oldest is forgotten: runtimes leave a handful of
/// orphans, and the container is the last to come.
#[derive(Debug, Default)]
pub struct Early(VecDeque<(Pid, Exit)>);

const REMEMBERED: usize = 256;

impl Early {
    /// Remembers a reaped child.
    pub fn remember(&mut self, pid: Pid, exit: Exit) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((pid, exit));
    }

    /// How the process with this pid ended, if it was reaped; the latest if the number came twice.
    pub fn exit_of(&self, pid: Pid) -> Option<Exit> {
        self.0.iter().rev().find(|(p, _)| *p == pid).map(|(_, exit)| *exit)
    }
}
