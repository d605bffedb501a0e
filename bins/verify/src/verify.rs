//! Looking, until nothing is wrong or the time is over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use datapipe_boot::settings::Sources;
use datapipe_boot::{Exit, SystemClock, report, secrets};
use datapipe_checks::judge::{fold, judge, judge_data};
use datapipe_checks::look::{How, Proof, Servers, look};
use datapipe_checks::{Category, Finding, Outcome, worst};
use datapipe_core::plan::{PipelinePlan, Plan, Problems};
use datapipe_core::port::clock::Clock as _;
use futures_util::{StreamExt as _, stream};

use crate::cli::{Cli, FailOn};
use crate::show;

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
    let findings = runtime.block_on(findings(cli, &plan));
    let printed = report::result(&show::text(&findings, cli.output));
    // A client that still waits for an answer must not hold up the end.
    runtime.shutdown_background();
    match (worst(&findings), cli.fail_on) {
        (Outcome::Failed, _) => Exit::Failed,
        (Outcome::Warning, FailOn::Warning) => Exit::Changes,
        _ => printed,
    }
}

fn planned(cli: &Cli) -> Result<Plan, Problems> {
    let catalog = datapipe_catalog::all()?;
    let kind = if cli.deployed { "kafka-connect" } else { "native" };
    let workers = cli.workers.iter().map(|worker| match worker.split_once('=') {
        Some((table, kind)) => (format!("tables.{}.worker.kind", table.replace('-', "_")), kind.to_owned()),
        None => ("worker.kind".to_owned(), worker.clone()),
    });
    let with = cli.with.as_ref().map(|servers| ("deploy.with".to_owned(), format!("[{servers}]")));
    let loaded = datapipe_boot::settings::load(&Sources {
        file: cli.config.clone(),
        defaults: vec![("worker.kind".to_owned(), kind.to_owned())],
        flags: workers.chain(with).chain(cli.set.clone()).collect(),
    });
    let loaded = if cli.deployed { loaded.completed(datapipe_k8s::in_cluster) } else { loaded };
    loaded.plan(&catalog)?.only(&cli.tables)
}

/// What is not looked at, and why.
fn left_out(cli: &Cli) -> BTreeMap<Category, String> {
    let outside = [Category::Worker, Category::Connector];
    let left = |category: &Category| match (cli.only.as_slice(), cli.deployed) {
        ([], true) if !outside.contains(category) => {
            Some("it is reached from inside of the cluster only: --only asks for it all the same".to_owned())
        }
        ([], _) => None,
        (only, _) if only.contains(category) => None,
        _ => Some("not asked for by --only".to_owned()),
    };
    Category::ALL.iter().filter_map(|category| Some((*category, left(category)?))).collect()
}

async fn findings(cli: &Cli, plan: &Plan) -> Vec<Finding> {
    let resolve = |reference: &_| {
        secrets::resolve(reference).map_err(|error| format!("{}; {}", report::chain(&error), error.hint()))
    };
    let servers = Servers::new(plan, &cli.host, cli.timeout.0, &resolve).without(left_out(cli));
    let data = cli.data || cli.only.contains(&Category::Data);
    let how = How { patience: cli.catch_up.0, one_of: cli.one_of, keep: cli.keep.clone() };
    let begun = Instant::now();
    loop {
        let mut looks = Vec::new();
        for pipeline in &plan.tables {
            looks.push(examine(&servers, plan, pipeline, data.then_some(&how)));
        }
        let at_once = if data { PROOFS_MAX } else { LOOKS_MAX };
        let found: Vec<Vec<Finding>> = stream::iter(looks).buffered(at_once).collect().await;
        let findings: Vec<Finding> = found.into_iter().flatten().collect();
        let enough = match cli.fail_on {
            FailOn::Failed => worst(&findings) < Outcome::Failed,
            FailOn::Warning => worst(&findings) < Outcome::Warning,
        };
        if enough || cli.wait.is_none_or(|wait| begun.elapsed() + PAUSE > wait.0) {
            return findings;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn examine(servers: &Servers, plan: &Plan, pipeline: &PipelinePlan, data: Option<&How>) -> Vec<Finding> {
    let seen = look(servers, plan, pipeline).await;
    let mut findings = judge(pipeline, &seen, SystemClock.now_us() / 1000);
    if let Some(how) = data {
        findings.extend(judge_data(pipeline, &Proof::of(servers, pipeline, how).await));
    }
    fold(findings)
}
