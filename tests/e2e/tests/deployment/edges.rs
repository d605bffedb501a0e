//! `datapipe-verify --inside`: a deployment as somebody sees it who reaches the API server and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use datapipe_e2e::process::program_named;
use serde_json::{Value, json};

use crate::bed::{Bed, Deployment, NAMESPACE, TABLES, text, until};
use crate::findings::{of, roots, word, wrong};

/// New policies, and pods that were cut off, take a moment.
const SHOWS_MAX_S: u64 = 120;

/// Whoever has the rights that the documentation names, and no others.
fn looker(bed: &Bed) -> PathBuf {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/verify.md")).unwrap();
    let role = page.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let (manifest, kubeconfig) = (bed.run.join("verify-role.yaml"), bed.run.join("looker.conf"));
    fs::write(&manifest, role).unwrap();
    bed.kubectl(&["apply", "--server-side", "-f", manifest.to_str().unwrap()]);
    let bound = bed.try_kubectl(&["get", "rolebinding", "looker", "-n", NAMESPACE]).status.success();
    if !bound {
        let words = ["create", "rolebinding", "looker", "-n", NAMESPACE, "--role=datapipe-verify", "--user=looker"];
        bed.kubectl(&words);
    }
    let mut config: Value = serde_json::from_str(&bed.kubectl(&["config", "view", "--raw", "-o", "json"])).unwrap();
    config["users"][0]["user"]["as"] = json!("looker");
    fs::write(&kubeconfig, config.to_string()).unwrap();
    kubeconfig
}

fn command(bed: &Bed, more: &[&str]) -> Command {
    let mut command = bed.command(&program_named("datapipe-verify").unwrap());
    command.env("KUBECONFIG", bed.run.join("looker.conf"));
    command.args(["--inside", "--with", "kafka,s3", "-o", "json", "--config"]).arg(Deployment::Mixed.settings());
    command.args(more);
    command
}

/// The exit code, and all findings.
fn verify(bed: &Bed, more: &[&str]) -> (Option<i32>, Vec<Value>) {
    let begun = Instant::now();
    let output = command(bed, more).output().unwrap();
    let findings = serde_json::from_slice(&output.stdout);
    let findings: Vec<Value> = findings.unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    println!("    verify {}: {:?} after {} ms", more.join(" "), output.status.code(), begun.elapsed().as_millis());
    (output.status.code(), findings)
}

/// Looks until these are the roots, and nothing else.
fn shows(bed: &Bed, expected: &[(&str, &str)]) -> Vec<Value> {
    let mut found = Vec::new();
    until(&format!("{expected:?}"), SHOWS_MAX_S, || {
        found = verify(bed, &["--timeout", "4s"]).1;
        for finding in wrong(&found) {
            println!("      {finding}");
        }
        roots(&found) == expected
    });
    found
}

fn looking_pods(bed: &Bed) -> String {
    bed.kubectl(&["get", "pods", "-n", NAMESPACE, "-l", "datapipe/look", "-o", "name"])
}

/// Changes one rule of a policy by hand.
fn patch(bed: &Bed, policy: &str, operation: &Value) {
    let patch = json!([operation]).to_string();
    bed.kubectl(&["patch", "networkpolicy", policy, "-n", NAMESPACE, "--type=json", "-p", &patch]);
}

#[test]
#[ignore = "scripts/k8s test starts the node that it needs"]
fn what_workers_reach_is_seen_from_where_they_are() {
    let bed = Bed::find();
    bed.deployed(Deployment::Mixed);
    bed.rows(50);
    let kubeconfig = looker(&bed);
    let may = ["auth", "can-i", "get", "secrets", "-n", NAMESPACE, "--kubeconfig", kubeconfig.to_str().unwrap()];
    assert_eq!(text(&bed.try_kubectl(&may).stdout), "no", "it is somebody else");

    // Nothing is wrong, and nothing was left out but what a table does not have.
    let (code, findings) = verify(&bed, &["--wait", "120s", "--fail-on", "warning"]);
    assert_eq!((code, wrong(&findings)), (Some(0), Vec::new()));
    for (table, _) in TABLES {
        let outcome = |code| &of(&findings, table, code)["outcome"];
        for code in ["DP0101", "DP0301", "DP0401", "DP0801", "DP0803", "DP0804", "DP0901", "DP0902", "DP0903", "DP0905"]
        {
            assert_eq!(outcome(code), "ok", "{table}: {code}");
        }
        let store = if table == "order_items" { "skipped" } else { "ok" };
        assert_eq!((outcome("DP0501"), outcome("DP0904")), (&json!(store), &json!(store)));
    }
    assert_eq!(looking_pods(&bed), "", "they are deleted");

    let (code, findings) = verify(&bed, &["--only", "s3", "--table", "orders", "--timeout", "20s"]);
    let (ok, others): (Vec<_>, Vec<_>) = findings.iter().partition(|finding| finding["outcome"] == "ok");
    let codes = ok.iter().map(|finding| word(finding, "code"));
    // The pods are looked at whenever one is made.
    let ok: Vec<_> = codes.filter(|code| !code.starts_with("DP08")).collect();
    assert_eq!((code, ok), (Some(0), vec!["DP0501", "DP0502", "DP0503", "DP0504"]));
    assert!(others.iter().all(|finding| finding["outcome"] == "skipped"), "{others:?}");

    rows_are_compared_there(&bed);

    let folder = tempfile::tempdir().unwrap();
    let policies = bed.rendered(Deployment::Mixed, folder.path()).join("03-network-policies-multi-instance.json");

    // The way of one worker to Kafka is closed. What it has open stays open: only somebody who comes anew finds out.
    let policy = bed.json(&["get", "networkpolicy", "kafka-connect-orders"]);
    let rules = policy["spec"]["egress"].as_array().unwrap();
    let at = rules.iter().position(|rule| rule["ports"][0]["port"] == 9092).unwrap();
    patch(&bed, "kafka-connect-orders", &json!({ "op": "remove", "path": format!("/spec/egress/{at}") }));
    let findings = shows(&bed, &[("orders", "DP0903")]);
    let root = of(&findings, "orders", "DP0903");
    assert!(root["seen"].as_str().unwrap().contains("kafka:9092"), "{root}");
    assert!(root["next"].as_str().unwrap().starts_with("kubectl describe networkpolicy -n data-ingestion"), "{root}");
    bed.as_planned(&policies);

    // The store takes nobody's connections any more: every table that has a sink tells it.
    let nobody = json!([{ "podSelector": { "matchLabels": { "app": "nobody-has-this" } } }]);
    patch(&bed, "s3", &json!({ "op": "replace", "path": "/spec/ingress/0/from", "value": nobody }));
    shows(&bed, &[("orders", "DP0904"), ("products", "DP0904"), ("users", "DP0904")]);
    bed.as_planned(&policies);
    let findings = shows(&bed, &[]);
    assert_eq!(looking_pods(&bed), "");
    // By the rights to read logs and metrics.
    for (table, code, outcome) in [
        ("users", "DP0808", "ok"),
        ("order_items", "DP0808", "ok"),
        ("orders", "DP0808", "skipped"),
        ("users", "DP0809", "ok"),
        ("orders", "DP0809", "ok"),
    ] {
        let found = of(&findings, table, code);
        assert_eq!(found["outcome"], outcome, "{found}");
    }

    a_pod_that_cannot_look_is_a_finding(&bed);
    broken_off_it_leaves_no_pod(&bed);
}

fn rows_are_compared_there(bed: &Bed) {
    let (code, findings) = verify(bed, &["--data", "--only", "data"]);
    assert_eq!((code, wrong(&findings)), (Some(0), Vec::new()));
    for (table, _) in TABLES {
        let proof = of(&findings, table, "DP0601");
        println!("      {table}: {}", proof["seen"]);
        assert_eq!(proof["outcome"], "ok");
        assert!(!proof["seen"].as_str().unwrap().starts_with("0 rows"), "{proof}");
    }
    assert_eq!(looking_pods(bed), "");
}

fn a_pod_that_cannot_look_is_a_finding(bed: &Bed) {
    let nowhere = "deploy.worker_image=localhost/datapipe-run:nowhere";
    let (code, findings) = verify(bed, &["--table", "users", "--set", nowhere, "--only", "kafka,network"]);
    assert_eq!((code, roots(&findings)), (Some(1), vec![("users", "DP0803")]));
    let seen = wrong(&findings)[0]["seen"].as_str().unwrap();
    assert!(seen.contains("localhost/datapipe-run:nowhere cannot be had"), "{seen}");
    assert_eq!(looking_pods(bed), "");
}

/// The pods that a worker's Service leads to.
fn served_by(bed: &Bed, service: &str) -> String {
    let label = format!("kubernetes.io/service-name={service}");
    let path = "jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].targetRef.name}";
    bed.kubectl(&["get", "endpointslices", "-n", NAMESPACE, "-l", &label, "-o", path])
}

fn broken_off_it_leaves_no_pod(bed: &Bed) {
    let before = served_by(bed, "kafka-connect-users");
    assert!(before.starts_with("kafka-connect-users-"), "{before}");
    let mut child = command(bed, &["--table", "users"]).stdout(Stdio::null()).spawn().unwrap();
    let phase = ["get", "pods", "-n", NAMESPACE, "-l", "datapipe/look", "-o", "jsonpath={.items[*].status.phase}"];
    until("a pod that looks", 30, || bed.kubectl(&phase) == "Running");
    assert_eq!(served_by(bed, "kafka-connect-users"), before, "it gets no request that is the worker's");
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    until("the pods to go", 30, || looking_pods(bed).is_empty());
}
