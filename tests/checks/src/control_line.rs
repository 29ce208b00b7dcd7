//! What clients send to the control socket: the bytes are lines, of which each is a request.

use conward_protocol::codec::{self, Message};
use conward_protocol::limits::{EXEC_ID_MAX, LINE_MAX, MESSAGE_MAX, NUMBER_MAX, TAG_MAX};
use conward_protocol::request::Request;
use conward_protocol::{Failure, Line, Lines, Outcome, Reply};
use serde_json::{Map, Value};

use conward::supervisor::exec_request;

use crate::assert_is_line;

/// A bound that lines of some seeds exceed.
const SHORT: usize = 24;

/// However the bytes arrive, they are the same lines. A line is a request, which is the same when it is
/// written and read again, or it is refused by a reply that a client can read.
pub fn check(input: &[u8]) {
    for max in [SHORT, LINE_MAX] {
        let whole = lines(max, &[input]);
        assert_eq!(whole, split(max, input));
        assert_eq!(whole, lines(max, &input.chunks(1).collect::<Vec<_>>()));
        let (head, tail) = input.split_at(input.len() / 2);
        assert_eq!(whole, lines(max, &[head, tail]));
    }
    for line in input.split(|&byte| byte == b'\n').filter(|line| line.len() <= LINE_MAX) {
        request(line);
    }
}

/// The lines by the splitter of the supervisor; `None` is one that is too long.
fn lines(max: usize, chunks: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
    let mut found = Vec::new();
    let mut lines = Lines::new(max);
    for chunk in chunks {
        lines.push(chunk, |line| {
            found.push(match line {
                Line::Text(text) => Some(text.to_vec()),
                Line::TooLong => None,
            });
        });
    }
    found
}

/// What they are.
fn split(max: usize, input: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut lines: Vec<&[u8]> = input.split(|&byte| byte == b'\n').collect();
    lines.pop();
    lines.into_iter().map(|line| (line.len() <= max).then(|| line.to_vec())).collect()
}

fn request(line: &[u8]) {
    let asked = match codec::request(line) {
        Ok(asked) => asked,
        Err(refused) => {
            assert!(!refused.failure.message.is_empty());
            return refusal(Reply::error(refused.tag, refused.failure));
        }
    };
    let again = codec::request_line(&asked);
    if again.len() <= LINE_MAX {
        assert_is_line(&again);
    }
    assert_eq!(codec::request(again.trim_ascii_end()), Ok(asked.clone()));
    let tag = serde_json::to_string(&asked.tag).expect("JSON");
    assert!(tag.len() <= TAG_MAX, "a tag of {} bytes", tag.len());
    if let Request::Exec(exec) = &asked.request {
        process(&exec.process);
        let id_is_short = exec.id.as_ref().is_none_or(|id| (1..=EXEC_ID_MAX).contains(&id.len()));
        assert!(id_is_short && exec.timeout_ms.is_none_or(|limit| limit <= NUMBER_MAX));
    }
}

/// The reply reaches the client as it was meant.
fn refusal(reply: Reply) {
    let line = codec::reply_line(&reply);
    assert_is_line(&line);
    let (tag, failure) = match reply {
        Reply { tag, outcome: Outcome::Error(failure) } => (tag, failure),
        Reply { .. } => panic!("done: {reply:?}"),
    };
    assert!(failure.message.len() <= MESSAGE_MAX, "{} bytes of message", failure.message.len());
    match codec::message(line.trim_ascii_end()) {
        Ok(Message::Reply(Reply { tag: told, outcome: Outcome::Error(reason) })) => {
            assert_eq!((told, reason), (tag, failure));
        }
        other => panic!("{failure:?} is read as {other:?}"),
    }
}

/// A process that is not refused is one that a runtime could start.
fn process(process: &Map<String, Value>) {
    match exec_request::wants_terminal(process) {
        Ok(terminal) => {
            let args = process.get("args").and_then(Value::as_array).expect("args");
            assert!(!args.is_empty() && args.iter().all(Value::is_string));
            assert!(process.get("cwd").and_then(Value::as_str).is_some_and(|path| path.starts_with('/')));
            assert_eq!(process.get("terminal").and_then(Value::as_bool).unwrap_or(false), terminal);
        }
        Err(failure) => {
            let is_in_process = |field: &str| field.starts_with("process.");
            assert!(failure.field.as_deref().is_some_and(is_in_process), "{failure:?}");
            refusal(Reply::error(None, Failure { ..failure }));
        }
    }
}
