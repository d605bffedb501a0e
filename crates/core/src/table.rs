//! A table's pipeline as a declaration: data in, data out, so that every kind of worker reads the same one.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::settings::Role;

/// One table's pipeline. Only [`TablePipeline::table`] must be written; each other method receives what convention
/// would do and returns what this table wants, so an override reads as a difference:
///
/// ```
/// use datapipe_core::table::{Sink, Table, TablePipeline, Topic};
///
/// /// Payments: three partitions, small objects.
/// struct Payments;
///
/// impl TablePipeline for Payments {
///     fn table(&self) -> Table {
///         Table::new("payments", 8087)
///     }
///     fn topic(&self, convention: Topic) -> Topic {
///         convention.with_partitions(3)
///     }
///     fn sink(&self, convention: Sink) -> Sink {
///         convention.with_rows_max(10_000)
///     }
/// }
///
/// datapipe_core::register!(Payments);
/// ```
pub trait TablePipeline: Send + Sync + 'static {
    /// Which table: schema, name, key, port.
    fn table(&self) -> Table;

    /// How it is captured.
    fn source(&self, convention: Source) -> Source {
        convention
    }

    /// How its topic is kept.
    fn topic(&self, convention: Topic) -> Topic {
        convention
    }

    /// How its objects are written.
    fn sink(&self, convention: Sink) -> Sink {
        convention
    }

    /// What serves it.
    fn worker(&self, convention: Worker) -> Worker {
        convention
    }
}

/// Which table a pipeline is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Table {
    /// The schema; `public` by convention.
    pub schema: String,
    /// The table's SQL name. All names of the pipeline follow from it.
    pub name: String,
    /// The primary key's columns in order; `id` by convention. Verified against the database at start.
    pub key: Vec<String>,
    /// The port of the worker's REST interface on localhost, 1024 or above; no other table may have it.
    pub port: u16,
}

impl Table {
    /// A table in schema `public` with the key `id`.
    pub fn new(name: &str, port: u16) -> Self {
        Self { schema: "public".to_owned(), name: name.to_owned(), key: vec!["id".to_owned()], port }
    }

    /// In another schema.
    #[must_use]
    pub fn with_schema(mut self, schema: &str) -> Self {
        schema.clone_into(&mut self.schema);
        self
    }

    /// With another primary key.
    #[must_use]
    pub fn with_key<const N: usize>(mut self, columns: [&str; N]) -> Self {
        self.key = columns.map(str::to_owned).to_vec();
        self
    }
}

/// What happens to the rows that exist before the stream: Debezium's `snapshot.mode`, under the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotMode {
    /// They are read first, once.
    Initial,
    /// They are read each time that the task starts; changes up to then are sent first.
    Always,
    /// They are read once, and changes are not captured: no slot is made.
    InitialOnly,
    /// They are left out: only changes are captured.
    NoData,
    /// They are read first, and again when the stored position is of no use any more (the slot was dropped or moved),
    /// where the other modes stop with an error. Rows deleted in between stay downstream.
    WhenNeeded,
}

impl SnapshotMode {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Initial, Self::Always, Self::InitialOnly, Self::NoData, Self::WhenNeeded];

    /// The name in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Always => "always",
            Self::InitialOnly => "initial_only",
            Self::NoData => "no_data",
            Self::WhenNeeded => "when_needed",
        }
    }

    /// Whether rows are read at all.
    pub const fn reads_rows(self) -> bool {
        !matches!(self, Self::NoData)
    }
}

/// How a table is captured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Source {
    /// What happens to existing rows; `initial` by convention.
    pub snapshot: SnapshotMode,
    /// Whether the rows of a table without a primary key are read too; no by convention. Such a snapshot starts anew
    /// when it is interrupted, and its rows come twice.
    pub keyless_snapshot: bool,
    /// How often an idle table tells PostgreSQL that its log may go, 100 ms to 1 h; 10 s by convention.
    pub heartbeat: Duration,
    /// Whether signals are taken from topic `{topic.prefix}-signal`; no by convention.
    pub signals: bool,
    /// Whether a delete is followed by a record without value; yes by convention.
    pub tombstones: bool,
    /// Whether TRUNCATE becomes a record; yes by convention.
    pub truncates: bool,
    /// The most rows that are handed on at once; 2048 by convention.
    pub batch_rows_max: u32,
    /// The most bytes of changes that wait between PostgreSQL and Kafka, 1 MiB or more; 16 MiB by convention.
    pub queue_bytes_max: u64,
    /// Further keys of the connector's configuration, under their own names; none by convention.
    pub config: BTreeMap<String, String>,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            snapshot: SnapshotMode::Initial,
            keyless_snapshot: false,
            heartbeat: Duration::from_secs(10),
            signals: false,
            tombstones: true,
            truncates: true,
            batch_rows_max: 2048,
            queue_bytes_max: 16 << 20,
            config: BTreeMap::new(),
        }
    }
}

impl Source {
    /// With another treatment of existing rows.
    #[must_use]
    pub fn with_snapshot(mut self, snapshot: SnapshotMode) -> Self {
        self.snapshot = snapshot;
        self
    }

    /// With a snapshot though the table has no primary key.
    #[must_use]
    pub fn with_keyless_snapshot(mut self) -> Self {
        self.keyless_snapshot = true;
        self
    }

    /// With another heartbeat.
    #[must_use]
    pub fn with_heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// With signals from the topic `{topic.prefix}-signal`.
    #[must_use]
    pub fn with_signals(mut self) -> Self {
        self.signals = true;
        self
    }

    /// With a further key of the connector's configuration.
    #[must_use]
    pub fn with_config(mut self, key: &str, value: &str) -> Self {
        self.config.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Without records of TRUNCATE.
    #[must_use]
    pub fn without_truncates(mut self) -> Self {
        self.truncates = false;
        self
    }
}

/// How a table's data topic is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Partitions, 1 or more; 1 by convention. Raising it later sends keys elsewhere.
    pub partitions: i32,
    /// How long records are kept; 7 days by convention. It must exceed the longest outage of the sink.
    pub retention: Duration,
}

impl Default for Topic {
    fn default() -> Self {
        Self { partitions: 1, retention: Duration::from_secs(7 * 24 * 3600) }
    }
}

impl Topic {
    /// With another number of partitions.
    #[must_use]
    pub fn with_partitions(mut self, partitions: i32) -> Self {
        self.partitions = partitions;
        self
    }

    /// With another retention.
    #[must_use]
    pub fn with_retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }
}

/// How objects are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all: `.jsonl`.
    None,
    /// gzip: `.jsonl.gz`.
    Gzip,
    /// Zstandard: `.jsonl.zst`.
    Zstd,
    /// Snappy in its framing format: `.jsonl.snappy`.
    Snappy,
}

impl Compression {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Gzip, Self::Zstd, Self::Snappy];

    /// Its name in settings and in `file.compression.type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Snappy => "snappy",
        }
    }

    /// The end of names; empty without compression.
    pub const fn ending(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
            Self::Snappy => ".snappy",
        }
    }
}

/// How a table's objects are written. An object ends at whichever limit is met first, and with its hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// The most rows of an object; 50,000 by convention.
    pub rows_max: u64,
    /// The most bytes of an object before compression; 64 MiB by convention. The native sink only.
    pub bytes_max: u64,
    /// The greatest age of an object's first row when the object is written; 60 s by convention. The native sink
    /// only; Kafka Connect flushes by the worker's `offset.flush.interval.ms`.
    pub age_max: Duration,
    /// The compression; gzip by convention.
    pub compression: Compression,
    /// How many tasks share the topic's partitions; 1 by convention.
    pub tasks: u32,
    /// Further keys of the connector's configuration, under their own names; none by convention.
    pub config: BTreeMap<String, String>,
}

impl Default for Sink {
    fn default() -> Self {
        Self {
            rows_max: 50_000,
            bytes_max: 64 << 20,
            age_max: Duration::from_secs(60),
            compression: Compression::Gzip,
            tasks: 1,
            config: BTreeMap::new(),
        }
    }
}

impl Sink {
    /// With another limit of rows.
    #[must_use]
    pub fn with_rows_max(mut self, rows_max: u64) -> Self {
        self.rows_max = rows_max;
        self
    }

    /// With another limit of bytes.
    #[must_use]
    pub fn with_bytes_max(mut self, bytes_max: u64) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// With a further key of the connector's configuration.
    #[must_use]
    pub fn with_config(mut self, key: &str, value: &str) -> Self {
        self.config.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With another number of tasks.
    #[must_use]
    pub fn with_tasks(mut self, tasks: u32) -> Self {
        self.tasks = tasks;
        self
    }

    /// With another greatest age.
    #[must_use]
    pub fn with_age_max(mut self, age_max: Duration) -> Self {
        self.age_max = age_max;
        self
    }

    /// With another compression.
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }
}

/// What serves a table's pipeline. All kinds keep the same contract, so a table can be moved from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkerKind {
    /// Apache Kafka Connect with the Debezium source and the Aiven S3 sink.
    KafkaConnect,
    /// Debezium beside the native sink.
    Hybrid,
    /// The native worker.
    Native,
}

impl WorkerKind {
    /// As it is written in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KafkaConnect => "kafka-connect",
            Self::Hybrid => "hybrid",
            Self::Native => "native",
        }
    }

    /// Whether a connector of this role runs in a JVM.
    pub fn runs_in_jvm(self, role: Role) -> bool {
        match self {
            Self::KafkaConnect => true,
            Self::Hybrid => role == Role::Source,
            Self::Native => false,
        }
    }
}

/// What serves a table, and with which resources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Worker {
    /// The kind; `kafka-connect` by convention, `native` for `datapipe-run`.
    pub kind: WorkerKind,
    /// The memory limit in MiB; 250 by convention.
    pub memory_mib: u32,
    /// The processor time requested, in thousandths of a core; 125 by convention.
    pub cpu_request_millis: u32,
    /// The limit of processor time, in thousandths of a core; 250 by convention.
    pub cpu_limit_millis: u32,
    /// Where the JVM worker of a hybrid answers; by convention on loopback, at the table's port and 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jvm_url: Option<String>,
}

/// How far the JVM worker's port is from the table's: 18083 beside 8083.
pub const JVM_PORT_OFFSET: u16 = 10_000;

impl Default for Worker {
    fn default() -> Self {
        Self {
            kind: WorkerKind::KafkaConnect,
            memory_mib: 250,
            cpu_request_millis: 125,
            cpu_limit_millis: 250,
            jvm_url: None,
        }
    }
}

impl Worker {
    /// Where the JVM worker of a hybrid answers whose own port is `port`.
    pub fn jvm_url(&self, port: u16) -> String {
        let convention = || format!("http://127.0.0.1:{}", port.wrapping_add(JVM_PORT_OFFSET));
        self.jvm_url.clone().unwrap_or_else(convention)
    }

    /// Of another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: WorkerKind) -> Self {
        self.kind = kind;
        self
    }

    /// With another memory limit, in MiB.
    #[must_use]
    pub fn with_memory_mib(mut self, memory_mib: u32) -> Self {
        self.memory_mib = memory_mib;
        self
    }
}
