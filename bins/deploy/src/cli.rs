//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use datapipe_core::settings::Span;
use datapipe_core::table::WorkerKind;

use crate::planned::Tables;

/// Deploys table-isolated pipelines PostgreSQL -> Kafka -> S3 on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "datapipe-deploy", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write manifests, connector files and scripts; touches no server
    Render(RenderArguments),
    /// Show what an apply would change in the cluster; changes nothing
    Diff(DiffArguments),
    /// Bring the cluster to what the settings say, and wait until all connectors run
    Apply(ApplyArguments),
    /// Restart tables' connectors and tasks, and wait until they run
    Restart(RestartArguments),
    /// Pause tables' connectors: tasks stay, and do nothing
    Pause(OperateArguments),
    /// Let tables' connectors run again after a pause or a stop
    Resume(OperateArguments),
    /// Stop tables' connectors: their tasks end
    Stop(OperateArguments),
    /// Delete what this program has made; shows it first, and deletes with --yes only
    Delete(DeleteArguments),
}

/// Which settings.
#[derive(Clone, Debug, Args)]
pub(crate) struct Selection {
    /// The file of settings [default: datapipe.toml, if it is there]
    #[arg(long, value_name = "FILE", env = "DATAPIPE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// What serves the tables, KIND, or one table, TABLE=KIND: kafka-connect, hybrid or native; may be repeated
    #[arg(long = "worker", value_name = "[TABLE=]KIND", value_parser = worker)]
    pub(crate) workers: Vec<(Option<String>, WorkerKind)>,
    /// Servers for trials that are deployed along
    #[arg(long, value_name = "SERVER", value_enum, value_delimiter = ',')]
    pub(crate) with: Vec<With>,
    /// One setting, above file and environment, as in worker.memory=300MiB; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
}

/// Which cluster.
#[derive(Debug, Args)]
pub(crate) struct ClusterArguments {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// The context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
}

/// Which part of the deployment.
#[derive(Debug, Args)]
pub(crate) struct Part {
    /// Only this table's worker and connectors, and what tables share; may be repeated [default: all]
    #[arg(long = "table", value_name = "TABLE")]
    pub(crate) tables: Vec<String>,
    /// Remove what this program has made and the settings hold no more; never volume claims, Secrets, the namespace
    #[arg(long, conflicts_with = "tables")]
    pub(crate) prune: bool,
}

impl Part {
    pub(crate) fn tables(&self) -> Tables<'_> {
        Tables { object: "--table", names: &self.tables }
    }
}

/// `datapipe-deploy diff`
#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
    #[command(flatten)]
    pub(crate) part: Part,
}

/// `datapipe-deploy apply`
#[derive(Debug, Args)]
pub(crate) struct ApplyArguments {
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
    #[command(flatten)]
    pub(crate) part: Part,
    /// Nodes are added on demand: do not look for room on those there are
    #[arg(long)]
    pub(crate) nodes_grow: bool,
    /// Make no pod that looks at servers and plugins from inside and makes topics
    #[arg(long)]
    pub(crate) no_look: bool,
    /// How long each object and each connector may take to become ready, as 90s or 10m
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub(crate) timeout: Span,
}

/// `datapipe-deploy pause`, `resume`, `stop`
#[derive(Debug, Args)]
pub(crate) struct OperateArguments {
    /// The tables
    #[arg(value_name = "TABLE", required = true)]
    pub(crate) tables: Vec<String>,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
    /// How long each connector may take, as 90s or 10m
    #[arg(long, value_name = "TIME", default_value = "2m")]
    pub(crate) timeout: Span,
}

/// `datapipe-deploy restart`
#[derive(Debug, Args)]
pub(crate) struct RestartArguments {
    #[command(flatten)]
    pub(crate) operate: OperateArguments,
    /// Replace the workers' pods instead
    #[arg(long)]
    pub(crate) pods: bool,
}

/// `datapipe-deploy delete`
#[derive(Debug, Args)]
pub(crate) struct DeleteArguments {
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
    /// Delete PostgreSQL's volume claim too, and with it all rows
    #[arg(long)]
    pub(crate) data: bool,
    /// Do it
    #[arg(long)]
    pub(crate) yes: bool,
    /// How long each object may take to go, as 90s or 10m
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub(crate) timeout: Span,
}

/// `datapipe-deploy render`
#[derive(Debug, Args)]
pub(crate) struct RenderArguments {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// The folder in which 1-data-ingestion-pipeline/ is written
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
    /// The form of manifests
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    pub(crate) format: Format,
    /// Overwrite files that were not rendered, or were changed since
    #[arg(long)]
    pub(crate) force: bool,
}

/// A server for trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum With {
    /// One Kafka broker
    Kafka,
    /// One S3 server
    S3,
}

impl With {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::S3 => "s3",
        }
    }
}

/// The form of manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One document per object
    Yaml,
    /// One List per file
    Json,
}

const EXIT_CODES: &str = "Exit codes: 0 done, or no differences; 1 a step failed, or a file would have been overwritten; \
                          2 there are differences, or delete was not told --yes; 64 wrong command line; 69 no cluster \
                          answers, or it lacks something, and nothing was changed; 78 wrong settings, nothing was written or changed; \
                          130 broken off by a signal.";

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, as in worker.memory=300MiB".to_owned()),
    }
}

fn worker(text: &str) -> Result<(Option<String>, WorkerKind), String> {
    let (table, kind) = match text.split_once('=') {
        Some((table, kind)) => (Some(table), kind),
        None => (None, text),
    };
    let kinds = [WorkerKind::KafkaConnect, WorkerKind::Hybrid, WorkerKind::Native];
    let known = kinds.into_iter().find(|one| one.name() == kind);
    let kind = known.ok_or_else(|| format!("{kind:?} is none of kafka-connect, hybrid and native"))?;
    match table {
        Some(table) if table.is_empty() || table.contains('.') => {
            Err("name a table before =, as in orders=native".to_owned())
        }
        table => Ok((table.map(|table| table.replace('-', "_")), kind)),
    }
}
