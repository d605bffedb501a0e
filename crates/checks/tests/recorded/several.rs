//! Several systems at once, by one fault.

use serde_json::{Value, json};

use super::{Case, NOW_MS, change, failed_task, state};

pub(super) fn cases(source: &str) -> Vec<Case> {
    vec![
        (
            "the source is paused",
            vec![
                change(state(source, "connector/state"), json!("PAUSED")),
                change("/postgres/seen/slot/active_pid", Value::Null),
            ],
        ),
        (
            "a slot that the server gave up",
            vec![
                change("/postgres/seen/slot/wal_status", json!("lost")),
                change("/postgres/seen/slot/invalidated", json!("wal_removed")),
                change(state(source, "tasks"), failed_task()),
            ],
        ),
        (
            "the sink is stuck",
            vec![
                change("/kafka/seen/lag/oldest_ms", json!(NOW_MS - 3_600_000)),
                change("/store/seen/newest_ms", json!(NOW_MS - 3_600_000)),
            ],
        ),
        (
            "PostgreSQL is away, and the source says so",
            vec![
                change("/postgres", json!({ "silent": "connection refused" })),
                change(state(source, "tasks"), failed_task()),
            ],
        ),
        (
            "PostgreSQL is away for a while",
            vec![
                change("/postgres", json!({ "silent": "connection refused" })),
                change(state(source, "tasks"), failed_task()),
                change("/worker/seen/metrics/failed_runs", json!(6)),
                change("/worker/seen/metrics/failed_ago_ms", json!(4000)),
            ],
        ),
        (
            "the worker is away, and the log grows",
            vec![
                change("/worker", json!({ "silent": "connection refused" })),
                change("/postgres/seen/slot/active_pid", Value::Null),
                change("/postgres/seen/slot/retained_bytes", json!(7_000_000_000_u64)),
                change("/postgres/seen/slot/safe_bytes", json!(1_000_000_000)),
                change("/kafka/seen/group/members", json!([])),
                change("/kafka/seen/lag/oldest_ms", json!(NOW_MS - 3_600_000)),
                change("/store/seen/newest_ms", json!(NOW_MS - 3_600_000)),
            ],
        ),
        (
            "a table that was never started",
            vec![
                change("/worker", json!({ "silent": "connection refused" })),
                change("/postgres/seen/slot", Value::Null),
                change("/postgres/seen/publication", Value::Null),
                change("/kafka/seen/topics/0/partitions", Value::Null),
                change("/kafka/seen/stored", Value::Null),
                change("/kafka/seen/stored_of", Value::Null),
                change("/kafka/seen/group", Value::Null),
            ],
        ),
    ]
}
