//! `datapipe-verify`: whether every pipeline is healthy. Settings -> plan -> look -> judge -> words; nothing is decided
//! here.

mod bundle;
mod cli;
mod inside;
mod pods;
mod shadow;
mod show;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::Parser;
use datapipe_boot::Exit;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let mut cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    // There is no inside of anything else.
    cli.selection.deployed |= cli.inside;
    let exit = match &cli.command {
        Some(Command::Shadow(arguments)) => shadow::run(arguments),
        None => verify::run(&cli),
    };
    ExitCode::from(exit.code())
}

/// Help and version are no errors; everything else about the command line is.
fn usage(error: &clap::Error) -> ExitCode {
    // There is nobody to tell if the terminal is gone.
    let _ = error.print();
    let exit = if error.use_stderr() { Exit::Usage } else { Exit::Healthy };
    ExitCode::from(exit.code())
}
