//! Starting the runtime for a request, or for a step of one, and what comes of it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use conward_protocol::body::{self, Body, Done};
use conward_protocol::request::Update;
use conward_protocol::{Cause, ErrorCode, Exit, Failure, Op, Signal, State, Tag, What};

use super::operations::{self, Operation, OperationId, Task};
use super::requests::{Answer, never_reached};
use super::source::{CONTAINER, Source};
use super::{Supervisor, ps};
use crate::core::{self, Event};
use crate::error::reason;
use crate::pid::Pid;
use crate::reactor::{Ready, Watch};
use crate::serve::control::ControlId;
use crate::sys::file::sealed;
use crate::sys::process;
use crate::sys::spawn::{Extra, Spawn};

/// How long a runtime at work may still take when the container has ended and its record is written.
/// Then hooks, exit command and delete come without it, and it is killed when the supervisor ends.
const AFTER_THE_END: Duration = Duration::from_secs(2);

impl Supervisor {
    /// Starts the runtime for a request; its end is the answer.
    pub(super) fn ask_runtime(&mut self, id: ControlId, tag: Option<&Tag>, op: Op, verb: &[&str]) -> Answer {
        let task = Task::Request { client: id, tag: tag.cloned(), op, signal: None };
        self.ask_runtime_with(task, op, verb, None)
    }

    /// Has the runtime send a signal to every process of the container.
    pub(super) fn kill_all(&mut self, id: ControlId, tag: Option<&Tag>, signal: Signal) -> Answer {
        let task = Task::Request { client: id, tag: tag.cloned(), op: Op::Kill, signal: Some(signal) };
        let number = signal.number().to_string();
        self.ask_runtime_with(task, Op::Kill, &["kill", "--all", &number], None)
    }

    /// Hands the resources to the runtime as a file that nobody can change any more.
    pub(super) fn update(&mut self, id: ControlId, tag: Option<&Tag>, update: &Update) -> Answer {
        let text = serde_json::to_vec(&update.resources).map_err(io::Error::from);
        let resources = text.and_then(|text| sealed("resources", &[text])).map_err(|error| {
            let message = format!("update: write the resources to a memfd: {}", reason(&error));
            Failure::new(ErrorCode::Internal, message)
        })?;
        let verb = ["update", "--resources", "-"];
        let task = Task::Request { client: id, tag: tag.cloned(), op: Op::Update, signal: None };
        self.ask_runtime_with(task, Op::Update, &verb, Some(resources.as_fd()))
    }

    /// Starts the runtime for a task that is answered at its end.
    pub(super) fn ask_runtime_with(
        &mut self,
        task: Task,
        op: Op,
        verb: &[&str],
        input: Option<BorrowedFd<'_>>,
    ) -> Answer {
        if let Some(client) = task.client() {
            self.check_in_flight(client, op)?;
        }
        let promised = task.sends();
        match self.spawn_operation(task, verb, input) {
            Ok(operation) => {
                if let Some((signal, cause)) = promised {
                    // The container may end before the runtime has.
                    self.evidence.promised(operation, signal, cause);
                }
                Ok(None)
            }
            Err(error) => {
                let program = &self.plan.runtime.program;
                let message = format!("{op}: start OCI runtime {program}: {}", reason(&error));
                Err(Failure::new(ErrorCode::Internal, message))
            }
        }
    }

    /// Starts the runtime: `verb` with its options, the container's id, and what else is no option.
    pub(super) fn spawn_operation(
        &mut self,
        task: Task,
        verb: &[&str],
        input: Option<BorrowedFd<'_>>,
    ) -> io::Result<OperationId> {
        let call = &self.plan.runtime;
        let mut argv = vec![call.program.clone()];
        argv.extend(call.global_args.iter().cloned());
        argv.extend(arguments(verb, &self.plan.identity.id));
        let (answer, stdout) = operations::pipe()?;
        let (errors, stderr) = operations::pipe()?;
        let stdin = input.unwrap_or(self.null.as_fd());
        let pid = Spawn {
            program: &call.program,
            argv: &argv,
            stdio: [stdin, stdout.as_fd(), stderr.as_fd()],
            die_with_supervisor: true,
            oom_score_adj: self.oom_score.as_deref(),
            set_listen_pid: false,
            extra: Extra::default(),
        }
        .start()?;
        let id = self.next_operation;
        let operation = Operation::new(id, pid, task, answer, errors);
        self.next_operation += 1;
        for output in operation.outputs() {
            if let Err(error) = self.reactor.watch(output, Source::Operation(id).id(), Watch::Reads) {
                log::warn!("cannot watch the runtime's output: {}", reason(&error));
            }
        }
        self.operations.push(operation);
        Ok(id)
    }

    /// The runtime has said something.
    pub(super) fn on_operation(&mut self, id: OperationId) {
        let operation = self.operations.iter_mut().find(|operation| operation.id == id);
        if operation.is_some_and(Operation::read) {
            self.reactor.again(Ready::to_read(Source::Operation(id).id()));
        }
    }

    /// A child has ended: if it was a runtime at work for a request, that is answered or goes on.
    pub(super) fn end_operation(&mut self, pid: Pid, exit: Exit) -> bool {
        let Some(at) = self.operations.iter().position(|operation| operation.pid == pid) else {
            return false;
        };
        let operation = self.operations.remove(at);
        for output in operation.outputs() {
            self.reactor.forget(output);
        }
        let id = operation.id;
        let (task, killed, outcome) = operation.end(exit);
        self.evidence.kept(id, outcome.is_ok());
        match task {
            Task::Request { client, tag, op, signal } => {
                let outcome = match (op, outcome) {
                    (Op::Stats, outcome) => Ok(self.stats_with(outcome)),
                    (_, Ok(answer)) => {
                        if let Some(signal) = signal {
                            let cause = Cause::Client { client: client as u64, op: Some(op) };
                            self.announce(What::Signalled { signal, all: true, exec: None }, cause);
                        }
                        self.achieved(op, client, &answer)
                    }
                    (_, Err(text)) => Err(self.runtime_failed(op, killed, &text)),
                };
                self.reply(client, tag, outcome);
            }
            Task::Checkpoint { client, tag, request } => {
                let outcome = self.checkpoint_ended(client, &request, killed, outcome);
                self.reply(client, tag, outcome);
            }
            Task::Delete => {
                let code = if killed { ErrorCode::TimedOut } else { ErrorCode::RuntimeFailed };
                let exit = if killed { Exit::TimedOut } else { exit };
                let event = self.end_teardown(Some(exit), outcome.err().map(|text| (code, text)));
                self.happen(CONTAINER, event);
            }
            Task::Freeze | Task::KillAll | Task::Thaw => self.stop_step_ended(&task, outcome.err()),
        }
        true
    }

    pub(super) fn runtime_failed(&self, op: Op, killed: bool, text: &str) -> Failure {
        let code = match self.life.state {
            _ if killed => ErrorCode::TimedOut,
            State::Stopped | State::Deleted => ErrorCode::Gone,
            _ => ErrorCode::RuntimeFailed,
        };
        Failure::new(code, format!("{op}: {text}"))
    }

    /// What the runtime has done changes the state, unless the container has ended meanwhile.
    fn achieved(&mut self, op: Op, client: ControlId, answer: &[u8]) -> Result<Body, Failure> {
        let cause = Cause::Client { client: client as u64, op: Some(op) };
        match (op, self.life.state) {
            (Op::Start, State::Created) => {
                self.note_started(cause);
            }
            (Op::Pause, State::Running) => {
                self.life.state = State::Paused;
                self.announce(What::Paused, cause);
            }
            (Op::Resume, State::Paused) => {
                self.life.state = State::Running;
                self.announce(What::Resumed, cause);
            }
            (Op::Update, _) => self.announce(What::Updated, cause),
            (Op::Ps, _) => {
                return ps::processes(answer).map(Body::Processes).map_err(|error| {
                    let message = format!("ps: the runtime's list of processes cannot be read: {error}");
                    Failure::new(ErrorCode::RuntimeFailed, message)
                });
            }
            _ => {}
        }
        Ok(match (op, self.life.first) {
            (Op::Start, Some(pid)) => Body::Started(body::Started { pid: pid.raw() }),
            _ => Body::Done(Done {}),
        })
    }

    /// Ends runtimes that take too long.
    pub(super) fn kill_late_operations(&mut self, now: Instant) {
        for operation in self.operations.iter_mut().filter(|operation| operation.is_late(now)) {
            operation.killed = true;
            if let Err(error) = process::signal_child(operation.pid, libc::SIGKILL) {
                log::warn!("cannot kill the runtime: {}", reason(&error));
            }
        }
    }

    /// Whether what follows the exit record is to wait: a runtime at work for a request may still be busy
    /// with the container, and somebody waits for its answer.
    pub(super) fn awaits_runtimes(&mut self) -> bool {
        self.runtimes_due = (!self.operations.is_empty()).then(|| Instant::now() + AFTER_THE_END);
        self.runtimes_due.is_some()
    }

    /// When it goes on even if they have not ended.
    pub(super) fn runtimes_deadline(&self) -> Option<Instant> {
        self.runtimes_due.filter(|_| !self.checkpoint_at_work())
    }

    /// Goes on with the end of the container, if that has waited long enough.
    pub(super) fn end_after_runtimes(&mut self, now: Instant) {
        let over = self.runtimes_deadline().is_some_and(|due| now >= due);
        if over || (self.runtimes_due.is_some() && self.operations.is_empty()) {
            self.runtimes_due = None;
            self.happen(CONTAINER, Event::Answered(core::Answer::Recorded));
        }
    }

    /// The supervisor is about to end, and answers to whom it still owes something. Runtimes that are at
    /// work are ended.
    pub(super) fn give_up_operations(&mut self) {
        for waiter in std::mem::take(&mut self.waiters) {
            self.reply(waiter.client, waiter.tag, Err(never_reached()));
        }
        for operation in std::mem::take(&mut self.operations) {
            if let Err(error) = process::signal_child(operation.pid, libc::SIGKILL) {
                log::warn!("cannot kill the runtime: {}", reason(&error));
            }
            let (client, tag, op) = match operation.task {
                Task::Request { client, tag, op, .. } => (client, tag, op),
                Task::Checkpoint { client, tag, .. } => (client, tag, Op::Checkpoint),
                Task::Freeze | Task::KillAll | Task::Thaw | Task::Delete => continue,
            };
            let message = format!("{op}: the supervisor ends before the runtime has done it");
            // What a `start` is for has been done all the same.
            let ran = self.life.first.filter(|_| op == Op::Start && self.life.times.started.is_some());
            let outcome = match ran {
                Some(pid) => Ok(Body::Started(body::Started { pid: pid.raw() })),
                None => Err(Failure::new(ErrorCode::Gone, message)),
            };
            self.reply(client, tag, outcome);
        }
    }
}

/// The verb, its options, the container's id, and then its other words.
fn arguments(verb: &[&str], id: &str) -> Vec<String> {
    let (name, words) = verb.split_first().map_or((None, &[][..]), |(name, words)| (Some(name), words));
    let (options, others): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| word.starts_with('-'));
    name.into_iter().copied().chain(options).chain([id]).chain(others).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::arguments;

    #[test]
    fn the_id_stands_between_options_and_words() {
        let table = [
            (&["start"][..], "start X"),
            (&["kill", "--all", "9"], "kill --all X 9"),
            (&["update", "--resources", "-"], "update --resources - X"),
            (&["ps", "--format=json"], "ps --format=json X"),
        ];
        for (verb, words) in table {
            assert_eq!(arguments(verb, "X").join(" "), words);
        }
    }
}
