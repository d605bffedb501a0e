//! `datapipe-deploy`: the deployment of pipelines on Kubernetes. Settings -> plan -> tree; nothing is decided here.

mod apply;
mod cli;
mod planned;
mod render;

use std::process::ExitCode;

use clap::Parser;
use datapipe_boot::Exit;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let exit = match cli.command {
        Command::Render(arguments) => render::run(&arguments),
        Command::Diff(arguments) => apply::diff(&arguments),
        Command::Apply(arguments) => apply::run(&arguments),
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
