//! Whole records against what Debezium wrote for the same replication messages; `envelope.json` says how both were
//! recorded.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use datapipe_core::change::{Action, Cell, Change, Column, OldRow, Relation, ReplicaIdentity, Tuple};
use datapipe_core::envelope::{Context, Encoder, EnvelopeSettings, SnapshotMarker, TransactionInfo};
use datapipe_core::lsn::Lsn;
use datapipe_core::port::log::Record;
use datapipe_core::value::Modes;
use datapipe_core::value::{ColumnType, PgType, ValueError, resolve};
use serde::Deserialize;

/// Microseconds from 1970 to 2000, where PostgreSQL's clock starts.
const EPOCH_2000_US: i64 = 946_684_800_000_000;

#[derive(Deserialize)]
struct Fixture {
    tables: HashMap<String, Table>,
    /// The place of a message and its bytes in hexadecimal.
    messages: Vec<(String, String)>,
    snapshot_rows: BTreeMap<String, Vec<Vec<Option<String>>>>,
    single_table_markers: BTreeMap<usize, Vec<String>>,
    unmarked: String,
    records: BTreeMap<String, Vec<Sent>>,
}

#[derive(Deserialize)]
struct Table {
    columns: Vec<Described>,
    key: Vec<String>,
}

#[derive(Deserialize)]
struct Described {
    name: String,
    r#type: String,
    r#mod: i32,
    notnull: bool,
}

/// A record, owned.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Sent {
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, String)>,
}

impl Sent {
    fn of(record: &Record<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            key: record.key.map(text),
            value: record.value.map(text),
            headers: record.headers.iter().map(|header| (header.name.to_owned(), text(header.value))).collect(),
        }
    }

    fn number(&self, field: &str) -> Option<i64> {
        let value = self.value.as_deref()?;
        let at = value.rfind(&format!("\"{field}\":"))? + field.len() + 3;
        let digits = value[at..].split(|character: char| !character.is_ascii_digit()).next()?;
        digits.parse().ok()
    }

    /// The real clock counts nanoseconds; here the last three digits are zeros.
    fn with_whole_micros(mut self) -> Self {
        if let (Some(nanos), Some(value)) = (self.number("ts_ns"), &mut self.value) {
            *value = value.replace(&format!("\"ts_ns\":{nanos}}}"), &format!("\"ts_ns\":{}}}", nanos / 1000 * 1000));
        }
        self
    }
}

fn fixture() -> Fixture {
    let text = include_str!("envelope.json");
    let text = text.replace("<2500 x>", &"x".repeat(2500)).replace("<2500 y>", &"y".repeat(2500));
    let text = text.replace("<2500 78>", &"78".repeat(2500)).replace("<2500 79>", &"79".repeat(2500));
    serde_json::from_str(&text).unwrap()
}

fn relation(name: &str, table: &Table, identity: u8) -> Arc<Relation> {
    let kind = |described: &Described| {
        let (kind, category) = ('b', 'U');
        let (schema, name) = ("pg_catalog".to_owned(), described.r#type.clone());
        let pg = PgType { oid: 0, schema, name, kind, category, element: None, base: None, modifier: described.r#mod };
        resolve(&pg).unwrap()
    };
    let column = |d: &Described| Column { name: d.name.clone(), kind: kind(d), nullable: !d.notnull };
    let place = |name: &String| table.columns.iter().position(|column| column.name == *name).unwrap();
    Arc::new(Relation {
        schema: "public".to_owned(),
        name: name.to_owned(),
        columns: table.columns.iter().map(column).collect(),
        key: table.key.iter().map(place).collect(),
        identity: match identity {
            b'n' => ReplicaIdentity::Nothing,
            b'f' => ReplicaIdentity::Full,
            b'i' => ReplicaIdentity::Index,
            _ => ReplicaIdentity::Default,
        },
    })
}

/// A reader of pgoutput messages, just enough for the recorded ones.
struct Message(Bytes);

impl Message {
    fn u8(&mut self) -> u8 {
        self.0.split_to(1)[0]
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.0.split_to(4)[..].try_into().unwrap())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.0.split_to(8)[..].try_into().unwrap())
    }

    fn text(&mut self) -> String {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap();
        let text = self.0.split_to(end);
        self.u8();
        String::from_utf8(text.to_vec()).unwrap()
    }

    fn tuple(&mut self) -> Tuple {
        let (tuple, taken) = Tuple::parse(&self.0).unwrap();
        let _ = self.0.split_to(taken);
        tuple
    }

    fn old(&mut self, kind: u8) -> OldRow {
        if kind == b'K' { OldRow::Key(self.tuple()) } else { OldRow::Full(self.tuple()) }
    }

    fn action(&mut self, kind: u8) -> Action {
        match (kind, self.u8()) {
            (b'I', _) => Action::Insert(self.tuple()),
            (b'D', kind) => Action::Delete(self.old(kind)),
            (_, b'N') => Action::Update { old: None, new: self.tuple() },
            (_, kind) => {
                let old = Some(self.old(kind));
                assert_eq!(self.u8(), b'N');
                Action::Update { old, new: self.tuple() }
            }
        }
    }
}

fn bytes_of(hex: &str) -> Bytes {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// The changes of the recorded messages, with their transactions.
fn changes(fixture: &Fixture) -> Vec<(Change, TransactionInfo)> {
    let mut relations = HashMap::new();
    let mut changes = Vec::new();
    let mut transaction = TransactionInfo { xid: 0, commit: Lsn(0), commit_time_us: 0, last_commit: Lsn::ZERO };
    for (lsn, hex) in &fixture.messages {
        let lsn: Lsn = lsn.parse().unwrap();
        let mut message = Message(bytes_of(hex));
        match message.u8() {
            b'B' => {
                transaction.commit = Lsn(message.u64());
                transaction.commit_time_us = message.u64().cast_signed() + EPOCH_2000_US;
                transaction.xid = message.u32();
            }
            b'C' => {
                message.u8();
                message.u64();
                transaction.last_commit = Lsn(message.u64());
            }
            b'R' => {
                let (id, schema, name, identity) = (message.u32(), message.text(), message.text(), message.u8());
                assert_eq!(schema, "public");
                relations.insert(id, relation(&name, &fixture.tables[&name], identity));
            }
            b'T' => {
                let count = message.u32();
                message.u8();
                for _ in 0..count {
                    let relation = Arc::clone(&relations[&message.u32()]);
                    changes.push((Change { lsn, relation, action: Action::Truncate }, transaction));
                }
            }
            kind => {
                let relation = Arc::clone(&relations[&message.u32()]);
                changes.push((Change { lsn, relation, action: message.action(kind) }, transaction));
            }
        }
    }
    changes
}

fn settings(table: &str) -> EnvelopeSettings {
    EnvelopeSettings {
        version: "3.6.3.Final".to_owned(),
        server_name: "eb".to_owned(),
        database: "eb".to_owned(),
        data_topic: format!("eb.public.{table}"),
        tombstones_on_delete: true,
        schemas: false,
        modes: Modes::PLAN,
    }
}

fn encoder(table: &str, records: &[Sent]) -> Encoder {
    let run = records.iter().flat_map(|record| &record.headers).find(|(name, _)| name.ends_with("runId")).unwrap();
    Encoder::new(settings(table)).with_context(Context::new("eb", 0, &run.1))
}

#[test]
fn streamed_records_are_those_of_debezium() {
    let fixture = fixture();
    let mut tables: BTreeMap<String, Vec<(Change, TransactionInfo)>> = BTreeMap::new();
    for (change, transaction) in changes(&fixture) {
        tables.entry(change.relation.name.clone()).or_default().push((change, transaction));
    }
    assert_eq!(tables.len(), fixture.records.len());
    let mut compared = 0;
    for (table, changes) in tables {
        let recorded = &fixture.records[&format!("eb.public.{table}")];
        let mut encoder = encoder(&table, recorded);
        let snapshot_rows = fixture.snapshot_rows.get(&table).map_or(0, Vec::len);
        let mut expected = recorded[snapshot_rows..].iter().cloned();
        for (change, transaction) in changes {
            let mut ours = |now_us| {
                let mut records = Vec::new();
                encoder.encode(&change, &transaction, now_us, &mut |record| records.push(Sent::of(&record))).unwrap();
                records
            };
            // The two halves of a key change differ in their time: each record is compared under its own.
            for index in 0..ours(0).len() {
                let theirs = expected.next().unwrap().with_whole_micros();
                let now_us = theirs.number("ts_us").unwrap_or_default();
                assert_eq!(ours(now_us)[index], theirs, "{table} {:?}", change.action);
                compared += 1;
            }
        }
        assert_eq!(expected.next(), None, "{table}");
    }
    assert!(compared > 90, "{compared} records were compared");
}

#[test]
fn snapshot_records_are_those_of_debezium() {
    let fixture = fixture();
    let markers = [
        ("e_default", vec![SnapshotMarker::FirstInTable, SnapshotMarker::True, SnapshotMarker::LastInTable]),
        ("e_full", vec![SnapshotMarker::LastInTable]),
        ("e_nopk", vec![SnapshotMarker::FirstInTable, SnapshotMarker::Last]),
    ];
    for (table, markers) in markers {
        let recorded = &fixture.records[&format!("eb.public.{table}")];
        let relation = relation(table, &fixture.tables[table], b'd');
        let mut encoder = encoder(table, recorded);
        for ((row, theirs), marker) in fixture.snapshot_rows[table].iter().zip(recorded).zip(markers) {
            let row = Tuple::from_cells(row.iter().map(|text| match text {
                Some(text) => Cell::Text(text.as_bytes()),
                None => Cell::Null,
            }));
            let source: serde_json::Value = serde_json::from_str(theirs.value.as_ref().unwrap()).unwrap();
            let xid = u32::try_from(source["source"]["txId"].as_u64().unwrap()).unwrap();
            encoder.snapshot_taken(source["source"]["ts_us"].as_i64().unwrap(), Some(xid));
            let point = Lsn(source["source"]["lsn"].as_u64().unwrap());
            let mut ours = Vec::new();
            let now_us = theirs.number("ts_us").unwrap();
            let mut emit = |record: Record<'_>| ours.push(Sent::of(&record));
            encoder.encode_snapshot_row(&relation, &row, marker, point, now_us, &mut emit).unwrap();
            assert_eq!(ours, [theirs.clone().with_whole_micros()], "{table}");
        }
    }
}

#[test]
fn a_single_table_has_a_first_and_a_last_row() {
    let fixture = fixture();
    let relation = relation("e_nopk", &fixture.tables["e_nopk"], b'f');
    let row = Tuple::from_cells([Cell::Null, Cell::Null]);
    let mut encoder = Encoder::new(settings("e_nopk"));
    for (rows, markers) in fixture.single_table_markers {
        assert_eq!(rows, markers.len());
        for (index, theirs) in markers.iter().enumerate() {
            let marker = match index {
                _ if index + 1 == rows => SnapshotMarker::Last,
                0 => SnapshotMarker::First,
                _ => SnapshotMarker::True,
            };
            let mut ours = String::new();
            let mut emit = |record: Record<'_>| ours = Sent::of(&record).value.unwrap();
            encoder.encode_snapshot_row(&relation, &row, marker, Lsn(1), 0, &mut emit).unwrap();
            assert!(ours.contains(&format!("\"snapshot\":{theirs},")), "{index} of {rows}: {ours}");
        }
    }
}

#[test]
fn without_null_defaults_the_snapshot_field_is_null() {
    let fixture = fixture();
    let (change, transaction) =
        changes(&fixture).into_iter().find(|(change, _)| change.relation.name == "e_nothing").unwrap();
    let mut encoder = Encoder::new(settings("e_nothing")).without_null_defaults();
    let mut value = String::new();
    let mut emit = |record: Record<'_>| value = Sent::of(&record).value.unwrap();
    encoder.encode(&change, &transaction, 0, &mut emit).unwrap();
    assert!(fixture.unmarked.contains("\"snapshot\":null,"));
    assert_eq!(fields(&value), fields(&fixture.unmarked));
}

/// The envelope without what differs from run to run: digits and names.
fn fields(value: &str) -> String {
    value.replace("\"eb\"", "").replace("\"ec\"", "").chars().filter(|character| !character.is_ascii_digit()).collect()
}

#[test]
fn the_halves_of_a_key_change_are_those_of_the_whole() {
    let mut key_changes = 0;
    for (change, transaction) in changes(&fixture()) {
        let mut encoder = Encoder::new(settings(&change.relation.name));
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
    let column = |name: &str, kind| Column { name: name.to_owned(), kind, nullable: true };
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
    let mut encoder = Encoder::new(settings("t"));
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
        let column = Column { name: name.to_owned(), kind: ColumnType::Int4, nullable: true };
        let (schema, columns) = ("public".to_owned(), vec![column]);
        Arc::new(Relation { schema, name: "t".to_owned(), columns, key: vec![0], identity: ReplicaIdentity::Default })
    };
    let mut encoder = Encoder::new(settings("t"));
    for name in ["a", "b", "a"] {
        let mut key = Vec::new();
        let row = Tuple::from_cells([Cell::Text(b"1")]);
        assert!(encoder.write_key(&relation(name), &row, &mut key).unwrap());
        assert_eq!(String::from_utf8(key).unwrap(), format!("{{\"{name}\":1}}"));
    }
}
