//! Kafka.

use serde_json::{Value, json};

use super::{Case, NOW_MS, change, one};

pub(super) fn cases() -> Vec<Case> {
    vec![
        one("Kafka is away", "/kafka", json!({ "silent": "no broker answered" })),
        one("a topic is missing", "/kafka/seen/topics/0/partitions", Value::Null),
        one("a topic is not compacted", "/kafka/seen/topics/0/configs/cleanup.policy", json!("delete")),
        one("the sink is behind", "/kafka/seen/lag/offsets", json!(900_000)),
        one("dead letters", "/kafka/seen/dead_letters", json!(3)),
        one("an older server", "/kafka/seen/stored_of/timeline", json!(3)),
        one("a worker of another kind", "/kafka/seen/group/protocol", json!("connect")),
        one("a group that rebalances", "/kafka/seen/group/state", json!("PreparingRebalance")),
        one("nobody in the group", "/kafka/seen/group/members", json!([])),
        one(
            "a transaction that hangs",
            "/kafka/seen/hidden",
            json!([{ "topic": "cdc.public.users", "partition": 0, "offsets": 70, "since_ms": NOW_MS - 600_000 }]),
        ),
        one(
            "a transaction that is open for long",
            "/kafka/seen/hidden",
            json!([{ "topic": "cdc.public.users", "partition": 0, "offsets": 70, "since_ms": NOW_MS - 30_000 }]),
        ),
        (
            "a dead letter with its reason",
            vec![
                change("/kafka/seen/dead_letters", json!(1)),
                (
                    "/kafka/seen/last_letter".into(),
                    json!({
                        "place": "cdc.public.users/0/17", "stage": "VALUE_CONVERTER",
                        "class": "org.apache.kafka.connect.errors.DataException", "message": "no JSON",
                    }),
                ),
            ],
        ),
        one("records are deleted before they are read", "/kafka/seen/lag/oldest_ms", json!(NOW_MS - 400_000_000)),
    ]
}
