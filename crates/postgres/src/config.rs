//! Where the server is, and as whom we connect.

use std::time::Duration;

use datapipe_core::Secret;
use datapipe_core::envelope::Columns;
use tokio_postgres::config::{Host, SslMode};

use crate::error::Error;

/// Settings of every session of ours, so that rows have the same text form in the stream and in a snapshot, and that
/// no time limit of the role or the database cuts a snapshot off.
pub(crate) const SESSION: &[(&str, &str)] = &[
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
];

/// A server and a role.
#[derive(Clone, Debug)]
pub struct PgConfig {
    /// Name or address of the server; TCP only.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The role.
    pub user: String,
    /// Its password; none for `trust`.
    pub password: Option<Secret>,
    /// The database.
    pub database: String,
    /// The limit for making a connection, login included.
    pub connect_timeout: Duration,
    /// `wal_sender_timeout` of our replication connections: how long the server keeps a slot for a worker that is
    /// stopped or cut off. We report twice a second, so the server's default of 60 s only makes a successor wait.
    pub sender_timeout: Duration,
}

impl PgConfig {
    /// A configuration with default port and time limits (10 s each).
    pub fn new(host: impl Into<String>, user: impl Into<String>, database: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port: 5432,
            user: user.into(),
            password: None,
            database: database.into(),
            connect_timeout: Duration::from_secs(10),
            sender_timeout: Duration::from_secs(10),
        }
    }

    /// Reads a `postgresql://user:password@host:port/database?sslmode=..` URL. The URL is never shown in an error,
    /// as it may hold a password.
    ///
    /// # Errors
    /// If the URL is malformed, names no single TCP host, no user or no database, or asks for TLS.
    pub fn from_url(url: &Secret) -> Result<Self, Error> {
        let refuse = |why: &str| Error::Config(why.to_owned());
        let parsed: tokio_postgres::Config = url.expose().parse().map_err(|_| {
            refuse("the URL is malformed; expected postgresql://user:password@host:port/database?sslmode=disable")
        })?;
        if !matches!(parsed.get_ssl_mode(), SslMode::Disable | SslMode::Prefer) {
            return Err(refuse(
                "sslmode=require: TLS is not supported yet; use sslmode=disable on a network you trust",
            ));
        }
        let [Host::Tcp(host)] = parsed.get_hosts() else {
            return Err(refuse("exactly one TCP host is needed"));
        };
        let user = parsed.get_user().filter(|user| !user.is_empty()).ok_or_else(|| refuse("the user is missing"))?;
        let database =
            parsed.get_dbname().filter(|name| !name.is_empty()).ok_or_else(|| refuse("the database is missing"))?;
        let mut config = Self::new(host, user, database);
        config.port = parsed.get_ports().first().copied().unwrap_or(config.port);
        config.password = parsed.get_password().map(|bytes| Secret::new(String::from_utf8_lossy(bytes)));
        config.connect_timeout = parsed.get_connect_timeout().copied().unwrap_or(config.connect_timeout);
        Ok(config)
    }

    /// Host and port, for messages.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The SQL client's form of it.
    pub(crate) fn sql(&self, application: &str) -> tokio_postgres::Config {
        let options: Vec<String> = SESSION.iter().map(|(name, value)| format!("-c {name}={value}")).collect();
        let mut config = tokio_postgres::Config::new();
        config
            .host(&self.host)
            .port(self.port)
            .user(&self.user)
            .dbname(&self.database)
            .ssl_mode(SslMode::Disable)
            .connect_timeout(self.connect_timeout)
            // A COPY waits for the server without a limit of its own: a peer that is cut off must be found out here.
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .tcp_user_timeout(SENT_MAX)
            .application_name(application)
            .options(options.join(" "));
        if let Some(password) = &self.password {
            config.password(password.expose());
        }
        config
    }
}

/// After this long without a byte from the server it is probed: on an idle line, and in the middle of a COPY.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// A peer that answers none of so many probes is gone: 25 s after its last byte.
const KEEPALIVE_RETRIES: u32 = 3;
/// And one that acknowledges nothing of what was sent to it for so long.
const SENT_MAX: Duration = Duration::from_secs(30);

/// What one table's source needs to know.
#[derive(Clone, Debug)]
pub struct SourceSpec {
    /// The server.
    pub config: PgConfig,
    /// The table's schema.
    pub schema: String,
    /// The table's name.
    pub table: String,
    /// The slot's name.
    pub slot: String,
    /// The publication's name.
    pub publication: String,
    /// How long to wait for the slot while another connection holds it. A dead peer's connection holds it up to
    /// [`PgConfig::sender_timeout`], and one that is not ours up to the server's `wal_sender_timeout` (60 s by default).
    pub slot_wait: Duration,
    /// How long the server may wait for running transactions before a new slot or snapshot is ready.
    pub snapshot_wait: Duration,
    /// The limit for one catalog query.
    pub query_timeout: Duration,
    /// The signaling table, schema and name: its inserts are signals. The publication must hold it.
    pub signal_table: Option<(String, String)>,
    /// A statement that runs with each heartbeat.
    pub heartbeat_query: Option<String>,
    /// Which columns records hold: one that none holds may be of any type.
    pub columns: Columns,
}

impl SourceSpec {
    /// A source with default limits: 75 s for a slot in use, 10 minutes for a new one, 30 s for a query.
    pub fn new(
        config: PgConfig,
        schema: impl Into<String>,
        table: impl Into<String>,
        slot: impl Into<String>,
        publication: impl Into<String>,
    ) -> Self {
        Self {
            config,
            schema: schema.into(),
            table: table.into(),
            slot: slot.into(),
            publication: publication.into(),
            slot_wait: Duration::from_secs(75),
            snapshot_wait: Duration::from_mins(10),
            query_timeout: Duration::from_secs(30),
            signal_table: None,
            heartbeat_query: None,
            columns: Columns::all(),
        }
    }

    /// Schema and table for messages.
    pub fn qualified(&self) -> String {
        format!("{}.{}", self.schema, self.table)
    }

    /// How our sessions show in `pg_stat_activity`; PostgreSQL cuts it at 63 bytes.
    pub(crate) fn application(&self) -> String {
        format!("datapipe {}", self.slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<PgConfig, Error> {
        PgConfig::from_url(&Secret::new(text))
    }

    #[test]
    fn a_url_is_read() {
        let config = url("postgresql://cdc:s%40cret@db.example:5433/shop?sslmode=disable").unwrap();
        assert_eq!((config.address().as_str(), config.user.as_str()), ("db.example:5433", "cdc"));
        assert_eq!((config.database.as_str(), config.password), ("shop", Some(Secret::new("s@cret"))));
    }

    #[test]
    fn a_session_finds_out_that_its_peer_is_gone() {
        let config = PgConfig::new("h", "u", "d").sql("test");
        assert!(config.get_keepalives());
        let silence = config.get_keepalives_idle()
            + config.get_keepalives_interval().unwrap() * config.get_keepalives_retries().unwrap();
        assert_eq!(silence, Duration::from_secs(25));
        assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_secs(30)));
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_showing_the_password() {
        for (text, part) in [
            ("postgresql://u:hunter2@h/d?sslmode=require", "not supported yet"),
            ("postgresql://u:hunter2@h", "database is missing"),
            ("postgresql://:hunter2@h/d", "user is missing"),
            ("mysql://u:hunter2@h/d", "malformed"),
            ("postgresql://u:hunter2@a,b/d", "one TCP host"),
            ("postgresql://u:hunter2@%2Ftmp/d", "one TCP host"),
        ] {
            let error = url(text).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("hunter2"), "{text}: {error}");
        }
    }
}
