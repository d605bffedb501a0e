//! The cluster's API.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{
    ConfigMap, Event, LimitRange, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, ResourceQuota, Secret,
    Service,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::version::Info;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::client::Body;
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use serde_json::{Value, json};

use super::difference::{Change, What, differing, differing_in_words};
use crate::NAMESPACE;
use crate::worker::LOOK;

/// Who owns the fields that are sent.
pub(super) const FIELD_MANAGER: &str = "datapipe-deploy";
const CONNECT_MAX: Duration = Duration::from_secs(5);
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// What was asked of a cluster, and why it did not come about.
#[derive(Debug, thiserror::Error)]
#[error("{attempt}: {why}; {fix}")]
pub struct ClusterError {
    /// What was attempted, with the object.
    pub attempt: String,
    /// Why it failed.
    pub why: String,
    /// What to do.
    pub fix: String,
    /// Whether there is no cluster that answers.
    pub unreachable: bool,
    pub(super) forbidden: bool,
}

impl ClusterError {
    pub(super) fn of(attempt: String, error: &kube::Error) -> Self {
        let kube::Error::Api(status) = error else {
            let fix = "look at the cluster's address, at the network and at the kubeconfig's credentials".to_owned();
            return Self { attempt, why: chain(error), fix, unreachable: true, forbidden: false };
        };
        let fix = match status.code {
            401 => "sign in again, or name another context with --context",
            403 => "have somebody grant that right to your user",
            409 => "somebody else manages that field: let go of it there, or take it out of the settings here",
            404 => "look whether the namespace and the kind exist in this cluster",
            422 => "the cluster does not accept the object as it is: correct the setting that the message names",
            _ => "try again; if it stays, look at the API server's log",
        };
        Self {
            attempt,
            why: status.message.clone(),
            fix: fix.to_owned(),
            unreachable: false,
            forbidden: status.code == 403,
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(link) = cause {
        let link_text = link.to_string();
        if !text.contains(&link_text) {
            text = format!("{text}: {link_text}");
        }
        cause = link.source();
    }
    text
}

/// A connection to a cluster.
#[derive(Clone)]
pub struct Cluster {
    pub(super) client: Client,
    pub(super) version: Info,
}

impl Cluster {
    /// The cluster of a context of the kubeconfig, or of the current one; within a pod its own cluster.
    pub async fn connect(context: Option<&str>) -> Result<Self, ClusterError> {
        let failed = |why: String| ClusterError {
            attempt: "reading the kubeconfig".to_owned(),
            why,
            fix: "name a context that `kubectl config get-contexts` shows, with --context; KUBECONFIG names the file"
                .to_owned(),
            unreachable: true,
            forbidden: false,
        };
        let named = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        let mut config = match context {
            Some(_) => Config::from_kubeconfig(&named).await.map_err(|error| failed(chain(&error)))?,
            None => Config::infer().await.map_err(|error| failed(chain(&error)))?,
        };
        config.connect_timeout = Some(CONNECT_MAX);
        config.read_timeout = Some(ANSWER_MAX);
        let attempt = format!("asking the cluster at {} for its version", config.cluster_url);
        let client = Client::try_from(config).map_err(|error| failed(chain(&error)))?;
        let version = client.apiserver_version().await.map_err(|error| ClusterError::of(attempt, &error))?;
        Ok(Self { client, version })
    }

    pub(super) fn api(&self, object: &Value) -> Api<DynamicObject> {
        let kind = object["kind"].as_str().unwrap_or_default();
        if kind == "Namespace" {
            return Api::all_with(self.client.clone(), &ApiResource::erase::<Namespace>(&()));
        }
        Api::namespaced_with(self.client.clone(), NAMESPACE, &resource(kind))
    }

    /// The object as it is in the cluster.
    pub(super) async fn live(&self, object: &Value) -> Result<Option<Value>, ClusterError> {
        let found = self.api(object).get_opt(name(object)).await;
        let found = found.map_err(|error| ClusterError::of(format!("reading {}", title(object)), &error))?;
        Ok(found.map(|found| serde_json::to_value(found).unwrap_or_default()))
    }

    /// Sends an object as this program's own.
    pub(super) async fn send(&self, object: &Value) -> Result<(), ClusterError> {
        self.patch(object, false, false).await.map(|_| ())
    }

    /// Sending what is as it should be changes nothing, so the API server itself says what would change: what it fills in
    /// and what others own are no difference.
    pub(super) async fn change(&self, object: &Value) -> Result<Option<Change>, ClusterError> {
        let change = |what| Some(Change { object: title(object), what });
        let Some(live) = self.live(object).await? else { return Ok(change(What::New)) };
        let would_be = self.patch(object, true, false).await?;
        let paths = differing(&live, &would_be);
        Ok(if paths.is_empty() { None } else { change(What::Changed(paths)) })
    }

    /// What of an object is not as planned, whoever owns it by now; nothing is changed.
    pub(super) async fn drift(&self, object: &Value) -> Result<Vec<String>, ClusterError> {
        let Some(live) = self.live(object).await? else { return Ok(vec!["it is missing".to_owned()]) };
        Ok(differing_in_words(&live, &self.patch(object, true, true).await?))
    }

    async fn patch(&self, object: &Value, dry_run: bool, force: bool) -> Result<Value, ClusterError> {
        let parameters = PatchParams { dry_run, force, ..PatchParams::apply(FIELD_MANAGER) };
        let sent = self.api(object).patch(name(object), &parameters, &Patch::Apply(object)).await;
        let sent = sent.map_err(|error| ClusterError::of(format!("applying {}", title(object)), &error))?;
        Ok(serde_json::to_value(sent).unwrap_or_default())
    }

    /// The objects of a kind that are in the namespace, by their labels.
    pub(super) async fn listed(&self, kind: &str, labels: &str) -> Result<Vec<Value>, ClusterError> {
        let api = Api::namespaced_with(self.client.clone(), NAMESPACE, &resource(kind));
        self.list(&api, kind, &ListParams::default().labels(labels)).await
    }

    /// The objects of a kind anywhere in the cluster, or in the namespace, by their fields. None if this user may not see
    /// them, which is no failure where they are only looked at for advice.
    pub(super) async fn permitted(
        &self,
        kind: &str,
        everywhere: bool,
        fields: &str,
    ) -> Result<Option<Vec<Value>>, ClusterError> {
        let (client, resource) = (self.client.clone(), resource(kind));
        let api = if everywhere {
            Api::all_with(client, &resource)
        } else {
            Api::namespaced_with(client, NAMESPACE, &resource)
        };
        match self.list(&api, kind, &ListParams::default().fields(fields)).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.forbidden => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, api: &Api<DynamicObject>, kind: &str, which: &ListParams) -> Result<Vec<Value>, ClusterError> {
        let list = api.list(which).await;
        let list = list.map_err(|error| ClusterError::of(format!("listing objects of kind {kind}"), &error))?;
        let objects = list.items.into_iter().map(|object| {
            let mut value = serde_json::to_value(object).unwrap_or_default();
            // What is in a list does not say its kind.
            value["kind"] = Value::String(kind.to_owned());
            value
        });
        Ok(objects.collect())
    }

    /// Deletes exactly that object: not another one that has its name by now. One that is gone already is no failure.
    pub(super) async fn remove(&self, object: &Value) -> Result<(), ClusterError> {
        let uid = object["metadata"]["uid"].as_str().map(str::to_owned);
        let preconditions = Some(Preconditions { uid, resource_version: None });
        let how = DeleteParams { preconditions, ..DeleteParams::default() };
        match self.api(object).delete(name(object), &how).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(ClusterError::of(format!("deleting {}", title(object)), &error)),
            Ok(_) => Ok(()),
        }
    }

    /// Has a Deployment's pods replaced, as `kubectl rollout restart` does.
    pub(super) async fn replace_pods(&self, deployment: &Value) -> Result<(), ClusterError> {
        let now = k8s_openapi::jiff::Timestamp::now().to_string();
        let annotations = json!({ "kubectl.kubernetes.io/restartedAt": now });
        let patch = json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } });
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let sent = self.api(deployment).patch(name(deployment), &parameters, &Patch::Merge(&patch)).await;
        sent.map(drop)
            .map_err(|error| ClusterError::of(format!("restarting the pods of {}", title(deployment)), &error))
    }

    pub(super) async fn pods(&self, app: &str) -> Result<Vec<Pod>, ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        // Those that look have the worker's labels, and are no workers.
        let list = api.list(&ListParams::default().labels(&format!("app={app},!{LOOK}"))).await;
        list.map(|list| list.items).map_err(|error| ClusterError::of(format!("listing the pods of {app}"), &error))
    }

    /// The keys of a Secret; none if it is not there. Values are not looked at.
    pub(super) async fn secret_keys(&self, name: &str) -> Result<Option<Vec<String>>, ClusterError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), NAMESPACE);
        let found = api.get_opt(name).await;
        let found = found.map_err(|error| ClusterError::of(format!("reading the keys of Secret {name}"), &error))?;
        Ok(found.map(|secret| secret.data.unwrap_or_default().into_keys().collect()))
    }

    /// Asks a worker, by its Service: the status and the body.
    pub(super) async fn ask(
        &self,
        method: &str,
        service: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value), ClusterError> {
        let bytes = body.map(|body| serde_json::to_vec(body).unwrap_or_default()).unwrap_or_default();
        let (status, bytes) = self.forward(method, service, path, bytes).await?;
        // The API server's own refusals are texts or objects of its own: they are told as they are.
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_else(|_| text())))
    }

    /// The same in bytes.
    pub(super) async fn forward(
        &self,
        method: &str,
        service: &str,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>), ClusterError> {
        let attempt = format!("asking {service} for {path}");
        let uri = format!("/api/v1/namespaces/{NAMESPACE}/services/{service}:rest/proxy{path}");
        let request = http::Request::builder().method(method).uri(uri).header("Content-Type", "application/json");
        let failed = |error: kube::Error| ClusterError::of(attempt.clone(), &error);
        let request = request.body(Body::from(body)).map_err(|error| failed(kube::Error::HttpError(error)))?;
        let answer = self.client.send(request).await.map_err(failed)?;
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect_bytes().await.map_err(failed)?;
        Ok((status, bytes.to_vec()))
    }
}

fn resource(kind: &str) -> ApiResource {
    match kind {
        "NetworkPolicy" => ApiResource::erase::<NetworkPolicy>(&()),
        "ConfigMap" => ApiResource::erase::<ConfigMap>(&()),
        "Service" => ApiResource::erase::<Service>(&()),
        "StatefulSet" => ApiResource::erase::<StatefulSet>(&()),
        "Pod" => ApiResource::erase::<Pod>(&()),
        "Event" => ApiResource::erase::<Event>(&()),
        "ResourceQuota" => ApiResource::erase::<ResourceQuota>(&()),
        "LimitRange" => ApiResource::erase::<LimitRange>(&()),
        "Node" => ApiResource::erase::<Node>(&()),
        "StorageClass" => ApiResource::erase::<StorageClass>(&()),
        "PersistentVolume" => ApiResource::erase::<PersistentVolume>(&()),
        "PersistentVolumeClaim" => ApiResource::erase::<PersistentVolumeClaim>(&()),
        _ => ApiResource::erase::<Deployment>(&()),
    }
}

pub(super) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// `Deployment kafka-connect-users`
pub(super) fn title(object: &Value) -> String {
    format!("{} {}", object["kind"].as_str().unwrap_or_default(), name(object))
}
