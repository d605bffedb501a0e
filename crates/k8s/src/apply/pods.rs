//! A table's worker as the cluster has it, for whoever looks at a deployment and changes nothing.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::cluster::{Cluster, ClusterError, name, title};
use super::judge::{ended, limit, not_ready, unmade, waits};
use super::jvm::JvmView;
use super::usage::{UsageView, usage};
use crate::tree::Tree;

/// So many fields of an object are named at most.
const FIELDS_MAX: usize = 4;

/// What there is of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerView {
    /// Its pods, but for those that are ending.
    pub pods: Vec<PodView>,
    /// Why its Deployment makes no pod, in words; none if it does.
    pub unmade: Option<String>,
    /// Why its Service leads to none of the pods, in words; none if it does, or there is no pod. Or why that was not asked.
    pub astray: Result<Option<String>, String>,
    /// Objects that are not as planned, with the fields in words. Or why that was not asked.
    pub drift: Result<Vec<(String, String)>, String>,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// Why it is not ready, in words; none if it is.
    pub not_ready: Option<String>,
    /// Whether that may be for want of a server: its containers run and are not ready, or ended for that reason.
    pub waits: bool,
    /// How often its containers were started again.
    pub restarts: u32,
    /// How the container that was started again most often ended the last time, in words.
    pub ended: Option<String>,
    /// When that was, in milliseconds since 1970-01-01 UTC.
    pub ended_ms: Option<i64>,
    /// The memory limits of its containers: `name 250Mi`.
    pub limits: Vec<String>,
    /// The JVM in it; none if none runs.
    pub jvm: Option<JvmView>,
    /// What its containers take of memory, or why that is not known.
    pub usage: Result<Vec<UsageView>, String>,
}

impl Cluster {
    /// A table's worker, by its `app` label, beside what the tree has for it. Without a tree nothing is compared.
    pub async fn worker(&self, app: &str, tree: Option<&Tree>) -> Result<WorkerView, ClusterError> {
        let mut pods = self.pods(app).await?;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        let object = |kind: &str| json!({ "kind": kind, "metadata": { "name": app } });
        let deployment = permitted(self.live(&object("Deployment")).await)?;
        let service = permitted(self.live(&object("Service")).await)?;
        let metrics = self.metrics(app).await;
        let mut views: Vec<PodView> = pods.iter().map(|pod| view(pod, &metrics)).collect();
        for (view, pod) in views.iter_mut().zip(&pods) {
            self.explain(view).await?;
            view.jvm = self.jvm(pod).await;
        }
        Ok(WorkerView {
            unmade: deployment.ok().and_then(|deployment| unmade(deployment.as_ref())),
            astray: service.map(|service| astray(service.as_ref(), &pods)),
            drift: match tree {
                Some(tree) => self.drift_of(app, tree).await?,
                None => Err("the settings are not said to be a deployment's (--deployed)".to_owned()),
            },
            pods: views,
        })
    }

    /// A container that is not made yet has no reason of its own; its pod's last warning has.
    async fn explain(&self, pod: &mut PodView) -> Result<(), ClusterError> {
        let Some(why) = pod.not_ready.as_mut().filter(|why| why.ends_with("ContainerCreating")) else { return Ok(()) };
        let fields = format!("type=Warning,involvedObject.name={}", pod.name);
        let events = self.permitted("Event", false, &fields).await?.unwrap_or_default();
        if let Some(message) = events.last().and_then(|event| event["message"].as_str()) {
            *why = format!("{why}: {}", message.lines().next().unwrap_or_default());
        }
        Ok(())
    }

    async fn drift_of(&self, app: &str, tree: &Tree) -> Result<Result<Vec<(String, String)>, String>, ClusterError> {
        let mut drift = Vec::new();
        for object in tree.objects().filter(|object| concerns(object, app)) {
            let mut fields = match permitted(self.drift(object).await)? {
                Ok(fields) => fields,
                Err(why) => return Ok(Err(why)),
            };
            if !fields.is_empty() {
                let more = fields.len().saturating_sub(FIELDS_MAX);
                fields.truncate(FIELDS_MAX);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                drift.push((title(object), fields.join(", ") + &more));
            }
        }
        Ok(Ok(drift))
    }
}

/// What this user may not see is no failure of the look: the reason why it was left out.
fn permitted<T>(asked: Result<T, ClusterError>) -> Result<Result<T, String>, ClusterError> {
    match asked {
        Ok(found) => Ok(Ok(found)),
        Err(error) if error.forbidden => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Whether an object is the worker's, or a policy that every worker needs.
fn concerns(object: &Value, app: &str) -> bool {
    let own = object["metadata"]["labels"]["app"] == app;
    let shared = object["kind"] == "NetworkPolicy" && object["metadata"]["labels"]["table"].is_null();
    // What tools may reach depends on the tables that are looked at.
    own || (shared && name(object) != crate::network::TOOL)
}

/// Why a Service leads to none of these pods.
fn astray(service: Option<&Value>, pods: &[Pod]) -> Option<String> {
    let Some(service) = service else { return Some("there is no such Service".to_owned()) };
    let selector = service["spec"]["selector"].as_object().cloned().unwrap_or_default();
    let label = |pod: &Pod, key: &str| pod.metadata.labels.as_ref().and_then(|labels| labels.get(key)).cloned();
    let chosen = |pod: &Pod| selector.iter().all(|(key, value)| label(pod, key).as_deref() == value.as_str());
    if pods.is_empty() || pods.iter().any(chosen) {
        return None;
    }
    let words: Vec<String> =
        selector.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    Some(format!("it leads to pods with {}, and none of the worker's is one", words.join(", ")))
}

fn view(pod: &Pod, metrics: &Result<Vec<Value>, String>) -> PodView {
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let worst = containers.clone().max_by_key(|container| container.restart_count);
    let times = |count: i32| u32::try_from(count).unwrap_or(0);
    let of = |name: &str| limit(pod, name);
    let last = worst.and_then(|worst| worst.last_state.as_ref()?.terminated.as_ref());
    let not_ready = not_ready(pod);
    PodView {
        name: pod.metadata.name.clone().unwrap_or_default(),
        waits: not_ready.is_some() && waits(pod),
        not_ready,
        restarts: containers.clone().map(|container| times(container.restart_count)).sum(),
        ended: worst.and_then(|worst| ended(worst, &worst.state.clone().unwrap_or_default(), &of(&worst.name))),
        ended_ms: last.and_then(|last| Some(last.finished_at.as_ref()?.0.as_millisecond())),
        limits: containers.map(|container| format!("{} {}", container.name, of(&container.name))).collect(),
        // Its log is still to be read.
        jvm: None,
        usage: usage(pod, metrics),
    }
}

#[cfg(test)]
mod tests {
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
            waits: false,
            restarts: 3,
            ended: Some(
                "kafka-connect took more memory than 250Mi and was killed (OOMKilled), and was started again 3 times"
                    .to_owned(),
            ),
            ended_ms: Some(1_795_680_000_000),
            limits: vec!["datapipe its limit".to_owned(), "kafka-connect 250Mi".to_owned()],
            jvm: None,
            usage: Err("nobody serves them".to_owned()),
        };
        let metrics = Err("nobody serves them".to_owned());
        assert_eq!(view(&serde_json::from_value(pod).unwrap(), &metrics), expected);
    }

    #[test]
    fn a_pod_that_never_ended_has_nothing_to_tell() {
        let pod =
            json!({ "metadata": { "name": "a" }, "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
        let view = view(&serde_json::from_value(pod).unwrap(), &Ok(Vec::new()));
        assert_eq!((view.restarts, view.ended, view.ended_ms), (0, None, None));
    }

    #[test]
    fn a_service_leads_to_pods_by_its_selector() {
        let pod: Pod =
            serde_json::from_value(json!({ "metadata": { "labels": { "app": "a", "tier": "b" } } })).unwrap();
        let service = |selector: Value| json!({ "spec": { "selector": selector } });
        let told = |service: Value, pods: &[Pod]| astray(Some(&service), pods);
        let pods = [pod];
        assert_eq!(told(service(json!({ "app": "a" })), &pods), None);
        assert_eq!(told(service(json!({ "app": "nobody" })), &[]), None);
        let words = "it leads to pods with app=nobody, and none of the worker's is one";
        assert_eq!(told(service(json!({ "app": "nobody" })), &pods).unwrap(), words);
        assert_eq!(astray(None, &pods).unwrap(), "there is no such Service");
    }

    #[test]
    fn what_is_compared_is_the_worker_s_and_the_policies_of_all() {
        let object = |kind: &str, name: &str, labels: Value| json!({ "kind": kind, "metadata": { "name": name, "labels": labels } });
        assert!(concerns(&object("Service", "a", json!({ "app": "a", "table": "a" })), "a"));
        assert!(!concerns(&object("NetworkPolicy", "b", json!({ "app": "b", "table": "b" })), "a"));
        assert!(concerns(&object("NetworkPolicy", "kafka", json!({ "app": "kafka" })), "a"));
        assert!(!concerns(&object("NetworkPolicy", "tool", json!({})), "a"));
        assert!(!concerns(&object("Deployment", "kafka", json!({ "app": "kafka" })), "a"));
    }
}
