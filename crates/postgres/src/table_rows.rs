//! A table's rows as of one moment, without a slot: for whoever compares them with what a pipeline has made of them.

use std::sync::Arc;

use async_trait::async_trait;
use datapipe_core::change::{Relation, Tuple};
use datapipe_core::port::PortError;
use datapipe_core::port::rows::{Moment, RowSource};

use crate::config::SourceSpec;
use crate::error::Error;
use crate::snapshot::Snapshot;

/// The rows of one table in one read-only transaction.
pub struct TableRows {
    snapshot: Snapshot,
    moment: Moment,
    table: String,
}

impl TableRows {
    /// Opens the transaction; the rows are those of this moment.
    pub async fn open(spec: &SourceSpec) -> Result<Self, PortError> {
        let table = spec.qualified();
        let (snapshot, moment) = Snapshot::now(spec).await.map_err(|error| during(error, &table))?;
        Ok(Self { snapshot, moment, table })
    }

    /// The moment that the rows are of.
    pub const fn moment(&self) -> &Moment {
        &self.moment
    }
}

#[async_trait]
impl RowSource for TableRows {
    fn relation(&self) -> Arc<Relation> {
        self.snapshot.relation()
    }

    async fn read(&mut self, rows: &mut Vec<Tuple>) -> Result<(), PortError> {
        self.snapshot.read(None, rows).await.map_err(|error| during(error, &self.table))
    }
}

fn during(error: Error, table: &str) -> PortError {
    error.during(format!("reading the rows of table {table}"))
}
