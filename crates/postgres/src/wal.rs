//! Figures about the log, for metrics, and a nudge for a slot whose database is quiet.

use datapipe_core::Lsn;
use datapipe_core::port::PortError;

use crate::config::SourceSpec;
use crate::error::Error;
use crate::slot::{CURRENT, ObservedSlot};
use crate::sql::Sql;

/// Where the server and a slot stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalState {
    /// The end of the log, written out or not.
    pub current: Lsn,
    /// The slot's confirmed position, if the slot exists.
    pub confirmed: Option<Lsn>,
    /// The log that the slot holds back, in bytes.
    pub retained_bytes: u64,
}

/// Asks one server about one slot, over a session that is kept and made anew when it breaks.
pub struct WalMonitor {
    spec: SourceSpec,
    sql: Option<Sql>,
}

impl WalMonitor {
    /// A monitor that is not connected yet.
    pub fn new(spec: SourceSpec) -> Self {
        Self { spec, sql: None }
    }

    /// Looks at the log and the slot.
    ///
    /// # Errors
    /// If the server cannot be asked.
    pub async fn state(&mut self) -> Result<WalState, PortError> {
        let slot = self.spec.slot.clone();
        let look = async {
            let sql = self.sql().await?;
            let row = sql.query_one(&format!("SELECT ({CURRENT})::text"), &[]).await?;
            let current = row.get::<_, Option<&str>>(0).and_then(|text| text.parse().ok()).unwrap_or(Lsn::ZERO);
            let slot = ObservedSlot::read(sql, &slot).await?;
            Ok(WalState {
                current,
                confirmed: slot.as_ref().and_then(|slot| slot.confirmed),
                retained_bytes: slot.map_or(0, |slot| slot.retained_bytes),
            })
        };
        let looked: Result<WalState, Error> = look.await;
        looked.map_err(|error| error.during(format!("reading the log position for slot {}", self.spec.slot)))
    }

    /// Writes a message of a few bytes into the log, so that the slot of a quiet database can advance. It shows as no
    /// change anywhere. Returns its position.
    ///
    /// # Errors
    /// If the server cannot be asked, or is read-only.
    pub async fn heartbeat(&mut self) -> Result<Lsn, PortError> {
        let emit = async {
            let query = "SELECT pg_catalog.pg_logical_emit_message(false, 'datapipe', '')::text";
            let row = self.sql().await?.query_one(query, &[]).await?;
            Ok(row.get::<_, &str>(0).parse().unwrap_or(Lsn::ZERO))
        };
        let emitted: Result<Lsn, Error> = emit.await;
        emitted.map_err(|error| error.during(format!("writing a heartbeat for slot {}", self.spec.slot)))
    }

    async fn sql(&mut self) -> Result<&Sql, Error> {
        let sql = match self.sql.take().filter(Sql::is_open) {
            Some(sql) => sql,
            None => Sql::connect(&self.spec).await?,
        };
        Ok(self.sql.insert(sql))
    }
}
