//! Ways that are closed, as a pod with the worker's labels finds them.

use serde_json::{Value, json};

use super::{Case, change, one};

fn way(edge: usize, way: Value) -> super::Change {
    change(format!("/edges/seen/edges/{edge}/way"), way)
}

/// A server that is behind a closed way does not answer.
fn away(server: &str) -> super::Change {
    change(format!("/{server}"), json!({ "silent": "no answer within 10 s" }))
}

pub(super) fn cases() -> Vec<Case> {
    let no_dns = || json!({ "no_dns": "Temporary failure in name resolution" });
    let worker = |way: Value| json!({ "to": "worker", "host": "localhost", "port": 8083, "way": way });
    let worker_away = || change("/worker", json!({ "silent": "GET http://localhost:8083/ failed" }));
    vec![
        ("a policy drops the way to PostgreSQL", vec![way(0, json!({ "timed_out": 3000 })), away("postgres")]),
        ("a policy rejects the way to Kafka", vec![way(1, json!("refused")), way(2, json!("refused")), away("kafka")]),
        one("one broker's own address is out of reach", "/edges/seen/edges/2/way", json!({ "timed_out": 3000 })),
        ("a policy drops the way to the store", vec![way(3, json!({ "timed_out": 3000 })), away("store")]),
        ("the store's name is wrong", vec![way(3, json!({ "no_name": "Name or service not known" })), away("store")]),
        ("no route to PostgreSQL", vec![way(0, json!({ "unreachable": "No route to host" })), away("postgres")]),
        (
            "DNS is out of reach",
            vec![
                way(0, no_dns()),
                way(1, no_dns()),
                way(2, no_dns()),
                way(3, no_dns()),
                away("postgres"),
                away("kafka"),
                away("store"),
            ],
        ),
        (
            "the worker's port is behind a firewall",
            vec![worker_away(), change("/rest", worker(json!({ "timed_out": 3000 })))],
        ),
    ]
}
