//! Dead letters of the source side: rows that have no form in the log.
//!
//! They travel in the same log transaction as the progress past them, so each is written once.

use std::sync::Arc;

use datapipe_core::change::{Action, Cell, Change, OldRow, Relation, Tuple};
use datapipe_core::envelope::{Columns, Encoder, RowError, SnapshotMarker};
use datapipe_core::lsn::{Lsn, Position};
use datapipe_core::port::log::{Header, Record};
use datapipe_core::port::{ErrorKind, PortError};
use serde_json::{Value, json};

use super::output::Output;

/// Cells longer than this are left out of a dead letter, their size in their place.
const CELL_BYTES_MAX: usize = 4096;
/// And so are cells once the letter has this many bytes of them, so that the letter itself always fits: a topic takes
/// 1 MiB by default, and a byte may become six in JSON.
const ROW_BYTES_MAX: usize = 128 * 1024;

impl Output<'_> {
    /// A change that could not be encoded: its cells as PostgreSQL sent them, and why.
    pub(super) async fn dead_letter_change(
        &mut self,
        change: &Change,
        position: Position,
        error: &RowError,
    ) -> Result<(), PortError> {
        let place = json!({ "commit_lsn": position.commit.to_string(), "index": position.index });
        let row = image(change).map_or(Value::Null, |image| cells(self.columns(), &change.relation, image));
        self.letter(&change.relation, place, &error.to_string(), row, None).await
    }

    /// A snapshot's row that could not be encoded.
    pub(super) async fn dead_letter_row(
        &mut self,
        relation: &Arc<Relation>,
        row: &Tuple,
        (marker, point): (SnapshotMarker, Lsn),
        error: &RowError,
    ) -> Result<(), PortError> {
        let place = snapshot_place(marker, point);
        self.letter(relation, place, &error.to_string(), cells(self.columns(), relation, row), None).await
    }

    /// A change that the log refused as too large: a reference to it.
    pub(super) async fn divert_change(
        &mut self,
        encoder: &mut Encoder,
        change: &Change,
        position: Position,
    ) -> Result<(), PortError> {
        let place = json!({ "commit_lsn": position.commit.to_string(), "index": position.index });
        let image = image(change);
        let key = image.and_then(|image| key_bytes(encoder, &change.relation, image));
        let row = json!({ "bytes": image.map_or(0, Tuple::size) });
        self.letter(&change.relation, place, "the record is too large for the topic", row, key).await
    }

    /// A snapshot's row that the log refused as too large: a reference to it.
    pub(super) async fn divert_row(
        &mut self,
        encoder: &mut Encoder,
        relation: &Arc<Relation>,
        row: &Tuple,
        (marker, point): (SnapshotMarker, Lsn),
    ) -> Result<(), PortError> {
        let place = snapshot_place(marker, point);
        let key = key_bytes(encoder, relation, row);
        self.letter(relation, place, "the record is too large for the topic", json!({ "bytes": row.size() }), key).await
    }

    async fn letter(
        &mut self,
        relation: &Relation,
        place: Value,
        why: &str,
        row: Value,
        key: Option<Vec<u8>>,
    ) -> Result<(), PortError> {
        let table = format!("{}.{}", relation.schema, relation.name);
        let Some(topic) = self.dead_letter_topic() else {
            return Err(PortError::new(ErrorKind::Refused, format!("writing a row of {table} at {place}"))
                .because(why.to_owned())
                .hint(
                    "set a dead letter topic to let the other rows pass: datapipe.errors.deadletterqueue.topic.name",
                ));
        };
        tracing::warn!(%table, %place, why, "row sent to the dead letter queue");
        let value = json!({ "table": table, "position": place, "error": why, "row": row }).to_string();
        let headers = [
            Header { name: "datapipe.errors.stage", value: b"capture" },
            Header { name: "datapipe.errors.message", value: why.as_bytes() },
        ];
        self.push(Record { topic, key: key.as_deref(), value: Some(value.as_bytes()), headers: &headers });
        self.count_dead_letter();
        self.settle().await
    }
}

/// Where a row was read: at a snapshot's point, or, in an incremental one, behind the last change before it.
fn snapshot_place(marker: SnapshotMarker, point: Lsn) -> Value {
    let name = if matches!(marker, SnapshotMarker::Incremental { .. }) { "incremental_lsn" } else { "snapshot_lsn" };
    json!({ name: point.to_string() })
}

fn key_bytes(encoder: &mut Encoder, relation: &Arc<Relation>, row: &Tuple) -> Option<Vec<u8>> {
    let mut key = Vec::new();
    encoder.write_key(relation, row, &mut key).is_ok_and(|written| written).then_some(key)
}

/// The image that names the row: the new one, or the old one of a delete.
fn image(change: &Change) -> Option<&Tuple> {
    match &change.action {
        Action::Insert(new) | Action::Update { new, .. } => Some(new),
        Action::Delete(OldRow::Key(old) | OldRow::Full(old)) => Some(old),
        Action::Truncate => None,
    }
}

/// The columns that records show as they are.
fn cells(columns: &Columns, relation: &Relation, row: &Tuple) -> Value {
    let mut left = ROW_BYTES_MAX;
    let shown = relation.columns.iter().zip(row.cells()).filter(|(column, _)| columns.shows(relation, column));
    let named = shown.map(|(column, cell)| {
        let value = match cell {
            Cell::Null => Value::Null,
            Cell::Unchanged => json!({ "unchanged": true }),
            Cell::Text(text) if text.len() > CELL_BYTES_MAX.min(left) => json!({ "bytes": text.len() }),
            Cell::Text(text) => {
                left -= text.len();
                Value::String(String::from_utf8_lossy(text).into_owned())
            }
        };
        (column.name.clone(), value)
    });
    Value::Object(named.collect())
}

#[cfg(test)]
mod tests {
    use datapipe_core::change::{Column, ReplicaIdentity};
    use datapipe_core::value::ColumnType;

    use super::*;

    #[test]
    fn a_letter_fits_however_wide_its_row_is() {
        let column = |n| Column::new(&format!("column_{n}"), ColumnType::Text, true);
        let relation = Relation {
            schema: "public".to_owned(),
            name: "wide".to_owned(),
            columns: (0..1600).map(column).collect(),
            key: vec![0],
            identity: ReplicaIdentity::Default,
        };
        // The worst that JSON makes of a byte.
        let text = "\u{1}".repeat(CELL_BYTES_MAX);
        let row = Tuple::from_cells((0..1600).map(|_| Cell::Text(text.as_bytes())));
        let value = cells(&Columns::default(), &relation, &row);
        assert_eq!(value["column_0"], text);
        assert_eq!(value["column_1599"], json!({ "bytes": CELL_BYTES_MAX }));
        assert!(value.to_string().len() < 1 << 20, "{} bytes", value.to_string().len());
    }
}
