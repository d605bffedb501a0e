//! `datapipe-run`: plans and runs pipelines on this machine. Settings -> plan -> adapters; nothing is decided here.

mod adapters;
mod cli;
mod demo;
mod hybrid;
mod look;
mod plan;
mod ports;
mod preflight;
mod serve;
mod servers;
mod shadow;
mod start;

use std::process::ExitCode;

use clap::Parser;
use datapipe_boot::settings::{Loaded, Sources};
use datapipe_boot::{Exit, report};
use datapipe_core::plan::{Plan, Problems};
use datapipe_core::table::WorkerKind;

use cli::{Cli, Command, Selection};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    if !matches!(cli.command, Command::Plan(_)) {
        datapipe_boot::memory::with_one_arena();
    }
    let exit = match cli.command {
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Start(arguments) => serve::start(&arguments),
        Command::Preflight(arguments) => serve::preflight(&arguments),
        Command::Prepare(arguments) => serve::prepare(&arguments),
        Command::Slots(arguments) => serve::slots(&arguments),
        Command::Look(arguments) => look::run(&arguments),
        Command::Shadow(arguments) => serve::shadow(&arguments),
        Command::Demo(arguments) => serve::demo(&arguments),
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

/// The settings of this program's flags; tables are served by the native worker unless something else is set.
pub(crate) fn load(selection: &Selection) -> Loaded {
    let kind = selection.worker.map(|kind| ("worker.kind".to_owned(), WorkerKind::from(kind).name().to_owned()));
    datapipe_boot::settings::load(&Sources {
        file: selection.config.clone(),
        defaults: vec![("worker.kind".to_owned(), "native".to_owned())],
        flags: kind.into_iter().chain(selection.set.clone()).collect(),
    })
}

/// The plan for the selected tables.
pub(crate) fn planned(selection: &Selection) -> Result<Plan, Problems> {
    let catalog = datapipe_catalog::all()?;
    load(selection).plan(&catalog)?.only(&selection.tables)
}

/// Tells why there is no plan.
pub(crate) fn refuse(problems: &Problems) -> Exit {
    let count = match problems.0.len() {
        1 => "one problem".to_owned(),
        count => format!("{count} problems"),
    };
    report::print(&report::problems(&format!("{count} with the settings; nothing was started"), problems));
    Exit::Config
}
