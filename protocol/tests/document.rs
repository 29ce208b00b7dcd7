//! `PROTOCOL.md` and the code have the same names, tables and examples.

use std::collections::BTreeSet;

use conward_protocol::codec::{self, Message};
use conward_protocol::record::Record;
use conward_protocol::request::Level;
use conward_protocol::{Body, ErrorCode, Op, Outcome, State, Step, limits};

const PAGE: &str = include_str!("../PROTOCOL.md");
const MESSAGES: &str = include_str!("../vectors/messages.jsonl");

/// What stands between this heading and the next of its level or above.
fn section(heading: &str) -> &'static str {
    let level = heading.split(' ').next().expect("a heading");
    let start = PAGE.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    let body = &PAGE[start + heading.len() + 2..];
    let end = (1..=level.len()).filter_map(|depth| body.find(&format!("\n{} ", "#".repeat(depth)))).min();
    &body[..end.unwrap_or(body.len())]
}

/// The words in backquotes in the first column of the tables of a text.
fn first_column(text: &str) -> BTreeSet<String> {
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split('|').nth(1).expect("a cell"));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned)).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn each_operation_has_its_section_and_fields() {
    let sections: BTreeSet<String> = section("## Operations")
        .lines()
        .filter_map(|line| line.strip_prefix("### `").and_then(|rest| rest.strip_suffix('`')))
        .map(str::to_owned)
        .collect();
    assert_eq!(sections, names(Op::NAMES));
    for op in Op::ALL {
        let body = section(&format!("### `{op}`"));
        let mut fields = BTreeSet::new();
        for field in codec::fields(*op) {
            fields.insert(field.name.to_owned());
            let row = body.lines().find(|line| line.starts_with(&format!("| `{}` |", field.name)));
            let row = row.unwrap_or_else(|| panic!("{op}: no row for {}", field.name));
            let kind = row.split('|').nth(2).expect("a cell");
            assert_eq!(kind.contains("required"), field.required, "{row}");
            assert_eq!(kind.contains("positional"), field.positional, "{row}");
        }
        assert_eq!(first_column(body), fields, "{op}");
        let order: Vec<&str> =
            codec::fields(*op).iter().filter(|field| field.positional).map(|field| field.name).collect();
        let places: Vec<_> = order.iter().map(|name| body.find(&format!("| `{name}` |"))).collect();
        assert!(places.is_sorted(), "{op}: words fill {order:?} in this order");
        assert!(body.contains("← "), "{op}: no example");
    }
}

#[test]
fn events_and_causes() {
    let mut events = BTreeSet::new();
    let mut causes = BTreeSet::new();
    for row in MESSAGES.lines() {
        let row: serde_json::Value = serde_json::from_str(row).expect("a vector");
        let line: serde_json::Value =
            serde_json::from_str(row["line"].as_str().expect("a line")).unwrap_or_default();
        if row["kind"] == "event" && row.get("is").is_none() {
            events.insert(line["event"].as_str().expect("a name").to_owned());
            causes.insert(line["cause"]["by"].as_str().expect("a name").to_owned());
        }
    }
    let (first, second) =
        section("## Events").split_once("`cause` is an object").expect("the table of causes");
    assert_eq!(first_column(first), events);
    assert_eq!(first_column(second), causes);
    // Each variant of the code, but for `Other`, is among them: the vectors have read them all.
    assert_eq!(variants("pub enum What {"), events.len() + 1, "an event has no vector");
    assert_eq!(variants("pub enum Cause {"), causes.len() + 1, "a cause has no vector");
}

/// How many variants an enumeration in `event.rs` has.
fn variants(definition: &str) -> usize {
    let (_, body) = include_str!("../src/event.rs").split_once(definition).expect("a definition");
    let (body, _) = body.split_once("\n}\n").expect("its end");
    body.lines().filter(|line| line.starts_with("    ") && line.as_bytes()[4].is_ascii_uppercase()).count()
}

#[test]
fn errors_states_and_steps() {
    assert_eq!(first_column(section("## Errors")), names(ErrorCode::NAMES));
    let (states, steps) = section("## The lifecycle").split_once("Inside `stopped`").expect("the steps");
    assert_eq!(first_column(states), names(State::NAMES));
    assert_eq!(first_column(steps), names(Step::NAMES));
    assert!(section("### `debug`").contains(&format!("`{}`", Level::Trace)));
}

#[test]
fn the_table_of_states_is_that_of_the_code() {
    let table = section("## Operations")
        .lines()
        .filter(|line| line.starts_with("| `"))
        .take_while(|line| !line.contains("positional"));
    let mut seen = BTreeSet::new();
    for row in table.filter(|row| row.split('|').count() == State::ALL.len() + 3) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        for name in cells[1].split('`').skip(1).step_by(2) {
            let op = Op::from_name(name).expect("an operation");
            for (state, cell) in State::ALL.iter().zip(&cells[2..]) {
                assert_eq!(op.allowed_in(*state), !cell.is_empty(), "{op} in {state}");
            }
            seen.insert(name.to_owned());
        }
    }
    assert_eq!(seen, names(Op::NAMES));
}

#[test]
fn examples_are_what_they_look_like() {
    let (mut op, mut replies) = (None, 0);
    for line in PAGE.lines() {
        if let Some(request) = line.strip_prefix("→ ") {
            op = Some(codec::request(request.as_bytes()).expect(request).request.op());
        } else if let Some(message) = line.strip_prefix("← ") {
            match codec::message(message.as_bytes()).expect(message) {
                Message::Reply(reply) => {
                    if let Outcome::Ok(value) = reply.outcome {
                        Body::read(op.expect("a request before"), value).expect(message);
                    }
                    replies += 1;
                }
                Message::Event(_) | Message::Log { .. } => {}
                Message::Greeting(_) | Message::Other => panic!("{message}"),
            }
        }
    }
    assert_eq!(replies, Op::ALL.len());
    for row in section("## Words").lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('`').collect();
        let read = |text: &str| codec::request(text.as_bytes()).expect("a request");
        assert_eq!(read(cells[1]), read(cells[3]), "{row}");
    }
    let greeting = section("## Connecting").lines().find(|line| line.starts_with('{')).expect("a greeting");
    assert!(matches!(codec::message(greeting.as_bytes()), Ok(Message::Greeting(_))));
    let record = section("### The exit record").lines().find(|line| line.starts_with('{')).expect("a record");
    let value: serde_json::Value = serde_json::from_str(record).expect("JSON");
    let typed: Record = serde_json::from_str(record).expect("a record");
    assert_eq!(serde_json::to_value(typed).expect("JSON"), value);
    assert_eq!(
        first_column(section("### The exit record")),
        value.as_object().expect("an object").keys().cloned().collect()
    );
}

#[test]
fn limits_are_those_of_the_code() {
    let values: Vec<String> = section("## Limits")
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| bound"))
        .map(|row| row.split('|').nth(2).expect("a cell").trim().to_owned())
        .collect();
    let code = [
        limits::LINE_MAX,
        limits::DEPTH_MAX,
        limits::TAG_MAX,
        limits::IN_FLIGHT_MAX,
        limits::CLIENTS_MAX,
        limits::AHEAD_MAX,
        limits::QUEUE_MAX,
        limits::RING,
        limits::DEBUG_RING,
        limits::DIAGNOSTIC_MAX,
        limits::COMMAND_MAX,
        limits::EXECS_MAX,
        limits::ATTACHMENTS_MAX,
        limits::EXECS_KEPT,
        limits::EXEC_LINE_MAX,
        limits::EXEC_WAITING_MAX,
        limits::REPLAY_MAX,
        limits::LOG_TEXT_MAX,
        limits::LOGS_MAX,
        limits::MESSAGE_MAX,
        limits::HOOK_OUTPUT_MAX,
    ];
    assert_eq!(values, code.map(|limit| limit.to_string()));
}
