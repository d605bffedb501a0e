use super::{Category, Check, check};

pub(super) const CHECKS: [Check; 2] = [
    check(
        "DP0701",
        Category::Canary,
        [
            "a message gets from PostgreSQL to Kafka",
            "With `--canary`: a message in PostgreSQL's log (`pg_logical_emit_message`), until the stored position has passed it and the slot is confirmed. No row and no record shows it.",
            "A quiet table and a source that is stuck look the same from outside.",
            "The hop that is missing is where it is stuck: see DP0202 and DP0304, and the worker's log.",
        ],
    ),
    check(
        "DP0702",
        Category::Canary,
        [
            "a touched row gets to its object",
            "With `--canary-table TABLE`: `UPDATE .. SET column = column` on one row, its record in the topic, and the object that holds that offset (of a JVM sink, its group's offset). No value changes, but triggers on UPDATE run.",
            "It is the one proof that rows flow all the way, and the times per hop say where they wait.",
            "The hop that is missing is where it is stuck: in the topic and in no object is the sink (DP0403, DP0501). The role needs UPDATE on the table.",
        ],
    ),
];
