//! One object from its first record to its creation.

use std::collections::BTreeMap;
use std::io;

use datapipe_core::lsn::Lsn;
use datapipe_core::object::{Filling, Hour, ObjectMeta, ObjectName};
use datapipe_core::port::log::{LogIdentity, ReadRecord};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::DeliverSettings;
use super::chain::Covered;
use super::spool::{Spool, Spooled, hex};

pub(super) struct OpenObject {
    name: ObjectName,
    meta: ObjectMeta,
    filling: Filling,
    spool: Spool,
    first_lsn: Option<Lsn>,
    last_line: Vec<u8>,
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
        covers_from: i64,
    ) -> Self {
        let name = name(settings, identity, first);
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
        let filling = Filling { hour: name.hour, rows: 0, bytes: 0 };
        let spool = Spool::new(&settings.spool_folder, settings.memory_max, settings.compression_level);
        let first_lsn = first.value.and_then(source_lsn);
        Self { name, meta, filling, spool, first_lsn, last_line: Vec::new() }
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

    pub(super) fn add(&mut self, record: &ReadRecord<'_>, line: &[u8]) -> io::Result<()> {
        self.spool.line(line)?;
        self.filling.rows += 1;
        self.filling.bytes += line.len() as u64;
        self.meta.last = record.offset;
        self.meta.time_min_ms = self.meta.time_min_ms.min(record.timestamp_ms);
        self.meta.time_max_ms = self.meta.time_max_ms.max(record.timestamp_ms);
        self.last_line.clear();
        self.last_line.extend_from_slice(line);
        Ok(())
    }

    pub(super) fn close(self, covered: Covered) -> io::Result<ClosedObject> {
        let Self { name, mut meta, filling, spool, first_lsn, last_line } = self;
        let content = spool.finish()?;
        meta.next = covered.next;
        meta.skipped = covered.skipped;
        meta.dead_lettered = covered.dead_lettered;
        meta.written = filling.rows;
        meta.sha256.clone_from(&content.sha256);
        meta.lsn_range = first_lsn.zip(source_lsn(&last_line)).map(|(a, b)| (a.to_string(), b.to_string()));
        Ok(ClosedObject { key: name.to_string(), metadata: meta.to_map(), meta, content })
    }
}

/// The name of the object that starts with this record.
pub(super) fn name(settings: &DeliverSettings, identity: &LogIdentity, first: &ReadRecord<'_>) -> ObjectName {
    ObjectName {
        table: settings.table.clone(),
        hour: Hour::of(first.timestamp_ms),
        topic: identity.topic.clone(),
        partition: first.partition,
        first: first.offset,
    }
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

/// Whether a value can stand as one line of JSON. The value is not parsed whole: what our capture and a JSON
/// converter write passes, what no reader of JSON lines could use does not.
pub(super) fn check_line(value: &[u8]) -> Result<(), &'static str> {
    if value.first() != Some(&b'{') || value.last() != Some(&b'}') {
        Err("the value is no JSON object")
    } else if value.contains(&b'\n') || value.contains(&b'\r') {
        Err("the value has a line break in it")
    } else {
        Ok(())
    }
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
