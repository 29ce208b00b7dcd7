//! What a client reads from the control socket: the bytes are lines.

use conward_protocol::codec::{self, Message};
use conward_protocol::limits::LINE_MAX;
use conward_protocol::{Body, Op, Outcome, Reply};

use crate::assert_is_line;

/// A message that could be read is the same when it is written and read again.
pub fn check(input: &[u8]) {
    input.split(|&byte| byte == b'\n').filter(|line| line.len() <= LINE_MAX).for_each(message);
}

fn message(line: &[u8]) {
    let Ok(message) = codec::message(line) else { return };
    let again = match message.clone() {
        Message::Greeting(greeting) => codec::greeting_line(&greeting),
        Message::Event(event) => codec::event_line(&event),
        Message::Log { tag, record } => {
            let _ = record.bytes();
            codec::log_line(tag.as_ref(), &record)
        }
        Message::Reply(Reply { tag, outcome: Outcome::Error(failure) }) => {
            codec::reply_line(&Reply::error(tag, failure))
        }
        Message::Reply(Reply { outcome: Outcome::Ok(value), .. }) => {
            return Op::ALL.iter().for_each(|op| body(*op, &value));
        }
        Message::Other => return,
    };
    if again.len() <= LINE_MAX {
        assert_is_line(&again);
    }
    assert_eq!(codec::message(again.trim_ascii_end()).expect("a message"), message);
}

fn body(op: Op, value: &serde_json::Value) {
    let Ok(body) = Body::read(op, value.clone()) else { return };
    let line = codec::reply_line(&Reply::ok(None, body.clone()));
    assert_is_line(&line);
    match codec::message(line.trim_ascii_end()).expect("a message") {
        Message::Reply(Reply { outcome: Outcome::Ok(value), .. }) => {
            assert_eq!(Body::read(op, value).expect("a body"), body);
        }
        // What would be longer than a line.
        Message::Reply(Reply { outcome: Outcome::Error(_), .. }) => {}
        other => panic!("a reply is read as {other:?}"),
    }
}
