//! A plain SQL session, for programs that set up or look at a database beside a pipeline.

use datapipe_core::port::PortError;
use tokio_postgres::SimpleQueryMessage;

use crate::config::{PgConfig, SourceSpec};
use crate::error::Error;
use crate::sql::Sql;

/// An SQL session whose texts come and go as PostgreSQL writes them. Dropping it ends the session.
pub struct Session {
    sql: Sql,
    address: String,
}

impl Session {
    /// Connects; the limit is the configuration's.
    pub async fn connect(config: &PgConfig) -> Result<Self, PortError> {
        let address = config.address();
        let spec = SourceSpec::new(config.clone(), "", "", "", "");
        let sql = Sql::connect(&spec)
            .await
            .map_err(|error| error.during(format!("connecting to PostgreSQL at {address}")))?;
        Ok(Self { sql, address })
    }

    /// Runs statements; returns how many rows each of them changed or gave, in their order.
    pub async fn run(&self, statements: &str) -> Result<Vec<u64>, PortError> {
        let messages = self.simple(statements).await?;
        let counts = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
            _ => None,
        });
        Ok(counts.collect())
    }

    /// Runs a query and returns its rows as texts; none for NULL. The result is held in memory whole.
    pub async fn rows(&self, query: &str) -> Result<Vec<Vec<Option<String>>>, PortError> {
        let messages = self.simple(query).await?;
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }

    async fn simple(&self, text: &str) -> Result<Vec<SimpleQueryMessage>, PortError> {
        let start: String = text.chars().take(60).collect();
        let attempt = || format!("running {start:?} on PostgreSQL at {}", self.address);
        self.sql.client().simple_query(text).await.map_err(|error| Error::from(error).during(attempt()))
    }
}
