//! `logs`: each request has a reader of its own, which goes on while its client takes what it reads.

use std::time::Instant;

use conward_protocol::body::Body;
use conward_protocol::limits::LOGS_MAX;
use conward_protocol::request::Logs;
use conward_protocol::{ErrorCode, Failure, Op, Tag, codec};

use super::Supervisor;
use super::requests::Answer;
use super::source::Source;
use crate::data::PARTING_LIMIT;
use crate::error::reason;
use crate::reactor::Ready;
use crate::serve::control::{Control, ControlId};
use crate::sink::{Reader, Turn};

/// Bytes that may wait for a client before more of the log is read for it. With what one turn reads
/// this stays far below what a client is dropped for.
const AHEAD_MAX: usize = 32 * 1024;

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Reading {
    pub client: ControlId,
    tag: Option<Tag>,
    reader: Reader,
    /// It has read everything that had been written by then, and waits for more.
    waits_at: Option<u64>,
}

impl Supervisor {
    /// Begins to read the log; the records come when the client has room for them.
    pub(super) fn logs(&mut self, id: ControlId, tag: Option<&Tag>, logs: &Logs) -> Answer {
        self.check_in_flight(id, Op::Logs)?;
        if self.readings.len() >= LOGS_MAX {
            let message = format!("logs: the log is read for {LOGS_MAX} requests already");
            return Err(Failure::new(ErrorCode::Busy, message));
        }
        let reader = Reader::new(&self.sinks, logs).map_err(|error| {
            Failure::new(ErrorCode::Internal, format!("logs: open the log: {}", reason(&error)))
        })?;
        let Some(reader) = reader else {
            return Err(Failure::new(ErrorCode::Unsupported, "logs: the container has no log file"));
        };
        self.readings.push(Reading { client: id, tag: tag.cloned(), reader, waits_at: None });
        self.reactor.again(Ready::to_write(Source::Control(id).id()));
        Ok(None)
    }

    /// Reads on for a client that has room: one turn for each of its requests.
    pub(super) fn read_logs(&mut self, id: ControlId) {
        let (mut at, mut more) = (0, false);
        while let Some(reading) = self.readings.get_mut(at) {
            let Some(control) = &mut self.endpoints.control else { return };
            if reading.client != id || reading.waits_at.is_some() {
                at += 1;
                continue;
            }
            if control.queued(id) > AHEAD_MAX {
                // It becomes writable when it has read.
                return;
            }
            let mut lines = Vec::new();
            let tag = reading.tag.as_ref();
            let turn = reading.reader.turn(&self.sinks, |record| lines.extend(codec::log_line(tag, record)));
            if !lines.is_empty() {
                control.send(id, lines, Vec::new());
            }
            match turn {
                Ok(Turn::More) => (at, more) = (at + 1, true),
                Ok(Turn::Waits) => {
                    reading.waits_at = Some(self.sinks.written());
                    at += 1;
                }
                Ok(Turn::End) => {
                    let reading = self.readings.swap_remove(at);
                    let end = reading.reader.end(&self.sinks);
                    self.reply(id, reading.tag, Ok(Body::LogEnd(end)));
                    self.untidy = true;
                }
                Err(error) => {
                    let reading = self.readings.swap_remove(at);
                    let message = format!("logs: read the log: {}", reason(&error));
                    self.reply(id, reading.tag, Err(Failure::new(ErrorCode::Internal, message)));
                }
            }
        }
        if more {
            self.reactor.again(Ready::to_write(Source::Control(id).id()));
        }
    }

    /// Lets those go on that wait for what has been written since, or for the end.
    pub(super) fn wake_readings(&mut self) {
        let (written, finished) = (self.sinks.written(), self.sinks.is_finished());
        for reading in &mut self.readings {
            if reading.waits_at.is_some_and(|seen| finished || seen != written) {
                reading.waits_at = None;
                self.reactor.again(Ready::to_write(Source::Control(reading.client).id()));
            }
        }
    }

    /// Closes the connections of managers; for whom anything waits, or who reads the log, gets the rest first,
    /// for as long as attached clients may take for theirs.
    pub(super) fn close_control(&mut self) {
        let waits = self.endpoints.control.as_ref().is_some_and(|control| control.load().1 > 0);
        if self.readings.is_empty() && !waits {
            self.endpoints.control = None;
        } else {
            self.readings_due = Some(Instant::now() + PARTING_LIMIT);
            // There is no state file any more.
            self.state_changed = false;
        }
    }

    /// After that, lets those go who have everything, or who do not take it.
    pub(super) fn let_readers_go(&mut self, now: Instant) {
        let Some(due) = self.readings_due else { return };
        let served = self.endpoints.control.as_ref().map(Control::served).unwrap_or_default();
        for id in served {
            if self.readings.iter().all(|reading| reading.client != id) {
                self.drop_control_client(id);
            }
        }
        if self.endpoints.control.as_ref().is_none_or(Control::is_deserted) || now >= due {
            self.readings.clear();
            self.endpoints.control = None;
            self.readings_due = None;
        }
    }
}
