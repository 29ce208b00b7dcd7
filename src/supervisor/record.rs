//! Recording the container's end.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use conward_protocol::{Exit, RECORD_FILE};

use super::Supervisor;
use crate::error::reason;
use crate::plan::{Stream, Verb};
use crate::sink::{Tally, Whose};
use crate::sys::file::touch_new;

/// A file that could not be written is tried again so many times, after a pause that doubles: for
/// about three seconds. The supervisor does not end before that; nothing else waits for it.
const RETRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// What an exit file is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// The exit status in decimal.
    Status,
    /// The exit record as it is then.
    Record,
}

/// An exit file that is still to be written.
#[derive(Debug)]
pub(super) struct Unwritten {
    path: PathBuf,
    pub content: Content,
    tries: u32,
    /// When it is tried again.
    pub due: Instant,
}

impl Supervisor {
    /// The order is the callers': what they lent is free, clients have everything, then the files,
    /// the general before the particular (CRI-O reads the first when it sees the second), then the
    /// message; no failed step holds up the next.
    pub(super) fn record(&mut self, exit: Exit) {
        self.container.draining = false;
        let read_to_the_end = self.container.pump.streams_are_read();
        self.end_drain();
        // To be told in any case.
        let lossy = self.tell_losses();
        self.log_complete = read_to_the_end && !lossy;
        self.inherited.close();
        self.close_clients();

        self.status = exit.number().to_string();
        for path in self.exit_files() {
            // A failure is a diagnostic, and is tried again.
            let _ = self.write_exit_file(path, Content::Status, 0);
        }
        if matches!(self.plan.verb, Verb::Exec { .. }) {
            self.caller.ended(exit);
        }
        if let Some(attach) = &self.endpoints.attach {
            attach.unlink_socket();
        }
    }

    /// The files with the exit status, in their order.
    fn exit_files(&self) -> Vec<PathBuf> {
        let records = &self.plan.records;
        let persisted = records.persist_dir.as_ref().map(|dir| dir.join("exit"));
        let announced = records.exit_dir.as_ref().map(|dir| dir.join(&self.plan.identity.id));
        [persisted, announced].into_iter().flatten().collect()
    }

    /// Takes space for what will be written at the container's end, however full the disk is by then.
    pub(super) fn secure_space(&mut self) {
        for path in self.exit_files() {
            self.secured.status(path);
        }
        if let Some(control) = &self.endpoints.control {
            self.secured.record(control.dir().join(RECORD_FILE));
        }
    }

    /// Tries again what could not be written, where that is due.
    pub(super) fn write_overdue(&mut self, now: Instant) {
        let (due, later) = std::mem::take(&mut self.unwritten).into_iter().partition(|file| now >= file.due);
        self.unwritten = later;
        for file in Vec::into_iter(due) {
            let _ = self.write_exit_file(file.path, file.content, file.tries);
        }
    }

    /// Writes an exit file, or has it written later.
    ///
    /// # Errors
    /// Why it could not be written now; that was told already.
    pub(super) fn write_exit_file(&mut self, path: PathBuf, content: Content, tries: u32) -> io::Result<()> {
        let written = match content {
            Content::Status => self.secured.write(&path, self.status.as_bytes(), 0o644, false),
            // The record outlives a crash of the host, before any hook can run.
            Content::Record => match self.exit_record.text() {
                Some(text) => self.secured.write(&path, &text, 0o600, true),
                None => return Ok(()),
            },
        };
        let Err(error) = &written else {
            if content == Content::Record {
                self.exit_record.is_at(path);
            }
            return Ok(());
        };
        log::error!("cannot write exit file {}: {}", path.display(), reason(error));
        if may_pass(error) && tries < RETRIES {
            let due = Instant::now() + FIRST_PAUSE * 2u32.pow(tries);
            self.unwritten.push(Unwritten { path, content, tries: tries + 1, due });
        }
        written
    }

    /// Creates the empty `oom` files; those that exist are left alone.
    pub(super) fn note_oom(&self) {
        let persist = self.plan.records.persist_dir.as_ref().map(|dir| dir.join("oom"));
        let bundle = self.plan.runtime.bundle.as_ref().map(|dir| Path::new(dir).join("oom"));
        for path in [persist, bundle].into_iter().flatten() {
            if let Err(error) = touch_new(&path) {
                log::error!("cannot create {}: {}", path.display(), reason(&error));
            }
        }
    }

    /// Tells what was not logged, and why not. Returns whether that was anything of the container.
    pub(super) fn tell_losses(&self) -> bool {
        let mut incomplete = false;
        for stream in [Stream::Stdout, Stream::Stderr] {
            incomplete |= tell_loss(stream.name(), self.sinks.counts(stream));
            let sessions = format!("the exec sessions' {}", stream.name());
            tell_loss(&sessions, self.sinks.counts_of(stream, Whose::Session));
        }
        incomplete
    }
}

fn tell_loss(what: &str, tally: Tally) -> bool {
    let mut incomplete = false;
    for (sink, counts) in [("log file", tally.file), ("journal", tally.journal)] {
        let Some(counts) = counts else { continue };
        let lost = counts.lost().bytes;
        incomplete |= lost + counts.withheld > 0;
        if lost > 0 {
            log::warn!("{lost} bytes of {what} are missing from the {sink}");
        }
        if counts.withheld > 0 {
            log::info!("{} bytes of {what} are beyond the limit of the {sink}", counts.withheld);
        }
    }
    incomplete
}

/// Whether time may help: a full disk may be freed, a missing directory does not come back.
fn may_pass(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::AlreadyExists
    )
}
