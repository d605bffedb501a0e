//! The records of Kafka Connect's internal topics, both ways. Pure.
//!
//! The forms are those of `KafkaConfigBackingStore`, `KafkaStatusBackingStore` and `KafkaOffsetBackingStore` of Apache
//! Kafka 4, as their JSON converter without schemas writes them. What only a JVM worker needs (session keys, the
//! fencing of tasks) is skipped when reading and never written.

use datapipe_core::port::connect::{
    ActiveTopic, ConfigMap, ConfigRecord, JsonMap, RestartRequest, SourceOffset, StatusChange, StatusRecord,
    TargetState,
};
use serde_json::{Value, json};

const CONNECTOR: &str = "connector-";
const TASK: &str = "task-";
const COMMIT: &str = "commit-";
const TARGET: &str = "target-state-";
const RESTART: &str = "restart-connector-";
const LOGGER: &str = "logger-cluster-";
/// Written by JVM workers for themselves.
const THEIRS: [&str; 2] = ["session-key", "tasks-fencing-"];

const CONNECTOR_STATUS: &str = "status-connector-";
const TASK_STATUS: &str = "status-task-";
const TOPIC_STATUS: &str = "status-topic-";
const TOPIC_SEPARATOR: &str = ":connector-";

/// A record's key and its value; a record without a value deletes.
pub(crate) type KeyValue = (String, Option<Value>);

/// A record of the configurations topic as it is written.
pub(crate) fn config_bytes(record: &ConfigRecord) -> KeyValue {
    match record {
        ConfigRecord::Connector { connector, config } => {
            (format!("{CONNECTOR}{connector}"), config.as_ref().map(|config| json!({ "properties": config })))
        }
        ConfigRecord::Task { connector, task, config } => {
            (format!("{TASK}{connector}-{task}"), Some(json!({ "properties": config })))
        }
        ConfigRecord::Commit { connector, tasks } => (format!("{COMMIT}{connector}"), Some(json!({ "tasks": tasks }))),
        ConfigRecord::Target { connector, state } => {
            // Workers before 3.5 know no STOPPED and read the older field.
            let older = |state| if state == TargetState::Stopped { TargetState::Paused } else { state };
            let value = state.map(|state| json!({ "state": older(state), "state.v2": state }));
            (format!("{TARGET}{connector}"), value)
        }
        ConfigRecord::Restart(RestartRequest { connector, include_tasks, only_failed }) => {
            let value = json!({ "include-tasks": include_tasks, "only-failed": only_failed });
            (format!("{RESTART}{connector}"), Some(value))
        }
        ConfigRecord::LoggerLevel { logger, level } => (format!("{LOGGER}{logger}"), Some(json!({ "level": level }))),
    }
}

/// A record of the configurations topic as it is read. What is nobody's, or is damaged, is left out with a warning at
/// most: a JVM worker does the same.
pub(crate) fn config_record(key: Option<&[u8]>, value: Option<&[u8]>) -> Option<ConfigRecord> {
    let key = std::str::from_utf8(key?).ok()?;
    if THEIRS.iter().any(|theirs| key.starts_with(theirs)) {
        return None;
    }
    let record = read_config(key, value);
    if record.is_none() {
        tracing::warn!(key, "a malformed record of the configurations topic is skipped");
    }
    record
}

fn read_config(key: &str, value: Option<&[u8]>) -> Option<ConfigRecord> {
    let json: Option<Value> = value.map(serde_json::from_slice).transpose().ok()?;
    if let Some(connector) = key.strip_prefix(TARGET) {
        let state = json.as_ref().map(|json| target(json).ok_or(Malformed)).transpose().ok()?;
        return Some(ConfigRecord::Target { connector: connector.to_owned(), state });
    }
    if let Some(connector) = key.strip_prefix(CONNECTOR) {
        let config = json.as_ref().map(|json| properties(json).ok_or(Malformed)).transpose().ok()?;
        return Some(ConfigRecord::Connector { connector: connector.to_owned(), config });
    }
    // Nothing else is ever deleted.
    let json = json?;
    if let Some(rest) = key.strip_prefix(TASK) {
        let (connector, task) = numbered(rest)?;
        return Some(ConfigRecord::Task { connector, task, config: properties(&json)? });
    }
    if let Some(connector) = key.strip_prefix(COMMIT) {
        let tasks = u32::try_from(json.get("tasks")?.as_u64()?).ok()?;
        return Some(ConfigRecord::Commit { connector: connector.to_owned(), tasks });
    }
    if let Some(connector) = key.strip_prefix(RESTART) {
        let flag = |name| json.get(name).and_then(Value::as_bool).unwrap_or(false);
        let (include_tasks, only_failed) = (flag("include-tasks"), flag("only-failed"));
        let connector = connector.to_owned();
        return Some(ConfigRecord::Restart(RestartRequest { connector, include_tasks, only_failed }));
    }
    let logger = key.strip_prefix(LOGGER)?.to_owned();
    Some(ConfigRecord::LoggerLevel { logger, level: json.get("level")?.as_str()?.to_owned() })
}

/// A value that is there and not well formed. One that is not there deletes.
struct Malformed;

fn target(json: &Value) -> Option<TargetState> {
    let state = json.get("state.v2").filter(|state| state.is_string()).or_else(|| json.get("state"))?;
    serde_json::from_value(state.clone()).ok()
}

fn properties(json: &Value) -> Option<ConfigMap> {
    let properties = json.get("properties")?.as_object()?;
    properties
        .iter()
        // Connect keeps a property that was set to null as null; to a connector it is absent.
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// `NAME-NUMBER`; names hold dashes themselves.
fn numbered(text: &str) -> Option<(String, u32)> {
    let (connector, task) = text.rsplit_once('-')?;
    Some((connector.to_owned(), task.parse().ok()?))
}

/// A record of the status topic as it is written.
pub(crate) fn status_bytes(change: &StatusChange) -> KeyValue {
    match change {
        StatusChange::Connector { connector, status } => {
            (format!("{CONNECTOR_STATUS}{connector}"), status.as_ref().map(|status| json!(status)))
        }
        StatusChange::Task { connector, task, status } => {
            (format!("{TASK_STATUS}{connector}-{task}"), status.as_ref().map(|status| json!(status)))
        }
        StatusChange::Topic { connector, topic, active } => {
            let value = active.as_ref().map(|active| json!({ "topic": active }));
            (format!("{TOPIC_STATUS}{topic}{TOPIC_SEPARATOR}{connector}"), value)
        }
    }
}

/// A record of the status topic as it is read.
pub(crate) fn status_change(key: Option<&[u8]>, value: Option<&[u8]>) -> Option<StatusChange> {
    let key = std::str::from_utf8(key?).ok()?;
    let change = read_status(key, value);
    if change.is_none() {
        tracing::warn!(key, "a malformed record of the status topic is skipped");
    }
    change
}

fn read_status(key: &str, value: Option<&[u8]>) -> Option<StatusChange> {
    let status = || value.map(serde_json::from_slice::<StatusRecord>).transpose().ok();
    let json: Option<Value> = value.map(serde_json::from_slice).transpose().ok()?;
    if let Some(connector) = key.strip_prefix(CONNECTOR_STATUS) {
        return Some(StatusChange::Connector { connector: connector.to_owned(), status: status()? });
    }
    if let Some(rest) = key.strip_prefix(TASK_STATUS) {
        let (connector, task) = numbered(rest)?;
        return Some(StatusChange::Task { connector, task, status: status()? });
    }
    let (topic, connector) = key.strip_prefix(TOPIC_STATUS)?.split_once(TOPIC_SEPARATOR)?;
    let read = |json: &Value| serde_json::from_value::<ActiveTopic>(json.get("topic")?.clone()).ok();
    let active = json.as_ref().map(|json| read(json).ok_or(Malformed)).transpose().ok()?;
    Some(StatusChange::Topic { connector: connector.to_owned(), topic: topic.to_owned(), active })
}

/// A record of the offsets topic, if it is this connector's. A record without a value is one that was deleted.
pub(crate) fn source_offset(
    connector: &str,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Option<(Vec<u8>, Option<SourceOffset>)> {
    let key = key?;
    let (name, partition): (String, JsonMap) = serde_json::from_slice(key).ok()?;
    if name != connector {
        return None;
    }
    let offset = value.and_then(|value| serde_json::from_slice::<Option<JsonMap>>(value).ok().flatten());
    Some((key.to_owned(), offset.map(|offset| SourceOffset { key: key.to_owned(), partition, offset })))
}

#[cfg(test)]
mod tests {
    use datapipe_core::port::connect::State;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever lies in the internal topics, it is read or passed over.
        #[test]
        fn any_record_is_read_or_passed_over(
            key in "(connector|task|commit|target-state|restart-connector|session-key|logger-cluster|status-connector|status-task|status-topic)?-?[a-z0-9:-]{0,12}",
            value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..60)),
            json in "[\\[{]?\"?(properties|state|tasks|level|generation)?\"?:?[0-9a-z\"{}]{0,20}[\\]}]?",
        ) {
            for value in [value.as_deref(), Some(json.as_bytes())] {
                let _ = config_record(Some(key.as_bytes()), value);
                let _ = status_change(Some(key.as_bytes()), value);
                let _ = config_record(None, value);
            }
        }
    }

    fn map(value: &str) -> ConfigMap {
        ConfigMap::from([("x".to_owned(), value.to_owned())])
    }

    fn name() -> String {
        "s3-sink-order-items-connector".to_owned()
    }

    /// Texts as a JVM worker of 4.3 writes them; what we write must be the same to its JSON.
    #[test]
    fn records_of_the_configurations_topic_round_trip() {
        let target = |state| ConfigRecord::Target { connector: name(), state };
        let restart = RestartRequest { connector: name(), include_tasks: true, only_failed: false };
        let all = [
            (
                ConfigRecord::Connector { connector: name(), config: Some(map("1")) },
                "connector-s3-sink-order-items-connector",
                Some(r#"{"properties":{"x":"1"}}"#),
            ),
            (
                ConfigRecord::Connector { connector: name(), config: None },
                "connector-s3-sink-order-items-connector",
                None,
            ),
            (
                ConfigRecord::Task { connector: name(), task: 0, config: map("2") },
                "task-s3-sink-order-items-connector-0",
                Some(r#"{"properties":{"x":"2"}}"#),
            ),
            (
                ConfigRecord::Commit { connector: name(), tasks: 1 },
                "commit-s3-sink-order-items-connector",
                Some(r#"{"tasks":1}"#),
            ),
            (
                target(Some(TargetState::Started)),
                "target-state-s3-sink-order-items-connector",
                Some(r#"{"state":"STARTED","state.v2":"STARTED"}"#),
            ),
            (
                target(Some(TargetState::Stopped)),
                "target-state-s3-sink-order-items-connector",
                Some(r#"{"state":"PAUSED","state.v2":"STOPPED"}"#),
            ),
            (target(None), "target-state-s3-sink-order-items-connector", None),
            (
                ConfigRecord::Restart(restart),
                "restart-connector-s3-sink-order-items-connector",
                Some(r#"{"include-tasks":true,"only-failed":false}"#),
            ),
            (
                ConfigRecord::LoggerLevel { logger: "root".to_owned(), level: "DEBUG".to_owned() },
                "logger-cluster-root",
                Some(r#"{"level":"DEBUG"}"#),
            ),
        ];
        for (record, key, value) in all {
            let (our_key, our_value) = config_bytes(&record);
            assert_eq!(our_key, key);
            let theirs: Option<Value> = value.map(|text| serde_json::from_str(text).unwrap());
            assert_eq!(our_value, theirs, "{key}");
            assert_eq!(config_record(Some(key.as_bytes()), value.map(str::as_bytes)), Some(record), "{key}");
        }
    }

    #[test]
    fn older_nulled_foreign_and_damaged_records() {
        let read = |key: &str, value: &str| config_record(Some(key.as_bytes()), Some(value.as_bytes()));
        let paused = ConfigRecord::Target { connector: "a".to_owned(), state: Some(TargetState::Paused) };
        assert_eq!(read("target-state-a", r#"{"state":"PAUSED"}"#), Some(paused));
        let a = ConfigRecord::Connector { connector: "a".to_owned(), config: Some(map("1")) };
        assert_eq!(read("connector-a", r#"{"properties":{"x":"1","gone":null}}"#), Some(a));
        for (key, value) in [
            ("session-key", r#"{"key":"s","algorithm":"HmacSHA256","creation-timestamp":1}"#),
            ("tasks-fencing-a", r#"{"task-count":1}"#),
            ("target-state-a", r#"{"state":"NEW"}"#),
            ("connector-a", "{"),
            ("connector-a", r#"{"properties":{"x":1}}"#),
            ("task-a", r#"{"properties":{"x":"1"}}"#),
            ("commit-a", r#"{"tasks":-1}"#),
            ("else", "{}"),
        ] {
            assert_eq!(read(key, value), None, "{key} {value}");
        }
        assert_eq!(config_record(None, Some(b"{}")), None);
        assert_eq!(config_record(Some(b"commit-a"), None), None);
    }

    #[test]
    fn records_of_the_status_topic_round_trip() {
        let version = Some("3.6.3.Final".to_owned());
        let running = StatusRecord {
            state: State::Running,
            trace: None,
            worker_id: "127.0.0.1:8083".to_owned(),
            generation: 5,
            version,
        };
        let failed =
            StatusRecord { state: State::Failed, trace: Some("boom".to_owned()), version: None, ..running.clone() };
        let topic = "cdc.public.users".to_owned();
        let active =
            ActiveTopic { name: topic.clone(), connector: name(), task: 0, discover_timestamp: 1_735_689_600_000 };
        let all = [
            (
                StatusChange::Connector { connector: name(), status: Some(running) },
                "status-connector-s3-sink-order-items-connector",
                Some(
                    r#"{"state":"RUNNING","trace":null,"worker_id":"127.0.0.1:8083","generation":5,
                        "version":"3.6.3.Final"}"#,
                ),
            ),
            (
                StatusChange::Task { connector: name(), task: 0, status: Some(failed) },
                "status-task-s3-sink-order-items-connector-0",
                Some(r#"{"state":"FAILED","trace":"boom","worker_id":"127.0.0.1:8083","generation":5,"version":null}"#),
            ),
            (
                StatusChange::Task { connector: name(), task: 0, status: None },
                "status-task-s3-sink-order-items-connector-0",
                None,
            ),
            (
                StatusChange::Topic { connector: name(), topic: topic.clone(), active: Some(active) },
                "status-topic-cdc.public.users:connector-s3-sink-order-items-connector",
                Some(
                    r#"{"topic":{"name":"cdc.public.users","connector":"s3-sink-order-items-connector","task":0,
                        "discoverTimestamp":1735689600000}}"#,
                ),
            ),
            (
                StatusChange::Topic { connector: name(), topic, active: None },
                "status-topic-cdc.public.users:connector-s3-sink-order-items-connector",
                None,
            ),
        ];
        for (change, key, value) in all {
            let (our_key, our_value) = status_bytes(&change);
            assert_eq!(our_key, key);
            let theirs: Option<Value> = value.map(|text| serde_json::from_str(text).unwrap());
            assert_eq!(our_value, theirs, "{key}");
            assert_eq!(status_change(Some(key.as_bytes()), value.map(str::as_bytes)), Some(change), "{key}");
        }
        // Before 4.1 there was no version.
        let older = br#"{"state":"RUNNING","trace":null,"worker_id":"w:8083","generation":2}"#;
        assert!(status_change(Some(b"status-connector-a"), Some(older)).is_some());
        assert_eq!(status_change(Some(b"status-connector-a"), Some(b"{}")), None);
        assert_eq!(status_change(Some(b"status-topic-t"), None), None);
    }

    #[test]
    fn offsets_are_known_by_the_connector_in_their_key() {
        let key = br#"["a",{"server":"cdc"}]"#;
        let (found, offset) = source_offset("a", Some(key), Some(br#"{"lsn":7,"snapshot":"INITIAL"}"#)).unwrap();
        let offset = offset.unwrap();
        assert_eq!((found.as_slice(), offset.key.as_slice()), (key.as_slice(), key.as_slice()));
        assert_eq!(json!([offset.partition, offset.offset]), json!([{"server":"cdc"},{"lsn":7,"snapshot":"INITIAL"}]));
        assert_eq!(source_offset("a", Some(key), None), Some((key.to_vec(), None)));
        assert_eq!(source_offset("b", Some(key), Some(b"{}")), None);
        assert_eq!(source_offset("a", Some(b"a"), Some(b"{}")), None);
    }
}
