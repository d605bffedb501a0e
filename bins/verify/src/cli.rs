//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use datapipe_checks::Category;
use datapipe_core::settings::Span;

/// Says whether every pipeline PostgreSQL -> Kafka -> S3 is healthy, and with --data whether S3 holds what PostgreSQL
/// holds. Reads only, unless a canary or a repair is asked for.
#[derive(Debug, Parser)]
#[command(name = "datapipe-verify", version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// One table by its SQL name; may be repeated [default: all]
    #[arg(long = "table", value_name = "TABLE")]
    pub(crate) tables: Vec<String>,
    /// Which kinds of checks: worker, connector, postgres, kafka, s3, data, canary, kubernetes, network [default: all
    /// but data, canary and kubernetes]
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(crate) only: Vec<Category>,
    /// Where the workers' REST ports are asked
    #[arg(long, value_name = "HOST", default_value = "localhost")]
    pub(crate) host: String,
    #[command(flatten)]
    pub(crate) proof: ProofFlags,
    /// Send a message through each pipeline and time its hops: it tells a quiet table from one that is stuck. Writes a
    /// message into PostgreSQL's log
    #[arg(long)]
    pub(crate) canary: bool,
    /// A table of which one row may be touched by an UPDATE that changes no value, and is followed to its object; may be
    /// repeated
    #[arg(long = "canary-table", value_name = "TABLE")]
    pub(crate) canary_tables: Vec<String>,
    /// Look at the pods of the workers, too
    #[arg(long)]
    pub(crate) pods: bool,
    /// Look at a deployment's PostgreSQL, Kafka and S3 from where its workers are: in a pod for each table that has the worker's
    /// labels, and is deleted when it has answered, in seconds; with --data, rows are compared there. Workers are asked through the API server
    #[arg(long, conflicts_with_all = ["keep", "canary", "canary_tables", "watch"])]
    pub(crate) inside: bool,
    /// The context of the kubeconfig whose cluster is looked at [default: the current one]
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) context: Option<String>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// Look again until nothing is wrong, at most for so long, as 90s or 5m
    #[arg(long, value_name = "TIME")]
    pub(crate) wait: Option<Span>,
    /// Look again and again, every so often, until interrupted; after the first look only changes are printed
    #[arg(long, value_name = "TIME", conflicts_with = "wait", num_args = 0..=1, require_equals = true, default_missing_value = "5s")]
    pub(crate) watch: Option<Span>,
    /// Write what was seen and found to this archive (tar, gzip), without secrets and without values of rows
    #[arg(long, value_name = "FILE.tgz")]
    pub(crate) bundle: Option<PathBuf>,
    /// A worker's log of which the last lines go into the bundle; may be repeated
    #[arg(long = "bundle-log", value_name = "FILE", requires = "bundle")]
    pub(crate) bundle_logs: Vec<PathBuf>,
    /// From which outcome on the exit code is not 0
    #[arg(long, value_name = "OUTCOME", value_enum, default_value_t = FailOn::Failed)]
    pub(crate) fail_on: FailOn,
    /// How long each system may take to answer
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub(crate) timeout: Span,
}

impl Cli {
    /// Whether rows are compared.
    pub(crate) fn compares(&self) -> bool {
        self.proof.data || self.proof.repair || self.only.contains(&Category::Data)
    }
}

/// How rows are compared.
#[derive(Debug, Args)]
pub(crate) struct ProofFlags {
    /// Compare every row of the tables with the objects, too
    #[arg(long)]
    pub(crate) data: bool,
    /// How long a pipeline may take to bring what a table holds to its objects, before its rows are compared, and a canary to its
    /// next hop
    #[arg(long, value_name = "TIME", default_value = "2m")]
    pub(crate) catch_up: Span,
    /// Compare one key in N only, always the same ones
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) one_of: u32,
    /// Keep the rows of each table that is proven in this folder, and go on from there the next time: only objects that came
    /// since are read
    #[arg(long, value_name = "FOLDER", conflicts_with = "one_of")]
    pub(crate) keep: Option<PathBuf>,
    /// Have rows that are lost or differ read again by their worker, and surplus ones deleted by a native one, 8000 at most, and compare
    /// again. Needs source.signals
    #[arg(long, conflicts_with = "one_of")]
    pub(crate) repair: bool,
}

/// What else it does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compare the native capture with the worker that runs a table, record by record, as datapipe-run shadow does; writes
    /// nothing but a slot of its own, for as long as it runs
    Shadow(Shadow),
}

/// `datapipe-verify shadow`
#[derive(Debug, Args)]
pub(crate) struct Shadow {
    /// The table, by its SQL name
    #[arg(value_name = "TABLE")]
    pub(crate) table: String,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// How long to run beside it, as 30s or 5m
    #[arg(long = "for", value_name = "TIME", default_value = "30s")]
    pub(crate) span: Span,
}

/// Which settings.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// The file of settings [default: datapipe.toml, if it is there]
    #[arg(long, value_name = "FILE", env = "DATAPIPE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// What serves the tables, KIND, or one table, TABLE=KIND: kafka-connect, hybrid or native; may be repeated
    #[arg(long = "worker", value_name = "[TABLE=]KIND")]
    pub(crate) workers: Vec<String>,
    /// Servers for trials that are deployed along, as for datapipe-deploy
    #[arg(long, value_name = "SERVER")]
    pub(crate) with: Option<String>,
    /// The settings are those of a deployment on Kubernetes: its servers are reached from inside of the cluster only,
    /// so that workers and connectors are looked at, unless --inside or --only says otherwise
    #[arg(long)]
    pub(crate) deployed: bool,
    /// One setting, above file and environment, as in worker.kind=native; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people: every check, and what to do
    Table,
    /// For people in a hurry: what is wrong, or one line
    Short,
    /// One JSON document
    Json,
    /// XML for the test report of a CI
    Junit,
}

/// What makes the exit code not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Failed checks: 1
    Failed,
    /// Warnings too: 2
    Warning,
}

const EXIT_CODES: &str = "Exit codes: 0 nothing is wrong; 1 a check failed; 2 a check warned, with --fail-on warning; 64 \
                          wrong command line; 70 defect; 78 wrong settings, nothing was looked at; 130 a look from inside was \
                          interrupted, and its pods were deleted.\n\
                          Every code has its page in docs/checks.";

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, as in worker.kind=native".to_owned()),
    }
}
