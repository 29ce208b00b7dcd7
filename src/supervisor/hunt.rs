//! Ending all processes of a session: again and again, since what is killed may just have forked.

use std::time::{Duration, Instant};

use crate::core::KILL_LIMIT;
use crate::pid::Pid;
use crate::sys::session;

/// How long after the first look for processes the next one comes; then twice as long each time.
const PAUSE: Duration = Duration::from_millis(5);

/// A session whose processes are to end.
#[derive(Debug)]
pub(super) struct Hunt {
    session: Pid,
    /// When to look again, and how long after that once more.
    pub next: Instant,
    pause: Duration,
    /// From here on nobody is looked for: what does not end by SIGKILL is in the hands of the kernel.
    until: Instant,
}

impl Hunt {
    /// Kills the session of this process, which has not been reaped. `None`: nobody is left, or it has no
    /// session of its own. (The number of a session is not used again while a process is in it.)
    pub fn begin(leader: Pid, now: Instant) -> Option<Hunt> {
        let session = session::of(leader)?;
        let found = session::kill(session);
        (found > 0).then_some(Hunt { session, next: now + PAUSE, pause: PAUSE, until: now + KILL_LIMIT })
    }

    /// Looks again, if it is time. Returns whether the hunt is over.
    pub fn turn(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        let found = session::kill(self.session);
        if found > 0 && now >= self.until {
            log::warn!("{found} processes of session {} do not end by SIGKILL", self.session);
        }
        self.pause *= 2;
        self.next = now + self.pause;
        found == 0 || now >= self.until
    }
}
