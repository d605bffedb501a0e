//! What room workers have left, as `datapipe-verify` says it.

use std::time::Instant;

use datapipe_e2e::process::program_named;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::bed::{Bed, Deployment, NAMESPACE, text, until};

/// Until a JVM has started and collected, and metrics are told.
const SHOWS_MAX_S: u64 = 120;
const HEAP: &str = "DP0808";
/// Of this a worker that has its source alone, and few rows, leaves a little free: 19 to 20 MiB are in use.
const TIGHT_MIB: u32 = 22;

/// What a look at the cluster finds.
fn verify(bed: &Bed) -> Vec<Value> {
    let mut command = bed.command(&program_named("datapipe-verify").unwrap());
    command.args(["--deployed", "--with", "kafka,s3", "--only", "kubernetes", "-o", "json", "--config"]);
    let output = command.arg(Deployment::Mixed.settings()).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)))
}

fn of<'a>(findings: &'a [Value], table: &str, code: &str) -> &'a Value {
    findings.iter().find(|finding| finding["table"] == table && finding["code"] == code).unwrap()
}

/// Waits until a check of a table comes to that; returns its words.
fn becomes(bed: &Bed, table: &str, code: &str, outcome: &str) -> String {
    let (begun, mut found) = (Instant::now(), Value::Null);
    until(&format!("{code} of {table} to be {outcome}"), SHOWS_MAX_S, || {
        let now = of(&verify(bed), table, code).clone();
        if now != found {
            println!("    {table}: {now}");
        }
        found = now;
        found["outcome"] == outcome
    });
    println!("    {code} of {table} is {outcome} after {} s", begun.elapsed().as_secs());
    found["seen"].as_str().unwrap().to_owned()
}

/// Gives the JVM of a worker another heap, and waits for its new pod.
fn set_heap(bed: &Bed, app: &str, mib: u32) {
    let flag = |at: u32, flag: &str| {
        let path = format!("/spec/template/spec/containers/0/command/{at}");
        json!({ "op": "replace", "path": path, "value": format!("{flag}{mib}m") })
    };
    let patch = json!([flag(1, "-Xms"), flag(2, "-Xmx")]).to_string();
    bed.kubectl(&["patch", "deployment", app, "-n", NAMESPACE, "--type=json", "-p", &patch]);
    bed.kubectl(&["rollout", "status", &format!("deployment/{app}"), "-n", NAMESPACE, "--timeout=90s"]);
}

#[test]
#[ignore = "scripts/k8s test starts the node that it needs"]
fn what_heaps_hold_is_told_and_one_that_is_nearly_full_is_named() {
    let bed = Bed::find();
    bed.deployed(Deployment::Mixed);
    bed.rows(2000);
    for (table, app) in [("users", "hybrid"), ("products", "hybrid"), ("order_items", "kafka-connect")] {
        let words = becomes(&bed, table, HEAP, "ok");
        assert!(words.contains(" of 72.0 MiB heap in use: the least that "), "{app}: {words}");
    }
    let native = verify(&bed);
    assert_eq!(of(&native, "orders", HEAP)["seen"], "no JVM runs in its pod");

    let folder = tempdir().unwrap();
    let tree = bed.rendered(Deployment::Mixed, folder.path());
    let app = "kafka-connect-order-items";
    set_heap(&bed, app, TIGHT_MIB);
    let words = becomes(&bed, "order_items", HEAP, "warning");
    assert!(
        words.contains(" of 22.0 MiB heap in use: the least that the last 10 collections left, 10 of them"),
        "{words}"
    );
    let findings = verify(&bed);
    assert_eq!(of(&findings, "order_items", HEAP)["caused_by"], json!(["DP0806"]), "it was changed by hand");
    for table in ["users", "products"] {
        assert_eq!(of(&findings, table, HEAP)["outcome"], "ok");
    }
    bed.as_planned(&tree.join(format!("{app}-deployment.json")));
    becomes(&bed, "order_items", HEAP, "ok");
}
