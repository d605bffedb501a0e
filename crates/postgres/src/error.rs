//! What can go wrong between us and the server, and what it means for the caller.

use std::io;
use std::time::Duration;

use datapipe_core::Lsn;
use datapipe_core::change::TupleError;
use datapipe_core::port::{ErrorKind, PortError};

use crate::pgoutput::DecodeError;

/// A failure of this adapter.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Connection settings that cannot be used.
    #[error("connection settings cannot be used: {0}")]
    Config(String),
    /// The server cannot be reached.
    #[error("no connection to {address}")]
    Connect {
        /// Host and port.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An open connection broke.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// The server ended the connection without a word.
    #[error("the server closed the connection")]
    Closed,
    /// The server was silent for too long.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The server refused a statement.
    #[error(transparent)]
    Server(Box<ServerError>),
    /// The SQL client failed on its own side.
    #[error("the SQL connection failed")]
    Sql(#[source] tokio_postgres::Error),
    /// Bytes that do not follow the protocol.
    #[error("the server sent what is not expected here: {0}")]
    Protocol(String),
    /// A logical replication message that cannot be decoded.
    #[error("a replication message cannot be decoded")]
    Decode(#[from] DecodeError),
    /// A row image that cannot be read.
    #[error("a row cannot be read")]
    Row(#[from] TupleError),
    /// Something stands that a person must change.
    #[error("{why}")]
    Refused {
        /// What is wrong.
        why: String,
        /// What to do.
        hint: String,
    },
    /// The table's rows at the snapshot's point are not there any more.
    #[error("table {table} was rewritten or truncated just after the snapshot's point {point}")]
    Rewritten {
        /// The table.
        table: String,
        /// The snapshot's point.
        point: Lsn,
    },
    /// The server waits for transactions that began before the slot, and they did not end in time.
    #[error("slot {slot} was not ready after {} s: the server waits for transactions that began before it", .limit.as_secs())]
    SlotNotReady {
        /// The slot's name.
        slot: String,
        /// How long we waited.
        limit: Duration,
    },
    /// The slot serves another connection, and went on doing so for the time that we may wait.
    #[error("slot {slot} is in use: {holder}")]
    SlotActive {
        /// The slot's name.
        slot: String,
        /// Who holds it.
        holder: String,
    },
}

/// An error or a notice as the server words it.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}{} (SQLSTATE {code})", if .detail.is_empty() { "" } else { ": " }, .detail)]
pub struct ServerError {
    /// The five characters of the condition.
    pub code: String,
    /// The primary message.
    pub message: String,
    /// The detail; empty if there is none.
    pub detail: String,
    /// The server's own advice; empty if there is none.
    pub hint: String,
}

impl From<ServerError> for Error {
    fn from(error: ServerError) -> Self {
        Self::Server(Box::new(error))
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            return if error.is_closed() { Self::Closed } else { Self::Sql(error) };
        };
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let server = ServerError {
            code: db.code().code().to_owned(),
            message: db.message().to_owned(),
            detail: text(db.detail()),
            hint: text(db.hint()),
        };
        server.into()
    }
}

impl Error {
    /// The condition's code, if the server answered with one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Server(error) => Some(&error.code),
            _ => None,
        }
    }

    /// What the failure means for the caller.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Connect { .. }
            | Self::Io(_)
            | Self::Closed
            | Self::Timeout(_)
            | Self::Sql(_)
            | Self::Rewritten { .. }
            | Self::SlotNotReady { .. }
            | Self::SlotActive { .. } => ErrorKind::Retry,
            Self::Server(error) if passes(&error.code) => ErrorKind::Retry,
            _ => ErrorKind::Refused,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> String {
        let hint = match self {
            Self::Connect { address, .. } => return format!("check that PostgreSQL listens on {address}"),
            Self::Refused { hint, .. } => return hint.clone(),
            Self::Server(error) => return hint_of(error),
            Self::SlotActive { .. } => {
                "end that client; it frees the slot at once, or after wal_sender_timeout if it is cut off"
            }
            Self::SlotNotReady { .. } => {
                "look for them: SELECT pid, state, xact_start, query FROM pg_stat_activity WHERE backend_xid IS NOT NULL \
                 ORDER BY xact_start"
            }
            Self::Config(_) => "correct the postgres settings",
            Self::Io(_) | Self::Closed | Self::Sql(_) => {
                "it is tried again; if it goes on, look into PostgreSQL's log for the session's end, and at what lies \
                 between (proxies, firewalls)"
            }
            Self::Timeout(_) => {
                "it is tried again; if it goes on, look at what the server is busy with: SELECT pid, wait_event_type, \
                 wait_event, state, query FROM pg_stat_activity"
            }
            Self::Rewritten { .. } => {
                "it is tried again; do not rewrite or truncate the table while its snapshot begins"
            }
            Self::Protocol(_) | Self::Decode(_) | Self::Row(_) => {
                "if a proxy stands between, connect to PostgreSQL itself; otherwise report it with the server's version"
            }
        };
        hint.to_owned()
    }

    /// The port's error for a failed attempt, as in `reading slot debezium_slot_users`.
    pub fn during(self, attempt: impl Into<String>) -> PortError {
        PortError::new(self.kind(), attempt).hint(self.hint()).because(self)
    }
}

/// True if a condition may pass by itself. PostgreSQL's appendix "Error Codes": 08 connection, 40 rollback, 53
/// resources, 57 operator intervention (shutdown), 58 system error, XX internal, 55006 object in use, 55P03 lock.
fn passes(code: &str) -> bool {
    let class = code.get(..2).unwrap_or_default();
    matches!(class, "08" | "40" | "53" | "57" | "58" | "XX") || matches!(code, "55006" | "55P03")
}

fn hint_of(error: &ServerError) -> String {
    let hint = match error.code.as_str() {
        "28P01" => "check user and password",
        "28000" => {
            "check pg_hba.conf (a replication connection to a database needs an entry for that database), and the role: ALTER ROLE .. LOGIN REPLICATION"
        }
        "3D000" => "check the database's name",
        "42501" => "grant the role what it lacks: ALTER ROLE .. REPLICATION, GRANT SELECT ON .. TO ..",
        "53300" => "raise max_connections or max_wal_senders, or end connections that nobody needs",
        "53400" => "raise max_replication_slots (a restart of the server is needed), or drop slots that nobody needs",
        _ if !error.hint.is_empty() => &error.hint,
        _ => "see the SQLSTATE in PostgreSQL's appendix \"Error Codes\", and the server's log",
    };
    hint.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: &str) -> Error {
        ServerError { code: code.to_owned(), message: "no".to_owned(), ..ServerError::default() }.into()
    }

    #[test]
    fn a_shutdown_passes_and_a_missing_right_does_not() {
        for code in ["57P01", "57P03", "53300", "55006", "08006", "40001"] {
            assert_eq!(server(code).kind(), ErrorKind::Retry, "{code}");
        }
        for code in ["28P01", "28000", "42501", "42704", "55000", "3D000"] {
            assert_eq!(server(code).kind(), ErrorKind::Refused, "{code}");
        }
    }

    #[test]
    fn each_failure_has_a_next_step() {
        let io = || io::Error::other("reset");
        for error in [
            Error::Config("x".to_owned()),
            Error::Connect { address: "h:1".to_owned(), source: io() },
            Error::Io(io()),
            Error::Closed,
            Error::Timeout(Duration::from_secs(1)),
            Error::Protocol("x".to_owned()),
            Error::Rewritten { table: "t".to_owned(), point: Lsn(1) },
            Error::SlotNotReady { slot: "s".to_owned(), limit: Duration::from_secs(1) },
            Error::SlotActive { slot: "s".to_owned(), holder: "h".to_owned() },
            server("28P01"),
            server("42P01"),
        ] {
            assert!(error.hint().len() > 10, "{error:?}");
        }
    }

    #[test]
    fn the_report_names_attempt_cause_and_next_step() {
        let error = server("28P01").during("connecting to shop at db:5432");
        assert_eq!(error.report(), "connecting to shop at db:5432: no (SQLSTATE 28P01); check user and password");
    }
}
