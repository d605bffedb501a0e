//! Rows that are read again while others write, because signals ask for it.

use std::collections::BTreeMap;

use datapipe_e2e::load::{self, Load};
use datapipe_e2e::servers::TABLES;
use datapipe_e2e::stage::{PATIENCE, PG18, Stage, eventually, names, short};
use datapipe_e2e::topic;
use datapipe_e2e::traffic::SCHEMA;
use serde_json::{Value, json};

const TOPIC: &str = "cdc-signal";
/// Rows of each table before the start.
const ROWS: u64 = 20_000;

async fn signal(stage: &Stage, kind: &str, data: &Value) {
    let value = json!({ "id": kind, "type": kind, "data": data }).to_string();
    topic::produce(&stage.servers.stack.kafka().bootstrap(), TOPIC, "cdc", &value).await.unwrap();
}

fn rereads(events: &[Value]) -> Vec<&Value> {
    events.iter().filter(|event| event["source"]["snapshot"] == "incremental").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incremental_snapshot_that_is_killed_goes_on_under_concurrent_writes() {
    let stage = Stage::for_load(PG18).await;
    load::fill(&stage.db, ROWS).await.unwrap();
    let settings = [("source.signals", "true")];
    let worker = stage.worker("first", &[], &settings);
    stage.running(&TABLES).await;
    let before = stage.end_of_log().await;
    let before = stage.number(&format!("SELECT '{before}'::pg_lsn - '0/0'")).await;
    let loads = Load::start(&stage.servers, 29, false).await.unwrap();
    signal(&stage, "execute-snapshot", &json!({ "data-collections": [r"public\..*"], "type": "incremental" })).await;
    let middle = async || {
        let progress = topic::progress(&stage.servers, &names("users")).await.unwrap();
        progress.is_some_and(|progress| progress.signals.snapshots.iter().any(|snapshot| snapshot.rows > 2_000))
    };
    eventually("the snapshot of users to be in its middle", PATIENCE, middle).await;
    worker.kill().unwrap();
    let worker = stage.worker("second", &[], &settings);
    stage.running(&TABLES).await;
    for table in TABLES {
        let done = async || {
            let progress = topic::progress(&stage.servers, &names(table)).await.unwrap();
            progress.is_some_and(|progress| {
                progress.signals.next_record == Some(1) && progress.signals.snapshots.is_empty()
            })
        };
        eventually("the snapshot to end", PATIENCE, done).await;
    }
    println!("{} transactions beside the snapshots", loads.end().await.unwrap());
    stage.prove(&TABLES).await;
    for table in TABLES {
        let (mut times, mut changed) = (BTreeMap::<i64, usize>::new(), BTreeMap::<i64, i64>::new());
        let events = stage.events(table);
        for event in &events {
            let Some(id) = event["after"]["id"].as_i64() else { continue };
            if event["source"]["snapshot"] == "incremental" {
                *times.entry(id).or_default() += 1;
            } else {
                changed.insert(id, event["source"]["lsn"].as_i64().unwrap());
            }
        }
        println!("{table}: {} of {} events are rows that were read again", rereads(&events).len(), events.len());
        assert!(times.values().all(|times| *times == 1), "{table}: a row was read again twice");
        for row in stage.db.query(&format!("SELECT id::int8 FROM {table}"), &[]).await.unwrap() {
            let id: i64 = row.get(0);
            let is_known = times.contains_key(&id) || changed.get(&id).is_some_and(|lsn| *lsn >= before);
            assert!(is_known, "{table}: row {id} was neither read again nor changed since");
        }
    }
    worker.stop().await.unwrap();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_are_followed_each_in_its_way() {
    let stage = Stage::new(PG18, SCHEMA).await;
    for table in ["users", "products"] {
        stage.sql(&format!("INSERT INTO {table} (name) SELECT 'row ' || n FROM generate_series(1, 3) n")).await;
    }
    let tables = ["users", "products"];
    let worker = stage.worker("worker", &tables, &[("source.signals", "true"), ("source.heartbeat", "500ms")]);
    stage.running(&tables).await;
    stage.arrived("users", 3).await;
    let execute = async |table: &str, more: Value| {
        let mut data = json!({ "data-collections": [format!("public.{table}")] });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        signal(&stage, "execute-snapshot", &data).await;
    };

    // A condition on the rows, and one that is none.
    let filter =
        |filter: &str| json!({ "additional-conditions": [{ "data-collection": "public.users", "filter": filter }] });
    execute("users", filter("id > 1 AND name <> 'row 3' -- not all")).await;
    assert_eq!(short(&stage.arrived("users", 4).await)[3..], ["r:2"]);
    execute("users", filter("TRUE)) TO PROGRAM 'false' --")).await;
    let told = async || worker.words().contains("incremental snapshot given up");
    eventually("the condition to be refused", PATIENCE, told).await;
    stage.sql("UPDATE users SET name = 'later' WHERE id = 1").await;
    assert_eq!(short(&stage.arrived("users", 5).await)[4..], ["u:1"]);

    // All rows at once, the stream standing still.
    execute("products", json!({ "type": "blocking" })).await;
    assert_eq!(short(&stage.arrived("products", 6).await)[3..], ["r:1", "r:2", "r:3"]);
    let events = stage.events("products");
    assert_eq!(rereads(&events).len(), 0);
    assert_eq!(
        events.iter().map(|event| event["source"]["snapshot"].as_str()).collect::<Vec<_>>()[3..],
        [Some("first"), Some("true"), Some("last")]
    );
    stage.sql("DELETE FROM products WHERE id = 2").await;
    assert_eq!(short(&stage.arrived("products", 7).await)[6..], ["d:2"]);

    signal(&stage, "log", &json!({ "message": "is anybody there" })).await;
    let told = async || worker.words().matches("signal log: is anybody there").count() == 2;
    eventually("both tables to log the signal", PATIENCE, told).await;
    stage.prove_reread(&tables).await;

    // The heartbeat's statement runs, and its records come.
    let beats = topic::Topic::read(&stage.servers, "__debezium-heartbeat-users.cdc").await.unwrap();
    let beats: usize = beats.iter().map(|partition| partition.values.len()).sum();
    assert!(beats >= 5, "{beats} heartbeats");
    assert!(!worker.words().contains("the heartbeat's statement failed"), "{}", worker.words());
    worker.stop().await.unwrap();
    stage.end().await;
}
