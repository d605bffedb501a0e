use std::str::FromStr;
use std::time::{Duration, Instant};

use datapipe_core::plan::{PipelinePlan, Plan, PostgresPlan};
use datapipe_postgres::{PgConfig, Session};

use super::Resolve;
use crate::seen::{PostgresSeen, PublicationSeen, RelationSeen, SlotSeen};

pub(super) fn config(plan: &PostgresPlan, limit: Duration, resolve: Resolve<'_>) -> Result<PgConfig, String> {
    let mut config = PgConfig::new(&plan.host, &plan.user, &plan.database);
    config.port = plan.port;
    config.password = plan.password.as_ref().map(resolve).transpose()?;
    config.connect_timeout = limit;
    Ok(config)
}

pub(super) async fn look(config: &PgConfig, plan: &Plan, pipeline: &PipelinePlan) -> Result<PostgresSeen, String> {
    let session = Session::connect(config).await.map_err(|error| error.report())?;
    let begun = Instant::now();
    let rows = async |query: String| session.rows(&query).await.map_err(|error| error.report());
    let server = rows(SERVER.to_owned()).await?;
    let server = Row::first(&server).ok_or("the server says nothing of itself")?;
    let names = &pipeline.names;
    let slot = rows(format!("{SLOT} WHERE slot_name = {}", quoted(&names.slot))).await?;
    let publication = rows(format!("{PUBLICATION} WHERE pubname = {}", quoted(&names.publication))).await?;
    let table =
        format!("{RELATION} WHERE c.relname = {} AND n.nspname = {}", quoted(&names.table), quoted(&pipeline.schema));
    let relation = rows(table).await?;
    let ours: Vec<String> = plan.tables.iter().map(|one| quoted(&one.names.slot)).collect();
    let orphans = rows(format!("{ORPHANS} AND slot_name NOT IN ({})", ours.join(", "))).await?;
    let published: Vec<String> = plan.tables.iter().map(|one| quoted(&one.names.publication)).collect();
    let left = rows(format!("{LEFT_PUBLICATIONS} AND pubname NOT IN ({})", published.join(", "))).await?;
    // A server may keep these from the role.
    let system = rows(SYSTEM.to_owned()).await.unwrap_or_default();
    let slot_wal_mib = server.number::<i64>(5).and_then(|mib| u64::try_from(mib).ok());
    let wal_bytes_per_s = match (slot_wal_mib, server.cell(9)) {
        (Some(_), Some(end)) => growth(&session, end, begun).await,
        _ => None,
    };
    Ok(PostgresSeen {
        version: server.number(7).unwrap_or(0),
        system_id: Row::first(&system).and_then(|row| row.cell(0)).map(str::to_owned),
        timeline: server.cell(8).and_then(|hex| u32::from_str_radix(hex, 16).ok()),
        wal_bytes_per_s,
        wal_level: server.text(0),
        slots: (server.number(1).unwrap_or(0), server.number(2).unwrap_or(0)),
        senders: (server.number(3).unwrap_or(0), server.number(4).unwrap_or(0)),
        slot_wal_mib,
        replication: server.flag(6),
        slot: Row::first(&slot).map(|row| SlotSeen {
            active_pid: row.number(0),
            plugin: row.text(1),
            database: row.text(2),
            own_database: config.database.clone(),
            wal_status: row.text(3),
            safe_bytes: row.number(4),
            retained_bytes: row.number::<i64>(5).and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
            confirmed: row.number(6),
            failover: row.cell(7).map(|flag| flag == "true"),
            invalidated: row.cell(8).map(str::to_owned),
        }),
        publication: Row::first(&publication).map(|row| PublicationSeen { tables: row.list(0), left_out: row.list(1) }),
        relation: Row::first(&relation).map(|row| RelationSeen {
            kind: row.text(0),
            persistence: row.text(1),
            identity: row.text(2),
            has_key: row.flag(3),
            toastable: row.list(4),
            readable: row.flag(5),
        }),
        orphans: orphans.iter().map(|row| Row(row).text(0)).collect(),
        left_publications: left.iter().map(|row| Row(row).text(0)).collect(),
    })
}

/// How fast the log grows, in bytes per second: from where it ended at the beginning of the look to where it ends now.
async fn growth(session: &Session, first_end: &str, begun: Instant) -> Option<u64> {
    tokio::time::sleep(GROWTH_SPAN.saturating_sub(begun.elapsed())).await;
    let query = format!("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), {})::bigint", quoted(first_end));
    let rows = session.rows(&query).await.ok()?;
    let bytes: u64 = Row::first(&rows)?.number(0)?;
    let span_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    Some(bytes.saturating_mul(1000) / span_ms)
}

/// The log's growth is measured over so long at least.
const GROWTH_SPAN: Duration = Duration::from_secs(1);

// Monitoring is what these need: pg_monitor, or nothing beyond the pipeline's own role.
const SERVER: &str = "SELECT current_setting('wal_level'), current_setting('max_replication_slots'), \
    (SELECT count(*) FROM pg_replication_slots), current_setting('max_wal_senders'), \
    (SELECT count(*) FROM pg_stat_replication), \
    (SELECT setting FROM pg_settings WHERE name = 'max_slot_wal_keep_size'), \
    (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user), \
    current_setting('server_version_num'), \
    CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END, \
    CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_lsn() END";

const SYSTEM: &str = "SELECT system_identifier FROM pg_control_system()";

const LEFT_PUBLICATIONS: &str = "SELECT pubname FROM pg_publication WHERE pubname LIKE 'dbz\\_publication\\_%'";

const SLOT: &str = "SELECT active_pid, plugin, database, wal_status, safe_wal_size, \
    pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn)::bigint, \
    confirmed_flush_lsn, to_jsonb(s) ->> 'failover', to_jsonb(s) ->> 'invalidation_reason' FROM pg_replication_slots s";

const PUBLICATION: &str = "SELECT \
    (SELECT string_agg(schemaname || '.' || tablename, ',' ORDER BY 1) FROM pg_publication_tables t WHERE t.pubname = p.pubname), \
    concat_ws(',', CASE WHEN NOT pubinsert THEN 'insert' END, CASE WHEN NOT pubupdate THEN 'update' END, \
    CASE WHEN NOT pubdelete THEN 'delete' END, CASE WHEN NOT pubtruncate THEN 'truncate' END) FROM pg_publication p";

const RELATION: &str = "SELECT c.relkind, c.relpersistence, c.relreplident, \
    EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary), \
    (SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND attnum > 0 \
    AND NOT attisdropped AND attstorage IN ('x', 'e')), has_table_privilege(c.oid, 'SELECT') \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace";

const ORPHANS: &str = "SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE 'debezium\\_slot\\_%' \
    AND NOT active AND database = current_database()";

pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A row of texts, as the server wrote them.
struct Row<'a>(&'a [Option<String>]);

impl<'a> Row<'a> {
    fn first(rows: &'a [Vec<Option<String>>]) -> Option<Self> {
        rows.first().map(|row| Self(row))
    }

    fn cell(&self, column: usize) -> Option<&'a str> {
        self.0.get(column)?.as_deref()
    }

    fn text(&self, column: usize) -> String {
        self.cell(column).unwrap_or_default().to_owned()
    }

    fn number<T: FromStr>(&self, column: usize) -> Option<T> {
        self.cell(column)?.parse().ok()
    }

    fn flag(&self, column: usize) -> bool {
        self.cell(column) == Some("t")
    }

    fn list(&self, column: usize) -> Vec<String> {
        let parts = self.cell(column).unwrap_or_default().split(',');
        parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }
}
