//! One object from its first record to its creation.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use datapipe_core::lsn::Lsn;
use datapipe_core::object::{Filling, ObjectMeta};
use datapipe_core::port::log::{LogIdentity, ReadRecord};
use datapipe_parquet::Shape;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::DeliverSettings;
use super::chain::Covered;
use super::record::{Content, Form};
use super::spool::{Spool, Spooled, hex};

pub(super) struct OpenObject {
    key: String,
    meta: ObjectMeta,
    filling: Filling,
    spool: Spool,
    /// Of a format that needs one.
    shape: Option<Arc<Shape>>,
    first_lsn: Option<Lsn>,
    last_value: Vec<u8>,
}

/// A closed object, ready to be created.
pub(super) struct ClosedObject {
    pub(super) key: String,
    pub(super) meta: ObjectMeta,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) content: Spooled,
}

impl OpenObject {
    pub(super) fn new(
        settings: &DeliverSettings,
        identity: &LogIdentity,
        first: &ReadRecord<'_>,
        content: &Content<'_>,
        covers_from: i64,
    ) -> io::Result<Self> {
        let key = key(settings, identity, first);
        let meta = ObjectMeta {
            cluster_id: identity.cluster_id.clone(),
            topic: identity.topic.clone(),
            partition: first.partition,
            first_digest: digest(first),
            covers_from,
            first: first.offset,
            last: first.offset,
            next: first.offset,
            written: 0,
            skipped: 0,
            dead_lettered: 0,
            time_min_ms: i64::MAX,
            time_max_ms: i64::MIN,
            lsn_range: None,
            sha256: String::new(),
        };
        let filling = Filling { period: settings.layout.period(first.timestamp_ms), rows: 0, bytes: 0 };
        let shape = match content.form {
            Form::Text(_) => None,
            Form::Row(shape, _) => Some(Arc::clone(shape)),
        };
        let spool = Spool::new(settings, shape.as_deref())?;
        let first_lsn = source_lsn(content.payload);
        Ok(Self { key, meta, filling, spool, shape, first_lsn, last_value: Vec::new() })
    }

    /// Whether a record's schema is another one than the object's.
    pub(super) fn of_another_schema(&self, content: &Content<'_>) -> bool {
        match (&content.form, &self.shape) {
            (Form::Row(shape, _), Some(own)) => !Arc::ptr_eq(shape, own) && shape.schemas() != own.schemas(),
            _ => false,
        }
    }

    pub(super) fn filling(&self) -> Filling {
        self.filling
    }

    pub(super) fn rows(&self) -> u64 {
        self.filling.rows
    }

    pub(super) fn oldest_ms(&self) -> i64 {
        self.meta.time_min_ms
    }

    pub(super) fn add(&mut self, record: &ReadRecord<'_>, content: Content<'_>) -> io::Result<()> {
        let (payload, size) = (content.payload, content.size());
        self.spool.add(content.form)?;
        self.filling.rows += 1;
        self.filling.bytes += size;
        self.meta.last = record.offset;
        self.meta.time_min_ms = self.meta.time_min_ms.min(record.timestamp_ms);
        self.meta.time_max_ms = self.meta.time_max_ms.max(record.timestamp_ms);
        self.last_value.clear();
        self.last_value.extend_from_slice(payload);
        Ok(())
    }

    pub(super) fn close(self, covered: Covered) -> io::Result<ClosedObject> {
        let Self { key, mut meta, filling, spool, first_lsn, last_value, .. } = self;
        let content = spool.finish()?;
        meta.next = covered.next;
        meta.skipped = covered.skipped;
        meta.dead_lettered = covered.dead_lettered;
        meta.written = filling.rows;
        meta.sha256.clone_from(&content.sha256);
        meta.lsn_range = first_lsn.zip(source_lsn(&last_value)).map(|(a, b)| (a.to_string(), b.to_string()));
        Ok(ClosedObject { key, metadata: meta.to_map(), meta, content })
    }
}

/// The key of the object that starts with this record.
pub(super) fn key(settings: &DeliverSettings, identity: &LogIdentity, first: &ReadRecord<'_>) -> String {
    settings.layout.key(&identity.topic, first.partition, first.offset, first.timestamp_ms)
}

/// Tells a record from another one at the same offset of a recreated topic.
pub(super) fn digest(record: &ReadRecord<'_>) -> String {
    let mut hash = Sha256::new();
    for part in [record.key, record.value] {
        let part = part.unwrap_or_default();
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// `source.lsn` of an envelope.
fn source_lsn(envelope: &[u8]) -> Option<Lsn> {
    #[derive(Deserialize)]
    struct Envelope {
        source: Source,
    }
    #[derive(Deserialize)]
    struct Source {
        lsn: u64,
    }
    serde_json::from_slice::<Envelope>(envelope).ok().map(|envelope| Lsn(envelope.source.lsn))
}
