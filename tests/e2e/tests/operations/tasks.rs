//! A sink of several tasks over several partitions.

use std::time::Duration;

use datapipe_e2e::load::{self, Load};
use datapipe_e2e::servers::TABLES;
use datapipe_e2e::stage::{PATIENCE, PG15, Stage, eventually, names};
use serde_json::{Value, json};
use tokio::time::sleep;

const SPLIT: [(&str, &str); 2] = [("topic.partitions", "4"), ("sink.tasks", "3")];

/// States of the sink's tasks of a table.
async fn states(stage: &Stage, table: &str) -> Vec<String> {
    let path = format!("/connectors/{}/status", names(table).sink_connector);
    let Some((_, body)) = stage.get(table, &path).await else { return Vec::new() };
    let status: Value = serde_json::from_str(&body).unwrap();
    let tasks = status["tasks"].as_array().cloned().unwrap_or_default();
    tasks.iter().map(|task| task["state"].as_str().unwrap().to_owned()).collect()
}

async fn all_run(stage: &Stage, tasks: usize) {
    for table in TABLES {
        let what = format!("{tasks} tasks of {table} to run");
        eventually(&what, PATIENCE, async || states(stage, table).await == vec!["RUNNING"; tasks]).await;
    }
}

/// Killed twice in the middle, once with another number of tasks afterwards, and one of its tasks started anew by REST.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_tasks_lose_and_double_nothing_when_they_are_killed() {
    let stage = Stage::for_load(PG15).await;
    load::fill(&stage.db, 2000).await.unwrap();
    let loads = Load::start(&stage.servers, 7, false).await.unwrap();
    let mut worker = stage.worker("first", &[], &SPLIT);
    worker.until("datapipe_sink_rows_total", 1.0, PATIENCE).await.unwrap();
    worker.kill().unwrap();
    let mut worker = stage.worker("second", &[], &SPLIT);
    worker.until("datapipe_sink_rows_total", 1.0, PATIENCE).await.unwrap();
    all_run(&stage, 3).await;

    // As a client sees them.
    let sink = names(TABLES[0]).sink_connector;
    let (_, tasks) = stage.get(TABLES[0], &format!("/connectors/{sink}/tasks")).await.unwrap();
    let tasks: Vec<Value> = serde_json::from_str(&tasks).unwrap();
    let ids: Vec<_> = tasks.iter().map(|task| task["id"].clone()).collect();
    assert_eq!(ids, [0, 1, 2].map(|task| json!({"connector": sink, "task": task})));
    let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
    let url = format!("http://127.0.0.1:{}/connectors/{sink}/tasks/1/restart", stage.settings.ports[0]);
    assert_eq!(http.post(url).send().await.unwrap().status(), 204);
    let (_, page) = stage.get(TABLES[0], "/metrics").await.unwrap();
    assert_eq!(page.matches("datapipe_sink_rows_total{").count(), 3, "{page}");

    sleep(Duration::from_millis(700)).await;
    worker.kill().unwrap();
    let worker = stage.worker("third", &[], &[("topic.partitions", "4"), ("sink.tasks", "2")]);
    all_run(&stage, 2).await;
    let transactions = loads.end().await.unwrap();
    let judged = stage.judge(&worker).await;
    let events: i64 = judged.iter().map(|table| table.verdict.events).sum();
    println!("{transactions} transactions, {events} events, killed twice: lost 0, doubled 0");
    assert!(judged.iter().all(|table| table.objects >= 4), "each partition has an object of its own");
    worker.stop().await.unwrap();
    stage.end().await;
}
