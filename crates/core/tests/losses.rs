//! What Debezium loses, lost on purpose: `values.json` says of each value what became of it, streamed and in a snapshot.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use datapipe_core::change::{Action, Cell, Change, Column, Relation, ReplicaIdentity, Tuple};
use datapipe_core::envelope::{Columns, Encoder, EnvelopeSettings, Nulls, SnapshotMarker, TransactionInfo};
use datapipe_core::lsn::Lsn;
use datapipe_core::port::log::Record;
use datapipe_core::value::{Loss, Modes, PgType, resolve};
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    types: Vec<Typed>,
}

#[derive(Deserialize)]
struct Typed {
    sql: String,
    pg: PgType,
    cases: Vec<(String, Option<String>)>,
    snapshot: BTreeMap<String, String>,
}

fn encoder(losses_too: bool) -> Encoder {
    Encoder::new(EnvelopeSettings {
        version: "test".to_owned(),
        server_name: "cdc".to_owned(),
        database: "shop".to_owned(),
        data_topic: "topic".to_owned(),
        tombstones_on_delete: false,
        key_schemas: false,
        schemas: true,
        schemas_for_defaults: false,
        formless_null: false,
        losses_too,
        nulls: Nulls::KEPT,
        modes: Modes::PLAN,
        columns: Columns::all(),
        transaction_topic: None,
    })
}

/// The column's JSON in `after`, streamed and read by a snapshot; none where it is left out, of the schema too.
fn written(typed: &Typed, text: &str, losses_too: bool) -> [Option<String>; 2] {
    let column = Column { loss: typed.pg.loss(), ..Column::new("v", resolve(&typed.pg).unwrap(), true) };
    let (schema, name, identity) = ("public".to_owned(), "t".to_owned(), ReplicaIdentity::Default);
    let relation = Arc::new(Relation { schema, name, columns: vec![column], key: Vec::new(), identity });
    let row = Tuple::from_cells([Cell::Text(text.as_bytes())]);
    let mut written = Vec::new();
    let mut emit = |record: Record<'_>| {
        let whole = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
        let (schema, payload) = whole.split_once(",\"payload\":").unwrap();
        let (_, after) = payload.split_once("\"after\":{").unwrap();
        let after = after.split_once("},\"source\":").unwrap().0.strip_prefix("\"v\":").map(str::to_owned);
        assert_eq!(after.is_some(), schema.contains("\"field\":\"v\""), "{schema}");
        written.push(after);
    };
    let mut encoder = encoder(losses_too);
    let action = Action::Insert(row.clone());
    let change = Change { lsn: Lsn(1), relation: Arc::clone(&relation), action };
    let transaction = TransactionInfo { xid: 1, commit: Lsn(1), commit_time_us: 1, last_commit: Lsn::ZERO };
    encoder.encode(&change, &transaction, 0, &mut emit).unwrap();
    encoder.encode_snapshot_row(&relation, &row, SnapshotMarker::Last, Lsn(1), 0, &mut emit).unwrap();
    written.try_into().unwrap()
}

#[test]
fn what_debezium_loses_can_be_lost_as_it_does() {
    let file: File = serde_json::from_str(include_str!("values.json")).unwrap();
    let mut lost = Vec::new();
    for typed in file.types.iter().filter(|typed| resolve(&typed.pg).is_ok() && typed.pg.loss() != Loss::None) {
        for (text, theirs) in &typed.cases {
            let read = typed.snapshot.get(text).cloned().or_else(|| theirs.clone());
            assert_eq!(written(typed, text, true), [theirs.clone(), read], "{} {text}", typed.sql);
            assert!(written(typed, text, false).iter().flatten().all(|ours| ours != "null"), "{} {text}", typed.sql);
        }
        lost.push(typed.sql.as_str());
    }
    let expected = [
        "name",
        "name[]",
        "xml[]",
        "interval[]",
        "money[]",
        "bit(1)[]",
        "bit(3)[]",
        "varbit(5)[]",
        "mood[]",
        "d_int[]",
        "d_text[]",
    ];
    assert_eq!(lost, expected);
}
