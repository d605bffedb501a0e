//! What a person typed: `datapipe.toml`, the environment and flags, before anything is derived from it.
//!
//! Everything may be left out; what that means is decided by [`crate::plan`], and nobody after it sees a setting.

mod deploy;
mod quantity;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use deploy::{DeployPostgresSettings, DeploySettings, PluginSettings, SinkFlavour, TrialServer};
pub use quantity::{ByteSize, QuantityError, Span};

use crate::secret::SecretRef;
use crate::table::{Compression, SnapshotMode, WorkerKind};

/// All settings. The order of precedence for what concerns a table: convention, then these sections, then the
/// table's declaration, then `[tables.NAME]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `[postgres]`: where the rows come from.
    pub postgres: PostgresSettings,
    /// `[kafka]`: where changes are kept.
    pub kafka: KafkaSettings,
    /// `[s3]`: where objects go.
    pub s3: S3Settings,
    /// `[source]`: how every table is captured.
    pub source: SourceSettings,
    /// `[topic]`: how every data topic is kept.
    pub topic: TopicSettings,
    /// `[sink]`: how every table's objects are written.
    pub sink: SinkSettings,
    /// `[worker]`: what serves every table.
    pub worker: WorkerSettings,
    /// `[run]`: this process.
    pub run: RunSettings,
    /// `[deploy]`: what a deployment on Kubernetes needs.
    pub deploy: DeploySettings,
    /// `[tables.NAME]`: what differs for one table, by its SQL name.
    pub tables: BTreeMap<String, TableSettings>,
}

/// `[postgres]`: a `url`, or `host`, `port`, `database` and `user`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresSettings {
    /// `postgres://user@host:5432/database`, without a password.
    pub url: Option<String>,
    /// The host.
    pub host: Option<String>,
    /// The port; 5432 without it.
    pub port: Option<u16>,
    /// The database.
    pub database: Option<String>,
    /// The role; it needs REPLICATION and SELECT on the tables.
    pub user: Option<String>,
    /// The password, by reference; none if the server asks for none.
    pub password: Option<SecretRef>,
}

/// `[kafka]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaSettings {
    /// `host:port`, several with commas.
    pub bootstrap: Option<String>,
    /// Replicas of every topic, 1 or more; the broker's default without it.
    pub replication_factor: Option<i16>,
    /// Further properties of the client (librdkafka's names); secrets by reference.
    pub properties: BTreeMap<String, String>,
}

/// `[s3]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3Settings {
    /// `http://host:port`; AWS's own endpoint of the region without it.
    pub endpoint: Option<String>,
    /// The region; `us-east-1` without it.
    pub region: Option<String>,
    /// The bucket.
    pub bucket: Option<String>,
    /// The access key's id, by reference; `${env:AWS_ACCESS_KEY_ID}` without it.
    pub access_key_id: Option<SecretRef>,
    /// The access key's secret, by reference; `${env:AWS_SECRET_ACCESS_KEY}` without it.
    pub secret_access_key: Option<SecretRef>,
    /// The token of temporary keys, by reference.
    pub session_token: Option<SecretRef>,
    /// The profile in AWS's shared files that holds the keys, in place of the three above.
    pub profile: Option<String>,
    /// Whether the bucket stands in the path; yes if an endpoint is set.
    pub path_style: Option<bool>,
}

/// `[source]` and `[tables.NAME.source]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceSettings {
    /// What happens to existing rows: `initial`, `always`, `initial_only`, `no_data` or `when_needed`.
    pub snapshot: Option<SnapshotMode>,
    /// Whether the rows of a table without a primary key are read too, and twice if that is interrupted.
    pub keyless_snapshot: Option<bool>,
    /// How often an idle table releases PostgreSQL's log, 100 ms to 1 h.
    pub heartbeat: Option<Span>,
    /// Whether signals are taken from topic `{topic.prefix}-signal`.
    pub signals: Option<bool>,
    /// Whether a delete is followed by a record without value.
    pub tombstones: Option<bool>,
    /// Whether TRUNCATE becomes a record.
    pub truncates: Option<bool>,
    /// The most rows handed on at once, 1 to 1,000,000.
    pub batch_rows: Option<u32>,
    /// The most bytes that wait for Kafka, 1 MiB to 1 GiB.
    pub queue_bytes: Option<ByteSize>,
    /// Further keys of the source connector's configuration, under their own names.
    pub config: BTreeMap<String, String>,
}

/// `[topic]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TopicSettings {
    /// What every data topic starts with; `cdc` without it.
    pub prefix: Option<String>,
    /// Partitions, 1 to 10,000.
    pub partitions: Option<i32>,
    /// How long records are kept, 1 h or more.
    pub retention: Option<Span>,
}

/// `[tables.NAME.topic]`: the prefix is one for all tables.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TableTopicSettings {
    /// Partitions, 1 to 10,000.
    pub partitions: Option<i32>,
    /// How long records are kept, 1 h or more.
    pub retention: Option<Span>,
}

/// `[sink]` and `[tables.NAME.sink]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SinkSettings {
    /// The most rows of an object.
    pub rows: Option<u64>,
    /// The most bytes of an object before compression, 1 KiB to 5 GiB.
    pub bytes: Option<ByteSize>,
    /// The greatest age of an object's first row when it is written, 100 ms to 1 d.
    pub age: Option<Span>,
    /// `gzip`, `zstd`, `snappy` or `none`.
    pub compression: Option<Compression>,
    /// How many tasks share the topic's partitions, 1 to 16.
    pub tasks: Option<u32>,
    /// Further keys of the sink connector's configuration, under their own names.
    pub config: BTreeMap<String, String>,
}

/// `[worker]` and `[tables.NAME.worker]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerSettings {
    /// `kafka-connect`, `hybrid` or `native`.
    pub kind: Option<WorkerKind>,
    /// The memory limit, 16 MiB or more.
    pub memory: Option<ByteSize>,
    /// Where the JVM worker of a hybrid answers, as `http://127.0.0.1:18083`.
    pub jvm_url: Option<String>,
}

/// `[run]`: this process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunSettings {
    /// The address that the REST servers listen on; `127.0.0.1` without it.
    pub listen: Option<String>,
    /// Where unfinished objects are spooled; `datapipe-data` in the working folder without it.
    pub data_dir: Option<PathBuf>,
    /// How long a stop may take to reach a commit boundary; `20s` without it.
    pub drain_timeout: Option<Span>,
    /// Names by which REST may be asked beside `localhost` and the address, and from whose pages.
    pub hosts: Vec<String>,
    /// `[run.config_providers]`: what references in connector configurations may lead to.
    pub config_providers: ConfigProviderSettings,
}

/// `[run.config_providers]`: the references that connector configurations may hold, beside those in these settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigProviderSettings {
    /// `[run.config_providers.env]`
    pub env: EnvProviderSettings,
    /// `[run.config_providers.file]`
    pub file: PathProviderSettings,
    /// `[run.config_providers.dir]`
    pub dir: PathProviderSettings,
}

/// `[run.config_providers.env]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnvProviderSettings {
    /// A regular expression for the whole name of a variable.
    pub allowlist_pattern: Option<String>,
}

/// `[run.config_providers.file]` and `[run.config_providers.dir]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PathProviderSettings {
    /// Absolute paths; what is below them is allowed too.
    pub allowed_paths: Vec<PathBuf>,
}

/// A connector of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// PostgreSQL to Kafka.
    Source,
    /// Kafka to S3.
    Sink,
}

/// `[tables.NAME]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TableSettings {
    /// The port of the REST interface, 1024 or above.
    pub port: Option<u16>,
    /// Which connectors run; both without it.
    pub connectors: Option<Vec<Role>>,
    /// How it is captured.
    pub source: SourceSettings,
    /// How its topic is kept.
    pub topic: TableTopicSettings,
    /// How its objects are written.
    pub sink: SinkSettings,
    /// What serves it.
    pub worker: WorkerSettings,
}
