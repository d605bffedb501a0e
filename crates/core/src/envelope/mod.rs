//! The form of a change in the log: Debezium's envelope as Kafka Connect's JSON converter without schemas writes it.
//!
//! STARTER by the lead so that the engine compiles: keep these names and signatures, replace the bodies.

use std::sync::Arc;

use crate::change::{Action, Cell, Change, OldRow, Relation, Tuple};
use crate::lsn::Lsn;
use crate::port::log::Record;

/// What all records of a capture have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeSettings {
    /// `source.version`.
    pub version: String,
    /// `source.name`: the connector's `topic.prefix`.
    pub server_name: String,
    /// `source.db`.
    pub database: String,
    /// The data topic.
    pub data_topic: String,
    /// A tombstone follows each delete.
    pub tombstones_on_delete: bool,
}

/// What the records of one transaction have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionInfo {
    /// The transaction id.
    pub xid: u32,
    /// Where its commit record starts.
    pub commit: Lsn,
    /// When it committed, in microseconds since 1970-01-01 UTC.
    pub commit_time_us: i64,
    /// The end of the last complete transaction before it.
    pub last_commit: Lsn,
}

/// A row's place in its snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotMarker {
    /// The first row.
    First,
    /// Any other row.
    True,
    /// The last row.
    Last,
}

/// A row that has no form in the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {why}")]
pub struct RowError {
    /// The column.
    pub column: String,
    /// Why its value could not be written.
    pub why: String,
}

/// Writes changes as records. One per capture.
pub struct Encoder {
    settings: EnvelopeSettings,
}

impl Encoder {
    /// An encoder for one capture.
    pub fn new(settings: EnvelopeSettings) -> Self {
        Self { settings }
    }

    /// Writes the message key; false if the relation has none.
    pub fn write_key(&mut self, relation: &Arc<Relation>, row: &Tuple, out: &mut Vec<u8>) -> Result<bool, RowError> {
        let cells: Vec<_> = row.cells().collect();
        let map: serde_json::Map<_, _> =
            relation.key.iter().map(|i| (relation.columns[*i].name.clone(), text(cells[*i]))).collect();
        out.extend_from_slice(serde_json::Value::Object(map).to_string().as_bytes());
        Ok(!relation.key.is_empty())
    }

    /// Writes a change; nothing is emitted if any part of it cannot be written.
    pub fn encode(&mut self, change: &Change, t: &TransactionInfo, now_us: i64, emit: &mut dyn FnMut(Record<'_>)) -> Result<(), RowError> {
        let (op, before, after) = match &change.action {
            Action::Insert(new) => ("c", None, Some(new)),
            Action::Update { old, new } => {
                let old = old.as_ref().map(|(OldRow::Key(old) | OldRow::Full(old))| old);
                if let Some(old) = old {
                    let (mut a, mut b) = (Vec::new(), Vec::new());
                    self.write_key(&change.relation, old, &mut a)?;
                    self.write_key(&change.relation, new, &mut b)?;
                    if a != b {
                        self.encode_as_delete(change, t, now_us, emit)?;
                        return self.encode_as_insert(change, t, now_us, emit);
                    }
                }
                ("u", old, Some(new))
            }
            Action::Delete(OldRow::Key(old) | OldRow::Full(old)) => ("d", Some(old), None),
            Action::Truncate => ("t", None, None),
        };
        self.write(&change.relation, op, before, after, change.lsn, t.xid, now_us, emit)
    }

    /// The first half of an update that changes the key: the old key's delete (and tombstone).
    pub fn encode_as_delete(&mut self, change: &Change, t: &TransactionInfo, now_us: i64, emit: &mut dyn FnMut(Record<'_>)) -> Result<(), RowError> {
        let Action::Update { old: Some(OldRow::Key(old) | OldRow::Full(old)), .. } = &change.action else { return Ok(()) };
        self.write(&change.relation, "d", Some(old), None, change.lsn, t.xid, now_us, emit)
    }

    /// The second half of an update that changes the key: the new key's create.
    pub fn encode_as_insert(&mut self, change: &Change, t: &TransactionInfo, now_us: i64, emit: &mut dyn FnMut(Record<'_>)) -> Result<(), RowError> {
        let Action::Update { new, .. } = &change.action else { return Ok(()) };
        self.write(&change.relation, "c", None, Some(new), change.lsn, t.xid, now_us, emit)
    }

    /// Writes a row that a snapshot at `point` has read.
    pub fn encode_snapshot_row(
        &mut self, relation: &Arc<Relation>, row: &Tuple, _marker: SnapshotMarker, point: Lsn, now_us: i64, emit: &mut dyn FnMut(Record<'_>),
    ) -> Result<(), RowError> {
        self.write(relation, "r", None, Some(row), point, 0, now_us, emit)
    }

    #[allow(clippy::too_many_arguments)]
    fn write(
        &mut self, relation: &Arc<Relation>, op: &str, before: Option<&Tuple>, after: Option<&Tuple>, lsn: Lsn, xid: u32, now_us: i64,
        emit: &mut dyn FnMut(Record<'_>),
    ) -> Result<(), RowError> {
        let image = |tuple: Option<&Tuple>| {
            tuple.map(|t| relation.columns.iter().zip(t.cells()).map(|(c, cell)| (c.name.clone(), text(cell))).collect::<serde_json::Map<_, _>>())
        };
        let value = serde_json::json!({"before": image(before), "after": image(after), "source": {"lsn": lsn.0, "txId": xid}, "op": op, "ts_ms": now_us / 1000}).to_string();
        let mut key = Vec::new();
        let keyed = match after.or(before) {
            Some(row) => self.write_key(relation, row, &mut key)?,
            None => false,
        };
        let key = keyed.then_some(key.as_slice());
        emit(Record { topic: &self.settings.data_topic, key, value: Some(value.as_bytes()), headers: &[] });
        if op == "d" && self.settings.tombstones_on_delete {
            emit(Record { topic: &self.settings.data_topic, key, value: None, headers: &[] });
        }
        Ok(())
    }
}

fn text(cell: Cell<'_>) -> serde_json::Value {
    match cell {
        Cell::Null => serde_json::Value::Null,
        Cell::Unchanged => "__debezium_unavailable_value".into(),
        Cell::Text(text) => String::from_utf8_lossy(text).into(),
    }
}
