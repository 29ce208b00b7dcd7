//! What there is.

use std::time::{SystemTime, UNIX_EPOCH};

use conward_protocol::{Body, Exit, Request, State, Timestamp, body};
use serde_json::{Value, json};

use crate::cli::{Filter, Format, Ls};
use crate::error::Error;
use crate::output;
use crate::place::{Found, Place, Remains};
use crate::terminal;

/// `ls`.
///
/// # Errors
/// The control directory cannot be read, or the output not written.
pub fn ls(place: &Place, ls: &Ls) -> Result<u8, Error> {
    let ids = place.ids()?;
    let found = ids.into_iter().map(|id| (place.look(&id), id));
    let wanted: Vec<(Found, String)> = found.filter(|(found, _)| passes(found, &ls.filters)).collect();
    if ls.quiet {
        for (_, id) in &wanted {
            output::line(id)?;
        }
    } else if ls.format == Format::Json {
        let all = wanted.iter().map(|(found, id)| object(id, found)).collect();
        output::line(&pretty(&Value::Array(all)))?;
    } else {
        let now = now();
        let rows: Vec<Vec<String>> = wanted.iter().map(|(found, id)| row(id, found, now)).collect();
        let headings = ["ID", "STATE", "EXIT", "PID", "SUPERVISOR", "AGE", "BUNDLE"];
        let text = output::table(&headings, &rows, &[6, 0], terminal::width());
        output::line(text.trim_end())?;
    }
    Ok(0)
}

/// `state`: the answer of the supervisor, else the file that a dead one has left.
///
/// # Errors
/// Neither is there.
pub fn state(place: &Place, wanted: &str) -> Result<u8, Error> {
    let id = place.resolve(wanted)?;
    let state = match place.connect(&id) {
        Ok(mut client) => {
            match client.call(Request::State).map_err(|error| Error::asked(&id, &error))?.body {
                Body::State(state) => *state,
                _ => return Err(Error::new(format!("{id}: an answer of another kind"))),
            }
        }
        Err(dead) => place.remains(&id).state.ok_or(dead)?,
    };
    output::line(&pretty(&value(&state)))?;
    Ok(0)
}

/// Several states are alternatives; annotations must all be there.
fn passes(found: &Found, filters: &[Filter]) -> bool {
    let state = match found {
        Found::Alive(state) => Some(&**state),
        Found::Dead(remains) => remains.state.as_ref(),
        Found::Mute(_) => None,
    };
    let in_state = |filter: &Filter| match filter {
        Filter::State(wanted) => Some(match found {
            Found::Alive(state) => state.state == *wanted,
            Found::Dead(remains) => remains.known_state() == Some(*wanted),
            Found::Mute(_) => false,
        }),
        Filter::Dead => Some(matches!(found, Found::Dead(remains) if remains.known_state().is_none())),
        Filter::Annotation(..) => None,
    };
    let mut states = filters.iter().filter_map(in_state).peekable();
    let annotated = filters.iter().all(|filter| match filter {
        Filter::Annotation(name, wanted) => state
            .and_then(|state| state.annotations.get(name))
            .is_some_and(|value| wanted.as_ref().is_none_or(|wanted| wanted == value)),
        Filter::State(_) | Filter::Dead => true,
    });
    annotated && (states.peek().is_none() || states.any(|matches| matches))
}

fn row(id: &str, found: &Found, now: Timestamp) -> Vec<String> {
    let none = || "-".to_owned();
    let cells = |word: &str, exit: Option<Exit>, alive: bool, state: Option<&body::State>| {
        let supervisor = state.filter(|_| alive).map(|state| state.supervisor.to_string());
        let pid = state.filter(|_| alive).and_then(|state| state.pid).map(|pid| pid.to_string());
        vec![
            id.to_owned(),
            word.to_owned(),
            exit.map_or_else(none, |exit| exit.number().to_string()),
            pid.unwrap_or_else(none),
            supervisor.unwrap_or_else(none),
            state.and_then(|state| state.times.created).map_or_else(none, |since| output::age(since, now)),
            state.and_then(|state| state.bundle.clone()).unwrap_or_else(none),
        ]
    };
    match found {
        Found::Alive(state) => cells(state.state.name(), state.exit, true, Some(state)),
        Found::Mute(_) => cells("mute", None, false, None),
        Found::Dead(remains) => cells(word(remains), remains.exit(), false, remains.state.as_ref()),
    }
}

/// The state of a container that has no supervisor any more.
fn word(remains: &Remains) -> &'static str {
    remains.known_state().map_or("dead", State::name)
}

/// The supervisor's object, and `alive`. Of one that has ended, the last, and `record`.
fn object(id: &str, found: &Found) -> Value {
    match found {
        Found::Alive(state) => {
            let mut object = value(state);
            object["alive"] = json!(true);
            object
        }
        Found::Mute(why) => json!({"id": id, "state": "mute", "alive": true, "error": why}),
        Found::Dead(remains) => {
            let mut object = remains.state.as_ref().map_or_else(|| json!({"id": id}), value);
            object["alive"] = json!(false);
            object["state"] = json!(word(remains));
            if let Value::Object(fields) = &mut object {
                // Numbers that may be those of other processes by now.
                fields.remove("pid");
                fields.remove("supervisor");
            }
            if let Some(record) = &remains.record {
                object["record"] = serde_json::to_value(record).unwrap_or_default();
                object["exit"] = object["record"]["exit"].clone();
            }
            object
        }
    }
}

fn value(state: &body::State) -> Value {
    serde_json::to_value(state).unwrap_or_default()
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos())
}
