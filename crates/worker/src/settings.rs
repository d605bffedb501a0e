use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What a worker is told when it starts; everything else stands in the configurations topic.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// The table's dashed name, for logs and metrics.
    pub slug: String,
    /// Where REST is served.
    pub listen: SocketAddr,
    /// `connect-cluster-{slug}`.
    pub group: String,
    /// `connect-offsets-{slug}`.
    pub offsets_topic: String,
    /// Where objects are spooled that do not fit into memory.
    pub spool_folder: PathBuf,
    /// How long a drain may take before tasks are dropped where they are; what they have not finished is read again.
    pub drain_max: Duration,
    /// The source connector that the JVM worker of a hybrid runs; empty otherwise.
    pub jvm_source: String,
    /// Names by which REST may be asked beside `localhost` and the address, and from whose pages.
    pub hosts: Vec<String>,
}

impl WorkerSettings {
    /// How a status record names this worker.
    pub fn worker_id(&self) -> String {
        self.listen.to_string()
    }

    /// The transactional id that Kafka Connect would use for the connector's only task, so that each kind of worker
    /// fences the other's zombie.
    pub fn transactional_id(&self, connector: &str) -> String {
        format!("{}-{connector}-0", self.group)
    }

    /// The transactional id under which a JVM worker that leads the group writes the configurations topic.
    pub fn leader_id(&self) -> String {
        format!("connect-cluster-{}", self.group)
    }
}
