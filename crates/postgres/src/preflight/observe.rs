//! Looking at a server and its tables, without a judgement.

use crate::config::SourceSpec;
use crate::error::Error;
use crate::publication::ObservedPublication;
use crate::relation::CatalogTable;
use crate::slot::ObservedSlot;
use crate::sql::Sql;
use crate::types::Types;

/// The server as a whole, and the role that we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedServer {
    /// `server_version_num`, as 150018.
    pub version: i32,
    /// `wal_level`.
    pub wal_level: String,
    /// It is a standby.
    pub in_recovery: bool,
    /// `max_replication_slots`.
    pub slots_max: i64,
    /// Slots that exist.
    pub slots_used: i64,
    /// `max_wal_senders`.
    pub senders_max: i64,
    /// Replication connections that are open.
    pub senders_used: i64,
    /// The role.
    pub role: String,
    /// The role may start replication.
    pub may_replicate: bool,
}

/// A table with what serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedTable {
    /// The table itself, if it exists.
    pub table: Option<TableFacts>,
    /// Its publication, if it exists.
    pub publication: Option<ObservedPublication>,
    /// Its slot, if it exists.
    pub slot: Option<ObservedSlot>,
    /// The role may create publications in the database.
    pub may_create_publication: bool,
}

/// A table as the catalog has it.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, as the catalog has it")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFacts {
    /// `pg_class.relkind`: `r` table, `p` partitioned table, `v` view and so on.
    pub kind: char,
    /// `pg_class.relpersistence`: `p` permanent, `u` unlogged, `t` temporary.
    pub persistence: char,
    /// `pg_class.relreplident`.
    pub identity: char,
    /// The replica identity is an index, and that index is the primary key's.
    pub identity_is_key: bool,
    /// The primary key's columns in its order.
    pub key: Vec<String>,
    /// The role may read the table.
    pub may_select: bool,
    /// The role owns the table.
    pub owned: bool,
    /// Policies of row level security hide rows from the role.
    pub rows_hidden: bool,
    /// Published columns whose type no record can hold, and why.
    pub unsupported: Vec<(String, String)>,
}

impl ObservedServer {
    pub(crate) async fn read(sql: &Sql) -> Result<Self, Error> {
        let query = "
            SELECT current_setting('server_version_num')::int, current_setting('wal_level'), pg_is_in_recovery(),
                   current_setting('max_replication_slots')::bigint, (SELECT count(*) FROM pg_replication_slots),
                   current_setting('max_wal_senders')::bigint, (SELECT count(*) FROM pg_stat_replication),
                   rolname::text, rolsuper OR rolreplication
            FROM pg_roles WHERE rolname = current_user";
        let row = sql.query_one(query, &[]).await?;
        Ok(Self {
            version: row.get(0),
            wal_level: row.get(1),
            in_recovery: row.get(2),
            slots_max: row.get(3),
            slots_used: row.get(4),
            senders_max: row.get(5),
            senders_used: row.get(6),
            role: row.get(7),
            may_replicate: row.get(8),
        })
    }
}

impl ObservedTable {
    pub(crate) async fn read(sql: &Sql, spec: &SourceSpec) -> Result<Self, Error> {
        let query = "SELECT has_database_privilege(current_database(), 'CREATE')";
        Ok(Self {
            table: TableFacts::read(sql, spec).await?,
            publication: ObservedPublication::read(sql, spec).await?,
            slot: ObservedSlot::read(sql, &spec.slot).await?,
            may_create_publication: sql.query_one(query, &[]).await?.get(0),
        })
    }
}

impl TableFacts {
    async fn read(sql: &Sql, spec: &SourceSpec) -> Result<Option<Self>, Error> {
        let query = "
            SELECT c.relkind::text, c.relpersistence::text, c.relreplident::text,
                   EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident AND i.indisprimary),
                   has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'),
                   pg_has_role(c.relowner, 'USAGE'), row_security_active(c.oid)
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = $1 AND c.relname = $2";
        let rows = sql.query(query, &[&spec.schema, &spec.table]).await?;
        let catalog = CatalogTable::read(sql, &spec.schema, &spec.table, &spec.publication).await?;
        let (Some(row), Some(catalog)) = (rows.first(), catalog) else { return Ok(None) };
        let mut types = Types::default();
        types.fetch(sql, catalog.published().map(|column| column.type_oid)).await?;
        let unsupported = catalog.relation(spec, &types).err().unwrap_or_default();
        let letter = |index: usize| row.get::<_, &str>(index).chars().next().unwrap_or(' ');
        Ok(Some(Self {
            kind: letter(0),
            persistence: letter(1),
            identity: letter(2),
            identity_is_key: row.get(3),
            key: catalog.key().into_iter().map(str::to_owned).collect(),
            may_select: row.get(4),
            owned: row.get(5),
            rows_hidden: row.get(6),
            unsupported: unsupported.into_iter().map(|found| (found.column, found.why)).collect(),
        }))
    }
}
