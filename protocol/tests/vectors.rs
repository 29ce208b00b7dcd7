//! The vectors, run against this implementation.

use conward_protocol::codec::{self, Message};
use conward_protocol::{Body, Op, Outcome, Reply};
use serde_json::{Map, Value, json};

fn vectors(text: &str) -> Vec<Map<String, Value>> {
    let rows: Vec<_> = text.lines().map(|row| serde_json::from_str(row).expect("a vector")).collect();
    assert!(rows.len() > 50);
    rows
}

fn text<'a>(row: &'a Map<String, Value>, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn line(row: &Map<String, Value>) -> Vec<u8> {
    let hex = text(row, "hex");
    if hex.is_empty() {
        return text(row, "line").as_bytes().to_vec();
    }
    let digit = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
    (0..hex.len()).step_by(2).map(digit).collect()
}

#[test]
fn requests() {
    for row in vectors(include_str!("../vectors/requests.jsonl")) {
        match codec::request(&line(&row)) {
            Ok(asked) => {
                let is = serde_json::to_value(&asked).expect("JSON");
                assert_eq!(Some(&is), row.get("is"), "{row:?}");
                assert_eq!(codec::request(is.to_string().as_bytes()), Ok(asked), "{row:?}");
            }
            Err(refused) => {
                let mut error = json!({"code": refused.failure.code});
                if let Some(field) = refused.failure.field {
                    error["field"] = json!(field);
                }
                assert_eq!(Some(&error), row.get("error"), "{row:?} {}", refused.failure.message);
                assert_eq!(refused.tag.map(|tag| json!(tag)).as_ref(), row.get("tag"), "{row:?}");
            }
        }
    }
}

/// The message as this implementation would write it.
fn again(message: Message, op: &str) -> (&'static str, Vec<u8>) {
    match message {
        Message::Greeting(greeting) => ("greeting", codec::greeting_line(&greeting)),
        Message::Event(event) => ("event", codec::event_line(&event)),
        Message::Log { tag, record } => ("log", codec::log_line(tag.as_ref(), &record)),
        Message::Reply(Reply { tag, outcome: Outcome::Error(failure) }) => {
            ("reply", codec::reply_line(&Reply::error(tag, failure)))
        }
        Message::Reply(Reply { tag, outcome: Outcome::Ok(value) }) => {
            let op = Op::from_name(op).expect("an operation");
            let body = Body::read(op, value).expect("a body");
            ("reply", codec::reply_line(&Reply::ok(tag, body)))
        }
        Message::Other => ("other", Vec::new()),
    }
}

#[test]
fn messages() {
    for row in vectors(include_str!("../vectors/messages.jsonl")) {
        let line = line(&row);
        let Ok(message) = codec::message(&line) else {
            assert_eq!(text(&row, "kind"), "bad", "{row:?}");
            continue;
        };
        let (kind, again) = again(message, text(&row, "op"));
        assert_eq!(kind, text(&row, "kind"), "{row:?}");
        if kind != "other" {
            let read = |line: &[u8]| serde_json::from_slice::<Value>(line).expect("JSON");
            let is = row.get("is").cloned().unwrap_or_else(|| read(&line));
            assert_eq!(read(&again), is);
        }
    }
}
