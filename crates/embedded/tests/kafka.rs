//! A real broker.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests: a failure is a panic, figures are printed"
)]

use std::path::Path;
use std::time::Duration;

use datapipe_embedded::{Cache, Error, Kafka, KafkaOptions, Progress};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;

const LIMIT: Duration = Duration::from_secs(20);

async fn start(folder: &Path) -> Kafka {
    let progress = Progress::new(|line| println!("{line}"));
    Kafka::start(folder, KafkaOptions::default(), &Cache::of_user(), &progress).await.unwrap()
}

fn client(kafka: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.bootstrap());
    config
}

async fn create_topic(kafka: &Kafka, name: &str) {
    let admin: AdminClient<DefaultClientContext> = client(kafka).create().unwrap();
    let topic = NewTopic::new(name, 1, TopicReplication::Fixed(1));
    let results = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
    assert_eq!(results, vec![Ok(name.to_owned())]);
}

/// Commits one transaction with `count` records.
async fn commit(kafka: &Kafka, topic: &str, count: usize) {
    let producer: FutureProducer = client(kafka).set("transactional.id", "test").create().unwrap();
    producer.init_transactions(LIMIT).unwrap();
    producer.begin_transaction().unwrap();
    for _ in 0..count {
        producer.send(FutureRecord::to(topic).key("k").payload("v"), LIMIT).await.unwrap();
    }
    producer.commit_transaction(LIMIT).unwrap();
}

/// Records that a read-committed consumer gets from the topic's only partition.
fn committed(kafka: &Kafka, topic: &str, expected: usize) -> usize {
    let consumer: BaseConsumer = client(kafka)
        .set("group.id", "test")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let mut count = 0;
    let mut last_seen = std::time::Instant::now();
    // Once all are there, a moment longer: none may be surplus.
    while last_seen.elapsed() < if count < expected { LIMIT } else { Duration::from_millis(500) } {
        if consumer.poll(Duration::from_millis(100)).is_some_and(|record| record.is_ok()) {
            count += 1;
            last_seen = std::time::Instant::now();
        }
    }
    count
}

fn rss_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn committed_records_outlive_a_crash_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut kafka = start(folder.path()).await;
    println!("Kafka rss {} MiB after its start", rss_mib(kafka.pid().unwrap()));
    // At once: a broker that is ready can create topics.
    create_topic(&kafka, "t").await;
    commit(&kafka, "t", 10).await;
    assert_eq!(committed(&kafka, "t", 10), 10);
    println!("Kafka rss {} MiB after first use", rss_mib(kafka.pid().unwrap()));

    let (bootstrap, first_pid) = (kafka.bootstrap(), kafka.pid());
    kafka.kill().await.unwrap();
    assert_eq!(kafka.pid(), None);
    kafka.resume().await.unwrap();
    assert_eq!(kafka.bootstrap(), bootstrap);
    assert_ne!(kafka.pid(), first_pid);
    commit(&kafka, "t", 5).await;

    kafka.restart().await.unwrap();
    assert_eq!(kafka.bootstrap(), bootstrap);
    let again: BaseConsumer = client(&kafka).create().unwrap();
    let (low, high) = again.fetch_watermarks("t", 0, LIMIT).unwrap();
    assert_eq!((low, high), (0, 17), "15 records and 2 markers");

    // Topics are not created by asking for them.
    let metadata = again.fetch_metadata(Some("absent"), LIMIT).unwrap();
    let error = metadata.topics()[0].error().map(RDKafkaErrorCode::from);
    assert_eq!(error, Some(RDKafkaErrorCode::UnknownTopicOrPartition));
    kafka.stop().await.unwrap();
}

#[tokio::test]
async fn a_bad_setting_is_shown_with_the_end_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        KafkaOptions { settings: vec![("num.io.threads".to_owned(), "-3".to_owned())], ..KafkaOptions::default() };
    let started = Kafka::start(folder.path(), options, &Cache::of_user(), &Progress::silent()).await;
    let error = started.unwrap_err();
    assert!(matches!(error, Error::Program { .. } | Error::ServerEnded { .. }), "{error}");
    assert!(error.to_string().contains("num.io.threads"), "{error}");
}
