//! What was seen: plain data, so that it can be kept, and judged again.

use std::collections::BTreeMap;

use datapipe_connect::Expanded;
use datapipe_core::Lsn;
use serde::{Deserialize, Serialize};

/// What a system said, or why it said nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Looked<T> {
    /// It answered.
    Seen(T),
    /// It could not be asked.
    Silent(String),
    /// It was not asked.
    Left(String),
}

/// Everything about one table's pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its worker.
    pub worker: Looked<WorkerSeen>,
    /// Its server.
    pub postgres: Looked<PostgresSeen>,
    /// Its topics.
    pub kafka: Looked<KafkaSeen>,
    /// Its objects.
    pub store: Looked<StoreSeen>,
}

/// A worker, by its REST interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSeen {
    /// Its address.
    pub url: String,
    /// Kafka Connect's version that it has, or speaks.
    pub version: String,
    /// `healthy`, `starting` or `unhealthy`.
    pub health: String,
    /// What it says of that.
    pub health_message: String,
    /// Its connectors, with configuration and status.
    pub connectors: BTreeMap<String, Expanded>,
}

/// A server, as one table's pipeline needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresSeen {
    /// `wal_level`
    pub wal_level: String,
    /// `max_replication_slots`, and how many there are.
    pub slots: (u32, u32),
    /// `max_wal_senders`, and how many there are.
    pub senders: (u32, u32),
    /// `max_slot_wal_keep_size` in MiB; none without a bound.
    pub slot_wal_mib: Option<u64>,
    /// Whether the pipeline's role may replicate.
    pub replication: bool,
    /// The slot.
    pub slot: Option<SlotSeen>,
    /// The publication.
    pub publication: Option<PublicationSeen>,
    /// The table.
    pub relation: Option<RelationSeen>,
    /// Slots with names like ours that belong to no table of the plan, and are held by nobody.
    pub orphans: Vec<String>,
}

/// A slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotSeen {
    /// The process that holds it.
    pub active_pid: Option<i32>,
    /// Its plugin.
    pub plugin: String,
    /// Its database.
    pub database: String,
    /// The database that was looked at.
    pub own_database: String,
    /// `wal_status`
    pub wal_status: String,
    /// `safe_wal_size` in bytes: what may still be written before the slot is lost.
    pub safe_bytes: Option<i64>,
    /// Log that it holds back, in bytes.
    pub retained_bytes: u64,
    /// `confirmed_flush_lsn`
    pub confirmed: Option<Lsn>,
}

/// A publication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicationSeen {
    /// Its tables, as `schema.table`.
    pub tables: Vec<String>,
    /// Operations that it leaves out.
    pub left_out: Vec<String>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationSeen {
    /// `relkind`: `r` for a table, `p` for a partitioned one.
    pub kind: String,
    /// `relpersistence`: `p`, or `u` for an unlogged one.
    pub persistence: String,
    /// `relreplident`: `d`, `f`, `i` or `n`.
    pub identity: String,
    /// Whether it has a primary key.
    pub has_key: bool,
    /// Columns whose values may be stored out of line.
    pub toastable: Vec<String>,
    /// Whether the pipeline's role may read it.
    pub readable: bool,
}

/// Topics and groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaSeen {
    /// The planned topics as they are; without partitions those that are missing.
    pub topics: Vec<TopicSeen>,
    /// How far the sink's group is; none if there is no sink, or no topic.
    pub lag: Option<Lag>,
    /// Records in the dead letter queue, at most: markers count too.
    pub dead_letters: u64,
    /// What the stored progress allows PostgreSQL to forget.
    pub stored: Option<Lsn>,
}

/// How far a group is behind a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    /// Offsets that are not read yet, over all partitions; markers count too.
    pub offsets: u64,
    /// Whether one of them is a record with a value: the marker after the last one stays unread on a quiet topic.
    pub records: bool,
    /// Partitions of which the group's next record is not kept any more.
    pub lost: u32,
    /// Whether the group has committed anything.
    pub committed: bool,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSeen {
    /// Its name.
    pub name: String,
    /// Its partitions; none if it is missing.
    pub partitions: Option<i32>,
    /// Its configuration, as far as it may be seen.
    pub configs: BTreeMap<String, String>,
}

/// Objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreSeen {
    /// The newest object by its name.
    pub newest: Option<String>,
    /// The latest time of a record in it, in milliseconds since 1970-01-01 UTC; none if the object does not say it.
    pub newest_ms: Option<i64>,
}
