//! A look at a table's servers from where its worker is, for whoever cannot reach them.

use std::time::Duration;

use datapipe_core::plan::{PipelinePlan, Plan};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams};

use super::cluster::{Cluster, ClusterError};
use super::tool;
use crate::NAMESPACE;
use crate::options::RenderOptions;
use crate::worker::{InsideLook, LOOK, tool_look};

/// How long a look may take, its image included, beside the servers' answers.
const LOOK_MAX: Duration = Duration::from_secs(90);
/// And one that compares rows: some hundred million of them.
const PROOF_MAX: Duration = Duration::from_secs(4 * 60 * 60);
/// Pods that live for so long after their deadline were left by somebody who was killed: Kubernetes has ended them by then.
const LEFT_AFTER_S: i64 = 180;

impl Cluster {
    /// The document that `datapipe-run look` prints about a table, in a pod that is for network policies the table's worker;
    /// or why there is none, in words. The pod is deleted, whatever becomes of it.
    pub async fn look_inside(
        &self,
        plan: &Plan,
        pipeline: &PipelinePlan,
        options: &RenderOptions,
        what: &InsideLook,
    ) -> Result<String, String> {
        let limit = what.timeout.saturating_add(if what.compares { PROOF_MAX } else { LOOK_MAX });
        let life_s = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
        let pod = tool_look(plan, options, pipeline, what, life_s).map_err(|problems| problems.to_string())?;
        let image = &options.worker_image;
        let ended = tool::run(self, &pod, limit).await;
        let ended = ended.map_err(|why| format!("{why} (the pod runs {image}, which deploy.worker_image names)"))?;
        let document = ended.log.lines().rev().find(|line| line.starts_with('{'));
        document.map(str::to_owned).ok_or_else(|| {
            let said = ended.log.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
            let code = ended.code;
            format!("datapipe-run look ended with code {code} and said: {said} (its image is {image}, which deploy.worker_image names)")
        })
    }

    /// Removes the pods of a run that was broken off.
    pub async fn remove_looks(&self, run: &str) -> Result<(), ClusterError> {
        self.remove_pods(&format!("{LOOK}={run}"), |_| true).await
    }

    /// Removes the pods that runs have left which were killed.
    pub async fn remove_left_looks(&self) -> Result<(), ClusterError> {
        let now_s = k8s_openapi::jiff::Timestamp::now().as_second();
        let made_s = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map_or(now_s, |time| time.0.as_second());
        let life_s = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.active_deadline_seconds).unwrap_or(0);
        self.remove_pods(LOOK, |pod| now_s - made_s(pod) > life_s(pod) + LEFT_AFTER_S).await
    }

    async fn remove_pods(&self, labels: &str, which: impl Fn(&Pod) -> bool) -> Result<(), ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        let found = api.list(&ListParams::default().labels(labels)).await;
        let found = found.map_err(|error| ClusterError::of("listing the pods that look".to_owned(), &error))?;
        for name in found.items.into_iter().filter(|pod| which(pod)).filter_map(|pod| pod.metadata.name) {
            // Who may not delete one has made none.
            let _ = api.delete(&name, &DeleteParams::default().grace_period(0)).await;
        }
        Ok(())
    }

    /// Asks a worker through the API server: status and body.
    pub async fn ask_worker(&self, worker: &str, path: &str) -> Result<(u16, Vec<u8>), ClusterError> {
        self.forward("GET", worker, path, Vec::new()).await
    }
}
