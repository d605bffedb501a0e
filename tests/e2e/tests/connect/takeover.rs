//! A native worker takes over from a JVM worker that was killed.

use datapipe_core::port::log::ReadRecord;
use datapipe_e2e::process::Worker;
use datapipe_e2e::stage::{PATIENCE, PG15, Stage, eventually, names};
use datapipe_e2e::{clients, topic};
use datapipe_kafka::{ReaderSettings, TopicReader};
use serde_json::json;

use crate::side::{Side, reference};

/// A JVM worker that leads its group writes a session key into the configurations topic, which means nothing to a native
/// one: here it is the last record when the worker is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_native_worker_takes_over_after_a_jvm_worker_was_killed() {
    let mut stage = Stage::for_load(PG15).await;
    stage.settings.tables = vec!["users".to_owned()];
    let names = names("users");
    let mut worker = Worker::start(&stage.servers, &stage.settings, "native").unwrap();
    worker.flows(PATIENCE).await.unwrap();
    let native = Side::new("native", format!("http://127.0.0.1:{}", stage.settings.ports[0]));
    for connector in [&names.source_connector, &names.sink_connector] {
        let answer = native.send("PUT", &format!("/connectors/{connector}/stop"), None, ("", "")).await;
        assert_eq!(answer.status, 204);
        native.until(connector, "STOPPED", &[]).await;
    }
    worker.stop().await.unwrap();

    let mut theirs = reference(&stage, "users", None).await;
    let jvm = Side::new("reference", theirs.url());
    jvm.until_holds("/connectors", |found| found.as_array().is_some_and(|found| found.len() == 2)).await;
    let last_is_theirs = async || last_key(&stage, &names.configs_topic).await == "session-key";
    eventually("the JVM worker's session key", PATIENCE, last_is_theirs).await;
    theirs.kill().await.unwrap();

    let mut worker = Worker::start(&stage.servers, &stage.settings, "successor").unwrap();
    worker.until("datapipe_worker_owner", 1.0, PATIENCE).await.unwrap();
    let answer = native.send("PUT", &format!("/connectors/{}/resume", names.source_connector), None, ("", "")).await;
    assert_eq!((answer.status, answer.body), (202, json!("")));
    native.until(&names.source_connector, "RUNNING", &["RUNNING"]).await;
    worker.stop().await.unwrap();
    stage.end().await;
}

async fn last_key(stage: &Stage, name: &str) -> String {
    let config = clients::kafka(&stage.servers.stack).unwrap();
    let mut reader = TopicReader::new(&config, ReaderSettings::new(name, "datapipe-e2e")).unwrap();
    let mut last = String::new();
    let see = |record: ReadRecord<'_>| last = String::from_utf8_lossy(record.key.unwrap_or_default()).into_owned();
    topic::read(&mut reader, 0, see).await.unwrap();
    last
}
