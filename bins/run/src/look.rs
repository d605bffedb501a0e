//! `look`: what the servers say of each table, for a `datapipe-verify` that cannot reach them. Judging is left to that one.

use std::collections::BTreeMap;

use datapipe_boot::{Exit, report, secrets};
use datapipe_checks::judge::judge_data;
use datapipe_checks::look::{How, Proof, Servers, look};
use datapipe_checks::{Category, SeenInside};
use datapipe_core::plan::{PipelinePlan, Plan};
use futures_util::{StreamExt as _, stream};
use serde_json::json;

use crate::cli::LookArguments;
use crate::serve::with_runtime;

/// Tables that are looked at side by side, and that are compared: each comparison has memory of its own.
const LOOKS_MAX: usize = 16;
const PROOFS_MAX: usize = 2;

pub(crate) fn run(arguments: &LookArguments) -> Exit {
    with_runtime(async |stop| {
        let plan = match crate::planned(&arguments.selection) {
            Ok(plan) => plan,
            Err(problems) => return crate::refuse(&problems),
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Exit::Interrupted,
            seen = seen(&plan, arguments) => report::result(&format!("{}\n", json!({ "inside": seen }))),
        }
    })
}

async fn seen(plan: &Plan, arguments: &LookArguments) -> Vec<SeenInside> {
    let resolve = |reference: &_| {
        secrets::resolve(reference).map_err(|error| format!("{}; {}", report::chain(&error), error.hint()))
    };
    let elsewhere = "it is asked from outside";
    let left_out: BTreeMap<_, _> =
        [Category::Worker, Category::Connector].map(|category| (category, elsewhere.to_owned())).into();
    let servers = Servers::new(plan, "localhost", arguments.timeout.0, &resolve).without(left_out);
    let how = How { patience: arguments.catch_up.0, one_of: 1, keep: None, repair: false };
    let one = async |pipeline: &PipelinePlan| {
        let seen = look(&servers, plan, pipeline).await;
        let data = match arguments.data {
            true => judge_data(pipeline, &Proof::of(&servers, pipeline, &how).await),
            false => Vec::new(),
        };
        SeenInside { table: pipeline.names.table.clone(), seen, data }
    };
    let at_once = if arguments.data { PROOFS_MAX } else { LOOKS_MAX };
    stream::iter(plan.tables.iter().map(one)).buffered(at_once).collect().await
}
