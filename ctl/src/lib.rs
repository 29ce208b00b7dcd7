//! `conwardctl` looks after containers under conward by their control sockets, and starts new ones.
//!
//! It keeps nothing of its own: what it knows of a container it asks the supervisor, and each
//! supervisor is found by its directory (see `PROTOCOL.md`, "Where").

#![forbid(unsafe_code)]

mod bundle;
mod checkpoint;
pub mod cli;
mod create;
mod delete;
mod error;
mod events;
mod inspect;
mod list;
mod logs;
pub mod man;
mod output;
mod place;
mod process;
mod requests;
mod run;
mod session;
mod spawn;
mod terminal;
mod users;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::{Cli, Command};
use error::{Error, OWN};
use place::Place;

/// The program: reads the command line, does it, and gives the exit status.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let status = if error.use_stderr() { OWN } else { 0 };
            // Where the message cannot be written, the status still tells.
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    match perform(cli) {
        Ok(status) => ExitCode::from(status),
        // Who reads us has read enough, as `conwardctl logs | head` does.
        Err(error) if error.output_closed => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error.message);
            ExitCode::from(error.status)
        }
    }
}

fn perform(cli: Cli) -> Result<u8, Error> {
    if let Command::Completions { shell } = cli.command {
        // Into memory first: the generator panics where it cannot write.
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "conwardctl", &mut script);
        return io::stdout().write_all(&script).map(|()| 0).map_err(|error| Error::output(&error));
    }
    let place = Place::new(cli.control_dir)?;
    match cli.command {
        Command::Ls(ls) => list::ls(&place, &ls),
        Command::State { id } => list::state(&place, &id),
        Command::Create(create) => create::create(&place, &create),
        Command::Run(run) => run::run(&place, &run),
        Command::Attach(attach) => run::attach(&place, &attach),
        Command::Exec(exec) => run::exec(&place, &exec),
        Command::Start { ids } => requests::start(&place, &ids),
        Command::Kill(kill) => requests::kill(&place, &kill),
        Command::Stop(stop) => requests::stop(&place, &stop),
        Command::Pause { ids } => requests::pause(&place, &ids),
        Command::Resume { ids } => requests::resume(&place, &ids),
        Command::Update(update) => inspect::update(&place, &update),
        Command::Ps { format, id } => inspect::ps(&place, format, &id),
        Command::Stats { id } => inspect::stats(&place, &id),
        Command::Debug(debug) => inspect::debug(&place, &debug),
        Command::Wait { stage, exec, id } => requests::wait(&place, stage, exec, &id),
        Command::Events(events) => events::events(&place, &events),
        Command::Logs(logs) => logs::logs(&place, &logs),
        Command::Delete(delete) => delete::delete(&place, &delete),
        Command::Checkpoint(wanted) => checkpoint::checkpoint(&place, &wanted),
        Command::Restore(restore) => checkpoint::restore(&place, &restore),
        Command::Completions { .. } => Ok(0),
    }
}
