//! Rows of every kind of statement, once each and in order.

use std::time::{Duration, Instant};

use datapipe_e2e::stage::{PG15, PG18, Stage, short};
use datapipe_embedded::PostgresSource;

const SCHEMA: &str = "
    CREATE TABLE users (id bigint PRIMARY KEY, name text, note text, big text);
    ALTER TABLE users ALTER COLUMN big SET STORAGE EXTERNAL;
    CREATE TABLE products (id bigint PRIMARY KEY, name text, big text);
    ALTER TABLE products ALTER COLUMN big SET STORAGE EXTERNAL;
    ALTER TABLE products REPLICA IDENTITY FULL;
    INSERT INTO users SELECT n, 'before ' || n FROM generate_series(1, 3) n";

const COPIED: usize = 40_000;

/// Statements, and the events of `users` that they lead to.
const STATEMENTS: &[(&str, &[&str])] = &[
    ("INSERT INTO users VALUES (10, 'a')", &["c:10"]),
    ("INSERT INTO users VALUES (11, 'b'), (12, 'c'), (13, 'd')", &["c:11", "c:12", "c:13"]),
    ("UPDATE users SET name = 'e' WHERE id IN (10, 11)", &["u:10", "u:11"]),
    // A changed key: the old row goes, the new one comes.
    ("UPDATE users SET id = 20 WHERE id = 10", &["d:10", "c:20"]),
    ("DELETE FROM users WHERE id = 11", &["d:11"]),
    ("INSERT INTO users VALUES (11, 'again')", &["c:11"]),
    (
        "BEGIN; INSERT INTO users VALUES (30, 's'); SAVEPOINT a; INSERT INTO users VALUES (31, 'gone'); \
         ROLLBACK TO a; INSERT INTO users VALUES (32, 't'); RELEASE a; SAVEPOINT b; \
         INSERT INTO users VALUES (33, 'u'); RELEASE b; COMMIT",
        &["c:30", "c:32", "c:33"],
    ),
    ("BEGIN; INSERT INTO users VALUES (40, 'no'); ROLLBACK", &[]),
    (
        "BEGIN; UPDATE users SET name = 'x' WHERE id = 30; UPDATE users SET name = 'y' WHERE id = 30; COMMIT",
        &["u:30", "u:30"],
    ),
    ("INSERT INTO users VALUES (12, 'upsert') ON CONFLICT (id) DO UPDATE SET name = excluded.name", &["u:12"]),
    ("TRUNCATE users, products", &["t:null"]),
    ("INSERT INTO users VALUES (50, 'after')", &["c:50"]),
];

async fn copy_in(stage: &Stage) {
    let last = 100_000 + COPIED - 1;
    stage.sql(&format!("COPY users (id) FROM PROGRAM 'seq 100000 {last}'")).await;
}

async fn every_kind_of_statement(postgres: PostgresSource) {
    let stage = Stage::new(postgres, SCHEMA).await;
    let tables = ["users", "products"];
    let worker = stage.worker("worker", &tables, &[]);
    stage.running(&tables).await;
    stage.arrived("users", 3).await;
    let mut expected: Vec<String> = ["r:1", "r:2", "r:3"].map(str::to_owned).to_vec();
    let mut pause = STATEMENTS.len() / 2;
    for (sql, events) in STATEMENTS {
        stage.sql(sql).await;
        expected.extend(events.iter().map(|event| (*event).to_owned()));
        pause = pause.saturating_sub(1);
        if pause == 1 {
            // Objects are cut here: what comes next belongs to other ones.
            stage.arrived("users", expected.len()).await;
        }
    }
    let stopped = worker.stop().await.unwrap();
    println!("SIGTERM to the end: {} ms", stopped.as_millis());
    let begun = Instant::now();
    copy_in(&stage).await;
    expected.extend((0..COPIED).map(|row| format!("c:{}", 100_000 + row)));
    let worker = stage.worker("worker", &tables, &[]);
    stage.captured(&tables, Duration::from_secs(60)).await;
    println!("COPY of {COPIED} rows with a restart in between, until captured: {} ms", begun.elapsed().as_millis());
    let events = stage.arrived("users", expected.len()).await;
    let found = short(&events);
    let differing = found.iter().zip(&expected).position(|(found, expected)| found != expected);
    assert_eq!(differing.map(|at| (&found[at], &expected[at])), None, "order");
    stage.prove(&tables).await;
    worker.stop().await.unwrap();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_statement_on_15() {
    every_kind_of_statement(PG15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_statement_on_18() {
    every_kind_of_statement(PG18).await;
}

/// Large values that an update leaves alone are not sent again: with the default identity a placeholder stands for
/// them, with the full one the old image has them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unchanged_large_values() {
    let stage = Stage::new(PG15, SCHEMA).await;
    let tables = ["users", "products"];
    let worker = stage.worker("worker", &tables, &[]);
    stage.running(&tables).await;
    for table in tables {
        stage.sql(&format!("INSERT INTO {table} (id, name, big) VALUES (10, 'a', repeat('large ', 20000))")).await;
        stage.sql(&format!("UPDATE {table} SET name = 'b' WHERE id = 10")).await;
        stage.sql(&format!("UPDATE {table} SET big = 'small' WHERE id = 10")).await;
    }
    let large = "large ".repeat(20_000);
    let users = stage.arrived("users", 6).await;
    assert_eq!(users[3]["after"]["big"], large);
    assert_eq!(users[4]["after"]["big"], "__debezium_unavailable_value");
    assert_eq!(users[4]["before"], serde_json::Value::Null);
    assert_eq!(users[5]["after"]["big"], "small");
    let products = stage.arrived("products", 3).await;
    assert_eq!(products[1]["after"]["big"], large);
    assert_eq!(products[1]["before"]["big"], large);
    assert_eq!(products[2]["before"]["name"], "b");
    stage.prove(&tables).await;
    worker.stop().await.unwrap();
    stage.end().await;
}
