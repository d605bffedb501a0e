//! Replication slots: looking, making, dropping.

use std::collections::BTreeMap;
use std::time::Duration;

use datapipe_core::Lsn;
use datapipe_core::plan::SlotUse;
use datapipe_core::port::PortError;
use datapipe_core::port::source::SlotState;

use crate::config::SourceSpec;
use crate::error::Error;
use crate::sql::{Sql, ident, literal};
use crate::wire::Connection;

/// On a standby the current position is the replayed one.
pub(crate) const CURRENT: &str = "CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
                                  ELSE pg_catalog.pg_current_wal_insert_lsn() END";

/// How long the server may take to give up a slot that it has begun to create.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);

/// A slot as `pg_replication_slots` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedSlot {
    /// `logical` or `physical`.
    pub kind: String,
    /// The output plugin of a logical slot.
    pub plugin: Option<String>,
    /// The database of a logical slot.
    pub database: Option<String>,
    /// It vanishes with the session that made it.
    pub temporary: bool,
    /// A stream reads it.
    pub active: bool,
    /// `wal_status`: `reserved`, `extended`, `unreserved` or `lost`.
    pub wal_status: Option<String>,
    /// `confirmed_flush_lsn`.
    pub confirmed: Option<Lsn>,
    /// The log that it holds back, in bytes.
    pub retained_bytes: u64,
}

impl ObservedSlot {
    /// Looks at a slot; none if there is none of that name.
    pub(crate) async fn read(sql: &Sql, slot: &str) -> Result<Option<Self>, Error> {
        let query = format!(
            "SELECT slot_type, plugin::text, database::text, temporary, active, wal_status, confirmed_flush_lsn::text, \
                    pg_catalog.pg_wal_lsn_diff({CURRENT}, restart_lsn)::bigint \
             FROM pg_catalog.pg_replication_slots WHERE slot_name = $1"
        );
        let rows = sql.query(&query, &[&slot]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Self {
            kind: row.get(0),
            plugin: row.get(1),
            database: row.get(2),
            temporary: row.get(3),
            active: row.get(4),
            wal_status: row.get(5),
            confirmed: row.get::<_, Option<&str>>(6).and_then(|text| text.parse().ok()),
            retained_bytes: row.get::<_, Option<i64>>(7).and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
        }))
    }

    /// What makes the slot useless for this source, and the way out; none if it can be used.
    pub(crate) fn unfit(&self, spec: &SourceSpec) -> Option<(String, String)> {
        let slot = &spec.slot;
        let drop = format!("SELECT pg_drop_replication_slot({}), or choose another slot name", literal(slot));
        if self.kind != "logical" {
            return Some((format!("it is a {} slot, not a logical one", self.kind), drop));
        }
        if self.plugin.as_deref() != Some("pgoutput") {
            let plugin = self.plugin.as_deref().unwrap_or("none");
            return Some((format!("its output plugin is {plugin}, not pgoutput"), drop));
        }
        if self.database.as_deref() != Some(&spec.config.database) {
            let database = self.database.as_deref().unwrap_or("none");
            return Some((format!("it belongs to database {database}, not to {}", spec.config.database), drop));
        }
        if self.temporary {
            return Some(("it is temporary, and vanishes with the session that made it".to_owned(), drop));
        }
        None
    }

    pub(crate) fn usage(&self) -> SlotUse {
        if self.active { SlotUse::Active } else { SlotUse::Idle }
    }

    pub(crate) fn lost(&self) -> bool {
        self.wal_status.as_deref() == Some("lost") || self.confirmed.is_none()
    }

    pub(crate) fn state(&self) -> SlotState {
        SlotState {
            confirmed: self.confirmed.unwrap_or(Lsn::ZERO),
            lost: self.lost(),
            retained_bytes: self.retained_bytes,
        }
    }
}

/// A new slot's consistent point, and the snapshot exported there. The snapshot lives until the connection's next
/// statement.
pub(crate) struct Created {
    pub(crate) point: Lsn,
    pub(crate) snapshot: String,
}

/// Creates a logical slot and exports the snapshot at its consistent point. The server waits for every transaction
/// that is running when it starts; `limit` bounds that.
pub(crate) async fn create(
    connection: &mut Connection,
    slot: &str,
    temporary: bool,
    limit: Duration,
) -> Result<Created, Error> {
    let temporary = if temporary { " TEMPORARY" } else { "" };
    // The older syntax, which all versions from 10 on take.
    let sql = format!("CREATE_REPLICATION_SLOT {}{temporary} LOGICAL pgoutput EXPORT_SNAPSHOT", ident(slot));
    let rows = match connection.query(&sql, limit).await {
        Err(Error::Timeout(limit)) => {
            if let Err(error) = connection.cancel(CANCEL_LIMIT).await {
                tracing::warn!(slot, %error, "creation of a slot could not be cancelled: it may appear later");
            }
            return Err(Error::SlotNotReady { slot: slot.to_owned(), limit });
        }
        rows => rows?,
    };
    let field = |index: usize| rows.first().and_then(|row| row.get(index)).and_then(Option::as_deref);
    match (field(1).and_then(|text| text.parse().ok()), field(2)) {
        (Some(point), Some(snapshot)) => Ok(Created { point, snapshot: snapshot.to_owned() }),
        _ => Err(Error::Protocol("a new slot without consistent point or snapshot".to_owned())),
    }
}

/// Drops a slot that nobody uses.
pub(crate) async fn drop_slot(connection: &mut Connection, slot: &str, limit: Duration) -> Result<(), Error> {
    connection.query(&format!("DROP_REPLICATION_SLOT {}", ident(slot)), limit).await.map(|_| ())
}

/// Drops a source's slot, if it is there.
///
/// # Errors
/// If the server cannot be asked, or the slot is in use.
pub async fn drop_unused(spec: &SourceSpec) -> Result<(), PortError> {
    let dropped = async {
        let sql = Sql::connect(spec).await?;
        let query = "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots \
                     WHERE slot_name = $1";
        sql.query(query, &[&spec.slot]).await
    };
    dropped.await.map(drop).map_err(|error: Error| error.during(format!("dropping slot {}", spec.slot)))
}

/// Who reads each of these sources' slots; all of them are of one database.
///
/// # Errors
/// If the server cannot be asked.
pub async fn uses(specs: &[SourceSpec]) -> Result<BTreeMap<String, SlotUse>, PortError> {
    let Some(first) = specs.first() else { return Ok(BTreeMap::new()) };
    let look = async {
        let sql = Sql::connect(first).await?;
        let mut uses = BTreeMap::new();
        for spec in specs {
            let found = ObservedSlot::read(&sql, &spec.slot).await?;
            uses.insert(spec.slot.clone(), found.map_or(SlotUse::Missing, |slot| slot.usage()));
        }
        Ok(uses)
    };
    look.await.map_err(|error: Error| error.during(format!("looking at the slots on {}", first.config.address())))
}

/// Who holds the slot, in words.
pub(crate) async fn holder(sql: &Sql, slot: &str) -> Result<Option<String>, Error> {
    let query = "
        SELECT s.active_pid, a.application_name, a.client_addr::text, a.usename::text
        FROM pg_catalog.pg_replication_slots s LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid
        WHERE s.slot_name = $1 AND s.active";
    let rows = sql.query(query, &[&slot]).await?;
    Ok(rows.first().map(|row| {
        let or = |index: usize, otherwise: &str| {
            row.get::<_, Option<&str>>(index).filter(|text| !text.is_empty()).unwrap_or(otherwise).to_owned()
        };
        format!(
            "active_pid {}, application {}, client {}, user {}",
            row.get::<_, Option<i32>>(0).unwrap_or(0),
            or(1, "unnamed"),
            or(2, "local"),
            or(3, "not shown"),
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PgConfig;

    #[test]
    fn a_slot_is_fit_only_if_it_is_ours_to_use() {
        let spec = SourceSpec::new(PgConfig::new("h", "u", "shop"), "public", "t", "s", "p");
        let fit = ObservedSlot {
            kind: "logical".to_owned(),
            plugin: Some("pgoutput".to_owned()),
            database: Some("shop".to_owned()),
            temporary: false,
            active: false,
            wal_status: Some("reserved".to_owned()),
            confirmed: Some(Lsn(1)),
            retained_bytes: 0,
        };
        assert_eq!(fit.unfit(&spec), None);
        for unfit in [
            ObservedSlot { kind: "physical".to_owned(), ..fit.clone() },
            ObservedSlot { plugin: Some("wal2json".to_owned()), ..fit.clone() },
            ObservedSlot { database: Some("other".to_owned()), ..fit.clone() },
            ObservedSlot { temporary: true, ..fit.clone() },
        ] {
            assert!(unfit.unfit(&spec).is_some_and(|(_, fix)| fix.contains("pg_drop_replication_slot('s')")));
        }
        assert!(!fit.lost() && ObservedSlot { wal_status: Some("lost".to_owned()), ..fit }.lost());
    }
}
