//! Keys of Debezium's PostgreSQL connector about the server.

use super::key::ConfigKey;
use super::key::Importance as I;
use super::key::Type as T;
use super::key::Width as W;
use super::key::key;

/// The server.
pub(super) const CONNECTION: &[ConfigKey] = &[
    key("database.hostname", T::String, I::High, W::Medium, "Hostname", "Host name or address of the PostgreSQL server.").read(),
    key("database.port", T::Int, I::High, W::Short, "Port", "Port of the PostgreSQL server.").default("5432").read(),
    key("database.user", T::String, I::High, W::Short, "User", "Role that reads the table and the log. It needs REPLICATION, and SELECT for the snapshot.").read(),
    key("database.password", T::Password, I::High, W::Short, "Password", "Password of the role. Give a reference such as ${env:NAME}; a value in clear is kept in the configurations topic.").read(),
    key("database.dbname", T::String, I::High, W::Medium, "Database", "Database that holds the table.").read(),
    key("database.query.timeout.ms", T::Int, I::Low, W::None, "Query timeout", "How long a statement may take in the JVM connector. The native worker has bounds of its own.").default("600000").ignored(),
];

/// Its sessions.
pub(super) const CONNECTION_ADVANCED: &[ConfigKey] = &[
    key(
        "skip.messages.without.change",
        T::Boolean,
        I::Medium,
        W::Short,
        "Enable skipping messages without change",
        "Whether updates are left out that change no captured column.",
    )
    .default("false")
    .only(&["false"]),
    key(
        "database.initial.statements",
        T::String,
        I::Low,
        W::Long,
        "Initial statements",
        "Statements run at the start of every connection.",
    ),
    key(
        "database.tcpKeepAlive",
        T::Boolean,
        I::Medium,
        W::Short,
        "TCP keep-alive probe",
        "Whether idle connections are probed. The native worker always does.",
    )
    .default("true")
    .ignored(),
];

/// The slot and the publication.
pub(super) const REPLICATION: &[ConfigKey] = &[
    key("plugin.name", T::String, I::Medium, W::Medium, "Plugin", "Output plugin of the slot.")
        .default("decoderbufs")
        .only(&["pgoutput"]),
    key(
        "slot.name",
        T::String,
        I::Medium,
        W::Medium,
        "Slot",
        "Replication slot. It belongs to this connector alone and holds the log back until the rows are in Kafka.",
    )
    .default("debezium")
    .read(),
    key(
        "publication.name",
        T::String,
        I::Medium,
        W::Medium,
        "Publication",
        "Publication that the slot reads. It must publish exactly the one table.",
    )
    .default("dbz_publication")
    .read(),
    key(
        "publication.autocreate.mode",
        T::String,
        I::Medium,
        W::Medium,
        "Publication Auto Create Mode",
        "Whether the connector may create publications. The native worker reads one that exists.",
    )
    .default("all_tables")
    .only(&["disabled"]),
    key(
        "replica.identity.autoset.values",
        T::String,
        I::Medium,
        W::Long,
        "Replica Identity Auto Set Values",
        "Replica identities that the connector sets on tables by itself.",
    ),
    key(
        "slot.drop.on.stop",
        T::Boolean,
        I::Medium,
        W::None,
        "Drop slot on stop",
        "Whether the slot is dropped when the connector stops; changes since then would be lost.",
    )
    .default("false")
    .only(&["false"]),
    key(
        "slot.failover",
        T::Boolean,
        I::Medium,
        W::None,
        "Create failover slot",
        "Whether the slot is created so that standbys keep a copy of it.",
    )
    .default("false")
    .only(&["false"]),
    key(
        "slot.stream.params",
        T::String,
        I::Low,
        W::Long,
        "Optional parameters to pass to the logical decoder when the stream is started.",
        "Further parameters for the output plugin.",
    ),
    key(
        "slot.max.retries",
        T::Int,
        I::Low,
        W::None,
        "Retry count",
        "How often connecting to a slot is tried. The native worker tries until it is stopped.",
    )
    .default("6")
    .ignored(),
    key("slot.retry.delay.ms", T::Long, I::Low, W::None, "Retry delay", "Wait between two tries to connect to a slot.")
        .default("10000")
        .ignored(),
    key(
        "status.update.interval.ms",
        T::Int,
        I::Medium,
        W::Short,
        "Status update interval (ms)",
        "How often the server is told what has arrived. The native worker tells it at least every second.",
    )
    .default("10000")
    .ignored(),
    key(
        "lsn.flush.timeout.ms",
        T::Long,
        I::Medium,
        W::Short,
        "LSN flush timeout (ms)",
        "How long the JVM connector waits for a confirmation to be sent.",
    )
    .default("30000")
    .ignored(),
    key(
        "lsn.flush.timeout.action",
        T::String,
        I::Medium,
        W::Medium,
        "LSN flush timeout action",
        "What the JVM connector does when that takes longer.",
    )
    .default("fail")
    .ignored(),
    key(
        "xmin.fetch.interval.ms",
        T::Long,
        I::Medium,
        W::Short,
        "Xmin fetch interval (ms)",
        "How often the slot's oldest transaction is looked up for the JVM connector's events.",
    )
    .default("0")
    .ignored(),
];

/// Encryption.
pub(super) const SSL: &[ConfigKey] = &[
    key(
        "database.sslmode",
        T::String,
        I::Medium,
        W::Medium,
        "SSL mode",
        "Whether the connection is encrypted. The native worker connects without encryption.",
    )
    .default("prefer")
    .only(&["prefer", "disable", "allow"]),
    key(
        "database.sslcert",
        T::String,
        I::Medium,
        W::Long,
        "SSL Client Certificate",
        "File with the client's certificate.",
    ),
    key("database.sslkey", T::String, I::Medium, W::Long, "SSL Client Key", "File with the client's key."),
    key(
        "database.sslpassword",
        T::Password,
        I::Medium,
        W::Medium,
        "SSL Client Key Password",
        "Password of the client's key.",
    ),
    key(
        "database.sslrootcert",
        T::String,
        I::Medium,
        W::Long,
        "SSL Root Certificate",
        "File with the certificates that the server's is checked against.",
    ),
    key(
        "database.sslfactory",
        T::String,
        I::Medium,
        W::Long,
        "SSL Root Certificate",
        "Java class that makes encrypted sockets.",
    ),
];
