//! Every operation in every state: a new one of either does not compile until it is decided here.

use conward_protocol::State::{Created, Creating, Deleted, Paused, Running, Stopped};
use conward_protocol::codec::Message;
use conward_protocol::request::{
    Attach, Checkpoint, CloseStdin, Debug, Delete, Exec, Kill, Logs, Resize, Stage, Stdin, Stop, Stream,
    Subscribe, Update, Upgrade, Wait,
};
use conward_protocol::{ErrorCode, Failure, Op, Outcome, Request, Signal, State};

use conward_testkit::{Pattern, Place, Script, Step, To, wait_until};
use serde_json::json;

use crate::client::{Client, tag};
use crate::{directory, in_state, launch, place};

/// The error that a request is answered with in a state; `None`: it is done. The container has pipes, no
/// input and no terminal.
fn decided(op: Op, state: State) -> Option<ErrorCode> {
    use ErrorCode::{NoStdin, NoTerminal, NotRunning, WrongState};
    match op {
        Op::State | Op::Stats | Op::Wait | Op::Subscribe | Op::Logs | Op::Debug => match state {
            Creating | Created | Running | Paused | Stopped | Deleted => None,
        },
        Op::Start => match state {
            Created => None,
            Creating | Running | Paused => Some(WrongState),
            Stopped | Deleted => Some(NotRunning),
        },
        Op::Pause => match state {
            Running => None,
            Creating | Created | Paused => Some(WrongState),
            Stopped | Deleted => Some(NotRunning),
        },
        Op::Resume => match state {
            Paused => None,
            Creating | Created | Running => Some(WrongState),
            Stopped | Deleted => Some(NotRunning),
        },
        Op::Exec => match state {
            Created | Running => None,
            Creating | Paused => Some(WrongState),
            Stopped | Deleted => Some(NotRunning),
        },
        Op::Checkpoint => match state {
            Running | Paused => None,
            Creating | Created => Some(WrongState),
            Stopped | Deleted => Some(NotRunning),
        },
        Op::Kill | Op::Stop | Op::Update | Op::Ps | Op::Upgrade => match state {
            Created | Running | Paused => None,
            Creating => Some(WrongState),
            Stopped | Deleted => Some(NotRunning),
        },
        Op::Resize => match state {
            Created | Running | Paused => Some(NoTerminal),
            Creating => Some(WrongState),
            Stopped | Deleted => Some(NotRunning),
        },
        Op::CloseStdin => match state {
            Created | Running | Paused => Some(NoStdin),
            Creating => Some(WrongState),
            Stopped | Deleted => Some(NotRunning),
        },
        Op::Attach | Op::ReopenLogs => match state {
            Creating | Created | Running | Paused | Stopped => None,
            Deleted => Some(WrongState),
        },
        // With force.
        Op::Delete => match state {
            Created | Running | Paused | Stopped => None,
            Creating | Deleted => Some(WrongState),
        },
    }
}

/// The same for a supervisor that may not know all operations yet.
fn expected(client: &Client, op: Op, state: State) -> Option<ErrorCode> {
    let known = client.greeting.ops.iter().any(|name| name == op.name());
    let legal = !matches!(decided(op, state), Some(ErrorCode::WrongState | ErrorCode::NotRunning));
    if legal && !known { Some(ErrorCode::Unsupported) } else { decided(op, state) }
}

/// A request of each operation that does little.
pub fn request(place: &Place, op: Op) -> Request {
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
            process: json!({"args": ["x"], "cwd": "/", "script": {}}).as_object().unwrap().clone(),
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
            image: place.path("image").display().to_string(),
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

fn code(outcome: &Outcome<serde_json::Value>) -> Option<ErrorCode> {
    match outcome {
        Outcome::Ok(_) => None,
        Outcome::Error(failure) => Some(failure.code),
    }
}

fn is_illegal(code: Option<ErrorCode>) -> bool {
    matches!(code, Some(ErrorCode::WrongState | ErrorCode::NotRunning))
}

/// All operations that the state does not allow, on one container, which does not notice.
fn refuses(state: State) {
    let place = place();
    let mut container = in_state(&place, state);
    let before = container.client.state();
    for &op in Op::ALL.iter().filter(|&&op| is_illegal(decided(op, state))) {
        let request = request(&place, op);
        container.client.request("t", request.clone());
        let reply = container.client.reply();
        assert_eq!((tag(&reply), code(&reply.outcome)), (Some("t"), decided(op, state)), "{op} in {state}");
        assert_eq!(reply.outcome, Outcome::Error(Failure::illegal(&request, state)));
    }
    if state != Stopped {
        // Without force.
        assert_eq!(container.client.refused("delete").code, ErrorCode::WrongState, "{state}");
    }
    assert_eq!(container.client.state(), before);
    container.end();
}

/// Each operation on a container of its own: it is answered exactly once, at the latest when the
/// container ends, and as was decided.
fn answers(state: State) {
    for &op in Op::ALL.iter().filter(|&&op| !is_illegal(decided(op, state))) {
        let place = place();
        let mut container = in_state(&place, state);
        let expected = expected(&container.client, op, state);
        container.client.request("op", request(&place, op));
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
        if expected.is_none() && !waits_for_the_end(op, state) && !told.iter().any(is_answer) {
            // A runtime is at work, which the end of the container would get in the way of.
            told.extend(std::iter::from_fn(|| container.client.message()).find(is_answer));
        }
        told.extend(container.end().1);
        let codes: Vec<_> = told.iter().filter(|message| is_answer(message)).map(answer_code).collect();
        assert_eq!(codes, [expected], "{op} in {state}: {told:?}");
    }
}

/// Whether the answer comes when the container ends, or later. (A runtime that has to be asked in
/// `creating` does not exist: what is allowed there is answered at once.)
fn waits_for_the_end(op: Op, state: State) -> bool {
    matches!(op, Op::Wait | Op::Stop | Op::Delete) && decided(op, state).is_none()
}

fn is_answer(message: &Message) -> bool {
    matches!(message, Message::Reply(reply) if tag(reply) == Some("op"))
}

fn answer_code(message: &Message) -> Option<ErrorCode> {
    match message {
        Message::Reply(reply) => code(&reply.outcome),
        other => panic!("no answer: {other:?}"),
    }
}

#[test]
fn creating() {
    refuses(Creating);
    answers(Creating);
}

#[test]
fn created() {
    refuses(Created);
    answers(Created);
}

#[test]
fn running() {
    refuses(Running);
    answers(Running);
}

#[test]
fn paused() {
    refuses(Paused);
    answers(Paused);
}

#[test]
fn stopped() {
    refuses(Stopped);
    answers(Stopped);
}

/// Only who is still being sent a log can ask then.
#[test]
fn deleted() {
    let place = place();
    let log = Pattern { seed: 3, bytes: 2 << 20, line: 100 };
    let mut gate = place.gate("gate");
    let wait = Step::Await(gate.path().to_owned());
    place.script(&Script::of([Step::AwaitStart, wait, Step::Generate(To::Stdout, log), Step::Exit(0)]));
    let mut running = launch(&place).start().created();
    let mut client = Client::connect(&place);
    client.ok("start");
    client.send("logs follow\n");
    // Answered in their order, so that the reader is there before the end.
    client.ok("state");
    gate.open();
    wait_until("it is deleted", || !directory(&place).exists());
    for &op in Op::ALL {
        client.request(op.name(), request(&place, op));
    }
    let mut codes = Vec::new();
    for message in client.messages_to_end() {
        if let Message::Reply(reply) = message
            && let Some(op) = tag(&reply).and_then(Op::from_name)
        {
            codes.push((op, code(&reply.outcome)));
        }
    }
    codes.sort_by_key(|(op, _)| Op::ALL.iter().position(|other| other == op));
    let decided: Vec<_> = Op::ALL.iter().map(|&op| (op, expected(&client, op, Deleted))).collect();
    assert_eq!(codes, decided);
    assert_eq!(running.status(), 0);
}
