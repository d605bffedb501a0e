//! Reading the rows of a table as they were at a slot's consistent point.

use std::pin::Pin;
use std::sync::Arc;

use datapipe_core::Lsn;
use datapipe_core::change::{Relation, Tuple};
use datapipe_core::key::KeyOrder;
use datapipe_core::port::rows::Moment;
use datapipe_core::port::source::{KeyBound, Visible};
use datapipe_core::value::ColumnType;
use futures_util::StreamExt;
use tokio::time::timeout;
use tokio_postgres::CopyOutStream;

use crate::config::SourceSpec;
use crate::copy::CopyText;
use crate::error::Error;
use crate::relation::{CatalogTable, UnsupportedColumn};
use crate::slot::CURRENT;
use crate::sql::{Sql, ident, literal, qualified};
use crate::types::Types;

/// What one call reads at least, unless the table ends before.
const READ_BYTES: usize = 1024 * 1024;

/// `SQLSTATE` of a table, and of a schema, that does not exist.
const UNDEFINED_TABLE: &str = "42P01";
const UNDEFINED_SCHEMA: &str = "3F000";

/// An open snapshot: a read-only transaction at one point, and the COPY that reads from it.
pub(crate) struct Snapshot {
    sql: Sql,
    relation: Arc<Relation>,
    /// How each key column is ordered in SQL.
    order: Vec<String>,
    copy: Option<(Pin<Box<CopyOutStream>>, CopyText)>,
    ended: bool,
}

impl Snapshot {
    /// Takes over the snapshot that another, idle connection has exported; afterwards that connection may go.
    pub(crate) async fn open(spec: &SourceSpec, exported: &str, point: Lsn) -> Result<Self, Error> {
        let sql = Sql::connect(spec).await?;
        let table = qualified(&spec.schema, &spec.table);
        sql.run(&format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}; \
             LOCK TABLE ONLY {table} IN ACCESS SHARE MODE",
            literal(exported)
        ))
        .await?;
        refuse_rewritten(&sql, spec, point).await?;
        Self::of(sql, spec, key_order).await
    }

    /// A snapshot of this moment, its rows in no order.
    pub(crate) async fn now(spec: &SourceSpec) -> Result<(Self, Moment), Error> {
        let sql = Sql::connect(spec).await?;
        // The lock comes first: a table that is truncated after a snapshot, and not locked yet, looks empty to it
        // (PostgreSQL's chapter "Concurrency Control", "Caveats").
        let table = qualified(&spec.schema, &spec.table);
        let begin =
            format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE ONLY {table} IN ACCESS SHARE MODE");
        sql.run(&begin).await.map_err(|error| match error.code() {
            Some(UNDEFINED_TABLE | UNDEFINED_SCHEMA) => missing_table(spec),
            _ => error,
        })?;
        let moment = moment(&sql).await?;
        Ok((Self::of(sql, spec, |_, _| Vec::new()).await?, moment))
    }

    async fn of(
        sql: Sql,
        spec: &SourceSpec,
        order: impl FnOnce(&Relation, &CatalogTable) -> Vec<String>,
    ) -> Result<Self, Error> {
        let catalog = CatalogTable::read(&sql, &spec.schema, &spec.table, &spec.publication).await?;
        let catalog = catalog.ok_or_else(|| missing_table(spec))?;
        let mut types = Types::default();
        types.fetch(&sql, catalog.published().map(|column| column.type_oid)).await?;
        let relation = catalog.relation(spec, &types).map_err(|found| unsupported(spec, &found))?;
        let order = order(&relation, &catalog);
        Ok(Self { sql, relation: Arc::new(relation), order, copy: None, ended: false })
    }

    /// The schema that the rows are read under.
    pub(crate) fn relation(&self) -> Arc<Relation> {
        Arc::clone(&self.relation)
    }

    /// Appends the next rows; none at the end.
    pub(crate) async fn read(&mut self, after: Option<&KeyBound>, rows: &mut Vec<Tuple>) -> Result<(), Error> {
        let width = u16::try_from(self.relation.columns.len())
            .map_err(|_| Error::Protocol("a table of more than 65535 columns".to_owned()))?;
        if self.copy.is_none() {
            let statement = statement(&self.relation, &self.order, after)?;
            let stream = self.sql.client().copy_out(statement.as_str()).await?;
            self.copy = Some((Box::pin(stream), CopyText::default()));
        }
        let Some((stream, text)) = &mut self.copy else { return Ok(()) };
        while !self.ended && text.size() < READ_BYTES {
            match stream.next().await {
                Some(piece) => text.read(&piece?, width)?,
                None => self.ended = true,
            }
        }
        text.take(rows)
    }

    /// Ends the transaction.
    pub(crate) async fn close(self, spec: &SourceSpec) {
        let end = self.sql.run("ROLLBACK");
        // The session ends with the connection anyway.
        let _ = timeout(spec.query_timeout, end).await;
    }
}

/// A table that was rewritten between the snapshot's point and our lock looks empty at the snapshot (PostgreSQL's
/// chapter "Concurrency Control", "Caveats"): its file is another one now than the snapshot's catalog says.
async fn refuse_rewritten(sql: &Sql, spec: &SourceSpec, point: Lsn) -> Result<(), Error> {
    let query = "
        SELECT c.relfilenode = pg_catalog.pg_relation_filenode(c.oid)
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = $2";
    let rows = sql.query(query, &[&spec.schema, &spec.table]).await?;
    match rows.first().map(|row| row.get::<_, Option<bool>>(0)) {
        None => Err(missing_table(spec)),
        Some(Some(true)) => Ok(()),
        Some(_) => Err(Error::Rewritten { table: spec.qualified(), point }),
    }
}

/// The moment of a transaction that has asked nothing yet.
async fn moment(sql: &Sql) -> Result<Moment, Error> {
    let row = sql.query_one("SELECT pg_catalog.pg_current_snapshot()::text", &[]).await?;
    let visible = row.get::<_, &str>(0).parse::<Visible>();
    let visible = visible.map_err(|error| Error::Protocol(error.to_string()))?;
    // The log's end must be read after the snapshot was taken, so not in the same statement.
    let query =
        format!("SELECT ({CURRENT})::text, pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))");
    let row = sql.query_one(&query, &[]).await?;
    let current = row.get::<_, &str>(0).parse::<Lsn>().map_err(|error| Error::Protocol(error.to_string()))?;
    Ok(Moment { visible, fence: end_of_record(current, row.get::<_, i64>(1).unsigned_abs()) })
}

/// Where the log's last record ends: on a fresh page the end of the log lies behind the page's header already, and nobody
/// reports to have passed that (`xlog_internal.h`: 24 bytes, and 40 on a segment's first page).
fn end_of_record(current: Lsn, segment_bytes: u64) -> Lsn {
    const PAGE_BYTES: u64 = 8192;
    match current.0 % PAGE_BYTES {
        40 if current.0 % segment_bytes == 40 => Lsn(current.0 - 40),
        24 if current.0 % segment_bytes != 24 => Lsn(current.0 - 24),
        _ => current,
    }
}

pub(crate) fn missing_table(spec: &SourceSpec) -> Error {
    Error::Refused {
        why: format!("table {} does not exist in database {}", spec.qualified(), spec.config.database),
        hint: "create the table, or correct its name or the database's".to_owned(),
    }
}

pub(crate) fn unsupported(spec: &SourceSpec, columns: &[UnsupportedColumn]) -> Error {
    let list: Vec<String> = columns.iter().map(|found| format!("column {}: {}", found.column, found.why)).collect();
    Error::Refused {
        why: format!("table {}: {}", spec.qualified(), list.join("; ")),
        hint: "leave these columns out by column.exclude.list or by column.include.list, or of the publication \
               (PostgreSQL 15 and later), or change their types"
            .to_owned(),
    }
}

/// One expression per key column, sorted by PostgreSQL as [`datapipe_core::key`] compares.
fn key_order(relation: &Relation, catalog: &CatalogTable) -> Vec<String> {
    let expression = |at: &usize| {
        let column = &relation.columns[*at];
        let name = ident(&column.name);
        if KeyOrder::of(&column.kind) == KeyOrder::Number || column.kind == ColumnType::Uuid {
            return name;
        }
        let oid = catalog.columns.iter().find(|now| now.name == column.name).map(|now| now.type_oid);
        if oid.is_some_and(|oid| [TEXT, VARCHAR].contains(&oid)) {
            return format!("{name} COLLATE \"C\"");
        }
        // Not a cast to text, which is another text than the stream's for bool, bpchar and inet.
        format!("pg_catalog.format('%s', {name}) COLLATE \"C\"")
    };
    relation.key.iter().map(expression).collect()
}

/// `pg_type.oid` of the types whose value is its text.
const TEXT: u32 = 25;
const VARCHAR: u32 = 1043;

fn statement(relation: &Relation, order: &[String], after: Option<&KeyBound>) -> Result<String, Error> {
    let columns: Vec<String> = relation.columns.iter().map(|column| ident(&column.name)).collect();
    let mut select = format!("SELECT {} FROM ONLY {}", columns.join(", "), qualified(&relation.schema, &relation.name));
    if let Some(KeyBound(bound)) = after.filter(|_| !order.is_empty()) {
        if bound.len() != order.len() {
            return Err(Error::Refused {
                why: format!(
                    "the snapshot of {}.{} stopped at a key of {} columns, but the key has {} now",
                    relation.schema,
                    relation.name,
                    bound.len(),
                    order.len()
                ),
                hint: "the primary key was changed during the snapshot: start it anew by dropping the slot and the \
                       stored offset"
                    .to_owned(),
            });
        }
        let bound: Vec<String> = bound.iter().map(|part| literal(part)).collect();
        select = format!("{select} WHERE ({}) > ({})", order.join(", "), bound.join(", "));
    }
    if !order.is_empty() {
        select = format!("{select} ORDER BY {}", order.join(", "));
    }
    Ok(format!("COPY ({select}) TO STDOUT"))
}

#[cfg(test)]
mod tests {
    use datapipe_core::change::{Column, ReplicaIdentity};

    use super::*;

    #[test]
    fn a_page_that_was_just_begun_holds_no_record() {
        let segment = 16 << 20;
        for (current, end) in [
            (8192 * 3 + 24, 8192 * 3),
            (8192 * 3 + 40, 8192 * 3 + 40),
            (segment * 2 + 40, segment * 2),
            (segment * 2 + 24, segment * 2 + 24),
            (8192 * 3 + 512, 8192 * 3 + 512),
        ] {
            assert_eq!(end_of_record(Lsn(current), segment), Lsn(end), "{current}");
        }
    }

    #[test]
    fn a_resumed_snapshot_goes_on_above_its_bound() {
        let column = |name: &str, kind| Column::new(name, kind, false);
        let relation = Relation {
            schema: "public".to_owned(),
            name: "t".to_owned(),
            columns: vec![column("a", ColumnType::Int4), column("b", ColumnType::Bool)],
            key: vec![1, 0],
            identity: ReplicaIdentity::Default,
        };
        let catalog = CatalogTable { oid: 1, identity: ReplicaIdentity::Default, columns: Vec::new() };
        let order = key_order(&relation, &catalog);
        let bound = KeyBound(vec!["it's".to_owned(), "5".to_owned()]);
        assert_eq!(
            statement(&relation, &order, Some(&bound)).unwrap(),
            "COPY (SELECT \"a\", \"b\" FROM ONLY \"public\".\"t\" \
             WHERE (pg_catalog.format('%s', \"b\") COLLATE \"C\", \"a\") > ('it''s', '5') \
             ORDER BY pg_catalog.format('%s', \"b\") COLLATE \"C\", \"a\") TO STDOUT"
        );
        assert!(statement(&relation, &order, Some(&KeyBound(vec![]))).is_err());
        let keyless = Relation { key: Vec::new(), ..relation };
        assert_eq!(
            statement(&keyless, &[], Some(&KeyBound(vec![]))).unwrap(),
            "COPY (SELECT \"a\", \"b\" FROM ONLY \"public\".\"t\") TO STDOUT"
        );
    }
}
