//! One line, and what it means.
//!
//! Requests are read strictly where a field has a meaning, and a field that has none is ignored.

mod fields;
mod message;
#[cfg(test)]
mod tests;
mod words;

use serde::Serialize;
use serde_json::{Map, Value, from_value};

use crate::body::LogRecord;
use crate::limits::{DEPTH_MAX, LINE_MAX, TAG_MAX};
use crate::request::{Attach, Kill, Stdin};
use crate::{ErrorCode, Event, Failure, Greeting, Op, Reply, Request, Tag};

pub use fields::{Field, Kind, fields};
pub use message::{Message, message};

/// A request with its tag.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Asked {
    /// What the client calls it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// What it asks for.
    #[serde(flatten)]
    pub request: Request,
}

/// A line that is no request, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// The tag, if it could be read.
    pub tag: Option<Tag>,
    /// Why.
    pub failure: Failure,
}

impl From<Refused> for Reply {
    fn from(refused: Refused) -> Reply {
        Reply::error(refused.tag, refused.failure)
    }
}

/// Reads a request: a JSON object, or words. The line has no newline any more.
///
/// # Errors
/// The line is no request. What is wrong is told in a form that can be sent.
pub fn request(line: &[u8]) -> Result<Asked, Refused> {
    let refuse = |failure| Refused { tag: None, failure };
    let text = std::str::from_utf8(line)
        .map_err(|error| refuse(bad_json(format!("not UTF-8 from byte {} on", error.valid_up_to()))))?;
    let text = text.trim_ascii();
    check_depth(text).map_err(refuse)?;
    let (tag, request) = if text.starts_with('{') { object(text) } else { words::request(text) };
    let tag = read_tag(tag).map_err(refuse)?;
    match request.and_then(|(op, fields)| typed(op, fields)) {
        Ok(request) => Ok(Asked { tag, request }),
        Err(failure) => Err(Refused { tag, failure }),
    }
}

/// A tag, and the fields of a request before they are checked, or why there are none.
type Untyped = (Option<Value>, Result<(Op, Map<String, Value>), Failure>);

fn object(text: &str) -> Untyped {
    let mut request = match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(request) => request,
        Err(error) => return (None, Err(bad_json(format!("not a JSON object: {error}")))),
    };
    let tag = request.remove("tag");
    let op = match request.get("op") {
        Some(Value::String(name)) => Op::from_name(name).ok_or_else(|| unknown_op(name)),
        Some(other) => {
            Err(op_fault(&format!("expected the name of an operation, not {}", fields::told(other))))
        }
        None => Err(op_fault("is missing; expected the name of an operation")),
    };
    (tag, op.map(|op| (op, request)))
}

fn read_tag(tag: Option<Value>) -> Result<Option<Tag>, Failure> {
    let tag = match tag {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => Tag::Text(text),
        Some(Value::Number(number)) => Tag::Number(number),
        Some(other) => {
            return Err(tag_fault(&format!("expected a text or a number, not {}", fields::told(&other))));
        }
    };
    if line(&tag).len() > TAG_MAX + 1 {
        return Err(tag_fault(&format!("is longer than {TAG_MAX} bytes")));
    }
    Ok(Some(tag))
}

/// Checks the fields by the table, then what they mean together.
fn typed(op: Op, mut request: Map<String, Value>) -> Result<Request, Failure> {
    fields::check(op, &mut request)?;
    let request = request_of(op, Value::Object(request))
        .map_err(|error| Failure::new(ErrorCode::BadRequest, format!("{op}: {error}")))?;
    match &request {
        Request::Kill(Kill { all: true, exec: Some(_), .. }) => {
            Err(Failure::field(op, "exec", "an exec session has no `all`"))
        }
        Request::Attach(Attach { streams, stdin: Stdin::None, .. }) if streams.is_empty() => {
            Err(Failure::field(op, "streams", "neither output nor input is asked for"))
        }
        _ => Ok(request),
    }
}

/// Reads the fields of a request whose operation is known. A derived reader of all of them would copy the fields first.
fn request_of(op: Op, fields: Value) -> serde_json::Result<Request> {
    Ok(match op {
        Op::State => Request::State,
        Op::Start => Request::Start,
        Op::Kill => Request::Kill(from_value(fields)?),
        Op::Stop => Request::Stop(from_value(fields)?),
        Op::Pause => Request::Pause,
        Op::Resume => Request::Resume,
        Op::Update => Request::Update(from_value(fields)?),
        Op::Resize => Request::Resize(from_value(fields)?),
        Op::Attach => Request::Attach(from_value(fields)?),
        Op::CloseStdin => Request::CloseStdin(from_value(fields)?),
        Op::Exec => Request::Exec(from_value(fields)?),
        Op::Ps => Request::Ps,
        Op::Stats => Request::Stats,
        Op::Wait => Request::Wait(from_value(fields)?),
        Op::Subscribe => Request::Subscribe(from_value(fields)?),
        Op::Logs => Request::Logs(from_value(fields)?),
        Op::ReopenLogs => Request::ReopenLogs,
        Op::Checkpoint => Request::Checkpoint(from_value(fields)?),
        Op::Delete => Request::Delete(from_value(fields)?),
        Op::Debug => Request::Debug(from_value(fields)?),
        Op::Upgrade => Request::Upgrade(from_value(fields)?),
    })
}

/// The parser works by recursion; this bound keeps its stack small.
fn check_depth(text: &str) -> Result<(), Failure> {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(bad_json(format!("nested more than {DEPTH_MAX} levels deep")));
        }
    }
    Ok(())
}

fn bad_json(message: String) -> Failure {
    Failure::new(ErrorCode::BadJson, message)
}

fn op_fault(message: &str) -> Failure {
    Failure { field: Some("op".to_owned()), ..Failure::new(ErrorCode::BadRequest, format!("op: {message}")) }
}

fn tag_fault(message: &str) -> Failure {
    Failure {
        field: Some("tag".to_owned()),
        ..Failure::new(ErrorCode::BadRequest, format!("tag: {message}"))
    }
}

fn unknown_op(name: &str) -> Failure {
    let name = fields::told(&Value::from(name));
    Failure::new(ErrorCode::UnknownOp, format!("no operation {name}; there are: {}", Op::NAMES.join(", ")))
}

/// The answer to a line longer than [`LINE_MAX`], which was skipped.
pub fn too_long() -> Reply {
    let message = format!("the line is longer than {LINE_MAX} bytes");
    Reply::error(None, Failure::new(ErrorCode::TooLong, message))
}

/// The line of a request, with its newline.
pub fn request_line(asked: &Asked) -> Vec<u8> {
    line(asked)
}

/// The line of the greeting, with its newline.
pub fn greeting_line(greeting: &Greeting) -> Vec<u8> {
    line(greeting)
}

/// The line of a reply, with its newline. One that would be longer than [`LINE_MAX`] becomes an
/// error that says so.
pub fn reply_line(reply: &Reply) -> Vec<u8> {
    bounded(reply.tag.as_ref(), line(reply))
}

/// The same for what was done, with the body as [`json`] makes it: one body may answer many requests.
pub fn ok_line(tag: Option<&Tag>, body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(body.len() + TAG_MAX + 16);
    whole.push(b'{');
    if let Some(tag) = tag {
        whole.extend_from_slice(b"\"tag\":");
        // A number or a text, neither of which can fail.
        let _ = serde_json::to_writer(&mut whole, tag);
        whole.push(b',');
    }
    whole.extend_from_slice(b"\"ok\":");
    whole.extend_from_slice(body);
    whole.extend_from_slice(b"}\n");
    bounded(tag, whole)
}

fn bounded(tag: Option<&Tag>, whole: Vec<u8>) -> Vec<u8> {
    if whole.len() <= LINE_MAX + 1 {
        return whole;
    }
    let message =
        format!("the reply would have {} bytes, and a line has at most {LINE_MAX}", whole.len() - 1);
    line(&Reply::error(tag.cloned(), Failure::new(ErrorCode::TooLong, message)))
}

/// The line of an event, with its newline. All its texts have bounds, so it is never too long.
pub fn event_line(event: &Event) -> Vec<u8> {
    line(event)
}

/// The line of a record of the log, with its newline. `tag` is that of the `logs` request.
pub fn log_line(tag: Option<&Tag>, record: &LogRecord) -> Vec<u8> {
    #[derive(Serialize)]
    struct Logged<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        tag: Option<&'a Tag>,
        log: &'a LogRecord,
    }
    line(&Logged { tag, log: record })
}

/// A part of a line. Serialisation fails for keys that are no texts, and no type here has such.
pub fn json(message: &impl Serialize) -> Vec<u8> {
    const FAILED: &str = r#"{"error":{"code":"internal","message":"a line could not be written as JSON"}}"#;
    serde_json::to_vec(message).unwrap_or_else(|_| FAILED.into())
}

fn line(message: &impl Serialize) -> Vec<u8> {
    let mut line = json(message);
    line.push(b'\n');
    line
}
