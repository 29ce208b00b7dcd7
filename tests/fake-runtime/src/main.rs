//! An OCI runtime without containers: it obeys the runtime command line, starts an ordinary process
//! in a session of its own, and misbehaves where its script says so. It also serves as the exit
//! command: `fake-runtime record FILE [GATE]` writes down how it was started, then waits for a byte
//! from the fifo GATE.
//!
//! There is no Rust runtime set-up before `main`, which would ignore SIGPIPE and open /dev/null on
//! missing descriptors: the record must show what the supervisor left.
#![no_main]

mod args;
mod console;
mod container;
mod state;
mod steps;

use args::{Call, Verb};
use std::ffi::c_int;
use std::path::Path;

/// The C entry point.
#[unsafe(no_mangle)]
pub extern "C" fn main(_argc: c_int, _argv: *const *const u8) -> c_int {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let done = match words.first().map(String::as_str) {
        Some("record") => record(&words[1..]),
        _ => Call::parse(&words).and_then(|call| match call.verb {
            Verb::Create | Verb::Restore | Verb::Exec => container::make(&call),
            Verb::Start
            | Verb::Pause
            | Verb::Resume
            | Verb::Checkpoint
            | Verb::Kill
            | Verb::Delete
            | Verb::Update
            | Verb::Ps
            | Verb::Events
            | Verb::State => state::perform(&call),
        }),
    };
    match done {
        Ok(()) => 0,
        Err(text) => {
            steps::write_all(2, format!("fake-runtime: {text}\n").as_bytes());
            1
        }
    }
}

/// Plays the exit command.
fn record(words: &[String]) -> Result<(), String> {
    let [file, gate @ ..] = words else { return Err("record: no file named".into()) };
    fake_runtime::Record::now()
        .and_then(|record| record.write(Path::new(file)))
        .map_err(|error| format!("record {file}: {error}"))?;
    match gate.first() {
        Some(gate) => steps::await_byte(Path::new(gate)),
        None => Ok(()),
    }
}
