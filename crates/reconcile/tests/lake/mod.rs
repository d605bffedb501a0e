//! A table's history as objects in memory, and its rows, to be altered by the tests.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write;

use async_trait::async_trait;
use bytes::Bytes;
use datapipe_core::object::ObjectMeta;
use datapipe_core::port::PortError;
use datapipe_core::port::store::{Body, Created, Head, ObjectStore, Page};
use datapipe_reconcile::{ReconcileError, Report, RowBatch, Rows, Scope, reconcile};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

pub(crate) const TABLE: &str = "users";
pub(crate) const TOPIC: &str = "cdc.public.users";

/// An event: op, key, LSN, and the columns after the key. The LSN of what an incremental snapshot says is that of the last change
/// before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) op: char,
    pub(crate) id: u32,
    pub(crate) lsn: u64,
    pub(crate) rest: String,
    pub(crate) xid: u32,
}

pub(crate) fn event(op: char, id: u32, lsn: u64, rest: &str) -> Event {
    Event { op, id, lsn, rest: rest.to_owned(), xid: 1 }
}

/// A row that an incremental snapshot has read.
pub(crate) fn reread(id: u32, lsn: u64, rest: &str) -> Event {
    event('i', id, lsn, rest)
}

/// A row that an incremental snapshot has found missing.
pub(crate) fn missing(id: u32, lsn: u64) -> Event {
    event('m', id, lsn, "")
}

impl Event {
    pub(crate) fn line(&self) -> String {
        let Self { op, id, lsn, rest, xid } = self;
        let (before, after) = match op {
            't' => ("null".to_owned(), "null".to_owned()),
            'd' | 'm' => (format!(r#"{{"id":{id}}}"#), "null".to_owned()),
            _ => ("null".to_owned(), format!(r#"{{"id":{id}{rest}}}"#)),
        };
        let (op, snapshot) = match op {
            'i' => ('r', "incremental"),
            'm' => ('d', "incremental"),
            op => (*op, "false"),
        };
        let place = match snapshot {
            "incremental" => format!(r#""lsn":null,"sequence":"[null,\"{lsn}\"]""#),
            _ => format!(r#""lsn":{lsn}"#),
        };
        format!(
            r#"{{"before":{before},"after":{after},"source":{{"version":"1","snapshot":"{snapshot}","txId":{xid},{place}}},"op":"{op}","ts_ms":1}}"#
        )
    }

    pub(crate) fn in_transaction(self, xid: u32) -> Self {
        Self { xid, ..self }
    }
}

/// Objects in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lake(pub(crate) BTreeMap<String, (Bytes, BTreeMap<String, String>)>);

/// Compresses lines as an object's content.
pub(crate) fn gzip(lines: &[String]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for line in lines {
        encoder.write_all(line.as_bytes()).unwrap();
        encoder.write_all(b"\n").unwrap();
    }
    encoder.finish().unwrap()
}

pub(crate) fn hex_sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

impl Lake {
    /// Adds an object that covers as many offsets as it has events, and returns the next offset.
    pub(crate) fn add(&mut self, partition: i32, from: i64, events: &[Event]) -> i64 {
        let lines: Vec<String> = events.iter().map(Event::line).collect();
        self.add_lines(partition, from, &lines)
    }

    pub(crate) fn add_lines(&mut self, partition: i32, from: i64, lines: &[String]) -> i64 {
        let bytes = gzip(lines);
        let next = from + i64::try_from(lines.len()).unwrap();
        // Hours that go back now and then: the order of keys is not the order of offsets.
        let key = scope().layout.key(TOPIC, partition, from, (from * 7919 % 50) * 3_600_000);
        let meta = ObjectMeta {
            cluster_id: "cluster".to_owned(),
            topic: TOPIC.to_owned(),
            partition,
            first_digest: String::new(),
            covers_from: from,
            first: from,
            last: next - 1,
            next,
            written: lines.len() as u64,
            skipped: 0,
            dead_lettered: 0,
            time_min_ms: 0,
            time_max_ms: 0,
            lsn_range: None,
            sha256: hex_sha256(&bytes),
        };
        self.0.insert(key, (bytes.into(), meta.to_map()));
        next
    }

    /// The key of the object that starts at `first`.
    pub(crate) fn key(&self, first: i64) -> String {
        let end = format!("-{first:020}.jsonl.gz");
        self.0.keys().find(|key| key.ends_with(&end)).unwrap().clone()
    }

    /// Compares with these rows.
    pub(crate) async fn compare(&self, rows: &[String]) -> Report {
        self.compare_in(rows, &scope()).await.unwrap()
    }

    pub(crate) async fn compare_in(&self, rows: &[String], scope: &Scope) -> Result<Report, ReconcileError> {
        reconcile(self, &mut Listed(rows.to_vec()), scope).await
    }
}

pub(crate) fn scope() -> Scope {
    Scope::new(TABLE, TOPIC, vec!["id".to_owned()])
}

/// Rows given out a few at a time.
pub(crate) struct Listed(pub(crate) Vec<String>);

#[async_trait]
impl Rows for Listed {
    async fn next(&mut self, batch: &mut RowBatch) -> Result<(), PortError> {
        let from = self.0.len().saturating_sub(3);
        for (place, row) in self.0.drain(from..).enumerate() {
            if place == 0 {
                batch.push(row.as_bytes());
            } else {
                let write = |buffer: &mut Vec<u8>| {
                    buffer.extend_from_slice(row.as_bytes());
                    Ok::<_, Infallible>(())
                };
                batch.push_with(write).unwrap();
            }
        }
        Ok(())
    }
}

#[async_trait]
impl ObjectStore for Lake {
    async fn probe(&self, _: &str) -> Result<(), PortError> {
        unreachable!("a comparison only reads")
    }

    async fn create(&self, _: &str, _: Body, _: &BTreeMap<String, String>) -> Result<Created, PortError> {
        unreachable!("a comparison only reads")
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, PortError> {
        let head =
            |(bytes, metadata): &(Bytes, BTreeMap<_, _>)| Head { size: bytes.len() as u64, metadata: metadata.clone() };
        Ok(self.0.get(key).map(head))
    }

    async fn list(&self, prefix: &str, folders: bool, from: Option<&str>) -> Result<Page, PortError> {
        assert!(!folders);
        let below = self.0.keys().filter(|key| key.starts_with(prefix) && from.is_none_or(|from| key.as_str() > from));
        let keys: Vec<String> = below.take(2).cloned().collect();
        let next = if keys.len() == 2 { keys.last().cloned() } else { None };
        Ok(Page { keys, folders: Vec::new(), next })
    }

    async fn read(&self, key: &str, offset: u64, length: u64) -> Result<Bytes, PortError> {
        let bytes = &self.0[key].0;
        let (from, length) = (usize::try_from(offset).unwrap(), usize::try_from(length).unwrap());
        Ok(bytes.slice(from..bytes.len().min(from + length)))
    }
}
