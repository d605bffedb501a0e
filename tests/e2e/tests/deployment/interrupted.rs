//! An apply that is killed on its way.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use tempfile::tempdir;

use crate::bed::{Bed, Deployment, NAMESPACE, TABLES, objects};

/// In every phase once: before anything runs, while servers start, while workers start, and among the connectors, of which
/// native workers and hybrids have theirs already.
const MARKS: [&str; 4] = [
    "+ Service kafka-connect-orders",
    "StatefulSet postgresql waits",
    "Deployment kafka-connect-users waits",
    "~ connector postgres-cdc-order-items-connector",
];

#[test]
#[ignore = "scripts/k8s test starts the node that it needs"]
fn an_apply_that_is_killed_is_finished_by_the_next() {
    let bed = Bed::find();
    bed.empty_namespace();
    for mark in MARKS {
        let (code, said) = bed.apply_until(Deployment::Mixed, mark);
        assert_eq!(code, None, "it was killed at {mark:?}: {said}");
        println!("    killed at {mark:?}");
        let deployments = bed.kubectl(&["get", "deployments", "-n", NAMESPACE, "-o", "name"]);
        if mark == MARKS[0] {
            assert_eq!(deployments, "", "it was killed early");
            assert_eq!(bed.run("diff", Deployment::Mixed).0, Some(2));
        }
    }
    bed.apply(Deployment::Mixed);
    // A native worker waits until the policies hold for its pod, instead of ending.
    for (_, app) in TABLES {
        let starts = bed.starts(app);
        let again = starts.iter().filter(|(_, container, restarts)| container == "datapipe" && *restarts > 0);
        assert_eq!(again.count(), 0, "{app}: {starts:?}");
    }
    let (code, said) = bed.run("diff", Deployment::Mixed);
    assert_eq!((code, said.trim()), (Some(0), ""));
    let said = bed.apply(Deployment::Mixed);
    assert!(said.contains("0 objects and 0 connectors changed"), "{said}");

    // Nothing beside what is rendered, and connectors are what their files say.
    let folder = tempdir().unwrap();
    let tree = bed.rendered(Deployment::Mixed, folder.path());
    let name = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]).replace('"', "");
    let wanted: BTreeSet<String> =
        objects(&tree).iter().filter(|object| object["kind"] != "Namespace").map(name).collect();
    let list = bed.json(&["get", "configmaps,services,deployments,statefulsets,networkpolicies"]);
    let found: BTreeSet<String> = list["items"].as_array().unwrap().iter().map(name).collect();
    let surplus: Vec<&String> = found.difference(&wanted).collect();
    assert_eq!(surplus, ["ConfigMap kube-root-ca.crt"], "beside what is rendered");
    assert!(wanted.is_subset(&found), "missing: {:?}", wanted.difference(&found));
    let file = fs::read_to_string(tree.join("connectors/order-items-debezium-connector.json")).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    let path = format!(
        "/api/v1/namespaces/{NAMESPACE}/services/kafka-connect-order-items:rest/proxy/connectors/postgres-cdc-order-items-connector/config"
    );
    let given: Value = serde_json::from_str(&bed.kubectl(&["get", "--raw", &path])).unwrap();
    assert_eq!(given, file["config"]);
}
