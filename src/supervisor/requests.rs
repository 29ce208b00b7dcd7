//! What is done for each request on the control socket.

use conward_protocol::body::{self, Body, Done};
use conward_protocol::limits::{IN_FLIGHT_MAX, LINE_MAX, TAG_MAX};
use conward_protocol::request::Stage;
use conward_protocol::{Cause, ErrorCode, Failure, Op, Request, Signal, State, Step, Tag, What};

use super::Supervisor;
use super::state_file::for_a_line;
use crate::error::reason;
use crate::plan::Stdio;
use crate::serve::control::ControlId;
use crate::serve::fifos::Size;

/// Bytes of what can grow in a reply, at most, so that the reply fits in a line: the rest is for the tag and
/// the names of its other fields.
pub(super) const BODY_MAX: usize = LINE_MAX - TAG_MAX - 128;

/// A client that waits for a stage of the end.
#[derive(Debug)]
pub(super) struct Waiter {
    pub client: ControlId,
    pub tag: Option<Tag>,
    stage: Stage,
}

/// What is answered: a body at once, a failure at once, or something later.
pub(super) type Answer = Result<Option<Body>, Failure>;

impl Supervisor {
    /// Does it, in a state that allows it.
    pub(super) fn do_request(&mut self, id: ControlId, tag: Option<&Tag>, request: &Request) -> Answer {
        let cause = Cause::Client { client: id as u64, op: Some(request.op()) };
        match request {
            Request::State => Ok(Some(Body::State(Box::new(for_a_line(self.state()))))),
            Request::Start => self.ask_runtime(id, tag, Op::Start, &["start"]),
            Request::Pause => self.ask_runtime(id, tag, Op::Pause, &["pause"]),
            Request::Resume => self.ask_runtime(id, tag, Op::Resume, &["resume"]),
            Request::Kill(kill) if kill.exec.is_some() => Err(no_execs(Op::Kill)),
            Request::Kill(kill) if kill.all => self.kill_all(id, tag, kill.signal),
            Request::Kill(kill) => self.kill_first_process(kill.signal, cause),
            Request::Resize(resize) if resize.exec.is_some() => Err(no_execs(Op::Resize)),
            Request::Resize(resize) => self.resize_by_request(resize.rows, resize.cols, cause),
            Request::CloseStdin(close) if close.exec.is_some() => Err(no_execs(Op::CloseStdin)),
            Request::CloseStdin(_) => self.close_stdin(cause),
            Request::Wait(wait) if wait.exec.is_some() => Err(no_execs(Op::Wait)),
            Request::Wait(wait) => self.wait(id, tag, wait.stage),
            Request::Subscribe(subscribe) => {
                let last = self.life.events.last();
                let since = subscribe.since.unwrap_or(last);
                if since > last {
                    let fault = format!("event {since} is yet to come; the last one is {last}");
                    return Err(Failure::field(Op::Subscribe, "since", &fault));
                }
                let (missed, _) = self.life.events.after(since);
                Ok(Some(Body::Subscribed(body::Subscribed { missed, last })))
            }
            Request::Logs(logs) => self.logs(id, tag, logs),
            Request::ReopenLogs => {
                self.sinks.reopen();
                self.announce(What::LogsReopened, cause);
                let files = u64::from(self.plan.logs.file.is_some());
                Ok(Some(Body::Reopened(body::Reopened { files })))
            }
            Request::Stop(stop) => self.stop(id, tag, stop),
            Request::Update(update) => self.update(id, tag, update),
            Request::Ps => self.ask_runtime(id, tag, Op::Ps, &["ps", "--format=json"]),
            Request::Stats => self.stats(id, tag),
            Request::Delete(delete) => self.delete(id, tag, delete),
            Request::Checkpoint(checkpoint) => self.checkpoint(id, tag, checkpoint),
            Request::Debug(debug) => Ok(Some(self.debug(debug))),
            Request::Attach(attach) => self.attach(id, tag, attach),
            Request::Exec(_) | Request::Upgrade(_) => {
                let message = format!("{}: this version of the supervisor cannot do it", request.op());
                Err(Failure::new(ErrorCode::Unsupported, message))
            }
        }
    }

    fn kill_first_process(&mut self, signal: Signal, cause: Cause) -> Answer {
        let sent = match &self.container.init {
            Some(init) => init.signal(signal.number()),
            None => return Err(Failure::new(ErrorCode::NotRunning, "kill: the container has ended")),
        };
        sent.map_err(|error| {
            Failure::new(ErrorCode::Internal, format!("kill: send signal {signal}: {}", reason(&error)))
        })?;
        self.evidence.sent(signal.number(), cause.clone());
        self.announce(What::Signalled { signal, all: false, exec: None }, cause);
        done()
    }

    fn resize_by_request(&mut self, rows: u16, cols: u16, cause: Cause) -> Answer {
        if !self.container.has_terminal() {
            return Err(Failure::new(ErrorCode::NoTerminal, "resize: the container has no terminal"));
        }
        self.container.resize(Size { rows, cols });
        self.announce(What::Resized { rows, cols, exec: None }, cause);
        done()
    }

    fn close_stdin(&mut self, cause: Cause) -> Answer {
        let why = match self.plan.stdio {
            Stdio::Pipes { stdin: true, .. } => {
                // One that has ended stays so, and that is no news.
                if self.container.input.fd().is_some() {
                    self.container.input.end();
                    self.container.move_input(&mut self.reactor);
                    self.announce(What::StdinClosed { exec: None }, cause);
                }
                return done();
            }
            Stdio::Terminal { .. } => "a terminal has an end-of-file character instead",
            Stdio::Pipes { .. } | Stdio::Passthrough => "the container has no input that could be ended",
        };
        Err(Failure::new(ErrorCode::NoStdin, format!("close-stdin: {why}")))
    }

    fn wait(&mut self, id: ControlId, tag: Option<&Tag>, stage: Stage) -> Answer {
        if self.reached(stage) {
            return Ok(Some(self.waited(stage)));
        }
        self.check_in_flight(id, Op::Wait)?;
        self.waiters.push(Waiter { client: id, tag: tag.cloned(), stage });
        Ok(None)
    }

    /// Whether that stage of the end is behind us.
    fn reached(&self, stage: Stage) -> bool {
        let step = self.life.step;
        match stage {
            Stage::Exited => self.life.exit.is_some() || self.life.state == State::Deleted,
            Stage::Recorded => step >= Some(Step::Recorded),
            Stage::Deleted => self.life.state == State::Deleted,
        }
    }

    fn waited(&self, stage: Stage) -> Body {
        let record = (stage > Stage::Exited).then(|| self.exit_record.for_a_line()).flatten();
        Body::Waited(Box::new(body::Waited { stage, exit: self.life.exit, record }))
    }

    /// Answers those who waited for what has now happened.
    pub(super) fn answer_waiters(&mut self) {
        let waiters = std::mem::take(&mut self.waiters);
        for waiter in waiters {
            if self.reached(waiter.stage) {
                let body = self.waited(waiter.stage);
                self.reply(waiter.client, waiter.tag, Ok(body));
            } else {
                self.waiters.push(waiter);
            }
        }
    }

    pub(super) fn check_in_flight(&self, id: ControlId, op: Op) -> Result<(), Failure> {
        let waiting = self.waiters.iter().filter(|waiter| waiter.client == id).count();
        let running = self.operations.iter().filter(|operation| operation.task.client() == Some(id)).count();
        let stopping = self.stopping.as_ref().map_or(0, |stopping| stopping.askers(id));
        let reading = self.readings.iter().filter(|reading| reading.client == id).count();
        if waiting + running + stopping + reading + self.removal.askers(id) < IN_FLIGHT_MAX {
            return Ok(());
        }
        let message = format!("{op}: {IN_FLIGHT_MAX} requests of this client wait for their answer already");
        Err(Failure::new(ErrorCode::Busy, message))
    }
}

fn done() -> Answer {
    Ok(Some(Body::Done(Done {})))
}

fn no_execs(op: Op) -> Failure {
    let message = format!("{op}: this version of the supervisor has no exec sessions");
    Failure::new(ErrorCode::NoSuchExec, message)
}
