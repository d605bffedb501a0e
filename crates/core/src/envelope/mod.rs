//! The form of a change in the log: Debezium's envelope as Kafka Connect's JSON converter writes it, without schemas or
//! with the one of the value around it.
//!
//! Field order, header names and every quirk are those of versions 3.6 and 3.7 (`tests/envelope.json` holds what the real
//! one wrote for the same replication messages):
//!
//! * an update that changes the key becomes a delete of the old key, its tombstone, and a create of the new one; the
//!   old key is read from the old image, so under a replica identity that lacks key columns it holds their zeros;
//! * in an old image that holds the replica identity only, other columns are null, or their type's zero if they are
//!   NOT NULL;
//! * a TOASTed value that an update left alone is taken from the old image if that has it, else it is a placeholder;
//! * `source.sequence` holds the end of the transaction committed before, and the change's own place.

mod columns;
mod headers;
pub mod heartbeat;
mod layout;
mod schema;
mod settings;
mod source;
mod transaction;

use std::sync::Arc;

use crate::change::{Action, Change, OldRow, Relation, Tuple};
use crate::lsn::Lsn;
use crate::port::log::Record;
use crate::value::Modes;

pub use columns::Columns;
pub(crate) use columns::Patterns;
pub use headers::Context;
use headers::{Headers, KeyChange};
use layout::{Form, Image, Layout, Losses};
use schema::Wrapper;
pub use settings::{EnvelopeSettings, Lost, Nulls, RowError, SnapshotMarker, TransactionInfo};
use source::Source;
use transaction::Transactions;

/// Writes rows as `after` would hold them.
pub struct RowWriter {
    form: Form,
    layout: Option<Layout>,
}

impl RowWriter {
    /// A writer of values in these forms.
    pub const fn new(modes: Modes) -> Self {
        Self {
            form: Form { modes, columns: Columns::all(), nulls: Nulls::KEPT, losses: None, losses_too: false },
            layout: None,
        }
    }

    /// Appends a row; what was appended is of no use after an error.
    pub fn write(&mut self, relation: &Arc<Relation>, row: &Tuple, out: &mut Vec<u8>) -> Result<(), RowError> {
        Layout::of(&mut self.layout, relation, &self.form).write_image(Some(Image { row, old: None, read: false }), out)
    }
}

/// Writes changes as records. One per capture.
pub struct Encoder {
    topic: String,
    tombstones: bool,
    form: Form,
    source: Source,
    transactions: Option<Transactions>,
    context: Option<Context>,
    layout: Option<Layout>,
    wrapper: Wrapper,
    buffers: Buffers,
}

/// Kept between changes, so that a change allocates nothing once they have grown.
#[derive(Default)]
struct Buffers {
    key: Vec<u8>,
    value: Vec<u8>,
    old_key: Vec<u8>,
    delete: Vec<u8>,
}

/// Where the records of a change go, in order.
type Emit<'a> = &'a mut dyn FnMut(Record<'_>);

impl Encoder {
    /// An encoder for one capture.
    pub fn new(settings: EnvelopeSettings) -> Self {
        Self {
            source: Source::new(&settings),
            wrapper: Wrapper::new(&settings),
            transactions: Transactions::new(&settings),
            form: Form {
                modes: settings.modes,
                columns: settings.columns,
                nulls: settings.nulls,
                losses: settings.formless_null.then(Losses::default),
                losses_too: settings.losses_too,
            },
            topic: settings.data_topic,
            tombstones: settings.tombstones_on_delete,
            context: None,
            layout: None,
            buffers: Buffers::default(),
        }
    }

    /// Adds the headers that Debezium puts on every record unless `extended.headers.enabled=false`.
    #[must_use]
    pub fn with_context(mut self, context: Context) -> Self {
        self.context = Some(context);
        self
    }

    /// Says when and by which transaction a snapshot was taken, for its rows' `source`. Otherwise each row's own time
    /// stands there, and no transaction.
    pub fn snapshot_taken(&mut self, time_us: i64, xid: Option<u32>) {
        self.source.snapshot_taken(time_us, xid);
    }

    /// What was written as NULL since the last call because it has no form.
    pub fn take_lost(&mut self) -> Option<Lost> {
        self.form.losses.as_ref().and_then(Losses::take)
    }

    /// Writes the message key; false if the relation has none.
    pub fn write_key(&mut self, relation: &Arc<Relation>, row: &Tuple, out: &mut Vec<u8>) -> Result<bool, RowError> {
        let layout = Layout::of(&mut self.layout, relation, &self.form);
        self.wrapper.prepare(layout, &self.form);
        self.wrapper.write_key(layout, Image { row, old: None, read: false }, out)
    }

    /// Writes a change; nothing is emitted if any part of it cannot be written.
    pub fn encode(
        &mut self,
        change: &Change,
        transaction: &TransactionInfo,
        now_us: i64,
        emit: &mut dyn FnMut(Record<'_>),
    ) -> Result<(), RowError> {
        let Self { source, transactions, layout, wrapper, buffers, form, .. } = self;
        if let Some(transactions) = transactions {
            transactions.before(&change.relation, change.lsn, transaction, emit);
        }
        let layout = Layout::of(layout, &change.relation, form);
        wrapper.prepare(layout, form);
        buffers.clear();
        wrapper.open(&mut buffers.value);
        let mut place = |out: &mut Vec<u8>, op| {
            let order = transactions.as_mut().and_then(Transactions::next);
            source.write_streamed(layout.table(), change.lsn, transaction, (op, order), now_us, out);
            wrapper.close(out);
        };
        let (keyed, tombstone) = match &change.action {
            Action::Insert(new) => {
                let keyed = wrapper.write_key(layout, Image { row: new, old: None, read: false }, &mut buffers.key)?;
                layout.write_images(None, Some(Image { row: new, old: None, read: false }), &mut buffers.value)?;
                place(&mut buffers.value, b'c');
                (keyed, false)
            }
            Action::Update { old, new } => {
                let old = old.as_ref().map(image_of);
                let new = Image { row: new, old, read: false };
                let keyed = wrapper.write_key(layout, new, &mut buffers.key)?;
                if let Some(old) = old.filter(|_| keyed) {
                    wrapper.write_key(layout, Image { row: old, old: None, read: false }, &mut buffers.old_key)?;
                    if buffers.old_key != buffers.key {
                        return self.encode_key_change(change, transaction, now_us, Halves::Both, emit);
                    }
                }
                let before = old.map(|row| Image { row, old: None, read: false });
                layout.write_images(before, Some(new), &mut buffers.value)?;
                place(&mut buffers.value, b'u');
                (keyed, false)
            }
            Action::Delete(old) => {
                let old = Image { row: image_of(old), old: None, read: false };
                let keyed = wrapper.write_key(layout, old, &mut buffers.key)?;
                layout.write_images(Some(old), None, &mut buffers.value)?;
                place(&mut buffers.value, b'd');
                (keyed, self.tombstones)
            }
            Action::Truncate => {
                layout.write_images(None, None, &mut buffers.value)?;
                place(&mut buffers.value, b't');
                (false, false)
            }
        };
        self.emit_one(keyed, tombstone, emit);
        Ok(())
    }

    /// The first half of an update that changes the key: the old key's delete and its tombstone. Any other change
    /// gives nothing.
    pub fn encode_as_delete(
        &mut self,
        change: &Change,
        transaction: &TransactionInfo,
        now_us: i64,
        emit: &mut dyn FnMut(Record<'_>),
    ) -> Result<(), RowError> {
        self.encode_key_change(change, transaction, now_us, Halves::Delete, emit)
    }

    /// The second half of an update that changes the key: the new key's create. Any other change gives nothing.
    pub fn encode_as_insert(
        &mut self,
        change: &Change,
        transaction: &TransactionInfo,
        now_us: i64,
        emit: &mut dyn FnMut(Record<'_>),
    ) -> Result<(), RowError> {
        self.encode_key_change(change, transaction, now_us, Halves::Create, emit)
    }

    /// Begins to number the events of a transaction, if the settings ask for it. Without this call nothing is told of one.
    pub fn begin_transaction(&mut self) {
        if let Some(transactions) = &mut self.transactions {
            transactions.begin();
        }
    }

    /// Counts a change of the open transaction whose records go elsewhere; its first change brings its begin all the same.
    pub fn count(&mut self, change: &Change, transaction: &TransactionInfo, emit: &mut dyn FnMut(Record<'_>)) {
        if let Some(transactions) = &mut self.transactions {
            transactions.before(&change.relation, change.lsn, transaction, emit);
        }
        self.pass_over(change);
    }

    /// Counts a change of the open transaction that is in the log already, or that could not be encoded.
    pub fn pass_over(&mut self, change: &Change) {
        if self.transactions.is_none() {
            return;
        }
        let events = if self.changes_key(change).unwrap_or_default() { 2 } else { 1 };
        if let Some(transactions) = &mut self.transactions {
            transactions.of(&change.relation);
            for _ in 0..events {
                transactions.next();
            }
        }
    }

    /// Ends the transaction that was begun, at its end in the server's log.
    pub fn end_transaction(&mut self, end: Lsn, transaction: &TransactionInfo, emit: &mut dyn FnMut(Record<'_>)) {
        if let Some(transactions) = &mut self.transactions {
            transactions.end(end, transaction, emit);
        }
    }

    /// Whether a change is an update that gives its row another key.
    fn changes_key(&mut self, change: &Change) -> Result<bool, RowError> {
        let Action::Update { old: Some(old), new } = &change.action else { return Ok(false) };
        let layout = Layout::of(&mut self.layout, &change.relation, &self.form);
        let Buffers { key, old_key, .. } = &mut self.buffers;
        key.clear();
        old_key.clear();
        let old = image_of(old);
        let keyed = layout.write_key(Image { row: new, old: Some(old), read: false }, key)?;
        layout.write_key(Image { row: old, old: None, read: false }, old_key)?;
        Ok(keyed && key != old_key)
    }

    /// Writes a row that a snapshot at `point` has read.
    pub fn encode_snapshot_row(
        &mut self,
        relation: &Arc<Relation>,
        row: &Tuple,
        marker: SnapshotMarker,
        point: Lsn,
        now_us: i64,
        emit: &mut dyn FnMut(Record<'_>),
    ) -> Result<(), RowError> {
        let row = Image { row, old: None, read: true };
        self.encode_found(relation, row, (marker, b'r'), point, now_us, emit)
    }

    /// Writes a delete of a row that the table does not have, as an incremental snapshot found at `point`: `key` holds the
    /// key's columns, so the old image is that of a delete under the default replica identity.
    pub fn encode_missing_row(
        &mut self,
        relation: &Arc<Relation>,
        key: &Tuple,
        marker: SnapshotMarker,
        point: Lsn,
        now_us: i64,
        emit: &mut dyn FnMut(Record<'_>),
    ) -> Result<(), RowError> {
        let row = Image { row: key, old: None, read: false };
        self.encode_found(relation, row, (marker, b'd'), point, now_us, emit)
    }

    /// Writes what a snapshot has found: a row, or with `d` that it is not there.
    fn encode_found(
        &mut self,
        relation: &Arc<Relation>,
        row: Image<'_>,
        (marker, op): (SnapshotMarker, u8),
        point: Lsn,
        now_us: i64,
        emit: &mut dyn FnMut(Record<'_>),
    ) -> Result<(), RowError> {
        let Self { source, layout, wrapper, buffers, form, .. } = self;
        let layout = Layout::of(layout, relation, form);
        wrapper.prepare(layout, form);
        buffers.clear();
        let keyed = wrapper.write_key(layout, row, &mut buffers.key)?;
        wrapper.open(&mut buffers.value);
        let missing = op == b'd';
        let (old, new) = if missing { (Some(row), None) } else { (None, Some(row)) };
        layout.write_images(old, new, &mut buffers.value)?;
        source.write_snapshot(layout.table(), point, (marker, op), now_us, &mut buffers.value);
        wrapper.close(&mut buffers.value);
        self.emit_one(keyed, missing && self.tombstones, emit);
        Ok(())
    }

    fn encode_key_change(
        &mut self,
        change: &Change,
        transaction: &TransactionInfo,
        now_us: i64,
        halves: Halves,
        emit: Emit<'_>,
    ) -> Result<(), RowError> {
        let Action::Update { old: Some(old), new } = &change.action else { return Ok(()) };
        let old = Image { row: image_of(old), old: None, read: false };
        let new = Image { row: new, old: Some(old.row), read: false };
        let Self { source, transactions, layout, wrapper, buffers, context, form, .. } = self;
        let layout = Layout::of(layout, &change.relation, form);
        wrapper.prepare(layout, form);
        buffers.clear();
        let keyed = wrapper.write_key(layout, new, &mut buffers.key)?;
        wrapper.write_key(layout, old, &mut buffers.old_key)?;
        if halves != Halves::Create {
            wrapper.open(&mut buffers.delete);
            layout.write_images(Some(old), None, &mut buffers.delete)?;
        }
        if halves != Halves::Delete {
            wrapper.open(&mut buffers.value);
            layout.write_images(None, Some(new), &mut buffers.value)?;
        }
        for (op, out) in [(b'd', &mut buffers.delete), (b'c', &mut buffers.value)] {
            let order = transactions.as_mut().and_then(Transactions::next);
            source.write_streamed(layout.table(), change.lsn, transaction, (op, order), now_us, out);
            wrapper.close(out);
        }
        let (key, old_key) = (keyed.then_some(buffers.key.as_slice()), keyed.then_some(buffers.old_key.as_slice()));
        if halves != Halves::Create {
            let header = KeyChange::to(wrapper.bare_key(&buffers.key));
            let headers = Headers::new(context.as_ref(), keyed.then_some(&header));
            emit(Record { topic: &self.topic, key: old_key, value: Some(&buffers.delete), headers: headers.list() });
            if self.tombstones {
                emit(Record { topic: &self.topic, key: old_key, value: None, headers: headers.list() });
            }
        }
        if halves != Halves::Delete {
            let header = KeyChange::from(wrapper.bare_key(&buffers.old_key));
            let headers = Headers::new(context.as_ref(), keyed.then_some(&header));
            emit(Record { topic: &self.topic, key, value: Some(&buffers.value), headers: headers.list() });
        }
        Ok(())
    }

    fn emit_one(&self, keyed: bool, tombstone: bool, emit: Emit<'_>) {
        let headers = Headers::new(self.context.as_ref(), None);
        let key = keyed.then_some(self.buffers.key.as_slice());
        let record = Record { topic: &self.topic, key, value: Some(&self.buffers.value), headers: headers.list() };
        emit(record);
        if tombstone {
            emit(Record { value: None, ..record });
        }
    }
}

/// Which records of a key change are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Halves {
    Both,
    Delete,
    Create,
}

fn image_of(old: &OldRow) -> &Tuple {
    let (OldRow::Key(row) | OldRow::Full(row)) = old;
    row
}

impl Buffers {
    fn clear(&mut self) {
        self.key.clear();
        self.value.clear();
        self.old_key.clear();
        self.delete.clear();
    }
}
