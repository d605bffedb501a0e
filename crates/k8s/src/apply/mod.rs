//! Bringing a cluster to what the tree says: look at everything, send what differs, wait with reasons, give connectors
//! their configurations, and wait until they run. And taking it away again, and stopping and starting connectors.

mod cluster;
mod connectors;
mod delete;
mod difference;
mod events;
mod inside;
mod judge;
mod jvm;
mod look;
mod operate;
mod pods;
mod preflight;
mod prune;
mod tool;
mod usage;
mod wait;

use std::time::Duration;

use datapipe_core::plan::{PipelinePlan, Plan, Problems};
use datapipe_core::settings::Role;
use serde_json::Value;

pub use crate::worker::InsideLook;
pub use cluster::{Cluster, ClusterError};
pub use delete::{Deletion, delete, deletion};
pub use difference::{Change, What};
pub use jvm::JvmView;
pub use operate::{Action, operate};
pub use pods::{PodView, WorkerView};
pub use usage::UsageView;

use crate::options::RenderOptions;
use crate::{Tree, render};
use inside::Inside;

/// How long, and who is told.
pub struct ApplyOptions<'a> {
    /// How long each object and each connector may take to become ready.
    pub wait_max: Duration,
    /// Takes a line about each step.
    pub say: &'a (dyn Fn(&str) + Sync),
}

/// Which part of a deployment, and what becomes of what is no part of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope<'a> {
    /// The tables whose workers and connectors are brought there, by SQL name; all of them if none is named. What tables
    /// share (namespace, policies, servers) is always as for all tables.
    pub tables: &'a [String],
    /// Whether this program's objects that are in no rendering any more are removed.
    pub prune: bool,
    /// Whether nodes are added on demand, so that the room on those there are decides nothing.
    pub nodes_grow: bool,
    /// Whether no pod is made that looks at servers and plugins from inside and makes topics.
    pub no_look: bool,
}

impl Scope<'_> {
    fn has(&self, table: &str) -> bool {
        self.tables.is_empty() || self.tables.iter().any(|one| one == table)
    }

    /// Whether it is sent. A policy is a table's, and shared: the others' must not be missing when all is denied.
    fn covers(&self, object: &Value) -> bool {
        let table = object["metadata"]["labels"]["table"].as_str();
        object["kind"] == "NetworkPolicy" || table.is_none_or(|table| self.has(table))
    }
}

/// What an apply has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// What was made or changed.
    pub changes: Vec<Change>,
    /// Connectors whose configuration was written.
    pub connectors: Vec<String>,
    /// Topics and publications that were made before the workers.
    pub made: Vec<String>,
}

/// What ends an apply.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Found before anything was changed.
    #[error("{0}")]
    Refused(Problems),
    /// What the workers need could not be made. What was sent stays; another apply goes on from there.
    #[error("{0}")]
    Unprepared(Problems),
    /// The cluster refused or did not answer.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// An object or a connector did not become ready in time. What was sent stays; another apply goes on from there.
    #[error("{object} was not {aim} within {waited_s} s: {why}")]
    NotReady {
        /// Which one.
        object: String,
        /// What was waited for, as `ready`.
        aim: &'static str,
        /// How long it was waited for, in seconds.
        waited_s: u64,
        /// The last reason seen.
        why: String,
    },
    /// A worker refuses a connector, or what is asked of it.
    #[error("{connector}: {why}; {fix}")]
    Connector {
        /// Which one.
        connector: String,
        /// Why.
        why: String,
        /// What to do.
        fix: String,
    },
}

/// The order in which objects are sent: what others need first.
fn rank(object: &Value) -> u8 {
    match object["kind"].as_str().unwrap_or_default() {
        "Namespace" => 0,
        "NetworkPolicy" => 1,
        "ConfigMap" => 2,
        "Service" => 3,
        "StatefulSet" => 4,
        _ if object["metadata"]["labels"]["component"] != "worker" => 5,
        _ => 6,
    }
}

fn ordered<'a>(tree: &'a Tree, scope: &Scope<'_>) -> Vec<&'a Value> {
    let mut objects: Vec<&Value> = tree.objects().filter(|object| scope.covers(object)).collect();
    objects.sort_by_key(|object| rank(object));
    objects
}

/// What an apply would change, object by object; no change, no entry.
pub async fn diff(
    cluster: &Cluster,
    plan: &Plan,
    options: &RenderOptions,
    scope: &Scope<'_>,
) -> Result<Vec<Change>, ApplyError> {
    let tree = render(plan, options).map_err(ApplyError::Refused)?;
    let mut changes = Vec::new();
    for object in ordered(&tree, scope) {
        changes.extend(cluster.change(object).await?);
    }
    let left = prune::left_over(cluster, &tree, scope).await?;
    changes.extend(left.iter().map(|object| prune::change(object, scope)));
    Ok(changes)
}

/// Brings the cluster to what the plan says, and waits until rows can flow. What is as it should be is not touched, so a
/// second apply changes nothing, and one that was interrupted is finished by the next.
pub async fn apply(
    cluster: &Cluster,
    plan: &Plan,
    options: &RenderOptions,
    scope: &Scope<'_>,
    how: &ApplyOptions<'_>,
) -> Result<Applied, ApplyError> {
    let tree = render(plan, options).map_err(ApplyError::Refused)?;
    let objects = ordered(&tree, scope);
    let mut part = plan.clone();
    part.tables.retain(|pipeline| scope.has(&pipeline.names.table));
    let inside = Inside { cluster, plan: &part, options, tree: &tree, how };
    let (changes, seen) = preflight::look(plan, &objects, scope, &inside).await?;
    let mut applied = Applied::default();
    for stage in [0..=5, 6..=6] {
        if stage.contains(&6) && !scope.no_look {
            Box::pin(inside.prepare(&seen, &mut applied)).await?;
        }
        let of_stage = |object: &&Value| stage.contains(&rank(object));
        let objects: Vec<&Value> = objects.iter().copied().filter(of_stage).collect();
        let changes = changes.iter().filter(|(object, _)| of_stage(object));
        send(cluster, &objects, changes, how, &mut applied).await?;
    }
    for pipeline in &part.tables {
        connectors::put(cluster, pipeline, &tree, how, &mut applied).await?;
    }
    // They start beside each other.
    let mut captures = Vec::new();
    for pipeline in &part.tables {
        let runs = connectors::wait(cluster, pipeline, how).await?;
        captures.extend((runs && reads_on(pipeline)).then_some(pipeline.names.table.as_str()));
    }
    if !scope.no_look {
        Box::pin(inside.streams(&captures, &seen, &applied)).await?;
    }
    // At last: what runs already does not wait for what goes.
    prune::prune(cluster, &tree, scope, how, &mut applied).await?;
    Ok(applied)
}

/// Sends what differs, and waits until all that makes pods is ready.
async fn send<'a>(
    cluster: &Cluster,
    objects: &[&Value],
    changes: impl Iterator<Item = &'a (&'a Value, Change)>,
    how: &ApplyOptions<'_>,
    applied: &mut Applied,
) -> Result<(), ApplyError> {
    let mut warnings = events::Warnings::begin(cluster).await?;
    for (object, change) in changes {
        cluster.send(object).await?;
        (how.say)(&change.to_string());
        applied.changes.push(change.clone());
    }
    for object in objects.iter().filter(|object| judge::has_pods(object)) {
        wait::ready(cluster, object, &mut warnings, how).await?;
    }
    Ok(())
}

/// Whether a stream follows its snapshot in a JVM. A native worker says RUNNING only once rows flow.
fn reads_on(pipeline: &PipelinePlan) -> bool {
    let source = pipeline.connector(Role::Source).filter(|_| pipeline.worker.kind.runs_in_jvm(Role::Source));
    source.is_some_and(|source| source.config.get("snapshot.mode").is_none_or(|mode| mode != "initial_only"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_table_alone_leaves_the_others_workers_and_keeps_their_policies() {
        let object =
            |kind: &str, table: Option<&str>| json!({ "kind": kind, "metadata": { "labels": { "table": table } } });
        let orders = ["orders".to_owned()];
        let one = Scope { tables: &orders, ..Scope::default() };
        for kind in ["Deployment", "Service", "ConfigMap"] {
            assert!(one.covers(&object(kind, Some("orders"))), "{kind}");
            assert!(!one.covers(&object(kind, Some("users"))), "{kind}");
            assert!(one.covers(&object(kind, None)), "{kind} that all tables share");
            assert!(Scope::default().covers(&object(kind, Some("users"))), "{kind}");
        }
        assert!(one.covers(&object("NetworkPolicy", Some("users"))));
    }
}
