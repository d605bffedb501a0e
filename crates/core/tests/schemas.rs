//! The schemas of values against those that Kafka Connect's JSON converter wrote; `schemas.json` says how they were
//! recorded, and every difference stands in the snapshot.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use datapipe_core::change::{Action, Cell, Change, Column, OldRow, Relation, ReplicaIdentity, Tuple};
use datapipe_core::envelope::{Columns, Encoder, EnvelopeSettings, Nulls, SnapshotMarker, TransactionInfo};
use datapipe_core::lsn::Lsn;
use datapipe_core::port::log::Record;
use datapipe_core::value::{
    BinaryMode, ColumnType, DecimalMode, HstoreMode, IntervalMode, Modes, PgType, TimeMode, constant_default, resolve,
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
    defaults: BTreeMap<String, Table>,
    sets: Vec<Set>,
}

#[derive(Deserialize)]
struct Table {
    columns: Vec<Described>,
}

#[derive(Deserialize)]
struct Described {
    name: String,
    nullable: bool,
    r#type: PgType,
    default: Option<String>,
}

#[derive(Deserialize)]
struct Set {
    prefix: String,
    modes: BTreeMap<String, String>,
    whole: [String; 2],
    fields: Vec<Option<String>>,
    /// The fields of a table of columns with defaults, and what stands for values that are not there.
    c_null: [Option<String>; 2],
    c_need: [Option<String>; 2],
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

/// What is written for a row of a table with the key `id`: the record's key and its value.
fn record(set: &Set, table: &str, mut columns: Vec<Column>, row: &Tuple, deleted: bool) -> [String; 2] {
    columns.insert(0, Column::new("id", ColumnType::Int8, false));
    let identity = ReplicaIdentity::Default;
    let relation =
        Arc::new(Relation { schema: "public".to_owned(), name: table.to_owned(), columns, key: vec![0], identity });
    let mut encoder = Encoder::new(EnvelopeSettings {
        version: "test".to_owned(),
        server_name: set.prefix.clone(),
        database: "shop".to_owned(),
        data_topic: "topic".to_owned(),
        tombstones_on_delete: false,
        key_schemas: true,
        schemas: true,
        schemas_for_defaults: false,
        formless_null: false,
        losses_too: false,
        nulls: Nulls::REPLACED,
        modes: modes(set),
        columns: Columns::all(),
        transaction_topic: None,
    });
    let mut written = [String::new(), String::new()];
    let mut emit = |record: Record<'_>| {
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
        written = [text(record.key), text(record.value)];
    };
    if deleted {
        let change = Change { lsn: Lsn(1), relation, action: Action::Delete(OldRow::Key(row.clone())) };
        let transaction = TransactionInfo { xid: 1, commit: Lsn(1), commit_time_us: 1, last_commit: Lsn::ZERO };
        encoder.encode(&change, &transaction, 0, &mut emit).unwrap();
    } else {
        encoder.encode_snapshot_row(&relation, row, SnapshotMarker::Last, Lsn(1), 0, &mut emit).unwrap();
    }
    written
}

/// The schemas of a key and a value of table `q{number}`.
fn schemas(set: &Set, number: usize, kind: &ColumnType) -> [String; 2] {
    let columns = vec![Column::new("a", kind.clone(), true), Column::new("b", kind.clone(), false)];
    let row = Tuple::from_cells([Cell::Text(b"1"), Cell::Null, Cell::Null]);
    record(set, &format!("q{number}"), columns, &row, false).map(|text| {
        let (schema, payload) = text.strip_prefix("{\"schema\":").unwrap().split_once(",\"payload\":").unwrap();
        assert!(payload.contains("\"id\":1"), "{payload}");
        schema.to_owned()
    })
}

/// The fields of an image's schema, and the image: of a new row of NULLs, or of an old one that holds the key only.
fn defaulted(set: &Set, file: &File, table: &str, deleted: bool) -> [String; 2] {
    let mut columns = Vec::new();
    let mut cells = vec![Cell::Text(b"1")];
    for described in file.defaults[table].columns.iter().filter(|described| described.name != "id") {
        let Described { name, nullable, r#type, default } = described;
        let default = default.as_deref().and_then(|expression| constant_default(r#type, expression));
        columns.push(Column { default, ..Column::new(name, resolve(r#type).unwrap(), *nullable) });
        // A serial column is NOT NULL, and so has a value.
        cells.push(if deleted || *nullable { Cell::Null } else { Cell::Text(b"1") });
    }
    let [_, value] = record(set, table, columns, &Tuple::from_cells(cells), deleted);
    let (schema, payload) = value.split_once(",\"payload\":").unwrap();
    let name = format!("],\"optional\":true,\"name\":\"{}.public.{table}.Value\"", set.prefix);
    let (fields, _) = schema.split_once(&name).unwrap();
    let (_, fields) = fields.split_once("\"field\":\"id\"},").unwrap();
    let (image, end) = if deleted { ("before", "},\"after\":") } else { ("after", "},\"source\":") };
    let (_, image) = payload.split_once(&format!("\"{image}\":{{")).unwrap();
    [fields.to_owned(), image.split_once(end).unwrap().0.to_owned()]
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
        assert_eq!(schemas(set, 0, &kinds[0].1), set.whole);
        for (number, (sql, kind)) in kinds.iter().enumerate() {
            let [_, ours] = schemas(set, number, kind);
            let (_, fields) = ours.split_once("\"field\":\"id\"},").unwrap();
            let name = format!("],\"optional\":true,\"name\":\"{}.public.q{number}.Value\"", set.prefix);
            let (fields, _) = fields.split_once(&name).unwrap();
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

#[test]
fn defaults_are_those_of_debezium() {
    let file: File = serde_json::from_str(include_str!("schemas.json")).unwrap();
    let mut compared = 0;
    for set in &file.sets {
        for (table, deleted, theirs) in [("c_null", false, &set.c_null), ("c_need", true, &set.c_need)] {
            let [Some(fields), Some(image)] = theirs else { continue };
            let [our_fields, our_image] = defaulted(set, &file, table, deleted);
            let ours: Vec<serde_json::Value> = serde_json::from_str(&format!("[{our_fields}]")).unwrap();
            let split: Vec<serde_json::Value> =
                serde_json::from_str(&format!("[{}]", fields.trim_start_matches(','))).unwrap();
            for (ours, theirs) in ours.iter().zip(&split) {
                assert_eq!(ours, theirs, "{table} {:?}", set.modes);
                compared += 1;
            }
            assert_eq!(our_fields, fields.trim_start_matches(','), "{table} {:?}", set.modes);
            assert_eq!(our_image, *image, "{table} {:?}", set.modes);
        }
    }
    assert!(compared > 1000, "{compared} columns were compared");
}
