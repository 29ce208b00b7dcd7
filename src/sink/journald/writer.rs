//! The journal: lines become entries, as long as the socket takes them.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use super::fields::{Entry, Fields, default_priority};
use super::lines::Lines;
use super::socket::{self, Socket};
use crate::error::{Error, reason};
use crate::plan::{Identity, JournalLog, Stream};
use crate::sink::gap::Gaps;
use crate::sink::policy::{Log, Loss, Patience, Refusal, Why};
use crate::sink::{Amount, Counts, STREAMS, Whose};
use crate::sys::clock::Timestamp;
use nix::errno::Errno;

/// How long output waits for a queue that does not move, where no policy was asked for.
const PATIENCE: Duration = Duration::from_secs(1);

/// The journal, as this container sees it.
#[derive(Debug)]
pub struct JournalWriter {
    out: Output,
    streams: [StreamState; 2],
}

/// What the journal knows of one stream.
#[derive(Debug)]
struct StreamState {
    /// Of the container.
    lines: Lines,
    /// By whose output it is.
    counts: [Counts; 2],
}

/// What entries go through.
#[derive(Debug)]
struct Output {
    socket: Socket,
    fields: Fields,
    link: Link,
    gaps: Gaps,
}

/// Whether somebody listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// Nobody asked yet.
    Untried,
    /// As far as is known.
    Up,
    /// Not in this second, for this reason.
    Down { second: i64, errno: Errno },
}

impl JournalWriter {
    /// A journal for this container. Nothing is sent, and nobody need listen yet.
    pub fn open(plan: &JournalLog, identity: &Identity, path: &Path) -> Result<JournalWriter, Error> {
        let socket = Socket::new(path).map_err(|errno| {
            Error::io(format_args!("Failed to make a socket for the journal at {}", path.display()), errno)
        })?;
        let state = |stream| StreamState {
            lines: Lines::new(stream, plan.priority_prefix),
            counts: Default::default(),
        };
        Ok(JournalWriter {
            out: Output {
                socket,
                fields: Fields::new(plan, identity),
                link: Link::Untried,
                gaps: Gaps::default(),
            },
            streams: STREAMS.map(state),
        })
    }

    /// The descriptor to watch for writability, the same for life; connected or not.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.out.socket.fd().as_fd()
    }

    /// Tells of gaps, if there are any and somebody listens. If not, the next chunk, or the next event, tries
    /// again.
    pub fn tell_gaps(&mut self, now: Timestamp) -> Result<(), Refusal> {
        match self.out.gaps.is_empty() {
            true => Ok(()),
            false => self.out.prepare(now).map_err(|refused| self.out.refusal(refused)),
        }
    }

    /// Ends the log: unfinished lines become partial entries. Does not wait.
    pub fn finish(&mut self, now: Timestamp) {
        for stream in STREAMS {
            let StreamState { lines, counts } = &mut self.streams[stream as usize];
            let out = &mut self.out;
            let sent = lines.finish(|entry, bytes| {
                out.prepare(now)?;
                out.log(
                    now,
                    (stream, &mut counts[Whose::Container as usize]),
                    (entry, Amount { bytes: bytes as u64, lines: 0 }),
                )
            });
            if let Err(refused) = sent {
                // It is the unfinished line that is lost.
                let nothing = Loss { at: now, bytes: 0, lines: 0, ends_line: false };
                let refusal = self.out.refusal(refused);
                self.lose(stream, Whose::Container, &nothing, &refusal);
            }
        }
        if self.tell_gaps(now).is_err() {
            log::warn!("the journal does not tell of its gap");
        }
    }

    /// Sends what is complete in `output`. Returns how much of it was taken.
    fn push(
        &mut self,
        now: Timestamp,
        stream: Stream,
        whose: Whose,
        output: &[u8],
    ) -> (usize, Result<(), socket::Refusal>) {
        let StreamState { lines, counts } = &mut self.streams[stream as usize];
        let (counts, out) = (&mut counts[whose as usize], &mut self.out);
        // That of a session is cut anew each time: it comes in whole lines.
        let mut fresh = lines.fresh();
        let lines = if whose == Whose::Session { &mut fresh } else { lines };
        lines.push(output, |entry, bytes| {
            out.log(
                now,
                (stream, counts),
                (entry, Amount { bytes: bytes as u64, lines: u64::from(!entry.partial) }),
            )
        })
    }

    /// Ends the container's line where it is, if it is open.
    fn cut(&mut self, now: Timestamp, stream: Stream) -> Result<(), socket::Refusal> {
        let StreamState { lines, counts } = &mut self.streams[stream as usize];
        let out = &mut self.out;
        let counts = &mut counts[Whose::Container as usize];
        lines.cut(|entry, bytes| {
            out.log(now, (stream, counts), (entry, Amount { bytes: bytes as u64, lines: 0 }))
        })
    }
}

impl Log for JournalWriter {
    /// A short burst loses nothing, and a log does not stop a container for good. Where nobody listens there
    /// is nothing to wait for.
    const PATIENCE: Patience = Patience { room: Some(PATIENCE), error: Patience::NONE.error };
    /// The socket tells of room in the queue.
    const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(1));

    fn name(&self) -> String {
        "journal".to_owned()
    }

    fn take(
        &mut self,
        now: Timestamp,
        _at: Timestamp,
        stream: Stream,
        whose: Whose,
        bytes: &[u8],
    ) -> (usize, Result<(), Refusal>) {
        let ready = self.out.prepare(now).and_then(|()| match whose {
            Whose::Container => Ok(()),
            Whose::Session => self.cut(now, stream),
        });
        let (taken, result) = match ready {
            Ok(()) => self.push(now, stream, whose, bytes),
            Err(refused) => (0, Err(refused)),
        };
        (taken, result.map_err(|refused| self.out.refusal(refused)))
    }

    fn is_complete(&self) -> bool {
        false
    }

    /// The first pieces of a long line are in the journal, and its end is not.
    fn line_is_open(&self, stream: Stream) -> bool {
        self.streams[stream as usize].lines.is_open()
    }

    fn counts(&self, stream: Stream, whose: Whose) -> Counts {
        self.streams[stream as usize].counts[whose as usize]
    }

    fn progress(&self) -> u64 {
        self.streams.iter().flat_map(|state| &state.counts).map(|counts| counts.logged).sum()
    }

    /// The unfinished line before it is lost with it.
    fn lose(&mut self, stream: Stream, whose: Whose, loss: &Loss, refusal: &Refusal) {
        let StreamState { lines, counts } = &mut self.streams[stream as usize];
        let carried = match whose {
            Whose::Container => lines.skip(Some(loss.ends_line).filter(|_| loss.bytes > 0)),
            Whose::Session => 0,
        };
        let amount = Amount { bytes: carried as u64 + loss.bytes, lines: loss.lines };
        self.out.lose(stream, &mut counts[whose as usize], amount, loss.at, refusal);
    }
}

impl Output {
    /// Makes sure that somebody listens, and that entries tell of all gaps.
    fn prepare(&mut self, now: Timestamp) -> Result<(), socket::Refusal> {
        match self.link {
            Link::Up => {}
            Link::Down { second, errno } if second == now.secs => return Err(socket::Refusal::Absent(errno)),
            Link::Untried | Link::Down { .. } => self.connect(now)?,
        }
        let mut missing = 0;
        for stream in STREAMS {
            if let Some(text) = self.gaps.marker(stream) {
                // Not a warning: Podman's reader knows no other priorities than these two.
                let priority = default_priority(stream);
                self.send(now, Entry { message: (text.as_bytes(), b"\n"), priority, partial: false })?;
                let told = self.gaps.told(stream).filter(|told| told.why != Why::Rate);
                missing += told.map_or(0, |told| told.amount.bytes);
            }
        }
        if missing > 0 {
            log::warn!("journal: output is logged again, {missing} bytes are missing");
        }
        Ok(())
    }

    /// Sends an entry that stands for so much of a stream, and counts them. One that cannot be sent at
    /// all, whoever listens, is lost alone: what comes after it does not wait for it.
    fn log(
        &mut self,
        now: Timestamp,
        (stream, counts): (Stream, &mut Counts),
        (entry, amount): (Entry<'_>, Amount),
    ) -> Result<(), socket::Refusal> {
        match self.send(now, entry) {
            Err(refused @ socket::Refusal::Failed(_)) => {
                let refusal = self.refusal(refused);
                self.lose(stream, counts, amount, now, &refusal);
                Ok(())
            }
            Err(refused) => Err(refused),
            Ok(()) => {
                counts.logged += amount.bytes;
                Ok(())
            }
        }
    }

    /// Counts output that is not logged.
    fn lose(
        &mut self,
        stream: Stream,
        counts: &mut Counts,
        amount: Amount,
        at: Timestamp,
        refusal: &Refusal,
    ) {
        counts.drop(refusal.why, amount);
        if refusal.why != Why::Rate && amount.bytes > 0 && !self.gaps.are_trouble() {
            log::warn!("journal: output is lost until this changes: {}", refusal.cause);
        }
        self.gaps.add(stream, amount, (at, at), refusal);
    }

    /// Sends an entry. If journald was restarted, the new one gets it.
    fn send(&mut self, now: Timestamp, entry: Entry<'_>) -> Result<(), socket::Refusal> {
        let first = self.fields.with(entry, |parts| self.socket.send(parts));
        let Err(socket::Refusal::Absent(_)) = first else { return first };
        self.connect(now)?;
        self.fields.with(entry, |parts| self.socket.send(parts))
    }

    fn connect(&mut self, now: Timestamp) -> Result<(), socket::Refusal> {
        match self.socket.connect() {
            Ok(()) => {
                self.link = Link::Up;
                Ok(())
            }
            Err(errno) => {
                self.link = Link::Down { second: now.secs, errno };
                Err(socket::Refusal::Absent(errno))
            }
        }
    }

    /// Why an entry was not sent, in words.
    fn refusal(&self, refused: socket::Refusal) -> Refusal {
        let path = self.socket.path().display();
        let (why, cause) = match refused {
            socket::Refusal::Full => (Why::Room, "the queue of the journal is full".into()),
            socket::Refusal::Absent(errno) => {
                (Why::Error, format!("cannot reach {path}: {}", reason(&errno.into())).into())
            }
            socket::Refusal::Failed(errno) => {
                (Why::Error, format!("cannot send to {path}: {}", reason(&errno.into())).into())
            }
        };
        Refusal { why, cause }
    }
}
