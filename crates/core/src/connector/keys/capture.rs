//! Keys of Debezium's PostgreSQL connector about capturing.

use super::key::ConfigKey;
use super::key::Importance as I;
use super::key::Type as T;
use super::key::Width as W;
use super::key::key;

/// Rows that are there before the first start.
pub(super) const SNAPSHOT: &[ConfigKey] = &[
    key(
        "snapshot.delay.ms",
        T::Long,
        I::Low,
        W::Medium,
        "Snapshot Delay (milliseconds)",
        "Wait before the snapshot begins.",
    )
    .default("0")
    .ignored(),
    key(
        "snapshot.fetch.size",
        T::Int,
        I::Medium,
        W::Medium,
        "Snapshot fetch size",
        "Rows that the JVM connector fetches at once.",
    )
    .ignored(),
    key(
        "snapshot.include.collection.list",
        T::List,
        I::Medium,
        W::Long,
        "Snapshot mode include data collection",
        "Tables whose rows the snapshot reads.",
    ),
    key(
        "snapshot.mode.custom.name",
        T::String,
        I::Medium,
        W::Medium,
        "Snapshot Mode Custom Name",
        "Name of a snapshot mode of one's own.",
    ),
    key(
        "snapshot.mode.configuration.based.snapshot.data",
        T::Boolean,
        I::Medium,
        W::Medium,
        "Snapshot mode property based snapshot data",
        "Whether the configuration based mode reads rows.",
    )
    .default("false"),
    key(
        "snapshot.mode.configuration.based.snapshot.schema",
        T::Boolean,
        I::Medium,
        W::Medium,
        "Snapshot mode property based snapshot schema",
        "Whether the configuration based mode reads the schema.",
    )
    .default("false"),
    key(
        "snapshot.mode.configuration.based.start.stream",
        T::Boolean,
        I::Medium,
        W::Medium,
        "Snapshot mode property based start stream",
        "Whether the configuration based mode goes on to stream.",
    )
    .default("false"),
    key(
        "snapshot.mode.configuration.based.snapshot.on.schema.error",
        T::Boolean,
        I::Medium,
        W::Medium,
        "Snapshot mode property based snapshot on schema error",
        "Whether the configuration based mode reads the schema again after an error.",
    )
    .default("false"),
    key(
        "snapshot.mode.configuration.based.snapshot.on.data.error",
        T::Boolean,
        I::Medium,
        W::Medium,
        "Snapshot mode property based snapshot on data error",
        "Whether the configuration based mode reads rows again when the log is gone.",
    )
    .default("false"),
    key(
        "snapshot.max.threads",
        T::Int,
        I::Medium,
        W::Short,
        "Snapshot maximum threads",
        "Threads of the JVM connector's snapshot.",
    )
    .default("1")
    .ignored(),
    key(
        "snapshot.max.threads.multiplier",
        T::Int,
        I::Medium,
        W::Short,
        "Snapshot maximum thread multiplier",
        "Parts per thread of the JVM connector's snapshot.",
    )
    .default("1")
    .ignored(),
    key(
        "legacy.snapshot.max.threads",
        T::Boolean,
        I::Low,
        W::Short,
        "Enforces using a single thread per table regardless of table size",
        "Whether one thread reads one table in the JVM connector.",
    )
    .default("false")
    .ignored(),
    key(
        "streaming.delay.ms",
        T::Long,
        I::Low,
        W::Medium,
        "Streaming Delay (milliseconds)",
        "Wait between the snapshot and streaming.",
    )
    .default("0")
    .ignored(),
    key(
        "query.fetch.size",
        T::Int,
        I::Medium,
        W::Medium,
        "Query fetch size",
        "Rows that the JVM connector fetches at once from queries.",
    )
    .default("0")
    .ignored(),
    key(
        "incremental.snapshot.watermarking.strategy",
        T::String,
        I::Low,
        W::Medium,
        "Incremental snapshot watermarking strategy",
        "How an incremental snapshot marks its windows.",
    )
    .default("INSERT_INSERT")
    .ignored(),
    key(
        "snapshot.lock.timeout.ms",
        T::Long,
        I::Medium,
        W::Long,
        "Snapshot lock timeout (ms)",
        "How long the JVM connector's snapshot waits for a lock. The native worker takes none.",
    )
    .default("10000")
    .ignored(),
    key(
        "snapshot.select.statement.overrides",
        T::String,
        I::Medium,
        W::Long,
        "List of tables where the default select statement used during snapshotting should be overridden.",
        "Tables whose snapshot has a query of its own.",
    ),
    key(
        "internal.snapshot.scan.all.columns.force",
        T::Boolean,
        I::Low,
        W::Short,
        "Snapshot force scan all columns of all tables",
        "Whether the JVM connector's snapshot reads the columns of all tables.",
    )
    .default("false"),
    key(
        "snapshot.tables.order.by.row.count",
        T::String,
        I::Medium,
        W::None,
        "Initial snapshot tables order by row count",
        "Order in which the snapshot reads tables.",
    )
    .default("disabled")
    .ignored(),
    key(
        "snapshot.mode",
        T::String,
        I::Medium,
        W::Short,
        "Snapshot mode",
        "What happens to rows that are there before the stream: initial reads them once, always at each start of the task, initial_only once and without a stream, no_data leaves them out, when_needed reads them again when the stored position is of no use any more.",
    )
    .default("initial")
    .only(&["initial", "always", "initial_only", "no_data", "when_needed"]),
    key(
        "snapshot.isolation.mode",
        T::String,
        I::Low,
        W::Short,
        "Snapshot isolation mode",
        "Isolation of the snapshot. The native worker's is that of an exported snapshot.",
    )
    .default("serializable")
    .ignored(),
    key("snapshot.query.mode", T::String, I::Low, W::Short, "Snapshot query mode", "How the snapshot's query is made.")
        .default("select_all")
        .only(&["select_all"]),
    key(
        "snapshot.query.mode.custom.name",
        T::String,
        I::Medium,
        W::Medium,
        "Snapshot Query Mode Custom Name",
        "Name of a query mode of one's own.",
    ),
    key(
        "snapshot.locking.mode",
        T::String,
        I::Low,
        W::Short,
        "Snapshot locking mode",
        "Whether the snapshot locks tables. The native worker takes no lock.",
    )
    .default("none")
    .ignored(),
    key(
        "snapshot.locking.mode.custom.name",
        T::String,
        I::Medium,
        W::Medium,
        "Snapshot Locking Mode Custom Name",
        "Name of a locking mode of one's own.",
    ),
    key(
        "incremental.snapshot.chunk.size",
        T::Int,
        I::Medium,
        W::Medium,
        "Incremental snapshot chunk size",
        "The most rows of an incremental snapshot that are read at once, 1 to 100000.",
    )
    .default("1024")
    .read(),
];

/// Batches, errors and metrics.
pub(super) const ADVANCED: &[ConfigKey] = &[
    key("retriable.restart.connector.wait.ms", T::Long, I::Low, W::Medium, "Retriable restart wait (ms)", "Wait before the JVM connector starts again after an error that may pass.").default("10000").ignored(),
    key("max.queue.size", T::Int, I::Medium, W::Short, "Change event buffer size", "The most rows that wait in the JVM connector. The native worker bounds bytes.").default("8192").ignored(),
    key("max.batch.size", T::Int, I::Medium, W::Short, "Change event batch size", "The most rows handed on at once.").default("2048").read(),
    key("poll.interval.ms", T::Long, I::Medium, W::Short, "Poll interval (ms)", "How long the JVM connector waits for rows. The native worker is woken by them.").default("500").ignored(),
    key("max.queue.size.in.bytes", T::Long, I::Medium, W::Long, "Change event buffer size in bytes", "The most bytes that wait for Kafka, 1048576 to 1073741824; 0 for 16 MiB.").default("0").read(),
    key("event.processing.failure.handling.mode", T::String, I::Medium, W::Short, "Event deserialization failure handling", "What the JVM connector does with an event that it cannot read.").default("fail").ignored(),
    key("errors.max.retries", T::Int, I::Low, W::Medium, "The maximum number of retries", "How often the JVM connector tries again after an error that may pass.").default("-1").ignored(),
    key("internal.log.position.check.enable", T::Boolean, I::Medium, W::Medium, "Enable/Disable log position check", "Whether the JVM connector checks at its start that the log still holds its position. The native worker always does.").default("true").ignored(),
    key("internal.advanced.metrics.enable", T::Boolean, I::Medium, W::Medium, "Enable/Disable advance metrics", "Whether the JVM connector has further metrics.").default("false").ignored(),
    key("connection.validation.timeout.ms", T::Long, I::Low, W::Short, "Connection validation timeout (ms)", "How long the JVM connector tests a connection.").default("60000").ignored(),
    key("executor.shutdown.timeout.ms", T::Long, I::Medium, W::Medium, "Executor shutdown timeout (ms)", "How long the JVM connector waits for its threads when it stops.").default("4000").ignored(),
    key("openlineage.integration.enabled", T::Boolean, I::Low, W::Short, "Enables OpenLineage integration", "Whether lineage is reported to OpenLineage.").default("false"),
    key("openlineage.integration.config.file.path", T::String, I::Low, W::Long, "Path to OpenLineage file configuration", "Configuration file of the OpenLineage client.").default("./openlineage.yml").ignored(),
    key("openlineage.integration.job.namespace", T::String, I::Low, W::Long, "Namespace used for Debezium job", "Namespace of the job in OpenLineage.").ignored(),
    key("openlineage.integration.job.description", T::String, I::Low, W::Long, "Description used for Debezium job", "Description of the job in OpenLineage.").default("Debezium change data capture job").ignored(),
    key("openlineage.integration.job.tags", T::List, I::Low, W::Long, "Debezium job tags", "Tags of the job in OpenLineage.").ignored(),
    key("openlineage.integration.job.owners", T::List, I::Low, W::Long, "Debezium job owners", "Owners of the job in OpenLineage.").ignored(),
    key("openlineage.integration.dataset.kafka.bootstrap.servers", T::String, I::Low, W::Long, "Kafka bootstrap server used in Kafka Connect deployment", "Kafka address that OpenLineage is told.").ignored(),
    key("extended.headers.enabled", T::Boolean, I::Low, W::Short, "Enable/Disable extended headers", "Whether records carry headers with the connector's context.").default("true").only(&["false"]),
    key("guardrail.collections.max", T::Int, I::Medium, W::Short, "Maximum number of collections or tables", "The most tables that a JVM connector may capture. A native worker captures one.").default("0").ignored(),
    key("guardrail.collections.limit.action", T::String, I::Medium, W::Short, "Guardrail collections limit action", "What happens above that.").default("warn").ignored(),
    key("custom.sanitize.pattern", T::String, I::Low, W::Long, "Custom pattern for masking sensitive configuration", "Keys that the JVM connector leaves out of its log.").default(".*secret$|.*password$|.*sasl\\.jaas\\.config$|.*basic\\.auth\\.user\\.info|.*registry\\.auth\\.client-secret|.*credentials\\.json$|.*connectionstring$|.*connection\\.string$").ignored(),
    key("signal.emit.failure.max.retries", T::Int, I::Medium, W::Short, "Signal emit window event failure maximum retries", "How often a failed event of an incremental snapshot is tried again.").default("0").ignored(),
    key("signal.emit.failure.backoff.ms", T::Long, I::Medium, W::Short, "Signal emit window event failure backoff time in ms", "Wait between such tries.").default("10000").ignored(),
    key("statistics.metrics.enabled", T::Boolean, I::Medium, W::Short, "Enable collecting statistics metrics like latencies", "Whether the JVM connector measures latencies.").default("true").ignored(),
    key("internal.offset.activity.monitor.interval.ms", T::Long, I::Low, W::Medium, "Offset activity monitor interval (ms)", "How often the JVM connector looks whether its offsets move. The native worker's task is FAILED when they do not.").default("600000").ignored(),
    key("custom.metric.tags", T::List, I::Low, W::Medium, "Customize metric tags", "Further tags for the JVM connector's metrics.").ignored(),
    key("internal.signal.synchronous.batch.size", T::Int, I::Low, W::Short, "Synchronous signal batch size", "Signals that the JVM connector handles at once.").default("10").ignored(),
    key("internal.signal.processor.semaphore.wait.ms", T::Long, I::Low, W::Short, "Signal processor semaphore wait time (ms)", "How long the JVM connector waits for its own lock before it leaves signals for later.").default("10000").ignored(),
];

/// What happens while nothing changes.
pub(super) const HEARTBEAT: &[ConfigKey] = &[
    key("heartbeat.interval.ms", T::Int, I::Medium, W::Medium, "Connector heartbeat interval (milli-seconds)", "How often a heartbeat record is written, and progress stored while nothing changes, 100 to 3600000; 0 for no records and progress each 10 s. A task without progress for twice as long is FAILED.").default("0").read(),
    key("heartbeat.topics.prefix", T::String, I::Low, W::Medium, "A prefix used for naming of heartbeat topics", "Older name of topic.heartbeat.prefix.").default("__debezium-heartbeat").read(),
    key("signal.poll.interval.ms", T::Long, I::Medium, W::Short, "Signal processor poll interval", "How often the signaling topic is looked at, 10 to 600000.").default("5000").read(),
    key("heartbeat.action.query", T::String, I::Low, W::Medium, "An optional query to execute with every heartbeat", "Statement that runs with each heartbeat. The native worker needs none to move an idle slot: it stores keepalive positions.").read(),
];
