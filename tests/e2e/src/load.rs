//! Mixed load: single rows, large COPYs, transactions over several tables, deletes, changed keys, rollbacks, truncates.

use std::fmt::Write as _;
use std::pin::pin;

use bytes::Bytes;
use futures_util::SinkExt;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::servers::{Servers, TABLES};

/// Rows of a large COPY.
const COPY_ROWS: u64 = 40_000;

/// The transaction after which one table is truncated, once: a snapshot that meets a TRUNCATE is begun again.
const TRUNCATE_AT: u64 = 300;

const NEW: &str = "(name, amount, at, flag, doc, note)";
const VALUES: &str = "md5(random()::text), round((random() * 1000)::numeric, 2), clock_timestamp(), random() < 0.5, \
                      jsonb_build_object('a', random(), 'b', 'x\"\\y'), CASE WHEN random() < 0.5 THEN 'line\n\ttwo' END";

/// Rows that exist before the first start.
pub async fn fill(db: &Client, rows: u64) -> Result<()> {
    for table in TABLES {
        db.batch_execute(&format!("INSERT INTO {table} {NEW} SELECT {VALUES} FROM generate_series(1, {rows})")).await?;
    }
    Ok(())
}

/// Small transactions until told to stop.
pub async fn small(db: &Client, seed: u64, truncates: bool, stop: &CancellationToken) -> Result<u64> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut transactions = 0;
    while !stop.is_cancelled() {
        db.batch_execute(&transaction(&mut rng)).await?;
        transactions += 1;
        if truncates && transactions == TRUNCATE_AT {
            db.batch_execute("TRUNCATE order_items").await?;
        }
        // The load is about moments, not about speed.
        if transactions % 4 == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    Ok(transactions)
}

fn transaction(rng: &mut SmallRng) -> String {
    let table = TABLES[rng.random_range(0..4)];
    let some = format!("(SELECT id FROM {table} OFFSET floor(random() * 200) LIMIT 1)");
    let insert = |table: &str| format!("INSERT INTO {table} {NEW} SELECT {VALUES};");
    match rng.random_range(0..100) {
        30..50 => format!("UPDATE {table} SET amount = amount + 1, at = clock_timestamp() WHERE id = {some};"),
        50..60 => format!("DELETE FROM {table} WHERE id = {some};"),
        60..68 => format!("UPDATE {table} SET id = nextval('{table}_id_seq') WHERE id = {some};"),
        68..80 => format!("BEGIN; {} COMMIT;", TABLES.map(insert).concat()),
        80..86 => format!("INSERT INTO {table} {NEW} SELECT {VALUES} FROM generate_series(1, 20);"),
        86..91 => {
            format!("UPDATE {table} SET flag = NOT flag WHERE id % 7 = 3 AND id > (SELECT max(id) - 100 FROM {table});")
        }
        91..95 => {
            format!("BEGIN; {} SAVEPOINT s; {} ROLLBACK TO s; {} COMMIT;", insert(table), insert(table), insert(table))
        }
        95..98 => format!("BEGIN; {} ROLLBACK;", insert(table)),
        _ => insert(table),
    }
}

/// One COPY of 40,000 rows in one transaction.
pub async fn copy(db: &Client, table: &str) -> Result<()> {
    let sink = db.copy_in::<_, Bytes>(&format!("COPY {table} (name, amount, note) FROM STDIN")).await?;
    let mut sink = pin!(sink);
    for block in 0..COPY_ROWS / 1000 {
        let mut lines = String::new();
        for n in 0..1000 {
            writeln!(lines, "copied {block}-{n}\t{n}.25\t\\N")?;
        }
        sink.send(Bytes::from(lines)).await?;
    }
    sink.finish().await?;
    Ok(())
}

/// Two sessions of small transactions, until told to stop.
pub struct Load {
    stop: CancellationToken,
    sessions: JoinSet<Result<u64>>,
}

impl Load {
    /// Starts it; with truncates, each session empties one table once.
    pub async fn start(servers: &Servers, seed: u64, truncates: bool) -> Result<Self> {
        let (stop, mut sessions) = (CancellationToken::new(), JoinSet::new());
        for session in 0..2 {
            let (db, stop) = (servers.connect().await?, stop.clone());
            sessions.spawn(async move { small(&db, seed + session, truncates, &stop).await });
        }
        Ok(Self { stop, sessions })
    }

    /// Ends it; returns how many transactions there were.
    pub async fn end(mut self) -> Result<u64> {
        self.stop.cancel();
        let mut transactions = 0;
        while let Some(session) = self.sessions.join_next().await {
            transactions += session??;
        }
        Ok(transactions)
    }
}
