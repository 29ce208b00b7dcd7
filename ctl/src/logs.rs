//! `logs`: asked of the supervisor, and where it has ended, read from the files that it has left.

mod files;
mod printer;
mod since;

use conward_protocol::client::{Client, Incoming};
use conward_protocol::{Body, Request, request};

use crate::cli::Logs;
use crate::error::Error;
use crate::output;
use crate::place::Place;
use printer::Printer;
pub use since::since;

/// `logs`.
///
/// # Errors
/// There is no log file, or it cannot be read.
pub fn logs(place: &Place, logs: &Logs) -> Result<u8, Error> {
    let id = place.resolve(&logs.id)?;
    let wanted = request::Logs { follow: logs.follow, tail: logs.tail, since: logs.since, stream: None };
    let mut printer = Printer::new(logs.timestamps);
    match place.connect(&id) {
        Ok(mut client) => ask(&id, &mut client, wanted, &mut printer)?,
        Err(dead) => {
            let state = place.remains(&id).state.ok_or(dead)?;
            let path = state.log.ok_or_else(|| Error::new(format!("{id}: it has no log file")))?;
            files::read(&path, &wanted, &mut printer)?;
        }
    }
    printer.flush()?;
    Ok(0)
}

/// Prints what the supervisor reads.
fn ask(id: &str, client: &mut Client, logs: request::Logs, printer: &mut Printer) -> Result<(), Error> {
    let asked = |error| Error::asked(id, &error);
    let ticket = client.send(Request::Logs(logs)).map_err(asked)?;
    loop {
        let incoming = match client.try_receive().map_err(asked)? {
            Some(incoming) => incoming,
            None => {
                printer.flush()?;
                client.receive().map_err(asked)?
            }
        };
        match incoming {
            Incoming::Log(_, record) => {
                let Some(content) = record.bytes() else {
                    return Err(Error::new(format!("{id}: a record of the log without its text")));
                };
                printer.print(Some(record.time), record.stream, record.partial, &content)?;
            }
            Incoming::Answered(_) => break,
            Incoming::Event(_) => {}
        }
    }
    if let Body::LogEnd(end) = client.answer(ticket).map_err(asked)?.body
        && !end.complete
    {
        output::complain(&format!("{id}: the log is not complete: output is missing from it"));
    }
    Ok(())
}
