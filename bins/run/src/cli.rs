//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use datapipe_checks::Category;
use datapipe_core::settings::Span;
use datapipe_core::table::WorkerKind;

/// Runs table-isolated pipelines PostgreSQL -> Kafka -> S3 on this machine.
#[derive(Debug, Parser)]
#[command(name = "datapipe-run", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the complete plan: every name, topic and connector configuration. Touches no server
    Plan(PlanArguments),
    /// Run the pipelines until stopped: make what is missing, snapshot, stream
    Start(StartArguments),
    /// Look at PostgreSQL, Kafka and S3 as the plan needs them, whatever serves the tables; makes nothing
    Preflight(PreflightArguments),
    /// Make the topics and publications that are missing, and say how topics that exist differ
    Prepare(ServerArguments),
    /// Wait until a stream reads each table's replication slot
    Slots(ServerArguments),
    /// Say what a table's servers show from here, as JSON: datapipe-verify --inside asks for it in a pod
    Look(LookArguments),
    /// Compare the native capture with the worker that runs a table, record by record; writes nothing
    Shadow(ShadowArguments),
    /// See it work in two minutes: local servers, traffic, a kill in the middle, a proof at the end
    Demo(DemoArguments),
}

/// Which settings and which tables.
#[derive(Clone, Debug, Args)]
pub(crate) struct Selection {
    /// The file of settings [default: datapipe.toml, if it is there]
    #[arg(long, value_name = "FILE", env = "DATAPIPE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// One table by its SQL name; may be repeated [default: all]
    #[arg(long = "table", value_name = "TABLE")]
    pub(crate) tables: Vec<String>,
    /// What serves the tables, as --set worker.kind=KIND
    #[arg(long, value_name = "KIND", value_enum)]
    pub(crate) worker: Option<Kind>,
    /// One setting, above file and environment, as in sink.rows=1000; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
}

/// `datapipe-run plan`
#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

/// How something is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Table,
    /// One JSON document
    Json,
    /// One YAML document
    Yaml,
}

const EXIT_CODES: &str = "Exit codes: 0 done, or stopped in order by a signal; 1 something is wrong; 64 wrong command \
                          line; 69 a server or program is missing; 70 defect; 78 wrong settings, nothing was \
                          started; 130 interrupted.\n\
                          Log lines go to standard error: DATAPIPE_LOG=debug shows more.";

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, as in sink.rows=1000".to_owned()),
    }
}

/// `datapipe-run start`
#[derive(Debug, Args)]
pub(crate) struct StartArguments {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// How long to wait for a server that is away before anything is started, as 30s
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub(crate) wait: Span,
    /// How log lines are written
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// `datapipe-run prepare` and `datapipe-run slots`
#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// How long to wait: for a server that is away, and for slots, as 30s or 5m
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub(crate) wait: Span,
    /// How to print the report
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

/// `datapipe-run preflight`
#[derive(Debug, Args)]
pub(crate) struct PreflightArguments {
    #[command(flatten)]
    pub(crate) asked: ServerArguments,
    /// Only this server; may be repeated [default: all]
    #[arg(long = "server", value_name = "SERVER", value_enum)]
    pub(crate) servers: Vec<Server>,
}

/// `datapipe-run look`
#[derive(Debug, Args)]
pub(crate) struct LookArguments {
    /// The table, by its SQL name
    #[arg(value_name = "TABLE")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// How long each system may take to answer
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub(crate) timeout: Span,
    /// Which of postgres, kafka and s3; the ways to them are always tried [default: all]
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(crate) only: Vec<Category>,
    /// Compare the table's rows with its objects, too
    #[arg(long)]
    pub(crate) data: bool,
    /// How long the pipeline may take to bring what the table holds to its objects, before rows are compared
    #[arg(long, value_name = "TIME", default_value = "2m")]
    pub(crate) catch_up: Span,
    /// Compare one key in N only
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) one_of: u32,
    /// Have rows that are wrong mended by their worker
    #[arg(long, requires = "data", conflicts_with = "one_of")]
    pub(crate) repair: bool,
}

/// A server that pipelines need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Server {
    /// The database
    Postgres,
    /// The brokers
    Kafka,
    /// The object store
    S3,
}

/// `datapipe-run shadow`
#[derive(Debug, Args)]
pub(crate) struct ShadowArguments {
    /// The table, by its SQL name
    #[arg(value_name = "TABLE")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// How long to run beside it, as 30s or 5m
    #[arg(long = "for", value_name = "TIME", default_value = "30s")]
    pub(crate) span: Span,
}

/// `datapipe-run demo`
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Rows that exist before the first start, over all four tables
    #[arg(long, value_name = "ROWS", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(40..=100_000_000))]
    pub(crate) rows: u64,
    /// Rows changed per second
    #[arg(long, value_name = "ROWS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: u32,
    /// How long rows are changed, as 30s or 5m
    #[arg(long = "for", value_name = "TIME", default_value = "30s")]
    pub(crate) span: Span,
    /// Leave everything up at the end, until Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,
    /// A new folder for everything; it is kept [default: a temporary folder, thrown away]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,
    /// The REST port of the first table; the other three follow
    #[arg(long, value_name = "PORT", default_value_t = 8083, value_parser = clap::value_parser!(u16).range(1024..=65_532))]
    pub(crate) port: u16,
    /// What serves the tables: datapipe's own worker; Apache Kafka Connect with Debezium, as far as Kafka; or both
    #[arg(long, value_name = "KIND", value_enum, default_value_t = Kind::Native)]
    pub(crate) worker: Kind,
    /// A folder with plugins for `--worker kafka-connect`, each in a folder of its own: an S3 sink is none of ours to ship
    #[arg(long, value_name = "FOLDER")]
    pub(crate) plugin_path: Option<PathBuf>,
}

/// What serves a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// datapipe's own worker
    Native,
    /// Debezium in a JVM, datapipe's sink beside it
    Hybrid,
    /// Apache Kafka Connect with Debezium
    KafkaConnect,
}

impl From<Kind> for WorkerKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Native => Self::Native,
            Kind::Hybrid => Self::Hybrid,
            Kind::KafkaConnect => Self::KafkaConnect,
        }
    }
}
