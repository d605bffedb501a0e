//! What a test plays on: servers of its own with a table or four, a bucket, and questions to all of them.
//!
//! Whatever does not hold here fails the test at once, so nothing returns an error.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod data;
mod rest;

use std::time::{Duration, Instant};

use datapipe_core::convention::Names;
use datapipe_embedded::PostgresSource;
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::sleep;
use tokio_postgres::{Client, SimpleQueryMessage};

pub use crate::servers::{PG15, PG18};
pub use data::{Judged, short};

use crate::process::{Settings, Worker};
use crate::servers::Servers;

/// The bucket.
pub const BUCKET: &str = "lake";
/// How long anything may take on a crowded machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Tests that measure must not meet each other's servers.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Running servers, with a session of the test's own.
pub struct Stage {
    /// The servers.
    pub servers: Servers,
    /// A session as the database's owner.
    pub db: Client,
    /// What workers are started with.
    pub settings: Settings,
    /// Everything of the test lies there.
    pub root: TempDir,
    http: reqwest::Client,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    /// Servers with a bucket and tables of one's own.
    pub async fn new(postgres: PostgresSource, schema: &str) -> Self {
        let turn = ONE_AT_A_TIME.lock().await;
        let root = tempfile::Builder::new().prefix("datapipe-test-").tempdir().unwrap();
        let servers = Servers::start(root.path(), postgres).await.unwrap();
        servers.stack.s3().create_bucket(BUCKET).await.unwrap();
        let db = servers.connect().await.unwrap();
        db.batch_execute(schema).await.unwrap();
        let settings = Settings::new("cdc", BUCKET).unwrap();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
        Self { servers, db, settings, root, http, _turn: turn }
    }

    /// Servers with a bucket and the tables of [`crate::load`].
    pub async fn for_load(postgres: PostgresSource) -> Self {
        let stage = Self::new(postgres, "").await;
        stage.servers.reset(&stage.db).await.unwrap();
        stage
    }

    /// Stops the servers in order.
    pub async fn end(self) {
        self.servers.stack.stop().await.unwrap();
    }

    /// Runs SQL.
    pub async fn sql(&self, sql: &str) {
        self.db.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The first cell of the first row, as text.
    pub async fn ask(&self, sql: &str) -> Option<String> {
        let messages = self.db.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
    }

    /// The first cell of the first row, as a number.
    pub async fn number(&self, sql: &str) -> i64 {
        self.ask(sql).await.unwrap_or_else(|| panic!("no row: {sql}")).parse().unwrap()
    }

    /// A new session, after the server has been away.
    pub async fn reconnect(&mut self) {
        self.db = self.servers.connect().await.unwrap();
    }

    /// Starts `datapipe-run start` for these tables (all, if none is named) with further settings.
    pub fn worker(&self, name: &str, tables: &[&str], settings: &[(&str, &str)]) -> Worker {
        let tables = tables.iter().map(|table| (*table).to_owned()).collect();
        let mut more = self.settings.more.clone();
        more.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        Worker::start(&self.servers, &Settings { tables, more, ..self.settings.clone() }, name).unwrap()
    }

    /// Whether the stream is open: a task is RUNNING already while it finds out where to start.
    pub async fn is_streaming(&self, table: &str) -> bool {
        let slot = names(table).slot;
        let sql = format!("SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'");
        self.ask(&sql).await.as_deref() == Some("t")
    }

    /// Waits until both tasks of each table are RUNNING, and the stream is open.
    pub async fn running(&self, tables: &[&str]) {
        for table in tables {
            let what = format!("{table} to be RUNNING");
            let running = async || self.is_running(table).await && self.is_streaming(table).await;
            eventually(&what, Duration::from_secs(60), running).await;
        }
    }

    /// The end of PostgreSQL's log.
    pub async fn end_of_log(&self) -> String {
        self.ask("SELECT pg_current_wal_insert_lsn()").await.unwrap()
    }

    async fn is_confirmed(&self, table: &str, lsn: &str) -> bool {
        let slot = names(table).slot;
        let sql = format!(
            "SELECT confirmed_flush_lsn >= '{lsn}'::pg_lsn FROM pg_replication_slots WHERE slot_name = '{slot}'"
        );
        self.ask(&sql).await.as_deref() == Some("t")
    }

    /// Waits until everything committed so far is in Kafka; returns how long that took.
    pub async fn captured(&self, tables: &[&str], limit: Duration) -> Duration {
        let (lsn, begun) = (self.end_of_log().await, Instant::now());
        for table in tables {
            let what = format!("{table} to be captured up to {lsn}");
            eventually(&what, limit, async || self.is_confirmed(table, &lsn).await).await;
        }
        begun.elapsed()
    }
}

/// The names of a table's pipeline.
pub fn names(table: &str) -> Names {
    Names::derive("cdc", "public", table).unwrap()
}

/// Waits until `done`; fails after `limit`.
pub async fn eventually(what: &str, limit: Duration, mut done: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !done().await {
        assert!(begun.elapsed() < limit, "waited {} s for {what}", limit.as_secs());
        sleep(Duration::from_millis(20)).await;
    }
}
