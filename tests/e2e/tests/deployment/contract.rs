//! The contract's deployment: four Kafka Connect workers with real Debezium, each within its 250Mi.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::tempdir;

use crate::bed::{Bed, Deployment, NAMESPACE, TABLES, to_the_end};
use crate::memory::{Container, Figures, Watch, print};
use crate::ports;

/// Rows of each table.
const LOAD_ROWS: u32 = 5000;
/// How long a deployment without rows is looked at.
const IDLE: Duration = Duration::from_secs(15);

#[test]
#[ignore = "scripts/k8s test starts the node that it needs"]
fn a_foreign_object_is_refused_before_anything_is_changed() {
    let bed = Bed::find();
    bed.empty_namespace();
    bed.kubectl(&["create", "service", "clusterip", "kafka-connect-orders", "-n", NAMESPACE, "--tcp=80"]);
    let everything = || {
        let kinds = "configmaps,services,deployments,statefulsets,networkpolicies,pods,persistentvolumeclaims";
        let list = bed.kubectl(&["get", kinds, "-n", NAMESPACE, "-o", "name"]);
        // Kubernetes' own, which may come later.
        let objects: Vec<String> =
            list.lines().filter(|name| !name.ends_with("kube-root-ca.crt")).map(str::to_owned).collect();
        (objects, bed.kubectl(&["get", "namespace", NAMESPACE, "-o", "jsonpath={.metadata.labels}"]))
    };
    let before = everything();
    let (code, said) = bed.run("apply", Deployment::Contract);
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("nothing was changed"), "{said}");
    assert!(said.contains("Service kafka-connect-orders: is there already, made by kubectl-create"), "{said}");
    assert_eq!(everything(), before);
    assert_eq!(before.0, ["service/kafka-connect-orders"]);
}

#[test]
#[ignore = "scripts/k8s test starts the node that it needs"]
fn four_kafka_connect_workers_run_within_their_limits() {
    let bed = Bed::find();
    bed.empty_namespace();
    let folder = tempdir().unwrap();
    let tree = bed.rendered(Deployment::Contract, folder.path());
    let begun = Instant::now();
    to_the_end(bed.script(&tree, "deploy-multi-instance.sh"));
    println!("    from an empty namespace to four running connectors: {} s", begun.elapsed().as_secs());
    let mut containers = Container::all(&bed);
    assert_eq!(containers.len(), 4);
    let mut measure = || -> Vec<Figures> { containers.iter_mut().map(Container::figures).collect() };
    let start = measure();
    bed.pods_beside();
    thread::sleep(IDLE);
    let idle = measure();
    rest_answers_on_localhost(&tree);
    verified(&bed, &tree);

    let watch = Watch::begin(containers);
    let begun = Instant::now();
    bed.rows(LOAD_ROWS);
    for (table, _) in TABLES {
        bed.holds("topic", table);
    }
    println!("    {} rows in four topics after {} s", 4 * LOAD_ROWS, begun.elapsed().as_secs());
    let (containers, load) = watch.end();
    for (container, figures) in containers.iter().zip(start.iter().chain(&idle).chain(&load)) {
        let name = format!("{} {}: {figures:?}", container.app, container.name);
        assert_eq!((figures.limit, figures.killed), (250, 0), "{name}");
    }
    print(&containers, &[("start", start), ("idle", idle), ("load", load)]);
    for (_, app) in TABLES {
        assert!(bed.starts(app).iter().all(|(_, _, restarts)| *restarts == 0), "{app} was started again");
    }
    nothing_is_left_to_change(&bed);
}

fn rest_answers_on_localhost(tree: &Path) {
    let ports = ports::map(tree);
    assert_eq!(ports, [8083, 8084, 8085, 8086]);
    for (port, (table, _)) in ports.into_iter().zip(TABLES) {
        let connector = format!("postgres-cdc-{}-connector", table.replace('_', "-"));
        assert_eq!(ports::get(port, "/")["version"], "4.3.1");
        assert_eq!(ports::get(port, "/connectors"), serde_json::json!([connector]));
        let status = ports::get(port, &format!("/connectors/{connector}/status"));
        assert_eq!(
            (&status["connector"]["state"], &status["tasks"][0]["state"]),
            (&"RUNNING".into(), &"RUNNING".into())
        );
        assert_eq!(status["tasks"].as_array().unwrap().len(), 1);
    }
}

/// What the document says one does next: the other script, by the ports of this machine.
fn verified(bed: &Bed, tree: &Path) {
    let said = to_the_end(bed.script(tree, "verify-multi-instance.sh"));
    // Two checks of each worker, six of its connectors and one of the way to it; what only the cluster reaches is told as
    // skipped.
    assert!(said.contains("36 ok, 0 warnings, 0 failed, "), "{said}");
    assert!(said.contains("http://localhost:8086 speaks Kafka Connect 4.3.1"), "{said}");
}

fn nothing_is_left_to_change(bed: &Bed) {
    let (code, said) = bed.run("diff", Deployment::Contract);
    assert_eq!((code, said.trim()), (Some(0), ""));
    let begun = Instant::now();
    let said = bed.apply(Deployment::Contract);
    assert!(said.contains("0 objects and 0 connectors changed"), "{said}");
    println!("    a second apply took {} ms", begun.elapsed().as_millis());
}
