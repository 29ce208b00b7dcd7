//! Lines that are no request: each is answered with its code, and nothing else happens.

use conward_protocol::ErrorCode::{self, BadJson, BadRequest, UnknownOp};
use conward_protocol::codec::Message;
use conward_protocol::{Outcome, State};

use crate::client::Client;
use crate::{container, created, place};

const BAD: &[(&[u8], ErrorCode, Option<&str>)] = &[
    // No JSON object.
    (br#"{"op":"state""#, BadJson, None),
    (br#"{"op":"state"} {"op":"state"}"#, BadJson, None),
    (b"{op:state}", BadJson, None),
    (b"{", BadJson, None),
    (br#"{"op":"state","x":"\ud800"}"#, BadJson, None),
    (b"{\"op\":\"state\",\"x\":\"\xff\xfe\"}", BadJson, None),
    (b"state \xff", BadJson, None),
    (b"\xff\xfe\x00\x01", BadJson, None),
    // No operation.
    (b"{}", BadRequest, Some("op")),
    (br#"{"op":7}"#, BadRequest, Some("op")),
    (br#"{"op":null}"#, BadRequest, Some("op")),
    (br#"{"op":["state"]}"#, BadRequest, Some("op")),
    (br#"{"op":"nonsense"}"#, UnknownOp, None),
    (br#"{"op":""}"#, UnknownOp, None),
    (br#"{"op":"State"}"#, UnknownOp, None),
    (b"", UnknownOp, None),
    (b"   ", UnknownOp, None),
    (b"\0\0\0", UnknownOp, None),
    (b"nonsense", UnknownOp, None),
    (b"[1]", UnknownOp, None),
    (b"GET / HTTP/1.1\r", UnknownOp, None),
    // Fields that are missing or wrong.
    (b"kill", BadRequest, Some("signal")),
    (br#"{"op":"kill"}"#, BadRequest, Some("signal")),
    (br#"{"op":"kill","signal":null}"#, BadRequest, Some("signal")),
    (br#"{"op":"kill","signal":0}"#, BadRequest, Some("signal")),
    (br#"{"op":"kill","signal":65}"#, BadRequest, Some("signal")),
    (br#"{"op":"kill","signal":-1}"#, BadRequest, Some("signal")),
    (br#"{"op":"kill","signal":9.0}"#, BadRequest, Some("signal")),
    (br#"{"op":"kill","signal":1e300}"#, BadRequest, Some("signal")),
    (br#"{"op":"kill","signal":true}"#, BadRequest, Some("signal")),
    (br#"{"op":"kill","signal":"0"}"#, BadRequest, Some("signal")),
    (br#"{"op":"kill","signal":"65"}"#, BadRequest, Some("signal")),
    (br#"{"op":"kill","signal":"RTMAX+1"}"#, BadRequest, Some("signal")),
    (br#"{"op":"kill","signal":"NOPE"}"#, BadRequest, Some("signal")),
    (br#"{"op":"kill","signal":""}"#, BadRequest, Some("signal")),
    (b"kill 9999999999999999999999", BadRequest, Some("signal")),
    (br#"{"op":"kill","signal":"KILL","all":"yes"}"#, BadRequest, Some("all")),
    (br#"{"op":"kill","signal":"KILL","all":1}"#, BadRequest, Some("all")),
    (br#"{"op":"kill","signal":"KILL","exec":""}"#, BadRequest, Some("exec")),
    (br#"{"op":"kill","signal":"KILL","exec":"../x"}"#, BadRequest, Some("exec")),
    (b"kill KILL TERM", BadRequest, None),
    (b"kill KILL nonsense=1", BadRequest, None),
    (b"kill KILL signal=TERM", BadRequest, Some("signal")),
    (b"state more", BadRequest, None),
    (br#"{"op":"resize","rows":24}"#, BadRequest, Some("cols")),
    (br#"{"op":"resize","cols":80}"#, BadRequest, Some("rows")),
    (br#"{"op":"resize","rows":"24","cols":80}"#, BadRequest, Some("rows")),
    (br#"{"op":"resize","rows":24.0,"cols":80}"#, BadRequest, Some("rows")),
    (br#"{"op":"resize","rows":65536,"cols":80}"#, BadRequest, Some("rows")),
    (br#"{"op":"resize","rows":24,"cols":-1}"#, BadRequest, Some("cols")),
    (b"resize 24", BadRequest, Some("cols")),
    (b"resize 24 80 2", BadRequest, None),
    (br#"{"op":"wait","stage":"never"}"#, BadRequest, Some("stage")),
    (br#"{"op":"wait","stage":1}"#, BadRequest, Some("stage")),
    (br#"{"op":"subscribe","since":"1"}"#, BadRequest, Some("since")),
    (br#"{"op":"subscribe","since":-1}"#, BadRequest, Some("since")),
    (br#"{"op":"subscribe","since":9007199254740992}"#, BadRequest, Some("since")),
    (br#"{"op":"subscribe","since":1e400}"#, BadJson, None),
];

#[test]
fn each_is_answered_with_its_code_and_nothing_happens() {
    let place = place();
    let mut container = container(&place, Default::default(), &["-t"]);
    container.client.ok("start");
    let before = container.client.state();
    for (line, code, field) in BAD {
        let shown = String::from_utf8_lossy(line).into_owned();
        let failure = container.client.refused(line);
        assert_eq!(failure.code, *code, "{shown}: {failure:?}");
        if field.is_some() {
            assert_eq!(failure.field.as_deref(), *field, "{shown}: {failure:?}");
        }
        assert!(!failure.message.is_empty() && !failure.message.contains('\n'), "{shown}: {failure:?}");
        assert_eq!(container.client.state(), before, "{shown}");
    }
    // All in one write too: as many answers, in their order.
    let all: Vec<u8> = BAD.iter().flat_map(|(line, ..)| [line, &b"\n"[..]].concat()).collect();
    container.client.send(all);
    for (_, code, _) in BAD {
        let outcome = container.client.reply().outcome;
        assert!(matches!(&outcome, Outcome::Error(failure) if failure.code == *code), "{outcome:?}");
    }
    assert_eq!(container.client.state(), before);
    assert!(container.client.is_silent());
    container.end();
}

#[test]
fn nesting_has_a_bound() {
    let place = place();
    let mut container = created(&place);
    let nested = |levels: usize| {
        // The request itself is the first level.
        let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
        format!(r#"{{"op":"state","x":{open}{close}}}"#)
    };
    assert_eq!(container.client.ok(&nested(32))["state"], "created");
    for levels in [33, 200, 30_000] {
        assert_eq!(container.client.refused(nested(levels)).code, BadJson, "{levels} levels");
    }
    let open = format!(r#"{{"op":"state","x":{}"#, r#"{"a":"#.repeat(10_000));
    assert_eq!(container.client.refused(open).code, BadJson);
    assert_eq!(container.client.state().state, State::Created);
    container.end();
}

#[test]
fn fields_without_a_meaning_are_ignored() {
    let place = place();
    let mut container = created(&place);
    for line in [
        r#"{"op":"state","more":{"x":[1,2]},"signal":99}"#,
        r#"{"op":"nonsense","op":"state"}"#,
        r#"{"op":"kill","signal":"CONT","all":null,"exec":null,"since":"x"}"#,
    ] {
        container.client.ok(line);
    }
    container.end();
}

#[test]
fn a_line_without_an_end_is_no_request() {
    let place = place();
    let mut container = created(&place);
    for line in ["kill KILL", r#"{"op":"kill","signal":"KILL"}"#] {
        let mut client = Client::connect(&place);
        client.send(line);
        client.half_close();
        let told = client.messages_to_end();
        let [Message::Reply(reply)] = told.as_slice() else { panic!("{told:?}") };
        assert!(matches!(&reply.outcome, Outcome::Error(failure) if failure.code == BadJson), "{reply:?}");
    }
    assert_eq!(container.client.state().state, State::Created);
    container.end();
}
