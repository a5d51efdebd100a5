//! The `oxwsgi` command.
//!
//! [`cli`] says what it understands; [`serve`] runs an application behind a private server; [`supervisor`] looks after
//! the processes of a server's daemon groups, and [`keeper`] after it; [`problem`] is what the user reads when something is
//! wrong. Exit status: 0 when asked to stop, 1 for a problem, 2 for wrong usage.

mod cli;
mod keeper;
mod problem;
mod serve;
mod supervisor;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let result = match command {
        Command::Serve(options) => serve::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Supervise { handover } => supervisor::run(&handover),
        Command::Keep { handover } => keeper::run(&handover),
    };
    match result {
        Ok(code) => code,
        Err(problem) => {
            problem.print();
            ExitCode::FAILURE
        }
    }
}
