//! The exit record: what is left of the container, in memory, and in a file beside the control socket.

use std::path::{Path, PathBuf};
use std::time::Instant;

use conward_protocol::record::{HookOutcome, Record, Teardown, VERSION};
use conward_protocol::{Cause, Exit, RECORD_FILE, Step, What};

use super::Supervisor;
use super::record::Content;
use super::requests::BODY_MAX;
use super::stop::Stopping;
use crate::error::reason;
use crate::serve::oom::OomWatch;

/// The record, once the container has ended.
#[derive(Debug, Default)]
pub(super) struct ExitRecord {
    record: Option<Box<Record>>,
    /// Whether a record of this container is on disk.
    path: Option<PathBuf>,
    /// What came of hooks before there is a record.
    hooks: Vec<HookOutcome>,
}

impl ExitRecord {
    /// Where it is, once it is on disk.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// What was written to this file.
    pub fn is_at(&mut self, path: PathBuf) {
        self.path = Some(path);
    }

    /// The text of the file; `None` before the container has ended.
    pub fn text(&self) -> Option<Vec<u8>> {
        // Plain data with names for keys: it cannot fail.
        self.record.as_ref().and_then(|record| serde_json::to_vec(record).ok())
    }

    /// The record, if it fits in a line beside other things.
    pub fn for_a_line(&self) -> Option<Record> {
        let record = self.record.as_deref()?;
        self.text().filter(|text| text.len() <= BODY_MAX).map(|_| record.clone())
    }

    /// What came of the runtime's delete, if it was asked for.
    pub fn teardown(&self) -> Option<&Teardown> {
        self.record.as_ref().and_then(|record| record.teardown.as_ref())
    }
}

impl Supervisor {
    /// The kernel has counted something: there may have been kills.
    pub(super) fn look_for_oom(&mut self) {
        if !self.oom.as_mut().is_some_and(OomWatch::turn) {
            return;
        }
        self.note_oom();
        let kills = self.oom.as_ref().map_or(0, OomWatch::kills);
        if self.evidence.killed(Instant::now(), kills) {
            self.announce(What::Oom(self.evidence.oom()), Cause::Kernel);
        }
    }

    /// The container has ended: begins the record, and tells managers.
    pub(super) fn note_exit(&mut self, exit: Exit) {
        self.look_whether_it_ran(exit);
        self.look_for_oom();
        let core_dumped = self.life.exited(exit);
        let (mut cause, oom) = self.evidence.verdict(Instant::now(), exit);
        if let (Some(stopping), false) = (&self.stopping, oom.init || exit == Exit::TimedOut) {
            cause = Stopping::cause(stopping);
        }
        if oom.init {
            self.announce(What::Oom(oom), Cause::Kernel);
        }
        self.exit_record.record = Some(Box::new(Record {
            version: VERSION,
            id: self.plan.identity.id.clone(),
            exit,
            core_dumped,
            cause: cause.clone(),
            oom,
            times: self.life.times,
            streams: Vec::new(),
            sinks: Vec::new(),
            log_complete: false,
            hooks: std::mem::take(&mut self.exit_record.hooks),
            teardown: None,
        }));
        self.announce(What::Exited { exit, core_dumped }, cause);
        self.answer_waiters();
        self.answer_stops(exit);
    }

    /// All output is where it belongs, and the callers' files are written: completes the record, and tells
    /// managers when the attempt to write it was made.
    pub(super) fn close_record(&mut self) {
        let (streams, sinks) = (self.stream_counts(), self.sink_counts());
        if let Some(record) = &mut self.exit_record.record {
            (record.streams, record.sinks, record.log_complete) = (streams, sinks, self.log_complete);
        }
        self.life.step = Some(Step::Drained);
        self.announce(What::Drained { log_complete: self.log_complete }, Cause::Supervisor);
        let error = self.save_record().err();
        let path = self.exit_record.path().map(|path| path.display().to_string());
        self.life.step = Some(Step::Recorded);
        self.announce(What::Recorded { path, error }, Cause::Supervisor);
        self.answer_waiters();
    }

    /// Adds what came of a hook. It changes nothing else.
    pub(super) fn add_hook(&mut self, outcome: HookOutcome) {
        match &mut self.exit_record.record {
            Some(record) => record.hooks.push(outcome),
            None => self.exit_record.hooks.push(outcome),
        }
        // Else it is in the record when that is written first.
        if self.life.step >= Some(Step::Recorded) {
            let _ = self.save_record();
        }
    }

    /// Adds what came of the runtime's delete. It changes nothing else.
    pub(super) fn add_teardown(&mut self, teardown: Teardown) {
        if let Some(record) = &mut self.exit_record.record {
            record.teardown = Some(teardown);
        }
        // A failure is a diagnostic, and is tried again.
        let _ = self.save_record();
    }

    /// Writes the record as it is now, where there is a directory for it; the error is for people.
    fn save_record(&mut self) -> Result<(), String> {
        let Some(dir) = self.endpoints.control.as_ref().map(|control| control.dir()) else { return Ok(()) };
        let path = dir.join(RECORD_FILE);
        self.unwritten.retain(|file| file.content != Content::Record);
        self.write_exit_file(path, Content::Record, 0).map_err(|error| reason(&error))
    }
}
