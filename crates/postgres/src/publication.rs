//! Publications: looking, and making one where the role may.

use datapipe_core::port::PortError;

use crate::config::SourceSpec;
use crate::error::Error;
use crate::sql::{Sql, ident, qualified};

/// A publication as the catalog has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedPublication {
    /// `FOR ALL TABLES`.
    pub all_tables: bool,
    /// The tables that it publishes, partitions and tables of whole schemas included.
    pub tables: Vec<(String, String)>,
    /// The operations that it leaves out, of insert, update, delete, truncate.
    pub missing_operations: Vec<String>,
    /// Only rows that meet a condition are published (PostgreSQL 15 and later).
    pub row_filter: bool,
    /// The names of the published columns, where the server can tell (PostgreSQL 15 and later).
    pub columns: Option<Vec<String>>,
}

impl ObservedPublication {
    /// Looks at a publication; none if there is none of that name.
    pub(crate) async fn read(sql: &Sql, spec: &SourceSpec) -> Result<Option<Self>, Error> {
        let query = "SELECT puballtables, pubinsert, pubupdate, pubdelete, pubtruncate \
                     FROM pg_catalog.pg_publication WHERE pubname = $1";
        let rows = sql.query(query, &[&spec.publication]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let operations = ["insert", "update", "delete", "truncate"];
        let missing = operations.iter().enumerate().filter(|(at, _)| !row.get::<_, bool>(at + 1));
        let query = "SELECT p.schemaname::text, p.tablename::text, to_jsonb(p) ->> 'rowfilter', \
                            ARRAY(SELECT jsonb_array_elements_text(NULLIF(to_jsonb(p) -> 'attnames', 'null'))) \
                     FROM pg_catalog.pg_publication_tables p WHERE p.pubname = $1 ORDER BY 1, 2";
        let tables = sql.query(query, &[&spec.publication]).await?;
        let ours =
            tables.iter().find(|row| row.get::<_, &str>(0) == spec.schema && row.get::<_, &str>(1) == spec.table);
        Ok(Some(Self {
            all_tables: row.get(0),
            tables: tables.iter().map(|row| (row.get(0), row.get(1))).collect(),
            missing_operations: missing.map(|(_, name)| (*name).to_owned()).collect(),
            row_filter: ours.is_some_and(|row| row.get::<_, Option<&str>>(2).is_some()),
            columns: ours.map(|row| row.get::<_, Vec<String>>(3)).filter(|columns| !columns.is_empty()),
        }))
    }
}

/// The statement that makes the publication as it should be.
pub(crate) fn create_statement(spec: &SourceSpec) -> String {
    format!("CREATE PUBLICATION {} FOR TABLE {}", ident(&spec.publication), published(spec))
}

/// The tables that it should hold, as SQL names them: the table, and the signaling table if there is one.
pub(crate) fn published(spec: &SourceSpec) -> String {
    let ours = [(&spec.schema, &spec.table)];
    let signals = spec.signal_table.iter().map(|(schema, name)| (schema, name));
    let tables = ours.into_iter().chain(signals);
    tables.map(|(schema, name)| format!("ONLY {}", qualified(schema, name))).collect::<Vec<_>>().join(", ")
}

/// Creates the publication for exactly this table and all operations, unless one of that name exists. Returns true
/// if it was created. Must come before the slot: a publication is seen from its own place in the log on only.
///
/// # Errors
/// If the server cannot be reached, or the role may not create publications for this table.
pub async fn ensure_publication(spec: &SourceSpec) -> Result<bool, PortError> {
    let attempt = || format!("creating publication {} for {}", spec.publication, spec.qualified());
    let ensure = async {
        let sql = Sql::connect(spec).await?;
        if ObservedPublication::read(&sql, spec).await?.is_some() {
            return Ok(false);
        }
        match sql.run(&create_statement(spec)).await {
            Ok(()) => Ok(true),
            // Somebody else was quicker.
            Err(error) if error.code() == Some("42710") => Ok(false),
            Err(error) if error.code() == Some("42501") => Err(Error::Refused {
                why: error.to_string(),
                hint: format!("as the table's owner, with CREATE on the database, run: {}", create_statement(spec)),
            }),
            Err(error) => Err(error),
        }
    };
    ensure.await.map_err(|error: Error| error.during(attempt()))
}
