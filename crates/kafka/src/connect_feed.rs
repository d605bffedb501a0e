//! The configurations and the status topic, followed from their beginning on a thread of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use datapipe_core::port::connect::{ConnectFeed, FeedItem};
use datapipe_core::port::{ErrorKind, PortError};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::mpsc;

use crate::client::Logged;
use crate::config::KafkaConfig;
use crate::connect_records::{config_record, status_change};
use crate::connect_store::one_partition;
use crate::error::{plain, port_error};
use crate::tail;

/// Fetched ahead; the topics are small.
const PREFETCH_BYTES: u32 = 64 * 1024;
/// How often the thread looks whether it is still wanted.
const STEP: Duration = Duration::from_millis(200);
/// How long the broker may hold an answer back that has no records. The end of a partition is told by such an answer, so
/// catching up asks often; following asks seldom, and has records at once all the same.
const CATCH_UP_WAIT: Duration = Duration::from_millis(10);
const FOLLOW_WAIT: Duration = Duration::from_millis(500);
/// Items that wait to be taken.
const QUEUE_ITEMS: usize = 64;

/// [`ConnectFeed`] on Kafka. Dropping it ends its thread.
pub(crate) struct KafkaConnectFeed {
    items: mpsc::Receiver<Result<FeedItem, PortError>>,
    stop: Arc<AtomicBool>,
}

impl KafkaConnectFeed {
    /// Starts to follow. Blocks until the topics' partitions are known.
    pub(crate) fn open(config: &KafkaConfig, configs_topic: &str, status_topic: &str) -> Result<Self, PortError> {
        let attempt = || format!("following topics {configs_topic} and {status_topic}");
        let failed = |error: KafkaError| port_error(attempt(), &error);
        one_partition(config, configs_topic)?;
        let statuses = (0..tail::partitions(config, status_topic)?).map(|number| (status_topic.to_owned(), number));
        let consumer = consumer(config, CATCH_UP_WAIT).map_err(failed)?;
        let (sender, items) = mpsc::channel(QUEUE_ITEMS);
        let stop = Arc::new(AtomicBool::new(false));
        let follower = Follower {
            config: config.clone(),
            consumer,
            configs: (configs_topic.to_owned(), 0),
            statuses: statuses.collect(),
            next: BTreeMap::new(),
            sender,
            stop: Arc::clone(&stop),
        };
        std::thread::Builder::new()
            .name("kafka-feed".to_owned())
            .spawn(move || follower.serve())
            .map_err(|error| PortError::new(ErrorKind::Retry, attempt()).because(error))?;
        Ok(Self { items, stop })
    }
}

impl Drop for KafkaConnectFeed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

#[async_trait]
impl ConnectFeed for KafkaConnectFeed {
    async fn next(&mut self) -> Result<FeedItem, PortError> {
        match self.items.recv().await {
            Some(item) => item,
            None => Err(plain(ErrorKind::Retry, "following the internal topics", "its thread has ended")),
        }
    }
}

fn consumer(config: &KafkaConfig, wait: Duration) -> Result<BaseConsumer<Logged>, KafkaError> {
    let mut settings = config.consumer(PREFETCH_BYTES);
    settings.set("group.id", tail::UNUSED_GROUP).set("fetch.wait.max.ms", wait.as_millis().to_string());
    settings.create_with_context(Logged)
}

type Partition = (String, i32);

/// Why the thread ends.
enum End {
    /// Nobody listens any more.
    Unwanted,
    Failed(PortError),
}

/// The thread's side.
struct Follower {
    config: KafkaConfig,
    consumer: BaseConsumer<Logged>,
    configs: Partition,
    statuses: BTreeSet<Partition>,
    /// Where to go on in each partition.
    next: BTreeMap<Partition, i64>,
    sender: mpsc::Sender<Result<FeedItem, PortError>>,
    stop: Arc<AtomicBool>,
}

impl Follower {
    fn serve(mut self) {
        if let Err(End::Failed(error)) = self.follow() {
            // Nobody may be listening any more.
            let _ = self.sender.blocking_send(Err(error));
        }
    }

    /// The end of a partition is told by its number alone, so the topics are first read one after the other.
    fn follow(&mut self) -> Result<(), End> {
        let (configs, statuses) = (BTreeSet::from([self.configs.clone()]), self.statuses.clone());
        self.read_to_ends(&configs)?;
        self.read_to_ends(&statuses)?;
        self.send(FeedItem::CaughtUp)?;
        self.consumer = consumer(&self.config, FOLLOW_WAIT).map_err(|error| self.failed(&error))?;
        self.assign(&configs.union(&statuses).cloned().collect())?;
        loop {
            self.step()?;
        }
    }

    fn read_to_ends(&mut self, partitions: &BTreeSet<Partition>) -> Result<(), End> {
        self.assign(partitions)?;
        let mut pending: BTreeSet<i32> = partitions.iter().map(|(_, number)| *number).collect();
        while !pending.is_empty() {
            if let Some(number) = self.step()? {
                pending.remove(&number);
            }
        }
        Ok(())
    }

    fn assign(&self, partitions: &BTreeSet<Partition>) -> Result<(), End> {
        let mut assignment = TopicPartitionList::new();
        for partition in partitions {
            let from = self.next.get(partition).map_or(Offset::Beginning, |next| Offset::Offset(*next));
            assignment.add_partition_offset(&partition.0, partition.1, from).map_err(|error| self.failed(&error))?;
        }
        self.consumer.assign(&assignment).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &KafkaError) -> End {
        End::Failed(port_error(format!("following topic {} and statuses", self.configs.0), error))
    }

    /// Hands on the next record; returns the number of a partition whose end was met.
    fn step(&mut self) -> Result<Option<i32>, End> {
        if self.stop.load(Ordering::Acquire) {
            return Err(End::Unwanted);
        }
        let item = match self.consumer.poll(STEP) {
            None => None,
            Some(Ok(message)) => {
                let (key, value, offset) = (message.key(), message.payload(), message.offset());
                self.next.insert((message.topic().to_owned(), message.partition()), offset + 1);
                if message.topic() == self.configs.0 {
                    let read = config_record(key, value).map(|record| FeedItem::Config { offset, record });
                    Some(read.unwrap_or(FeedItem::Skipped { offset }))
                } else {
                    status_change(key, value).map(FeedItem::Status)
                }
            }
            Some(Err(KafkaError::PartitionEOF(number))) => return Ok(Some(number)),
            // The right to a group that is not used need not be there.
            Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) => None,
            // Nothing new and nobody there look alike: somebody must answer within a request's time.
            Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) => {
                tail::watermarks(self.consumer.client(), &self.configs.0, self.configs.1).map_err(End::Failed)?;
                None
            }
            Some(Err(error)) if tail::is_passing(&error) => None,
            Some(Err(error)) => return Err(self.failed(&error)),
        };
        item.map_or(Ok(None), |item| self.send(item).map(|()| None))
    }

    fn send(&self, item: FeedItem) -> Result<(), End> {
        self.sender.blocking_send(Ok(item)).map_err(|_| End::Unwanted)
    }
}
