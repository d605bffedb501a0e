//! The servers, the worker process, and questions to both.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use datapipe_core::convention::Names;
use datapipe_embedded::{PostgresOptions, PostgresSource, Stack};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;
use tokio_postgres::{Client, NoTls};

pub(crate) const BUCKET: &str = "lake";
pub(crate) const PG15: PostgresSource = PostgresSource::Installed { major_min: 15 };
pub(crate) const PG18: PostgresSource = PostgresSource::Binaries;
const TABLES: [&str; 4] = ["users", "products", "orders", "order_items"];

/// Settings that all workers get; later ones win.
const SETTINGS: [(&str, &str); 4] =
    [("kafka.replication_factor", "1"), ("source.heartbeat", "1s"), ("sink.age", "1s"), ("s3.bucket", BUCKET)];

/// Running servers, with a session of the test's own.
pub(crate) struct Stage {
    pub(crate) stack: Stack,
    pub(crate) db: Client,
    pub(crate) root: TempDir,
    ports: [u16; 4],
}

impl Stage {
    pub(crate) async fn new(postgres: PostgresSource, schema: &str) -> Self {
        let root = tempfile::Builder::new().prefix("datapipe-scenario-").tempdir().unwrap();
        let options = PostgresOptions {
            source: postgres,
            // Sessions of the same words as the recorded values.
            settings: vec![("lc_monetary".to_owned(), "C".to_owned())],
            ..PostgresOptions::default()
        };
        let stack = Stack::builder(root.path().join("stack")).postgres_options(options).start().await.unwrap();
        stack.s3().create_bucket(BUCKET).await.unwrap();
        let db = connect(&stack).await.unwrap();
        db.batch_execute(schema).await.unwrap();
        let ports = std::array::from_fn(|_| free_port());
        Self { stack, db, root, ports }
    }

    pub(crate) async fn end(self) {
        self.stack.stop().await.unwrap();
    }

    pub(crate) async fn sql(&self, sql: &str) {
        self.db.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The first cell of the first row, as text.
    pub(crate) async fn ask(&self, sql: &str) -> Option<String> {
        let messages = self.db.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        messages.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.ask(sql).await.unwrap_or_else(|| panic!("no row: {sql}")).parse().unwrap()
    }

    pub(crate) async fn reconnect(&mut self) {
        self.db = connect(&self.stack).await.unwrap();
    }

    /// Starts `datapipe-run start` for these tables.
    pub(crate) fn worker(&self, name: &str, tables: &[&str], settings: &[(&str, &str)]) -> Worker {
        let log = self.root.path().join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new(program());
        command.arg("start").current_dir(self.root.path());
        for table in tables {
            command.args(["--table", table]);
        }
        let postgres = self.stack.postgres();
        let s3 = self.stack.s3();
        let servers = [
            ("postgres.host", postgres.host().to_owned()),
            ("postgres.port", postgres.port().to_string()),
            ("postgres.database", postgres.database().to_owned()),
            ("postgres.user", postgres.user().to_owned()),
            ("postgres.password", "${env:PGPASSWORD}".to_owned()),
            ("kafka.bootstrap", self.stack.kafka().bootstrap()),
            ("s3.endpoint", s3.endpoint()),
            ("s3.region", s3.region().to_owned()),
            ("run.data_dir", self.root.path().join(format!("spool-{name}")).display().to_string()),
        ];
        let ports =
            TABLES.iter().zip(self.ports).map(|(table, port)| (format!("tables.{table}.port"), port.to_string()));
        let own = SETTINGS.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        for (key, value) in servers.map(|(key, value)| (key.to_owned(), value)).into_iter().chain(ports).chain(own) {
            command.args(["--set", &format!("{key}={value}")]);
        }
        command
            .env("PGPASSWORD", postgres.password())
            .env("AWS_ACCESS_KEY_ID", s3.access_key())
            .env("AWS_SECRET_ACCESS_KEY", s3.secret_key())
            .stdin(Stdio::null())
            .stdout(Stdio::from(file.try_clone().unwrap()))
            .stderr(Stdio::from(file));
        Worker { child: command.spawn().unwrap(), log }
    }

    pub(crate) fn address(&self, table: &str) -> String {
        let index = TABLES.iter().position(|known| *known == table).unwrap();
        format!("http://127.0.0.1:{}", self.ports[index])
    }

    /// `GET path`: status and body; none if nobody answers.
    pub(crate) async fn get(&self, table: &str, path: &str) -> Option<(u16, String)> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
        let response = client.get(format!("{}{path}", self.address(table))).send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.text().await.ok()?))
    }

    /// State and trace of a connector's task.
    pub(crate) async fn task(&self, table: &str, role: &str) -> Option<(String, String)> {
        let names = names(table);
        let connector = if role == "source" { names.source_connector } else { names.sink_connector };
        let (_, body) = self.get(table, &format!("/connectors/{connector}/status")).await?;
        let body: Value = serde_json::from_str(&body).ok()?;
        let task = body["tasks"].get(0)?;
        Some((task["state"].as_str()?.to_owned(), task["trace"].as_str().unwrap_or_default().to_owned()))
    }

    pub(crate) async fn is_running(&self, table: &str) -> bool {
        for role in ["source", "sink"] {
            if self.task(table, role).await.is_none_or(|(state, _)| state != "RUNNING") {
                return false;
            }
        }
        true
    }

    /// Whether the stream is open: a task is RUNNING already while it finds out where to start.
    pub(crate) async fn is_streaming(&self, table: &str) -> bool {
        let slot = names(table).slot;
        let sql = format!("SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'");
        self.ask(&sql).await.as_deref() == Some("t")
    }

    pub(crate) async fn running(&self, tables: &[&str]) {
        for table in tables {
            let what = format!("{table} to be RUNNING");
            let running = async || self.is_running(table).await && self.is_streaming(table).await;
            eventually(&what, Duration::from_secs(60), running).await;
        }
    }

    /// A figure of `GET /metrics`.
    pub(crate) async fn metric(&self, table: &str, name: &str) -> Option<f64> {
        let (_, text) = self.get(table, "/metrics").await?;
        let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    pub(crate) async fn end_of_log(&self) -> String {
        self.ask("SELECT pg_current_wal_insert_lsn()").await.unwrap()
    }

    pub(crate) async fn is_confirmed(&self, table: &str, lsn: &str) -> bool {
        let slot = names(table).slot;
        let sql = format!(
            "SELECT confirmed_flush_lsn >= '{lsn}'::pg_lsn FROM pg_replication_slots WHERE slot_name = '{slot}'"
        );
        self.ask(&sql).await.as_deref() == Some("t")
    }

    /// Waits until everything committed so far is in Kafka; returns how long that took.
    pub(crate) async fn captured(&self, tables: &[&str], limit: Duration) -> Duration {
        let (lsn, begun) = (self.end_of_log().await, Instant::now());
        for table in tables {
            let what = format!("{table} to be captured up to {lsn}");
            eventually(&what, limit, async || self.is_confirmed(table, &lsn).await).await;
        }
        begun.elapsed()
    }
}

pub(crate) async fn connect(stack: &Stack) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(&stack.postgres().url(), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

pub(crate) fn names(table: &str) -> Names {
    Names::derive("cdc", "public", table).unwrap()
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The program as `cargo build --bins` leaves it, beside this test's folder.
fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let program = own.parent().and_then(Path::parent).unwrap().join("datapipe-run");
    assert!(program.exists(), "{} is missing: cargo build --bin datapipe-run", program.display());
    program
}

/// Waits until `done`; fails after `limit`.
pub(crate) async fn eventually(what: &str, limit: Duration, mut done: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !done().await {
        assert!(begun.elapsed() < limit, "waited {} s for {what}", limit.as_secs());
        sleep(Duration::from_millis(20)).await;
    }
}

/// A worker process; killed when dropped, with its log shown if the test fails.
pub(crate) struct Worker {
    child: Child,
    pub(crate) log: PathBuf,
}

impl Worker {
    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self, limit: Duration) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < limit, "the worker has not ended in {} s", limit.as_secs());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// SIGTERM; returns how long the end took.
    pub(crate) async fn stop(mut self) -> Duration {
        let begun = Instant::now();
        self.signal(Signal::TERM);
        let code = self.ended(Duration::from_secs(30)).await;
        assert_eq!(code, Some(0), "a stopped worker ends well");
        begun.elapsed()
    }

    pub(crate) fn words(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let words = self.words();
            let from = words.len().saturating_sub(6000);
            let tail = words.get(from..).unwrap_or(&words);
            println!("--- {}:\n{tail}", self.log.display());
        }
    }
}

pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}
