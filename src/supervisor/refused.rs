//! Clients that could not be accepted, for want of descriptors as a rule. A listener that was ready says so
//! once, and nobody tells of a descriptor that has become free in another part, or in another process
//! (ENFILE, accept(2)): it is tried again after a while.

use std::io;
use std::time::{Duration, Instant};

use super::Supervisor;
use super::source::Source;
use crate::error::reason;
use crate::reactor::Ready;

/// How long clients wait for another try.
const RETRY: Duration = Duration::from_millis(100);

/// What is known of clients that wait to be accepted.
#[derive(Debug, Default)]
pub(super) struct Refused {
    /// When it is tried again.
    pub due: Option<Instant>,
    /// It was told, and no client was accepted since.
    told: bool,
}

impl Refused {
    /// A client was accepted.
    pub fn is_over(&mut self) {
        self.told = false;
    }

    /// A client of this kind was not, and goes on waiting.
    pub fn note(&mut self, kind: &str, error: &io::Error) {
        self.due = Some(Instant::now() + RETRY);
        if !std::mem::replace(&mut self.told, true) {
            log::warn!("cannot accept {kind} yet: {}", reason(error));
        }
    }
}

impl Supervisor {
    /// Lets clients in, if it is time to try again.
    pub(super) fn accept_again(&mut self, now: Instant) {
        if self.refused.due.is_some_and(|due| now >= due) {
            self.refused.due = None;
            self.reactor.again(Ready::to_read(Source::Attach.id()));
            self.reactor.again(Ready::to_read(Source::ControlListener.id()));
        }
    }
}
