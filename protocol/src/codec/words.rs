//! Requests as words, for people who type them.
//!
//! `OP WORD …`: `name=value` sets any field; the name of a flag sets it; another word is the next
//! positional field; `{` begins an object that takes the rest of the line.

use serde_json::{Map, Value};

use super::fields::{Field, Kind, fields};
use super::{Untyped, unknown_op};
use crate::{ErrorCode, Failure, Op};

/// The request that a line of words means, before its fields are checked.
pub fn request(line: &str) -> Untyped {
    let (name, rest) = next(line);
    let mut tag = None;
    let Some(op) = Op::from_name(name) else {
        return (None, Err(unknown_op(name)));
    };
    let request = read(op, rest, &mut tag).map(|fields| (op, fields));
    (tag, request)
}

fn read(op: Op, mut rest: &str, tag: &mut Option<Value>) -> Result<Map<String, Value>, Failure> {
    let mut request = Map::new();
    let mut positional = fields(op).iter().filter(|field| field.positional);
    loop {
        let (word, after) = next(rest);
        if word.is_empty() {
            return Ok(request);
        }
        let named = word.split_once('=').filter(|(name, _)| is_name(name));
        let (field, value) = if let Some(("tag", value)) = named {
            *tag = Some(Value::from(value));
            rest = after;
            continue;
        } else if let Some((name, value)) = named {
            (fields(op).iter().find(|field| field.name == name).ok_or_else(|| no_field(op, name))?, value)
        } else if let Some(flag) = fields(op).iter().find(|field| is_flag(field, word)) {
            (flag, "true")
        } else {
            (positional.next().ok_or_else(|| superfluous(op, word))?, word)
        };
        let object = matches!(field.kind, Kind::Object);
        // An object goes on behind its first word, of which the value is the end.
        let value = if object { &rest.trim_ascii_start()[word.len() - value.len()..] } else { value };
        if request.insert(field.name.to_owned(), read_value(op, field, value)?).is_some() {
            return Err(Failure::field(op, field.name, "is given twice"));
        }
        rest = if object { "" } else { after };
    }
}

/// The first word of the text, empty if there is none, and what follows it.
fn next(text: &str) -> (&str, &str) {
    let text = text.trim_ascii_start();
    text.split_at(text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len()))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn is_flag(field: &Field, word: &str) -> bool {
    matches!(field.kind, Kind::Flag) && field.name == word
}

/// What cannot be read as the field's kind stays a text, which the check then refuses.
fn read_value(op: Op, field: &Field, word: &str) -> Result<Value, Failure> {
    Ok(match field.kind {
        Kind::Flag => word.parse::<bool>().map_or_else(|_| Value::from(word), Value::from),
        Kind::Number | Kind::Size => word.parse::<u64>().map_or_else(|_| Value::from(word), Value::from),
        Kind::Streams => word.split(',').filter(|name| !name.is_empty()).collect(),
        Kind::Object => serde_json::from_str(word)
            .map_err(|error| Failure::field(op, field.name, &format!("is no JSON: {error}")))?,
        Kind::Signal | Kind::Id | Kind::Path | Kind::Time | Kind::OneOf(_) => Value::from(word),
    })
}

fn no_field(op: Op, name: &str) -> Failure {
    let names: Vec<&str> = fields(op).iter().map(|field| field.name).collect();
    Failure::new(ErrorCode::BadRequest, format!("{op}: no field {name:?}; it has: {}", names.join(", ")))
}

fn superfluous(op: Op, word: &str) -> Failure {
    Failure::new(ErrorCode::BadRequest, format!("{op}: the word {word:?} has no meaning here"))
}
