//! What is done for each request on the control socket.

use std::time::Instant;

use conward_protocol::body::{self, Body, Done};
use conward_protocol::request::Stage;
use conward_protocol::{Cause, ErrorCode, Exit, Failure, Op, Request, Signal, State, Step, Tag, What};

use super::Supervisor;
use super::operations::{self, Operation, OperationId};
use super::source::Source;
use crate::error::reason;
use crate::pid::Pid;
use crate::plan::Stdio;
use crate::reactor::Watch;
use crate::serve::control::ControlId;
use crate::serve::fifos::Size;
use crate::sys::process;
use crate::sys::spawn::Spawn;

/// Requests of one client that may wait for their answer. The next is `busy`.
const IN_FLIGHT_MAX: usize = conward_protocol::limits::IN_FLIGHT_MAX;

/// A client that waits for a stage of the end.
#[derive(Debug)]
pub(super) struct Waiter {
    pub client: ControlId,
    tag: Option<Tag>,
    stage: Stage,
}

/// What is answered: a body at once, a failure at once, or something later.
type Answer = Result<Option<Body>, Failure>;

impl Supervisor {
    /// Does it, in a state that allows it.
    pub(super) fn do_request(&mut self, id: ControlId, tag: Option<&Tag>, request: &Request) -> Answer {
        let cause = Cause::Client { client: id as u64, op: Some(request.op()) };
        match request {
            Request::State => Ok(Some(Body::State(Box::new(self.state())))),
            Request::Start => self.ask_runtime(id, tag, Op::Start, &["start"]),
            Request::Pause => self.ask_runtime(id, tag, Op::Pause, &["pause"]),
            Request::Resume => self.ask_runtime(id, tag, Op::Resume, &["resume"]),
            Request::Kill(kill) if kill.exec.is_some() => Err(no_execs(Op::Kill)),
            Request::Kill(kill) if kill.all => {
                let number = kill.signal.number().to_string();
                self.ask_runtime(id, tag, Op::Kill, &["kill", "--all", &number])
            }
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
            Request::ReopenLogs => {
                self.pump.sinks.reopen();
                self.announce(What::LogsReopened, cause);
                let files = u64::from(self.plan.logs.file.is_some());
                Ok(Some(Body::Reopened(body::Reopened { files })))
            }
            Request::Stop(_)
            | Request::Update(_)
            | Request::Attach(_)
            | Request::Exec(_)
            | Request::Ps
            | Request::Stats
            | Request::Delete(_)
            | Request::Logs(_)
            | Request::Checkpoint(_)
            | Request::Debug(_)
            | Request::Upgrade(_) => {
                let message = format!("{}: this version of the supervisor cannot do it", request.op());
                Err(Failure::new(ErrorCode::Unsupported, message))
            }
        }
    }

    fn state(&self) -> body::State {
        let stopped = matches!(self.life.state, State::Stopped | State::Deleted);
        body::State {
            id: self.plan.identity.id.clone(),
            name: self.plan.identity.name.clone(),
            state: self.life.state,
            step: self.life.step.filter(|_| stopped),
            pid: self.life.pid.map(Pid::raw),
            supervisor: process::own_pid().raw(),
            version: env!("CARGO_PKG_VERSION").into(),
            bundle: self.plan.runtime.bundle.clone(),
            runtime: self.plan.runtime.program.clone(),
            terminal: matches!(self.plan.stdio, Stdio::Terminal { .. }),
            exit: self.life.exit,
            times: self.life.times,
            log: self.plan.logs.file.as_ref().map(|file| file.path.display().to_string()),
            record: None,
            seq: self.life.events.last(),
            execs: Vec::new(),
            annotations: Default::default(),
            omitted: Vec::new(),
        }
    }

    fn kill_first_process(&mut self, signal: Signal, cause: Cause) -> Answer {
        let sent = match &self.init {
            Some(init) => init.signal(signal.number()),
            None => return Err(Failure::new(ErrorCode::NotRunning, "kill: the container has ended")),
        };
        sent.map_err(|error| {
            Failure::new(ErrorCode::Internal, format!("kill: send signal {signal}: {}", reason(&error)))
        })?;
        self.announce(What::Signalled { signal, all: false, exec: None }, cause);
        done()
    }

    fn resize_by_request(&mut self, rows: u16, cols: u16, cause: Cause) -> Answer {
        if !matches!(self.plan.stdio, Stdio::Terminal { .. }) {
            return Err(Failure::new(ErrorCode::NoTerminal, "resize: the container has no terminal"));
        }
        self.resize(Size { rows, cols });
        self.announce(What::Resized { rows, cols, exec: None }, cause);
        done()
    }

    fn close_stdin(&mut self, cause: Cause) -> Answer {
        if self.input.fd().is_none() {
            return Err(Failure::new(ErrorCode::NoStdin, "close-stdin: the container has no open input"));
        }
        self.input.end();
        self.move_input();
        self.announce(What::StdinClosed { exec: None }, cause);
        done()
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
        Body::Waited(Box::new(body::Waited { stage, exit: self.life.exit, record: None }))
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

    fn check_in_flight(&self, id: ControlId, op: Op) -> Result<(), Failure> {
        let waiting = self.waiters.iter().filter(|waiter| waiter.client == id).count();
        let running = self.operations.iter().filter(|operation| operation.client == id).count();
        if waiting + running < IN_FLIGHT_MAX {
            return Ok(());
        }
        let message = format!("{op}: {IN_FLIGHT_MAX} requests of this client wait for their answer already");
        Err(Failure::new(ErrorCode::Busy, message))
    }

    /// Starts the runtime for a request; its end is the answer.
    fn ask_runtime(&mut self, id: ControlId, tag: Option<&Tag>, op: Op, verb: &[&str]) -> Answer {
        self.check_in_flight(id, op)?;
        let call = &self.plan.runtime;
        let mut argv = vec![call.program.clone()];
        argv.extend(call.global_args.iter().cloned());
        argv.extend(
            verb.split_first()
                .into_iter()
                .flat_map(|(name, options)| {
                    std::iter::once(name).chain(options.iter().filter(|option| option.starts_with('-')))
                })
                .map(|&word| word.to_owned()),
        );
        argv.push(self.plan.identity.id.clone());
        argv.extend(verb.iter().skip(1).filter(|word| !word.starts_with('-')).map(|&word| word.to_owned()));
        let failed = |error| {
            let message = format!("{op}: start OCI runtime {}: {}", call.program, reason(&error));
            Failure::new(ErrorCode::Internal, message)
        };
        let (output, theirs) = operations::pipe().map_err(failed)?;
        let null = std::os::fd::AsFd::as_fd(&self.null);
        let theirs = std::os::fd::AsFd::as_fd(&theirs);
        let spawned = Spawn {
            program: &call.program,
            argv: &argv,
            stdio: [null, theirs, theirs],
            die_with_supervisor: true,
            oom_score_adj: self.oom_score.as_deref(),
            set_listen_pid: false,
        }
        .start();
        let pid = spawned.map_err(failed)?;
        let operation = Operation::new(self.next_operation, pid, (id, tag.cloned()), op, output);
        self.next_operation += 1;
        if let Err(error) =
            self.reactor.watch(operation.output(), Source::Operation(operation.id).id(), Watch::Reads)
        {
            log::warn!("cannot watch the runtime's output: {}", reason(&error));
        }
        self.operations.push(operation);
        Ok(None)
    }

    /// The runtime has said something.
    pub(super) fn on_operation(&mut self, id: OperationId) {
        if let Some(operation) = self.operations.iter_mut().find(|operation| operation.id == id) {
            operation.read();
        }
    }

    /// A child has ended: if it was a runtime at work for a request, that is answered.
    pub(super) fn end_operation(&mut self, pid: Pid, exit: Exit) -> bool {
        let Some(at) = self.operations.iter().position(|operation| operation.pid == pid) else {
            return false;
        };
        let mut operation = self.operations.remove(at);
        self.reactor.forget(operation.output());
        let outcome = match operation.outcome(exit) {
            Ok(()) => Ok(self.achieved(operation.op, operation.client)),
            Err(text) if operation.killed => Err(Failure::new(
                ErrorCode::TimedOut,
                format!("{}: killed after {} s: {text}", operation.op, operations::DEADLINE.as_secs()),
            )),
            Err(text) => Err(Failure::new(ErrorCode::RuntimeFailed, format!("{}: {text}", operation.op))),
        };
        self.reply(operation.client, operation.tag, outcome);
        true
    }

    /// What the runtime has done changes the state, unless the container has ended meanwhile.
    fn achieved(&mut self, op: Op, client: ControlId) -> Body {
        let cause = Cause::Client { client: client as u64, op: Some(op) };
        match (op, self.life.state) {
            (Op::Start, State::Created) => {
                self.life.started();
                self.announce(What::Started, cause);
            }
            (Op::Pause, State::Running) => {
                self.life.state = State::Paused;
                self.announce(What::Paused, cause);
            }
            (Op::Resume, State::Paused) => {
                self.life.state = State::Running;
                self.announce(What::Resumed, cause);
            }
            _ => {}
        }
        match (op, self.life.pid) {
            (Op::Start, Some(pid)) => Body::Started(body::Started { pid: pid.raw() }),
            _ => Body::Done(Done {}),
        }
    }

    /// Ends runtimes that take too long.
    pub(super) fn kill_late_operations(&mut self, now: Instant) {
        for operation in
            self.operations.iter_mut().filter(|operation| !operation.killed && now >= operation.due)
        {
            operation.killed = true;
            if let Err(error) = process::signal_child(operation.pid, libc::SIGKILL) {
                log::warn!("cannot kill the runtime: {}", reason(&error));
            }
        }
    }
}

fn done() -> Answer {
    Ok(Some(Body::Done(Done {})))
}

fn no_execs(op: Op) -> Failure {
    let message = format!("{op}: this version of the supervisor has no exec sessions");
    Failure::new(ErrorCode::NoSuchExec, message)
}
