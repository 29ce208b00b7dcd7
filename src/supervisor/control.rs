//! Requests on the control socket: who asks, and what is answered. `requests` does what is asked.

use std::os::fd::OwnedFd;

use conward_protocol::body::Body;
use conward_protocol::codec::{self, Asked};
use conward_protocol::limits::CLIENTS_MAX;
use conward_protocol::record::HookStage;
use conward_protocol::{
    Cause, ErrorCode, Exit, Failure, Greeting, Line, Op, PROTOCOL, Reply, Request, State, Tag, What,
};

use super::Supervisor;
use super::source::Source;
use crate::error::reason;
use crate::reactor::{Ready, Watch};
use crate::serve::control::{self, Accepted, ControlId, Ended, Heard};
use crate::sys::process;

/// The operations that this version knows; a manager finds them in the greeting.
const KNOWN: &[Op] = &[
    Op::State,
    Op::Start,
    Op::Kill,
    Op::Stop,
    Op::Pause,
    Op::Resume,
    Op::Update,
    Op::Resize,
    Op::Attach,
    Op::CloseStdin,
    Op::Exec,
    Op::Ps,
    Op::Stats,
    Op::Wait,
    Op::Subscribe,
    Op::Logs,
    Op::ReopenLogs,
    Op::Checkpoint,
    Op::Delete,
    Op::Debug,
];
/// Reads from one client in one turn.
const READ_BUDGET: usize = 4;
/// Clients that are accepted in one turn: all that can have been waiting when it began.
const ACCEPT_BUDGET: usize = control::BACKLOG as usize + 1;

impl Supervisor {
    /// Accepts clients, and greets them.
    pub(super) fn on_control(&mut self) {
        for _ in 0..ACCEPT_BUDGET {
            let Some(control) = &mut self.endpoints.control else { return };
            match control.accept() {
                Ok(None) => return,
                Ok(Some(Accepted::Stranger(peer, uid))) => {
                    log::warn!("refused a control client of user {uid}");
                    peer.tell(refusal(ErrorCode::Denied, "only root and the supervisor's own user may ask"));
                }
                Ok(Some(Accepted::Surplus(peer))) => {
                    log::warn!("refused a control client: there are {CLIENTS_MAX} already");
                    peer.tell(refusal(ErrorCode::Busy, "too many clients are connected"));
                }
                Ok(Some(Accepted::Client(id))) => {
                    self.refused.is_over();
                    let watched = control
                        .fd(id)
                        .map(|fd| self.reactor.watch(fd, Source::Control(id).id(), Watch::Both));
                    if let Some(Err(error)) = watched {
                        log::warn!("cannot watch control client {id}: {}", reason(&error));
                        self.drop_control_client(id);
                        continue;
                    }
                    let line = self.greeting(id);
                    self.tell(id, line);
                }
                Err(error) => return self.refused.note("a control client", &error),
            }
        }
        self.reactor.again(Ready::to_read(Source::ControlListener.id()));
    }

    fn greeting(&mut self, id: ControlId) -> Vec<u8> {
        self.look_whether_started();
        codec::greeting_line(&Greeting {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").into(),
            id: self.plan.identity.id.clone(),
            state: self.life.state,
            step: self.life.step,
            pid: self.life.pid.map(|pid| pid.raw()),
            supervisor: process::own_pid().raw(),
            client: id as u64,
            seq: self.life.events.last(),
            ops: KNOWN.iter().map(|op| op.name().to_owned()).collect(),
        })
    }

    /// Lets one client of the control socket go on.
    pub(super) fn on_control_client(&mut self, id: ControlId, ready: Ready) {
        if let (true, Some(control)) = (ready.hung_up, &mut self.endpoints.control) {
            control.hang_up(id);
        }
        if let (true, Some(control)) = (ready.writable, &mut self.endpoints.control) {
            control.flush(id);
            self.read_logs(id);
        }
        for _ in 0..READ_BUDGET {
            let Some(control) = &mut self.endpoints.control else { return };
            match control.read(id) {
                Heard::More => {
                    control.gather(id);
                    self.answer_lines(id);
                    if let Some(control) = &mut self.endpoints.control {
                        control.flush(id);
                    }
                }
                Heard::Nothing => return,
                Heard::HalfEnd { torn: false } => {}
                Heard::HalfEnd { torn: true } => {
                    let message = "the last line has no newline at its end: it is no request";
                    self.tell(id, refusal(ErrorCode::BadJson, message));
                }
                Heard::End => return self.drop_control_client(id),
            }
        }
        self.reactor.again(Ready::to_read(Source::Control(id).id()));
    }

    /// Answers what was read from a client, as long as it reads too.
    fn answer_lines(&mut self, id: ControlId) {
        self.look_whether_started();
        // The body of the last answer, if that was to `state`. Nothing happens between two such requests that
        // came with one read.
        let mut told = None;
        while let Some(line) = self.endpoints.control.as_mut().and_then(|control| control.next_line(id)) {
            match line {
                Line::Text(text) => match codec::request(text) {
                    Ok(asked) => self.answer(id, asked, &mut told),
                    Err(refused) => self.tell(id, codec::reply_line(&refused.into())),
                },
                Line::TooLong => self.tell(id, codec::reply_line(&codec::too_long())),
            }
        }
    }

    /// Forgets clients that have gone or do not read.
    pub(super) fn drop_ended_control_clients(&mut self) {
        // To hear of one that was dropped may be too much for the next: each is dropped once.
        while let Some((id, ended)) = self.endpoints.control.as_ref().and_then(|control| control.ended()) {
            let Ended::TooSlow(unsent) = ended else {
                self.drop_control_client(id);
                continue;
            };
            let line = refusal(ErrorCode::TooSlow, "the client does not read what it is sent");
            let told = self.endpoints.control.as_mut().map_or(0, |control| control.take_leave(id, &line));
            self.drop_control_client(id);
            let lost = unsent.saturating_sub(told) as u64;
            let what = What::ClientDropped { client: Some(id as u64), attachment: None, lost };
            self.announce(what, Cause::Supervisor);
        }
    }

    /// Forgets clients that ask for nothing more and have everything.
    pub(super) fn drop_served_control_clients(&mut self) {
        let Some(control) = &self.endpoints.control else { return };
        let served = |id: &ControlId| !self.subscribers.contains(id) && self.in_flight(*id) == 0;
        let over: Vec<ControlId> = control.half_closed().filter(served).collect();
        over.into_iter().for_each(|id| self.drop_control_client(id));
    }

    pub(super) fn drop_control_client(&mut self, id: ControlId) {
        self.waiters.retain(|waiter| waiter.client != id);
        if let Some(stopping) = &mut self.stopping {
            stopping.forget(id);
        }
        self.removal.forget(id);
        self.subscribers.retain(|&subscriber| subscriber != id);
        self.readings.retain(|reading| reading.client != id);
        if let Some(fd) = self.endpoints.control.as_mut().and_then(|control| control.remove(id)) {
            self.close(fd);
            self.reactor.again(Ready::to_read(Source::ControlListener.id()));
        }
    }

    fn tell(&mut self, id: ControlId, line: Vec<u8>) {
        if let Some(control) = &mut self.endpoints.control {
            control.send(id, line, Vec::new());
        }
    }

    /// Answers now or later what was asked; a subscription begins after its answer.
    fn answer(&mut self, id: ControlId, asked: Asked, told: &mut Option<Vec<u8>>) {
        let Asked { tag, request } = asked;
        let state = told.take().filter(|_| request == Request::State);
        let answer = match state {
            Some(state) => Ok(Some(state)),
            None if request.allowed_in(self.life.state) => {
                self.do_request(id, tag.as_ref(), &request).map(|body| body.map(|body| codec::json(&body)))
            }
            None => Err(Failure::illegal(&request, self.life.state)),
        };
        match answer {
            Ok(Some(body)) => {
                self.tell(id, codec::ok_line(tag.as_ref(), &body));
                *told = (request == Request::State).then_some(body);
            }
            Ok(None) => return,
            Err(failure) => return self.reply(id, tag, Err(failure)),
        }
        if let Request::Subscribe(subscribe) = request {
            self.subscribe(id, subscribe.since);
        }
    }

    /// Answers a request, now or after a wait.
    pub(super) fn reply(&mut self, id: ControlId, tag: Option<Tag>, outcome: Result<Body, Failure>) {
        let reply = match outcome {
            Ok(body) => Reply::ok(tag, body),
            Err(failure) => Reply::error(tag, failure),
        };
        self.tell(id, codec::reply_line(&reply));
    }

    /// The same, with descriptors that the body names.
    pub(super) fn reply_with(&mut self, id: ControlId, tag: Option<Tag>, body: Body, fds: Vec<OwnedFd>) {
        if let Some(control) = &mut self.endpoints.control {
            control.send(id, codec::reply_line(&Reply::ok(tag, body)), fds);
        }
    }

    fn subscribe(&mut self, id: ControlId, since: Option<u64>) {
        if let Some(since) = since {
            let lines: Vec<Vec<u8>> = self.life.events.after(since).1.map(<[u8]>::to_vec).collect();
            for line in lines {
                self.tell(id, line);
            }
        }
        if !self.subscribers.contains(&id) {
            self.subscribers.push(id);
        }
    }

    /// Keeps an event, and tells it to all who subscribed. What happens while the last of them are served is
    /// none any more: `deleted` is the last.
    pub(super) fn announce(&mut self, what: What, cause: Cause) {
        if self.finished.is_some() {
            return;
        }
        self.note_transition(&what);
        let line = self.life.note(what, cause);
        for id in self.subscribers.clone() {
            self.tell(id, line.clone());
        }
    }

    /// The container's program was started.
    pub(super) fn note_started(&mut self, cause: Cause) {
        self.life.started();
        self.announce(What::Started, cause);
        self.queue_hooks(HookStage::Started);
    }

    /// A caller with a runtime of its own starts the container without a word; managers are to know. To be
    /// called whenever something happens that may come of a start. Nothing is looked at in other states.
    pub(super) fn look_whether_started(&mut self) {
        if self.life.was_started_by_others() {
            // Or the supervisor's own runtime has done it, and has not ended yet.
            let cause = self.start_at_work().unwrap_or(Cause::Caller);
            self.note_started(cause);
        }
    }

    /// The program of a short-lived container has often ended before the runtime that started it. One
    /// that has ended by itself, while a `start` is at work, was started; one that was killed may not
    /// have been.
    pub(super) fn look_whether_it_ran(&mut self, exit: Exit) {
        if let (State::Created, Exit::Code(_), Some(cause)) = (self.life.state, exit, self.start_at_work()) {
            self.note_started(cause);
        }
    }

    /// Who has asked for a `start` that the runtime is about to do.
    fn start_at_work(&self) -> Option<Cause> {
        let client = self.operations.iter().find_map(|operation| operation.task.asks_for(Op::Start))?;
        Some(Cause::Client { client: client as u64, op: Some(Op::Start) })
    }
}

fn refusal(code: ErrorCode, message: &str) -> Vec<u8> {
    codec::reply_line(&Reply::error(None, Failure::new(code, message)))
}
