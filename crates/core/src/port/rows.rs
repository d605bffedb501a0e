//! A table's own rows, for whoever compares them with what a pipeline has made of them.

use std::sync::Arc;

use async_trait::async_trait;

use super::PortError;
use crate::change::{Relation, Tuple};

/// The rows of one table, read once from begin to end.
///
/// * **Order**: any.
/// * **Consistency**: all rows are those of one moment, at which the source was opened.
/// * **Parallelism**: one caller. **Shutdown**: dropping it ends the reading.
#[async_trait]
pub trait RowSource: Send {
    /// The schema that the rows are read under.
    fn relation(&self) -> Arc<Relation>;

    /// Appends the next rows, some MiB at most. No row means the end.
    async fn read(&mut self, rows: &mut Vec<Tuple>) -> Result<(), PortError>;
}
