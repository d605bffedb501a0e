//! Bringing a cluster to what the tree says: look at everything, send what differs, wait with reasons, give connectors
//! their configurations, and wait until they run.

mod cluster;
mod connectors;
mod difference;
mod judge;
mod preflight;
mod wait;

use std::time::Duration;

use datapipe_core::plan::{Plan, Problems};
use serde_json::Value;

pub use cluster::{Cluster, ClusterError};
pub use difference::{Change, What};

use crate::options::RenderOptions;
use crate::{Tree, render};

/// How long, and who is told.
pub struct ApplyOptions<'a> {
    /// How long each object and each connector may take to become ready.
    pub wait_max: Duration,
    /// Takes a line about each step.
    pub say: &'a (dyn Fn(&str) + Sync),
}

/// What an apply has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// What was made or changed.
    pub changes: Vec<Change>,
    /// Connectors whose configuration was written.
    pub connectors: Vec<String>,
}

/// What ends an apply.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Found before anything was changed.
    #[error("{0}")]
    Refused(Problems),
    /// The cluster refused or did not answer.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// An object or a connector did not become ready in time. What was sent stays; another apply goes on from there.
    #[error("{object} was not ready within {waited_s} s: {why}")]
    NotReady {
        /// Which one.
        object: String,
        /// How long it was waited for, in seconds.
        waited_s: u64,
        /// The last reason seen.
        why: String,
    },
    /// A worker refuses a connector.
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

fn ordered(tree: &Tree) -> Vec<&Value> {
    let mut objects: Vec<&Value> = tree.objects().collect();
    objects.sort_by_key(|object| rank(object));
    objects
}

/// What an apply would change, object by object; no change, no entry.
pub async fn diff(cluster: &Cluster, plan: &Plan, options: &RenderOptions) -> Result<Vec<Change>, ApplyError> {
    let tree = render(plan, options).map_err(ApplyError::Refused)?;
    let mut changes = Vec::new();
    for object in ordered(&tree) {
        changes.extend(cluster.change(object).await?);
    }
    Ok(changes)
}

/// Brings the cluster to what the plan says, and waits until rows can flow. What is as it should be is not touched, so a
/// second apply changes nothing, and one that was interrupted is finished by the next.
pub async fn apply(
    cluster: &Cluster,
    plan: &Plan,
    options: &RenderOptions,
    how: &ApplyOptions<'_>,
) -> Result<Applied, ApplyError> {
    let tree = render(plan, options).map_err(ApplyError::Refused)?;
    let problems = preflight::look(cluster, plan, &tree).await?;
    if !problems.is_empty() {
        return Err(ApplyError::Refused(Problems(problems)));
    }
    let mut applied = Applied::default();
    let objects = ordered(&tree);
    for stage in [0..=5, 6..=6] {
        let stage: Vec<&Value> = objects.iter().filter(|object| stage.contains(&rank(object))).copied().collect();
        for object in &stage {
            if let Some(change) = cluster.change(object).await? {
                cluster.send(object).await?;
                (how.say)(&change.to_string());
                applied.changes.push(change);
            }
        }
        for object in stage.iter().filter(|object| rank(object) >= 4) {
            wait::ready(cluster, object, how).await?;
        }
    }
    for pipeline in &plan.tables {
        connectors::put(cluster, pipeline, &tree, how, &mut applied).await?;
    }
    // They start beside each other.
    for pipeline in &plan.tables {
        connectors::wait(cluster, pipeline, how).await?;
    }
    Ok(applied)
}
