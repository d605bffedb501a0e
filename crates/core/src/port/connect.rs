//! Where connector configurations and statuses are kept: Kafka Connect's internal topics.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::PortError;

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
}

/// Kafka Connect's configuration and status topics.
///
/// * **Order**: per name, the last record wins.
/// * **Durability**: a call returns when the record is acknowledged by all in-sync replicas.
/// * **Parallelism**: one writer, the owner of the group; any number of readers.
#[async_trait]
pub trait ConnectStore: Send + Sync {
    /// All connectors' configurations, read up to the topic's end.
    async fn configs(&self) -> Result<BTreeMap<String, ConfigMap>, PortError>;

    /// Writes a connector's configuration.
    async fn put_config(&self, connector: &str, config: &ConfigMap) -> Result<(), PortError>;

    /// Writes a connector's status.
    async fn put_connector_status(&self, connector: &str, status: &StatusRecord) -> Result<(), PortError>;

    /// Writes a task's status.
    async fn put_task_status(&self, connector: &str, task: i32, status: &StatusRecord) -> Result<(), PortError>;
}
