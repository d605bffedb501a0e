//! `[deploy]`: what a deployment on Kubernetes needs beside the plan.

use serde::{Deserialize, Serialize};

use super::ByteSize;

/// `[deploy]`. What is left out is decided where manifests are rendered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeploySettings {
    /// The image of JVM workers: a JRE, Kafka's jars in `/opt/kafka/libs`, plugins in `/opt/plugins`.
    pub connect_image: Option<String>,
    /// The image of native workers: `datapipe-run` in its path.
    pub worker_image: Option<String>,
    /// The version of Debezium in the JVM workers' image or among the plugins.
    pub debezium: Option<String>,
    /// Whether JVM workers send exactly once; yes if the version of Debezium allows it.
    pub exactly_once: Option<bool>,
    /// Whose S3 sink runs on JVM workers.
    pub s3_sink: Option<SinkFlavour>,
    /// The archive of classes in the JVM workers' image, if it has one.
    pub class_archive: Option<String>,
    /// Plugins that an init container fetches.
    pub plugins: Vec<PluginSettings>,
    /// What fetches them: an image with `curl`, `sha256sum` and `tar`.
    pub fetch_image: Option<String>,
    /// Servers for trials that are deployed along with the workers.
    pub with: Vec<TrialServer>,
    /// The image of the trial's broker.
    pub kafka_image: Option<String>,
    /// The image of the trial's S3 server: `minio` in its path.
    pub s3_image: Option<String>,
    /// From where users reach the workers' ports: networks of nodes and hosts, not of pods.
    pub node_networks: Option<Vec<String>>,
    /// The namespace whose pods may read metrics.
    pub monitoring_namespace: Option<String>,
    /// `[deploy.postgres]`: the database server that is deployed.
    pub postgres: DeployPostgresSettings,
}

/// `[deploy.postgres]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeployPostgresSettings {
    /// The image: PostgreSQL's programs and a shell.
    pub image: Option<String>,
    /// The user of the image that PostgreSQL runs as.
    pub uid: Option<i64>,
    /// The size of the volume.
    pub volume: Option<ByteSize>,
    /// The class of the volume; the cluster's default without it.
    pub storage_class: Option<String>,
    /// `max_slot_wal_keep_size`: the most log that a slot may hold back.
    pub slot_wal: Option<ByteSize>,
    /// `max_replication_slots` and `max_wal_senders`.
    pub slots: Option<u32>,
    /// Whether the tables are made too, empty, for trials.
    pub sample_tables: Option<bool>,
}

/// A plugin of JVM workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginSettings {
    /// The name of its folder.
    pub name: String,
    /// Where its archive (`.tar.gz`) is.
    pub url: String,
    /// The archive's SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Whose S3 sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SinkFlavour {
    /// Aiven's.
    Aiven,
    /// Confluent's. Its objects have other names.
    Confluent,
}

/// A server for trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrialServer {
    /// One broker.
    Kafka,
    /// One S3 server.
    S3,
}
