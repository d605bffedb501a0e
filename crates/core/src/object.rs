//! Objects: their metadata, and when one is full.
//!
//! The objects of a topic partition form a chain that tiles the log: an object covers the offsets from
//! [`ObjectMeta::covers_from`] up to [`ObjectMeta::next`], and the next one starts at the first record visible at or
//! after that. An object's name ([`crate::layout`]) is a function of its first record alone, so whoever writes it, whenever it is cut,
//! the name is the same, and a conditional create lets exactly one of them stand.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::layout::Period;

/// What an object says of itself in its user metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMeta {
    /// The log's cluster.
    pub cluster_id: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// SHA-256 of the first record's key and value, in hexadecimal: tells a recreated topic.
    pub first_digest: String,
    /// The first offset that this object answers for.
    pub covers_from: i64,
    /// The offset of the first record in it.
    pub first: i64,
    /// The offset of the last record in it.
    pub last: i64,
    /// Where the next object starts to look: every offset before is answered for.
    pub next: i64,
    /// Records in the object.
    pub written: u64,
    /// Records left out on purpose (tombstones).
    pub skipped: u64,
    /// Records sent to the dead letter queue.
    pub dead_lettered: u64,
    /// The earliest timestamp of a record in it, in milliseconds since 1970-01-01 UTC.
    pub time_min_ms: i64,
    /// The latest timestamp.
    pub time_max_ms: i64,
    /// `source.lsn` of the first and the last record that have one, as printed by PostgreSQL.
    pub lsn_range: Option<(String, String)>,
    /// SHA-256 of the object's bytes, in hexadecimal.
    pub sha256: String,
}

/// Metadata that an object of ours would not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("object metadata `{name}` is {found}: the object was not written by datapipe, or was altered")]
pub struct MetaError {
    /// The metadata's name.
    pub name: &'static str,
    /// What was found.
    pub found: String,
}

impl ObjectMeta {
    /// The metadata as names and texts.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        let mut put = |name: &str, value: String| map.insert(name.to_owned(), value);
        put("datapipe-cluster-id", self.cluster_id.clone());
        put("datapipe-topic", self.topic.clone());
        put("datapipe-partition", self.partition.to_string());
        put("datapipe-first-digest", self.first_digest.clone());
        put("datapipe-covers-from", self.covers_from.to_string());
        put("datapipe-first", self.first.to_string());
        put("datapipe-last", self.last.to_string());
        put("datapipe-next", self.next.to_string());
        put("datapipe-written", self.written.to_string());
        put("datapipe-skipped", self.skipped.to_string());
        put("datapipe-dead-lettered", self.dead_lettered.to_string());
        put("datapipe-time-min-ms", self.time_min_ms.to_string());
        put("datapipe-time-max-ms", self.time_max_ms.to_string());
        put("datapipe-sha256", self.sha256.clone());
        if let Some((first, last)) = &self.lsn_range {
            put("datapipe-lsn-first", first.clone());
            put("datapipe-lsn-last", last.clone());
        }
        map
    }

    /// Reads the metadata back.
    pub fn from_map(map: &BTreeMap<String, String>) -> Result<Self, MetaError> {
        let lsn = |name| map.get(name).cloned();
        Ok(Self {
            cluster_id: field(map, "datapipe-cluster-id")?,
            topic: field(map, "datapipe-topic")?,
            partition: field(map, "datapipe-partition")?,
            first_digest: field(map, "datapipe-first-digest")?,
            covers_from: field(map, "datapipe-covers-from")?,
            first: field(map, "datapipe-first")?,
            last: field(map, "datapipe-last")?,
            next: field(map, "datapipe-next")?,
            written: field(map, "datapipe-written")?,
            skipped: field(map, "datapipe-skipped")?,
            dead_lettered: field(map, "datapipe-dead-lettered")?,
            time_min_ms: field(map, "datapipe-time-min-ms")?,
            time_max_ms: field(map, "datapipe-time-max-ms")?,
            sha256: field(map, "datapipe-sha256")?,
            lsn_range: lsn("datapipe-lsn-first").zip(lsn("datapipe-lsn-last")),
        })
    }
}

fn field<T: std::str::FromStr>(map: &BTreeMap<String, String>, name: &'static str) -> Result<T, MetaError> {
    let text = map.get(name).ok_or_else(|| MetaError { name, found: "missing".to_owned() })?;
    text.parse().map_err(|_| MetaError { name, found: format!("{text:?}") })
}

/// When an object is full. Every limit is one of an object's own, so none can make an empty object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutLimits {
    /// Records in an object, at least 1.
    pub rows_max: u64,
    /// Bytes before compression; one record above it makes an object of its own.
    pub bytes_max: u64,
    /// How long after its first record was read an object is closed.
    pub age_max: Duration,
}

/// Why an object was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It holds as many records as allowed.
    Rows,
    /// It holds as many bytes as allowed.
    Bytes,
    /// It is old enough.
    Age,
    /// The next record belongs to a later period.
    Period,
    /// The next record has another schema.
    Schema,
    /// The worker stops.
    Stop,
}

/// What an open object holds so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filling {
    /// The period in its name.
    pub period: Period,
    /// Records.
    pub rows: u64,
    /// Bytes before compression.
    pub bytes: u64,
}

impl CutLimits {
    /// Whether an open object must be closed before a record of this period and size is added.
    ///
    /// A record of an earlier period stays: cutting there would give a storm of small files when periods alternate.
    pub fn before(&self, filling: &Filling, period: Period, bytes: u64) -> Option<Cut> {
        if period > filling.period {
            Some(Cut::Period)
        } else if filling.rows >= self.rows_max {
            Some(Cut::Rows)
        } else if filling.bytes.saturating_add(bytes) > self.bytes_max {
            Some(Cut::Bytes)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::layout::Layout;

    fn meta() -> impl Strategy<Value = ObjectMeta> {
        (any::<[i64; 4]>(), any::<[u64; 3]>(), any::<i32>(), "[a-z.]{0,9}", proptest::option::of("[0-9A-F]/[0-9A-F]"))
            .prop_map(|(offsets, counts, partition, text, lsn)| ObjectMeta {
                cluster_id: text.clone(),
                topic: text.clone(),
                partition,
                first_digest: text.clone(),
                covers_from: offsets[0],
                first: offsets[1],
                last: offsets[2],
                next: offsets[3],
                written: counts[0],
                skipped: counts[1],
                dead_lettered: counts[2],
                time_min_ms: offsets[0],
                time_max_ms: offsets[1],
                lsn_range: lsn.clone().zip(lsn),
                sha256: text,
            })
    }

    proptest! {
        #[test]
        fn metadata_round_trips(meta in meta()) {
            let mut map = meta.to_map();
            prop_assert_eq!(ObjectMeta::from_map(&map), Ok(meta));
            map.remove("datapipe-next");
            prop_assert_eq!(ObjectMeta::from_map(&map).unwrap_err().name, "datapipe-next");
        }

        #[test]
        fn every_object_takes_a_record_and_periods_never_go_forward_inside(
            records in proptest::collection::vec((0i64..5, 1u64..30), 1..60), rows_max in 1u64..5, bytes_max in 1u64..40,
        ) {
            let layout = Layout::contract("users", ".jsonl.gz");
            let limits = CutLimits { rows_max, bytes_max, age_max: Duration::from_secs(1) };
            let mut open: Option<Filling> = None;
            for (hour, bytes) in records {
                let period = layout.period(hour * 3_600_000);
                if open.is_some_and(|filling| limits.before(&filling, period, bytes).is_some()) {
                    open = None;
                }
                let filling = open.get_or_insert(Filling { period, rows: 0, bytes: 0 });
                filling.rows += 1;
                filling.bytes += bytes;
                prop_assert!(period <= filling.period && filling.rows <= rows_max);
                prop_assert!(filling.bytes <= bytes_max || filling.rows == 1);
            }
        }
    }
}
