//! Pods that run once: made, waited for, read, and deleted.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, LogParams, PostParams};
use tokio::time::{Instant, sleep};

use super::cluster::{Cluster, ClusterError, FIELD_MANAGER};
use super::judge;
use crate::NAMESPACE;
use crate::worker::TOOL_APP;

const LOOK: Duration = Duration::from_millis(300);
/// How long a pod may take to start, its image included.
const START_MAX: Duration = Duration::from_secs(90);
/// What is read of a pod's log, in bytes: more than a report of a thousand tables.
const LOG_BYTES_MAX: i64 = 4 << 20;

/// How a pod's work ended.
pub(super) struct Ended {
    /// All that it printed.
    pub(super) log: String,
    /// Its exit code.
    pub(super) code: i32,
}

/// Runs a pod to its end and deletes it, whatever became of it. If it does not come to an end in time, or never begins, the
/// error says why.
pub(super) async fn run(cluster: &Cluster, pod: &Pod, limit: Duration) -> Result<Ended, String> {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), NAMESPACE);
    let failed = |attempt: &str, error: &kube::Error| ClusterError::of(attempt.to_owned(), error).to_string();
    let made = api.create(&PostParams::default(), pod).await;
    let made = made.map_err(|error| failed("making a pod for it", &error))?;
    let name = made.metadata.name.unwrap_or_default();
    let ended = match end_of(&api, &name, limit).await {
        Ok(code) => {
            let which = LogParams { limit_bytes: Some(LOG_BYTES_MAX), ..LogParams::default() };
            let log = api.logs(&name, &which).await;
            log.map(|log| Ended { log, code })
                .map_err(|error| failed(&format!("reading the log of pod {name}"), &error))
        }
        Err(why) => Err(why),
    };
    // If that fails, Kubernetes ends it by its deadline, and the next apply takes it away.
    let _ = api.delete(&name, &DeleteParams::default().grace_period(0)).await;
    ended
}

async fn end_of(api: &Api<Pod>, name: &str, limit: Duration) -> Result<i32, String> {
    let begun = Instant::now();
    loop {
        let pod = api.get(name).await.map_err(|error| format!("pod {name} is gone: {error}"))?;
        let status = pod.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or_default();
        if phase == "Succeeded" || phase == "Failed" {
            let containers = status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
            let ended = containers.iter().find_map(|one| one.state.as_ref()?.terminated.as_ref());
            let why = status.and_then(|status| status.message.clone().or_else(|| status.reason.clone()));
            return ended.map(|ended| ended.exit_code).ok_or_else(|| why.unwrap_or_else(|| phase.to_owned()));
        }
        let why = judge::not_ready(&pod).unwrap_or_else(|| "it is at work".to_owned());
        // That does not pass by itself.
        let hopeless = why.contains("cannot be had");
        let limit = if phase == "Running" { limit } else { limit.min(START_MAX) };
        if hopeless || begun.elapsed() > limit {
            let waited = if hopeless { String::new() } else { format!("after {} s: ", limit.as_secs()) };
            return Err(format!("{waited}{why}"));
        }
        sleep(LOOK).await;
    }
}

impl Cluster {
    /// Removes the pods that look and prepare, as one apply at most is at work: what was broken off has left them.
    pub async fn remove_tools(&self) -> Result<(), ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        let ours =
            ListParams::default().labels(&format!("app={TOOL_APP},app.kubernetes.io/managed-by={FIELD_MANAGER}"));
        let left = api.list(&ours).await;
        let left = left.map_err(|error| ClusterError::of(format!("listing the pods of {TOOL_APP}"), &error))?;
        for name in left.items.into_iter().filter_map(|pod| pod.metadata.name) {
            // Who may not delete one has made none.
            let _ = api.delete(&name, &DeleteParams::default().grace_period(0)).await;
        }
        Ok(())
    }
}
