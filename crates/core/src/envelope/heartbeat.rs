//! The heartbeat's record: a time under the server's name, as Debezium's connectors write it.

use serde_json::json;

use super::EnvelopeSettings;
use crate::port::log::Record;

/// Writes a heartbeat.
pub fn encode(settings: &EnvelopeSettings, topic: &str, now_us: i64, emit: &mut dyn FnMut(Record<'_>)) {
    let key = json!({ "serverName": settings.server_name }).to_string();
    let payload = json!({ "ts_ms": now_us / 1000 });
    let value = if settings.schemas {
        // Written as text, because the order of a schema's fields is Kafka Connect's.
        let schema = concat!(
            r#"{"type":"struct","fields":[{"type":"int64","optional":false,"field":"ts_ms"}],"#,
            r#""optional":false,"name":"io.debezium.connector.common.Heartbeat","version":1}"#
        );
        format!(r#"{{"schema":{schema},"payload":{payload}}}"#)
    } else {
        payload.to_string()
    };
    emit(Record { topic, key: Some(key.as_bytes()), value: Some(value.as_bytes()), headers: &[] });
}
