//! The store.

use serde_json::{Value, json};

use super::{Case, NOW_MS, change, one};

pub(super) fn cases() -> Vec<Case> {
    let second = |at: i64| {
        let from_ms = NOW_MS - 9000 + at * 1000;
        json!({ "bytes": 9000, "records": 40, "from_ms": from_ms, "to_ms": from_ms + 500 })
    };
    let small: Vec<Value> = (0..8).map(second).collect();
    vec![
        one("the store is away", "/store", json!({ "silent": "403" })),
        one("no object comes", "/store/seen/newest_ms", json!(NOW_MS - 3_600_000)),
        (
            "no object at all",
            vec![change("/store/seen/newest", Value::Null), change("/store/seen/newest_ms", Value::Null)],
        ),
        one("a storm of small objects", "/store/seen/recent", json!(small)),
        one("clocks apart", "/store/seen/clock_ms", json!(NOW_MS - 240_000)),
        one("a clock that the store refuses", "/store/seen/clock_ms", json!(NOW_MS + 2_000_000)),
    ]
}
