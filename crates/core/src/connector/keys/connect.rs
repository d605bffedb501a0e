//! Keys of Kafka Connect itself.

use super::key::ConfigKey;
use super::key::Importance as I;
use super::key::Type as T;
use super::key::Width as W;
use super::key::key;

/// What every connector has. The two kinds differ in their tasks and in the converters that are served.
macro_rules! common {
    ($tasks:expr, $converters:expr, $headers:ident) => {
        &[
            key("name", T::String, I::High, W::Medium, "Connector name", "The connector's name, unique in the group.")
                .required()
                .read(),
            key("connector.class", T::String, I::High, W::Long, "Connector class", "Class of the connector.")
                .required()
                .read(),
            key(
                "connector.plugin.version",
                T::String,
                I::Medium,
                W::Medium,
                "Connector version",
                "Version of the connector, where several are installed. A native worker has one.",
            ),
            $tasks,
            key(
                "tasks.max.enforce",
                T::Boolean,
                I::Low,
                W::Short,
                "Enforce tasks max",
                "Whether more tasks than allowed are an error. A native worker never makes more.",
            )
            .default("true")
            .ignored(),
            key(
                "key.converter",
                T::Class,
                I::Low,
                W::Short,
                "Key converter class",
                "How keys are written to Kafka, or read from it.",
            )
            .absent("org.apache.kafka.connect.json.JsonConverter")
            .only($converters),
            key(
                "key.converter.plugin.version",
                T::String,
                I::Low,
                W::Short,
                "Key converter version",
                "Version of the key converter, where several are installed.",
            )
            .ignored(),
            key(
                "value.converter",
                T::Class,
                I::Low,
                W::Short,
                "Value converter class",
                "How values are written to Kafka, or read from it.",
            )
            .absent("org.apache.kafka.connect.json.JsonConverter")
            .only($converters),
            key(
                "value.converter.plugin.version",
                T::String,
                I::Low,
                W::Short,
                "Value converter version",
                "Version of the value converter, where several are installed.",
            )
            .ignored(),
            key(
                "header.converter",
                T::Class,
                I::Low,
                W::Short,
                "Header converter class",
                "How headers are written to Kafka, or read from it.",
            )
            .absent("org.apache.kafka.connect.storage.SimpleHeaderConverter")
            .$headers(),
            key(
                "header.converter.plugin.version",
                T::String,
                I::Low,
                W::Short,
                "Header converter version",
                "Version of the header converter, where several are installed.",
            )
            .ignored(),
        ]
    };
}

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const BYTES: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";

const SOURCE_TASKS: ConfigKey =
    key("tasks.max", T::Int, I::High, W::Short, "Tasks max", "The most tasks. A source has one, as Debezium's.")
        .default("1")
        .only(&["1"]);

const SINK_TASKS: ConfigKey = key(
    "tasks.max",
    T::Int,
    I::High,
    W::Short,
    "Tasks max",
    "How many tasks share the topic's partitions, 1 to 16. See docs/sink.md.",
)
.default("1")
.read();

/// What every source has.
pub(super) const SOURCE_COMMON: &[ConfigKey] = common!(SOURCE_TASKS, &[JSON], ignored);

/// What every sink has.
pub(super) const SINK_COMMON: &[ConfigKey] = common!(SINK_TASKS, &[JSON, BYTES], read);

/// Secrets that are renewed.
pub(super) const RELOAD: &[ConfigKey] = &[
    key("config.action.reload", T::String, I::Low, W::Medium, "Reload Action", "Whether a JVM worker starts a connector anew when a secret is renewed. The native worker reads secrets at each start of a task.").default("restart").ignored(),
];

/// Transformations of a source connector.
pub(super) const SOURCE_TRANSFORMS: &[ConfigKey] =
    &[key("transforms", T::List, I::Low, W::Long, "Transforms", "Transformations of records, by alias.")
        .default("")
        .read()];

/// Conditions of a source connector's transformations.
pub(super) const SOURCE_PREDICATES: &[ConfigKey] =
    &[key("predicates", T::List, I::Low, W::Long, "Predicates", "Conditions of transformations, by alias.")
        .default("")
        .read()];

/// Errors of a source connector.
pub(super) const SOURCE_ERRORS: &[ConfigKey] = &[
    key(
        "errors.retry.timeout",
        T::Long,
        I::Medium,
        W::Medium,
        "Retry Timeout for Errors",
        "How long a JVM worker tries a failed operation again. The native worker tries until it is stopped.",
    )
    .default("0")
    .ignored(),
    key(
        "errors.retry.delay.max.ms",
        T::Long,
        I::Medium,
        W::Medium,
        "Maximum Delay Between Retries for Errors",
        "The longest wait between two tries.",
    )
    .default("60000")
    .ignored(),
    key(
        "errors.tolerance",
        T::String,
        I::Medium,
        W::Short,
        "Error Tolerance",
        "What happens to a row that cannot be handled: none stops the task, all sends it to the dead letter queue.",
    )
    .default("none")
    .only(&["none"]),
    key(
        "errors.log.enable",
        T::Boolean,
        I::Medium,
        W::Short,
        "Log Errors",
        "Whether a JVM worker logs each error. The native worker always does.",
    )
    .default("false")
    .ignored(),
    key(
        "errors.log.include.messages",
        T::Boolean,
        I::Medium,
        W::Short,
        "Log Error Details",
        "Whether a JVM worker logs the records of errors.",
    )
    .default("false")
    .ignored(),
];

/// Topics that a source connector makes.
pub(super) const TOPIC_CREATION: &[ConfigKey] = &[key(
    "topic.creation.groups",
    T::List,
    I::Low,
    W::Long,
    "Topic Creation Groups",
    "Groups of topics that a JVM worker creates. A native worker's topics are made at its start.",
)
.default("")
.ignored()];

/// Delivery by a source connector.
pub(super) const EXACTLY_ONCE: &[ConfigKey] = &[
    key(
        "exactly.once.support",
        T::String,
        I::Medium,
        W::Short,
        "Exactly once support",
        "Whether exactly-once delivery is required. The native worker delivers so always.",
    )
    .default("requested")
    .ignored(),
    key(
        "transaction.boundary",
        T::String,
        I::Medium,
        W::Short,
        "Transaction Boundary",
        "What a transaction in Kafka holds. The native worker decides by size and time.",
    )
    .default("poll")
    .ignored(),
    key(
        "transaction.boundary.interval.ms",
        T::Long,
        I::Low,
        W::Short,
        "Transaction boundary interval",
        "Age at which a JVM worker ends a transaction.",
    )
    .ignored(),
];

/// A source connector's own offsets.
pub(super) const OFFSETS_TOPIC: &[ConfigKey] = &[key(
    "offsets.storage.topic",
    T::String,
    I::Low,
    W::Long,
    "Offsets topic",
    "Offsets topic of this connector alone.",
)];

/// What a sink connector reads.
pub(super) const TOPICS: &[ConfigKey] = &[
    key("topics", T::List, I::High, W::Long, "Topics", "The topic to read. A native worker reads one.")
        .default("")
        .read(),
    key("topics.regex", T::String, I::High, W::Long, "Topics regex", "Pattern of the topics to read.").default(""),
];

/// Transformations of a sink connector.
pub(super) const SINK_TRANSFORMS: &[ConfigKey] =
    &[key("transforms", T::List, I::Low, W::Long, "Transforms", "Transformations of records, by alias.")
        .default("")
        .read()];

/// Conditions of a sink connector's transformations.
pub(super) const SINK_PREDICATES: &[ConfigKey] =
    &[key("predicates", T::List, I::Low, W::Long, "Predicates", "Conditions of transformations, by alias.")
        .default("")
        .read()];

/// Errors of a sink connector.
pub(super) const SINK_ERRORS: &[ConfigKey] = &[
    key(
        "errors.retry.timeout",
        T::Long,
        I::Medium,
        W::Medium,
        "Retry Timeout for Errors",
        "How long a JVM worker tries a failed operation again. The native worker tries until it is stopped.",
    )
    .default("0")
    .ignored(),
    key(
        "errors.retry.delay.max.ms",
        T::Long,
        I::Medium,
        W::Medium,
        "Maximum Delay Between Retries for Errors",
        "The longest wait between two tries.",
    )
    .default("60000")
    .ignored(),
    key(
        "errors.tolerance",
        T::String,
        I::Medium,
        W::Short,
        "Error Tolerance",
        "What happens to a row that cannot be handled: none stops the task, all sends it to the dead letter queue.",
    )
    .default("none")
    .only(&["none", "all"]),
    key(
        "errors.log.enable",
        T::Boolean,
        I::Medium,
        W::Short,
        "Log Errors",
        "Whether a JVM worker logs each error. The native worker always does.",
    )
    .default("false")
    .ignored(),
    key(
        "errors.log.include.messages",
        T::Boolean,
        I::Medium,
        W::Short,
        "Log Error Details",
        "Whether a JVM worker logs the records of errors.",
    )
    .default("false")
    .ignored(),
    key(
        "errors.deadletterqueue.topic.name",
        T::String,
        I::Medium,
        W::Medium,
        "Dead Letter Queue Topic Name",
        "Topic for records that cannot be delivered.",
    )
    .default("")
    .read(),
    key(
        "errors.deadletterqueue.topic.replication.factor",
        T::Short,
        I::Medium,
        W::Medium,
        "Dead Letter Queue Topic Replication Factor",
        "Replicas of that topic, if a JVM worker creates it.",
    )
    .default("3")
    .ignored(),
    key(
        "errors.deadletterqueue.context.headers.enable",
        T::Boolean,
        I::Medium,
        W::Medium,
        "Enable Error Context Headers",
        "Whether dead letters carry their context in headers.",
    )
    .default("false")
    .read(),
];
