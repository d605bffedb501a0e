//! The plan: complete, validated all at once, printable, with secrets as references only.

mod bounds;
mod endpoints;
mod further;
mod hybrid;
mod pipeline;
mod problem;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

pub use endpoints::{KafkaPlan, PostgresPlan, S3Plan, host_and_port};
pub use pipeline::{ConnectorPlan, PipelinePlan, PublicationPlan, TopicPlan};
pub use problem::{Problem, Problems};
pub use report::{ServerReport, SlotUse};

use crate::allow_list::AllowList;
use crate::catalog::Catalog;
use crate::secret::SecretRef;
use crate::settings::{Settings, Span};

/// Everything that will be made and run. No field means "default": what was left out in the settings is decided
/// here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Where rows come from.
    pub postgres: PostgresPlan,
    /// Where changes are kept.
    pub kafka: KafkaPlan,
    /// Where objects go.
    pub s3: S3Plan,
    /// This process.
    pub run: RunPlan,
    /// The pipelines, ordered by the table's name.
    pub tables: Vec<PipelinePlan>,
}

/// This process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunPlan {
    /// The address that the REST servers listen on.
    pub listen: IpAddr,
    /// Where unfinished objects are spooled.
    pub data_dir: PathBuf,
    /// How long a stop may take to reach a commit boundary.
    pub drain_timeout: Span,
    /// Names by which REST may be asked beside `localhost` and the address.
    pub hosts: Vec<String>,
    /// What references in connector configurations may lead to.
    pub config_providers: AllowList,
}

impl Plan {
    /// Derives the plan, or reports every problem at once.
    pub fn new(catalog: &Catalog, settings: &Settings) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let postgres = endpoints::postgres(&settings.postgres, &mut problems);
        let kafka = endpoints::kafka(&settings.kafka, &mut problems);
        let s3 = endpoints::s3(&settings.s3, &mut problems);
        let run = run(settings, named(&postgres, &s3), &mut problems);
        bounds::sections(settings, &mut problems);
        let sections = problems.clone();
        let mut tables = Vec::new();
        for (table, declared) in catalog.iter() {
            let place = pipeline::Place { settings, postgres: &postgres, s3: &s3 };
            tables.extend(pipeline::plan(&place, table, declared, &mut problems));
        }
        unknown_tables(catalog, settings, &mut problems);
        shared_ports(&tables, &mut problems);
        hybrid::clashes(&tables, &mut problems);
        // A rule that all tables break by one setting is one problem.
        let mut seen = BTreeSet::new();
        problems.retain(|problem| seen.insert(problem.to_string()) && !bounds::inherited(problem, &sections));
        if problems.is_empty() { Ok(Self { postgres, kafka, s3, run, tables }) } else { Err(Problems(problems)) }
    }

    /// The plan for some of the tables only, by SQL name; all of them if none is named.
    pub fn only(mut self, tables: &[String]) -> Result<Self, Problems> {
        let known: Vec<&str> = self.tables.iter().map(|pipeline| pipeline.names.table.as_str()).collect();
        let unknown = tables.iter().filter(|name| !known.contains(&name.as_str()));
        let problems: Vec<Problem> = unknown.map(|name| unknown_table("--table", name, &known)).collect();
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        self.tables.retain(|pipeline| tables.is_empty() || tables.contains(&pipeline.names.table));
        Ok(self)
    }
}

/// The references that the connectors of the plan will hold.
fn named(postgres: &PostgresPlan, s3: &S3Plan) -> BTreeSet<SecretRef> {
    let keys = [&s3.access_key_id, &s3.secret_access_key];
    keys.into_iter().chain(&s3.session_token).chain(&postgres.password).cloned().collect()
}

fn run(settings: &Settings, named: BTreeSet<SecretRef>, problems: &mut Vec<Problem>) -> RunPlan {
    const DRAIN: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);
    let run = &settings.run;
    let text = run.listen.as_deref().unwrap_or("127.0.0.1");
    let listen = text.parse().unwrap_or_else(|_| {
        let what = format!("{text:?} is no IP address");
        problems.push(Problem::new("run.listen", what, "set an address such as \"127.0.0.1\", or \"0.0.0.0\" for all"));
        IpAddr::from([127, 0, 0, 1])
    });
    let drain_timeout = run.drain_timeout.unwrap_or(Span(Duration::from_secs(20)));
    if !DRAIN.contains(&drain_timeout.0) {
        let what = format!("{drain_timeout} is out of bounds");
        problems.push(Problem::new("run.drain_timeout", what, "set a duration from \"100ms\" to \"10m\""));
    }
    let data_dir = run.data_dir.clone().unwrap_or_else(|| PathBuf::from("datapipe-data"));
    for host in run.hosts.iter().filter(|host| host.is_empty() || host.contains(['/', ':', ' '])) {
        let fix = "write names alone, as in [\"cdc.example.org\"]: no scheme, no port";
        problems.push(Problem::new("run.hosts", format!("{host:?} is no host's name"), fix));
    }
    let hosts = run.hosts.clone();
    let config_providers = AllowList::of(&run.config_providers, named, problems);
    RunPlan { listen, data_dir, drain_timeout, hosts, config_providers }
}

fn unknown_tables(catalog: &Catalog, settings: &Settings, problems: &mut Vec<Problem>) {
    let known: Vec<&str> = catalog.tables().collect();
    for name in settings.tables.keys().filter(|name| !known.contains(&name.as_str())) {
        problems.push(unknown_table(&format!("tables.{name}"), name, &known));
    }
}

fn unknown_table(object: &str, name: &str, known: &[&str]) -> Problem {
    let nearest = known.iter().min_by_key(|candidate| strsim::osa_distance(name, candidate));
    let near = nearest.filter(|candidate| strsim::osa_distance(name, candidate) <= 1 + name.len() / 4);
    let fix = match near {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("known tables are {}; docs/adding-a-table.md tells how to add one", known.join(", ")),
    };
    Problem::new(object, format!("no table {name:?} is declared"), fix)
}

fn shared_ports(tables: &[PipelinePlan], problems: &mut Vec<Problem>) {
    let mut owners: BTreeMap<u16, &str> = BTreeMap::new();
    for pipeline in tables {
        let table = &pipeline.names.table;
        if let Some(first) = owners.insert(pipeline.port, table) {
            let what = format!("port {} is also the one of table {first}", pipeline.port);
            let fix = format!("set another port in [tables.{table}] or [tables.{first}]");
            problems.push(Problem::new(format!("tables.{table}.port"), what, fix));
        }
    }
}
