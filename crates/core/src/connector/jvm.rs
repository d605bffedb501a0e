//! What a connector's configuration has beside the common keys when a JVM worker runs it. A native worker takes the same
//! map: it knows each of these keys, and that they change no row.

use super::{ConfigProblem, SinkConfig};
use crate::plan::{ConnectorPlan, PipelinePlan};
use crate::port::connect::ConfigMap;
use crate::settings::{Role, SinkFlavour};
use crate::table::Compression;

/// How JVM workers run their connectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JvmFlavour {
    /// Whether the source sends exactly once. Without it the worker must not have it on either.
    pub exactly_once: bool,
    /// Whose sink runs.
    pub sink: SinkFlavour,
    /// Replicas of topics that Kafka Connect makes itself; -1 leaves it to the broker, where Kafka Connect's own
    /// default for dead letters is 3.
    pub replication_factor: i16,
}

/// Bytes of one part of an upload, and so of what a JVM sink holds of each open object.
pub const JVM_PART_BYTES: u64 = 5 << 20;

/// What is the same for every source. A successor finds the slot held until the server has given up on its predecessor,
/// which takes `wal_sender_timeout`, 60 s by default: so it is asked for twice as long.
const SOURCE: &[(&str, &str)] = &[
    ("slot.max.retries", "24"),
    ("slot.retry.delay.ms", "5000"),
    ("slot.drop.on.stop", "false"),
    ("errors.max.retries", "-1"),
    ("errors.log.enable", "true"),
    ("errors.log.include.messages", "false"),
];

/// What is the same for every sink. Logged messages would show rows.
const SINK: &[(&str, &str)] = &[
    ("errors.log.enable", "true"),
    ("errors.log.include.messages", "false"),
    ("errors.retry.timeout", "300000"),
    ("errors.retry.delay.max.ms", "10000"),
];

/// The configuration for a JVM worker, from the plan's.
pub fn for_jvm(
    pipeline: &PipelinePlan,
    connector: &ConnectorPlan,
    flavour: JvmFlavour,
) -> Result<ConfigMap, Vec<ConfigProblem>> {
    let mut map = match (connector.role, flavour.sink) {
        (Role::Sink, SinkFlavour::Confluent) => confluent(pipeline, &SinkConfig::from_map(&connector.planned)?),
        _ => connector.config.clone(),
    };
    let fixed = if connector.role == Role::Source { SOURCE } else { SINK };
    map.extend(fixed.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    match connector.role {
        Role::Source => {
            map.extend(topic_creation(pipeline, flavour));
            if !flavour.exactly_once {
                map.remove("exactly.once.support");
                map.remove("transaction.boundary");
            }
        }
        Role::Sink => {
            let key = "errors.deadletterqueue.topic.replication.factor";
            map.insert(key.to_owned(), flavour.replication_factor.to_string());
            if flavour.sink == SinkFlavour::Aiven {
                map.insert("aws.s3.part.size.bytes".to_owned(), JVM_PART_BYTES.to_string());
            }
        }
    }
    map.extend(connector.further());
    Ok(map)
}

/// How Kafka Connect makes the data topic and the heartbeat's, if they are missing: without this it waits for ever for
/// a broker that makes none by itself, and takes the broker's defaults from one that does.
fn topic_creation(pipeline: &PipelinePlan, flavour: JvmFlavour) -> ConfigMap {
    const DEFAULT: &str = "topic.creation.default";
    let mut map = ConfigMap::from([(format!("{DEFAULT}.replication.factor"), flavour.replication_factor.to_string())]);
    if let Some(topic) = pipeline.topics.iter().find(|topic| topic.name == pipeline.names.data_topic) {
        map.insert(format!("{DEFAULT}.partitions"), topic.partitions.to_string());
        map.extend(topic.config.iter().map(|(key, value)| (format!("{DEFAULT}.{key}"), value.clone())));
    }
    map
}

/// Confluent's sink. It puts the topic into the path, and ends objects by the records' time: by the clock it would write
/// rows twice after a crash.
fn confluent(pipeline: &PipelinePlan, sink: &SinkConfig) -> ConfigMap {
    const OWN: &[(&str, &str)] = &[
        ("connector.class", "io.confluent.connect.s3.S3SinkConnector"),
        ("storage.class", "io.confluent.connect.s3.storage.S3Storage"),
        ("format.class", "io.confluent.connect.s3.format.json.JsonFormat"),
        ("partitioner.class", "io.confluent.connect.storage.partitioner.TimeBasedPartitioner"),
        ("path.format", "'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH"),
        ("partition.duration.ms", "3600000"),
        ("timestamp.extractor", "Record"),
        ("timezone", "UTC"),
        ("locale", "en-US"),
        ("schema.compatibility", "NONE"),
        ("file.delim", "-"),
        ("filename.offset.zero.pad.width", "20"),
        ("behavior.on.null.values", "ignore"),
    ];
    let of_connect = |key: &str| {
        ["tasks.max", "transforms", "predicates", "errors.", "consumer.override.", "key.converter", "value.converter"]
            .iter()
            .any(|start| key.starts_with(start))
    };
    let connector = pipeline.connector(Role::Sink).map(|connector| connector.config.clone()).unwrap_or_default();
    let mut map: ConfigMap = connector.into_iter().filter(|(key, _)| of_connect(key)).collect();
    let gzip = if sink.output.compression == Compression::Gzip { "gzip" } else { "none" };
    let rows_max = sink.rows_max.min(u64::from(i32::MAX.unsigned_abs()));
    let values = [
        ("name", sink.name.clone()),
        ("topics", sink.topic.clone()),
        ("topics.dir", pipeline.names.object_prefix.trim_end_matches('/').to_owned()),
        ("s3.bucket.name", sink.bucket.clone()),
        ("s3.region", sink.region.clone()),
        ("s3.part.size", JVM_PART_BYTES.to_string()),
        ("s3.compression.type", gzip.to_owned()),
        ("s3.path.style.access.enabled", sink.path_style.to_string()),
        ("aws.access.key.id", sink.access_key_id.to_text()),
        ("aws.secret.access.key", sink.secret_access_key.to_text()),
        ("flush.size", rows_max.to_string()),
        ("rotate.interval.ms", sink.age_max.as_millis().to_string()),
    ];
    map.extend(OWN.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    map.extend(values.map(|(key, value)| (key.to_owned(), value)));
    map.extend(sink.endpoint.iter().map(|endpoint| ("store.url".to_owned(), endpoint.clone())));
    map
}
