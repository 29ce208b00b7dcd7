//! What is inside: processes, numbers, and the supervisor's own words.

use conward_protocol::{Body, Request, request};
use serde_json::Value;

use crate::cli::{Debug, Format, Update};
use crate::error::Error;
use crate::output;
use crate::place::Place;
use crate::terminal;

/// `ps`.
///
/// # Errors
/// The supervisor or the runtime cannot tell.
pub fn ps(place: &Place, format: Format, wanted: &str) -> Result<u8, Error> {
    let (id, mut client) = place.find(wanted)?;
    let answer = client.call(Request::Ps).map_err(|error| Error::asked(&id, &error))?;
    let Body::Processes(processes) = answer.body else { return Err(other(&id)) };
    if format == Format::Json {
        output::line(&pretty(&processes))?;
        return Ok(0);
    }
    let row = |process: &conward_protocol::body::Process| {
        vec![process.pid.to_string(), process.command.clone().unwrap_or_else(|| "-".to_owned())]
    };
    let rows: Vec<Vec<String>> = processes.processes.iter().map(row).collect();
    output::line(output::table(&["PID", "COMMAND"], &rows, &[1], terminal::width()).trim_end())?;
    if processes.omitted > 0 {
        output::complain(&format!("{id}: there are {} more processes", processes.omitted));
    }
    Ok(0)
}

/// `stats`.
///
/// # Errors
/// The supervisor cannot tell.
pub fn stats(place: &Place, wanted: &str) -> Result<u8, Error> {
    let (id, mut client) = place.find(wanted)?;
    let answer = client.call(Request::Stats).map_err(|error| Error::asked(&id, &error))?;
    let Body::Stats(stats) = answer.body else { return Err(other(&id)) };
    output::line(&pretty(&*stats))?;
    Ok(0)
}

/// `debug`.
///
/// # Errors
/// The supervisor cannot tell.
pub fn debug(place: &Place, debug: &Debug) -> Result<u8, Error> {
    let (id, mut client) = place.find(&debug.id)?;
    let request = request::Debug { level: debug.level.map(Into::into), since: debug.since };
    let answer = client.call(Request::Debug(request)).map_err(|error| Error::asked(&id, &error))?;
    let Body::Diagnostics(held) = answer.body else { return Err(other(&id)) };
    if held.missed > 0 {
        output::complain(&format!("{id}: {} lines are no longer held", held.missed));
    }
    for line in held.lines {
        output::line(&format!("{} {:>4} {}: {}", line.time, line.seq, line.level, line.message))?;
    }
    Ok(0)
}

/// `update`.
///
/// # Errors
/// The file is not what it must be, or the runtime refuses.
pub fn update(place: &Place, update: &Update) -> Result<u8, Error> {
    let doing = || format!("resources {}", update.resources.display());
    let read = if update.resources.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(&update.resources)
    };
    let text = read.map_err(|error| Error::io(doing(), error))?;
    let resources =
        serde_json::from_str(&text).map_err(|error| Error::new(format!("{}: {error}", doing())))?;
    let (id, mut client) = place.find(&update.id)?;
    let request = Request::Update(request::Update { resources });
    client.call(request).map_err(|error| Error::asked(&id, &error))?;
    output::line(&id)?;
    Ok(0)
}

fn other(id: &str) -> Error {
    Error::new(format!("{id}: an answer of another kind"))
}

fn pretty(value: &impl serde::Serialize) -> String {
    format!("{:#}", serde_json::to_value(value).unwrap_or(Value::Null))
}
