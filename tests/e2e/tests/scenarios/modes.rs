//! What becomes of rows that exist before the stream, under each snapshot mode.

use std::time::Duration;

use datapipe_e2e::stage::{PG18, Stage, eventually, short};
use datapipe_e2e::traffic::SCHEMA;
use serde_json::Value;

const SETTINGS: [(&str, &str); 4] = [
    ("tables.users.source.snapshot", "when_needed"),
    ("tables.products.source.snapshot", "always"),
    ("tables.orders.source.snapshot", "initial_only"),
    ("tables.order_items.source.keyless_snapshot", "true"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mode_reads_the_rows_when_it_says() {
    let stage = Stage::new(PG18, SCHEMA).await;
    stage.sql("ALTER TABLE order_items DROP CONSTRAINT order_items_pkey").await;
    stage.sql("ALTER TABLE order_items REPLICA IDENTITY FULL").await;
    for table in ["users", "products", "orders", "order_items"] {
        stage.sql(&format!("INSERT INTO {table} (name) SELECT 'row ' || n FROM generate_series(1, 3) n")).await;
    }
    let streamed = ["users", "products", "order_items"];
    let worker = stage.worker("first", &[], &SETTINGS);
    stage.running(&streamed).await;
    for table in ["users", "products", "orders", "order_items"] {
        stage.sql(&format!("UPDATE {table} SET name = 'changed' WHERE id = 2")).await;
    }
    for table in streamed {
        assert_eq!(short(&stage.arrived(table, 4).await), ["r:1", "r:2", "r:3", "u:2"], "{table}");
    }
    stage.prove(&["users", "products"]).await;

    // Without a key there is none in the records either, and the old row is there as a whole.
    let update = stage.events("order_items").pop().unwrap();
    assert_eq!((&update["before"]["name"], &update["after"]["name"]), (&"row 2".into(), &"changed".into()));

    // Read once, no slot, no stream; and RUNNING all the same.
    assert_eq!(short(&stage.arrived("orders", 3).await), ["r:1", "r:2", "r:3"]);
    let slots =
        stage.number("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'debezium_slot_orders'").await;
    assert_eq!(slots, 0);
    eventually("orders to be RUNNING", Duration::from_secs(10), async || stage.is_running("orders").await).await;
    worker.stop().await.unwrap();

    // What happens while nobody looks: a delete that a snapshot alone would hide, and a slot that somebody drops.
    stage.sql("DELETE FROM products WHERE id = 1").await;
    stage
        .sql("SELECT pg_drop_replication_slot('debezium_slot_users'); INSERT INTO users (name) VALUES ('in the gap')")
        .await;
    let worker = stage.worker("second", &[], &SETTINGS);
    stage.running(&streamed).await;
    assert_eq!(short(&stage.arrived("products", 7).await)[4..], ["d:1", "r:2", "r:3"]);
    assert_eq!(short(&stage.arrived("users", 8).await)[4..], ["r:1", "r:2", "r:3", "r:4"]);
    stage.prove_reread(&["users", "products"]).await;
    let told = "the stored position is of no use, so all rows are read again";
    assert!(worker.words().contains(told), "{}", worker.words());
    let still: Vec<Value> = stage.events("orders");
    assert_eq!(still.len(), 3, "nothing of it comes any more");
    worker.stop().await.unwrap();
    stage.end().await;
}
