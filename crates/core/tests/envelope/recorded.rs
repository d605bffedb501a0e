//! What was recorded, and what its replication messages mean.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use datapipe_core::change::{Action, Change, Column, OldRow, Relation, ReplicaIdentity, Tuple};
use datapipe_core::envelope::TransactionInfo;
use datapipe_core::lsn::Lsn;
use datapipe_core::port::log::Record;
use datapipe_core::value::{PgType, constant_default, resolve};
use serde::Deserialize;

/// Microseconds from 1970 to 2000, where PostgreSQL's clock starts.
const EPOCH_2000_US: i64 = 946_684_800_000_000;

#[derive(Deserialize)]
pub(crate) struct Fixture {
    pub(crate) about: About,
    pub(crate) tables: HashMap<String, Table>,
    /// The place of a message and its bytes in hexadecimal.
    pub(crate) messages: Vec<(String, String)>,
    pub(crate) snapshot_rows: BTreeMap<String, Vec<Vec<Option<String>>>>,
    pub(crate) cases: Vec<Case>,
    schemas: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct About {
    pub(crate) versions: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Described>,
    pub(crate) key: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) r#type: PgType,
    pub(crate) nullable: bool,
    pub(crate) default: Option<String>,
}

/// A connector and what it wrote.
#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) prefix: String,
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) records: Vec<Sent>,
}

/// A record, owned.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Sent {
    pub(crate) topic: String,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
}

impl Sent {
    pub(crate) fn of(record: &Record<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            topic: record.topic.to_owned(),
            key: record.key.map(text),
            value: record.value.map(text),
            headers: record.headers.iter().map(|header| (header.name.to_owned(), text(header.value))).collect(),
        }
    }

    pub(crate) fn number(&self, field: &str) -> Option<i64> {
        let value = self.value.as_deref()?;
        let at = value.rfind(&format!("\"{field}\":"))? + field.len() + 3;
        let digits = value[at..].split(|character: char| !character.is_ascii_digit()).next()?;
        digits.parse().ok()
    }

    /// The real clock counts nanoseconds; here the last three digits are zeros.
    pub(crate) fn with_whole_micros(mut self) -> Self {
        if let (Some(nanos), Some(value)) = (self.number("ts_ns"), &mut self.value) {
            *value = value.replace(&format!("\"ts_ns\":{nanos}}}"), &format!("\"ts_ns\":{}}}", nanos / 1000 * 1000));
        }
        self
    }

    /// Without the time at which it was written, which is an envelope's end.
    pub(crate) fn without_time(mut self) -> Self {
        if let Some(value) = &mut self.value
            && let Some(at) = value.find(",\"op\":")
        {
            value.truncate(at + 9);
        }
        self
    }
}

pub(crate) fn fixture() -> Fixture {
    let mut text = include_str!("../envelope.json").to_owned();
    for part in ["x", "y", "78", "79"] {
        text = text.replace(&format!("<2500 {part}>"), &part.repeat(2500));
    }
    let mut fixture: Fixture = serde_json::from_str(&text).unwrap();
    let records = fixture.cases.iter_mut().flat_map(|case| &mut case.records);
    for text in records.flat_map(|record| [&mut record.key, &mut record.value]).flatten() {
        let number = text.strip_prefix("{\"schema\":<schema ").and_then(|rest| rest.split_once('>'));
        let Some((number, rest)) = number else { continue };
        *text = format!("{{\"schema\":{}{rest}", fixture.schemas[number.parse::<usize>().unwrap()]);
    }
    fixture
}

pub(crate) fn relation(name: &str, table: &Table, identity: u8) -> Arc<Relation> {
    let column = |d: &Described| {
        let default = d.default.as_deref().and_then(|expression| constant_default(&d.r#type, expression));
        Column { default, ..Column::new(&d.name, resolve(&d.r#type).unwrap(), d.nullable) }
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
pub(crate) struct Message(Bytes);

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

pub(crate) fn bytes_of(hex: &str) -> Bytes {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// A recorded message's meaning.
pub(crate) enum Step {
    Change(Box<Change>, TransactionInfo),
    End(Lsn, TransactionInfo),
}

/// The recorded messages in order.
pub(crate) fn steps(fixture: &Fixture) -> Vec<Step> {
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

pub(crate) fn changes(fixture: &Fixture) -> Vec<(Change, TransactionInfo)> {
    let change = |step| if let Step::Change(change, transaction) = step { Some((*change, transaction)) } else { None };
    steps(fixture).into_iter().filter_map(change).collect()
}
