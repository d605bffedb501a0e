//! Who may talk to whom.

use crate::bed::{Bed, Deployment, NAMESPACE, TABLES, until};

/// Whether a connection from a pod to an address comes about within three seconds.
fn reaches(bed: &Bed, pod: &str, container: Option<&str>, host: &str, port: u16) -> bool {
    let script = format!("exec 3<>/dev/tcp/{host}/{port}");
    bed.exec(pod, container, &["timeout", "3", "bash", "-c", &script]).status.success()
}

fn knows(bed: &Bed, pod: &str, container: Option<&str>, name: &str) -> bool {
    bed.exec(pod, container, &["timeout", "5", "getent", "hosts", name]).status.success()
}

const SERVERS: [(&str, u16); 3] = [("kafka", 9092), ("postgresql", 5432), ("s3", 9000)];

#[test]
#[ignore = "scripts/k8s test starts the node that it needs"]
fn workers_reach_their_servers_and_no_other_worker_and_strangers_reach_nothing() {
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
        assert!(knows(&bed, &pod, Some(container), "kafka"), "{app}: DNS");
        for (at, (host, port)) in SERVERS.into_iter().enumerate() {
            assert_eq!(reaches(&bed, &pod, Some(container), host, port), at < servers, "{app} to {host}");
        }
        for ((_, other), port) in TABLES.into_iter().zip(8083..).filter(|((_, other), _)| *other != app) {
            let pods = bed.pods(other);
            let address = pods[0]["status"]["podIP"].as_str().unwrap().to_owned();
            assert!(!reaches(&bed, &pod, Some(container), other, port), "{app} to the Service {other}");
            assert!(!reaches(&bed, &pod, Some(container), &address, port), "{app} to the pod of {other}");
        }
    }
    let all = || -> Vec<bool> {
        let workers = TABLES.into_iter().zip(8083..).map(|((_, app), port)| (app, port));
        SERVERS.into_iter().chain(workers).map(|(host, port)| reaches(&bed, "pod/nobody", None, host, port)).collect()
    };
    assert!(knows(&bed, "pod/nobody", None, "kafka"), "DNS is for everybody");
    assert_eq!(all(), [false; 7], "a pod without a label");
    // The same pod with the label of a tool: it was the label that was missing, and nothing else.
    bed.kubectl(&["label", "pod", "nobody", "-n", NAMESPACE, "component=tool"]);
    until("the label to count", 30, || all() == [true; 7]);
    bed.kubectl(&["label", "pod", "nobody", "-n", NAMESPACE, "component-"]);
}
