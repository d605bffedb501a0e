//! `bench`: how fast changes go from PostgreSQL to Kafka and to S3, what that costs, and how late a change arrives.
//!
//! One slot is filled with changes, and every sample reads the same part of the server's log by a copy of that slot:
//! `pg_recvlogical` to /dev/null, the worker with its source alone, the worker with source and sink. COPY and the
//! worker's snapshot read the same rows from the table. All in one run, in turns, so that what else the machine does
//! meets all of them.

mod latency;
mod measure;
mod proc;
mod report;
mod rounds;
mod scene;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use datapipe_core::port::PortError;
use datapipe_embedded::{Progress, Stack};

use crate::report::Report;
use crate::rounds::Rounds;

/// Measures speed, cost, memory and latency on servers of its own.
#[derive(Debug, Parser)]
#[command(name = "bench")]
pub(crate) struct Cli {
    /// Changes in the slot, in transactions of ten
    #[arg(long, value_name = "ROWS", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..=100_000_000))]
    rows: u64,
    /// Samples of each measurement, in turns
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    samples: u32,
    /// Transactions per second while latency is measured
    #[arg(long, value_name = "RATE", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// How long latency is measured, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(5..=600))]
    latency_s: u64,
    /// 100,000 changes, one sample, ten seconds of latency: to see that it works, not for figures
    #[arg(long)]
    quick: bool,
    /// Only these measurements [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// One more setting of the worker's, as in `source.queue_bytes=4MiB`; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where the figures are written as JSON as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where servers keep their data; it is thrown away at the end [default: a temporary folder]
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// What ends a run without figures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The local servers.
    #[error("the local servers: {}; {}", .0, .0.hint())]
    Stack(datapipe_embedded::Error),
    /// One of the systems.
    #[error("{}", .0.report())]
    Port(#[from] PortError),
    /// A file or a program.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Something did not happen, or not as it must.
    #[error("{0}")]
    Unexpected(String),
}

impl From<datapipe_embedded::Error> for BenchError {
    fn from(error: datapipe_embedded::Error) -> Self {
        Self::Stack(error)
    }
}

impl BenchError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

fn main() -> ExitCode {
    let mut cli = Cli::parse();
    if cli.quick {
        (cli.rows, cli.samples, cli.latency_s) = (100_000, 1, 10);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let measured = match runtime {
        Ok(runtime) => runtime.block_on(async {
            tokio::select! {
                measured = run(&cli) => measured,
                _ = tokio::signal::ctrl_c() => Err(BenchError::Unexpected("interrupted; everything has been stopped".to_owned())),
            }
        }),
        Err(error) => Err(BenchError::io("starting the runtime")(error)),
    };
    match measured.and_then(|report| report.publish(cli.json.as_deref())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<Report, BenchError> {
    let root = cli.dir.clone().unwrap_or_else(|| std::env::temp_dir().join("datapipe-bench"));
    let stack = Stack::builder(&root).progress(Progress::new(|line| eprintln!("{line}"))).start().await?;
    let mut report = Report::new(cli.rows, cli.rate, &stack);
    let measured = measure(cli, &stack, &root, &mut report).await;
    stack.stop().await?;
    measured.map(|()| report)
}

async fn measure(cli: &Cli, stack: &Stack, root: &std::path::Path, report: &mut Report) -> Result<(), BenchError> {
    let wanted = |name: &str| cli.only.is_empty() || cli.only.iter().any(|only| only == name);
    let mut rounds = Rounds::prepare(stack, root, cli, wanted("idle"), report).await?;
    for sample in 1..=cli.samples {
        eprintln!("sample {sample} of {}", cli.samples);
        rounds.all(&wanted, report).await?;
    }
    if wanted("latency") {
        eprintln!("latency at {} transactions/s for {} s", cli.rate, cli.latency_s);
        rounds.latency(cli.rate, Duration::from_secs(cli.latency_s), report).await?;
    }
    report.finish();
    Ok(())
}
