//! A table's own rows, for whoever compares them with what a pipeline has made of them.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::PortError;
use super::source::Visible;
use crate::change::{Relation, Tuple};
use crate::lsn::Lsn;

/// The moment that rows were read at: which of the log's transactions they hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Whose changes they hold. Transactions become visible in an order that is not quite the log's, so no position in the
    /// log says the same.
    pub visible: Visible,
    /// Every visible transaction had ended in the log before this position.
    pub fence: Lsn,
}

impl Moment {
    /// Whether the rows hold a change of this transaction at this position, or what a snapshot read at this position
    /// without a transaction of its own.
    pub fn holds(&self, xid: Option<u32>, lsn: Lsn) -> bool {
        xid.map_or(lsn <= self.fence, |xid| self.visible.sees(xid))
    }
}

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
