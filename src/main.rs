//! The door into the library.

// `sys::entry` says why.
#![no_main]

use std::ffi::OsString;
use std::io::Write;

use conward::error::Error;
use conward::flags::render;
use conward::front::{self, Asked};
use conward::{diagnostics, supervisor};

conward::sys::entry::program!(enter);

fn enter(words: Vec<OsString>) -> u8 {
    run(words).unwrap_or_else(|error| {
        // Nobody is left to be told if stderr is closed.
        let _ = writeln!(std::io::stderr(), "{error}");
        1
    })
}

fn run(words: Vec<OsString>) -> Result<u8, Error> {
    match front::ask(words.into_iter().skip(1), &|name| std::env::var_os(name))? {
        Asked::Help => print(&render::help()),
        Asked::Version => print(&render::version()),
        // On stdout, as the reference does: Podman shows the launcher's stdout as its own.
        Asked::Unreadable(error) => print(&format!("{error}\n")).map(|_| 1),
        Asked::Run { plan, warnings } => {
            let said = diagnostics::install(&plan.diagnostics);
            warnings.iter().for_each(|warning| log::warn!("{warning}"));
            supervisor::run(plan, said)
        }
    }
}

fn print(text: &str) -> Result<u8, Error> {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map(|()| 0)
        .map_err(|e| Error::io("Failed to write to stdout", e))
}
