//! The fault runner: `just kills`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use datapipe_e2e::Result;
use datapipe_e2e::kills::{self, Plan};

/// Kills workers under load on real servers, round after round; goes on after the last round on record.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many rounds
    #[arg(long, default_value_t = 10)]
    rounds: u64,
    /// Decides every choice, with the round's number
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of the first round [default: after the last one on record]
    #[arg(long)]
    first: Option<u64>,
    /// No round is begun after this many minutes
    #[arg(long, default_value_t = 600)]
    minutes: u64,
    /// The record
    #[arg(long, default_value = "docs/faults/kills.jsonl")]
    out: PathBuf,
    /// Write the page about the rounds on record, and nothing else
    #[arg(long)]
    report: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<bool> {
    let page = arguments.out.with_file_name("README.md");
    if arguments.report {
        std::fs::write(&page, kills::report(&arguments.out)?)?;
        eprintln!("wrote {}", page.display());
        return Ok(true);
    }
    let first = match arguments.first {
        Some(first) => first,
        None => kills::last_round(&arguments.out)?.map_or(0, |last| last + 1),
    };
    let time_max = Duration::from_secs(arguments.minutes * 60);
    let plan = Plan { first, rounds: arguments.rounds, seed: arguments.seed, time_max };
    let mut clean = true;
    kills::run(&plan, |round| {
        eprintln!("{}", serde_json::to_string(round)?);
        clean &= round.ok;
        kills::append(&arguments.out, round)
    })
    .await?;
    Ok(clean)
}
