//! Real PostgreSQL servers: an installed one, and the fetched binaries.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests: a failure is a panic, figures are printed"
)]

use std::time::Duration;

use datapipe_embedded::{Cache, Postgres, PostgresOptions, PostgresSource, Progress, Shutdown};
use tokio_postgres::{Client, NoTls};

async fn start(folder: &std::path::Path, source: PostgresSource) -> Postgres {
    let options = PostgresOptions { source, ..PostgresOptions::default() };
    let progress = Progress::new(|line| println!("{line}"));
    Postgres::start(folder, options, &Cache::of_user(), &progress).await.unwrap()
}

async fn connect(server: &Postgres) -> Client {
    let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn text(client: &Client, query: &str) -> String {
    client.query_one(query, &[]).await.unwrap().get(0)
}

fn rss_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Logical replication works, a restart keeps data, port and password, a crash recovers.
async fn lives_through_restarts(source: PostgresSource, major_min: u32) {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("postgres");
    let mut server = start(&home, source).await;
    println!("PostgreSQL {} rss {} MiB", server.major(), rss_mib(server.pid().unwrap()));
    assert!(server.major() >= major_min);

    let client = connect(&server).await;
    assert_eq!(text(&client, "SHOW wal_level").await, "logical");
    assert_eq!(text(&client, "SHOW listen_addresses").await, "127.0.0.1");
    assert_eq!(text(&client, "SHOW password_encryption").await, "scram-sha-256");
    client.batch_execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await.unwrap();
    let slot = "SELECT slot_name::text FROM pg_create_logical_replication_slot('s', 'pgoutput')";
    assert_eq!(text(&client, slot).await, "s");

    let (url, first_pid) = (server.url(), server.pid());
    server.restart(Shutdown::Immediate).await.unwrap();
    assert_eq!(server.url(), url);
    assert_ne!(server.pid(), first_pid);
    let client = connect(&server).await;
    assert_eq!(text(&client, "SELECT count(*)::text FROM t").await, "1");

    server.restart(Shutdown::Fast).await.unwrap();
    server.stop(Shutdown::Fast).await.unwrap();
    assert_eq!(server.pid(), None);
    assert!(tokio_postgres::connect(&url, NoTls).await.is_err());

    // A later process finds the same server again.
    drop(server);
    let server = start(&home, source).await;
    assert_eq!(server.url(), url);
    assert_eq!(text(&connect(&server).await, "SELECT count(*)::text FROM t").await, "1");
}

#[tokio::test]
async fn an_installed_server_lives_through_restarts() {
    lives_through_restarts(PostgresSource::Installed { major_min: 14 }, 14).await;
}

#[tokio::test]
async fn the_fetched_binaries_live_through_restarts() {
    lives_through_restarts(PostgresSource::Binaries, 18).await;
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(&folder.path().join("postgres"), PostgresSource::Auto).await;
    let url = server.url().replace(server.password(), "wrong");
    let error = tokio_postgres::connect(&url, NoTls).await.err().unwrap();
    assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("28P01"));
}

#[tokio::test]
async fn dropping_it_stops_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(&folder.path().join("postgres"), PostgresSource::Auto).await;
    let (url, pid) = (server.url(), server.pid().unwrap());
    drop(server);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    let connecting = tokio::time::timeout(Duration::from_secs(5), tokio_postgres::connect(&url, NoTls)).await.unwrap();
    assert!(connecting.is_err());
}

#[tokio::test]
async fn a_bad_setting_is_shown_with_the_end_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let options = PostgresOptions {
        settings: vec![("wal_level".to_owned(), "thorough".to_owned())],
        ..PostgresOptions::default()
    };
    let home = folder.path().join("postgres");
    let error = Postgres::start(&home, options, &Cache::of_user(), &Progress::silent()).await.unwrap_err();
    let message = error.to_string();
    assert!(message.contains("PostgreSQL ended during its start"), "{message}");
    assert!(message.contains("thorough"), "{message}");
}

#[tokio::test]
async fn a_version_that_nobody_has_is_named_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let source = PostgresSource::Installed { major_min: 99 };
    let options = PostgresOptions { source, ..PostgresOptions::default() };
    let error = Postgres::start(folder.path(), options, &Cache::of_user(), &Progress::silent()).await.unwrap_err();
    assert!(error.to_string().contains("version 99 or later"), "{error}");
    assert!(error.hint().contains("install"), "{}", error.hint());
}
