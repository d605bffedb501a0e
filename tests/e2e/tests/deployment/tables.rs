//! What is done to single tables of a deployment, what is left over, and its end.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::bed::{Bed, Deployment, NAMESPACE, text};

/// Runs `datapipe-deploy` with further arguments: the exit code, and all that it said.
fn run(bed: &Bed, subcommand: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = bed.deploy(subcommand, Deployment::Mixed).args(arguments).output().unwrap();
    (output.status.code(), format!("{}\n{}", text(&output.stdout), text(&output.stderr)))
}

fn names(bed: &Bed, kinds: &str) -> BTreeSet<String> {
    bed.kubectl(&["get", kinds, "-n", NAMESPACE, "-o", "name"]).lines().map(str::to_owned).collect()
}

fn state(bed: &Bed, connector: &str, app: &str) -> String {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/services/{app}:rest/proxy/connectors/{connector}/status");
    let status: serde_json::Value = serde_json::from_str(&bed.kubectl(&["get", "--raw", &path])).unwrap();
    status["connector"]["state"].as_str().unwrap().to_owned()
}

fn connectors_do_as_told(bed: &Bed) {
    let (source, sink) = ("postgres-cdc-orders-connector", "s3-sink-orders-connector");
    for (command, word) in [("pause", "PAUSED"), ("resume", "RUNNING"), ("stop", "STOPPED"), ("resume", "RUNNING")] {
        let (code, said) = run(bed, command, &["orders"]);
        assert_eq!(code, Some(0), "{command}: {said}");
        for connector in [source, sink] {
            assert!(said.contains(&format!("connector {connector} is {word}")), "{said}");
            assert_eq!(state(bed, connector, "kafka-connect-orders"), word);
        }
        let users = state(bed, "postgres-cdc-users-connector", "kafka-connect-users");
        assert_eq!(users, "RUNNING", "of another table, after {command}");
    }
    assert_eq!(run(bed, "stop", &["users"]).0, Some(0));
    let (code, said) = run(bed, "restart", &["users"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("postgres-cdc-users-connector: it is STOPPED, and stays so; resume it"), "{said}");
    assert_eq!(run(bed, "resume", &["users"]).0, Some(0));
    let before = bed.starts("kafka-connect-users");
    assert_eq!(run(bed, "restart", &["users"]).0, Some(0));
    assert_eq!(bed.starts("kafka-connect-users"), before, "the worker itself was not started again");
}

fn one_table_alone_and_its_pod(bed: &Bed) {
    let others: Vec<_> = ["users", "products", "order-items"].map(|slug| format!("kafka-connect-{slug}")).into();
    let starts = |bed: &Bed| others.iter().map(|app| bed.starts(app)).collect::<Vec<_>>();
    let (before, orders) = (starts(bed), bed.starts("kafka-connect-orders"));
    let (code, said) = run(bed, "restart", &["orders", "--pods"]);
    assert_eq!(code, Some(0), "{said}");
    assert_ne!(bed.starts("kafka-connect-orders"), orders);
    // A setting of all tables, brought to one.
    let changed = ["--set", "source.heartbeat=7s", "--table"];
    let (code, said) = run(bed, "apply", &[&changed[..], &["orders"]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(run(bed, "diff", &[&changed[..], &["orders"]].concat()).0, Some(0));
    let (code, said) = run(bed, "diff", &[&changed[..], &["products"]].concat());
    assert_eq!(code, Some(2), "products have the old one: {said}");
    assert_eq!(starts(bed), before, "other workers were not started again");
}

fn left_over_objects_go_when_told(bed: &Bed) {
    for (label, name) in [(true, "kafka-connect-payments"), (false, "somebody-else-s")] {
        bed.kubectl(&["create", "configmap", name, "-n", NAMESPACE]);
        if label {
            let labels = ["app.kubernetes.io/managed-by=datapipe-deploy", "app.kubernetes.io/part-of=datapipe"];
            bed.kubectl(&[&["label", "configmap", name, "-n", NAMESPACE][..], &labels].concat());
        }
    }
    let (code, said) = run(bed, "apply", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("ConfigMap kafka-connect-payments is no part of this deployment any more"), "{said}");
    assert!(names(bed, "configmap").contains("configmap/kafka-connect-payments"), "it was not told to remove it");
    let (code, said) = run(bed, "diff", &["--prune"]);
    assert_eq!((code, said.trim()), (Some(2), "- ConfigMap kafka-connect-payments"));
    let (code, said) = run(bed, "apply", &["--prune"]);
    assert_eq!(code, Some(0), "{said}");
    let left = names(bed, "configmap");
    assert!(
        !left.contains("configmap/kafka-connect-payments") && left.contains("configmap/somebody-else-s"),
        "{left:?}"
    );
    assert_eq!(run(bed, "diff", &["--prune"]).0, Some(0));
}

fn delete_leaves_what_is_not_its_own(bed: &Bed) {
    let kinds = "deployments,statefulsets,services,configmaps,networkpolicies,persistentvolumeclaims,secrets,pods";
    let before = names(bed, kinds);
    let (code, said) = run(bed, "delete", &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("- StatefulSet postgresql") && said.contains("nothing was: add --yes"), "{said}");
    assert_eq!(names(bed, kinds), before);
    let (code, said) = run(bed, "delete", &["--yes"]);
    assert_eq!(code, Some(0), "{said}");
    let mut left: BTreeSet<String> = [
        "configmap/kube-root-ca.crt",
        "configmap/somebody-else-s",
        "persistentvolumeclaim/data-postgresql-0",
        "secret/datapipe-credentials",
        "secret/postgresql",
    ]
    .map(str::to_owned)
    .into();
    // The tests' own pods.
    left.extend(before.iter().filter(|name| ["pod/tool", "pod/nobody"].contains(&name.as_str())).cloned());
    assert_eq!(names(bed, kinds), left);
    let (code, said) = run(bed, "delete", &["--data", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    left.remove("persistentvolumeclaim/data-postgresql-0");
    assert_eq!(names(bed, kinds), left);
}

#[test]
#[ignore = "scripts/k8s test starts the node that it needs"]
fn one_table_is_stopped_restarted_and_applied_alone_and_a_deployment_is_taken_away() {
    let bed = Bed::find();
    bed.deployed(Deployment::Mixed);
    let begun = Instant::now();
    connectors_do_as_told(&bed);
    one_table_alone_and_its_pod(&bed);
    left_over_objects_go_when_told(&bed);
    delete_leaves_what_is_not_its_own(&bed);
    println!("    all of it took {} s", begun.elapsed().as_secs());
    bed.empty_namespace();
}
