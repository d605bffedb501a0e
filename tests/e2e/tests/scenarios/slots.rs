//! Slots that vanish, come anew, or stand still.

use std::time::{Duration, Instant};

use datapipe_e2e::stage::{PG15, Stage, eventually};
use datapipe_e2e::traffic::{SCHEMA, Traffic};
use tokio::time::sleep;

const REMEDY: &str = "rows may be missing downstream; to start anew with a snapshot: stop the worker, run SELECT \
                      pg_drop_replication_slot('debezium_slot_users') if the slot exists, write a tombstone for key \
                      [\"postgres-cdc-users-connector\",{\"server\":\"cdc\"}] to topic connect-offsets-users, and start \
                      again";

async fn refused(stage: &Stage, why: &str) -> String {
    let mut found = String::new();
    eventually("the refusal", Duration::from_secs(30), async || {
        let task = stage.task("users", "source").await;
        if let Some((_, trace)) = &task {
            found.clone_from(trace);
        }
        task.is_some_and(|(state, trace)| state == "FAILED" && trace.contains(why))
    })
    .await;
    println!("{found}");
    found
}

/// Ends the stream and drops the slot before the worker comes back to it.
async fn drop_slot(stage: &Stage) {
    stage
        .sql(
            "DO $$ BEGIN FOR attempt IN 1..200 LOOP
                BEGIN
                    PERFORM pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'debezium_slot_users';
                    PERFORM pg_drop_replication_slot('debezium_slot_users');
                    RETURN;
                EXCEPTION WHEN object_in_use THEN PERFORM pg_sleep(0.005);
                END;
            END LOOP; END $$",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_was_dropped_or_made_anew_is_refused_with_words() {
    let stage = Stage::new(PG15, SCHEMA).await;
    let tables = ["users", "products"];
    let worker = stage.worker("worker", &tables, &[]);
    stage.running(&tables).await;
    stage.sql("INSERT INTO users (name) VALUES ('a'); INSERT INTO products (name) VALUES ('a')").await;
    stage.prove(&tables).await;

    drop_slot(&stage).await;
    let gone = refused(&stage, "the slot is gone").await;
    let expected = "resuming from slot debezium_slot_users: the slot is gone, and changes since the stored position \
                    with it; ";
    assert_eq!(gone, format!("{expected}{REMEDY}"));

    stage.sql("INSERT INTO users (name) VALUES ('in the gap'); INSERT INTO products (name) VALUES ('b')").await;
    stage.sql("SELECT pg_create_logical_replication_slot('debezium_slot_users', 'pgoutput')").await;
    let anew = refused(&stage, "advanced or created anew").await;
    assert!(anew.starts_with("resuming from slot debezium_slot_users: the slot is at "), "{anew}");
    assert!(anew.contains(", ahead of the stored position "), "{anew}");
    let ending = format!("it was advanced or created anew, and the changes in between will never be sent; {REMEDY}");
    assert!(anew.ends_with(&ending), "{anew}");

    // The other table never noticed.
    stage.running(&["products"]).await;
    stage.prove(&["products"]).await;
    assert_eq!(stage.metric("products", "datapipe_source_restarts_total").await, Some(0.0));
    worker.stop().await.unwrap();
    stage.end().await;
}

async fn retained(stage: &Stage) -> i64 {
    stage
        .number(
            "SELECT (pg_current_wal_lsn() - restart_lsn)::bigint FROM pg_replication_slots
             WHERE slot_name = 'debezium_slot_users'",
        )
        .await
}

/// An hour without a change, compressed: many heartbeats pass while another table is written heavily.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_table_holds_no_log_back_and_survives_a_restart() {
    let stage = Stage::new(PG15, SCHEMA).await;
    let tables = ["users", "products"];
    let worker = stage.worker("worker", &tables, &[("source.heartbeat", "200ms")]);
    stage.running(&tables).await;
    stage.sql("INSERT INTO users (name) VALUES ('the only one')").await;
    stage.captured(&["users"], Duration::from_secs(20)).await;
    let before = retained(&stage).await;
    let written_from = stage.number("SELECT (pg_current_wal_lsn() - '0/0')::bigint").await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        stage.sql("INSERT INTO products (name) SELECT repeat('x', 200) FROM generate_series(1, 5000); DELETE FROM products WHERE id % 2 = 0").await;
    }
    let written = stage.number("SELECT (pg_current_wal_lsn() - '0/0')::bigint").await - written_from;
    stage.captured(&tables, Duration::from_secs(60)).await;
    // What a slot holds back is released at the running transactions that the server logs every 15 s.
    stage.sql("CHECKPOINT").await;
    let mut after = i64::MAX;
    eventually("the idle slot to release the log", Duration::from_secs(40), async || {
        after = retained(&stage).await;
        after < 8 << 20
    })
    .await;
    println!("{written} bytes of log written beside the idle table; it held back {before} before, {after} after");
    assert!(written > 20 << 20);

    worker.stop().await.unwrap();
    let worker = stage.worker("worker", &tables, &[("source.heartbeat", "200ms")]);
    stage.running(&tables).await;
    stage.sql("INSERT INTO users (name) VALUES ('after the rest')").await;
    stage.prove(&["users"]).await;
    assert_eq!(stage.metric("users", "datapipe_source_restarts_total").await, Some(0.0));

    // And once more after kill -9, under traffic.
    let traffic = Traffic::start(&stage.servers, &["users"], Duration::from_millis(10));
    worker.kill().unwrap();
    sleep(Duration::from_secs(1)).await;
    let worker = stage.worker("worker", &tables, &[("source.heartbeat", "200ms")]);
    stage.running(&tables).await;
    traffic.stop().await.unwrap();
    stage.prove(&["users"]).await;
    worker.stop().await.unwrap();
    stage.end().await;
}
