//! What must be true of a server before tables can be captured: looked at in one go, judged all at once, nothing
//! changed.

mod judge;
mod observe;

use std::collections::BTreeMap;

use datapipe_core::plan::{Problem, SlotUse};
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
    /// Whether Debezium reads it, which takes more kinds of tables, and makes no publication.
    pub debezium: bool,
}

/// What the server must have room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// Slots to be made.
    pub slots: usize,
    /// Streams to be opened.
    pub streams: usize,
    /// Whether one of the snapshots may need a temporary slot beside its own.
    pub snapshots: bool,
}

/// What a look at the server has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What would keep the tables from being captured.
    pub problems: Vec<Problem>,
    /// Who reads each slot.
    pub slots: BTreeMap<String, SlotUse>,
}

/// Finds everything that would keep these tables of one database from being captured, each with what to do about it.
/// A publication that the role may create itself is no problem, nor is a missing slot.
///
/// # Errors
/// If the server cannot be asked.
pub async fn preflight(tables: &[Expected]) -> Result<Found, PortError> {
    look(tables, true).await
}

/// The problems of one table that may be captured already: whether the server has room for its stream is not asked.
///
/// # Errors
/// If the server cannot be asked.
pub async fn examine(table: &Expected) -> Result<Vec<Problem>, PortError> {
    look(std::slice::from_ref(table), false).await.map(|found| found.problems)
}

async fn look(tables: &[Expected], streams: bool) -> Result<Found, PortError> {
    let Some(first) = tables.first() else { return Ok(Found::default()) };
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
    let pairs = || tables.iter().zip(&observed);
    // A stream that runs already has its walsender.
    let runs = |table: &ObservedTable| table.slot.as_ref().is_some_and(|slot| slot.active);
    let needed = Needed {
        slots: observed.iter().filter(|table| table.slot.is_none()).count(),
        streams: if streams { observed.iter().filter(|table| !runs(table)).count() } else { 0 },
        snapshots: pairs().any(|(expected, table)| table.slot.is_none() && !expected.debezium),
    };
    let mut found = Found { problems: judge_server(&database, &server, &needed), slots: BTreeMap::new() };
    for (expected, table) in pairs() {
        found.problems.extend(judge_table(expected, table));
        let usage = table.slot.as_ref().map_or(SlotUse::Missing, crate::ObservedSlot::usage);
        found.slots.insert(expected.spec.slot.clone(), usage);
    }
    Ok(found)
}
