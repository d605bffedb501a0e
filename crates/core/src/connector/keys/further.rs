//! Keys that the reference takes without declaring them, and keys of datapipe's own.

use super::key::ConfigKey;
use super::key::Importance as I;
use super::key::Type as T;
use super::key::Width as W;
use super::key::key;

/// What Debezium's parts and the converters read for themselves.
pub(super) const SOURCE: &[ConfigKey] = &[
    key(
        "key.converter.schemas.enable",
        T::Boolean,
        I::Low,
        W::Short,
        "Key schemas",
        "Whether keys carry their schema.",
    )
    .default("true")
    .absent("false")
    .read(),
    key(
        "value.converter.schemas.enable",
        T::Boolean,
        I::Low,
        W::Short,
        "Value schemas",
        "Whether values carry their schema.",
    )
    .default("true")
    .absent("false")
    .read(),
    key(
        "key.converter.replace.null.with.default",
        T::Boolean,
        I::Low,
        W::Short,
        "Defaults for nulls in keys",
        "Whether a column's default is written in the place of NULL, in keys.",
    )
    .default("true")
    .read(),
    key(
        "value.converter.replace.null.with.default",
        T::Boolean,
        I::Low,
        W::Short,
        "Defaults for nulls",
        "Whether a column's default is written in the place of NULL.",
    )
    .default("true")
    .read(),
    key(
        "topic.delimiter",
        T::String,
        I::Low,
        W::Short,
        "Topic delimiter",
        "What stands between the parts of a topic's name.",
    )
    .default(".")
    .only(&["."]),
    key(
        "topic.heartbeat.prefix",
        T::String,
        I::Low,
        W::Medium,
        "Heartbeat topic prefix",
        "First part of the name of the heartbeat topic, before a dot and topic.prefix.",
    )
    .default("__debezium-heartbeat")
    .read(),
    key(
        "topic.cache.size",
        T::Int,
        I::Low,
        W::Short,
        "Topic cache",
        "Topic names that the JVM connector keeps in memory.",
    )
    .default("10000")
    .ignored(),
    key(
        "read.only",
        T::Boolean,
        I::Low,
        W::Short,
        "Read only",
        "Whether incremental snapshots write nothing to the server. The native worker's never do.",
    )
    .default("false")
    .ignored(),
    key(
        "max.iteration.transactions",
        T::Int,
        I::Low,
        W::Short,
        "Transactions per round",
        "Transactions that the JVM connector mines in one round.",
    )
    .ignored(),
];

/// What becomes of keys that nobody knows.
const UNKNOWN_KEYS: ConfigKey = key(
    "datapipe.unknown.keys",
    T::String,
    I::Low,
    W::Short,
    "Unknown keys",
    "What becomes of keys that neither the reference nor datapipe knows: refuse, or ignore as Kafka Connect does, with each named in the log and by validation. Refused in any case are keys that are known and not served, any whose first part is that of a known key, as datapipe or column, and what is nearly a key that is served.",
)
.default("refuse")
.only(&["refuse", "ignore"]);

/// What the native source can do and the reference cannot.
pub(super) const SOURCE_EXTENSIONS: &[ConfigKey] = &[
    UNKNOWN_KEYS,
    key(
        "datapipe.values.without.form",
        T::String,
        I::Medium,
        W::Short,
        "Values without a form",
        "What becomes of a value that its mode has no form for, and of an array of two dimensions: refuse sends the row to the dead letter topic, or stops the task; null writes it as NULL where the column may be NULL, with a warning in the log, as the reference does.",
    )
    .default("refuse")
    .only(&["refuse", "null"]),
    key(
        "datapipe.values.lost",
        T::String,
        I::Low,
        W::Short,
        "Lost values",
        "What becomes of values that the reference loses: keep has them, drop loses them as it does. A name column is NULL when streamed; arrays of enums and of bit are NULL; arrays of name, xml, money, interval, varbit and domains are left out.",
    )
    .default("keep")
    .only(&["keep", "drop"]),
    key(
        "datapipe.errors.deadletterqueue.topic.name",
        T::String,
        I::Medium,
        W::Medium,
        "Dead letter topic",
        "Topic for rows that cannot be encoded or are too large for Kafka. Without it such a row stops the task.",
    )
    .read(),
    key(
        "datapipe.snapshot.without.key",
        T::Boolean,
        I::Medium,
        W::Medium,
        "Snapshot without key",
        "Whether the rows of a table without a primary key are read too. Such a snapshot starts anew when it is interrupted, and its rows come twice.",
    )
    .default("false")
    .read(),
];

/// What the native sink can do and the reference cannot.
pub(super) const SINK_EXTENSIONS: &[ConfigKey] = &[
    UNKNOWN_KEYS,
    key("datapipe.object.max.bytes", T::Long, I::Medium, W::Short, "Object size", "The most bytes of an object before compression.").default("67108864").read(),
    key("datapipe.object.max.age.ms", T::Long, I::Medium, W::Short, "Object age", "The greatest age of an object's first row when the object is written.").default("60000").read(),
    key(
        "datapipe.s3.session.token",
        T::Password,
        I::Medium,
        W::None,
        "Session token",
        "Token that belongs to a temporary access key; give a reference.",
    )
    .read(),
    key("datapipe.s3.path.style", T::Boolean, I::Medium, W::Short, "Path style", "Whether the bucket stands in the path and not in the host's name. Without the key it does if an endpoint is set.").read(),
];

/// Overrides of a sink's consumer.
pub(super) const CONSUMER: &[ConfigKey] = &[
    key(
        "key.converter.schemas.enable",
        T::Boolean,
        I::Low,
        W::Short,
        "Key schemas",
        "Whether keys carry their schema.",
    )
    .default("true")
    .absent("false")
    .only(&["false", "true"]),
    key(
        "value.converter.schemas.enable",
        T::Boolean,
        I::Low,
        W::Short,
        "Value schemas",
        "Whether values carry their schema.",
    )
    .default("true")
    .absent("false")
    .only(&["false", "true"]),
    key(
        "consumer.override.auto.offset.reset",
        T::String,
        I::Medium,
        W::Medium,
        "Where to begin",
        "Where reading begins without offsets. The native sink reads everything.",
    )
    .default("latest")
    .absent("earliest")
    .only(&["earliest"]),
    key(
        "consumer.override.isolation.level",
        T::String,
        I::Medium,
        W::Medium,
        "Isolation",
        "Whether records of unfinished transactions are read. The native sink never does.",
    )
    .default("read_uncommitted")
    .absent("read_committed")
    .only(&["read_committed"]),
    key(
        "consumer.override.fetch.max.bytes",
        T::Int,
        I::Low,
        W::Short,
        "Fetch size",
        "The most bytes of one answer to a JVM worker.",
    )
    .ignored(),
    key(
        "consumer.override.fetch.max.wait.ms",
        T::Int,
        I::Low,
        W::Short,
        "Fetch wait",
        "How long the broker waits for bytes for a JVM worker.",
    )
    .ignored(),
    key(
        "consumer.override.fetch.min.bytes",
        T::Int,
        I::Low,
        W::Short,
        "Least fetch size",
        "The fewest bytes of one answer to a JVM worker.",
    )
    .ignored(),
    key(
        "consumer.override.max.partition.fetch.bytes",
        T::Int,
        I::Low,
        W::Short,
        "Fetch size per partition",
        "The most bytes of a partition in one answer to a JVM worker.",
    )
    .ignored(),
    key(
        "consumer.override.max.poll.interval.ms",
        T::Int,
        I::Low,
        W::Short,
        "Poll interval",
        "How long a JVM task may work on one batch.",
    )
    .ignored(),
    key(
        "consumer.override.max.poll.records",
        T::Int,
        I::Low,
        W::Short,
        "Batch size",
        "Records of one batch of a JVM task.",
    )
    .ignored(),
    key(
        "consumer.override.session.timeout.ms",
        T::Int,
        I::Low,
        W::Short,
        "Session",
        "How long a JVM task may be silent before its group gives it up.",
    )
    .ignored(),
];
