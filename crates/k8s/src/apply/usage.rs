//! What a worker's containers take of memory, by the metrics API that `kubectl top` asks.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use serde_json::Value;

use super::cluster::{Cluster, ClusterError};
use super::judge::limit;
use super::preflight::amount::thousandths;
use crate::NAMESPACE;

/// A container's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageView {
    /// The container.
    pub container: String,
    /// What it takes, without page cache that is not in use, in bytes.
    pub used_bytes: u64,
    /// Its limit in bytes; none if it has none.
    pub limit_bytes: Option<u64>,
}

impl Cluster {
    /// What the metrics API has of a worker's pods, or why it has nothing.
    pub(super) async fn metrics(&self, app: &str) -> Result<Vec<Value>, String> {
        let resource = ApiResource {
            group: "metrics.k8s.io".to_owned(),
            version: "v1beta1".to_owned(),
            api_version: "metrics.k8s.io/v1beta1".to_owned(),
            kind: "PodMetrics".to_owned(),
            plural: "pods".to_owned(),
        };
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), NAMESPACE, &resource);
        match api.list(&ListParams::default().labels(&format!("app={app}"))).await {
            Ok(list) => Ok(list.items.into_iter().map(|one| serde_json::to_value(one).unwrap_or_default()).collect()),
            Err(kube::Error::Api(status)) if status.code == 404 => {
                Err("the cluster serves no metrics.k8s.io, as `kubectl top` needs it: metrics-server would".to_owned())
            }
            Err(error) => {
                Err(ClusterError::of(format!("asking metrics.k8s.io for the pods of {app}"), &error).to_string())
            }
        }
    }
}

/// A pod's containers; why it is not known yet, if it is not.
pub(super) fn usage(pod: &Pod, metrics: &Result<Vec<Value>, String>) -> Result<Vec<UsageView>, String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let of_pod = metrics.as_ref().map_err(Clone::clone)?.iter().find(|one| one["metadata"]["name"] == name);
    let containers = of_pod.and_then(|one| one["containers"].as_array()).filter(|containers| !containers.is_empty());
    let containers = containers.ok_or_else(|| format!("metrics.k8s.io has no figures of {name} yet"))?;
    let bytes = |quantity: &Value| u64::try_from(thousandths(quantity)? / 1000).ok();
    let one = |container: &Value| {
        let name = container["name"].as_str()?.to_owned();
        let used_bytes = bytes(&container["usage"]["memory"])?;
        let limit_bytes = bytes(&Value::String(limit(pod, &name)));
        Some(UsageView { container: name, used_bytes, limit_bytes })
    };
    let mut all: Vec<UsageView> = containers.iter().filter_map(one).collect();
    // They come in any order.
    all.sort_by(|one, other| one.container.cmp(&other.container));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn memory_beside_its_limit() {
        let limited = json!({ "limits": { "memory": "196Mi" } });
        let pod = json!({ "metadata": { "name": "a" }, "spec": { "containers": [
            { "name": "kafka-connect", "resources": limited }, { "name": "datapipe" },
        ] } });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let of = |name: &str, containers: Value| json!({ "metadata": { "name": name }, "containers": containers });
        let container = |name: &str, memory: Value| json!({ "name": name, "usage": { "cpu": "9m", "memory": memory } });
        let own = [
            container("kafka-connect", json!("157286400")),
            container("datapipe", json!("10240Ki")),
            container("broken", json!("many")),
            json!({}),
        ];
        let metrics = Ok(vec![of("b", json!([container("datapipe", json!("1Gi"))])), of("a", json!(own))]);
        let seen = |container: &str, used_bytes, limit_bytes| UsageView {
            container: container.to_owned(),
            used_bytes,
            limit_bytes,
        };
        let expected = [seen("datapipe", 10 << 20, None), seen("kafka-connect", 150 << 20, Some(196 << 20))];
        assert_eq!(usage(&pod, &metrics).unwrap(), expected);
        for none in [Vec::new(), vec![of("b", json!([]))], vec![of("a", json!([]))], vec![json!({})]] {
            assert_eq!(usage(&pod, &Ok(none)).unwrap_err(), "metrics.k8s.io has no figures of a yet");
        }
        assert_eq!(usage(&pod, &Err("forbidden".to_owned())).unwrap_err(), "forbidden");
    }
}
