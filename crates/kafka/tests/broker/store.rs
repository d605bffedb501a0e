//! Kafka Connect's configs and status topics.

use datapipe_core::port::ErrorKind;
use datapipe_core::port::connect::{ConfigMap, ConnectStore, State, StatusRecord};
use datapipe_kafka::KafkaConnectStore;
use datapipe_kafka::topics::{self, TopicSpec};

use crate::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn configurations_and_statuses_round_trip() {
    let bench = Bench::new("store").await;
    let (configs, statuses) = (format!("connect-configs-{}", bench.name), format!("connect-status-{}", bench.name));
    let specs = [TopicSpec::compacted(&configs, 1, 1), TopicSpec::compacted(&statuses, 5, 1)];
    topics::ensure(&bench.config, &specs).await.unwrap();
    let store = KafkaConnectStore::new(bench.config.clone(), &configs, &statuses).unwrap();
    assert!(store.configs().await.unwrap().is_empty());
    let first = ConfigMap::from([("tasks.max".to_owned(), "1".to_owned())]);
    let second = ConfigMap::from([("tasks.max".to_owned(), "1".to_owned()), ("x".to_owned(), "ü\"".to_owned())]);
    store.put_config("a", &first).await.unwrap();
    store.put_config("b", &first).await.unwrap();
    store.put_config("a", &second).await.unwrap();
    store.delete_config("b").await.unwrap();
    let found = KafkaConnectStore::new(bench.config.clone(), &configs, &statuses).unwrap().configs().await.unwrap();
    assert_eq!(found, [("a".to_owned(), second)].into());

    let mut status =
        StatusRecord { state: State::Unassigned, trace: None, worker_id: "127.0.0.1:8083".to_owned(), generation: 1 };
    store.put_connector_status("a", &status).await.unwrap();
    store.put_task_status("a", 0, &status).await.unwrap();
    status.state = State::Failed;
    status.trace = Some("line 1\nline 2".to_owned());
    store.put_task_status("a", 0, &status).await.unwrap();
    let found = store.statuses().await.unwrap();
    assert_eq!(found.connectors["a"].state, State::Unassigned);
    assert_eq!(found.tasks[&("a".to_owned(), 0)], status);
    store.delete_statuses("a", 1).await.unwrap();
    let found = store.statuses().await.unwrap();
    assert!(found.connectors.is_empty() && found.tasks.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configs_topic_of_many_partitions_is_refused() {
    let bench = Bench::new("wide").await;
    let store = KafkaConnectStore::new(bench.config.clone(), &bench.offsets, &bench.offsets).unwrap();
    let error = store.configs().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.report().contains("25 partitions"), "{}", error.report());
    let store = KafkaConnectStore::new(bench.config.clone(), "no-such-topic", "no-such-topic").unwrap();
    assert_eq!(store.configs().await.unwrap_err().kind(), ErrorKind::Refused);
}
