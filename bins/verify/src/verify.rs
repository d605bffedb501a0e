//! Looking, until nothing is wrong or the time is over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use datapipe_boot::settings::Sources;
use datapipe_boot::{Exit, SystemClock, report, signals};
use datapipe_checks::judge::{fold, judge, judge_canary, judge_data, judge_inside, judge_pods};
use datapipe_checks::look::{Canary, How, Proof, Servers, look};
use datapipe_checks::{Category, Finding, Outcome, worst};
use datapipe_core::plan::{PipelinePlan, Plan, Problem, Problems};
use datapipe_core::port::clock::Clock as _;
use datapipe_core::settings::DeploySettings;
use datapipe_k8s::RenderOptions;
use futures_util::{StreamExt as _, stream};

use crate::bundle::{self, Examined, Known};
use crate::cli::{Cli, FailOn, Selection};
use crate::inside::{Inside, SeenThere};
use crate::pods::Pods;
use crate::show;
use crate::watch::Watch;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(2);

/// Tables that are looked at side by side, that are compared, and that have pods which look: comparisons and pods take memory.
const LOOKS_MAX: usize = 16;
const PROOFS_MAX: usize = 2;
const PODS_MAX: usize = 4;

pub(crate) fn run(cli: &Cli) -> Exit {
    let planned = match planned(cli) {
        Ok(planned) => planned,
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
    let looked = runtime.block_on(looks(cli, &planned, &known));
    // A client that still waits for an answer must not hold up the end.
    runtime.shutdown_background();
    let Looks { all, interrupted } = match looked {
        Ok(Some(looks)) => looks,
        Ok(None) => return Exit::Interrupted,
        Err(error) => {
            report::print(&report::error(&error));
            return Exit::Internal;
        }
    };
    if let Err(error) = evidence(cli, &planned.chosen, &all, &known) {
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

/// What is looked at, and how it is deployed if it is.
struct Planned {
    /// All tables: what belongs to one that is not looked at is nobody's leftover.
    plan: Plan,
    /// The tables that are looked at.
    chosen: Plan,
    options: Option<RenderOptions>,
}

fn planned(cli: &Cli) -> Result<Planned, Problems> {
    let (plan, deploy) = cli.selection.plan(&[])?;
    let chosen = plan.clone().only(&cli.tables)?;
    let options = cli.selection.deployed.then(|| RenderOptions::new(&deploy)).transpose()?;
    let known = |table: &&String| chosen.tables.iter().any(|pipeline| pipeline.names.table == **table);
    let unknown = cli.canary_tables.iter().filter(|table| !known(table)).map(|table| {
        Problem::new(
            "--canary-table",
            format!("{table:?} is none of the tables that are looked at"),
            "name one of them",
        )
    });
    let mut problems: Vec<Problem> = unknown.collect();
    if cli.inside && cli.only.contains(&Category::Canary) {
        problems.push(Problem::new("--only", "a pod of --inside sends no canary", "leave out one of the two"));
    }
    if problems.is_empty() { Ok(Planned { plan, chosen, options }) } else { Err(Problems(problems)) }
}

impl Selection {
    /// The plan for these tables, or for all, and the settings of its deployment.
    pub(crate) fn plan(&self, tables: &[String]) -> Result<(Plan, DeploySettings), Problems> {
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
        Ok((loaded.plan(&catalog)?.only(tables)?, loaded.readable().deploy.clone()))
    }
}

/// What is not looked at, and why.
fn left_out(cli: &Cli) -> BTreeMap<Category, String> {
    let outside = [Category::Worker, Category::Connector];
    let left = |category: &Category| match (cli.only.as_slice(), cli.selection.deployed) {
        ([], true) if !outside.contains(category) => Some(
            "it is reached from inside of the cluster only: --inside looks from there, --only from here".to_owned(),
        ),
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

/// None if the person broke it off.
async fn looks(cli: &Cli, planned: &Planned, known: &Known) -> std::io::Result<Option<Looks>> {
    let Planned { plan, chosen, options } = planned;
    let resolve = |reference: &_| known.resolve(reference);
    let servers = Servers::new(plan, &cli.host, cli.timeout.0, &resolve).without(left_out(cli));
    let proof = &cli.proof;
    let data = cli.compares();
    let how = How { patience: proof.catch_up.0, one_of: proof.one_of, keep: proof.keep.clone(), repair: proof.repair };
    let at_once = match (data, cli.inside) {
        (true, _) => PROOFS_MAX,
        (_, true) => PODS_MAX,
        _ => LOOKS_MAX,
    };
    let stop = if cli.watch.is_some() || cli.inside { Some(signals::shutdown()?) } else { None };
    let pods = Pods::of(cli, plan, options.as_ref()).await;
    let inside = match options.as_ref().filter(|_| cli.inside) {
        Some(options) => Some(Inside::of(cli, options.clone()).await),
        None => None,
    };
    let (begun, mut watch) = (Instant::now(), Watch::default());
    loop {
        let mut looks = Vec::new();
        for pipeline in &chosen.tables {
            let canary = canary(cli, pipeline);
            looks.push(examine(&servers, plan, pipeline, data.then_some(&how), canary, (&pods, inside.as_ref())));
        }
        let all = stream::iter(looks).buffered(at_once).collect::<Vec<Examined>>();
        let all = match (&inside, &stop) {
            (Some(inside), Some(stop)) => tokio::select! {
                all = all => all,
                () = stop.cancelled() => {
                    inside.remove().await;
                    return Ok(None);
                }
            },
            _ => all.await,
        };
        let worst = all.iter().map(|one| worst(&one.findings)).max().unwrap_or(Outcome::Ok);
        if let (Some(every), Some(stop)) = (cli.watch, &stop) {
            let findings: Vec<Finding> = all.iter().flat_map(|one| one.findings.clone()).collect();
            report::result(&watch.told(&findings, cli.output, now_ms()));
            // Interrupted in a look, it ends with that.
            if stop.is_cancelled() || tokio::time::timeout(every.0, stop.cancelled()).await.is_ok() {
                return Ok(Some(Looks { all, interrupted: true }));
            }
            continue;
        }
        let enough = match cli.fail_on {
            FailOn::Failed => worst < Outcome::Failed,
            FailOn::Warning => worst < Outcome::Warning,
        };
        if enough || cli.wait.is_none_or(|wait| begun.elapsed() + PAUSE > wait.0) {
            return Ok(Some(Looks { all, interrupted: false }));
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
    (pods, inside): (&Pods, Option<&Inside>),
) -> Examined {
    // What the canary meets is then seen by the look.
    let sent = match canary {
        Some(canary) => judge_canary(pipeline, &canary.send(servers, pipeline).await),
        None => Vec::new(),
    };
    let there = match inside {
        Some(inside) => Some(Box::pin(inside.look(plan, pipeline)).await),
        None => None,
    };
    let SeenThere { seen, problems, proof } = match there {
        Some(there) => there,
        None => SeenThere::from_here(look(servers, plan, pipeline).await),
    };
    let mut findings = judge(pipeline, &seen, now_ms());
    if let Some(how) = data {
        let proof = if inside.is_some() { proof } else { Proof::of(servers, pipeline, how).await };
        findings.extend(judge_data(pipeline, &proof));
    }
    findings.extend(sent);
    if let Some(pods) = pods.look(&pipeline.names.worker).await {
        findings.extend(judge_pods(pipeline, &pods, now_ms()));
        findings.extend(judge_inside(pipeline, &problems));
    }
    Examined { seen, findings: fold(findings) }
}

pub(crate) fn now_ms() -> i64 {
    SystemClock.now_us() / 1000
}
