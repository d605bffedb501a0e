//! What must be true of a server before tables can be captured: looked at in one go, judged all at once, nothing
//! changed.

mod judge;
mod observe;

use datapipe_core::plan::Problem;
use datapipe_core::port::PortError;

pub use judge::{judge_server, judge_table};
pub use observe::{ObservedServer, ObservedTable, TableFacts};

use crate::config::SourceSpec;
use crate::sql::Sql;

/// A table to be captured.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Its source.
    pub spec: SourceSpec,
    /// The key as declared, in its order; empty if none is declared.
    pub key: Vec<String>,
    /// Whether it may do without a primary key; its rows are then known by all of their columns.
    pub keyless: bool,
}

/// Finds everything that would keep these tables of one database from being captured, each with what to do about it.
/// A publication that the role may create itself is no problem, nor is a missing slot.
///
/// # Errors
/// If the server cannot be asked.
pub async fn preflight(tables: &[Expected]) -> Result<Vec<Problem>, PortError> {
    look(tables, tables.len()).await
}

/// The same for one table that may be captured already: whether the server has room for its stream is not asked.
///
/// # Errors
/// If the server cannot be asked.
pub async fn examine(table: &Expected) -> Result<Vec<Problem>, PortError> {
    look(std::slice::from_ref(table), 0).await
}

async fn look(tables: &[Expected], streams: usize) -> Result<Vec<Problem>, PortError> {
    let Some(first) = tables.first() else { return Ok(Vec::new()) };
    let database = format!("{} on {}", first.spec.config.database, first.spec.config.address());
    let look = async {
        let sql = Sql::connect(&first.spec).await?;
        let server = ObservedServer::read(&sql).await?;
        let mut observed = Vec::new();
        for table in tables {
            observed.push(ObservedTable::read(&sql, &table.spec).await?);
        }
        Ok((server, observed))
    };
    let (server, observed) =
        look.await.map_err(|error: crate::Error| error.during(format!("looking at database {database}")))?;
    let slots_missing = observed.iter().filter(|table| table.slot.is_none()).count();
    let mut problems = judge_server(&database, &server, slots_missing, streams);
    for (expected, table) in tables.iter().zip(&observed) {
        problems.extend(judge_table(expected, table));
    }
    Ok(problems)
}
