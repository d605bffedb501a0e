//! `datapipe-deploy`: the deployment of pipelines on Kubernetes. Settings -> plan -> tree; nothing is decided here.

mod apply;
mod cli;
mod delete;
mod operate;
mod planned;
mod render;

use std::process::ExitCode;

use clap::Parser;
use datapipe_boot::Exit;
use datapipe_k8s::apply::Action;

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
        Command::Restart(arguments) => {
            let action = if arguments.pods { Action::RestartPods } else { Action::Restart };
            operate::run(&arguments.operate, action)
        }
        Command::Pause(arguments) => operate::run(&arguments, Action::Pause),
        Command::Resume(arguments) => operate::run(&arguments, Action::Resume),
        Command::Stop(arguments) => operate::run(&arguments, Action::Stop),
        Command::Delete(arguments) => delete::run(&arguments),
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
