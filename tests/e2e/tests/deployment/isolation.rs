//! One worker fails, and the others do not notice.

use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::bed::{Bed, Deployment, NAMESPACE, TABLES, until};
use crate::memory::Container;

/// The starts of all containers of the workers beside `app`.
fn others(bed: &Bed, app: &str) -> Vec<Vec<(String, String, i64)>> {
    TABLES.iter().filter(|(_, other)| *other != app).map(|(_, other)| bed.starts(other)).collect()
}

fn restarts(bed: &Bed, app: &str, container: &str) -> i64 {
    bed.starts(app).iter().find(|(_, name, _)| name == container).unwrap().2
}

fn is_ready(bed: &Bed, app: &str) -> bool {
    let pods = bed.pods(app);
    let conditions = pods.iter().flat_map(|pod| pod["status"]["conditions"].as_array().cloned().unwrap_or_default());
    conditions.into_iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// While `app` is away: rows reach the topics of all other tables.
fn others_flow(bed: &Bed, app: &str) {
    bed.rows(50);
    for (at, (table, _)) in TABLES.iter().filter(|(_, other)| *other != app).enumerate() {
        bed.holds("topic", table);
        assert!(at > 0 || !is_ready(bed, app), "rows of {table} are to flow while {app} is away");
    }
}

#[test]
#[ignore = "scripts/k8s test starts the node that it needs"]
fn a_worker_that_passes_its_memory_limit_is_killed_alone_and_apply_says_so() {
    let bed = Bed::find();
    bed.deployed(Deployment::Mixed);
    let (app, container) = ("kafka-connect-users", "kafka-connect");
    let (before, started) = (others(&bed, app), restarts(&bed, app, container));
    // What grows in the JVM's container counts for the JVM, which is the larger one there.
    let grow = "text=$(head -c 300000000 /dev/zero | tr '\\0' x); sleep 60";
    let deployment = format!("deployment/{app}");
    let output = bed.exec((NAMESPACE, &deployment, container), &["bash", "-c", grow]);
    assert!(!output.status.success(), "it grew past the limit of its container");
    until("the container to be started again", 60, || restarts(&bed, app, container) > started);
    let said = thread::scope(|scope| {
        let apply = scope.spawn(|| bed.apply(Deployment::Mixed));
        others_flow(&bed, app);
        apply.join().unwrap()
    });
    assert!(said.contains("kafka-connect took more memory than 196Mi and was killed"), "{said}");
    assert!(said.contains("0 objects and 0 connectors changed"), "{said}");
    bed.holds("topic", "users");
    assert_eq!(others(&bed, app), before, "the others were not started again");
}

#[test]
#[ignore = "scripts/k8s test starts the node that it needs"]
fn a_worker_that_is_killed_over_and_over_stops_its_own_table_only() {
    let bed = Bed::find();
    bed.deployed(Deployment::Mixed);
    let (app, container) = ("kafka-connect-orders", "datapipe");
    let before = others(&bed, app);
    let started = restarts(&bed, app, container);
    // After the second end Kubernetes waits before it starts the container again.
    for time in 1..=2 {
        until("its process", 60, || is_ready(&bed, app));
        for process in Container::of(&bed, app).iter().flat_map(Container::processes) {
            kill_process(Pid::from_raw(process).unwrap(), Signal::KILL).unwrap();
        }
        until("the end to be seen", 60, || {
            let pods = bed.pods(app);
            let status = &pods[0]["status"]["containerStatuses"][0];
            restarts(&bed, app, container) >= started + time
                || status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        });
    }
    let said = thread::scope(|scope| {
        let apply = scope.spawn(|| bed.apply(Deployment::Mixed));
        others_flow(&bed, app);
        apply.join().unwrap()
    });
    assert!(said.contains("datapipe ended with code 137"), "{said}");
    bed.holds("objects", "orders");
    assert_eq!(others(&bed, app), before, "the others were not started again");
}
