//! Heartbeats with and without a schema, and the rows of an incremental snapshot that a signal asks for.

use std::time::{Duration, Instant};

use datapipe_e2e::Result;
use datapipe_embedded::CONNECT_VERSION;
use serde_json::json;
use tokio::time::sleep;

use crate::reference::{Kept, Reference};

const TOPIC: &str = "record-signal";
const SIGNAL: &str =
    r#"{"id":"again","type":"execute-snapshot","data":{"data-collections":["public.g_rows"],"type":"incremental"}}"#;

/// Records both in one run, and returns the file.
pub(crate) async fn record(reference: &Reference) -> Result<String> {
    let db = &reference.db;
    db.batch_execute("CREATE TABLE g_rows (id int4 PRIMARY KEY, v text)").await?;
    db.batch_execute("CREATE PUBLICATION g_rows FOR TABLE g_rows").await?;
    reference.topic(TOPIC).await?;
    let (bootstrap, mut cases) = (reference.bootstrap(), Vec::new());
    for (name, schemas) in [("g1", "false"), ("g2", "true")] {
        let settings = [
            ("publication.name", "g_rows"),
            ("publication.autocreate.mode", "disabled"),
            ("table.include.list", r"public\.g_rows"),
            ("snapshot.mode", "no_data"),
            ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
            ("value.converter.schemas.enable", schemas),
            ("signal.enabled.channels", "kafka"),
            ("signal.kafka.topic", TOPIC),
            ("signal.kafka.bootstrap.servers", &bootstrap),
            ("signal.poll.interval.ms", "200"),
            ("read.only", "true"),
        ];
        reference.connector(name, &settings).await?;
        db.batch_execute("INSERT INTO g_rows SELECT 1 + count(*), 'row' FROM g_rows").await?;
        reference.settled(name).await?;
        reference.produce(TOPIC, name, SIGNAL).await?;
        let begun = Instant::now();
        let rows = loop {
            let records = reference.records(&format!("{name}.public"))?;
            if records.iter().any(is_reread) {
                break records;
            }
            if begun.elapsed() > Duration::from_secs(60) {
                return Err(format!("no row of {name} was read again in 60 s").into());
            }
            // A read-only snapshot goes on when something comes.
            db.batch_execute("SELECT pg_logical_emit_message(true, 'record', '')").await?;
            sleep(Duration::from_millis(500)).await;
        };
        let heartbeat = reference.records(&format!("__debezium-heartbeat.{name}"))?.into_iter().next();
        reference.remove(name).await?;
        cases.push(json!({ "prefix": name, "rows": rows, "heartbeat": heartbeat }).to_string());
    }
    let about = json!({
        "what": "A row's change and then the same row in an incremental snapshot, and a heartbeat; without and with schemas",
        "versions": { "debezium-connector-postgres": reference.debezium.version(), "kafka-connect": CONNECT_VERSION },
        "made_by": "cargo run -p datapipe-e2e --bin record signals",
    });
    Ok(format!("{{\"about\":{about},\n\"cases\":[\n{}\n]}}\n", cases.join(",\n")))
}

fn is_reread(record: &Kept) -> bool {
    record.value.as_ref().is_some_and(|value| value.contains(r#""snapshot":"incremental""#))
}
