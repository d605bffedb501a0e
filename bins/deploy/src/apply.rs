//! `datapipe-deploy diff` and `apply`.

use std::fmt::Write as _;
use std::future::Future;
use std::io::Write as _;

use datapipe_boot::{Exit, report, signals};
use datapipe_core::plan::Plan;
use datapipe_k8s::RenderOptions;
use datapipe_k8s::apply::{ApplyError, ApplyOptions, Cluster, Scope, What, apply, diff as differences};

use crate::cli::{ApplyArguments, ClusterArguments, DiffArguments};
use crate::planned::{Tables, planned, refuse, refuse_for};

pub(crate) fn diff(arguments: &DiffArguments) -> Exit {
    let tables = arguments.part.tables();
    with_cluster(&arguments.cluster, &tables, async |cluster, plan, options| {
        let names = tables.sql();
        let scope = Scope { tables: &names, prune: arguments.part.prune, ..Scope::default() };
        let changes = differences(&cluster, &plan, &options, &scope).await?;
        let text = changes.iter().fold(String::new(), |mut text, change| {
            let _ = writeln!(text, "{change}");
            text
        });
        say(&text);
        let none = changes.iter().all(|change| change.what == What::LeftOver);
        Ok(if none { Exit::Healthy } else { Exit::Changes })
    })
}

pub(crate) fn run(arguments: &ApplyArguments) -> Exit {
    let tables = arguments.part.tables();
    with_cluster(&arguments.cluster, &tables, async |cluster, plan, options| {
        let names = tables.sql();
        let (prune, no_look) = (arguments.part.prune, arguments.no_look);
        let scope = Scope { tables: &names, prune, nodes_grow: arguments.nodes_grow, no_look };
        let how = ApplyOptions { wait_max: arguments.timeout.0, say: &line };
        let applied = apply(&cluster, &plan, &options, &scope, &how).await?;
        let (objects, connectors) = (applied.changes.len(), applied.connectors.len());
        let all: Vec<&str> = plan.tables.iter().map(|pipeline| pipeline.names.table.as_str()).collect();
        let run = if names.is_empty() { all.join(", ") } else { names.join(", ") };
        let made = match applied.made.len() {
            0 => String::new(),
            made => format!(", {made} topics and publications made"),
        };
        line(&format!("{run} run: {objects} objects and {connectors} connectors changed{made}"));
        Ok(Exit::Healthy)
    })
}

/// Plans, connects and runs.
pub(crate) fn with_cluster<F: Future<Output = Result<Exit, ApplyError>>>(
    arguments: &ClusterArguments,
    tables: &Tables<'_>,
    body: impl FnOnce(Cluster, Plan, RenderOptions) -> F,
) -> Exit {
    let (plan, options) = match planned(&arguments.selection) {
        Ok(planned) => planned,
        Err(problems) => return refuse(&problems),
    };
    if let Err(problems) = tables.check(&plan) {
        return refuse_for("command line", &problems);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report::print(&report::error(&error));
            return Exit::Internal;
        }
    };
    // What the settings alone say is told before a cluster is asked.
    if let Err(problems) = datapipe_k8s::render(&plan, &options) {
        return refuse(&problems);
    }
    let ended = runtime.block_on(async {
        let stop = match signals::shutdown() {
            Ok(stop) => stop,
            Err(error) => {
                report::print(&report::error(&error));
                return Ok(Exit::Internal);
            }
        };
        let cluster = Cluster::connect(arguments.context.as_deref()).await?;
        tokio::select! {
            ended = body(cluster.clone(), plan, options) => ended,
            () = stop.cancelled() => {
                // Nobody reads any more what they find.
                cluster.remove_tools().await?;
                Ok(Exit::Interrupted)
            }
        }
    });
    ended.unwrap_or_else(|error| tell(&error))
}

fn tell(error: &ApplyError) -> Exit {
    match error {
        ApplyError::Refused(problems) => {
            report::print(&report::problems("the cluster is not ready for this; nothing was changed", problems));
            Exit::Unavailable
        }
        ApplyError::Unprepared(problems) => {
            let headline =
                "what the workers need could not be made; what was sent stays, and another apply goes on from there";
            report::print(&report::problems(headline, problems));
            Exit::Failed
        }
        ApplyError::Cluster(cluster) if cluster.unreachable => {
            report::print(&report::error(error));
            Exit::Unavailable
        }
        _ => {
            report::print(&report::error(error));
            Exit::Failed
        }
    }
}

pub(crate) fn line(text: &str) {
    say(&format!("{text}\n"));
}

/// There is nobody to tell if the reader is gone.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
