//! What was seen: plain data, so that it can be kept, and judged again.

use std::collections::BTreeMap;

use datapipe_connect::{Expanded, PluginInfo};
use datapipe_core::Lsn;
use serde::{Deserialize, Serialize};

use crate::edges::{EdgeSeen, EdgesSeen};
use crate::heap::CollectionSeen;

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
    /// The ways to its servers.
    #[serde(default = "untried")]
    pub edges: Looked<EdgesSeen>,
    /// The way to a worker that did not answer.
    #[serde(default)]
    pub rest: Option<EdgeSeen>,
}

fn untried() -> Looked<EdgesSeen> {
    Looked::Left("nobody tried it".to_owned())
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
    /// The connector plugins that it has; none if it does not tell.
    #[serde(default)]
    pub plugins: Vec<PluginInfo>,
    /// What `/metrics` says; none from a worker that has no such page, as Kafka Connect's.
    #[serde(default)]
    pub metrics: Option<MetricsSeen>,
}

/// A worker's metrics, as far as a check needs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsSeen {
    /// Resident memory of the process, of all tables that it serves.
    pub resident_bytes: Option<u64>,
    /// Failed runs of all its tasks since the process began.
    pub failed_runs: u64,
    /// How long ago the last of them ended; none if the worker does not tell.
    #[serde(default)]
    pub failed_ago_ms: Option<i64>,
    /// Whether it owns the table, or stands by.
    pub owner: Option<bool>,
}

/// A server, as one table's pipeline needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresSeen {
    /// `server_version_num`
    #[serde(default)]
    pub version: u32,
    /// The cluster's identifier, given by initdb; none if the role may not see it.
    #[serde(default)]
    pub system_id: Option<String>,
    /// Its timeline; none on a standby.
    #[serde(default)]
    pub timeline: Option<u32>,
    /// How fast its log grows, in bytes per second; none if that was not measured.
    #[serde(default)]
    pub wal_bytes_per_s: Option<u64>,
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
    /// Publications with names like ours that belong to no table of the plan.
    #[serde(default)]
    pub left_publications: Vec<String>,
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
    /// Whether standbys keep a copy of it (PostgreSQL 17 and later).
    #[serde(default)]
    pub failover: Option<bool>,
    /// Why the server has given it up (PostgreSQL 17 and later).
    #[serde(default)]
    pub invalidated: Option<String>,
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
    /// The brokers that were asked.
    #[serde(default)]
    pub bootstrap: String,
    /// The planned topics as they are; without partitions those that are missing.
    pub topics: Vec<TopicSeen>,
    /// How far the sink's group is; none if there is no sink, or no topic.
    pub lag: Option<Lag>,
    /// Records in the dead letter queue, at most: markers count too.
    pub dead_letters: u64,
    /// What the stored progress allows PostgreSQL to forget.
    pub stored: Option<Lsn>,
    /// What the stored position belongs to; a native worker keeps it.
    #[serde(default)]
    pub stored_of: Option<StoredOf>,
    /// The worker's group; none if the cluster does not know it.
    #[serde(default)]
    pub group: Option<GroupSeen>,
    /// Partitions of which an open transaction hides the end.
    #[serde(default)]
    pub hidden: Vec<HiddenSeen>,
    /// The last dead letter.
    #[serde(default)]
    pub last_letter: Option<LetterSeen>,
}

/// What a stored position belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredOf {
    /// The cluster of databases.
    pub system_id: String,
    /// The database.
    pub database: String,
    /// The slot.
    pub slot: String,
    /// The publication.
    pub publication: String,
    /// The timeline.
    pub timeline: u32,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSeen {
    /// `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty` or `Dead`.
    pub state: String,
    /// `consumer`, or `connect` for JVM workers.
    pub protocol: String,
    /// Its members, as `client id at host`.
    pub members: Vec<String>,
}

/// A partition of which the end is hidden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HiddenSeen {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// How many offsets are hidden.
    pub offsets: u64,
    /// Since when at the latest, in milliseconds since 1970-01-01 UTC.
    pub since_ms: Option<i64>,
}

/// A dead letter, by its headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterSeen {
    /// Where it comes from: `topic/partition/offset`.
    pub place: Option<String>,
    /// The step that failed.
    pub stage: Option<String>,
    /// The class of the error.
    pub class: Option<String>,
    /// The error's words. They may hold values of the row.
    pub message: Option<String>,
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
    /// The time of the oldest unread record, in milliseconds since 1970-01-01 UTC.
    #[serde(default)]
    pub oldest_ms: Option<i64>,
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

/// A table's worker as a cluster has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployedSeen {
    /// Its pods, but for those that are ending.
    pub pods: Vec<PodSeen>,
    /// Why its Deployment makes no pod; none if it does.
    pub unmade: Option<String>,
    /// Why its Service leads to none of the pods; none if it does, or there is no pod.
    pub astray: Looked<Option<String>>,
    /// The objects that are not as planned.
    pub drift: Looked<Vec<DriftSeen>>,
}

/// An object that is not as planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftSeen {
    /// Kind and name.
    pub object: String,
    /// Its fields, as they are and as they were planned.
    pub fields: String,
}

/// A pod of a table's worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodSeen {
    /// Its name.
    pub name: String,
    /// Why it is not ready; none if it is.
    pub not_ready: Option<String>,
    /// Whether that may be for want of a server.
    #[serde(default)]
    pub waits: bool,
    /// How often its containers were started again.
    pub restarts: u32,
    /// How one of them ended the last time.
    pub ended: Option<String>,
    /// When that was, in milliseconds since 1970-01-01 UTC.
    pub ended_ms: Option<i64>,
    /// The memory limits of its containers.
    pub limits: Vec<String>,
    /// The heap of its JVM; none if no JVM runs in it.
    #[serde(default)]
    pub heap: Option<Looked<HeapSeen>>,
    /// What its containers take of memory; none if nobody asked.
    #[serde(default)]
    pub usage: Option<Looked<Vec<UsageSeen>>>,
}

/// A container's memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageSeen {
    /// The container.
    pub container: String,
    /// What it takes, without page cache that is not in use, in bytes.
    pub used_bytes: u64,
    /// Its limit in bytes; none if it has none.
    pub limit_bytes: Option<u64>,
}

/// A JVM's heap, by what its container's command and log say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeapSeen {
    /// `-Xmx`; none if the command names none.
    pub max_bytes: Option<u64>,
    /// The collections that the end of the log tells of.
    pub collections: Vec<CollectionSeen>,
}

/// How far a canary got.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanarySeen {
    /// The message's hops: PostgreSQL's log, Kafka, PostgreSQL again.
    pub message: Vec<Hop>,
    /// Whether a row was allowed to be touched.
    pub row_allowed: bool,
    /// The row's hops: PostgreSQL, the topic, the object.
    pub row: Vec<Hop>,
    /// Why it went no further; none if it arrived.
    pub stopped: Option<String>,
}

impl CanarySeen {
    /// Whether the message made all of its hops.
    pub fn message_arrived(&self) -> bool {
        self.message.len() == 3
    }
}

/// One step of a canary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// Where it was seen.
    pub place: String,
    /// How long that took since the hop before, in milliseconds.
    pub took_ms: u64,
}

/// Objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreSeen {
    /// The newest object by its name.
    pub newest: Option<String>,
    /// The latest time of a record in it, in milliseconds since 1970-01-01 UTC; none if the object does not say it.
    pub newest_ms: Option<i64>,
    /// The store's clock when it was asked, in milliseconds since 1970-01-01 UTC.
    #[serde(default)]
    pub clock_ms: Option<i64>,
    /// The last objects of the newest folder, as far as they say what is in them.
    #[serde(default)]
    pub recent: Vec<ObjectSeen>,
}

/// An object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectSeen {
    /// Its size.
    pub bytes: u64,
    /// Records in it.
    pub records: u64,
    /// The time of its first record, in milliseconds since 1970-01-01 UTC.
    pub from_ms: i64,
    /// The latest time of a record in it.
    pub to_ms: i64,
}
