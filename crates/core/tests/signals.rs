//! Heartbeats and the rows of incremental snapshots, as a real Debezium wrote them: `signals.json`.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use datapipe_core::change::{Cell, Column, Relation, ReplicaIdentity, Tuple};
use datapipe_core::envelope::{Columns, Encoder, EnvelopeSettings, Nulls, SnapshotMarker, heartbeat};
use datapipe_core::lsn::Lsn;
use datapipe_core::value::{ColumnType, Modes};
use serde_json::Value;

fn settings(case: &Value) -> EnvelopeSettings {
    let prefix = case["prefix"].as_str().unwrap().to_owned();
    EnvelopeSettings {
        version: "3.7.0.Final".to_owned(),
        data_topic: format!("{prefix}.public.g_rows"),
        server_name: prefix,
        database: "postgres".to_owned(),
        tombstones_on_delete: true,
        key_schemas: false,
        nulls: Nulls::KEPT,
        schemas: case["rows"][0]["value"].as_str().unwrap().starts_with("{\"schema\""),
        schemas_for_defaults: false,
        formless_null: false,
        losses_too: false,
        modes: Modes::DEBEZIUM,
        columns: Columns::default(),
        transaction_topic: None,
    }
}

fn relation() -> Arc<Relation> {
    let column = Column::new;
    Arc::new(Relation {
        schema: "public".to_owned(),
        name: "g_rows".to_owned(),
        columns: vec![column("id", ColumnType::Int4, false), column("v", ColumnType::Text, true)],
        key: vec![0],
        identity: ReplicaIdentity::Default,
    })
}

/// Without what is the run's own: Debezium's clock shows nanoseconds, ours microseconds.
fn at_rest(value: &str) -> String {
    let mut json: Value = serde_json::from_str(value).unwrap();
    let payload = if json["payload"].is_object() { &mut json["payload"] } else { &mut json };
    for field in ["ts_ms", "ts_us", "ts_ns"] {
        assert!(payload[field].is_i64() && payload["source"][field].is_i64(), "{field} in {value}");
        payload[field] = 0.into();
        payload["source"][field] = 0.into();
    }
    json.to_string()
}

#[test]
fn rows_of_an_incremental_snapshot_are_debeziums() {
    let recorded: Value = serde_json::from_str(include_str!("signals.json")).unwrap();
    let mut compared = 0;
    for case in recorded["cases"].as_array().unwrap() {
        let mut encoder = Encoder::new(settings(case));
        for row in case["rows"].as_array().unwrap() {
            let value = row["value"].as_str().unwrap();
            let json: Value = serde_json::from_str(value).unwrap();
            let payload = if json["payload"].is_object() { &json["payload"] } else { &json };
            if payload["source"]["snapshot"] != "incremental" {
                continue;
            }
            let sequence: Vec<String> = serde_json::from_str(payload["source"]["sequence"].as_str().unwrap()).unwrap();
            let [last_commit, lsn] = [0, 1].map(|at| Lsn(sequence[at].parse().unwrap()));
            let (id, v) = (payload["after"]["id"].to_string(), payload["after"]["v"].as_str().unwrap());
            let tuple = Tuple::from_cells([Cell::Text(id.as_bytes()), Cell::Text(v.as_bytes())]);
            let marker = SnapshotMarker::Incremental { last_commit };
            let mut emit = |record: datapipe_core::port::log::Record<'_>| {
                assert_eq!(record.topic, row["topic"].as_str().unwrap());
                assert_eq!(record.key.unwrap(), row["key"].as_str().unwrap().as_bytes());
                assert!(record.headers.is_empty());
                let ours = std::str::from_utf8(record.value.unwrap()).unwrap();
                // The order of fields, too: it is told by the text up to the first time.
                let until = value.find("\"ts_ms\":1").unwrap();
                assert_eq!(&ours[..until], &value[..until]);
                assert_eq!(at_rest(ours), at_rest(value));
                compared += 1;
            };
            encoder.encode_snapshot_row(&relation(), &tuple, marker, lsn, 1_000_000, &mut emit).unwrap();
        }
    }
    assert_eq!(compared, 3);
}

#[test]
fn heartbeats_are_debeziums() {
    let recorded: Value = serde_json::from_str(include_str!("signals.json")).unwrap();
    for case in recorded["cases"].as_array().unwrap() {
        let theirs = &case["heartbeat"];
        let topic = theirs["topic"].as_str().unwrap();
        let value = theirs["value"].as_str().unwrap();
        let json: Value = serde_json::from_str(value).unwrap();
        let payload = if json["payload"].is_object() { &json["payload"] } else { &json };
        let now_us = payload["ts_ms"].as_i64().unwrap() * 1000 + 7;
        let mut written = 0;
        heartbeat::encode(&settings(case), topic, now_us, &mut |record| {
            written += 1;
            assert_eq!(record.key.unwrap(), theirs["key"].as_str().unwrap().as_bytes());
            assert_eq!(std::str::from_utf8(record.value.unwrap()).unwrap(), value);
        });
        assert_eq!(written, 1);
    }
}
