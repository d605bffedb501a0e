//! Transaction metadata: what `provide.transaction.metadata` adds to records, and the records that it adds.
//!
//! A change that is passed over counts like one that is sent, so a replay gives each change the same number again.

use super::schema::opening;
use super::{EnvelopeSettings, TransactionInfo};
use crate::change::Relation;
use crate::lsn::Lsn;
use crate::port::log::Record;
use crate::value::json::{write_number, write_string};

const KEY: &str = concat!(
    r#"{"type":"struct","fields":[{"type":"string","optional":false,"field":"id"}],"optional":false,"#,
    r#""name":"io.debezium.connector.common.TransactionMetadataKey","version":1}"#,
);

const VALUE: &str = concat!(
    r#"{"type":"struct","fields":[{"type":"string","optional":false,"field":"status"},"#,
    r#"{"type":"string","optional":false,"field":"id"},{"type":"int64","optional":true,"field":"event_count"},"#,
    r#"{"type":"array","items":{"type":"struct","fields":["#,
    r#"{"type":"string","optional":false,"field":"data_collection"},"#,
    r#"{"type":"int64","optional":false,"field":"event_count"}],"optional":true,"name":"event.collection","version":1},"#,
    r#""optional":true,"field":"data_collections"},{"type":"int64","optional":false,"field":"ts_ms"}],"#,
    r#""optional":false,"name":"io.debezium.connector.common.TransactionMetadataValue","version":1}"#,
);

/// The metadata of one capture.
pub(super) struct Transactions {
    topic: String,
    /// What stands before keys and values if they carry their schema.
    openings: [Option<Vec<u8>>; 2],
    /// The events of the open transaction; none outside of one that is followed.
    events: Option<u64>,
    key: Vec<u8>,
    value: Vec<u8>,
    /// The table that the events are of.
    table: Vec<u8>,
}

impl Transactions {
    /// None unless the connector asks for it.
    pub(super) fn new(settings: &EnvelopeSettings) -> Option<Self> {
        let topic = settings.transaction_topic.clone()?;
        let openings = [settings.key_schemas.then(|| opening(KEY)), settings.schemas.then(|| opening(VALUE))];
        Some(Self { topic, openings, events: None, key: Vec::new(), value: Vec::new(), table: Vec::new() })
    }

    pub(super) fn begin(&mut self) {
        self.events = Some(0);
    }

    /// The number of the next event; none outside of a transaction.
    pub(super) fn next(&mut self) -> Option<u64> {
        self.events = self.events.map(|events| events + 1);
        self.events
    }

    /// The open transaction has an event of this table.
    pub(super) fn of(&mut self, relation: &Relation) {
        if self.events == Some(0) {
            self.table.clear();
            let table = format!("{}.{}", relation.schema, relation.name);
            write_string(table.as_bytes(), &mut self.table).expect("a name is a string, so it is UTF-8");
        }
    }

    /// Before a change is written: the transaction's first one brings its BEGIN.
    pub(super) fn before(
        &mut self,
        relation: &Relation,
        lsn: Lsn,
        transaction: &TransactionInfo,
        emit: &mut dyn FnMut(Record<'_>),
    ) {
        self.of(relation);
        if self.events == Some(0) {
            self.emit("BEGIN", lsn, transaction, None, emit);
        }
    }

    /// Ends the transaction; one without an event of this table has no records.
    pub(super) fn end(&mut self, end: Lsn, transaction: &TransactionInfo, emit: &mut dyn FnMut(Record<'_>)) {
        if let Some(events) = self.events.take().filter(|events| *events > 0) {
            self.emit("END", end, transaction, Some(events), emit);
        }
    }

    fn emit(
        &mut self,
        status: &str,
        lsn: Lsn,
        transaction: &TransactionInfo,
        events: Option<u64>,
        emit: &mut dyn FnMut(Record<'_>),
    ) {
        let Self { topic, openings: [key_opening, value_opening], key, value, table, .. } = self;
        key.clear();
        key.extend(key_opening.iter().flatten());
        key.extend_from_slice(b"{\"id\":");
        write_id(transaction.xid, lsn, key);
        key.push(b'}');
        value.clear();
        value.extend(value_opening.iter().flatten());
        value.extend_from_slice(b"{\"status\":\"");
        value.extend_from_slice(status.as_bytes());
        value.extend_from_slice(b"\",\"id\":");
        write_id(transaction.xid, lsn, value);
        value.extend_from_slice(b",\"event_count\":");
        if let Some(events) = events {
            write_count(events, value);
            value.extend_from_slice(b",\"data_collections\":[{\"data_collection\":");
            value.extend_from_slice(table);
            value.extend_from_slice(b",\"event_count\":");
            write_count(events, value);
            value.extend_from_slice(b"}]");
        } else {
            value.extend_from_slice(b"null,\"data_collections\":null");
        }
        value.extend_from_slice(b",\"ts_ms\":");
        write_number(transaction.commit_time_us.div_euclid(1000), value);
        value.push(b'}');
        for (opening, out) in [(key_opening, &mut *key), (value_opening, &mut *value)] {
            if opening.is_some() {
                out.push(b'}');
            }
        }
        emit(Record { topic, key: Some(key), value: Some(value), headers: &[] });
    }
}

/// Writes what an envelope says of its transaction: the event's number in it and in its table, which are one here.
pub(super) fn write_block(xid: u32, lsn: Lsn, order: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    write_id(xid, lsn, out);
    out.extend_from_slice(b",\"total_order\":");
    write_count(order, out);
    out.extend_from_slice(b",\"data_collection_order\":");
    write_count(order, out);
    out.push(b'}');
}

fn write_id(xid: u32, lsn: Lsn, out: &mut Vec<u8>) {
    out.push(b'"');
    write_number(i64::from(xid), out);
    out.push(b':');
    write_number(lsn.0.cast_signed(), out);
    out.push(b'"');
}

fn write_count(count: u64, out: &mut Vec<u8>) {
    write_number(count.cast_signed(), out);
}
