//! The fields of each operation: what a request is checked against, and how words become fields.

use serde_json::{Map, Value};

use crate::limits::{EXEC_ID_MAX, NUMBER_MAX};
use crate::request::{Level, Stage, Stdin, Stream};
use crate::{Failure, Op, Signal, Timestamp};

/// A field of a request.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it can be.
    pub kind: Kind,
    /// Whether the request is nothing without it.
    pub required: bool,
    /// Whether a word without a name means this field. They come in the order of the table.
    pub positional: bool,
}

/// What a field can be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`. As a word, its own name means `true`.
    Flag,
    /// A whole number up to [`NUMBER_MAX`].
    Number,
    /// A whole number up to 65535.
    Size,
    /// The name or the number of a signal.
    Signal,
    /// The id of an exec session.
    Id,
    /// An absolute path.
    Path,
    /// A time as of RFC 3339.
    Time,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// An array of different streams. As a word, their names with commas.
    Streams,
    /// An object. As a word, all the rest of the line.
    Object,
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: false, positional: false }
}

const fn positional(name: &'static str, kind: Kind) -> Field {
    Field { positional: true, ..field(name, kind) }
}

const fn required(name: &'static str, kind: Kind) -> Field {
    Field { required: true, ..positional(name, kind) }
}

const EXEC: Field = field("exec", Kind::Id);
const STREAMS: Field = field("streams", Kind::Streams);
const STDIN: Field = field("stdin", Kind::OneOf(Stdin::NAMES));
const SIGNAL: Field = positional("signal", Kind::Signal);
const TIMEOUT: Field = field("timeout_ms", Kind::Number);

/// The fields of an operation, besides `op` and `tag`.
pub const fn fields(op: Op) -> &'static [Field] {
    match op {
        Op::State | Op::Start | Op::Pause | Op::Resume | Op::Ps | Op::Stats | Op::ReopenLogs => &[],
        Op::Kill => const { &[Field { required: true, ..SIGNAL }, field("all", Kind::Flag), EXEC] },
        Op::Stop => const { &[SIGNAL, Field { positional: true, ..TIMEOUT }] },
        Op::Update => const { &[required("resources", Kind::Object)] },
        Op::Resize => const { &[required("rows", Kind::Size), required("cols", Kind::Size), EXEC] },
        Op::Attach => const { &[STREAMS, STDIN, field("replay", Kind::Number), EXEC] },
        Op::CloseStdin => const { &[EXEC] },
        Op::Exec => {
            const {
                &[
                    required("process", Kind::Object),
                    field("id", Kind::Id),
                    STREAMS,
                    STDIN,
                    TIMEOUT,
                    field("log", Kind::Flag),
                ]
            }
        }
        Op::Wait => const { &[positional("stage", Kind::OneOf(Stage::NAMES)), EXEC] },
        Op::Subscribe => const { &[positional("since", Kind::Number)] },
        Op::Logs => {
            const {
                &[
                    field("follow", Kind::Flag),
                    positional("tail", Kind::Number),
                    field("since", Kind::Time),
                    field("stream", Kind::OneOf(Stream::NAMES)),
                ]
            }
        }
        Op::Checkpoint => {
            const {
                &[
                    required("image", Kind::Path),
                    field("work", Kind::Path),
                    field("leave_running", Kind::Flag),
                    field("tcp_established", Kind::Flag),
                    field("file_locks", Kind::Flag),
                ]
            }
        }
        Op::Delete => const { &[field("force", Kind::Flag)] },
        Op::Debug => {
            const { &[positional("level", Kind::OneOf(Level::NAMES)), field("since", Kind::Number)] }
        }
        Op::Upgrade => const { &[positional("path", Kind::Path)] },
    }
}

impl Kind {
    /// What the field can be, for people: it completes "expected".
    pub fn expected(self) -> String {
        match self {
            Kind::Flag => "true or false".to_owned(),
            Kind::Number => format!("a whole number from 0 to {NUMBER_MAX}"),
            Kind::Size => format!("a whole number from 0 to {}", u16::MAX),
            Kind::Signal => "the name of a signal, or its number from 1 to 64".to_owned(),
            Kind::Id => format!("1 to {EXEC_ID_MAX} letters, digits, `_`, `.` or `-`"),
            Kind::Path => "an absolute path".to_owned(),
            Kind::Time => "a time like 2026-08-01T12:00:00Z".to_owned(),
            Kind::OneOf(names) => names.join(" or "),
            Kind::Streams => "an array of different streams, stdout or stderr".to_owned(),
            Kind::Object => "an object".to_owned(),
        }
    }

    fn admits(self, value: &Value) -> bool {
        match (self, value) {
            (Kind::Flag, Value::Bool(_)) | (Kind::Object, Value::Object(_)) => true,
            (Kind::Number, value) => value.as_u64().is_some_and(|number| number <= NUMBER_MAX),
            (Kind::Size, value) => value.as_u64().is_some_and(|number| u16::try_from(number).is_ok()),
            (Kind::Signal, Value::Number(number)) => number.as_u64().and_then(Signal::from_number).is_some(),
            (Kind::Signal, Value::String(text)) => Signal::parse(text).is_some(),
            (Kind::Id, Value::String(text)) => is_id(text),
            (Kind::Path, Value::String(text)) => text.starts_with('/') && !text.contains('\0'),
            (Kind::Time, Value::String(text)) => Timestamp::parse(text).is_some(),
            (Kind::OneOf(names), Value::String(text)) => names.contains(&text.as_str()),
            (Kind::Streams, Value::Array(streams)) => {
                let known = |value: &Value| value.as_str().and_then(Stream::from_name).is_some();
                let mut nths = streams.iter().enumerate();
                nths.all(|(nth, stream)| known(stream) && !streams[..nth].contains(stream))
            }
            _ => false,
        }
    }
}

fn is_id(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=EXEC_ID_MAX).contains(&text.len()) && text.bytes().all(known)
}

/// Checks the fields of a request; `null` is the same as no field and is taken out.
pub fn check(op: Op, request: &mut Map<String, Value>) -> Result<(), Failure> {
    for field in fields(op) {
        if request.get(field.name).is_some_and(Value::is_null) {
            request.remove(field.name);
        }
        let wrong = match request.get(field.name) {
            Some(value) if field.kind.admits(value) => continue,
            None if !field.required => continue,
            Some(value) => format!("expected {}, not {}", field.kind.expected(), told(value)),
            None => format!("is missing; expected {}", field.kind.expected()),
        };
        return Err(Failure::field(op, field.name, &wrong));
    }
    Ok(())
}

/// The value as it was given, if that is short; else what it is.
pub fn told(value: &Value) -> String {
    const SHORT: usize = 40;
    let kind = match value {
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
        Value::String(text) if text.len() > SHORT => "a longer text",
        value => return value.to_string(),
    };
    kind.to_owned()
}
