//! Questions about the table beside the stream: the bounds of an incremental snapshot, and its chunks.

use std::sync::Arc;
use std::time::Duration;

use datapipe_core::Lsn;
use datapipe_core::change::{Cell, Event, Relation, Tuple};
use datapipe_core::port::source::{Bounds, Chunk, ChunkRequest, KeyBound, Visible};
use datapipe_core::signal::NamedKey;
use futures_util::TryStreamExt;

use crate::config::SourceSpec;
use crate::copy::CopyText;
use crate::error::Error;
use crate::relation::CatalogTable;
use crate::snapshot::{missing_table, unsupported};
use crate::sql::{Sql, ident, literal, qualified};
use crate::types::Types;

/// How long one question may take: a condition that few rows meet reads the whole table for a chunk.
const ANSWER_MAX: Duration = Duration::from_mins(10);

/// SQLSTATE `query_canceled`: it took longer than that.
const QUERY_CANCELED: &str = "57014";

/// The modifier belongs to the type: without its length a text would not be padded as the stream sends it.
const KEY_TYPES: &str = "
    SELECT pg_catalog.format_type(a.atttypid, a.atttypmod)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
    WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'r' AND a.attname = ANY($3)
    ORDER BY pg_catalog.array_position($3, a.attname::text)";

/// A session that answers one question after the other.
pub(crate) struct ChunkReader {
    sql: Sql,
    spec: SourceSpec,
}

/// Why there is no answer.
enum Failure {
    /// There will never be one to this question.
    Refused(String),
    /// The session is of no use any more.
    Broken(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        // Syntax, names, rights, conversions, and the limit above: what a condition can bring about.
        let of_condition = |code: &str| code.starts_with("42") || code.starts_with("22") || code == QUERY_CANCELED;
        if error.code().is_some_and(of_condition) { Self::Refused(error.to_string()) } else { Self::Broken(error) }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Error::from(error).into()
    }
}

impl ChunkReader {
    pub(crate) async fn connect(spec: &SourceSpec) -> Result<Self, Error> {
        let sql = Sql::connect(spec).await?;
        // A row that a policy hides would pass for one that is not there.
        sql.run(&format!("SET statement_timeout = {}; SET row_security = off", ANSWER_MAX.as_millis())).await?;
        Ok(Self { sql, spec: spec.clone() })
    }

    /// Answers a question. What cannot be answered is said by an event too.
    pub(crate) async fn answer(&self, request: &ChunkRequest) -> Result<Event, Error> {
        let answer = match self.look(request).await {
            Ok(event) => Ok(event),
            Err(Failure::Refused(why)) => Ok(Event::Refused(why)),
            Err(Failure::Broken(error)) => Err(error),
        };
        self.sql.run("ROLLBACK").await?;
        answer
    }

    async fn look(&self, request: &ChunkRequest) -> Result<Event, Failure> {
        let horizon = match request {
            ChunkRequest::Bounds { filter } => {
                self.check(filter.as_deref()).await?;
                let row = self.sql.query_one("SELECT pg_current_xact_id()::text", &[]).await?;
                row.get::<_, &str>(0)
                    .parse()
                    .map_err(|_| Error::Protocol("a transaction id is no number".to_owned()))?
            }
            ChunkRequest::Rows { .. } | ChunkRequest::Missing { .. } => 0,
        };
        self.sql.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let row = self.sql.query_one("SELECT pg_current_snapshot()::text", &[]).await?;
        let visible = row.get::<_, &str>(0).parse::<Visible>();
        let visible = visible.map_err(|error| Error::Protocol(error.to_string()))?;
        let relation = self.relation().await?;
        if relation.key.is_empty() {
            let why = format!("table {} has no primary key to read it by", self.spec.qualified());
            return Err(Failure::Refused(why));
        }
        match request {
            ChunkRequest::Bounds { filter } => {
                let rows = self.copy(&last_key(&relation, filter.as_deref()), relation.key.len()).await?;
                Ok(Event::Bounds(Bounds { horizon, last: rows.first().map(bound), visible }))
            }
            ChunkRequest::Rows { after, upto, filter, rows_max } => {
                let sql = rows(&relation, after.as_ref(), upto, filter.as_deref(), *rows_max);
                self.chunk(relation, visible, &sql).await
            }
            ChunkRequest::Missing { keys } => {
                let types = self.key_types(&relation).await?;
                let sql = missing(&relation, &types, keys).map_err(Failure::Refused)?;
                self.chunk(relation, visible, &sql).await
            }
        }
    }

    async fn chunk(&self, relation: Relation, visible: Visible, sql: &str) -> Result<Event, Failure> {
        let rows = self.copy(sql, relation.columns.len()).await?;
        let watermark = self.watermark().await?;
        Ok(Event::Chunk(Box::new(Chunk { relation: Arc::new(relation), rows, visible, watermark })))
    }

    /// The types of the key's columns as SQL writes them, in the key's order.
    async fn key_types(&self, relation: &Relation) -> Result<Vec<String>, Failure> {
        let names: Vec<&str> = relation.key.iter().map(|at| relation.columns[*at].name.as_str()).collect();
        let rows = self.sql.query(KEY_TYPES, &[&relation.schema, &relation.name, &names]).await?;
        if rows.len() != names.len() {
            let why = format!("table {} is no ordinary table any more", self.spec.qualified());
            return Err(Failure::Refused(why));
        }
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// A condition must be whole by itself: otherwise it could end the statement that it becomes part of.
    async fn check(&self, filter: Option<&str>) -> Result<(), Failure> {
        if let Some(filter) = filter {
            let table = qualified(&self.spec.schema, &self.spec.table);
            self.sql.client().prepare(&format!("SELECT FROM ONLY {table} WHERE (\n{filter}\n)")).await?;
        }
        Ok(())
    }

    async fn relation(&self) -> Result<Relation, Error> {
        let spec = &self.spec;
        let catalog = CatalogTable::read(&self.sql, &spec.schema, &spec.table, &spec.publication).await?;
        let catalog = catalog.ok_or_else(|| missing_table(spec))?;
        let mut types = Types::default();
        types.fetch(&self.sql, catalog.published().map(|column| column.type_oid)).await?;
        catalog.relation(spec, &types).map_err(|found| unsupported(spec, &found))
    }

    async fn copy(&self, select: &str, width: usize) -> Result<Vec<Tuple>, Failure> {
        let width = u16::try_from(width).map_err(|_| Error::Protocol("a table of too many columns".to_owned()))?;
        let stream = self.sql.client().copy_out(&format!("COPY ({select}) TO STDOUT")).await?;
        let mut stream = std::pin::pin!(stream);
        let (mut text, mut rows) = (CopyText::default(), Vec::new());
        while let Some(piece) = stream.try_next().await? {
            text.read(&piece, width)?;
        }
        text.take(&mut rows)?;
        Ok(rows)
    }

    /// The end of the log. On a fresh page the place for the next record lies behind the page's header, which no stream
    /// gets to before that record is there.
    async fn watermark(&self) -> Result<Lsn, Error> {
        let query = "SELECT pg_current_wal_insert_lsn()::text, current_setting('wal_block_size')::int8";
        let row = self.sql.query_one(query, &[]).await?;
        let end: Lsn = row.get::<_, &str>(0).parse().map_err(|_| Error::Protocol("an LSN is malformed".to_owned()))?;
        Ok(page_start(end, row.get::<_, i64>(1).unsigned_abs()))
    }
}

/// The sizes of a page's header in the log: `SizeOfXLogShortPHD`, and `SizeOfXLogLongPHD` on a file's first page.
const PAGE_HEADERS: [u64; 2] = [24, 40];

fn page_start(end: Lsn, page_bytes: u64) -> Lsn {
    match end.0.checked_rem(page_bytes) {
        Some(offset) if PAGE_HEADERS.contains(&offset) => Lsn(end.0 - offset),
        _ => end,
    }
}

fn bound(row: &Tuple) -> KeyBound {
    let text = |cell| match cell {
        Cell::Text(text) => String::from_utf8_lossy(text).into_owned(),
        Cell::Null | Cell::Unchanged => String::new(),
    };
    KeyBound(row.cells().map(text).collect())
}

fn key(relation: &Relation) -> Vec<String> {
    relation.key.iter().map(|at| ident(&relation.columns[*at].name)).collect()
}

fn table(relation: &Relation) -> String {
    qualified(&relation.schema, &relation.name)
}

fn last_key(relation: &Relation, filter: Option<&str>) -> String {
    let key = key(relation);
    let filter = filter.map(|filter| format!(" WHERE (\n{filter}\n)")).unwrap_or_default();
    let order: Vec<String> = key.iter().map(|column| format!("{column} DESC")).collect();
    format!("SELECT {} FROM ONLY {}{filter} ORDER BY {} LIMIT 1", key.join(", "), table(relation), order.join(", "))
}

/// The key's own order serves here: rows are compared by the server alone, which has an index for it.
fn rows(relation: &Relation, after: Option<&KeyBound>, upto: &KeyBound, filter: Option<&str>, rows_max: u32) -> String {
    let columns: Vec<String> = relation.columns.iter().map(|column| ident(&column.name)).collect();
    let key = key(relation).join(", ");
    let literals = |KeyBound(bound): &KeyBound| bound.iter().map(|part| literal(part)).collect::<Vec<_>>().join(", ");
    let mut conditions = vec![format!("({key}) <= ({})", literals(upto))];
    conditions.extend(after.map(|after| format!("({key}) > ({})", literals(after))));
    conditions.extend(filter.map(|filter| format!("(\n{filter}\n)")));
    let (columns, table, conditions) = (columns.join(", "), table(relation), conditions.join(" AND "));
    format!("SELECT {columns} FROM ONLY {table} WHERE {conditions} ORDER BY {key} LIMIT {rows_max}")
}

/// The named keys that no row has. The server reads them by its own types, so that they come as the stream would send them.
fn missing(relation: &Relation, types: &[String], keys: &[NamedKey]) -> Result<String, String> {
    let names: Vec<&str> = relation.key.iter().map(|at| relation.columns[*at].name.as_str()).collect();
    let is_key = |key: &&NamedKey| key.len() == names.len() && names.iter().all(|name| key.contains_key(*name));
    if let Some(key) = keys.iter().find(|key| !is_key(key)) {
        let given: Vec<&str> = key.keys().map(String::as_str).collect();
        return Err(format!("a key names ({}), the primary key is ({})", given.join(", "), names.join(", ")));
    }
    let keys = serde_json::to_string(keys).map_err(|error| error.to_string())?;
    let form = names.iter().zip(types).map(|(name, kind)| format!("{} {kind}", ident(name)));
    let columns = relation.columns.iter().enumerate().map(|(at, column)| {
        if relation.key.contains(&at) { format!("k.{}", ident(&column.name)) } else { "NULL".to_owned() }
    });
    let same = names.iter().map(|name| format!("t.{0} = k.{0}", ident(name)));
    let join = |parts: Vec<String>, by: &str| parts.join(by);
    Ok(format!(
        "SELECT {} FROM (SELECT DISTINCT * FROM jsonb_to_recordset({}) AS n({})) AS k \
         WHERE NOT EXISTS (SELECT FROM ONLY {} AS t WHERE {})",
        join(columns.collect(), ", "),
        literal(&keys),
        join(form.collect(), ", "),
        table(relation),
        join(same.collect(), " AND ")
    ))
}

#[cfg(test)]
mod tests {
    use datapipe_core::change::{Column, ReplicaIdentity};
    use datapipe_core::value::ColumnType;

    use super::*;

    #[test]
    fn chunks_are_read_in_the_keys_own_order() {
        let column = |name: &str, kind| Column::new(name, kind, false);
        let relation = Relation {
            schema: "public".to_owned(),
            name: "t".to_owned(),
            columns: vec![column("a", ColumnType::Int4), column("b", ColumnType::Text)],
            key: vec![1, 0],
            identity: ReplicaIdentity::Default,
        };
        let bound = |b: &str, a: &str| KeyBound(vec![b.to_owned(), a.to_owned()]);
        assert_eq!(
            rows(&relation, Some(&bound("it's", "5")), &bound("z", "9"), Some("a > 1 -- all"), 10),
            "SELECT \"a\", \"b\" FROM ONLY \"public\".\"t\" WHERE (\"b\", \"a\") <= ('z', '9') AND \
             (\"b\", \"a\") > ('it''s', '5') AND (\na > 1 -- all\n) ORDER BY \"b\", \"a\" LIMIT 10"
        );
        assert_eq!(
            last_key(&relation, None),
            "SELECT \"b\", \"a\" FROM ONLY \"public\".\"t\" ORDER BY \"b\" DESC, \"a\" DESC LIMIT 1"
        );
    }

    #[test]
    fn keys_that_no_row_has_are_asked_for_by_the_keys_own_types() {
        let column = |name: &str, kind| Column::new(name, kind, false);
        let relation = Relation {
            schema: "public".to_owned(),
            name: "t".to_owned(),
            columns: vec![column("a", ColumnType::Int4), column("v", ColumnType::Text), column("b", ColumnType::Text)],
            key: vec![2, 0],
            identity: ReplicaIdentity::Default,
        };
        let types = ["text".to_owned(), "integer".to_owned()];
        let key = |parts: &[(&str, &str)]| parts.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        assert_eq!(
            missing(&relation, &types, &[key(&[("a", "5"), ("b", "it's")])]).unwrap(),
            "SELECT k.\"a\", NULL, k.\"b\" FROM (SELECT DISTINCT * FROM jsonb_to_recordset(\
             '[{\"a\":\"5\",\"b\":\"it''s\"}]') AS n(\"b\" text, \"a\" integer)) AS k WHERE NOT EXISTS \
             (SELECT FROM ONLY \"public\".\"t\" AS t WHERE t.\"b\" = k.\"b\" AND t.\"a\" = k.\"a\")"
        );
        for wrong in [key(&[("a", "5")]), key(&[("a", "5"), ("c", "x")]), key(&[])] {
            let why = missing(&relation, &types, &[wrong]).unwrap_err();
            assert!(why.ends_with("the primary key is (b, a)"), "{why}");
        }
    }

    #[test]
    fn a_watermark_is_a_place_that_a_stream_gets_to() {
        assert_eq!(page_start(Lsn(8192 * 7 + 24), 8192), Lsn(8192 * 7));
        assert_eq!(page_start(Lsn((1 << 24) + 40), 8192), Lsn(1 << 24));
        assert_eq!(page_start(Lsn(8192 * 7 + 32), 8192), Lsn(8192 * 7 + 32));
        assert_eq!(page_start(Lsn(5), 0), Lsn(5));
    }
}
