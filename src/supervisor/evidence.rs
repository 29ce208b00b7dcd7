//! What speaks for who has ended the container.

use std::time::{Duration, Instant};

use conward_protocol::record::Oom;
use conward_protocol::{Cause, Exit};

use super::operations::OperationId;

/// How long a process that the kernel kills for want of memory may take to end: it gives back all its
/// memory first. A SIGKILL that comes later than that after the last such kill is somebody else's.
const OOM_LIMIT: Duration = Duration::from_secs(10);

/// What is known before the container ends.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// The last signal that was sent to it from here, and those that runtimes at work are about to send;
    /// the latest last. At most one more than there are operations.
    sent: Vec<Sent>,
    /// How many processes the kernel has killed for want of memory, and when that was last noticed.
    kills: u64,
    last_kill: Option<Instant>,
}

/// A signal, and who asked for it.
#[derive(Debug)]
struct Sent {
    signal: i32,
    cause: Cause,
    /// The runtime at work that sends it; whether it does is not known yet.
    promised: Option<OperationId>,
}

impl Evidence {
    /// A signal was sent.
    pub fn sent(&mut self, signal: i32, cause: Cause) {
        self.add(Sent { signal, cause, promised: None });
    }

    /// A runtime was started that sends one.
    pub fn promised(&mut self, by: OperationId, signal: i32, cause: Cause) {
        self.sent.push(Sent { signal, cause, promised: Some(by) });
    }

    /// That runtime has ended: what it was to send was sent, or was not. Nothing, if it was to send none.
    pub fn kept(&mut self, by: OperationId, done: bool) {
        let Some(at) = self.sent.iter().position(|sent| sent.promised == Some(by)) else { return };
        let sent = self.sent.remove(at);
        if done {
            self.add(Sent { promised: None, ..sent });
        }
    }

    /// Only the last one that was sent counts.
    fn add(&mut self, sent: Sent) {
        self.sent.retain(|former| former.promised.is_some());
        self.sent.push(sent);
    }

    /// So many were killed so far. Returns whether that is news.
    pub fn killed(&mut self, now: Instant, kills: u64) -> bool {
        let grown = kills > self.kills;
        if grown {
            self.kills = kills;
            self.last_kill = Some(now);
        }
        grown
    }

    /// What the kernel has killed, the first process not looked at.
    pub fn oom(&self) -> Oom {
        Oom { init: false, kills: self.kills }
    }

    /// Who has ended it like this. The kernel tells nobody whom it has killed: it was the first process
    /// if that died by a SIGKILL that was not sent from here, just after one more kill was counted.
    pub fn verdict(&self, now: Instant, exit: Exit) -> (Cause, Oom) {
        let recently = self.last_kill.is_some_and(|at| now.saturating_duration_since(at) <= OOM_LIMIT);
        let matches = |sent: &&Sent| matches!(exit, Exit::Signal(signal) if i32::from(signal) == sent.signal);
        let sent = self.sent.iter().rev().find(matches);
        match (exit, sent) {
            (Exit::TimedOut, _) => (Cause::Timeout, self.oom()),
            (Exit::Signal(_), Some(sent)) => (sent.cause.clone(), self.oom()),
            (Exit::Signal(9), None) if recently => (Cause::Kernel, Oom { init: true, kills: self.kills }),
            (Exit::Code(_) | Exit::Signal(_) | Exit::Unknown, _) => (Cause::Container, self.oom()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_ended_it() {
        let now = Instant::now();
        let client = Cause::Client { client: 3, op: None };
        let oom = |init, kills| Oom { init, kills };
        type Before = fn(&mut Evidence, Instant, Cause);
        let nothing: Before = |_, _, _| {};
        let kill: Before = |evidence, _, cause| evidence.sent(9, cause);
        let term: Before = |evidence, _, cause| evidence.sent(15, cause);
        let out_of_memory: Before = |evidence, now, _| assert!(evidence.killed(now, 2));
        let long_ago: Before = |evidence, now, _| {
            assert!(evidence.killed(now - OOM_LIMIT * 2, 2));
            assert!(!evidence.killed(now, 2), "no news");
        };
        let both: Before = |evidence, now, cause| {
            evidence.sent(9, cause);
            evidence.killed(now, 1);
        };
        let table = [
            (nothing, Exit::Code(0), Cause::Container, oom(false, 0)),
            (nothing, Exit::Signal(9), Cause::Container, oom(false, 0)),
            (nothing, Exit::TimedOut, Cause::Timeout, oom(false, 0)),
            (kill, Exit::Signal(9), client.clone(), oom(false, 0)),
            (kill, Exit::TimedOut, Cause::Timeout, oom(false, 0)),
            (term, Exit::Signal(15), client.clone(), oom(false, 0)),
            (term, Exit::Signal(9), Cause::Container, oom(false, 0)),
            (term, Exit::Code(0), Cause::Container, oom(false, 0)),
            (out_of_memory, Exit::Signal(9), Cause::Kernel, oom(true, 2)),
            (out_of_memory, Exit::Signal(6), Cause::Container, oom(false, 2)),
            (out_of_memory, Exit::Unknown, Cause::Container, oom(false, 2)),
            (long_ago, Exit::Signal(9), Cause::Container, oom(false, 2)),
            (both, Exit::Signal(9), client.clone(), oom(false, 1)),
        ];
        for (row, (before, exit, cause, oom)) in table.into_iter().enumerate() {
            let mut evidence = Evidence::default();
            before(&mut evidence, now, client.clone());
            assert_eq!(evidence.verdict(now, exit), (cause, oom), "row {row}");
        }
    }

    /// A runtime that fails takes back its own signal, and nobody else's.
    #[test]
    fn a_promise_counts_until_it_is_broken() {
        let now = Instant::now();
        let client = |client| Cause::Client { client, op: None };
        let verdict = |evidence: &Evidence| evidence.verdict(now, Exit::Signal(9)).0;
        let mut evidence = Evidence::default();
        evidence.promised(1, 9, client(1));
        assert_eq!(verdict(&evidence), client(1));
        evidence.sent(9, client(2));
        evidence.kept(1, false);
        assert_eq!(verdict(&evidence), client(2));
        evidence.promised(2, 9, client(3));
        assert_eq!(verdict(&evidence), client(3));
        evidence.kept(2, false);
        assert_eq!(verdict(&evidence), client(2));
        evidence.promised(3, 9, client(4));
        evidence.kept(3, true);
        assert_eq!(verdict(&evidence), client(4));
        evidence.promised(4, 9, client(5));
        evidence.sent(15, client(6));
        assert_eq!(verdict(&evidence), client(5), "it is still to come");
        evidence.kept(4, false);
        assert_eq!((verdict(&evidence), evidence.sent.len()), (Cause::Container, 1));
        evidence.killed(now, 1);
        assert_eq!(evidence.verdict(now, Exit::Signal(9)), (Cause::Kernel, Oom { init: true, kills: 1 }));
    }
}
