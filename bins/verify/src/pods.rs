//! The pods of a deployment, if they are to be looked at.

use datapipe_checks::{Category, DeployedSeen, DriftSeen, HeapSeen, Looked, PodSeen, UsageSeen, collections};
use datapipe_core::plan::Plan;
use datapipe_k8s::apply::{Cluster, JvmView, PodView, UsageView, WorkerView};
use datapipe_k8s::{RenderOptions, Tree, render};

use crate::cli::Cli;

/// Where pods are asked for.
pub(crate) enum Pods {
    /// Nobody asked.
    Unasked,
    /// They belong to what is looked at, and cannot be reached.
    Left(String),
    /// The cluster, or why there is none; and what is planned for it, if the settings are a deployment's. What cannot be rendered
    /// was never applied either.
    At(Box<Result<Cluster, String>>, Option<Tree>),
}

impl Pods {
    pub(crate) async fn of(cli: &Cli, plan: &Plan, options: Option<&RenderOptions>) -> Self {
        let asked = cli.pods || cli.inside || cli.context.is_some() || cli.only.contains(&Category::Kubernetes);
        match (asked, cli.selection.deployed && cli.only.is_empty()) {
            (true, _) => {
                let cluster = Cluster::connect(cli.context.as_deref()).await;
                Self::At(
                    Box::new(cluster.map_err(|error| error.to_string())),
                    options.and_then(|options| render(plan, options).ok()),
                )
            }
            (false, true) => Self::Left("pods are looked at with --pods".to_owned()),
            (false, false) => Self::Unasked,
        }
    }

    /// What the cluster has of a worker; none if nobody asked.
    pub(crate) async fn look(&self, worker: &str) -> Option<Looked<DeployedSeen>> {
        let (cluster, tree) = match self {
            Self::Unasked => return None,
            Self::Left(why) => return Some(Looked::Left(why.clone())),
            Self::At(cluster, tree) => (cluster, tree),
        };
        let cluster = match cluster.as_ref() {
            Ok(cluster) => cluster,
            Err(why) => return Some(Looked::Silent(why.clone())),
        };
        Some(match cluster.worker(worker, tree.as_ref()).await {
            Ok(view) => Looked::Seen(seen(view)),
            Err(error) => Looked::Silent(error.to_string()),
        })
    }
}

fn seen(WorkerView { pods, unmade, astray, drift }: WorkerView) -> DeployedSeen {
    let objects = |drift: Vec<_>| drift.into_iter().map(|(object, fields)| DriftSeen { object, fields }).collect();
    let drift = drift.map_or_else(Looked::Left, |drift| Looked::Seen(objects(drift)));
    let astray = astray.map_or_else(Looked::Left, Looked::Seen);
    DeployedSeen { pods: pods.into_iter().map(pod).collect(), unmade, astray, drift }
}

fn pod(pod: PodView) -> PodSeen {
    let PodView { name, not_ready, waits, restarts, ended, ended_ms, limits, jvm, usage } = pod;
    let one = |UsageView { container, used_bytes, limit_bytes }| UsageSeen { container, used_bytes, limit_bytes };
    let usage = usage.map_or_else(Looked::Left, |all| Looked::Seen(all.into_iter().map(one).collect()));
    PodSeen { name, not_ready, waits, restarts, ended, ended_ms, limits, heap: jvm.map(heap), usage: Some(usage) }
}

/// Of a worker's log nothing is kept but its collections.
fn heap(JvmView { heap_max_bytes, log }: JvmView) -> Looked<HeapSeen> {
    let seen = |log: String| Looked::Seen(HeapSeen { max_bytes: heap_max_bytes, collections: collections(&log) });
    log.map_or_else(Looked::Left, seen)
}
