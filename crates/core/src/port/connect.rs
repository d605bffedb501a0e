//! Where connector configurations, target states, statuses and offsets are kept: Kafka Connect's internal topics.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::PortError;
use crate::connector::Shown;

/// A connector's configuration as Kafka Connect keeps it: names and texts.
pub type ConfigMap = BTreeMap<String, String>;

/// A state in Kafka Connect's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Made, but not running yet.
    Unassigned,
    /// Rows flow, or could.
    Running,
    /// Stopped by a person for a while.
    Paused,
    /// Stopped by a person, tasks ended.
    Stopped,
    /// Ended by an error, or stalled.
    Failed,
    /// About to run again.
    Restarting,
}

/// What a person wants of a connector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TargetState {
    /// It runs.
    #[default]
    Started,
    /// It keeps its tasks, which do nothing.
    Paused,
    /// It has no tasks; its offsets may be changed.
    Stopped,
}

/// One record of the configurations topic. Records that only a JVM worker uses (session keys, the fencing of tasks)
/// are none of these and are left alone.
#[derive(Clone, PartialEq, Eq)]
pub enum ConfigRecord {
    /// A connector's configuration; none deletes the connector.
    Connector {
        /// The connector.
        connector: String,
        /// Its configuration.
        config: Option<ConfigMap>,
    },
    /// A task's configuration. It counts from the connector's next commit on.
    Task {
        /// The connector.
        connector: String,
        /// The task's number, from 0.
        task: u32,
        /// Its configuration.
        config: ConfigMap,
    },
    /// The tasks written so far are complete.
    Commit {
        /// The connector.
        connector: String,
        /// How many tasks it has from now on.
        tasks: u32,
    },
    /// What is wanted of a connector; none forgets it.
    Target {
        /// The connector.
        connector: String,
        /// What is wanted.
        state: Option<TargetState>,
    },
    /// A wish to start anew, once: it counts only for those who are there when it is written.
    Restart(RestartRequest),
    /// A log level for all workers of the group that are there when it is written.
    LoggerLevel {
        /// The logger.
        logger: String,
        /// Its level.
        level: String,
    },
}

/// Secrets given in clear are not shown.
impl fmt::Debug for ConfigRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connector { connector, config } => {
                let config = config.as_ref().map(Shown);
                f.debug_struct("Connector").field("connector", connector).field("config", &config).finish()
            }
            Self::Task { connector, task, config } => {
                let name = format!("{connector}-{task}");
                f.debug_struct("Task").field("task", &name).field("config", &Shown(config)).finish()
            }
            Self::Commit { connector, tasks } => write!(f, "Commit {{ connector: {connector:?}, tasks: {tasks} }}"),
            Self::Target { connector, state } => write!(f, "Target {{ connector: {connector:?}, state: {state:?} }}"),
            Self::Restart(request) => request.fmt(f),
            Self::LoggerLevel { logger, level } => write!(f, "LoggerLevel {{ logger: {logger:?}, level: {level:?} }}"),
        }
    }
}

/// A wish to start a connector anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartRequest {
    /// The connector.
    pub connector: String,
    /// Its tasks too, not the connector alone.
    pub include_tasks: bool,
    /// Only what has failed.
    pub only_failed: bool,
}

/// A status record's value in `connect-status-{slug}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRecord {
    /// The state.
    pub state: State,
    /// Why it failed.
    pub trace: Option<String>,
    /// `host:port` of the worker's REST server.
    pub worker_id: String,
    /// The group's generation; raised by each new owner.
    pub generation: i32,
    /// The plugin's version. Kafka Connect writes it since 4.1.
    #[serde(default)]
    pub version: Option<String>,
}

/// A topic that a connector has used, in `connect-status-{slug}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveTopic {
    /// The topic.
    pub name: String,
    /// The connector.
    pub connector: String,
    /// The task that used it first.
    pub task: u32,
    /// When it was seen first, in milliseconds since 1970-01-01 UTC.
    pub discover_timestamp: i64,
}

/// One record of the status topic; none deletes what the key names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusChange {
    /// A connector's status.
    Connector {
        /// The connector.
        connector: String,
        /// Its status.
        status: Option<StatusRecord>,
    },
    /// A task's status.
    Task {
        /// The connector.
        connector: String,
        /// The task's number, from 0.
        task: u32,
        /// Its status.
        status: Option<StatusRecord>,
    },
    /// A topic that a connector uses.
    Topic {
        /// The connector.
        connector: String,
        /// The topic.
        topic: String,
        /// Its use.
        active: Option<ActiveTopic>,
    },
}

/// What the status topic says now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses {
    /// By connector.
    pub connectors: BTreeMap<String, StatusRecord>,
    /// By connector and task number.
    pub tasks: BTreeMap<(String, u32), StatusRecord>,
    /// By connector and topic.
    pub topics: BTreeMap<(String, String), ActiveTopic>,
}

impl Statuses {
    /// Takes a record into account. A task that one worker gave up after another had started it stays with the latter.
    pub fn apply(&mut self, change: StatusChange) {
        match change {
            StatusChange::Connector { connector, status } => put(&mut self.connectors, connector, status),
            StatusChange::Task { connector, task, status } => {
                let key = (connector, task);
                let late = status.as_ref().is_some_and(|new| {
                    self.tasks.get(&key).is_some_and(|old| {
                        new.state == State::Unassigned
                            && old.state == State::Running
                            && old.generation >= new.generation
                            && old.worker_id != new.worker_id
                    })
                });
                if !late {
                    put(&mut self.tasks, key, status);
                }
            }
            StatusChange::Topic { connector, topic, active } => put(&mut self.topics, (connector, topic), active),
        }
    }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

/// What a feed gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedItem {
    /// A record of the configurations topic.
    Config {
        /// Its offset.
        offset: i64,
        /// What it says.
        record: ConfigRecord,
    },
    /// A record of the configurations topic that says nothing to a native worker: one that a JVM worker keeps for itself,
    /// or a damaged one. Only its offset counts, for whoever waits until all has been read.
    Skipped {
        /// Its offset.
        offset: i64,
    },
    /// A record of the status topic.
    Status(StatusChange),
    /// All that was there when the feed was opened has been given; comes once.
    CaughtUp,
}

/// The configurations and the status topic, followed from their beginning.
///
/// * **Order**: records of the configurations topic come in the order in which they were written; status records of
///   one key too. What both topics hold is interleaved at will.
/// * **Waiting**: [`ConnectFeed::next`] waits as long as it takes; it may be dropped while it waits, nothing is lost.
/// * **Errors**: a feed that failed is done; open another one.
#[async_trait]
pub trait ConnectFeed: Send {
    /// The next item.
    async fn next(&mut self) -> Result<FeedItem, PortError>;
}

/// Kafka Connect's configuration and status topics.
///
/// * **Order**: per name, the last record wins. Records of one call are written in its order.
/// * **Durability**: a call returns when its records are acknowledged by all in-sync replicas.
/// * **Parallelism**: one writer, the owner of the group; any number of readers.
#[async_trait]
pub trait ConnectStore: Send + Sync {
    /// All connectors' configurations, read up to the topic's end.
    async fn configs(&self) -> Result<BTreeMap<String, ConfigMap>, PortError>;

    /// Ends the right to write of whoever claimed it before under this transactional id, as a JVM worker that leads
    /// its group does, and ends its open transaction; returns the offset of the last record of the configurations
    /// topic then, none if there is none.
    async fn claim(&self, transactional_id: &str) -> Result<Option<i64>, PortError>;

    /// Writes records of the configurations topic; returns the last one's offset. None if there was none to write.
    async fn write(&self, records: &[ConfigRecord]) -> Result<Option<i64>, PortError>;

    /// Writes a connector's configuration.
    async fn put_config(&self, connector: &str, config: &ConfigMap) -> Result<(), PortError> {
        let (connector, config) = (connector.to_owned(), Some(config.clone()));
        self.write(&[ConfigRecord::Connector { connector, config }]).await.map(drop)
    }

    /// Writes a record of the status topic.
    async fn put_status(&self, change: &StatusChange) -> Result<(), PortError>;

    /// Follows both topics from their beginning.
    async fn feed(&self) -> Result<Box<dyn ConnectFeed>, PortError>;
}

/// A JSON object, as offsets are kept.
pub type JsonMap = Map<String, Value>;

/// One partition of a source connector, as the offsets topic holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceOffset {
    /// The record's key, byte by byte: whoever deletes it must meet it.
    pub key: Vec<u8>,
    /// The partition's name in the source.
    pub partition: JsonMap,
    /// Where the connector has come in it.
    pub offset: JsonMap,
}

/// One partition of a topic, as a sink connector's group holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupOffset {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset of the next record; none forgets the partition.
    pub offset: Option<i64>,
}

/// Where connectors have come: source offsets in `connect-offsets-{slug}`, sink offsets in the sink's group.
///
/// * **Parallelism**: written only while the connector's tasks are stopped; the caller sees to that. A task that lives
///   on somewhere loses its right to write by the same call (sources), or makes the call fail (sinks).
/// * **Durability**: a call returns when everything it wrote is acknowledged.
#[async_trait]
pub trait OffsetStore: Send + Sync {
    /// All partitions of a source connector, read up to the end of the topic.
    async fn source_offsets(&self, connector: &str) -> Result<Vec<SourceOffset>, PortError>;

    /// Writes offsets (none deletes one), all or none, under the transactional id of the connector's task.
    async fn put_source_offsets(
        &self,
        transactional_id: &str,
        offsets: &[(Vec<u8>, Option<JsonMap>)],
    ) -> Result<(), PortError>;

    /// What a group has committed for a topic; partitions without an offset are left out.
    async fn group_offsets(&self, group: &str, topic: &str) -> Result<Vec<GroupOffset>, PortError>;

    /// How many partitions a topic has.
    async fn partitions(&self, topic: &str) -> Result<i32, PortError>;

    /// Commits offsets for a group that has no members. Those of no value are forgotten by deleting the group and
    /// committing the rest of what it held of the same topics again: two steps, and a failure between them leaves a
    /// group without offsets.
    async fn put_group_offsets(&self, group: &str, offsets: &[GroupOffset]) -> Result<(), PortError>;

    /// Forgets all that a group without members has committed. One that does not exist is no error.
    async fn delete_group(&self, group: &str) -> Result<(), PortError>;
}
