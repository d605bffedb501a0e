//! The worker and its connectors.

use serde_json::json;

use super::{Case, change, failed_task, one, state};

pub(super) fn cases(source: &str, sink: &str) -> Vec<Case> {
    vec![
        one("the worker is away", "/worker", json!({ "silent": "connection refused" })),
        (
            "the worker is not well",
            vec![
                change("/worker/seen/health", json!("unhealthy")),
                change("/worker/seen/health_message", json!("no broker answers")),
            ],
        ),
        one("no connectors", "/worker/seen/connectors", json!({})),
        one("a task failed", state(source, "tasks"), failed_task()),
        one("no tasks", state(sink, "tasks"), json!([])),
        one("a connector is unassigned", state(sink, "connector/state"), json!("UNASSIGNED")),
        one(
            "somebody changed a configuration",
            format!("/worker/seen/connectors/{sink}/info/config/file.max.records"),
            json!("7"),
        ),
        one("the worker is near its memory limit", "/worker/seen/metrics/resident_bytes", json!(250_000_000)),
        (
            "tasks fail again and again",
            vec![
                change("/worker/seen/metrics/failed_runs", json!(40)),
                change("/worker/seen/metrics/failed_ago_ms", json!(4000)),
            ],
        ),
        one("an old Debezium", "/worker/seen/plugins/0/version", json!("3.6.3.Final")),
        one("a plugin is missing", "/worker/seen/plugins/1/class", json!("com.example.Sink")),
        one("a connector of another table", "/worker/seen/connectors/s3-sink-carts-connector", json!({})),
        one(
            "a store that overwrites",
            state(sink, "tasks"),
            json!([{ "id": 0, "state": "FAILED", "worker_id": "a", "trace":
                    "probing x: it overwrote an existing object although asked not to (If-None-Match: *)" }]),
        ),
    ]
}
