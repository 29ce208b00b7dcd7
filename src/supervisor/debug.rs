//! What the supervisor has said of itself, for managers that ask, and how much it says.

use std::collections::VecDeque;
use std::sync::mpsc::Receiver;
use std::time::UNIX_EPOCH;

use conward_protocol::Timestamp;
use conward_protocol::body::{Body, Diagnostic, Diagnostics};
use conward_protocol::limits::{DEBUG_RING, DIAGNOSTIC_MAX};
use conward_protocol::request::{Debug, Level};
use log::LevelFilter;

use super::Supervisor;
use super::requests::BODY_MAX;
use crate::plan::Said;

/// The last lines, and how many there were that warn.
#[derive(Debug)]
pub(super) struct Kept {
    said: Receiver<Said>,
    lines: VecDeque<Diagnostic>,
    last: u64,
    /// Lines of level `warn` and `error`.
    pub warnings: u64,
}

impl Kept {
    /// Keeps what comes out of this channel.
    pub fn new(said: Receiver<Said>) -> Kept {
        Kept { said, lines: VecDeque::new(), last: 0, warnings: 0 }
    }

    /// Takes everything out of the channel. At the bound the oldest line goes.
    pub fn turn(&mut self) {
        while let Ok(said) = self.said.try_recv() {
            (self.last, self.warnings) = (said.lines, said.warnings);
            if self.lines.len() == DEBUG_RING {
                self.lines.pop_front();
            }
            let since = said.time.duration_since(UNIX_EPOCH).unwrap_or_default();
            let secs = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            let mut message = said.message;
            if message.len() > DIAGNOSTIC_MAX {
                let end = (0..=DIAGNOSTIC_MAX).rev().find(|at| message.is_char_boundary(*at));
                message.truncate(end.unwrap_or(0));
                message.shrink_to_fit();
            }
            self.lines.push_back(Diagnostic {
                seq: self.last,
                time: Timestamp::new(secs, since.subsec_nanos()),
                level: level(said.level),
                message,
            });
        }
    }

    /// The lines after number `since`, the oldest first; of too many for a line, the last. And how many
    /// there are no more, or not here.
    fn after(&self, since: u64) -> (u64, Vec<Diagnostic>) {
        let mut room = BODY_MAX;
        let mut lines = VecDeque::new();
        for line in self.lines.iter().rev().take_while(|line| line.seq > since) {
            let length = serde_json::to_vec(line).map_or(usize::MAX, |json| json.len() + 1);
            if length > room {
                break;
            }
            room -= length;
            lines.push_front(line.clone());
        }
        let missed = self.last.saturating_sub(since) - lines.len() as u64;
        (missed, lines.into())
    }
}

impl Supervisor {
    /// What was said before the level changes, and the level from now on.
    pub(super) fn debug(&mut self, request: &Debug) -> Body {
        self.diagnostics.turn();
        if let Some(level) = request.level {
            log::set_max_level(filter(level));
        }
        let (missed, lines) = self.diagnostics.after(request.since.unwrap_or(0));
        let level = log::max_level().to_level().map_or(Level::Error, level);
        Body::Diagnostics(Diagnostics { level, missed, lines })
    }
}

fn level(level: log::Level) -> Level {
    match level {
        log::Level::Error => Level::Error,
        log::Level::Warn => Level::Warn,
        log::Level::Info => Level::Info,
        log::Level::Debug => Level::Debug,
        log::Level::Trace => Level::Trace,
    }
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::Error,
        Level::Warn => LevelFilter::Warn,
        Level::Info => LevelFilter::Info,
        Level::Debug => LevelFilter::Debug,
        Level::Trace => LevelFilter::Trace,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::time::SystemTime;

    use conward_protocol::limits::{DEBUG_RING, LINE_MAX};
    use conward_protocol::{Body, Reply, codec};

    use super::{Diagnostics, Kept, Level, Said};

    fn kept(messages: impl Iterator<Item = String>) -> Kept {
        let (sender, receiver) = sync_channel(1);
        let mut kept = Kept::new(receiver);
        for (message, lines) in messages.zip(1..) {
            let level = log::Level::Warn;
            let said = Said { time: SystemTime::now(), level, message, lines, warnings: lines };
            sender.send(said).expect("room");
            kept.turn();
        }
        kept
    }

    #[test]
    fn the_last_lines_are_kept_and_the_others_counted() {
        let all = DEBUG_RING as u64 + 5;
        let kept = kept((1..=all).map(|number| number.to_string()));
        assert_eq!(kept.warnings, all);
        let (missed, lines) = kept.after(0);
        assert_eq!((missed, lines.len(), lines[0].message.as_str()), (5, DEBUG_RING, "6"));
        let (missed, lines) = kept.after(all - 1);
        assert_eq!((missed, lines.len(), lines[0].seq), (0, 1, all));
        assert_eq!(kept.after(all + 9), (0, vec![]));
        assert_eq!(kept.after(2).0, 3);
    }

    #[test]
    fn what_had_no_room_is_counted() {
        let (sender, receiver) = sync_channel(1);
        let mut kept = Kept::new(receiver);
        // Of each three lines two come too late.
        for lines in 1..=9 {
            let (time, message) = (SystemTime::now(), lines.to_string());
            let _ = sender.try_send(Said { time, level: log::Level::Warn, message, lines, warnings: lines });
            if lines % 3 == 0 {
                kept.turn();
            }
        }
        assert_eq!(kept.warnings, 7);
        let (missed, lines) = kept.after(0);
        assert_eq!(missed, 4);
        assert_eq!(lines.iter().map(|line| line.seq).collect::<Vec<_>>(), [1, 4, 7]);
        assert_eq!(kept.after(5).0, 1);
    }

    #[test]
    fn a_reply_fits_in_a_line() {
        let kept = kept((0..DEBUG_RING).map(|_| "\u{1}ü".repeat(1000)));
        let (missed, lines) = kept.after(0);
        assert_eq!(missed + lines.len() as u64, DEBUG_RING as u64);
        assert!(missed > 0 && lines.len() > 10, "{missed}");
        let body = Body::Diagnostics(Diagnostics { level: Level::Warn, missed, lines });
        let line = codec::reply_line(&Reply::ok(None, body));
        assert!(line.len() <= LINE_MAX + 1 && line.starts_with(b"{\"ok\""));
    }
}
