use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use super::keys::S3_SINK;
use super::reader::{Reader, Unread};
use super::sink_output::{layout, output, write_output};
use super::{ConfigProblem, ConfigSecret};
use crate::assignment::Assignment;
use crate::layout::Layout;
use crate::output::Output;
use crate::port::connect::ConfigMap;

const FILTER: &str = "org.apache.kafka.connect.transforms.Filter";
const IS_TOMBSTONE: &str = "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone";

/// A sink connector: Aiven's S3 sink, as far as the native worker serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkConfig {
    /// `name`: the connector.
    pub name: String,
    /// The only topic in `topics`.
    pub topic: String,
    /// `tasks.max`: how many tasks share the topic's partitions.
    pub tasks: NonZeroU32,
    /// `aws.s3.endpoint`; none for AWS's own endpoint of the region.
    pub endpoint: Option<String>,
    /// `aws.s3.region`
    pub region: String,
    /// `aws.s3.bucket.name`
    pub bucket: String,
    /// `datapipe.s3.path.style`: the bucket stands in the path, not in the host's name. Without the key it does if an
    /// endpoint is set, as with Aiven's sink.
    pub path_style: bool,
    /// `aws.access.key.id`
    pub access_key_id: ConfigSecret,
    /// `aws.secret.access.key`
    pub secret_access_key: ConfigSecret,
    /// `datapipe.s3.session.token`: the token of temporary keys.
    pub session_token: Option<ConfigSecret>,
    /// `aws.s3.prefix` and `file.name.template`: how objects are named.
    pub layout: Layout,
    /// `format.output.*` and `file.compression.type`: what objects hold.
    pub output: Output,
    /// `file.max.records`: the most rows of an object; without it, or with 0, no limit.
    pub rows_max: u64,
    /// `datapipe.object.max.bytes`: the most bytes of an object before compression; 64 MiB without it.
    pub bytes_max: u64,
    /// `datapipe.object.max.age.ms`: the greatest age of an object's first row when it is written; 60 s without it.
    pub age_max: Duration,
    /// `errors.deadletterqueue.topic.name`; none with `errors.tolerance=none`.
    pub dead_letter_topic: Option<String>,
    /// `errors.deadletterqueue.context.headers.enable`: dead letters say in headers where they come from and why.
    pub dead_letter_context: bool,
    /// Keys that were given and change nothing here.
    pub ignored: Vec<String>,
    /// Keys that nobody knows, passed over under `datapipe.unknown.keys=ignore`.
    pub unknown: Vec<String>,
}

impl SinkConfig {
    /// The most tasks: each has its own connection to Kafka with 1 MiB read ahead, and up to 4 MiB of an open object in
    /// memory per partition, and all of a table's tasks run in one process of a few dozen MiB.
    pub const TASKS_MAX: u32 = 16;

    /// What a task, counted from 0, takes of the topic.
    pub const fn assignment(&self, task: u32) -> Assignment {
        Assignment::new(task, self.tasks)
    }

    /// The consumer group, as Kafka Connect names it.
    pub fn group(&self) -> String {
        format!("connect-{}", self.name)
    }

    /// Reads a connector's configuration; all problems at once.
    pub fn from_map(map: &ConfigMap) -> Result<Self, Vec<ConfigProblem>> {
        let mut reader = Reader::new(map, &S3_SINK);
        reader.class();
        let dynamic = tombstone_filter(&mut reader);
        let output = output(&mut reader);
        let layout = layout(&mut reader, &output);
        let endpoint = reader.optional("aws.s3.endpoint").map(str::to_owned);
        let rows_max = reader.number("file.max.records", 0, 0..=i32::MAX.unsigned_abs().into(), "rows");
        let age_max_ms = reader.number("datapipe.object.max.age.ms", 60_000, 100..=86_400_000, "milliseconds");
        let config = Self {
            name: reader.required("name", "s3-sink-users-connector").to_owned(),
            topic: topic(&mut reader),
            tasks: tasks(&mut reader),
            path_style: reader.boolean("datapipe.s3.path.style", endpoint.is_some()),
            endpoint,
            region: reader.required("aws.s3.region", "us-east-1").to_owned(),
            bucket: reader.required("aws.s3.bucket.name", "cdc").to_owned(),
            access_key_id: reader.secret("aws.access.key.id"),
            secret_access_key: reader.secret("aws.secret.access.key"),
            session_token: reader.optional("datapipe.s3.session.token").map(ConfigSecret::from_text),
            layout,
            output,
            rows_max: if rows_max == 0 { u64::MAX } else { rows_max },
            bytes_max: reader.number("datapipe.object.max.bytes", 64 << 20, 1024..=5 << 30, "bytes"),
            age_max: Duration::from_millis(age_max_ms),
            dead_letter_topic: dead_letter_topic(&mut reader),
            dead_letter_context: reader.boolean("errors.deadletterqueue.context.headers.enable", false),
            ignored: Vec::new(),
            unknown: Vec::new(),
        };
        let Unread { ignored, unknown } = reader.finish(&dynamic)?;
        Ok(Self { ignored, unknown, ..config })
    }

    /// The configuration as Kafka Connect takes it.
    pub fn to_map(&self) -> ConfigMap {
        let mut map: ConfigMap = FIXED.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let rows_max = if self.rows_max == u64::MAX { 0 } else { self.rows_max };
        let values = [
            ("name", self.name.clone()),
            ("topics", self.topic.clone()),
            ("tasks.max", self.tasks.to_string()),
            ("aws.s3.region", self.region.clone()),
            ("aws.s3.bucket.name", self.bucket.clone()),
            ("aws.access.key.id", self.access_key_id.to_text()),
            ("aws.secret.access.key", self.secret_access_key.to_text()),
            ("file.name.template", self.layout.to_string()),
            ("file.max.records", rows_max.to_string()),
            ("datapipe.object.max.bytes", self.bytes_max.to_string()),
            ("datapipe.object.max.age.ms", self.age_max.as_millis().to_string()),
            ("errors.tolerance", if self.dead_letter_topic.is_some() { "all" } else { "none" }.to_owned()),
        ];
        map.extend(values.map(|(key, value)| (key.to_owned(), value)));
        write_output(&self.output, &mut map);
        if let Some(endpoint) = &self.endpoint {
            map.insert("aws.s3.endpoint".to_owned(), endpoint.clone());
        }
        if self.path_style != self.endpoint.is_some() {
            map.insert("datapipe.s3.path.style".to_owned(), self.path_style.to_string());
        }
        if let Some(token) = &self.session_token {
            map.insert("datapipe.s3.session.token".to_owned(), token.to_text());
        }
        if let Some(topic) = &self.dead_letter_topic {
            map.insert("errors.deadletterqueue.topic.name".to_owned(), topic.clone());
            let context = self.dead_letter_context.to_string();
            map.insert("errors.deadletterqueue.context.headers.enable".to_owned(), context);
        }
        map
    }
}

/// What is the same for every table.
const FIXED: &[(&str, &str)] = &[
    ("connector.class", S3_SINK.class),
    ("file.name.timestamp.source", "EVENT"),
    ("file.name.timestamp.timezone", "UTC"),
    ("transforms", "dropTombstone"),
    ("transforms.dropTombstone.type", FILTER),
    ("transforms.dropTombstone.predicate", "isTombstone"),
    ("predicates", "isTombstone"),
    ("predicates.isTombstone.type", IS_TOMBSTONE),
    ("consumer.override.auto.offset.reset", "earliest"),
    ("consumer.override.isolation.level", "read_committed"),
    ("consumer.override.max.poll.records", "500"),
];

fn topic(reader: &mut Reader<'_>) -> String {
    let topics = reader.required("topics", "cdc.public.users");
    if topics.contains(',') {
        let why = format!("{topics:?} is more than one topic; one native worker serves one table");
        reader.problem("topics", why, "set one, and give each other topic a sink of its own");
    }
    topics.to_owned()
}

fn tasks(reader: &mut Reader<'_>) -> NonZeroU32 {
    let tasks = reader.number("tasks.max", 1, 1..=SinkConfig::TASKS_MAX, "tasks");
    NonZeroU32::new(tasks).unwrap_or(NonZeroU32::MIN)
}

/// Tombstones hold no row. The reference drops them by a transform, under names of the author's choice; anything
/// else that transforms is not served. Returns the keys that were taken.
fn tombstone_filter(reader: &mut Reader<'_>) -> BTreeSet<String> {
    let fix = format!(
        "set transforms=dropTombstone, transforms.dropTombstone.type={FILTER}, \
                       transforms.dropTombstone.predicate=isTombstone, predicates=isTombstone, \
                       predicates.isTombstone.type={IS_TOMBSTONE}"
    );
    let transform = reader.optional("transforms").unwrap_or_default();
    let predicate = reader.optional("predicates").unwrap_or_default();
    let keys = [
        (format!("transforms.{transform}.type"), FILTER),
        (format!("transforms.{transform}.predicate"), predicate),
        (format!("predicates.{predicate}.type"), IS_TOMBSTONE),
    ];
    let filters = keys.iter().all(|(key, value)| reader.dynamic(key) == Some(*value));
    if transform.is_empty() {
        reader.problem("transforms", "is missing, so tombstones would be written as empty lines", fix);
    } else if !filters {
        reader.problem(
            "transforms",
            format!("{transform:?} is not the one transform that is served, the filter of tombstones"),
            fix,
        );
    }
    keys.into_iter().map(|(key, _)| key).collect()
}

fn dead_letter_topic(reader: &mut Reader<'_>) -> Option<String> {
    let topic = reader.optional("errors.deadletterqueue.topic.name").map(str::to_owned);
    let tolerance = reader.choice("errors.tolerance");
    if tolerance == "none" {
        return None;
    }
    if topic.is_none() {
        let fix = "set it, as in \"connect-dlq-users\", or errors.tolerance=none";
        reader.problem(
            "errors.deadletterqueue.topic.name",
            "is missing, so with errors.tolerance=all rows would be dropped unseen",
            fix,
        );
    }
    topic
}
