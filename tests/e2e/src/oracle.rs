//! The tests' own judge: events are loaded into PostgreSQL, and SQL alone decides.
//!
//! It shares no code with the proof that datapipe brings along, so that a mistake there cannot hide one here.

use std::fmt::Write as _;
use std::pin::pin;

use bytes::Bytes;
use futures_util::SinkExt;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Client;

use crate::Result;

/// What is wrong with a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Events loaded.
    pub events: i64,
    /// Rows read by a snapshot among them.
    pub snapshot: i64,
    /// Rows in the table.
    pub rows: i64,
    /// Rows of the table that the events do not lead to, other values included.
    pub lost: i64,
    /// Rows that the events lead to and the table does not have, other values included.
    pub surplus: i64,
    /// Events that came twice.
    pub doubled: i64,
}

impl Verdict {
    /// True if nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.surplus == 0 && self.doubled == 0
    }
}

/// A table's events, to be judged.
pub struct Oracle<'a> {
    db: &'a Client,
    lines: String,
    events: u64,
}

const STAGING: &str = "DROP TABLE IF EXISTS oracle; \
    CREATE UNLOGGED TABLE oracle (ord bigint, op text, id text, lsn bigint, image jsonb)";

impl<'a> Oracle<'a> {
    /// An empty one.
    pub async fn new(db: &'a Client) -> Result<Self> {
        db.batch_execute(STAGING).await?;
        Ok(Self { db, lines: String::new(), events: 0 })
    }

    /// Adds the next event in the order of the log.
    pub fn event(&mut self, text: &str) -> Result<()> {
        let event: Value = serde_json::from_str(text)?;
        let image = if event["after"].is_null() { &event["before"] } else { &event["after"] };
        let id = if image["id"].is_null() { "\\N".to_owned() } else { image["id"].to_string() };
        let op = event["op"].as_str().ok_or("an event has no op")?;
        let lsn = event["source"]["lsn"].as_i64().ok_or("an event has no LSN")?;
        let image = if image.is_null() { "\\N".to_owned() } else { image.to_string().replace('\\', "\\\\") };
        writeln!(self.lines, "{}\t{op}\t{id}\t{lsn}\t{image}", self.events)?;
        self.events += 1;
        Ok(())
    }

    /// Judges one of the tests' own tables by all events added.
    pub async fn judge(self, table: &str) -> Result<Verdict> {
        let columns = "(image->>'id')::bigint, image->>'name', (image->>'amount')::numeric, (image->>'at')::timestamptz, \
                       (image->>'flag')::boolean, (image->>'doc')::jsonb, image->>'note'";
        let rows = format!("SELECT id, name, amount, at, flag, doc, note FROM {table}");
        self.compare(table, &rows, columns).await
    }

    /// Judges a table of any columns, whose events hold each value as PostgreSQL itself would read it; its key is `id`.
    pub async fn judge_any(self, table: &str) -> Result<Verdict> {
        let columns = format!("(jsonb_populate_record(NULL::{table}, image)).*");
        self.compare(table, &format!("SELECT * FROM {table}"), &columns).await
    }

    async fn compare(mut self, table: &str, rows: &str, columns: &str) -> Result<Verdict> {
        // The rows that the events lead to: the last event of each key since the last TRUNCATE.
        let folded = format!(
            "(SELECT {columns} FROM (SELECT DISTINCT ON (id) * FROM oracle WHERE op <> 't' \
              AND ord > (SELECT coalesce(max(ord), -1) FROM oracle WHERE op = 't') ORDER BY id, ord DESC) last \
              WHERE op <> 'd')"
        );
        let lines = std::mem::take(&mut self.lines);
        let sink = self.db.copy_in::<_, Bytes>("COPY oracle FROM STDIN").await?;
        let mut sink = pin!(sink);
        for block in lines.as_bytes().chunks(1 << 20) {
            sink.send(Bytes::copy_from_slice(block)).await?;
        }
        sink.finish().await?;
        self.db.batch_execute("CREATE INDEX ON oracle (id, ord); ANALYZE oracle").await?;
        let number = async |sql: &str| -> Result<i64> { Ok(self.db.query_one(sql, &[]).await?.get(0)) };
        Ok(Verdict {
            events: number("SELECT count(*) FROM oracle").await?,
            snapshot: number("SELECT count(*) FROM oracle WHERE op = 'r'").await?,
            rows: number(&format!("SELECT count(*) FROM {table}")).await?,
            lost: number(&format!("SELECT count(*) FROM ({rows} EXCEPT ALL {folded}) x")).await?,
            surplus: number(&format!("SELECT count(*) FROM ({folded} EXCEPT ALL {rows}) x")).await?,
            doubled: number(DOUBLED).await?,
        })
    }
}

/// The same change twice; a row read by the snapshot after it was seen; a row created while it is there; an update that
/// the row's snapshot holds already; a TRUNCATE twice.
const DOUBLED: &str = "WITH seen AS ( \
        SELECT *, lag(op) OVER key AS op_before, lag(ord) OVER key AS ord_before, \
               max(ord) FILTER (WHERE op = 'r') OVER key AS read_ord, count(*) OVER (PARTITION BY id, lsn, op) AS same \
        FROM oracle WHERE op <> 't' WINDOW key AS (PARTITION BY id ORDER BY ord)) \
    SELECT (SELECT count(*) FROM seen WHERE same > 1 \
       OR (op = 'r' AND op_before IS NOT NULL) \
       OR (op = 'u' AND EXISTS (SELECT FROM oracle r \
                                WHERE r.ord = seen.read_ord AND seen.lsn < r.lsn AND seen.image = r.image)) \
       OR (op = 'c' AND op_before IN ('r', 'c', 'u') \
           AND NOT EXISTS (SELECT FROM oracle t WHERE t.op = 't' AND t.ord BETWEEN seen.ord_before AND seen.ord))) \
    + (SELECT count(*) - count(DISTINCT lsn) FROM oracle WHERE op = 't')";
