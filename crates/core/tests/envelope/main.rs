//! Whole records against what Debezium wrote for the same replication messages; `envelope.json` says how both were
//! recorded.

#![allow(clippy::unwrap_used)]

mod recorded;
mod transactions;

use std::collections::BTreeSet;
use std::sync::Arc;

use datapipe_core::change::{Action, Cell, Change, Column, OldRow, Relation, ReplicaIdentity, Tuple};
use datapipe_core::connector::DEBEZIUM_VERSION;
use datapipe_core::envelope::{
    Columns, Context, Encoder, EnvelopeSettings, Nulls, RowError, SnapshotMarker, TransactionInfo,
};
use datapipe_core::lsn::Lsn;
use datapipe_core::port::log::Record;
use datapipe_core::value::{ColumnType, Modes, ValueError};

use crate::recorded::{Case, Sent, changes, fixture, relation};

fn settings(prefix: &str, table: &str) -> EnvelopeSettings {
    EnvelopeSettings {
        version: "3.7.0.Final".to_owned(),
        server_name: prefix.to_owned(),
        database: "postgres".to_owned(),
        data_topic: format!("{prefix}.public.{table}"),
        tombstones_on_delete: true,
        key_schemas: false,
        schemas: false,
        schemas_for_defaults: false,
        formless_null: false,
        losses_too: false,
        nulls: Nulls::REPLACED,
        modes: Modes::PLAN,
        columns: Columns::default(),
        transaction_topic: None,
    }
}

impl Case {
    fn topics(&self) -> BTreeSet<&str> {
        self.records.iter().map(|record| record.topic.as_str()).filter(|topic| topic.contains(".public.")).collect()
    }

    fn of(&self, topic: &str) -> impl Iterator<Item = Sent> {
        self.records.iter().filter(move |record| record.topic == topic).cloned()
    }

    /// How many of the topic's records are of the snapshot.
    fn snapshot_rows(&self, topic: &str) -> usize {
        let is_row = |sent: &Sent| sent.value.as_deref().is_some_and(|value| value.contains("\"op\":\"r\""));
        self.of(topic).filter(is_row).count()
    }

    fn encoder(&self, table: &str) -> Encoder {
        let mut settings = settings(&self.prefix, table);
        settings.columns = Columns::from_config(&self.config).unwrap();
        let told = self.config.contains_key("provide.transaction.metadata");
        settings.transaction_topic = told.then(|| format!("{}.transaction", self.prefix));
        let is_true = |key: &str| self.config.get(key).is_some_and(|value| value == "true");
        settings.key_schemas = is_true("key.converter.schemas.enable");
        settings.schemas = is_true("value.converter.schemas.enable");
        // The one connector that has the headers is the one whose converter is the worker's, which replaces nulls.
        let headers = self.records.iter().flat_map(|record| &record.headers);
        if let Some((_, run)) = headers.into_iter().find(|(name, _)| name.ends_with("runId")) {
            return Encoder::new(settings).with_context(Context::new(&self.prefix, 0, run));
        }
        settings.nulls.default_in_values = false;
        Encoder::new(settings)
    }
}

#[test]
fn the_corpus_is_of_the_version_that_is_claimed() {
    let version = &fixture().about.versions["debezium-connector-postgres"];
    assert!(DEBEZIUM_VERSION.starts_with(version.as_str()), "{version}");
}

#[test]
fn streamed_records_are_those_of_debezium() {
    let fixture = fixture();
    let changes = changes(&fixture);
    let (mut compared, mut tables) = (0, BTreeSet::new());
    for case in fixture.cases.iter().filter(|case| !case.config.contains_key("provide.transaction.metadata")) {
        for topic in case.topics() {
            let (_, table) = topic.rsplit_once('.').unwrap();
            let mut encoder = case.encoder(table);
            let mut expected = case.of(topic).skip(case.snapshot_rows(topic));
            for (change, transaction) in changes.iter().filter(|(change, _)| change.relation.name == table) {
                let mut ours = |now_us| {
                    let mut records = Vec::new();
                    let mut emit = |record: Record<'_>| records.push(Sent::of(&record));
                    encoder.encode(change, transaction, now_us, &mut emit).unwrap();
                    records
                };
                // The two halves of a key change differ in their time: each record is compared under its own.
                for index in 0..ours(0).len() {
                    let theirs = expected.next().unwrap().with_whole_micros();
                    let now_us = theirs.number("ts_us").unwrap_or_default();
                    assert_eq!(ours(now_us)[index], theirs, "{topic} {:?}", change.action);
                    compared += 1;
                    tables.insert(table);
                }
            }
            assert_eq!(expected.next(), None, "{topic}");
        }
    }
    let streamed: BTreeSet<_> = changes.iter().map(|(change, _)| change.relation.name.as_str()).collect();
    assert_eq!(tables, streamed);
    assert!(compared > 190, "{compared} records were compared");
}

#[test]
fn snapshot_records_are_those_of_debezium() {
    let fixture = fixture();
    let mut compared = 0;
    for case in &fixture.cases {
        let topics = case.topics();
        for topic in &topics {
            let (_, table) = topic.rsplit_once('.').unwrap();
            let rows = case.snapshot_rows(topic);
            let recorded = &fixture.snapshot_rows.get(table).map_or(&[][..], Vec::as_slice);
            let relation = relation(table, &fixture.tables[table], b'd');
            let mut encoder = case.encoder(table);
            for (at, theirs) in case.of(topic).take(rows).enumerate() {
                let row = Tuple::from_cells(recorded[at].iter().map(|text| match text {
                    Some(text) => Cell::Text(text.as_bytes()),
                    None => Cell::Null,
                }));
                let value: serde_json::Value = serde_json::from_str(theirs.value.as_ref().unwrap()).unwrap();
                let payload = if value["payload"].is_object() { &value["payload"] } else { &value };
                let source = &payload["source"];
                // Only a connector of one table has its first and last row for sure: elsewhere tables come in any order.
                let marker = match source["snapshot"].as_str().unwrap() {
                    "first" if topics.len() > 1 => SnapshotMarker::First,
                    "first_in_data_collection" if topics.len() > 1 => SnapshotMarker::FirstInTable,
                    "last_in_data_collection" if topics.len() > 1 => SnapshotMarker::LastInTable,
                    _ if at + 1 == rows => SnapshotMarker::Last,
                    _ if at == 0 && topics.len() == 1 => SnapshotMarker::First,
                    _ => SnapshotMarker::True,
                };
                let xid = u32::try_from(source["txId"].as_u64().unwrap()).unwrap();
                encoder.snapshot_taken(source["ts_us"].as_i64().unwrap(), Some(xid));
                let point = Lsn(source["lsn"].as_u64().unwrap());
                let mut ours = Vec::new();
                let now_us = theirs.number("ts_us").unwrap();
                let mut emit = |record: Record<'_>| ours.push(Sent::of(&record));
                encoder.encode_snapshot_row(&relation, &row, marker, point, now_us, &mut emit).unwrap();
                assert_eq!(ours, [theirs.with_whole_micros()], "{topic}");
                compared += 1;
            }
        }
    }
    assert!(compared > 12, "{compared} rows were compared");
}

#[test]
fn the_halves_of_a_key_change_are_those_of_the_whole() {
    let mut key_changes = 0;
    for (change, transaction) in changes(&fixture()) {
        let mut encoder = Encoder::new(settings("cdc", &change.relation.name));
        let (mut whole, mut halves) = (Vec::new(), Vec::new());
        encoder.encode(&change, &transaction, 7, &mut |record| whole.push(Sent::of(&record))).unwrap();
        encoder.encode_as_delete(&change, &transaction, 7, &mut |record| halves.push(Sent::of(&record))).unwrap();
        let deleted = halves.len();
        encoder.encode_as_insert(&change, &transaction, 7, &mut |record| halves.push(Sent::of(&record))).unwrap();
        if matches!(change.action, Action::Update { .. }) && whole.len() == 3 {
            assert_eq!((deleted, &halves), (2, &whole));
            key_changes += 1;
        }
    }
    assert!(key_changes > 8, "{key_changes} changes have two halves");
}

#[test]
fn a_row_with_a_bad_value_emits_nothing() {
    let column = |name: &str, kind| Column::new(name, kind, true);
    let relation = Arc::new(Relation {
        schema: "public".to_owned(),
        name: "t".to_owned(),
        columns: vec![column("id", ColumnType::Int4), column("at", ColumnType::Date)],
        key: vec![0],
        identity: ReplicaIdentity::Default,
    });
    let row = |id: &'static [u8], at: &'static [u8]| Tuple::from_cells([Cell::Text(id), Cell::Text(at)]);
    let transaction = TransactionInfo { xid: 1, commit: Lsn(1), commit_time_us: 1, last_commit: Lsn::ZERO };
    let old = Some(OldRow::Key(row(b"1", b"2024-01-01")));
    let actions = [
        (Action::Insert(row(b"1", b"tomorrow")), "at", ValueError::Form("a date as 2024-02-29, perhaps with BC")),
        (Action::Update { old, new: row(b"2", b"x") }, "at", ValueError::Form("a date as 2024-02-29, perhaps with BC")),
        (Action::Insert(row(b"one", b"2024-01-01")), "id", ValueError::Form("a whole number")),
        (Action::Insert(Tuple::from_cells([Cell::Text(b"1")])), "at", ValueError::Width),
    ];
    let mut encoder = Encoder::new(settings("cdc", "t"));
    for (action, column, why) in actions {
        let change = Change { lsn: Lsn(1), relation: Arc::clone(&relation), action };
        let mut emitted = 0;
        let error = encoder.encode(&change, &transaction, 0, &mut |_| emitted += 1).unwrap_err();
        assert_eq!((error.column.as_str(), error.why, emitted), (column, why, 0));
    }
}

#[test]
fn a_changed_relation_is_noticed() {
    let relation = |name: &str| {
        let column = Column::new(name, ColumnType::Int4, true);
        let (schema, columns) = ("public".to_owned(), vec![column]);
        Arc::new(Relation { schema, name: "t".to_owned(), columns, key: vec![0], identity: ReplicaIdentity::Default })
    };
    let mut encoder = Encoder::new(settings("cdc", "t"));
    for name in ["a", "b", "a"] {
        let mut key = Vec::new();
        let row = Tuple::from_cells([Cell::Text(b"1")]);
        assert!(encoder.write_key(&relation(name), &row, &mut key).unwrap());
        assert_eq!(String::from_utf8(key).unwrap(), format!("{{\"{name}\":1}}"));
    }
}

#[test]
fn a_schema_comes_for_defaults_only_where_there_is_one() {
    let mut settings = settings("cdc", "t");
    settings.schemas_for_defaults = true;
    let mut encoder = Encoder::new(settings);
    let mut typed = |default: Option<&str>, nullable| {
        let column = Column { default: default.map(Into::into), ..Column::new("a", ColumnType::Int4, nullable) };
        let (schema, columns, identity) = ("public".to_owned(), vec![column], ReplicaIdentity::Default);
        let relation = Arc::new(Relation { schema, name: "t".to_owned(), columns, key: Vec::new(), identity });
        let row = Tuple::from_cells([Cell::Text(b"1")]);
        let mut value = String::new();
        let mut emit = |record: Record<'_>| value = Sent::of(&record).value.unwrap();
        encoder.encode_snapshot_row(&relation, &row, SnapshotMarker::Last, Lsn(1), 0, &mut emit).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&value).unwrap().is_object());
        value.starts_with("{\"schema\"")
    };
    assert_eq!([typed(Some("5"), true), typed(Some("5"), false), typed(None, true)], [true, false, false]);
    assert!(typed(Some("5"), true), "again");
    assert!(!typed(Some("no number"), true));
}

#[test]
fn a_value_without_a_form_is_null_where_that_is_asked_for() {
    let precise = ColumnType::Numeric(None);
    let table = |nullable| {
        let number = Column { default: Some("7".into()), ..Column::new("n", precise.clone(), nullable) };
        let list = Column::new("a", ColumnType::Array(Box::new(ColumnType::Int4)), true);
        let date = Column::new("d", ColumnType::Date, true);
        Arc::new(Relation {
            schema: "public".to_owned(),
            name: "t".to_owned(),
            columns: vec![number, list, date],
            key: Vec::new(),
            identity: ReplicaIdentity::Default,
        })
    };
    let settings = |formless_null| {
        let modes = Modes::DEBEZIUM;
        EnvelopeSettings { formless_null, modes, ..settings("cdc", "t") }
    };
    let row = |number: &'static str, list: &'static str, date: &'static str| {
        Tuple::from_cells([number, list, date].map(|text| Cell::Text(text.as_bytes())))
    };
    let mut encoder = Encoder::new(settings(true));
    let after = |encoder: &mut Encoder, relation: &Arc<Relation>, row: &Tuple| {
        let mut value = serde_json::Value::Null;
        let mut emit = |record: Record<'_>| value = serde_json::from_slice(record.value.unwrap()).unwrap();
        encoder.encode_snapshot_row(relation, row, SnapshotMarker::Last, Lsn(1), 0, &mut emit)?;
        Ok(value["after"].to_string())
    };
    let formless = row("NaN", "{{1},{2}}", "2024-02-29");
    assert_eq!(after(&mut encoder, &table(true), &formless).unwrap(), r#"{"a":null,"d":19782,"n":null}"#);
    let lost = encoder.take_lost().unwrap();
    assert_eq!((lost.values, lost.first.column.as_str(), encoder.take_lost()), (2, "n", None));
    let error: RowError = after(&mut encoder, &table(false), &formless).unwrap_err();
    assert_eq!(error.column, "n", "it must not be NULL");
    let error = after(&mut encoder, &table(true), &row("1", "{}", "tomorrow")).unwrap_err();
    assert_eq!(error.column, "d", "what is no value at all is no loss of a form");
    assert_eq!(encoder.take_lost(), None);
    let error = after(&mut Encoder::new(settings(false)), &table(true), &formless).unwrap_err();
    assert_eq!(error.column, "n");
}
