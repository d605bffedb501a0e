//! Offsets that a person wants to set: their shape and their partition are checked, which Debezium does not do. Pure.

use serde_json::Value;

use crate::port::connect::{GroupOffset, JsonMap};
use crate::progress::Progress;

/// What a field of a source's offset holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// A whole number, 0 or more.
    Number,
    Text,
    Flag,
    /// `true`, or the kind of snapshot as a text.
    FlagOrText,
}

/// The fields that Debezium's PostgreSQL connector and the native source write.
const FIELDS: &[(&str, Field)] = &[
    ("lsn", Field::Number),
    ("lsn_proc", Field::Number),
    ("lsn_commit", Field::Number),
    ("lsn_events_processed", Field::Number),
    ("txId", Field::Number),
    ("ts_usec", Field::Number),
    ("messageType", Field::Text),
    ("snapshot", Field::FlagOrText),
    ("snapshot_completed", Field::Flag),
    ("transaction_id", Field::Text),
    ("datapipe", Field::Text),
];

/// Fields whose names go on with something else.
const PREFIXES: &[(&str, Field)] =
    &[("transaction_data_collection_order_", Field::Number), ("incremental_snapshot_", Field::FlagOrText)];

/// Why a source connector's offset cannot be set; none if it can. No offset forgets the partition.
pub fn source_offset_problem(topic_prefix: &str, partition: &JsonMap, offset: Option<&JsonMap>) -> Option<String> {
    let expected = serde_json::json!({ "server": topic_prefix });
    let given = Value::Object(partition.clone());
    if given != expected {
        return Some(format!("the partition of this connector is {expected}, after its topic.prefix, and not {given}"));
    }
    let offset = offset?;
    let known = FIELDS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    for (name, value) in offset {
        let exact = FIELDS.iter().find(|(field, _)| field == name);
        let Some((_, field)) = exact.or_else(|| PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix))) else {
            return Some(format!("{name:?} is no field of this connector's offsets; they are {known}"));
        };
        let (fits, what) = match field {
            Field::Number => (value.as_i64().is_some_and(|number| number >= 0), "a whole number, 0 or more"),
            Field::Text => (value.is_string(), "a text"),
            Field::Flag => (value.is_boolean(), "true or false"),
            Field::FlagOrText => (value.is_boolean() || value.is_string(), "a text, true or false"),
        };
        if !fits {
            return Some(format!("{name} is {value}; it must be {what}"));
        }
    }
    let Some(lsn) = offset.get("lsn") else {
        return Some("the offset has no lsn, so it is no position in the log".to_owned());
    };
    offset.get("datapipe").and_then(|_| own_state_problem(offset, lsn))
}

/// Our own state must be ours, and speak of the same position as the fields that Debezium reads.
fn own_state_problem(offset: &JsonMap, lsn: &Value) -> Option<String> {
    let bytes = Value::Object(offset.clone()).to_string().into_bytes();
    match Progress::from_offset_value(&bytes) {
        Err(_) => {
            Some("datapipe is not what a native worker wrote there; take the whole offset as GET gave it".to_owned())
        }
        Ok(progress) if lsn.as_u64() != Some(progress.last.lsn.0) => Some(format!(
            "lsn is {lsn} and datapipe says {}; take the whole offset as GET gave it",
            progress.last.lsn.0
        )),
        Ok(_) => None,
    }
}

/// Reads a sink connector's offset; the words are Kafka Connect's where it has some. `partitions` is how many the
/// topic has.
pub fn sink_offset(
    topic: &str,
    partitions: i32,
    partition: &JsonMap,
    offset: Option<&JsonMap>,
) -> Result<GroupOffset, String> {
    let (Some(given), Some(number)) = (partition.get("kafka_topic"), partition.get("kafka_partition")) else {
        return Err("The partition for a sink connector offset must contain the keys 'kafka_topic' and \
                    'kafka_partition'"
            .to_owned());
    };
    let given = given.as_str().ok_or("Kafka topic names must be valid strings and may not be null")?;
    if given != topic {
        return Err(format!("the topic of this connector is {topic}, and not {given}"));
    }
    if number.is_null() {
        return Err("Kafka partitions must be valid numbers and may not be null".to_owned());
    }
    let number: i32 = whole(number).ok_or_else(|| {
        format!(
            "Failed to parse the following Kafka partition value in the provided offsets: '{}'. Partition values for \
             sink connectors need to be integers.",
            plain(number)
        )
    })?;
    if !(0..partitions).contains(&number) {
        return Err(format!("topic {topic} has partitions 0 to {}, and none of number {number}", partitions - 1));
    }
    let offset = match offset {
        None => None,
        Some(offset) => {
            let value = offset
                .get("kafka_offset")
                .ok_or("The offset for a sink connector should either be null or contain the key 'kafka_offset'")?;
            let number: Option<i64> = whole(value).filter(|number| *number >= 0);
            Some(number.ok_or_else(|| {
                format!(
                    "Failed to parse the following Kafka offset value in the provided offsets: '{}'. Offset values for \
                     sink connectors need to be integers.",
                    plain(value)
                )
            })?)
        }
    };
    Ok(GroupOffset { topic: topic.to_owned(), partition: number, offset })
}

/// A whole number, as one or as its text.
fn whole<T: std::str::FromStr>(value: &Value) -> Option<T> {
    plain(value).parse().ok()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lsn::{Lsn, Position};
    use crate::port::source::Fingerprint;
    use crate::progress::LastChange;
    use crate::signal::Signals;

    fn map(value: &Value) -> JsonMap {
        value.as_object().unwrap().clone()
    }

    fn source(partition: &Value, offset: &Value) -> Option<String> {
        source_offset_problem("cdc", &map(partition), offset.as_object())
    }

    #[test]
    fn offsets_of_both_kinds_of_worker_are_accepted() {
        let cdc = json!({ "server": "cdc" });
        let theirs = json!({
            "lsn": 50_735_096, "lsn_proc": 50_735_096, "lsn_commit": 50_734_840, "txId": 1308, "ts_usec": 1,
            "messageType": "INSERT", "transaction_id": "1:2", "transaction_data_collection_order_public.users": 3,
            "snapshot": "INITIAL", "snapshot_completed": false,
        });
        assert_eq!(source(&cdc, &theirs), None);
        assert_eq!(source(&cdc, &json!(null)), None);
        let progress = Progress {
            fingerprint: Fingerprint {
                system_id: "7391".to_owned(),
                database: "shop".to_owned(),
                slot: "s".to_owned(),
                publication: "p".to_owned(),
            },
            timeline: 1,
            position: Position { commit: Lsn(1000), index: 3 },
            confirmable: Lsn(900),
            snapshot: None,
            last: LastChange { lsn: Lsn(990), lsn_commit: Lsn(900), xid: 7, time_us: 5 },
            handover: None,
            signals: Signals::default(),
        };
        let mut ours: Value = serde_json::from_slice(&progress.to_offset_value()).unwrap();
        assert_eq!(source(&cdc, &ours), None);
        ours["lsn"] = json!(1);
        assert!(source(&cdc, &ours).unwrap().starts_with("lsn is 1 and datapipe says 990"));
        ours["datapipe"] = json!("{}");
        assert!(source(&cdc, &ours).unwrap().starts_with("datapipe is not what"));
    }

    #[test]
    fn a_wrong_partition_field_or_type_is_refused() {
        let cdc = json!({ "server": "cdc" });
        for (partition, offset, words) in [
            (
                json!({ "server": "other" }),
                json!({ "lsn": 1 }),
                "the partition of this connector is {\"server\":\"cdc\"}",
            ),
            (json!({ "server": "cdc", "db": "x" }), json!(null), "the partition of this connector is"),
            (json!({}), json!(null), "the partition of this connector is"),
            (cdc.clone(), json!({ "lsn": "1" }), "lsn is \"1\"; it must be a whole number"),
            (cdc.clone(), json!({ "lsn": -1 }), "lsn is -1"),
            (cdc.clone(), json!({ "lsn": 1.5 }), "lsn is 1.5"),
            (cdc.clone(), json!({ "lsn": { "x": 1 } }), "lsn is {\"x\":1}"),
            (cdc.clone(), json!({ "lsn": 1, "snapshot_completed": "no" }), "snapshot_completed is \"no\""),
            (cdc.clone(), json!({ "lsn": 1, "position": 3 }), "\"position\" is no field"),
            (cdc.clone(), json!({ "txId": 1 }), "the offset has no lsn"),
        ] {
            let problem = source(&partition, &offset).unwrap();
            assert!(problem.starts_with(words), "{problem}");
        }
    }

    #[test]
    fn sink_offsets_are_numbers_or_their_texts() {
        let read = |partition: Value, offset: Value| sink_offset("t", 2, &map(&partition), offset.as_object());
        let at = |partition, offset| Ok(GroupOffset { topic: "t".to_owned(), partition, offset });
        let t = |number: Value| json!({ "kafka_topic": "t", "kafka_partition": number });
        assert_eq!(read(t(json!(1)), json!({ "kafka_offset": 7 })), at(1, Some(7)));
        assert_eq!(read(t(json!("1")), json!({ "kafka_offset": "7" })), at(1, Some(7)));
        assert_eq!(read(t(json!(0)), json!(null)), at(0, None));
        for (partition, offset, words) in [
            (json!({ "kafka_topic": "t" }), json!(null), "The partition for a sink connector offset must contain"),
            (json!({ "kafka_topic": null, "kafka_partition": 0 }), json!(null), "Kafka topic names must be valid"),
            (json!({ "kafka_topic": "u", "kafka_partition": 0 }), json!(null), "the topic of this connector is t"),
            (t(json!(null)), json!(null), "Kafka partitions must be valid numbers"),
            (t(json!("x")), json!(null), "Failed to parse the following Kafka partition value"),
            (t(json!(2)), json!(null), "topic t has partitions 0 to 1"),
            (t(json!(0)), json!({ "offset": 1 }), "The offset for a sink connector should either be null"),
            (t(json!(0)), json!({ "kafka_offset": "x" }), "Failed to parse the following Kafka offset value"),
            (t(json!(0)), json!({ "kafka_offset": -1 }), "Failed to parse the following Kafka offset value"),
        ] {
            let problem = read(partition, offset).unwrap_err();
            assert!(problem.starts_with(words), "{problem}");
        }
    }
}
