//! What keeps an apply from working, found before anything is sent; all of it at once.

pub(super) mod amount;
mod place;
mod room;

use std::collections::BTreeSet;

use datapipe_core::plan::{Plan, Problem, Problems};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use serde_json::Value;

use super::cluster::{Cluster, ClusterError, FIELD_MANAGER, title};
use super::difference::Change;
use super::inside::{Inside, Seen};
use super::{ApplyError, ApplyOptions, Scope};
use crate::checks::own_postgres;
use crate::postgres::SUPERUSER_KEY;
use crate::worker::secret_keys;
use crate::{CREDENTIALS, NAMESPACE, POSTGRES};

/// Group, resource and subresource, and what is done with them.
const RIGHTS: [(&str, &str, &str, &[&str]); 9] = [
    ("", "namespaces", "", &["get", "patch"]),
    ("", "configmaps", "", &["get", "list", "create", "patch"]),
    ("", "services", "", &["get", "list", "create", "patch"]),
    ("", "secrets", "", &["get"]),
    ("", "pods", "", &["list"]),
    ("", "services", "proxy", &["get", "create", "update"]),
    ("apps", "deployments", "", &["get", "list", "create", "patch"]),
    ("apps", "statefulsets", "", &["get", "list", "create", "patch"]),
    ("networking.k8s.io", "networkpolicies", "", &["get", "list", "create", "patch"]),
];

/// What the apply changes, object by object, and what was seen from inside; or all that keeps it from working.
pub(super) async fn look<'a>(
    plan: &Plan,
    objects: &[&'a Value],
    scope: &Scope<'_>,
    inside: &Inside<'_>,
) -> Result<(Vec<(&'a Value, Change)>, Seen), ApplyError> {
    let Inside { cluster, how, .. } = *inside;
    let version = &cluster.version;
    let mut problems: Vec<Problem> =
        place::version(&version.major, &version.minor, &version.git_version).into_iter().collect();
    problems.extend(rights(cluster, scope.prune).await?);
    if !problems.is_empty() {
        // The rest would fail by the same.
        return Err(ApplyError::Refused(Problems(problems)));
    }
    let mut wanted = vec![(CREDENTIALS, secret_keys(plan))];
    if own_postgres(plan) {
        wanted.push((POSTGRES, BTreeSet::from([SUPERUSER_KEY.to_owned()])));
    }
    for (secret, keys) in wanted {
        problems.extend(missing(secret, &keys, cluster.secret_keys(secret).await?.as_deref()));
    }
    // Without its Secrets no pod starts.
    let looks = !scope.no_look && problems.is_empty();
    for object in objects.iter().filter(|object| object["kind"] != "Namespace") {
        problems.extend(cluster.live(object).await?.and_then(|live| foreign(&live)));
    }
    problems.extend(surroundings(cluster, objects, scope, how).await?);
    let mut seen = if looks { Box::pin(inside.look()).await? } else { Seen::default() };
    problems.append(&mut seen.problems);
    let mut changes = Vec::new();
    if problems.is_empty() {
        // What the API server would refuse, it refuses before anything was sent.
        for object in objects {
            match cluster.change(object).await {
                Ok(change) => changes.extend(change.map(|change| (*object, change))),
                Err(error) if error.unreachable => return Err(error.into()),
                Err(error) => problems.push(Problem::new(title(object), error.why, error.fix)),
            }
        }
    }
    if problems.is_empty() { Ok((changes, seen)) } else { Err(ApplyError::Refused(Problems(problems))) }
}

/// Room, ports and volumes, as far as this user may look.
async fn surroundings(
    cluster: &Cluster,
    objects: &[&Value],
    scope: &Scope<'_>,
    how: &ApplyOptions<'_>,
) -> Result<Vec<Problem>, ClusterError> {
    let mut hidden = Vec::new();
    let mut seen = async |kind: &'static str, everywhere: bool, fields: &str| {
        let found = cluster.permitted(kind, everywhere, fields).await?;
        if found.is_none() {
            hidden.push(kind);
        }
        Ok::<_, ClusterError>(found)
    };
    let in_use = "status.phase!=Succeeded,status.phase!=Failed";
    let pods = seen("Pod", true, in_use).await?;
    let own_pods = match &pods {
        Some(pods) => pods.clone(),
        None => cluster.permitted("Pod", false, in_use).await?.unwrap_or_default(),
    };
    let wanted = room::Pods::of(objects);
    let mut problems = wanted.quotas(&seen("ResourceQuota", false, "").await?.unwrap_or_default(), &own_pods);
    problems.extend(wanted.ranges(&seen("LimitRange", false, "").await?.unwrap_or_default()));
    if !scope.nodes_grow
        && let (Some(nodes), Some(pods)) = (seen("Node", true, "").await?, &pods)
    {
        problems.extend(wanted.nodes(&nodes, pods));
    }
    problems.extend(place::node_ports(objects, &seen("Service", true, "").await?.unwrap_or_default()));
    let claims = seen("PersistentVolumeClaim", false, &format!("metadata.name=data-{POSTGRES}-0")).await?;
    if claims.is_some_and(|claims| claims.is_empty())
        && let (Some(classes), Some(volumes)) =
            (seen("StorageClass", true, "").await?, seen("PersistentVolume", true, "").await?)
    {
        problems.extend(place::Storage { classes, volumes }.for_claim(objects));
    }
    if !hidden.is_empty() {
        (how.say)(&format!("  not looked at, as this user may not list them: {}", hidden.join(", ")));
    }
    Ok(problems)
}

/// What an apply must be allowed: what removes objects may delete what it may list.
async fn rights(cluster: &Cluster, deletes: bool) -> Result<Vec<Problem>, ClusterError> {
    let mut problems = Vec::new();
    for (group, resource, subresource, verbs) in RIGHTS {
        let also = deletes && verbs.contains(&"list") && verbs.contains(&"patch");
        let verbs: Vec<&str> = verbs.iter().copied().chain(also.then_some("delete")).collect();
        problems.extend(denied(cluster, (group, resource, subresource), &verbs).await?);
    }
    Ok(problems)
}

/// What keeps a deletion from being done to its end, by the kinds of the objects that go.
pub(super) async fn may_delete(cluster: &Cluster, kinds: &BTreeSet<&str>) -> Result<Vec<Problem>, ClusterError> {
    let mut problems = Vec::new();
    for kind in kinds {
        let resource = format!("{}s", kind.to_lowercase()).replace("policys", "policies");
        let group = match *kind {
            "Deployment" | "StatefulSet" => "apps",
            "NetworkPolicy" => "networking.k8s.io",
            _ => "",
        };
        problems.extend(denied(cluster, (group, &resource, ""), &["get", "list", "delete"]).await?);
    }
    problems.extend(denied(cluster, ("", "pods", ""), &["list"]).await?);
    Ok(problems)
}

/// The verbs that this user may not, in one finding.
async fn denied(
    cluster: &Cluster,
    (group, resource, subresource): (&str, &str, &str),
    verbs: &[&str],
) -> Result<Option<Problem>, ClusterError> {
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let mut denied = Vec::new();
    for verb in verbs.iter().copied() {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let attributes = ResourceAttributes {
            group: text(group),
            resource: text(resource),
            subresource: text(subresource),
            verb: text(verb),
            namespace: (resource != "namespaces").then(|| NAMESPACE.to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let answer = api.create(&PostParams::default(), &review).await;
        let allowed = answer.map_err(|error| ClusterError::of("asking what this user may do".to_owned(), &error))?;
        if !allowed.status.is_some_and(|status| status.allowed) {
            denied.push(verb);
        }
    }
    if denied.is_empty() {
        return Ok(None);
    }
    let what = if subresource.is_empty() { resource.to_owned() } else { format!("{resource}/{subresource}") };
    let place = if resource == "namespaces" { "the cluster" } else { NAMESPACE };
    let fix = format!("have somebody grant it in {place}, or name another context with --context");
    Ok(Some(Problem::new("rights", format!("this user may not {} {what}", denied.join(", ")), fix)))
}

/// Keys that a Secret lacks, with the command that makes it.
fn missing(secret: &str, wanted: &BTreeSet<String>, found: Option<&[String]>) -> Option<Problem> {
    let lacking: Vec<&String> = wanted.iter().filter(|key| !found.unwrap_or_default().contains(key)).collect();
    if lacking.is_empty() {
        return None;
    }
    let files: Vec<String> = wanted.iter().map(|key| format!("--from-file={key}=FILE")).collect();
    let make = format!("kubectl create secret generic {secret} -n {NAMESPACE} {}", files.join(" "));
    let (what, fix) = if found.is_none() {
        ("is not there".to_owned(), format!("make it: {make}"))
    } else {
        let keys: Vec<&str> = lacking.iter().map(|key| key.as_str()).collect();
        (format!("lacks {}", keys.join(", ")), format!("add them, or delete it and make it anew: {make}"))
    };
    Some(Problem::new(format!("Secret {secret}"), what, fix))
}

/// An object of the same name that somebody else has made.
fn foreign(live: &Value) -> Option<Problem> {
    let managers = live["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let sent_by_us = managers.iter().any(|entry| entry["manager"] == FIELD_MANAGER);
    let labelled = live["metadata"]["labels"]["app.kubernetes.io/managed-by"] == FIELD_MANAGER;
    if sent_by_us || labelled {
        return None;
    }
    let by: Vec<&str> = managers.iter().filter_map(|entry| entry["manager"].as_str()).collect();
    let what =
        format!("is there already, made by {}", if by.is_empty() { "somebody else".to_owned() } else { by.join(", ") });
    let fix = "remove or rename it, or label it app.kubernetes.io/managed-by=datapipe-deploy to hand it over";
    Some(Problem::new(title(live), what, fix))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_secret_lacks() {
        let wanted = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let told = |found: Option<&[String]>| missing("s", &wanted, found).map(|problem| problem.to_string());
        assert_eq!(told(Some(&["b".to_owned(), "a".to_owned(), "c".to_owned()])), None);
        let command = "kubectl create secret generic s -n data-ingestion --from-file=a=FILE --from-file=b=FILE";
        assert_eq!(told(None), Some(format!("Secret s: is not there; make it: {command}")));
        let lacks = format!("Secret s: lacks b; add them, or delete it and make it anew: {command}");
        assert_eq!(told(Some(&["a".to_owned()])), Some(lacks));
    }

    #[test]
    fn who_made_an_object() {
        let live = |manager: &str, label: &str| {
            json!({ "kind": "Service", "metadata": { "name": "kafka", "labels": { "app.kubernetes.io/managed-by": label },
                    "managedFields": [{ "manager": manager }] } })
        };
        assert_eq!(foreign(&live("datapipe-deploy", "")), None);
        assert_eq!(foreign(&live("kubectl", "datapipe-deploy")), None, "applied by kubectl from the rendered files");
        let told = foreign(&live("Helm", "Helm")).unwrap().to_string();
        assert!(told.starts_with("Service kafka: is there already, made by Helm; remove or rename it"), "{told}");
    }
}
