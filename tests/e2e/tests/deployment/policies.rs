//! Who may talk to whom.

use std::thread;

use crate::bed::{Bed, Deployment, NAMESPACE, TABLES, until};

/// A container: its namespace, its pod, its name.
type From<'a> = (&'a str, &'a str, &'a str);

const SERVERS: [(&str, u16); 3] = [("kafka", 9092), ("postgresql", 5432), ("s3", 9000)];

/// Whether a connection to an address comes about within three seconds.
fn reaches(bed: &Bed, from: From<'_>, host: &str, port: u16) -> bool {
    let script = format!("exec 3<>/dev/tcp/{host}/{port}");
    bed.exec(from, &["timeout", "3", "bash", "-c", &script]).status.success()
}

/// Whether DNS answers.
fn knows(bed: &Bed, from: From<'_>, name: &str) -> bool {
    bed.exec(from, &["timeout", "5", "getent", "hosts", name]).status.success()
}

/// Which of these are reached. They are tried side by side: what drops a packet takes its three seconds.
fn reached_of(bed: &Bed, from: From<'_>, all: &[(String, u16)]) -> Vec<bool> {
    thread::scope(|scope| {
        let threads: Vec<_> =
            all.iter().map(|(host, port)| scope.spawn(move || reaches(bed, from, host, *port))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Which of the servers, and then of the workers, are reached.
fn reached(bed: &Bed, from: From<'_>) -> [bool; 7] {
    let workers = TABLES.into_iter().zip(8083..).map(|((_, app), port)| (app, port));
    let named = |(host, port)| (format!("{host}.{NAMESPACE}.svc.cluster.local"), port);
    let all: Vec<_> = SERVERS.into_iter().chain(workers).map(named).collect();
    reached_of(bed, from, &all).try_into().unwrap()
}

#[test]
#[ignore = "scripts/k8s test starts the node that it needs"]
fn workers_reach_their_servers_and_no_other_worker() {
    let bed = Bed::find();
    bed.deployed(Deployment::Mixed);
    let workers = [
        ("kafka-connect-users", "kafka-connect", 3),
        ("kafka-connect-orders", "datapipe", 3),
        // It has no sink, and so no way to S3.
        ("kafka-connect-order-items", "kafka-connect", 2),
    ];
    for (app, container, servers) in workers {
        let pod = format!("deployment/{app}");
        let from = (NAMESPACE, pod.as_str(), container);
        assert!(knows(&bed, from, "kafka"), "{app}: DNS");
        let mut all: Vec<_> = SERVERS.map(|(host, port)| (host.to_owned(), port)).into();
        // Their Services, and their pods.
        for ((_, other), port) in TABLES.into_iter().zip(8083..).filter(|((_, other), _)| *other != app) {
            let pods = bed.pods(other);
            all.extend([other, pods[0]["status"]["podIP"].as_str().unwrap()].map(|host| (host.to_owned(), port)));
        }
        let reached = reached_of(&bed, from, &all);
        for (at, (to, is_reached)) in all.iter().zip(reached).enumerate() {
            assert_eq!(is_reached, at < servers, "{app} to {to:?}");
        }
    }
}

#[test]
#[ignore = "scripts/k8s test starts the node that it needs"]
fn strangers_reach_nothing() {
    let bed = Bed::find();
    bed.deployed(Deployment::Mixed);
    let nobody = (NAMESPACE, "pod/nobody", "bed");
    assert!(knows(&bed, nobody, "kafka"), "DNS is for everybody");
    assert_eq!(reached(&bed, nobody), [false; 7], "a pod without a label");
    // The same pod with the label of a tool: it was the label that was missing, and nothing else.
    bed.kubectl(&["label", "pod", "nobody", "-n", NAMESPACE, "component=tool"]);
    until("the label to count", 60, || reached(&bed, nobody) == [true; 7]);
    bed.kubectl(&["label", "pod", "nobody", "-n", NAMESPACE, "component-"]);

    // Nothing keeps these two from sending: it is the other side that does not take it.
    let stranger = ("elsewhere", "pod/stranger", "bed");
    assert!(reaches(&bed, stranger, "kubernetes.default.svc.cluster.local", 443), "a namespace without policies");
    assert_eq!(reached(&bed, stranger), [false; 7], "a tool's label counts in our namespace only");
    let monitor = ("monitoring", "pod/monitor", "bed");
    assert_eq!(reached(&bed, monitor), [false, false, false, true, true, true, true], "metrics, and nothing else");
}
