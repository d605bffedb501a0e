//! The adapter on a real Apache Kafka broker, which is started once for all tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod bulk;
mod contract;
mod crash;
mod headers;
mod log;
mod ownership;
mod peek;
mod producer;
mod store;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use datapipe_core::port::log::{LogReader, Record, RecordBatch, Sent, TransactionalLog};
use datapipe_embedded::{Cache, Kafka, KafkaOptions, Progress};
use datapipe_kafka::topics::{self, TopicSpec};
use datapipe_kafka::{KafkaConfig, ProducerSettings, ReaderSettings, TopicReader, TransactionalProducer};

const KEY: &[u8] = br#"["postgres-cdc-users-connector",{"server":"cdc"}]"#;

/// A broker in a folder of its own. It ends with the test process.
struct Broker {
    kafka: Kafka,
    _folder: tempfile::TempDir,
}

async fn start_broker() -> Broker {
    let folder = tempfile::tempdir().unwrap();
    let kafka =
        Kafka::start(folder.path(), KafkaOptions::default(), &Cache::of_user(), &Progress::silent()).await.unwrap();
    Broker { kafka, _folder: folder }
}

/// The address of the broker that all tests share.
fn shared() -> KafkaConfig {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    let broker = BROKER.get_or_init(|| {
        let start = || tokio::runtime::Runtime::new().unwrap().block_on(start_broker());
        std::thread::spawn(start).join().unwrap()
    });
    KafkaConfig::plaintext(broker.kafka.bootstrap()).unwrap()
}

/// One pipeline's topics under names that no other test has.
struct Bench {
    config: KafkaConfig,
    name: String,
    data: String,
    offsets: String,
}

impl Bench {
    async fn new(name: &str) -> Self {
        Self::on(shared(), name).await
    }

    async fn on(config: KafkaConfig, name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let bench =
            Self { config, data: format!("cdc.public.{name}"), offsets: format!("connect-offsets-{name}"), name };
        let specs = [TopicSpec::new(&bench.data, 1, 1), TopicSpec::compacted(&bench.offsets, 25, 1)];
        let report = topics::ensure(&bench.config, &specs).await.unwrap();
        assert_eq!(report.created.len(), 2);
        bench
    }

    fn settings(&self) -> ProducerSettings {
        ProducerSettings::new(format!("connect-cluster-{}-0", self.name), &self.offsets, KEY.to_vec())
    }

    fn producer(&self) -> TransactionalProducer {
        TransactionalProducer::new(self.config.clone(), self.settings())
    }

    fn reader(&self) -> TopicReader {
        TopicReader::new(&self.config, ReaderSettings::new(&self.data, format!("connect-s3-sink-{}", self.name)))
            .unwrap()
    }

    /// Every committed value of the data topic, in order. The broker writes the markers that make a transaction
    /// visible just after it has answered the commit, so the end is where nothing comes any more.
    async fn values(&self) -> Vec<String> {
        let mut reader = self.reader();
        reader.seek(0, 0).await.unwrap();
        let mut batch = RecordBatch::default();
        loop {
            let before = batch.len();
            reader.poll(Duration::from_secs(2), &mut batch).await.unwrap();
            if batch.len() == before {
                break;
            }
        }
        batch.iter().map(|record| String::from_utf8(record.value.unwrap().to_vec()).unwrap()).collect()
    }
}

async fn put(producer: &mut TransactionalProducer, topic: &str, key: &[u8], value: &[u8]) {
    let record = Record { topic, key: Some(key), value: Some(value), headers: &[] };
    while producer.send(record).unwrap() == Sent::Full {
        producer.room().await.unwrap();
    }
}
