//! Looking, until nothing is wrong or the time is over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use datapipe_boot::settings::Sources;
use datapipe_boot::{Exit, SystemClock, report, signals};
use datapipe_checks::judge::{fold, judge, judge_canary, judge_data, judge_pods};
use datapipe_checks::look::{Canary, How, Proof, Servers, look};
use datapipe_checks::{Category, Finding, Outcome, worst};
use datapipe_core::plan::{PipelinePlan, Plan, Problem, Problems};
use datapipe_core::port::clock::Clock as _;
use futures_util::{StreamExt as _, stream};

use crate::bundle::{self, Examined, Known};
use crate::cli::{Cli, FailOn, Selection};
use crate::pods::Pods;
use crate::show;
use crate::watch::Watch;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(2);

/// Tables that are looked at side by side, and that are compared: each comparison has memory of its own.
const LOOKS_MAX: usize = 16;
const PROOFS_MAX: usize = 2;

pub(crate) fn run(cli: &Cli) -> Exit {
    let plan = match planned(cli) {
        Ok(plan) => plan,
        Err(problems) => {
            report::print(&report::problems("wrong settings; nothing was looked at", &problems));
            return Exit::Config;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report::print(&report::error(&error));
            return Exit::Internal;
        }
    };
    let known = Known::default();
    let looked = runtime.block_on(looks(cli, &plan, &known));
    // A client that still waits for an answer must not hold up the end.
    runtime.shutdown_background();
    let Looks { all, interrupted } = match looked {
        Ok(looks) => looks,
        Err(error) => {
            report::print(&report::error(&error));
            return Exit::Internal;
        }
    };
    if let Err(error) = evidence(cli, &plan, &all, &known) {
        report::print(&report::error(&error));
        return Exit::Failed;
    }
    let findings: Vec<Finding> = all.into_iter().flat_map(|one| one.findings).collect();
    let printed = if interrupted { Exit::Healthy } else { report::result(&show::text(&findings, cli.output)) };
    match (worst(&findings), cli.fail_on) {
        (Outcome::Failed, _) => Exit::Failed,
        (Outcome::Warning, FailOn::Warning) => Exit::Changes,
        _ => printed,
    }
}

/// Writes the bundle, if there is to be one.
fn evidence(cli: &Cli, plan: &Plan, all: &[Examined], known: &Known) -> std::io::Result<()> {
    let Some(path) = &cli.bundle else { return Ok(()) };
    let (logs, now_ms) = (bundle::logs(&cli.bundle_logs)?, now_ms());
    bundle::write(path, &bundle::files(plan, all, &logs, known, now_ms), now_ms)?;
    report::print(&format!("evidence: {}\n", path.display()));
    Ok(())
}

fn planned(cli: &Cli) -> Result<Plan, Problems> {
    let plan = cli.selection.plan(&cli.tables)?;
    let known = |table: &&String| plan.tables.iter().any(|pipeline| pipeline.names.table == **table);
    let unknown = cli.canary_tables.iter().filter(|table| !known(table)).map(|table| {
        Problem::new(
            "--canary-table",
            format!("{table:?} is none of the tables that are looked at"),
            "name one of them",
        )
    });
    let problems: Vec<Problem> = unknown.collect();
    if problems.is_empty() { Ok(plan) } else { Err(Problems(problems)) }
}

impl Selection {
    /// The plan for these tables, or for all.
    pub(crate) fn plan(&self, tables: &[String]) -> Result<Plan, Problems> {
        let catalog = datapipe_catalog::all()?;
        let kind = if self.deployed { "kafka-connect" } else { "native" };
        let workers = self.workers.iter().map(|worker| match worker.split_once('=') {
            Some((table, kind)) => (format!("tables.{}.worker.kind", table.replace('-', "_")), kind.to_owned()),
            None => ("worker.kind".to_owned(), worker.clone()),
        });
        let with = self.with.as_ref().map(|servers| ("deploy.with".to_owned(), format!("[{servers}]")));
        let loaded = datapipe_boot::settings::load(&Sources {
            file: self.config.clone(),
            defaults: vec![("worker.kind".to_owned(), kind.to_owned())],
            flags: workers.chain(with).chain(self.set.clone()).collect(),
        });
        let loaded = if self.deployed { loaded.completed(datapipe_k8s::in_cluster) } else { loaded };
        loaded.plan(&catalog)?.only(tables)
    }
}

/// What is not looked at, and why.
fn left_out(cli: &Cli) -> BTreeMap<Category, String> {
    let outside = [Category::Worker, Category::Connector];
    let left = |category: &Category| match (cli.only.as_slice(), cli.selection.deployed) {
        ([], true) if !outside.contains(category) => {
            Some("it is reached from inside of the cluster only: --only asks for it all the same".to_owned())
        }
        ([], _) => None,
        (only, _) if only.contains(category) => None,
        _ => Some("not asked for by --only".to_owned()),
    };
    Category::ALL.iter().filter_map(|category| Some((*category, left(category)?))).collect()
}

/// The last look at every table, and whether the person has enough.
struct Looks {
    all: Vec<Examined>,
    interrupted: bool,
}

async fn looks(cli: &Cli, plan: &Plan, known: &Known) -> std::io::Result<Looks> {
    let resolve = |reference: &_| known.resolve(reference);
    let servers = Servers::new(plan, &cli.host, cli.timeout.0, &resolve).without(left_out(cli));
    let proof = &cli.proof;
    let data = proof.data || proof.repair || cli.only.contains(&Category::Data);
    let how = How { patience: proof.catch_up.0, one_of: proof.one_of, keep: proof.keep.clone(), repair: proof.repair };
    let at_once = if data { PROOFS_MAX } else { LOOKS_MAX };
    let stop = if cli.watch.is_some() { Some(signals::shutdown()?) } else { None };
    let pods = Pods::of(cli).await;
    let (begun, mut watch) = (Instant::now(), Watch::default());
    loop {
        let mut looks = Vec::new();
        for pipeline in &plan.tables {
            let canary = canary(cli, pipeline);
            looks.push(examine(&servers, plan, pipeline, data.then_some(&how), canary, &pods));
        }
        let all: Vec<Examined> = stream::iter(looks).buffered(at_once).collect().await;
        let worst = all.iter().map(|one| worst(&one.findings)).max().unwrap_or(Outcome::Ok);
        if let (Some(every), Some(stop)) = (cli.watch, &stop) {
            let findings: Vec<Finding> = all.iter().flat_map(|one| one.findings.clone()).collect();
            report::result(&watch.told(&findings, cli.output, now_ms()));
            // Interrupted in a look, it ends with that.
            if stop.is_cancelled() || tokio::time::timeout(every.0, stop.cancelled()).await.is_ok() {
                return Ok(Looks { all, interrupted: true });
            }
            continue;
        }
        let enough = match cli.fail_on {
            FailOn::Failed => worst < Outcome::Failed,
            FailOn::Warning => worst < Outcome::Warning,
        };
        if enough || cli.wait.is_none_or(|wait| begun.elapsed() + PAUSE > wait.0) {
            return Ok(Looks { all, interrupted: false });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What is sent through a table's pipeline, if anything.
fn canary(cli: &Cli, pipeline: &PipelinePlan) -> Option<Canary> {
    let row = cli.canary_tables.contains(&pipeline.names.table);
    let asked = row || cli.canary || cli.only.contains(&Category::Canary);
    asked.then_some(Canary { row, patience: cli.proof.catch_up.0 })
}

async fn examine(
    servers: &Servers,
    plan: &Plan,
    pipeline: &PipelinePlan,
    data: Option<&How>,
    canary: Option<Canary>,
    pods: &Pods,
) -> Examined {
    // What the canary meets is then seen by the look.
    let sent = match canary {
        Some(canary) => judge_canary(pipeline, &canary.send(servers, pipeline).await),
        None => Vec::new(),
    };
    let seen = look(servers, plan, pipeline).await;
    let mut findings = judge(pipeline, &seen, now_ms());
    if let Some(how) = data {
        findings.extend(judge_data(pipeline, &Proof::of(servers, pipeline, how).await));
    }
    findings.extend(sent);
    if let Some(pods) = pods.look(&pipeline.names.worker).await {
        findings.extend(judge_pods(pipeline, &pods, now_ms()));
    }
    Examined { seen, findings: fold(findings) }
}

fn now_ms() -> i64 {
    SystemClock.now_us() / 1000
}
