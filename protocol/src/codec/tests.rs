use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{
    Asked, Field, Kind, Message, Refused, fields, message, ok_line, reply_line, request, request_line,
};
use crate::body::{Done, Started};
use crate::limits::{DEPTH_MAX, LINE_MAX, TAG_MAX};
use crate::{Body, ErrorCode, Op, Outcome, Reply, Request, Tag};

/// A value that the field can have.
fn sample(kind: Kind) -> Value {
    match kind {
        Kind::Flag => json!(true),
        Kind::Number => json!(1000),
        Kind::Size => json!(24),
        Kind::Signal => json!("TERM"),
        Kind::Id => json!("probe-1"),
        Kind::Path => json!("/var/x"),
        Kind::Time => json!("2026-08-01T12:00:00.000000000Z"),
        Kind::OneOf(names) => json!(names[names.len() - 1]),
        Kind::Streams => json!(["stderr"]),
        Kind::Object => json!({"args": ["a"], "n": 1}),
    }
}

/// The request with these of its fields. What contradicts each other is left out.
fn with(op: Op, choose: impl Fn(&Field) -> bool) -> Map<String, Value> {
    let mut request = Map::new();
    request.insert("op".to_owned(), json!(op.name()));
    for field in fields(op).iter().filter(|field| field.required || choose(field)) {
        if (op, field.name) != (Op::Kill, "exec") {
            request.insert(field.name.to_owned(), sample(field.kind));
        }
    }
    request
}

fn read(request_: &Map<String, Value>) -> Result<Asked, Refused> {
    request(Value::from(request_.clone()).to_string().as_bytes())
}

#[test]
fn the_table_and_the_types_have_the_same_fields() {
    for op in Op::ALL {
        let full = with(*op, |_| true);
        let asked = read(&full).expect("a request");
        assert_eq!(asked.request.op(), *op);
        assert_eq!(serde_json::to_value(&asked).expect("JSON"), Value::from(full), "{op}");
    }
}

#[test]
fn each_field_is_checked_and_named() {
    for op in Op::ALL {
        for field in fields(*op) {
            for wrong in [json!(-1), json!(0.5), json!("§"), json!([1]), json!(9_007_199_254_740_992u64)] {
                let mut request = with(*op, |_| true);
                request.insert(field.name.to_owned(), wrong.clone());
                let refused = read(&request).expect_err("a fault");
                assert_eq!(refused.failure.code, ErrorCode::BadRequest);
                assert_eq!(refused.failure.field.as_deref(), Some(field.name), "{op} {wrong}");
                assert!(refused.failure.message.contains(&field.kind.expected()));
            }
            let mut request = with(*op, |_| true);
            request.insert(field.name.to_owned(), Value::Null);
            assert_eq!(read(&request).is_err(), field.required, "{op} {}", field.name);
        }
    }
}

#[test]
fn tags_are_echoed_or_refused() {
    for (tag, read) in [
        (json!("7"), Some(Tag::from("7"))),
        (json!(7), Some(Tag::from(7))),
        (json!(-1.5), Some(Tag::Number(serde_json::Number::from_f64(-1.5).expect("a number")))),
        (json!(null), None),
    ] {
        for op in ["ps", "nonsense", "kill"] {
            let line = json!({"op": op, "tag": tag}).to_string();
            let found = request(line.as_bytes()).map_or_else(|refused| refused.tag, |asked| asked.tag);
            assert_eq!(found, read, "{line}");
        }
    }
    for tag in [json!({}), json!([1]), json!(true), json!("x".repeat(TAG_MAX - 1))] {
        let line = json!({"op": "ps", "tag": tag}).to_string();
        let refused = request(line.as_bytes()).expect_err("a fault");
        assert_eq!((refused.tag, refused.failure.field.as_deref()), (None, Some("tag")), "{line}");
    }
    let longest = json!({"op": "ps", "tag": "x".repeat(TAG_MAX - 2)}).to_string();
    assert!(request(longest.as_bytes()).is_ok());
}

#[test]
fn depth_has_a_bound_that_texts_do_not_count_for() {
    let nested = |depth: usize| {
        let inner = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        request(format!(r#"{{"op":"ps","x":{inner},"y":"[[[[[[\"[[["}}"#).as_bytes())
    };
    assert!(nested(DEPTH_MAX - 1).is_ok());
    assert_eq!(nested(DEPTH_MAX).expect_err("too deep").failure.code, ErrorCode::BadJson);
    assert!(request(&b"[".repeat(LINE_MAX)).is_err());
}

#[test]
fn a_reply_that_is_too_long_becomes_an_error() {
    let body = |length: usize| {
        Reply::ok(
            Some(Tag::from(1)),
            Body::ExecStarted(crate::body::ExecStarted {
                exec: "x".repeat(length),
                pid: None,
                attachment: None,
                descriptors: Vec::new(),
            }),
        )
    };
    let overhead = reply_line(&body(0)).len() - 1;
    assert_eq!(reply_line(&body(LINE_MAX - overhead)).len(), LINE_MAX + 1);
    let line = reply_line(&body(LINE_MAX - overhead + 1));
    let Ok(Message::Reply(reply)) = message(line.trim_ascii_end()) else { panic!("a reply") };
    assert_eq!(reply.tag, Some(Tag::from(1)));
    assert!(matches!(reply.outcome, Outcome::Error(failure) if failure.code == ErrorCode::TooLong));
}

#[test]
fn replies_are_read_back() {
    for body in [Body::Done(Done {}), Body::Started(Started { pid: 7 })] {
        let op = if matches!(body, Body::Done(_)) { Op::Kill } else { Op::Start };
        let tag = Tag::from("a \"b\"");
        let line = reply_line(&Reply::ok(Some(tag.clone()), body.clone()));
        assert_eq!(ok_line(Some(&tag), &super::json(&body)), line);
        assert_eq!(ok_line(None, &super::json(&body)), reply_line(&Reply::ok(None, body.clone())));
        let Ok(Message::Reply(Reply { outcome: Outcome::Ok(value), .. })) = message(line.trim_ascii_end())
        else {
            panic!("a reply")
        };
        assert_eq!(Body::read(op, value).expect("a body"), body);
    }
    assert!(Body::read(Op::Kill, json!(1)).is_err());
    assert!(Body::read(Op::Start, json!({})).is_err());
}

proptest! {
    #[test]
    fn no_line_is_fatal(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = request(&line);
        let _ = message(&line);
    }

    #[test]
    fn no_words_are_fatal(
        op in proptest::sample::select(Op::NAMES),
        rest in "([a-z_ ]{0,9}[=]?[{}\",:0-9a-zA-Z+/§ ]{0,12} ){0,4}",
    ) {
        if let Err(refused) = request(format!("{op} {rest}").as_bytes()) {
            prop_assert!(matches!(refused.failure.code, ErrorCode::BadRequest | ErrorCode::BadJson));
        }
    }

    #[test]
    fn requests_are_read_back(nth in 0..Op::ALL.len(), chosen in any::<u16>(), tag in any::<Option<u64>>()) {
        let op = Op::ALL[nth];
        let table = fields(op);
        let position = |field: &Field| table.iter().position(|other| other.name == field.name).unwrap_or(0);
        let request_ = with(op, |field| chosen >> position(field) & 1 == 1);
        let asked = Asked { tag: tag.map(Tag::from), request: read(&request_).expect("a request").request };
        let line = request_line(&asked);
        prop_assert_eq!(request(line.trim_ascii_end()), Ok(asked));
    }

    #[test]
    fn words_mean_what_the_object_means(nth in 0..Op::ALL.len(), chosen in any::<u16>(), named in any::<u16>()) {
        let op = Op::ALL[nth];
        let table = fields(op);
        let chosen = with(op, |field| {
            let position = table.iter().position(|other| other.name == field.name).unwrap_or(0);
            chosen >> position & 1 == 1
        });
        let mut line = op.name().to_owned();
        let mut objects = String::new();
        let mut by_place = true;
        for (nth, field) in table.iter().enumerate() {
            let Some(value) = chosen.get(field.name) else {
                by_place &= !field.positional;
                continue;
            };
            let name = format!("{}=", field.name);
            let place = field.positional && by_place && named >> nth & 1 == 0;
            by_place &= !field.positional || place;
            let name = if place { "" } else { name.as_str() };
            match value {
                Value::Bool(_) if named >> nth & 1 == 0 => line += &format!(" {}", field.name),
                Value::Array(streams) => line += &format!(" {name}{}", streams[0].as_str().expect("a text")),
                Value::Object(_) => objects = format!(" {name}{value:#}").replace('\n', " "),
                Value::String(text) => line += &format!(" {name}{text}"),
                value => line += &format!(" {name}{value}"),
            }
        }
        prop_assert_eq!(request((line + &objects).as_bytes()), read(&chosen));
    }
}

#[test]
fn an_empty_line_is_no_request() {
    for line in ["", " ", "\r"] {
        assert_eq!(request(line.as_bytes()).expect_err("a fault").failure.code, ErrorCode::UnknownOp);
    }
    assert_eq!(request(b"  ps \r").map(|asked| asked.request), Ok(Request::Ps));
}
