//! How requests may be written: as JSON or words, with or without a tag, many in one write, and up
//! to what length.

use conward_protocol::limits::LINE_MAX;
use conward_protocol::{ErrorCode, Exit, Outcome, State};
use serde_json::{Value, json};

use crate::client::tag;
use crate::{container, created, place};

#[test]
fn json_and_words_mean_the_same() {
    let place = place();
    let mut container = container(&place, Default::default(), &["-t"]);
    let client = &mut container.client;
    let pairs: [(&[&str], Value); 5] = [
        (&["resize 24 80", r#"{"op":"resize","rows":24,"cols":80}"#, "resize cols=80 rows=24"], json!({})),
        (&["subscribe 1", r#"{"op":"subscribe","since":1}"#], json!({"missed":0})),
        (
            &[
                "kill CONT",
                r#"{"op":"kill","signal":"CONT"}"#,
                "kill sigcont",
                r#"{"op":"kill","signal":18}"#,
            ],
            json!({}),
        ),
        (&["kill CONT all", r#"{"op":"kill","signal":"CONT","all":true}"#, "kill 18 all=true"], json!({})),
        (&["reopen-logs", r#"{"op":"reopen-logs"}"#, r#"  {"op":"reopen-logs"} "#], json!({"files":1})),
    ];
    for (requests, wanted) in pairs {
        for request in requests {
            let body = client.ok(request);
            for (name, value) in wanted.as_object().unwrap() {
                assert_eq!(&body[name], value, "{request}: {body}");
            }
        }
    }
    assert_eq!(client.ok("state")["state"], "created");
    assert_eq!(client.ok(r#"{"op":"state"}"#)["state"], "created");
    assert_eq!(client.ok(r#"{"op":"start"}"#)["pid"], json!(container.pid));
    for (freeze, thaw) in [("pause", "resume"), (r#"{"op":"pause"}"#, r#"{"op":"resume"}"#)] {
        assert_eq!(container.client.ok(freeze), json!({}));
        assert_eq!(container.client.state().state, State::Paused);
        assert_eq!(container.client.ok(thaw), json!({}));
        assert_eq!(container.client.state().state, State::Running);
    }
    container.client.ok("kill KILL");
    for wait in ["wait", "wait exited", r#"{"op":"wait"}"#, r#"{"op":"wait","stage":null}"#] {
        let exit: Exit = serde_json::from_value(container.client.ok(wait)["exit"].clone()).expect("an exit");
        assert_eq!(exit, Exit::Signal(9), "{wait}");
    }
    container.end();
}

#[test]
fn close_stdin_ends_the_input_once() {
    let place = place();
    let mut container = container(&place, Default::default(), &["-i"]);
    container.client.ok("start");
    container.client.ok("subscribe");
    assert_eq!(container.client.ok("close-stdin"), json!({}));
    assert!(matches!(container.client.event().what, conward_protocol::What::StdinClosed { exec: None }));
    assert_eq!(container.client.ok(r#"{"op":"close-stdin"}"#), json!({}), "also if it had ended before");
    assert!(container.client.is_silent(), "nothing has changed, so there is no event");
    container.end();

    let place = self::place();
    let mut container = created(&place);
    assert_eq!(container.client.refused("close-stdin").code, ErrorCode::NoStdin);
    assert_eq!(container.client.refused("resize 24 80").code, ErrorCode::NoTerminal);
    container.end();
}

#[test]
fn tags_come_back_as_they_were() {
    let place = place();
    let mut container = created(&place);
    let client = &mut container.client;
    let long = "t".repeat(126);
    let tags = [
        json!("a"),
        json!(""),
        json!("ü\n\u{0}"),
        json!(7),
        json!(-7),
        json!(0),
        json!(1.5),
        json!(u64::MAX),
        json!(long),
    ];
    for tag in tags {
        for (op, done) in [("state", true), ("resume", false), ("nonsense", false)] {
            let reply = client.ask(json!({"op": op, "tag": tag}).to_string());
            assert_eq!(serde_json::to_value(&reply.tag).unwrap(), tag, "{op}");
            assert_eq!(matches!(reply.outcome, Outcome::Ok(_)), done, "{op}");
        }
    }
    for none in ["state", r#"{"op":"state"}"#, r#"{"op":"state","tag":null}"#, "resume"] {
        assert_eq!(client.ask(none).tag, None, "{none}");
    }
    assert_eq!(tag(&client.ask("state tag=w")), Some("w"));
    assert_eq!(tag(&client.ask("resume tag=7")), Some("7"), "a text, since it was a word");
    for bad in [json!([1]), json!({}), json!(true), json!("t".repeat(127))] {
        let reply = client.ask(json!({"op": "state", "tag": bad}).to_string());
        assert_eq!(reply.tag, None);
        assert!(
            matches!(reply.outcome, Outcome::Error(failure) if failure.code == ErrorCode::BadRequest),
            "{bad}"
        );
    }
    container.end();
}

#[test]
fn many_requests_in_one_write_do_not_wait_for_a_slow_one() {
    let place = place();
    let mut container = created(&place);
    let client = &mut container.client;
    let mut lines = String::from("wait tag=slow\n");
    (0..500).for_each(|number| lines.push_str(&format!("state tag={number}\n")));
    client.send(&lines);
    for number in 0..500 {
        assert_eq!(tag(&client.reply()), Some(number.to_string().as_str()), "answered at once, in order");
    }
    assert!(client.is_silent());
    client.send("kill KILL tag=kill\n");
    let mut tags = [client.reply(), client.reply()].map(|reply| tag(&reply).unwrap_or("none").to_owned());
    tags.sort();
    assert_eq!(tags, ["kill", "slow"]);
    container.end();
}

/// The answers are many times what may wait for a client: it is listened to again when it has read.
#[test]
fn who_asks_for_more_than_can_wait_for_it_gets_all_of_it() {
    let place = place();
    let mut container = created(&place);
    let client = &mut container.client;
    let lines: String = (0..5000).map(|number| format!("state tag={number}\n")).collect();
    client.send(&lines);
    for number in 0..5000 {
        assert_eq!(tag(&client.reply()), Some(number.to_string().as_str()));
    }
    assert!(client.is_silent());
    container.end();
}

/// A request for the state in a line of so many bytes.
fn padded(bytes: usize) -> Vec<u8> {
    let (head, tail) = (r#"{"op":"state","tag":"long","pad":""#, r#""}"#);
    format!("{head}{}{tail}", "x".repeat(bytes - head.len() - tail.len())).into_bytes()
}

#[test]
fn a_line_too_long_is_skipped_and_the_next_one_works() {
    let place = place();
    let mut container = created(&place);
    let client = &mut container.client;
    assert_eq!(tag(&client.ask(padded(LINE_MAX))), Some("long"));
    for bytes in [LINE_MAX + 1, LINE_MAX * 2, 1 << 20] {
        let reply = client.ask(padded(bytes));
        assert_eq!(reply.tag, None);
        assert!(
            matches!(reply.outcome, Outcome::Error(failure) if failure.code == ErrorCode::TooLong),
            "{bytes}"
        );
        assert_eq!(client.state().state, State::Created);
    }
    // In one write with a good one, and so that the bound falls into the second write.
    client.send([&padded(LINE_MAX + 1), &b"\nstate tag=next\n"[..]].concat());
    assert_eq!(client.reply().tag, None);
    assert_eq!(tag(&client.reply()), Some("next"));
    client.send(&padded(LINE_MAX + 1)[..LINE_MAX]);
    client.send("}\nstate tag=then\n");
    assert_eq!(client.reply().tag, None);
    assert_eq!(tag(&client.reply()), Some("then"));
    container.end();
}

#[test]
fn a_line_may_come_byte_by_byte() {
    let place = place();
    let mut container = created(&place);
    for byte in b"{\"op\":\"state\",\"tag\":\"slow\"}\nstate tag=next\n" {
        container.client.send([*byte]);
    }
    assert_eq!(tag(&container.client.reply()), Some("slow"));
    assert_eq!(tag(&container.client.reply()), Some("next"));
    container.end();
}
