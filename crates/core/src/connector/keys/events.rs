//! Keys of Debezium's PostgreSQL connector about events.

use super::key::ConfigKey;
use super::key::Importance as I;
use super::key::Type as T;
use super::key::Width as W;
use super::key::key;
use crate::value::{BinaryMode, DecimalMode, HstoreMode, IntervalMode, TimeMode};

/// What becomes an event, and in which form.
pub(super) const CONNECTOR: &[ConfigKey] = &[
    key("topic.prefix", T::String, I::High, W::Medium, "Topic prefix", "First part of every topic's name, and the name of the server in every event. Offsets are kept under it: changing it starts anew.").read(),
    key("topic.naming.strategy", T::Class, I::Medium, W::Medium, "Topic naming strategy class", "Java class that names topics.").default("io.debezium.schema.SchemaTopicNamingStrategy").only(&["io.debezium.schema.SchemaTopicNamingStrategy"]),
    key("tombstones.on.delete", T::Boolean, I::Medium, W::Short, "Change the behaviour of Debezium with regards to delete operations", "Whether a deleted row's event is followed by a record without a value, so that compaction can forget the key.").default("true").read(),
    key("binary.handling.mode", T::String, I::Low, W::Medium, "Binary Handling", "How bytea values are written.").default("bytes").only(BinaryMode::VALUES),
    key("schema.name.adjustment.mode", T::String, I::Low, W::Medium, "Schema Name Adjustment", "How names of schemas are made fit for Avro.").default("none").only(&["none"]),
    key("field.name.adjustment.mode", T::String, I::Low, W::Medium, "Field Name Adjustment", "How names of fields are made fit for Avro.").default("none").only(&["none"]),
    key("event.converting.failure.handling.mode", T::String, I::Medium, W::Medium, "Event converting failure handling mode", "What the JVM connector does with a value that it cannot convert. The native worker sends such a row to the dead letter topic, or stops.").default("warn").ignored(),
    key("decimal.handling.mode", T::String, I::Medium, W::Short, "Decimal Handling", "How numeric values are written.").default("precise").only(DecimalMode::VALUES),
    key("time.precision.mode", T::String, I::Medium, W::Short, "Time Precision", "How dates and times are written.").default("adaptive").only(TimeMode::VALUES),
    key("include.schema.comments", T::Boolean, I::Medium, W::Short, "Include Table and Column Comments", "Whether schemas carry comments. Records without schemas have none; beside schemas only false is served.").default("false").read(),
    key("hstore.handling.mode", T::String, I::Low, W::Medium, "HStore Handling", "How hstore values are written.").default("json").only(HstoreMode::VALUES),
    key("interval.handling.mode", T::String, I::Low, W::Medium, "Interval Handling", "How intervals are written.").default("numeric").only(IntervalMode::VALUES),
    key("message.prefix.include.list", T::List, I::Medium, W::Long, "Include Logical Decoding Message Prefixes", "Prefixes of logical messages that become events."),
    key("message.prefix.exclude.list", T::List, I::Medium, W::Long, "Exclude Logical Decoding Message Prefixes", "Prefixes of logical messages that do not become events. The native worker makes events of none.").ignored(),
    key("publish.via.partition.root", T::Boolean, I::Medium, W::Short, "Publish via partition root", "Whether changes of partitions are published as their root table's.").default("false").only(&["false"]),
    key("lsn.flush.mode", T::String, I::Low, W::Short, "LSN flush mode", "Who confirms positions to the server. Confirmed is only what is stored in Kafka.").absent("connector").only(&["connector"]),
    key("flush.lsn.source", T::Boolean, I::Low, W::Short, "Boolean to determine if Debezium should flush LSN in the source database", "Whether positions are confirmed to the server at all.").default("true").only(&["true"]),
    key("unavailable.value.placeholder", T::String, I::Medium, W::Medium, "Unavailable value placeholder", "What stands for a large value that an update did not touch and the log does not hold.").default("__debezium_unavailable_value").only(&["__debezium_unavailable_value"]),
    key("skipped.operations", T::List, I::Low, W::Short, "Skipped Operations", "Operations that are left out: t for TRUNCATE, none for no operation.").default("t").only(&["none", "t"]),
];

/// Further parts of events, signals and notifications.
pub(super) const CONNECTOR_ADVANCED: &[ConfigKey] = &[
    key(
        "provide.transaction.metadata",
        T::Boolean,
        I::Low,
        W::Short,
        "Store transaction metadata information in a dedicated topic.",
        "Whether events tell their transaction, and the topic {topic.prefix}.transaction its begin and end. The native worker counts the events of its table, and does not make the topic.",
    )
    .default("false")
    .read(),
    key(
        "converters",
        T::String,
        I::Low,
        W::Medium,
        "List of prefixes defining custom values converters.",
        "Converters of one's own for columns.",
    ),
    key(
        "post.processors",
        T::String,
        I::Low,
        W::Medium,
        "List of change event post processors.",
        "Steps that change events before they are written.",
    ),
    key(
        "incremental.snapshot.allow.schema.changes",
        T::Boolean,
        I::Low,
        W::Short,
        "Allow schema changes during incremental snapshot if supported.",
        "Whether columns may change during an incremental snapshot.",
    )
    .default("false")
    .ignored(),
    key(
        "signal.data.collection",
        T::List,
        I::Medium,
        W::Medium,
        "Signaling data collection",
        "Table whose inserted rows are signals, as schema.table: an id, a type and data. The publication must hold it.",
    )
    .read(),
    key(
        "signal.enabled.channels",
        T::List,
        I::Medium,
        W::Long,
        "Enabled channels names",
        "Channels through which signals come: source for the table, kafka for the topic signal.kafka.topic.",
    )
    .default("source")
    .read(),
    key(
        "notification.enabled.channels",
        T::List,
        I::Medium,
        W::Long,
        "Enabled notification channels names",
        "Channels through which notifications go.",
    ),
    key(
        "notification.sink.topic.name",
        T::String,
        I::High,
        W::Long,
        "Notification topic name",
        "Topic of notifications.",
    ),
    key(
        "notification.http.url",
        T::String,
        I::High,
        W::Long,
        "HTTP notification endpoint URL",
        "Address that notifications are sent to.",
    ),
    key(
        "notification.http.timeout.ms",
        T::Int,
        I::Low,
        W::Short,
        "HTTP notification timeout (ms)",
        "How long sending a notification may take.",
    )
    .default("5000")
    .ignored(),
    key(
        "notification.http.retries",
        T::Int,
        I::Low,
        W::Short,
        "HTTP notification retries",
        "How often sending a notification is tried again.",
    )
    .default("2")
    .ignored(),
    key(
        "notification.http.allow.private.networks",
        T::Boolean,
        I::Low,
        W::Short,
        "Allow private network notification targets",
        "Whether notifications may go to addresses of private networks.",
    )
    .default("false"),
    key(
        "transaction.metadata.factory",
        T::Class,
        I::Low,
        W::Medium,
        "Factory class to create transaction context & transaction struct maker classes",
        "Java class that makes transaction metadata.",
    )
    .default("io.debezium.pipeline.txmetadata.DefaultTransactionMetadataFactory"),
    key(
        "message.key.columns",
        T::String,
        I::Medium,
        W::Long,
        "Columns PK mapping",
        "Columns that make up the key instead of the primary key: table:column,column;table:column, all of them patterns. They should name a row: a delete holds only what the replica identity does.",
    )
    .read(),
    key(
        "column.mask.hash.([^.]+).with.salt.(.+)",
        T::String,
        I::Medium,
        W::Long,
        "Mask Columns Using Hash and Salt",
        "Columns of characters whose values are replaced by a salted hash, cut off at the column's length; a record's key is not masked. The algorithm is MD5, SHA-1, SHA-224, SHA-256, SHA-384 or SHA-512, hash.v2. hashes the plain text.",
    )
    .read(),
    key(
        "column.mask.with.(d+).chars",
        T::String,
        I::Medium,
        W::None,
        "Mask Columns With n Asterisks",
        "Columns of characters whose values are replaced by so many asterisks; a record's key is not masked.",
    )
    .read(),
    key(
        "column.truncate.to.(d+).chars",
        T::Int,
        I::Medium,
        W::None,
        "Truncate Columns To n Characters",
        "Columns whose values are cut off after so many characters; a record's key is not.",
    )
    .read(),
    key(
        "column.propagate.source.type",
        T::List,
        I::Medium,
        W::None,
        "Propagate Source Types by Columns",
        "Columns whose schemas carry their type in the source.",
    ),
    key(
        "datatype.propagate.source.type",
        T::List,
        I::Medium,
        W::None,
        "Propagate Source Types by Data Type",
        "Types whose columns' schemas carry them.",
    ),
    key(
        "memory.management.schemas.class",
        T::Class,
        I::Low,
        W::Long,
        "Schema storage class",
        "Java class that keeps schemas in memory.",
    )
    .default("io.debezium.relational.ConcurrentMapTableMappingStorage")
    .ignored(),
    key(
        "memory.management.tables.class",
        T::Class,
        I::Low,
        W::Long,
        "Table storage class",
        "Java class that keeps tables in memory.",
    )
    .default("io.debezium.relational.ConcurrentMapTableMappingStorage")
    .ignored(),
    key(
        "schema.refresh.mode",
        T::String,
        I::Medium,
        W::Short,
        "Schema refresh mode",
        "When the JVM connector reads a table's columns anew. The native worker follows the log.",
    )
    .default("columns_diff")
    .ignored(),
    key(
        "include.unknown.datatypes",
        T::Boolean,
        I::Medium,
        W::Short,
        "Include unknown datatypes",
        "Whether columns of unknown types are passed on as bytes.",
    )
    .default("false")
    .only(&["false"]),
    key(
        "sourceinfo.struct.maker",
        T::Class,
        I::Low,
        W::Medium,
        "Source info struct maker class",
        "Java class that makes the source part of events.",
    )
    .default("io.debezium.connector.postgresql.PostgresSourceInfoStructMaker"),
];

/// What is captured.
pub(super) const FILTERS: &[ConfigKey] = &[
    key(
        "table.include.list",
        T::List,
        I::High,
        W::Long,
        "Include Tables",
        "The table, as schema.table. A native worker captures one: if several are named, the other lists must leave one.",
    )
    .read(),
    key("table.exclude.list", T::List, I::Medium, W::Long, "Exclude Tables", "Tables that are left out; patterns.").read(),
    key(
        "table.ignore.builtin",
        T::Boolean,
        I::Low,
        W::Short,
        "Ignore system databases",
        "Whether the server's own tables are left out.",
    )
    .default("true"),
    key(
        "column.exclude.list",
        T::List,
        I::Medium,
        W::Long,
        "Exclude Columns",
        "Columns that events leave out: patterns that match schema.table.column as a whole, in any case. The key keeps them.",
    )
    .read(),
    key("column.include.list", T::List, I::Medium, W::Long, "Include Columns", "Columns that events hold; patterns as in column.exclude.list. The key holds its columns in any case.").read(),
    key("schema.include.list", T::List, I::High, W::Long, "Include Schemas", "Schemas that are captured; patterns.")
        .dependents(&["table.include.list"])
        .read(),
    key("schema.exclude.list", T::List, I::Medium, W::Long, "Exclude Schemas", "Schemas that are left out; patterns.").read(),
    key(
        "database.include.list",
        T::List,
        I::High,
        W::Long,
        "Include Databases",
        "Databases that are captured. A connector has one, database.dbname.",
    )
    .dependents(&["table.include.list"]),
    key("database.exclude.list", T::List, I::Medium, W::Long, "Exclude Databases", "Databases that are left out."),
];
