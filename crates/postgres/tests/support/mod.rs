//! A throw-away PostgreSQL server per test file, and what the tests have in common.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each test file uses a part of it")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use datapipe_core::Secret;
use datapipe_core::change::{Action, Cell, Event, OldRow, Tuple};
use datapipe_core::port::source::ChangeSource;
use datapipe_postgres::{PgConfig, PgSource, SourceSpec};
use tokio_postgres::{Client, NoTls};

/// Where the server's programs are: `DATAPIPE_TEST_PG_BIN`, else where Debian keeps those of version 15. A test
/// without a server fails; it is not skipped.
#[expect(clippy::disallowed_methods, reason = "whoever runs the tests chooses the server's version by it")]
fn bin() -> PathBuf {
    std::env::var("DATAPIPE_TEST_PG_BIN").map_or_else(|_| PathBuf::from("/usr/lib/postgresql/15/bin"), PathBuf::from)
}
/// As root the server must run as somebody else: nobody.
const NOBODY: u32 = 65534;

pub(crate) const PASSWORD: &str = "s3cret";

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A server on loopback; its data are removed with it.
pub(crate) struct Server {
    pub(crate) port: u16,
    folder: PathBuf,
}

impl Server {
    /// Starts a server with these settings beside the usual ones.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self::start_with("scram-sha-256", settings)
    }

    /// The same with another way of authentication.
    pub(crate) fn start_with(authentication: &str, settings: &[&str]) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = PathBuf::from(format!("/tmp/datapipe-postgres-test-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        if is_root() {
            chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let data = folder.join("data");
        let password = folder.join("password");
        fs::write(&password, PASSWORD).unwrap();
        let initdb = program("initdb", &folder)
            .args(["-U", "postgres", "-A", authentication, "--no-sync", "--locale=C.UTF-8", "-E", "UTF8", "-D"])
            .arg(&data)
            .arg(format!("--pwfile={}", password.display()))
            .output()
            .unwrap();
        assert!(initdb.status.success(), "{}", String::from_utf8_lossy(&initdb.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        launch(&folder, port, settings);
        Self { port, folder }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// `pg_ctl stop -m fast`; returns how long it took.
    pub(crate) fn stop_fast(&mut self) -> Duration {
        let start = Instant::now();
        let status = program("pg_ctl", &self.folder)
            .args(["stop", "-m", "fast", "-t", "60", "-s", "-D"])
            .arg(self.folder.join("data"))
            .status()
            .unwrap();
        assert!(status.success());
        start.elapsed()
    }

    pub(crate) fn config(&self) -> PgConfig {
        let mut config = PgConfig::new("127.0.0.1", "postgres", "postgres");
        config.port = self.port;
        config.password = Some(Secret::new(PASSWORD));
        config
    }

    /// The source of `public.{table}`.
    pub(crate) fn spec(&self, table: &str) -> SourceSpec {
        SourceSpec::new(self.config(), "public", table, format!("slot_{table}"), format!("pub_{table}"))
    }

    pub(crate) async fn client(&self) -> Client {
        let config = format!("host=127.0.0.1 port={} user=postgres dbname=postgres password={PASSWORD}", self.port);
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Creates a table from its columns, its publication and slot; the source streams.
    pub(crate) async fn streaming(&self, client: &Client, table: &str, columns: &str) -> PgSource {
        self.streaming_by(client, self.spec(table), columns).await
    }

    pub(crate) async fn streaming_by(&self, client: &Client, spec: SourceSpec, columns: &str) -> PgSource {
        let table = spec.table.clone();
        client
            .batch_execute(&format!(
                "CREATE TABLE {table} ({columns}); CREATE PUBLICATION pub_{table} FOR TABLE {table}"
            ))
            .await
            .unwrap();
        let mut source = PgSource::new(spec);
        let point = source.create_slot().await.unwrap();
        drain_snapshot(&mut source).await;
        source.start(point).await.unwrap();
        source
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = program("pg_ctl", &self.folder)
            .args(["stop", "-m", "immediate", "-s", "-D"])
            .arg(self.folder.join("data"))
            .stderr(Stdio::null())
            .status();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn launch(folder: &Path, port: u16, settings: &[&str]) {
    let fixed = ["wal_level=logical", "fsync=off", "listen_addresses=127.0.0.1", "unix_socket_directories="];
    let settings: Vec<String> = fixed.iter().chain(settings).map(|setting| format!("-c {setting}")).collect();
    let status = program("pg_ctl", folder)
        .args(["start", "-w", "-t", "60", "-s", "-o", &format!("-p {port} {}", settings.join(" ")), "-D"])
        .arg(folder.join("data"))
        .arg("-l")
        .arg(folder.join("log"))
        .stdout(Stdio::null())
        .status()
        .unwrap();
    let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
    assert!(status.success(), "the server does not start: {log}");
}

fn program(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(bin().join(name));
    command.current_dir(folder);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Reads the open snapshot to its end.
pub(crate) async fn drain_snapshot(source: &mut PgSource) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut rows = Vec::new();
        source.read_rows(None, &mut rows).await.unwrap();
        if rows.is_empty() {
            return lines;
        }
        lines.extend(rows.iter().map(show));
    }
}

/// A tuple on one line: `-` is null, `~` unchanged.
pub(crate) fn show(tuple: &Tuple) -> String {
    let cells = tuple.cells().map(|cell| match cell {
        Cell::Null => "-".to_owned(),
        Cell::Unchanged => "~".to_owned(),
        Cell::Text(text) => String::from_utf8_lossy(text).into_owned(),
    });
    cells.collect::<Vec<_>>().join(",")
}

fn show_old(old: &OldRow) -> String {
    match old {
        OldRow::Key(tuple) => format!("key({})", show(tuple)),
        OldRow::Full(tuple) => format!("full({})", show(tuple)),
    }
}

/// An action on one line.
pub(crate) fn show_action(action: &Action) -> String {
    match action {
        Action::Insert(new) => format!("I {}", show(new)),
        Action::Update { old: None, new } => format!("U {}", show(new)),
        Action::Update { old: Some(old), new } => format!("U {} {}", show_old(old), show(new)),
        Action::Delete(old) => format!("D {}", show_old(old)),
        Action::Truncate => "T".to_owned(),
    }
}

/// Events until so many transactions of ours have ended, or `limit` has passed (then the test fails).
pub(crate) async fn transactions(source: &mut PgSource, count: usize, limit: Duration) -> Vec<Event> {
    let deadline = Instant::now() + limit;
    let mut events = Vec::new();
    while events.iter().filter(|event| matches!(event, Event::Commit { .. })).count() < count {
        assert!(Instant::now() < deadline, "{count} transactions did not come, but {events:?}");
        source.next(Duration::from_millis(200), &mut events).await.unwrap();
    }
    events
}

/// The changes of so many transactions, one line each, with a line `--` after each transaction.
pub(crate) async fn changes(source: &mut PgSource, count: usize) -> Vec<String> {
    let events = transactions(source, count, Duration::from_secs(20)).await;
    lines(&events)
}

/// Changes on a line each, `--` after each transaction.
pub(crate) fn lines(events: &[Event]) -> Vec<String> {
    let line = |event: &Event| match event {
        Event::Change(change) => Some(show_action(&change.action)),
        Event::Commit { .. } => Some("--".to_owned()),
        _ => None,
    };
    events.iter().filter_map(line).collect()
}
