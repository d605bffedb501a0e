//! Tables that change their shape while they are captured.

use std::time::Duration;

use datapipe_e2e::stage::{PG15, PG18, Stage, eventually};
use serde_json::{Value, json};

const SCHEMA: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE TABLE users (id bigint PRIMARY KEY, name text, n int, mood mood);
    CREATE TABLE products (id bigint PRIMARY KEY, name text)";

/// A change of the table's shape, a row, and how it must read.
fn steps() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("", "INSERT INTO users VALUES (1, 'a', 7, 'sad')", json!({"id": 1, "name": "a", "n": 7, "mood": "sad"})),
        (
            "ALTER TABLE users ADD COLUMN extra numeric(10, 2)",
            "INSERT INTO users VALUES (2, 'b', 8, 'happy', 1.5)",
            json!({"id": 2, "name": "b", "n": 8, "mood": "happy", "extra": "1.50"}),
        ),
        (
            "ALTER TABLE users ALTER COLUMN n TYPE text",
            "INSERT INTO users VALUES (3, 'c', 'nine', 'happy', 2)",
            json!({"id": 3, "name": "c", "n": "nine", "mood": "happy", "extra": "2.00"}),
        ),
        (
            "ALTER TABLE users DROP COLUMN name",
            "INSERT INTO users VALUES (4, 'ten', 'sad', NULL)",
            json!({"id": 4, "n": "ten", "mood": "sad", "extra": null}),
        ),
        (
            "ALTER TYPE mood ADD VALUE 'angry'",
            "INSERT INTO users VALUES (5, NULL, 'angry', 3)",
            json!({"id": 5, "n": null, "mood": "angry", "extra": "3.00"}),
        ),
        (
            "ALTER TABLE users RENAME COLUMN n TO m",
            "INSERT INTO users VALUES (6, 'm', 'angry', 4)",
            json!({"id": 6, "m": "m", "mood": "angry", "extra": "4.00"}),
        ),
        (
            "ALTER TABLE users ADD COLUMN name boolean DEFAULT true",
            "UPDATE users SET m = 'last' WHERE id = 6",
            json!({"id": 6, "m": "last", "mood": "angry", "extra": "4.00", "name": true}),
        ),
    ]
}

fn images(events: &[Value]) -> Vec<Value> {
    events.iter().map(|event| event["after"].clone()).collect()
}

async fn change(stage: &Stage) {
    for (change, row, _) in steps() {
        if !change.is_empty() {
            stage.sql(change).await;
        }
        stage.sql(row).await;
    }
}

/// While the worker runs, and while it is away, so that it meets rows in shapes that the table has no more.
async fn each_row_in_its_own_shape(postgres: datapipe_embedded::PostgresSource, away: bool) {
    let stage = Stage::new(postgres, SCHEMA).await;
    let worker = stage.worker("worker", &["users"], &[]);
    stage.running(&["users"]).await;
    if away {
        worker.stop().await.unwrap();
        change(&stage).await;
    } else {
        change(&stage).await;
        stage.captured(&["users"], Duration::from_secs(30)).await;
        worker.stop().await.unwrap();
    }
    let worker = stage.worker("worker", &["users"], &[]);
    let events = stage.arrived("users", steps().len()).await;
    let expected: Vec<_> = steps().into_iter().map(|(_, _, image)| image).collect();
    assert_eq!(images(&events), expected, "away: {away}");
    stage.running(&["users"]).await;
    worker.stop().await.unwrap();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shapes_that_change_while_streaming() {
    each_row_in_its_own_shape(PG15, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shapes_that_changed_while_the_worker_was_away() {
    each_row_in_its_own_shape(PG15, true).await;
    each_row_in_its_own_shape(PG18, true).await;
}

/// A type without a form is named at the start, before anything is made; without that table the others run. Added
/// while streaming it stops its own table only, in words, until it is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_without_a_form_stops_its_own_table() {
    let stage = Stage::new(PG15, &format!("{SCHEMA}; ALTER TABLE users ADD COLUMN place tsquery")).await;
    let mut worker = stage.worker("refused", &["users", "products"], &[]);
    assert_eq!(worker.ended(Duration::from_secs(30)).await.unwrap().code(), Some(69));
    let words = worker.words();
    println!("{words}");
    assert!(words.contains("public.users.place") && words.contains("type tsquery is not supported"), "{words}");
    let made = stage.number("SELECT count(*) FROM pg_publication").await
        + stage.number("SELECT count(*) FROM pg_replication_slots").await;
    assert_eq!(made, 0, "nothing was made");

    let worker = stage.worker("products", &["products"], &[]);
    stage.running(&["products"]).await;
    worker.stop().await.unwrap();

    stage.sql("ALTER TABLE users DROP COLUMN place").await;
    let worker = stage.worker("both", &["users", "products"], &[]);
    stage.running(&["users", "products"]).await;
    stage.sql("ALTER TABLE users ADD COLUMN place tsquery; INSERT INTO users VALUES (1, 'a', 1, 'sad', 'here')").await;
    eventually("the column to be refused", Duration::from_secs(20), async || {
        let task = stage.task("users", "source").await;
        task.is_some_and(|(state, trace)| state == "FAILED" && trace.contains("type tsquery is not supported"))
    })
    .await;
    println!("{}", stage.task("users", "source").await.unwrap().1);
    stage.sql("INSERT INTO products VALUES (1, 'goes on')").await;
    stage.prove(&["products"]).await;
    assert!(stage.is_running("products").await);
    worker.stop().await.unwrap();
    stage.end().await;
}
