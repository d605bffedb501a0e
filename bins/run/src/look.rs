//! `look`: what a table's servers show from here, for a `datapipe-verify` that cannot reach them. Judging is left to that one.

use std::collections::BTreeMap;
use std::time::Duration;

use datapipe_boot::{Exit, report, secrets};
use datapipe_checks::look::{How, Proof, Servers, look};
use datapipe_checks::{Category, EdgeTo, EdgesSeen, Looked, SeenInside, Way};
use datapipe_core::plan::{PipelinePlan, Plan, Problem, Problems};
use datapipe_reconcile::Limits;

use crate::cli::{LookArguments, Server};
use crate::serve::with_runtime;
use crate::servers;

/// A pod is there before all that holds for it: until then its own policies may let through what they forbid.
const SETTLE: Duration = Duration::from_secs(2);
/// And those of the servers may not know it yet: so long a way that is closed is tried again.
const PATIENCE: Duration = Duration::from_secs(12);

/// What is looked at.
const SERVERS: [(Server, Category, EdgeTo); 3] = [
    (Server::Postgres, Category::Postgres, EdgeTo::Postgres),
    (Server::Kafka, Category::Kafka, EdgeTo::Kafka),
    (Server::S3, Category::S3, EdgeTo::S3),
];

pub(crate) fn run(arguments: &LookArguments) -> Exit {
    with_runtime(async |stop| {
        let plan = match crate::planned(&arguments.selection) {
            Ok(plan) => plan,
            Err(problems) => return crate::refuse(&problems),
        };
        let Some(pipeline) = plan.tables.iter().find(|pipeline| pipeline.names.table == arguments.name) else {
            let what = format!("{:?} is none of the tables of these settings", arguments.name);
            return crate::refuse(&Problems(vec![Problem::new("TABLE", what, "name one of them")]));
        };
        let seen = async {
            tokio::time::sleep(SETTLE).await;
            Box::pin(seen(&plan, pipeline, arguments)).await
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Exit::Interrupted,
            seen = seen => match serde_json::to_string(&seen) {
                Ok(document) => report::result(&format!("{document}\n")),
                Err(error) => {
                    report::print(&report::error(&error));
                    Exit::Internal
                }
            },
        }
    })
}

async fn seen(plan: &Plan, pipeline: &PipelinePlan, arguments: &LookArguments) -> SeenInside {
    let resolve = |reference: &_| {
        secrets::resolve(reference).map_err(|error| format!("{}; {}", report::chain(&error), error.hint()))
    };
    let elsewhere = |category| (category, "it is asked by whoever verifies".to_owned());
    let mut left_out = BTreeMap::from([Category::Worker, Category::Connector, Category::Network].map(elsewhere));
    let wants = |category: &Category| arguments.only.is_empty() || arguments.only.contains(category);
    let (wanted, others): (Vec<_>, Vec<_>) = SERVERS.into_iter().partition(|(_, category, _)| wants(category));
    left_out.extend(others.into_iter().map(|(_, category, _)| (category, "not asked for by --only".to_owned())));
    let servers = Servers::new(plan, "localhost", arguments.timeout.0, &resolve).without(left_out);
    // First: once these are open, whatever holds for this pod is in force.
    let edges = servers.edges(plan, pipeline, PATIENCE, true).await;
    let mut alone = plan.clone();
    alone.tables.retain(|one| one.names.table == pipeline.names.table);
    let (mut seen, problems) = tokio::join!(look(&servers, plan, pipeline), own_test(&alone, &edges, wanted));
    // It goes through the pod's log, which others may keep, and may hold values of a row.
    if let Looked::Seen(cluster) = &mut seen.kafka
        && let Some(letter) = &mut cluster.last_letter
    {
        letter.message = None;
    }
    seen.edges = Looked::Seen(edges);
    SeenInside { seen, problems, proof: proof(&servers, pipeline, arguments).await }
}

async fn proof(servers: &Servers, pipeline: &PipelinePlan, arguments: &LookArguments) -> Option<Proof> {
    let LookArguments { data, catch_up, one_of, repair, .. } = arguments;
    let how = How { patience: catch_up.0, one_of: *one_of, keep: None, repair: *repair };
    let mut proof = if *data { Some(Proof::of(servers, pipeline, &how).await) } else { None };
    if let Some(Proof::Compared { report, .. }) = &mut proof {
        report.keep_examples(Limits::default().examples_max);
    }
    proof
}

/// What a start would find. What no way leads to is not waited for once more.
async fn own_test(plan: &Plan, edges: &EdgesSeen, wanted: Vec<(Server, Category, EdgeTo)>) -> Vec<Problem> {
    let (mut open, mut problems) = (Vec::new(), Vec::new());
    for (server, category, to) in wanted {
        if edges.edges.iter().any(|edge| edge.to == to && edge.way != Way::Open) {
            problems.push(Problem::new(category.word(), "was not tested, as the way to it is closed", "open the way"));
        } else {
            open.push(server);
        }
    }
    // None would stand for all of them.
    if !open.is_empty() {
        problems.extend(servers::look(plan, &open, Duration::ZERO).await.problems);
    }
    problems
}
