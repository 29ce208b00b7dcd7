//! Numbers: the supervisor's own, and what the runtime tells of the container.

use std::collections::HashMap;

use conward_protocol::body::{Body, Stats};
use conward_protocol::record::{Amount, Drops, SinkCount, StreamCount};
use conward_protocol::{ErrorCode, Failure, Op, State, Tag, request};
use serde_json::{Map, Value};

use super::Supervisor;
use super::requests::Answer;
use crate::plan::Stream;
use crate::serve::control::{Control, ControlId};
use crate::sink::{self, Counts, Why};

/// Bytes of the runtime's event that fit in a line, with our own numbers and the paths of logs. A longer
/// one is left out, and `runtime_error` says so.
const EVENT_MAX: usize = 48 * 1024;

impl Supervisor {
    /// Asks the runtime if a container lives; else there is nothing to wait for.
    pub(super) fn stats(&mut self, id: ControlId, tag: Option<&Tag>) -> Answer {
        if self.container_lives() {
            return self.ask_runtime(id, tag, Op::Stats, &["events", "--stats"]);
        }
        Ok(Some(Body::Stats(Box::new(self.own_stats()))))
    }

    /// The answer once the runtime has said what it knows, or has failed.
    pub(super) fn stats_with(&mut self, outcome: Result<Vec<u8>, String>) -> Body {
        let mut stats = self.own_stats();
        match outcome.and_then(|answer| data(&answer)) {
            Ok(data) => stats.runtime = Some(data),
            Err(error) if self.container_lives() => {
                // As a failure it has a bound.
                stats.runtime_error = Some(Failure::new(ErrorCode::RuntimeFailed, error).message);
            }
            Err(_) => {}
        }
        Body::Stats(Box::new(stats))
    }

    fn container_lives(&self) -> bool {
        matches!(self.life.state, State::Created | State::Running | State::Paused)
    }

    fn own_stats(&mut self) -> Stats {
        self.diagnostics.turn();
        let (clients, queued, dropped) =
            self.endpoints.control.as_ref().map(Control::load).unwrap_or_default();
        let (attachments, kept, deaf) = self.container.pump.clients.load();
        let of_sessions = self.sessions.load();
        let millis = self.begun.elapsed().as_millis();
        let micros = self.container.pump.write_time().as_micros();
        Stats {
            runtime: None,
            runtime_error: None,
            uptime_ms: u64::try_from(millis).unwrap_or(u64::MAX),
            streams: self.stream_counts(),
            stdin: self.container.input.total(),
            sinks: self.sink_counts(),
            write_us: u64::try_from(micros).unwrap_or(u64::MAX),
            clients: clients as u64,
            attachments: (attachments + of_sessions.0) as u64,
            queued: (queued + kept + of_sessions.1) as u64,
            clients_dropped: dropped + deaf + of_sessions.2,
            execs: self.sessions.running() as u64,
            execs_total: self.sessions.total,
            seq: self.life.events.last(),
            warnings: self.diagnostics.warnings,
        }
    }

    pub(super) fn stream_counts(&self) -> Vec<StreamCount> {
        let count = |taken: &crate::data::Taken| StreamCount {
            stream: name(taken.stream),
            read: taken.bytes,
            ended: taken.ended,
        };
        self.container.pump.taken().iter().map(count).collect()
    }

    pub(super) fn sink_counts(&self) -> Vec<SinkCount> {
        let path = self.plan.logs.file.as_ref().map(|file| file.path.display().to_string());
        let mut counts = Vec::new();
        for stream in self.container.pump.taken().iter().map(|taken| taken.stream) {
            let tally = self.sinks.counts(stream);
            let sinks = [("k8s-file", path.clone(), tally.file), ("journald", None, tally.journal)];
            for (sink, path, found) in sinks {
                let Some(found) = found else { continue };
                counts.push(SinkCount {
                    sink: sink.to_owned(),
                    path,
                    stream: name(stream),
                    logged: found.logged,
                    dropped: found.lost().bytes,
                    drops: drops(&found),
                    waiting: found.waiting,
                    withheld: found.withheld,
                });
            }
        }
        counts
    }
}

/// What was not logged, by the reason.
fn drops(counts: &Counts) -> Drops {
    let of = |why| {
        let sink::Amount { bytes, lines } = counts.dropped(why);
        (bytes > 0).then_some(Amount { bytes, lines })
    };
    Drops { rate: of(Why::Rate), room: of(Why::Room), error: of(Why::Error) }
}

/// The word of the protocol for a stream.
pub(super) fn name(stream: Stream) -> request::Stream {
    match stream {
        Stream::Stdout => request::Stream::Stdout,
        Stream::Stderr => request::Stream::Stderr,
    }
}

/// The object under `data` in the runtime's one event.
fn data(answer: &[u8]) -> Result<Map<String, Value>, String> {
    if answer.len() > EVENT_MAX {
        return Err(format!("the runtime's event is longer than {EVENT_MAX} bytes"));
    }
    let event: Result<HashMap<String, Value>, _> = serde_json::from_slice(answer);
    match event.map(|mut event| event.remove("data")) {
        Ok(Some(Value::Object(data))) => Ok(data),
        Ok(_) => Err("the runtime's event has no data".to_owned()),
        Err(error) => Err(format!("the runtime's event cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{EVENT_MAX, data};

    #[test]
    fn data_of_an_event() {
        let found =
            data(b"{\"type\":\"stats\",\"id\":\"x\",\"data\":{\"cpu\":{\"n\":18446744073709551615}}}\n");
        let found = serde_json::to_string(&found.expect("data")).expect("JSON");
        assert_eq!(found, r#"{"cpu":{"n":18446744073709551615}}"#, "unchanged");
        for text in ["", "{}", "[]", "{\"data\":7}", "not supported"] {
            assert!(data(text.as_bytes()).is_err(), "{text}");
        }
        let long = |length| format!("{{\"data\":{{\"x\":\"{}\"}}}}", "x".repeat(length));
        assert!(data(long(EVENT_MAX - 17).as_bytes()).is_ok());
        assert!(data(long(EVENT_MAX).as_bytes()).is_err_and(|text| text.contains("longer")));
    }
}
