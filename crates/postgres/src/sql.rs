//! An ordinary SQL session, and SQL text made safe.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row};

use crate::config::SourceSpec;
use crate::error::Error;

/// A session whose queries are bounded in time. Dropping it ends the session.
pub(crate) struct Sql {
    client: Client,
    limit: Duration,
}

impl Sql {
    pub(crate) async fn connect(spec: &SourceSpec) -> Result<Self, Error> {
        let limit = spec.config.connect_timeout;
        let config = spec.config.sql(&spec.application());
        let connect = timeout(limit, config.connect(NoTls)).await.map_err(|_| Error::Timeout(limit))?;
        let (client, connection) = connect.map_err(|error| reachable(error, spec))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "SQL session ended");
            }
        });
        Ok(Self { client, limit: spec.query_timeout })
    }

    /// False once the session has ended.
    pub(crate) fn is_open(&self) -> bool {
        !self.client.is_closed()
    }

    /// The client itself, for what is not bounded by the limit of a query.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) async fn query(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        let query = self.client.query(sql, parameters);
        Ok(timeout(self.limit, query).await.map_err(|_| Error::Timeout(self.limit))??)
    }

    pub(crate) async fn query_one(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Row, Error> {
        let query = self.client.query_one(sql, parameters);
        Ok(timeout(self.limit, query).await.map_err(|_| Error::Timeout(self.limit))??)
    }

    /// Runs statements whose rows are of no interest.
    pub(crate) async fn run(&self, sql: &str) -> Result<(), Error> {
        let run = self.client.batch_execute(sql);
        Ok(timeout(self.limit, run).await.map_err(|_| Error::Timeout(self.limit))??)
    }
}

/// Tells a server that cannot be reached from one that refuses.
fn reachable(error: tokio_postgres::Error, spec: &SourceSpec) -> Error {
    use std::error::Error as _;
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    match io {
        Some(io) => {
            Error::Connect { address: spec.config.address(), source: std::io::Error::new(io.kind(), io.to_string()) }
        }
        None => error.into(),
    }
}

/// An identifier in double quotes.
pub(crate) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A schema's table.
pub(crate) fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", ident(schema), ident(name))
}

/// A text as a literal, whatever `standard_conforming_strings` says.
pub(crate) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_leaves_no_way_out() {
        assert_eq!(ident("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("a'b"), "'a''b'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
        assert_eq!(qualified("s", "T"), "\"s\".\"T\"");
    }
}
