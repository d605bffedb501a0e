//! Whether the cluster is one on which the rendered objects work: its version, ports, volumes. Pure.

use std::collections::BTreeMap;

use datapipe_core::plan::Problem;
use serde_json::Value;

use super::amount::{shown, thousandths};
use crate::apply::cluster::{name, title};
use crate::{NAMESPACE, POSTGRES};

/// The first whose API server enforces Pod Security by a namespace's labels without more ado.
const OLDEST: (u32, u32) = (1, 25);

/// Major and minor as the server tells them: providers add signs, as in `29+`.
pub(super) fn version(major: &str, minor: &str, text: &str) -> Option<Problem> {
    let number = |text: &str| text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().ok();
    let found = (number(major)?, number(minor)?);
    let what = format!("is Kubernetes {text}, and older than {}.{}", OLDEST.0, OLDEST.1);
    let fix = "upgrade the cluster, or name another context with --context";
    (found < OLDEST).then(|| {
        Problem::new("cluster", what, fix)
            .because("Pod Security and server-side apply are not what this program relies on")
    })
}

/// Ports of nodes that Services of others have.
pub(super) fn node_ports(objects: &[&Value], services: &[Value]) -> Vec<Problem> {
    let of = |service: &Value| -> Vec<u64> {
        service["spec"]["ports"].as_array().into_iter().flatten().filter_map(|port| port["nodePort"].as_u64()).collect()
    };
    let rendered = objects.iter().filter(|object| object["kind"] == "Service");
    let wanted: BTreeMap<u64, &Value> =
        rendered.flat_map(|service| of(service).into_iter().map(move |port| (port, *service))).collect();
    let is_rendered = |service: &Value| {
        service["metadata"]["namespace"] == NAMESPACE && objects.iter().any(|one| title(one) == title(service))
    };
    let mut problems = Vec::new();
    for other in services.iter().filter(|service| !is_rendered(service)) {
        for (port, service) in of(other).into_iter().filter_map(|port| Some((port, *wanted.get(&port)?))) {
            let table = service["metadata"]["labels"]["table"].as_str().unwrap_or_default();
            let place = other["metadata"]["namespace"].as_str().unwrap_or_default();
            let what = format!("NodePort {port} is taken by Service {} in {place}", name(other));
            let fix =
                format!("set tables.{table}.port to another one (P has NodePort 22000 + P), or change that Service");
            problems.push(Problem::new(title(service), what, fix));
        }
    }
    problems
}

/// What can be had as a volume.
pub(super) struct Storage {
    pub(super) classes: Vec<Value>,
    pub(super) volumes: Vec<Value>,
}

impl Storage {
    /// Whether PostgreSQL's claim, which is not there yet, finds a volume.
    pub(super) fn for_claim(&self, objects: &[&Value]) -> Option<Problem> {
        let server = objects.iter().find(|object| object["kind"] == "StatefulSet")?;
        let claim = &server["spec"]["volumeClaimTemplates"][0]["spec"];
        let size = thousandths(&claim["resources"]["requests"]["storage"]).unwrap_or(0);
        let is_default =
            |class: &&Value| class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true";
        let class = match claim["storageClassName"].as_str() {
            Some(wanted) => self.classes.iter().find(|class| name(class) == wanted),
            None => self.classes.iter().find(is_default),
        };
        let class_name = claim["storageClassName"].as_str().or(class.map(name)).unwrap_or_default();
        let made = class.is_some_and(|class| class["provisioner"] != "kubernetes.io/no-provisioner");
        if made || self.volumes.iter().any(|volume| is_free(volume, class_name, size)) {
            return None;
        }
        let known: Vec<&str> = self.classes.iter().map(name).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let size = shown("memory", size);
        let what = match class {
            Some(class) => format!("class {} makes no volumes by itself, and no free one has {size}", name(class)),
            None if class_name.is_empty() => {
                format!("no class is the cluster's default, and no free volume has {size}")
            }
            None => format!("there is no class {class_name:?}, and no free volume of it has {size}"),
        };
        let fix = format!(
            "set deploy.postgres.storage_class to one that makes volumes (there are: {known}), or make a PersistentVolume"
        );
        Some(Problem::new(format!("PersistentVolumeClaim data-{POSTGRES}-0"), what, fix))
    }
}

fn is_free(volume: &Value, class: &str, size: u128) -> bool {
    let reserved = &volume["spec"]["claimRef"];
    let for_us = reserved["namespace"] == NAMESPACE && reserved["name"] == format!("data-{POSTGRES}-0");
    // One that was just made has no phase yet.
    let phase = volume["status"]["phase"].as_str().unwrap_or("Pending");
    let has_class = volume["spec"]["storageClassName"].as_str().unwrap_or_default() == class;
    let large = thousandths(&volume["spec"]["capacity"]["storage"]).is_some_and(|capacity| capacity >= size);
    has_class && large && (reserved.is_null() || for_us) && matches!(phase, "Available" | "Pending")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions() {
        assert_eq!(version("1", "25", "v1.25.0"), None);
        assert_eq!(version("1", "34+", "v1.34.4-gke.1"), None);
        assert_eq!(version("2", "0", "v2.0.0"), None);
        let told = version("1", "24", "v1.24.17").unwrap().to_string();
        assert!(told.starts_with("cluster: is Kubernetes v1.24.17, and older than 1.25;"), "{told}");
    }

    #[test]
    fn a_node_port_of_somebody_else() {
        let service = |name: &str, namespace: &str, port: u16| {
            json!({ "kind": "Service", "metadata": { "name": name, "namespace": namespace, "labels": { "table": "orders" } },
                    "spec": { "ports": [{ "nodePort": port }, {}] } })
        };
        let ours = service("kafka-connect-orders", "data-ingestion", 30085);
        let judged = |other: Value| node_ports(&[&ours], &[other]);
        assert!(judged(ours.clone()).is_empty(), "a second apply");
        assert!(judged(service("web", "shop", 30086)).is_empty());
        assert_eq!(
            judged(service("kafka-connect-orders", "shop", 30085))[0].to_string(),
            "Service kafka-connect-orders: NodePort 30085 is taken by Service kafka-connect-orders in shop; set \
             tables.orders.port to another one (P has NodePort 22000 + P), or change that Service"
        );
        assert_eq!(judged(service("old", "data-ingestion", 30085)).len(), 1);
    }

    #[test]
    fn where_a_claim_finds_a_volume() {
        let class = |name: &str, provisioner: &str, default: &str| {
            let annotations = json!({ "storageclass.kubernetes.io/is-default-class": default });
            json!({ "metadata": { "name": name, "annotations": annotations }, "provisioner": provisioner })
        };
        let volume = |class: &str, size: &str, phase: &str| json!({ "spec": { "storageClassName": class, "capacity": { "storage": size } }, "status": { "phase": phase } });
        let judged = |wanted: Option<&str>, classes: &[Value], volumes: &[Value]| {
            let claim =
                json!({ "spec": { "storageClassName": wanted, "resources": { "requests": { "storage": "20Gi" } } } });
            let server = json!({ "kind": "StatefulSet", "spec": { "volumeClaimTemplates": [claim] } });
            let storage = Storage { classes: classes.to_vec(), volumes: volumes.to_vec() };
            storage.for_claim(&[&server]).map(|problem| problem.what)
        };
        let (csi, by_hand) =
            (class("fast", "ebs.csi.aws.com", "true"), class("node", "kubernetes.io/no-provisioner", "false"));
        let both = [csi, by_hand];
        assert_eq!(judged(None, &both, &[]), None);
        assert_eq!(judged(Some("fast"), &both, &[]), None);
        assert_eq!(judged(Some("node"), &both, &[volume("node", "20Gi", "Available")]), None);
        assert_eq!(judged(None, &[], &[volume("", "20Gi", "Available")]), None);
        for taken in [
            volume("node", "19Gi", "Available"),
            volume("node", "20Gi", "Released"),
            volume("fast", "20Gi", "Available"),
        ] {
            let what = judged(Some("node"), &both, &[taken]).unwrap();
            assert_eq!(what, "class node makes no volumes by itself, and no free one has 20Gi");
        }
        assert!(judged(None, &both[1..], &[]).unwrap().starts_with("no class is the cluster's default"));
        assert!(judged(Some("slow"), &both, &[]).unwrap().starts_with("there is no class \"slow\""));
    }
}
