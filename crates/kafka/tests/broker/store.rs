//! Kafka Connect's internal topics: configurations, statuses, offsets.

use std::time::Duration;

use datapipe_core::port::ErrorKind;
use datapipe_core::port::connect::{
    ActiveTopic, ConfigMap, ConfigRecord, ConnectFeed, ConnectStore, FeedItem, GroupOffset, OffsetStore, State,
    StatusChange, StatusRecord, Statuses, TargetState,
};
use datapipe_core::port::log::TransactionalLog;
use datapipe_kafka::topics::{self, TopicSpec};
use datapipe_kafka::{KafkaConnectStore, KafkaOffsetStore, Ownership};
use serde_json::json;

use crate::{Bench, KEY, put};

struct Internal {
    bench: Bench,
    configs: String,
    statuses: String,
}

impl Internal {
    async fn new(name: &str) -> Self {
        let bench = Bench::new(name).await;
        let (configs, statuses) = (format!("connect-configs-{}", bench.name), format!("connect-status-{}", bench.name));
        let specs = [TopicSpec::compacted(&configs, 1, 1), TopicSpec::compacted(&statuses, 5, 1)];
        topics::ensure(&bench.config, &specs).await.unwrap();
        Self { bench, configs, statuses }
    }

    fn store(&self) -> KafkaConnectStore {
        KafkaConnectStore::new(self.bench.config.clone(), &self.configs, &self.statuses).unwrap()
    }
}

fn map(value: &str) -> ConfigMap {
    ConfigMap::from([("x".to_owned(), value.to_owned())])
}

fn connector_status(state: State) -> StatusChange {
    let worker_id = "127.0.0.1:8083".to_owned();
    let status = StatusRecord { state, trace: None, worker_id, generation: 1, version: None };
    StatusChange::Connector { connector: "a".to_owned(), status: Some(status) }
}

async fn next(feed: &mut dyn ConnectFeed) -> FeedItem {
    tokio::time::timeout(Duration::from_secs(20), feed.next()).await.unwrap().unwrap()
}

async fn caught_up(feed: &mut dyn ConnectFeed) -> Vec<FeedItem> {
    let mut items = Vec::new();
    loop {
        match next(feed).await {
            FeedItem::CaughtUp => return items,
            item => items.push(item),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_and_statuses_round_trip() {
    let internal = Internal::new("store").await;
    let store = internal.store();
    assert!(store.configs().await.unwrap().is_empty());
    store.put_config("a", &map("1")).await.unwrap();
    store.put_config("b", &map("1")).await.unwrap();
    store.put_config("a", &map("ü\"")).await.unwrap();
    store.delete_config("b").await.unwrap();
    let found = internal.store().configs().await.unwrap();
    assert_eq!(found, [("a".to_owned(), map("ü\""))].into());

    let trace = Some("line 1\nline 2".to_owned());
    let worker_id = "127.0.0.1:8083".to_owned();
    let failed = StatusRecord { state: State::Failed, trace, worker_id, generation: 1, version: None };
    let task = |status| StatusChange::Task { connector: "a".to_owned(), task: 0, status };
    let name = "cdc.public.users".to_owned();
    let active = ActiveTopic { name: name.clone(), connector: "a".to_owned(), task: 0, discover_timestamp: 7 };
    let topic = |active| StatusChange::Topic { connector: "a".to_owned(), topic: name.clone(), active };
    for change in [connector_status(State::Unassigned), task(Some(failed.clone())), topic(Some(active.clone()))] {
        store.put_status(&change).await.unwrap();
    }
    let found = store.statuses().await.unwrap();
    assert_eq!(found.connectors["a"].state, State::Unassigned);
    assert_eq!(found.tasks[&("a".to_owned(), 0)], failed);
    assert_eq!(found.topics[&("a".to_owned(), name.clone())], active);
    let connector = StatusChange::Connector { connector: "a".to_owned(), status: None };
    for change in [connector, task(None), topic(None)] {
        store.put_status(&change).await.unwrap();
    }
    assert_eq!(store.statuses().await.unwrap(), Statuses::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_gives_what_is_there_and_then_what_comes() {
    let internal = Internal::new("feed").await;
    let store = internal.store();
    let mut empty = store.feed().await.unwrap();
    assert_eq!(caught_up(empty.as_mut()).await, []);

    let connector = ConfigRecord::Connector { connector: "a".to_owned(), config: Some(map("1")) };
    let target = ConfigRecord::Target { connector: "a".to_owned(), state: Some(TargetState::Stopped) };
    let last = store.write(&[connector.clone(), target.clone()]).await.unwrap();
    assert_eq!(last, Some(1));
    store.put_status(&connector_status(State::Stopped)).await.unwrap();
    let mut feed = store.feed().await.unwrap();
    let status = FeedItem::Status(connector_status(State::Stopped));
    let config = |offset, record: &ConfigRecord| FeedItem::Config { offset, record: record.clone() };
    let there = [config(0, &connector), config(1, &target), status.clone()];
    assert_eq!(caught_up(feed.as_mut()).await, there);
    for expected in &there {
        let item = next(empty.as_mut()).await;
        assert!(there.contains(&item), "{item:?} instead of {expected:?}");
    }

    let commit = ConfigRecord::Commit { connector: "a".to_owned(), tasks: 0 };
    assert_eq!(store.write(std::slice::from_ref(&commit)).await.unwrap(), Some(2));
    assert_eq!(next(feed.as_mut()).await, config(2, &commit));
    store.put_status(&connector_status(State::Running)).await.unwrap();
    assert_eq!(next(feed.as_mut()).await, FeedItem::Status(connector_status(State::Running)));
    // Nothing is lost when a wait is given up.
    let waited = tokio::time::timeout(Duration::from_millis(300), feed.next()).await;
    assert!(waited.is_err());
    assert_eq!(store.write(std::slice::from_ref(&target)).await.unwrap(), Some(3));
    assert_eq!(next(feed.as_mut()).await, config(3, &target));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_sees_the_end_behind_an_open_transaction_that_it_ends() {
    let internal = Internal::new("claim").await;
    let store = internal.store();
    assert_eq!(store.claim("connect-cluster-x").await.unwrap(), None);
    store.put_config("a", &map("1")).await.unwrap();
    // A JVM worker that leads its group writes so, and may die in the middle.
    let mut settings = internal.bench.settings();
    settings.transactional_id = "connect-cluster-x".to_owned();
    let mut theirs = datapipe_kafka::TransactionalProducer::new(internal.bench.config.clone(), settings);
    theirs.claim().await.unwrap();
    put(&mut theirs, &internal.configs, b"connector-b", br#"{"properties":{}}"#).await;
    // It is on its way; what it takes is seen by where the next record comes to lie.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let behind = ConfigRecord::Connector { connector: "c".to_owned(), config: Some(map("1")) };
    assert_eq!(store.write(&[behind]).await.unwrap(), Some(2));
    assert_eq!(store.claim("connect-cluster-x").await.unwrap(), Some(2));
    let error = theirs.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{}", error.report());
    let found = store.configs().await.unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "c"]);
    let mut feed = store.feed().await.unwrap();
    assert_eq!(caught_up(feed.as_mut()).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn source_offsets_are_changed_under_the_tasks_own_id() {
    let bench = Bench::new("source-offsets").await;
    let store = KafkaOffsetStore::new(bench.config.clone(), &bench.offsets);
    assert_eq!(store.source_offsets("postgres-cdc-users-connector").await.unwrap(), []);
    let mut task = bench.producer();
    task.claim().await.unwrap();
    put(&mut task, &bench.offsets, KEY, br#"{"lsn":7}"#).await;
    task.commit().await.unwrap();
    let found = store.source_offsets("postgres-cdc-users-connector").await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].key.as_slice(), json!(found[0].offset)), (KEY, json!({ "lsn": 7 })));
    assert_eq!(json!(found[0].partition), json!({ "server": "cdc" }));
    assert_eq!(store.source_offsets("postgres-cdc-orders-connector").await.unwrap(), []);

    let id = bench.settings().transactional_id;
    let offset = json!({ "lsn": 9 }).as_object().cloned();
    store.put_source_offsets(&id, &[(KEY.to_vec(), offset.clone())]).await.unwrap();
    let found = store.source_offsets("postgres-cdc-users-connector").await.unwrap();
    assert_eq!(Some(found[0].offset.clone()), offset);
    // The task has lost its right to write, and a new one finds what was written.
    put(&mut task, &bench.offsets, KEY, br#"{"lsn":8}"#).await;
    assert_eq!(task.commit().await.unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!(bench.producer().claim().await.unwrap().unwrap().as_ref(), br#"{"lsn":9}"#);
    store.put_source_offsets(&id, &[(KEY.to_vec(), None)]).await.unwrap();
    assert_eq!(store.source_offsets("postgres-cdc-users-connector").await.unwrap(), []);
    assert_eq!(bench.producer().claim().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn group_offsets_are_changed_while_nobody_is_in_the_group() {
    let bench = Bench::new("group-offsets").await;
    let wide = format!("{}-wide", bench.data);
    topics::ensure(&bench.config, &[TopicSpec::new(&wide, 3, 1)]).await.unwrap();
    let store = KafkaOffsetStore::new(bench.config.clone(), &bench.offsets);
    let group = format!("connect-s3-sink-{}", bench.name);
    assert_eq!(store.partitions(&wide).await.unwrap(), 3);
    assert_eq!(store.group_offsets(&group, &wide).await.unwrap(), []);
    let at = |partition, offset| GroupOffset { topic: wide.clone(), partition, offset };
    store.put_group_offsets(&group, &[at(0, Some(5)), at(2, Some(7))]).await.unwrap();
    assert_eq!(store.group_offsets(&group, &wide).await.unwrap(), [at(0, Some(5)), at(2, Some(7))]);
    store.put_group_offsets(&group, &[at(0, None), at(1, Some(1))]).await.unwrap();
    assert_eq!(store.group_offsets(&group, &wide).await.unwrap(), [at(1, Some(1)), at(2, Some(7))]);
    store.delete_group(&group).await.unwrap();
    assert_eq!(store.group_offsets(&group, &wide).await.unwrap(), []);
    store.delete_group(&group).await.unwrap();
    store.put_group_offsets(&group, &[at(1, None)]).await.unwrap();

    // Whoever is in the group keeps it.
    let mut member = Ownership::join(&bench.config, &group, &bench.data).unwrap();
    member.acquired().await.unwrap();
    let error = store.put_group_offsets(&group, &[at(0, Some(1))]).await.unwrap_err();
    assert!(error.report().contains("may still have members"), "{}", error.report());
    let error = store.delete_group(&group).await.unwrap_err();
    assert!(error.report().contains("it still has members"), "{}", error.report());
    member.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configs_topic_of_many_partitions_is_refused() {
    let bench = Bench::new("wide").await;
    let store = KafkaConnectStore::new(bench.config.clone(), &bench.offsets, &bench.offsets).unwrap();
    let error = store.configs().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.report().contains("25 partitions"), "{}", error.report());
    assert_eq!(store.feed().await.err().unwrap().kind(), ErrorKind::Refused);
    let store = KafkaConnectStore::new(bench.config.clone(), "no-such-topic", "no-such-topic").unwrap();
    assert_eq!(store.configs().await.unwrap_err().kind(), ErrorKind::Refused);
}

/// A JVM worker that leads its group keeps records of its own in the configurations topic, and they may be the last ones
/// when it is killed. Whoever takes over waits until it has read up to them.
#[tokio::test(flavor = "multi_thread")]
async fn a_feed_comes_to_the_end_that_a_claim_names_whoever_wrote_there_last() {
    let internal = Internal::new("theirs").await;
    let store = internal.store();
    store.put_config("a", &map("1")).await.unwrap();
    let mut theirs = internal.bench.producer();
    theirs.claim().await.unwrap();
    put(&mut theirs, &internal.configs, b"tasks-fencing-a", br#"{"tasks":1}"#).await;
    put(&mut theirs, &internal.configs, b"session-key", br#"{"key":"x","algorithm":"HmacSHA256"}"#).await;
    theirs.commit().await.unwrap();
    let end = store.claim("connect-cluster-x").await.unwrap();
    assert_eq!(end, Some(2));
    let read = caught_up(store.feed().await.unwrap().as_mut()).await;
    assert_eq!(read[1..], [FeedItem::Skipped { offset: 1 }, FeedItem::Skipped { offset: 2 }]);
}
