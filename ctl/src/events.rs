//! What has happened, and happens.

use conward_protocol::client::{self, Client, Incoming};
use conward_protocol::request::Subscribe;
use conward_protocol::{Body, Event, Request};
use serde_json::{Map, Value};

use crate::cli::{Events, Format};
use crate::error::Error;
use crate::output;
use crate::place::Place;

/// `events`.
///
/// # Errors
/// The supervisor cannot be asked, or the output not written.
pub fn events(place: &Place, events: &Events) -> Result<u8, Error> {
    let (id, mut client) = place.find(&events.id)?;
    let since = if events.follow { events.since } else { Some(events.since.unwrap_or(0)) };
    let asked = client.call(Request::Subscribe(Subscribe { since }));
    let Body::Subscribed(subscribed) = asked.map_err(|error| Error::asked(&id, &error))?.body else {
        return Err(Error::new(format!("{id}: an answer of another kind")));
    };
    if subscribed.missed > 0 {
        output::complain(&format!("{id}: {} events are no longer held", subscribed.missed));
    }
    let mut last = since.unwrap_or(subscribed.last);
    while events.follow || last < subscribed.last {
        let Some(event) = next(&id, &mut client)? else { break };
        last = event.seq;
        match events.format {
            Format::Table => output::line(&told(&event))?,
            Format::Json => output::line(&serde_json::to_value(&event).unwrap_or_default().to_string())?,
        }
    }
    Ok(0)
}

/// `None`: the supervisor has ended.
fn next(id: &str, client: &mut Client) -> Result<Option<Event>, Error> {
    loop {
        match client.receive() {
            Ok(Incoming::Event(event)) => return Ok(Some(event)),
            Ok(_) => {}
            Err(client::Error::Closed) => return Ok(None),
            Err(error) => return Err(Error::asked(id, &error)),
        }
    }
}

/// One line for people: time, number, name, fields, cause.
fn told(event: &Event) -> String {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(event) else { return String::new() };
    let mut take = |name: &str| fields.remove(name).unwrap_or_default();
    let (time, seq, what, cause) = (take("time"), take("seq"), take("event"), take("cause"));
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut line = format!("{} {:>4} {}", text(&time), text(&seq), text(&what));
    push(&mut line, &fields, "");
    if let Value::Object(mut cause) = cause {
        line.push_str(&format!(" by {}", text(&cause.remove("by").unwrap_or_default())));
        push(&mut line, &cause, "");
    }
    line
}

/// ` name=value` for each field, those of objects as `name.field`.
fn push(line: &mut String, fields: &Map<String, Value>, prefix: &str) {
    for (name, value) in fields {
        match value {
            Value::Object(inner) => push(line, inner, &format!("{prefix}{name}.")),
            Value::String(text) if !text.contains(char::is_whitespace) => {
                line.push_str(&format!(" {prefix}{name}={text}"));
            }
            value => line.push_str(&format!(" {prefix}{name}={value}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn events_for_people() {
        let table = [
            (
                r#"{"event":"exited","exit":{"code":7},"core_dumped":false,"seq":3,"time":"2026-08-01T12:00:00.000000000Z","cause":{"by":"container"}}"#,
                "2026-08-01T12:00:00.000000000Z    3 exited core_dumped=false exit.code=7 by container",
            ),
            (
                r#"{"event":"started","seq":17,"time":"2026-08-01T12:00:00.000000000Z","cause":{"by":"client","client":3,"op":"start"}}"#,
                "2026-08-01T12:00:00.000000000Z   17 started by client client=3 op=start",
            ),
        ];
        for (json, line) in table {
            assert_eq!(told(&serde_json::from_str(json).expect("an event")), line);
        }
    }
}
