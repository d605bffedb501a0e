//! Keys of Debezium's PostgreSQL connector about events.

use super::key::ConfigKey;
use super::key::Importance as I;
use super::key::Type as T;
use super::key::Width as W;
use super::key::key;

/// What becomes an event.
pub(super) const EVENTS: &[ConfigKey] = &[
    key("converters", T::String, I::Low, W::Medium, "List of prefixes defining custom values converters.", "Converters of one's own for columns."),
    key("post.processors", T::String, I::Low, W::Medium, "List of change event post processors.", "Steps that change events before they are written."),
    key("tombstones.on.delete", T::Boolean, I::Medium, W::Short, "Change the behaviour of Debezium with regards to delete operations", "Whether a deleted row's event is followed by a record without a value, so that compaction can forget the key.").default("true").read(),
    key("heartbeat.interval.ms", T::Int, I::Medium, W::Medium, "Connector heartbeat interval (milli-seconds)", "How often progress is stored while nothing changes; 0 for 10 s. A task without progress for twice as long is FAILED.").default("0").read(),
    key("heartbeat.topics.prefix", T::String, I::Low, W::Medium, "A prefix used for naming of heartbeat topics", "Older name of topic.heartbeat.prefix.").default("__debezium-heartbeat").ignored(),
    key("signal.data.collection", T::List, I::Medium, W::Medium, "Signaling data collection", "Table through which signals are sent."),
    key("signal.poll.interval.ms", T::Long, I::Medium, W::Short, "Signal processor poll interval", "How often channels are asked for signals.").default("5000").ignored(),
    key("signal.enabled.channels", T::List, I::Medium, W::Long, "Enabled channels names", "Channels through which signals come.").default("source"),
    key("topic.naming.strategy", T::Class, I::Medium, W::Medium, "Topic naming strategy class", "Java class that names topics.").default("io.debezium.schema.SchemaTopicNamingStrategy").only(&["io.debezium.schema.SchemaTopicNamingStrategy"]),
    key("notification.enabled.channels", T::List, I::Medium, W::Long, "Enabled notification channels names", "Channels through which notifications go."),
    key("notification.sink.topic.name", T::String, I::High, W::Long, "Notification topic name", "Topic of notifications."),
    key("transaction.metadata.factory", T::Class, I::Low, W::Medium, "Factory class to create transaction context & transaction struct maker classes", "Java class that makes transaction metadata.").default("io.debezium.pipeline.txmetadata.DefaultTransactionMetadataFactory"),
    key("custom.metric.tags", T::List, I::Low, W::Medium, "Customize metric tags", "Further tags for the JVM connector's metrics.").ignored(),
    key("column.include.list", T::List, I::Medium, W::Long, "Include Columns", "Columns that events hold."),
    key("column.exclude.list", T::List, I::Medium, W::Long, "Exclude Columns", "Columns that events leave out."),
    key("table.include.list", T::List, I::High, W::Long, "Include Tables", "The table, as schema.table. A native worker captures one.").read(),
    key("table.exclude.list", T::List, I::Medium, W::Long, "Exclude Tables", "Tables that are left out."),
    key("table.ignore.builtin", T::Boolean, I::Low, W::Short, "Ignore system databases", "Whether the server's own tables are left out.").default("true"),
    key("schema.include.list", T::List, I::High, W::Long, "Include Schemas", "Schemas that are captured."),
    key("schema.exclude.list", T::List, I::Medium, W::Long, "Exclude Schemas", "Schemas that are left out."),
    key("message.key.columns", T::String, I::Medium, W::Long, "Columns PK mapping", "Columns that make up the key instead of the primary key."),
    key("snapshot.select.statement.overrides", T::String, I::Medium, W::Long, "List of tables where the default select statement used during snapshotting should be overridden.", "Tables whose snapshot has a query of its own."),
    key("column.mask.hash.([^.]+).with.salt.(.+)", T::String, I::Medium, W::Long, "Mask Columns Using Hash and Salt", "Columns whose values are replaced by a salted hash."),
    key("column.mask.with.(d+).chars", T::String, I::Medium, W::None, "Mask Columns With n Asterisks", "Columns whose values are replaced by asterisks."),
    key("column.truncate.to.(d+).chars", T::Int, I::Medium, W::None, "Truncate Columns To n Characters", "Columns whose values are cut off."),
    key("include.schema.comments", T::Boolean, I::Medium, W::Short, "Include Table and Column Comments", "Whether schemas carry comments. Records without schemas have none.").default("false").ignored(),
    key("column.propagate.source.type", T::List, I::Medium, W::None, "Propagate Source Types by Columns", "Columns whose schemas carry their type in the source."),
    key("datatype.propagate.source.type", T::List, I::Medium, W::None, "Propagate Source Types by Data Type", "Types whose columns' schemas carry them."),
    key("internal.snapshot.scan.all.columns.force", T::Boolean, I::Low, W::Short, "Snapshot force scan all columns of all tables", "Whether the JVM connector's snapshot reads the columns of all tables.").default("false"),
    key("snapshot.tables.order.by.row.count", T::String, I::Medium, W::None, "Initial snapshot tables order by row count", "Order in which the snapshot reads tables.").default("disabled").ignored(),
    key("heartbeat.action.query", T::String, I::Low, W::Medium, "An optional query to execute with every heartbeat", "Statement that the JVM connector runs with each heartbeat. The native worker needs none: it stores keepalive positions.").ignored(),
    key("include.unknown.datatypes", T::Boolean, I::Medium, W::Short, "Include unknown datatypes", "Whether columns of unknown types are passed on as bytes.").default("false").only(&["false"]),
    key("sourceinfo.struct.maker", T::Class, I::Low, W::Medium, "Source info struct maker class", "Java class that makes the source part of events.").default("io.debezium.connector.postgresql.PostgresSourceInfoStructMaker"),
];
