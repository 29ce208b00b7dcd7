//! `logs`: the log file that the supervisor writes, read without its frames.

mod record;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;

use conward_protocol::client::{Client, Incoming};
use conward_protocol::request::Subscribe;
use conward_protocol::{Body, Request, Step, What, body};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cli::Logs;
use crate::error::Error;
use crate::place::Place;
use record::{Lines, Record};

/// How soon new output is seen. The log grows without any event.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// `logs`.
///
/// # Errors
/// There is no log file, or it cannot be read.
pub fn logs(place: &Place, logs: &Logs) -> Result<u8, Error> {
    let id = place.resolve(&logs.id)?;
    let (state, mut client) = match place.connect(&id) {
        Ok(mut client) => (state(&id, &mut client)?, Some(client)),
        Err(dead) => (place.remains(&id).state.ok_or(dead)?, None),
    };
    let Some(path) = state.log else {
        return Err(Error::new(format!("{id}: it has no log file")));
    };
    let mut printer = Printer::open(path, logs.timestamps)?;
    if let Some(tail) = logs.tail {
        printer.skip_to_last(tail)?;
    }
    printer.print()?;
    if let (true, Some(client)) = (logs.follow, &mut client)
        && state.step.is_none_or(|step| step < Step::Drained)
    {
        follow(&id, client, &mut printer)?;
    }
    printer.end()?;
    Ok(0)
}

fn state(id: &str, client: &mut Client) -> Result<body::State, Error> {
    match client.call(Request::State).map_err(|error| Error::asked(id, &error))?.body {
        Body::State(state) => Ok(*state),
        _ => Err(Error::new(format!("{id}: an answer of another kind"))),
    }
}

/// Prints what is new until all output is in the log, or the supervisor has ended. An event that came
/// before the subscription is heard by it all the same.
fn follow(id: &str, client: &mut Client, printer: &mut Printer) -> Result<(), Error> {
    let subscribe = Request::Subscribe(Subscribe { since: Some(0) });
    client.call(subscribe).map_err(|error| Error::asked(id, &error))?;
    loop {
        // First look whether it is the end, then read: what came before the end is not missed.
        let end = drained(client);
        printer.print()?;
        if end {
            return Ok(());
        }
        let mut fds = [PollFd::new(client, PollFlags::IN)];
        // An interrupted wait is a short one.
        let _ = poll(&mut fds, Some(&PAUSE));
    }
}

/// Whether no more output will come.
fn drained(client: &mut Client) -> bool {
    loop {
        match client.try_receive() {
            Ok(Some(Incoming::Event(event))) => {
                if matches!(event.what, What::Drained { .. } | What::Deleted { .. }) {
                    return true;
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

/// Reads a log file, through its rotations, and prints it.
struct Printer {
    path: String,
    file: BufReader<File>,
    /// A record whose end is not written yet.
    partial: Vec<u8>,
    timestamps: bool,
    lines: Lines,
}

impl Printer {
    fn open(path: String, timestamps: bool) -> Result<Printer, Error> {
        let file = File::open(&path).map_err(|error| Error::io(format_args!("log {path}"), error))?;
        let (partial, lines) = (Vec::new(), Lines::default());
        Ok(Printer { path, file: BufReader::new(file), partial, timestamps, lines })
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::io(format_args!("log {}", self.path), error)
    }

    /// Goes to where the last lines begin. A line begins with its first record. Of each line only its
    /// place is kept.
    fn skip_to_last(&mut self, tail: usize) -> Result<(), Error> {
        let mut begins = VecDeque::new();
        let (mut lines, mut at, mut line) = (Lines::default(), 0, Vec::new());
        loop {
            line.clear();
            let count = self.file.read_until(b'\n', &mut line).map_err(|error| self.failed(error))?;
            if count == 0 || line.last() != Some(&b'\n') {
                break;
            }
            if lines.begins(&Record::parse(&line)) {
                begins.push_back(at);
                if begins.len() > tail {
                    begins.pop_front();
                }
            }
            at += count as u64;
        }
        let first = begins.front().copied().unwrap_or(at);
        self.file.seek(SeekFrom::Start(first)).map(drop).map_err(|error| self.failed(error))
    }

    /// Prints all there is, also in the file that has taken the place of this one.
    fn print(&mut self) -> Result<(), Error> {
        loop {
            self.print_file()?;
            // The old file has no more: the new one was made after the last write to it.
            let (Ok(ours), Ok(named)) = (self.file.get_ref().metadata(), fs::metadata(&self.path)) else {
                return Ok(());
            };
            if (ours.dev(), ours.ino()) == (named.dev(), named.ino()) {
                return Ok(());
            }
            self.print_file()?;
            match File::open(&self.path) {
                Ok(file) => self.file = BufReader::new(file),
                Err(_) => return Ok(()),
            }
        }
    }

    fn print_file(&mut self) -> Result<(), Error> {
        loop {
            let count = self.file.read_until(b'\n', &mut self.partial);
            if count.map_err(|error| Error::io(format_args!("log {}", self.path), error))? == 0 {
                return Ok(());
            }
            if self.partial.last() != Some(&b'\n') {
                return Ok(());
            }
            let text = self.lines.text(&Record::parse(&self.partial), self.timestamps);
            let to_stderr = Record::parse(&self.partial).stderr;
            self.partial.clear();
            let written = if to_stderr {
                io::stderr().lock().write_all(&text)
            } else {
                io::stdout().lock().write_all(&text)
            };
            written.map_err(|error| Error::output(&error))?;
        }
    }

    fn end(self) -> Result<(), Error> {
        io::stdout().flush().map_err(|error| Error::output(&error))
    }
}
