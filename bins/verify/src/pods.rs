//! The pods of a deployment, if they are to be looked at.

use datapipe_checks::{Category, Looked, PodSeen};
use datapipe_k8s::apply::{Cluster, PodView};

use crate::cli::Cli;

/// Where pods are asked for.
pub(crate) enum Pods {
    /// Nobody asked.
    Unasked,
    /// They belong to what is looked at, and cannot be reached.
    Left(String),
    /// The cluster, or why there is none.
    At(Box<Result<Cluster, String>>),
}

impl Pods {
    pub(crate) async fn of(cli: &Cli) -> Self {
        let asked = cli.pods || cli.inside || cli.context.is_some() || cli.only.contains(&Category::Kubernetes);
        match (asked, cli.selection.deployed && cli.only.is_empty()) {
            (true, _) => {
                let cluster = Cluster::connect(cli.context.as_deref()).await;
                Self::At(Box::new(cluster.map_err(|error| error.to_string())))
            }
            (false, true) => Self::Left("pods are looked at with --pods".to_owned()),
            (false, false) => Self::Unasked,
        }
    }

    /// The pods of a worker; none if nobody asked.
    pub(crate) async fn look(&self, worker: &str) -> Option<Looked<Vec<PodSeen>>> {
        let cluster = match self {
            Self::Unasked => return None,
            Self::Left(why) => return Some(Looked::Left(why.clone())),
            Self::At(cluster) => cluster,
        };
        let cluster = match cluster.as_ref() {
            Ok(cluster) => cluster,
            Err(why) => return Some(Looked::Silent(why.clone())),
        };
        Some(match cluster.worker_pods(worker).await {
            Ok(pods) => Looked::Seen(pods.into_iter().map(seen).collect()),
            Err(error) => Looked::Silent(error.to_string()),
        })
    }
}

fn seen(pod: PodView) -> PodSeen {
    let PodView { name, not_ready, restarts, ended, ended_ms, limits } = pod;
    PodSeen { name, not_ready, restarts, ended, ended_ms, limits }
}
