//! What room workers have left, as `datapipe-verify` says it.

use std::time::Instant;

use datapipe_e2e::process::program_named;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::bed::{Bed, Deployment, NAMESPACE, text, until};
use crate::findings::{of, roots};
use crate::memory::Container;

/// Until a JVM has started and collected, and the metrics tell of it.
const SHOWS_MAX_S: u64 = 120;
const HEAP: &str = "DP0808";
const MEMORY: &str = "DP0809";
/// So much shared memory a container has at most.
const SHARED_MAX_MIB: u64 = 64;
/// Of this a worker that has its source alone, and few rows, leaves a little free: 19 to 20 MiB are in use.
const TIGHT_MIB: u32 = 22;

/// What a look at the cluster finds.
fn verify(bed: &Bed) -> Vec<Value> {
    let mut command = bed.command(&program_named("datapipe-verify").unwrap());
    command.args(["--deployed", "--with", "kafka,s3", "--only", "kubernetes", "-o", "json", "--config"]);
    let output = command.arg(Deployment::Mixed.settings()).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)))
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

/// Has a file of that size, which is memory, in a worker's JVM container; none of no size.
fn hold(bed: &Bed, app: &str, mib: u64) {
    let line = format!("if [ {mib} = 0 ]; then rm /dev/shm/held; else head -c {mib}M /dev/zero > /dev/shm/held; fi");
    let container = (NAMESPACE, &*format!("deployment/{app}"), "kafka-connect");
    let output = bed.exec(container, &["bash", "-c", &line]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
#[ignore = "scripts/k8s test starts the node that it needs"]
fn memory_is_told_beside_its_limit_and_what_is_near_it_is_named() {
    let bed = Bed::find();
    bed.deployed(Deployment::Mixed);
    bed.rows(2000);
    for (table, limits) in [
        ("users", &["datapipe takes ", " MiB of 54.0 MiB, ", "kafka-connect takes ", " MiB of 196.0 MiB, "][..]),
        ("products", &["datapipe takes ", " MiB of 54.0 MiB, ", "kafka-connect takes ", " MiB of 196.0 MiB, "]),
        ("orders", &["datapipe takes ", " MiB of 250.0 MiB, "]),
        ("order_items", &["kafka-connect takes ", " MiB of 250.0 MiB, "]),
    ] {
        let words = becomes(&bed, table, MEMORY, "ok");
        for part in limits {
            assert!(words.contains(part), "{part}: {words}");
        }
    }

    // As much as leaves 6 MiB, when the JVM has all the heap that it takes: 97 %.
    let (app, target) = ("kafka-connect-users", 190);
    let containers = Container::of(&bed, app);
    let jvm = containers.iter().find(|one| one.name == "kafka-connect").unwrap();
    bed.tool(&["sql", "INSERT INTO users (name, email) SELECT 'name ' || n, '' FROM generate_series(1, 20000) n"]);
    until("its heap", 90, || jvm.working_set() + SHARED_MAX_MIB >= target);
    bed.holds("objects", "users");
    let used = jvm.working_set();
    println!("    {used} MiB are in use, {} are added", target - used);
    hold(&bed, app, target - used);
    let words = becomes(&bed, "users", MEMORY, "warning");
    let findings = verify(&bed);
    // That an earlier test has killed a pod is told for a while.
    let mut roots = roots(&findings);
    roots.retain(|(_, code)| *code != "DP0802");
    assert_eq!(roots, [("users", MEMORY)], "{words}");
    hold(&bed, app, 0);
    becomes(&bed, "users", MEMORY, "ok");
}
