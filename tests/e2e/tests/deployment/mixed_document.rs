//! The lines that the description of the architecture tells people to type, as they stand there.

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tempfile::tempdir;

use crate::bed::{Bed, Deployment, NAMESPACE, TABLES, text};
use crate::ports;

/// Prints a name for each worker.
const PODS: &str = "kubectl get pods -n data-ingestion -l component=worker";
/// Goes on until it is ended.
const LOGS: &str = "kubectl logs -n data-ingestion -l app=kafka-connect-users -f";
/// The single worker of before goes.
const DELETE: &str = "kubectl delete deployment kafka-connect -n data-ingestion";
/// Each prints the connectors of one table.
const CONNECTORS: [&str; 4] = [
    "curl http://localhost:8083/connectors  # Users",
    "curl http://localhost:8084/connectors  # Products",
    "curl http://localhost:8085/connectors  # Orders",
    "curl http://localhost:8086/connectors  # Order Items",
];
/// Each prints who answers.
const HEALTH: [&str; 4] = [
    "curl http://localhost:8083/  # Users",
    "curl http://localhost:8084/  # Products",
    "curl http://localhost:8085/  # Orders",
    "curl http://localhost:8086/  # Order Items",
];
const STATUS: [&str; 2] = [
    "curl http://localhost:8083/connectors/postgres-cdc-users-connector/status",
    "curl http://localhost:8083/connectors/s3-sink-users-connector/status",
];

fn shell(bed: &Bed, line: &str) -> Output {
    bed.command(Path::new("sh")).args(["-c", line]).output().unwrap()
}

/// What a line prints, which must end well.
fn said(bed: &Bed, line: &str) -> String {
    let output = shell(bed, line);
    assert!(output.status.success(), "{line}: {}", text(&output.stderr));
    println!("    {line}");
    text(&output.stdout)
}

fn json(bed: &Bed, line: &str) -> Value {
    let answer = said(bed, line);
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{line}: {error}: {answer}"))
}

#[test]
#[ignore = "scripts/k8s test starts the node that it needs"]
fn the_documents_lines_do_what_they_are_for() {
    let bed = Bed::find();
    bed.deployed(Deployment::Mixed);
    let folder = tempdir().unwrap();
    let tree = bed.rendered(Deployment::Mixed, folder.path());
    // The rendered document tells them too, with comments and spaces of its own.
    let document = std::fs::read_to_string(tree.join("MULTI-INSTANCE-ARCHITECTURE.md")).unwrap();
    for line in CONNECTORS.iter().chain(&HEALTH).chain(&STATUS).chain(&[PODS, LOGS, DELETE]) {
        let command = line.split("  #").next().unwrap();
        let told = document.lines().any(|told| told.split(" #").next().unwrap().trim() == command);
        assert!(told, "{command}");
    }
    assert_eq!(ports::map(&tree), [8083, 8084, 8085, 8086]);

    let pods = said(&bed, PODS);
    for (_, app) in TABLES {
        let running = pods.lines().any(|line| line.starts_with(&format!("{app}-")) && line.contains("Running"));
        assert!(running, "{app}: {pods}");
    }
    for (line, (table, _)) in CONNECTORS.iter().zip(TABLES) {
        let source = format!("postgres-cdc-{}-connector", table.replace('_', "-"));
        let found = json(&bed, line);
        assert!(found.as_array().unwrap().contains(&source.into()), "{line}: {found}");
    }
    for line in HEALTH {
        assert!(json(&bed, line)["version"].is_string(), "{line}");
    }
    for line in STATUS {
        let status = json(&bed, line);
        let (connector, task) = (&status["connector"]["state"], &status["tasks"][0]["state"]);
        assert_eq!((connector, task), (&"RUNNING".into(), &"RUNNING".into()), "{line}: {status}");
    }
    // `-f` has no end of its own.
    let follow = bed.command(Path::new("timeout")).args(["5", "sh", "-c", &format!("exec {LOGS}")]).output().unwrap();
    assert_eq!(follow.status.code(), Some(124), "{LOGS}: {}", text(&follow.stderr));
    assert!(!follow.stdout.is_empty(), "{LOGS} shows nothing");
    println!("    {LOGS}");
    only_the_single_worker_goes(&bed);
}

fn only_the_single_worker_goes(bed: &Bed) {
    let single = "kubectl create deployment kafka-connect -n data-ingestion --image=localhost/bed:1 --replicas=0";
    assert!(shell(bed, single).status.success());
    let deployments = || bed.kubectl(&["get", "deployments", "-n", NAMESPACE, "-o", "name"]);
    let before = deployments();
    assert!(before.contains("deployment.apps/kafka-connect\n"), "{before}");
    assert!(said(bed, DELETE).contains("kafka-connect") && !deployments().contains("deployment.apps/kafka-connect\n"));
    assert_eq!(deployments().lines().count(), before.lines().count() - 1, "the tables' own stay");
}
