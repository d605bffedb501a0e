//! The heartbeat's record: a time under the server's name, as Debezium's connectors write it.

use serde_json::{Value, json};

use super::EnvelopeSettings;
use crate::port::log::Record;

// Written as text, because the order of a schema's fields is Kafka Connect's.
const KEY: &str = concat!(
    r#"{"type":"struct","fields":[{"type":"string","optional":false,"field":"serverName"}],"#,
    r#""optional":false,"name":"io.debezium.connector.common.ServerNameKey","version":1}"#
);
const VALUE: &str = concat!(
    r#"{"type":"struct","fields":[{"type":"int64","optional":false,"field":"ts_ms"}],"#,
    r#""optional":false,"name":"io.debezium.connector.common.Heartbeat","version":1}"#
);

/// Writes a heartbeat.
pub fn encode(settings: &EnvelopeSettings, topic: &str, now_us: i64, emit: &mut dyn FnMut(Record<'_>)) {
    let key = wrapped(&json!({ "serverName": settings.server_name }), settings.key_schemas.then_some(KEY));
    let value = wrapped(&json!({ "ts_ms": now_us / 1000 }), settings.schemas.then_some(VALUE));
    emit(Record { topic, key: Some(key.as_bytes()), value: Some(value.as_bytes()), headers: &[] });
}

fn wrapped(payload: &Value, schema: Option<&str>) -> String {
    match schema {
        Some(schema) => format!(r#"{{"schema":{schema},"payload":{payload}}}"#),
        None => payload.to_string(),
    }
}
