//! Every operation in every state.

use conward_protocol::codec::Message;
use conward_protocol::request::{
    Attach, Checkpoint, CloseStdin, Debug, Delete, Exec, Kill, Logs, Resize, Stage, Stdin, Stop, Stream,
    Subscribe, Update, Upgrade, Wait,
};
use conward_protocol::{ErrorCode, Failure, Op, Outcome, Request, Signal, State};

use crate::client::tag;
use crate::{in_state, place};

/// A request of each operation that does little.
pub fn request(op: Op) -> Request {
    match op {
        Op::State => Request::State,
        Op::Start => Request::Start,
        Op::Kill => Request::Kill(Kill { signal: Signal::parse("CONT").unwrap(), all: false, exec: None }),
        Op::Stop => Request::Stop(Stop { signal: None, timeout_ms: Some(0) }),
        Op::Pause => Request::Pause,
        Op::Resume => Request::Resume,
        Op::Update => Request::Update(Update { resources: Default::default() }),
        Op::Resize => Request::Resize(Resize { rows: 24, cols: 80, exec: None }),
        Op::Attach => {
            let streams = Stream::ALL.to_vec();
            Request::Attach(Attach { streams, stdin: Stdin::None, replay: None, exec: None })
        }
        Op::CloseStdin => Request::CloseStdin(CloseStdin { exec: None }),
        Op::Exec => Request::Exec(Exec {
            process: Default::default(),
            id: None,
            streams: vec![],
            stdin: Stdin::None,
            timeout_ms: None,
            log: false,
        }),
        Op::Ps => Request::Ps,
        Op::Stats => Request::Stats,
        Op::Wait => Request::Wait(Wait { stage: Stage::Exited, exec: None }),
        Op::Subscribe => Request::Subscribe(Subscribe { since: None }),
        Op::Logs => Request::Logs(Logs::default()),
        Op::ReopenLogs => Request::ReopenLogs,
        Op::Checkpoint => Request::Checkpoint(Checkpoint {
            image: "/nonexistent/image".into(),
            work: None,
            leave_running: true,
            tcp_established: false,
            file_locks: false,
        }),
        Op::Delete => Request::Delete(Delete { force: true }),
        Op::Debug => Request::Debug(Debug::default()),
        Op::Upgrade => Request::Upgrade(Upgrade { path: Some("/nonexistent/conward".into()) }),
    }
}

fn is_illegal(outcome: &Outcome<serde_json::Value>) -> bool {
    let codes = [ErrorCode::WrongState, ErrorCode::NotRunning];
    matches!(outcome, Outcome::Error(failure) if codes.contains(&failure.code))
}

/// All operations that the state does not allow, on one container, which does not notice.
fn refuses(state: State) {
    let place = place();
    let mut container = in_state(&place, state);
    let before = container.client.state();
    let rude = Request::Delete(Delete { force: false });
    for request in Op::ALL.iter().copied().map(request).chain([rude]) {
        if request.allowed_in(state) {
            continue;
        }
        container.client.request("t", request.clone());
        let reply = container.client.reply();
        assert_eq!(tag(&reply), Some("t"));
        assert_eq!(
            reply.outcome,
            Outcome::Error(Failure::illegal(&request, state)),
            "{request:?} in {state}"
        );
    }
    assert_eq!(container.client.state(), before);
    container.end();
}

/// Each operation that the state allows, on a container of its own: it is answered exactly once,
/// at the latest when the container ends, and not by saying that the state is wrong.
fn admits(state: State) {
    for &op in Op::ALL {
        if !op.allowed_in(state) || !request(op).allowed_in(state) {
            continue;
        }
        let place = place();
        let mut container = in_state(&place, state);
        let known = container.client.greeting.ops.iter().any(|name| name == op.name());
        container.client.request("op", request(op));
        container.client.send("state tag=sync\n");
        let mut told = Vec::new();
        // Requests are judged in the order of arrival.
        while let Some(message) = container.client.message() {
            let synced = matches!(&message, Message::Reply(reply) if tag(reply) == Some("sync"));
            told.push(message);
            if synced {
                break;
            }
        }
        told.extend(container.end().1);
        let answers: Vec<_> = told
            .into_iter()
            .filter_map(|message| match message {
                Message::Reply(reply) if tag(&reply) == Some("op") => Some(reply.outcome),
                _ => None,
            })
            .collect();
        assert_eq!(answers.len(), 1, "{op} in {state}: {answers:?}");
        assert!(!is_illegal(&answers[0]), "{op} in {state}: {answers:?}");
        let unsupported =
            matches!(&answers[0], Outcome::Error(failure) if failure.code == ErrorCode::Unsupported);
        assert!(known || unsupported, "{op} is not in the greeting, but: {answers:?}");
    }
}

#[test]
fn creating() {
    refuses(State::Creating);
    admits(State::Creating);
}

#[test]
fn created() {
    refuses(State::Created);
    admits(State::Created);
}

#[test]
fn running() {
    refuses(State::Running);
    admits(State::Running);
}

#[test]
fn paused() {
    refuses(State::Paused);
    admits(State::Paused);
}

#[test]
fn stopped() {
    refuses(State::Stopped);
    admits(State::Stopped);
}
