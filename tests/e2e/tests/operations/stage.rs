//! Servers with tables and a bucket, and the verdict at the end.

use std::time::Duration;

use datapipe_core::convention::Names;
use datapipe_e2e::oracle::{Oracle, Verdict};
use datapipe_e2e::process::{Settings, Worker, free_ports};
use datapipe_e2e::servers::{Servers, TABLES};
use datapipe_e2e::{load, topic};
use datapipe_embedded::PostgresSource;
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinSet;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

pub(crate) const PG15: PostgresSource = PostgresSource::Installed { major_min: 15 };
pub(crate) const PG18: PostgresSource = PostgresSource::Binaries;
pub(crate) const BUCKET: &str = "lake";
/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

pub(crate) struct Stage {
    pub(crate) servers: Servers,
    pub(crate) db: Client,
    pub(crate) settings: Settings,
    pub(crate) http: reqwest::Client,
    pub(crate) root: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    /// Empty tables and an empty bucket.
    pub(crate) async fn new(postgres: PostgresSource) -> Self {
        let turn = ONE_AT_A_TIME.lock().await;
        let root = tempfile::Builder::new().prefix("datapipe-operations-").tempdir().unwrap();
        let servers = Servers::start(root.path(), postgres).await.unwrap();
        let db = servers.connect().await.unwrap();
        servers.reset(&db).await.unwrap();
        servers.stack.s3().create_bucket(BUCKET).await.unwrap();
        let (prefix, bucket) = ("cdc".to_owned(), BUCKET.to_owned());
        let settings = Settings { prefix, bucket, age: "1s".to_owned(), ports: free_ports().unwrap() };
        let http = reqwest::Client::builder().timeout(Duration::from_secs(2)).build().unwrap();
        Self { servers, db, settings, http, root, _turn: turn }
    }

    /// A worker for all tables.
    pub(crate) fn worker(&self) -> Worker {
        Worker::start(&self.servers, &self.settings, "worker").unwrap()
    }

    /// Waits until every table's source has committed to Kafka.
    pub(crate) async fn flows(&self, worker: &mut Worker) {
        worker.until(&self.http, "datapipe_source_commits_total", 1.0, PATIENCE).await.unwrap();
    }

    /// Two sessions of mixed load until told to stop.
    pub(crate) async fn load(&self, seed: u64) -> Load {
        let (stop, mut sessions) = (CancellationToken::new(), JoinSet::new());
        for session in 0..2 {
            let (db, stop) = (self.servers.connect().await.unwrap(), stop.clone());
            sessions.spawn(async move { load::small(&db, seed + session, true, &stop).await.unwrap() });
        }
        Load { stop, sessions }
    }

    /// Waits until everything committed so far is in objects, and lets the oracle judge each table.
    pub(crate) async fn judge(&self, worker: &Worker) -> Vec<Judged> {
        let end = self.servers.end_of_log(&self.db).await.unwrap();
        let confirmed = self.servers.confirmed(&self.db, &end, PATIENCE).await;
        confirmed.unwrap_or_else(|error| panic!("{error}\n{}", worker.words()));
        let store = topic::store(&self.servers, &self.settings.bucket);
        let mut judged = Vec::new();
        for table in TABLES {
            let name = Names::derive(&self.settings.prefix, "public", table).unwrap().data_topic;
            let records = topic::Topic::read(&self.servers, &name).await.unwrap();
            let objects = topic::delivered(&store, table, &name, &records, PATIENCE).await;
            let objects = objects.unwrap_or_else(|error| panic!("{error}\n{}", worker.words()));
            let mut oracle = Oracle::new(&self.db).await.unwrap();
            let faults = topic::check(&store, &records, &objects, |line| oracle.event(line).unwrap()).await.unwrap();
            let verdict = oracle.judge(table).await.unwrap();
            println!("{table}: {verdict:?}, {} objects", objects.len());
            assert!(verdict.is_clean() && faults.is_empty(), "{table}: {verdict:?} {faults:?}\n{}", worker.words());
            judged.push(Judged { table, verdict, objects: objects.len() });
        }
        judged
    }

    pub(crate) async fn end(self) {
        self.servers.stack.stop().await.unwrap();
    }
}

/// A table that nothing is wrong with.
pub(crate) struct Judged {
    pub(crate) table: &'static str,
    pub(crate) verdict: Verdict,
    pub(crate) objects: usize,
}

pub(crate) struct Load {
    stop: CancellationToken,
    sessions: JoinSet<u64>,
}

impl Load {
    /// Ends the load; returns how many transactions there were.
    pub(crate) async fn end(self) -> u64 {
        self.stop.cancel();
        self.sessions.join_all().await.into_iter().sum()
    }
}
