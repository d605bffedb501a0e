//! What a worker needs of the outside world. The binary that meets the adapters implements it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use datapipe_core::connector::{ConfigProblem, SinkConfig, SourceConfig};
use datapipe_core::port::PortError;
use datapipe_core::port::connect::{ConnectStore, OffsetStore};
use datapipe_core::port::log::{DeadLetterQueue, LogReader, TransactionalLog};
use datapipe_core::port::signal::SignalChannel;
use datapipe_core::port::source::ChangeSource;
use datapipe_core::port::store::ObjectStore;

pub use datapipe_connect::LoggerLevel;

/// Membership of a worker's group.
///
/// * **One owner**: of all members of a group at most one is told that it owns it.
/// * **Leaving**: dropping the membership leaves the group at once; after a kill the group's session timeout passes.
#[async_trait]
pub trait Ownership: Send {
    /// Waits until this member owns the group; returns the group's generation.
    async fn acquired(&mut self) -> Result<i32, PortError>;

    /// Waits until this member does not own the group any more.
    async fn lost(&mut self) -> Result<(), PortError>;

    /// Leaves the group.
    async fn leave(&mut self) -> Result<(), PortError>;
}

/// What is seen of the systems around a pipeline, for metrics. What could not be seen is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// The end of the server's log, in bytes from its beginning.
    pub server_lsn: Option<u64>,
    /// How much log the slot holds back, in bytes.
    pub retained_bytes: Option<u64>,
    /// The end offset of each of the data topic's partitions, from 0.
    pub log_ends: Option<Vec<i64>>,
}

/// Makes the ports for one connector's run. Every call makes new ones: a failed run's ports are thrown away.
#[async_trait]
pub trait Adapters: Send + Sync {
    /// Joins the worker's group.
    async fn join(&self) -> Result<Box<dyn Ownership>, PortError>;

    /// The internal topics of configurations and statuses.
    async fn connect_store(&self) -> Result<Box<dyn ConnectStore>, PortError>;

    /// Where connectors have come.
    async fn offset_store(&self) -> Result<Box<dyn OffsetStore>, PortError>;

    /// Kafka's cluster id.
    async fn cluster_id(&self) -> Result<String, PortError>;

    /// The table behind its slot.
    async fn source(&self, config: &SourceConfig) -> Result<Box<dyn ChangeSource>, PortError>;

    /// The signaling topic, if the source takes signals from one.
    async fn signals(&self, config: &SourceConfig) -> Result<Option<Box<dyn SignalChannel>>, PortError>;

    /// The log's writing side, with progress under `offsets_key` in `offsets_topic`.
    async fn transactional_log(
        &self,
        config: &SourceConfig,
        transactional_id: &str,
        offsets_topic: &str,
        offsets_key: &[u8],
    ) -> Result<Box<dyn TransactionalLog>, PortError>;

    /// The log's reading side.
    async fn reader(&self, config: &SinkConfig) -> Result<Box<dyn LogReader>, PortError>;

    /// Where objects go.
    async fn store(&self, config: &SinkConfig) -> Result<Box<dyn ObjectStore>, PortError>;

    /// Where records go that cannot be delivered.
    async fn dead_letters(&self, config: &SinkConfig) -> Result<Box<dyn DeadLetterQueue>, PortError>;

    /// Looks at the systems around the pipeline.
    async fn observe(&self, source: Option<&SourceConfig>, sink: Option<&SinkConfig>) -> Observation;

    /// Resident memory of this process, in bytes, as its system tells it; none where it does not.
    fn resident_bytes(&self) -> Option<u64>;

    /// What keeps the server of a source from serving it: role, settings, table, publication, slot. Changes nothing.
    async fn examine_source(&self, config: &SourceConfig) -> Vec<ConfigProblem>;

    /// What keeps the store of a sink from taking its objects. Changes nothing but a probe outside of all folders.
    async fn examine_sink(&self, config: &SinkConfig) -> Vec<ConfigProblem>;

    /// The levels of all loggers that have one, in Kafka Connect's words (`TRACE`, `DEBUG`, `INFO`, `WARN`, `ERROR`,
    /// `OFF`); that of all others is the level of `root`.
    fn logger_levels(&self) -> BTreeMap<String, LoggerLevel>;

    /// Sets the level of a logger and of all below it, for the whole process; returns the loggers whose level changed.
    fn set_logger_level(&self, logger: &str, level: &str) -> Vec<String>;
}

/// The JVM worker beside a hybrid's native one.
#[async_trait]
pub trait Jvm: Send + Sync {
    /// Where it answers.
    fn address(&self) -> &str;

    /// Passes a request on; `path` with the query. An error says, in words, why there is no answer.
    async fn ask(&self, method: &str, path: &str, body: Vec<u8>) -> Result<JvmAnswer, String>;
}

/// What the JVM worker answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JvmAnswer {
    /// HTTP's status.
    pub status: u16,
    /// The header `Location`.
    pub location: Option<String>,
    /// The body, JSON or nothing.
    pub body: Vec<u8>,
}
