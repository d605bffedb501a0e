//! The schemas of values against those that Kafka Connect's JSON converter wrote; `schemas.json` says how they were
//! recorded, and every difference stands in the snapshot.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use datapipe_core::change::{Cell, Column, Relation, ReplicaIdentity, Tuple};
use datapipe_core::envelope::{Columns, Encoder, EnvelopeSettings, SnapshotMarker};
use datapipe_core::lsn::Lsn;
use datapipe_core::value::{
    BinaryMode, ColumnType, DecimalMode, HstoreMode, IntervalMode, Modes, PgType, TimeMode, resolve,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Values {
    types: Vec<Typed>,
}

#[derive(Deserialize)]
struct Typed {
    sql: String,
    pg: PgType,
    cases: Vec<(String, Option<String>)>,
}

#[derive(Deserialize)]
struct File {
    columns: Vec<String>,
    sets: Vec<Set>,
}

#[derive(Deserialize)]
struct Set {
    prefix: String,
    modes: BTreeMap<String, String>,
    whole: [String; 2],
    fields: Vec<Option<String>>,
}

fn modes(set: &Set) -> Modes {
    let value = |key: &str| set.modes[key].as_str();
    Modes {
        decimal: DecimalMode::parse(value(DecimalMode::KEY)).unwrap(),
        time: TimeMode::parse(value(TimeMode::KEY)).unwrap(),
        interval: IntervalMode::parse(value(IntervalMode::KEY)).unwrap(),
        binary: BinaryMode::parse(value(BinaryMode::KEY)).unwrap(),
        hstore: HstoreMode::parse(value(HstoreMode::KEY)).unwrap(),
    }
}

/// The schema of a value of table `q{number}`.
fn schema(set: &Set, number: usize, kind: &ColumnType) -> String {
    let column =
        |name: &str, kind: &ColumnType, nullable| Column { name: name.to_owned(), kind: kind.clone(), nullable };
    let relation = Arc::new(Relation {
        schema: "public".to_owned(),
        name: format!("q{number}"),
        columns: vec![column("id", &ColumnType::Int8, false), column("a", kind, true), column("b", kind, false)],
        key: vec![0],
        identity: ReplicaIdentity::Default,
    });
    let mut encoder = Encoder::new(EnvelopeSettings {
        version: "test".to_owned(),
        server_name: set.prefix.clone(),
        database: "shop".to_owned(),
        data_topic: "topic".to_owned(),
        tombstones_on_delete: true,
        schemas: true,
        modes: modes(set),
        columns: Columns::all(),
        transaction_topic: None,
    });
    let row = Tuple::from_cells([Cell::Text(b"1"), Cell::Null, Cell::Null]);
    let mut value = String::new();
    let mut emit = |record: datapipe_core::port::log::Record<'_>| {
        assert_eq!(record.key, Some(&b"{\"id\":1}"[..]), "keys stay bare");
        value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
    };
    encoder.encode_snapshot_row(&relation, &row, SnapshotMarker::Last, Lsn(1), 0, &mut emit).unwrap();
    let whole: serde_json::Value = serde_json::from_str(&value).unwrap();
    assert_eq!(whole["payload"]["after"]["id"], 1);
    let (schema, _) = value.strip_prefix("{\"schema\":").unwrap().split_once(",\"payload\":").unwrap();
    schema.to_owned()
}

#[test]
fn schemas_are_those_of_debezium() {
    let values: Values = serde_json::from_str(include_str!("values.json")).unwrap();
    let file: File = serde_json::from_str(include_str!("schemas.json")).unwrap();
    let served = values.types.iter().filter_map(|typed| Some((typed, resolve(&typed.pg).ok()?)));
    let kinds: Vec<(&str, ColumnType)> =
        served.filter(|(typed, _)| !typed.cases.is_empty()).map(|(typed, kind)| (typed.sql.as_str(), kind)).collect();
    assert_eq!(kinds.iter().map(|(sql, _)| *sql).collect::<Vec<_>>(), file.columns);
    let mut differences = BTreeMap::new();
    let mut same = 0;
    for set in &file.sets {
        assert_eq!(schema(set, 0, &kinds[0].1), set.whole[1]);
        for (number, (sql, kind)) in kinds.iter().enumerate() {
            let ours = schema(set, number, kind);
            let (_, fields) = ours.split_once("\"field\":\"id\"},").unwrap();
            let (fields, _) = fields.split_once("],\"optional\":true,\"name\":\"").unwrap();
            match &set.fields[number] {
                None => {}
                Some(theirs) if theirs == fields => same += 1,
                Some(theirs) => {
                    let one = |fields: &str| fields.split_once(",\"field\":\"a\"}").map(|(one, _)| format!("{one}}}"));
                    differences.insert((*sql).to_owned(), (one(theirs), one(fields)));
                }
            }
        }
    }
    assert!(same > 400, "{same}");
    insta::assert_json_snapshot!(differences);
}
