//! Pods as they are, for whoever looks at a deployment and changes nothing.

use k8s_openapi::api::core::v1::Pod;

use super::cluster::{Cluster, ClusterError};
use super::judge::{ended, limit, not_ready};

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// Why it is not ready, in words; none if it is.
    pub not_ready: Option<String>,
    /// How often its containers were started again.
    pub restarts: u32,
    /// How the container that was started again most often ended the last time, in words.
    pub ended: Option<String>,
    /// When that was, in milliseconds since 1970-01-01 UTC.
    pub ended_ms: Option<i64>,
    /// The memory limits of its containers: `name 250Mi`.
    pub limits: Vec<String>,
}

impl Cluster {
    /// The pods of a table's worker, by its `app` label.
    pub async fn worker_pods(&self, app: &str) -> Result<Vec<PodView>, ClusterError> {
        Ok(self.pods(app).await?.iter().map(view).collect())
    }
}

fn view(pod: &Pod) -> PodView {
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let worst = containers.clone().max_by_key(|container| container.restart_count);
    let times = |count: i32| u32::try_from(count).unwrap_or(0);
    let of = |name: &str| limit(pod, name);
    let last = worst.and_then(|worst| worst.last_state.as_ref()?.terminated.as_ref());
    PodView {
        name: pod.metadata.name.clone().unwrap_or_default(),
        not_ready: not_ready(pod),
        restarts: containers.clone().map(|container| times(container.restart_count)).sum(),
        ended: worst.and_then(|worst| ended(worst, &worst.state.clone().unwrap_or_default(), &of(&worst.name))),
        ended_ms: last.and_then(|last| Some(last.finished_at.as_ref()?.0.as_millisecond())),
        limits: containers.map(|container| format!("{} {}", container.name, of(&container.name))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_that_was_killed_and_is_ready_again_says_so() {
        let container = |name: &str, restarts: i32, last: serde_json::Value| {
            json!({ "name": name, "image": "", "imageID": "", "ready": true, "restartCount": restarts,
                    "state": { "running": {} }, "lastState": last })
        };
        let killed = json!({ "terminated": {
            "exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-11-26T08:00:00Z",
        } });
        let pod = json!({
            "metadata": { "name": "kafka-connect-users-1" },
            "spec": { "containers": [
                { "name": "kafka-connect", "resources": { "limits": { "memory": "250Mi" } } }, { "name": "datapipe" },
            ] },
            "status": {
                "conditions": [{ "type": "Ready", "status": "True" }],
                "containerStatuses": [container("datapipe", 0, json!({})), container("kafka-connect", 3, killed)],
            },
        });
        let expected = PodView {
            name: "kafka-connect-users-1".to_owned(),
            not_ready: None,
            restarts: 3,
            ended: Some(
                "kafka-connect took more memory than 250Mi and was killed, and was started again 3 times".to_owned(),
            ),
            ended_ms: Some(1_795_680_000_000),
            limits: vec!["datapipe its limit".to_owned(), "kafka-connect 250Mi".to_owned()],
        };
        assert_eq!(view(&serde_json::from_value(pod).unwrap()), expected);
    }

    #[test]
    fn a_pod_that_never_ended_has_nothing_to_tell() {
        let pod =
            json!({ "metadata": { "name": "a" }, "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
        let view = view(&serde_json::from_value(pod).unwrap());
        assert_eq!((view.restarts, view.ended, view.ended_ms), (0, None, None));
    }
}
