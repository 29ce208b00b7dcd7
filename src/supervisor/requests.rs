//! What is done for each request on the control socket.

use conward_protocol::body::{self, Body, Done};
use conward_protocol::limits::{IN_FLIGHT_MAX, LINE_MAX, TAG_MAX};
use conward_protocol::request::{Resize, Stage};
use conward_protocol::{Cause, ErrorCode, Exit, Failure, Op, Request, Signal, State, Step, Tag, What};

use super::source::{CONTAINER, ProcessId};
use super::state_file::for_a_line;
use super::{At, Supervisor};
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
    /// Of the container; a session's stages are one.
    stage: Stage,
    of: ProcessId,
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
            Request::Kill(kill) if kill.all => self.kill_all(id, tag, kill.signal),
            Request::Kill(kill) => self.kill_process(kill.signal, kill.exec.as_deref(), cause),
            Request::Resize(resize) => self.resize_by_request(resize, cause),
            Request::CloseStdin(close) => self.close_stdin(id, close.exec.as_deref()),
            Request::Exec(exec) => self.exec(id, tag, exec),
            Request::Wait(wait) => match &wait.exec {
                Some(exec) => self.wait_for_session(id, tag, exec),
                None => self.wait(id, tag, wait.stage),
            },
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
                let files = self.sinks.reopen();
                if files > 0 {
                    self.announce(What::LogsReopened, cause);
                }
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
            Request::Upgrade(_) => {
                let message = format!("{}: this version of the supervisor cannot do it", request.op());
                Err(Failure::new(ErrorCode::Unsupported, message))
            }
        }
    }

    fn kill_process(&mut self, signal: Signal, exec: Option<&str>, cause: Cause) -> Answer {
        let whom = self.target(Op::Kill, exec)?;
        let sent = match self.at(whom).and_then(|at| at.process.init.as_ref()) {
            Some(init) => init.signal(signal.number()),
            None => {
                let message = format!("kill: {} has ended", subject(exec));
                return Err(Failure::new(ErrorCode::NotRunning, message));
            }
        };
        sent.map_err(|error| {
            Failure::new(ErrorCode::Internal, format!("kill: send signal {signal}: {}", reason(&error)))
        })?;
        if whom == CONTAINER {
            self.evidence.sent(signal.number(), cause.clone());
        }
        self.announce(What::Signalled { signal, all: false, exec: exec.map(str::to_owned) }, cause);
        done()
    }

    fn resize_by_request(&mut self, asked: &Resize, cause: Cause) -> Answer {
        let Resize { rows, cols, exec } = asked.clone();
        let whom = self.target(Op::Resize, exec.as_deref())?;
        match self.at(whom) {
            Some(At { process, .. }) if process.has_terminal() => process.resize(Size { rows, cols }),
            Some(_) | None => {
                let message = format!("resize: {} has no terminal", subject(exec.as_deref()));
                return Err(Failure::new(ErrorCode::NoTerminal, message));
            }
        }
        self.announce(What::Resized { rows, cols, exec }, cause);
        done()
    }

    fn close_stdin(&mut self, id: ControlId, exec: Option<&str>) -> Answer {
        let whom = self.target(Op::CloseStdin, exec)?;
        let why = match self.at(whom) {
            Some(At { process, reactor, .. }) => match process.stdio {
                Stdio::Pipes { stdin: true, .. } => {
                    // One that has ended stays so, and that is no news.
                    if process.input.fd().is_some() {
                        process.input.end(id as u64);
                        process.move_input(reactor);
                        self.tell_changes(whom);
                    }
                    return done();
                }
                Stdio::Terminal { .. } => "a terminal has an end-of-file character instead".to_owned(),
                Stdio::Pipes { .. } | Stdio::Passthrough => {
                    format!("{} has no input that could be ended", subject(exec))
                }
            },
            None => format!("{} has ended", subject(exec)),
        };
        Err(Failure::new(ErrorCode::NoStdin, format!("close-stdin: {why}")))
    }

    fn wait(&mut self, id: ControlId, tag: Option<&Tag>, stage: Stage) -> Answer {
        if self.reached(stage) {
            return Ok(Some(self.waited(stage)));
        }
        if self.finished.is_some() {
            return Err(never_reached());
        }
        self.check_in_flight(id, Op::Wait)?;
        self.waiters.push(Waiter { client: id, tag: tag.cloned(), stage, of: CONTAINER });
        Ok(None)
    }

    fn wait_for_session(&mut self, id: ControlId, tag: Option<&Tag>, name: &str) -> Answer {
        match (self.sessions.named(name).map(|session| session.process.id), self.sessions.outcome(name)) {
            (Some(of), _) => {
                self.check_in_flight(id, Op::Wait)?;
                self.waiters.push(Waiter { client: id, tag: tag.cloned(), stage: Stage::Exited, of });
                Ok(None)
            }
            (None, Some(exit)) => Ok(Some(exited(exit))),
            (None, None) => Err(no_such_exec(name)),
        }
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
            if waiter.of == CONTAINER && self.reached(waiter.stage) {
                let body = self.waited(waiter.stage);
                self.reply(waiter.client, waiter.tag, Ok(body));
            } else {
                self.waiters.push(waiter);
            }
        }
    }

    /// Answers those who waited for a session: with its exit, if it came to that.
    pub(super) fn answer_exec_waiters(&mut self, of: ProcessId, name: &str, exit: Option<Exit>) {
        let waiters = std::mem::take(&mut self.waiters);
        let (ours, others) = waiters.into_iter().partition(|waiter| waiter.of == of);
        self.waiters = others;
        for Waiter { client, tag, .. } in Vec::into_iter(ours) {
            self.reply(client, tag, exit.map(exited).ok_or_else(|| no_such_exec(name)));
        }
    }

    /// How many answers a client waits for.
    pub(super) fn in_flight(&self, id: ControlId) -> usize {
        let waiting = self.waiters.iter().filter(|waiter| waiter.client == id).count();
        let running = self.operations.iter().filter(|operation| operation.task.client() == Some(id)).count();
        let stopping = self.stopping.as_ref().map_or(0, |stopping| stopping.askers(id));
        let starting = self.sessions.askers(id);
        let reading = self.readings.iter().filter(|reading| reading.client == id).count();
        waiting + running + stopping + starting + reading + self.removal.askers(id)
    }

    /// Whether a client may ask for one thing more.
    ///
    /// # Errors
    ///
    /// `busy`.
    pub(super) fn check_in_flight(&self, id: ControlId, op: Op) -> Result<(), Failure> {
        if self.in_flight(id) < IN_FLIGHT_MAX {
            return Ok(());
        }
        let message = format!("{op}: {IN_FLIGHT_MAX} requests of this client wait for their answer already");
        Err(Failure::new(ErrorCode::Busy, message))
    }
}

fn done() -> Answer {
    Ok(Some(Body::Done(Done {})))
}

fn exited(exit: Exit) -> Body {
    Body::Waited(Box::new(body::Waited { stage: Stage::Exited, exit: Some(exit), record: None }))
}

/// What a wait comes to that is still there at the supervisor's end.
pub(super) fn never_reached() -> Failure {
    Failure::new(ErrorCode::Gone, "wait: the supervisor ends, and the container is not deleted")
}

fn no_such_exec(name: &str) -> Failure {
    Failure::new(ErrorCode::NoSuchExec, format!("wait: session {name} is not known"))
}

/// Whom a request is about, for people.
fn subject(exec: Option<&str>) -> String {
    exec.map_or_else(|| "the container".to_owned(), |name| format!("session {name}"))
}
