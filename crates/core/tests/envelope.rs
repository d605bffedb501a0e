//! Whole records against what Debezium wrote for the same replication messages; `envelope.json` says how both were
//! recorded.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use datapipe_core::change::{Action, Cell, Change, Column, OldRow, Relation, ReplicaIdentity, Tuple};
use datapipe_core::connector::DEBEZIUM_VERSION;
use datapipe_core::envelope::{Columns, Context, Encoder, EnvelopeSettings, SnapshotMarker, TransactionInfo};
use datapipe_core::lsn::Lsn;
use datapipe_core::port::log::Record;
use datapipe_core::value::Modes;
use datapipe_core::value::{ColumnType, PgType, ValueError, resolve};
use serde::Deserialize;

/// Microseconds from 1970 to 2000, where PostgreSQL's clock starts.
const EPOCH_2000_US: i64 = 946_684_800_000_000;

#[derive(Deserialize)]
struct Fixture {
    about: About,
    tables: HashMap<String, Table>,
    /// The place of a message and its bytes in hexadecimal.
    messages: Vec<(String, String)>,
    snapshot_rows: BTreeMap<String, Vec<Vec<Option<String>>>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct About {
    versions: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Table {
    columns: Vec<Described>,
    key: Vec<String>,
}

#[derive(Deserialize)]
struct Described {
    name: String,
    r#type: PgType,
    nullable: bool,
}

/// A connector and what it wrote.
#[derive(Deserialize)]
struct Case {
    prefix: String,
    config: BTreeMap<String, String>,
    records: Vec<Sent>,
}

/// A record, owned.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Sent {
    topic: String,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, String)>,
}

impl Sent {
    fn of(record: &Record<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            topic: record.topic.to_owned(),
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

    /// Without the time at which it was written, which is an envelope's end.
    fn without_time(mut self) -> Self {
        if let Some(value) = &mut self.value
            && let Some(at) = value.find(",\"op\":")
        {
            value.truncate(at + 9);
        }
        self
    }
}

fn fixture() -> Fixture {
    let mut text = include_str!("envelope.json").to_owned();
    for part in ["x", "y", "78", "79"] {
        text = text.replace(&format!("<2500 {part}>"), &part.repeat(2500));
    }
    serde_json::from_str(&text).unwrap()
}

fn relation(name: &str, table: &Table, identity: u8) -> Arc<Relation> {
    let column = |d: &Described| {
        let kind = resolve(&d.r#type).unwrap();
        Column { name: d.name.clone(), kind, nullable: d.nullable }
    };
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

/// A recorded message's meaning.
enum Step {
    Change(Box<Change>, TransactionInfo),
    End(Lsn, TransactionInfo),
}

/// The recorded messages in order.
fn steps(fixture: &Fixture) -> Vec<Step> {
    let mut relations = HashMap::new();
    let mut steps = Vec::new();
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
                let end = Lsn(message.u64());
                steps.push(Step::End(end, transaction));
                transaction.last_commit = end;
            }
            b'R' => {
                let (id, schema, name, identity) = (message.u32(), message.text(), message.text(), message.u8());
                assert_eq!(schema, "public");
                relations.insert(id, relation(&name, &fixture.tables[&name], identity));
            }
            // A user's type is told before the relation that has it.
            b'Y' => {}
            b'T' => {
                let count = message.u32();
                message.u8();
                for _ in 0..count {
                    let relation = Arc::clone(&relations[&message.u32()]);
                    steps.push(Step::Change(Box::new(Change { lsn, relation, action: Action::Truncate }), transaction));
                }
            }
            kind => {
                let relation = Arc::clone(&relations[&message.u32()]);
                let change = Change { lsn, relation, action: message.action(kind) };
                steps.push(Step::Change(Box::new(change), transaction));
            }
        }
    }
    steps
}

fn changes(fixture: &Fixture) -> Vec<(Change, TransactionInfo)> {
    let change = |step| if let Step::Change(change, transaction) = step { Some((*change, transaction)) } else { None };
    steps(fixture).into_iter().filter_map(change).collect()
}

fn settings(prefix: &str, table: &str) -> EnvelopeSettings {
    EnvelopeSettings {
        version: "3.7.0.Final".to_owned(),
        server_name: prefix.to_owned(),
        database: "postgres".to_owned(),
        data_topic: format!("{prefix}.public.{table}"),
        tombstones_on_delete: true,
        schemas: false,
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
        let encoder = Encoder::new(settings);
        // The one connector that has the headers is the one whose converter is the worker's.
        let headers = self.records.iter().flat_map(|record| &record.headers);
        match headers.into_iter().find(|(name, _)| name.ends_with("runId")) {
            Some((_, run)) => encoder.with_context(Context::new(&self.prefix, 0, run)),
            None => encoder.without_null_defaults(),
        }
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

/// The records of the connector that tells of transactions, and which change comes after which.
fn told(fixture: &Fixture) -> (&Case, Vec<Sent>) {
    let told = |case: &&Case| case.config.contains_key("provide.transaction.metadata");
    let case = fixture.cases.iter().find(told).unwrap();
    // The recorder's own messages make transactions without an event.
    let is_ours = |sent: &Sent| !sent.key.as_deref().is_some_and(|key| empty(case).contains(key));
    (case, case.records.iter().filter(|sent| is_ours(sent)).cloned().collect())
}

/// The keys of the records of transactions in which nothing happened.
fn empty(case: &Case) -> String {
    let ends =
        case.records.iter().filter(|sent| sent.value.as_deref().is_some_and(|v| v.contains("\"event_count\":0,")));
    let xids = ends.map(|sent| sent.key.as_deref().unwrap().split(':').nth(1).unwrap().to_owned());
    let xids: Vec<_> = xids.collect();
    let keys = case.records.iter().filter_map(|sent| sent.key.clone());
    keys.filter(|key| key.split(':').nth(1).is_some_and(|xid| xids.iter().any(|empty| empty == xid))).collect()
}

/// What becomes of the recorded messages, of which the first `known` changes of each transaction are in the log already.
fn transactions(fixture: &Fixture, case: &Case, known: usize) -> Vec<Sent> {
    let mut encoder = case.encoder("e_default");
    let mut ours = Vec::new();
    let mut seen = 0;
    encoder.begin_transaction();
    for step in steps(fixture) {
        match step {
            Step::Change(change, transaction) if change.relation.name == "e_default" => {
                seen += 1;
                if seen <= known {
                    encoder.pass_over(&change);
                } else {
                    let mut emit = |record: Record<'_>| ours.push(Sent::of(&record));
                    encoder.encode(&change, &transaction, 0, &mut emit).unwrap();
                }
            }
            Step::Change(..) => {}
            Step::End(end, transaction) => {
                encoder.end_transaction(end, &transaction, &mut |record| ours.push(Sent::of(&record)));
                encoder.begin_transaction();
                seen = 0;
            }
        }
    }
    ours
}

#[test]
fn transactions_are_told_as_by_debezium() {
    let fixture = fixture();
    let (case, recorded) = told(&fixture);
    let ours = transactions(&fixture, case, 0);
    for (topic, count) in [("one.public.e_default", 20), ("one.transaction", 20)] {
        let of_topic = |sent: &&Sent| sent.topic == topic;
        let theirs: Vec<_> = recorded.iter().filter(of_topic).skip(case.snapshot_rows(topic)).collect();
        let ours: Vec<_> = ours.iter().filter(of_topic).collect();
        assert!(theirs.len() > count, "{} records", theirs.len());
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            let mut theirs = theirs.clone().without_time();
            // `source.sequence` names the last commit, which here is any table's.
            let mut ours = ours.clone().without_time();
            for sent in [&mut ours, &mut theirs] {
                sent.value = sent.value.as_deref().map(without_sequence);
            }
            assert_eq!(ours, theirs);
        }
    }
}

fn without_sequence(value: &str) -> String {
    let Some((before, rest)) = value.split_once("\"sequence\":") else { return value.to_owned() };
    format!("{before}{}", rest.split_once(']').unwrap().1)
}

#[test]
fn a_replayed_transaction_is_numbered_on() {
    let fixture = fixture();
    let (case, _) = told(&fixture);
    let whole = transactions(&fixture, case, 0);
    for known in 1..3 {
        let rest = transactions(&fixture, case, known);
        assert!(rest.len() < whole.len() && rest.len() > 10, "{} records", rest.len());
        for sent in &rest {
            assert!(whole.contains(sent), "{known} were known: {sent:?}");
        }
        // No transaction begins twice.
        assert!(!rest.iter().any(|sent| sent.value.as_deref().is_some_and(|value| value.contains("BEGIN"))));
    }
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
                let source = &value["source"];
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
        let column = Column { name: name.to_owned(), kind: ColumnType::Int4, nullable: true };
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
