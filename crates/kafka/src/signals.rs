//! The signaling topic: records under the key that is the source's topic prefix (Debezium's page "Sending signals to a
//! Debezium connector", "Apache Kafka").

use async_trait::async_trait;
use datapipe_core::port::signal::SignalChannel;
use datapipe_core::port::{ErrorKind, PortError};
use datapipe_core::signal::Signal;
use rdkafka::Message;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::util::Timeout;
use tokio::time::{Duration, timeout};

use crate::client::{Background, Logged, REQUEST_TIMEOUT};
use crate::config::KafkaConfig;
use crate::error::{plain, port_error};
use crate::tail;

/// Fetched ahead; signals are few and small.
const PREFETCH_BYTES: u32 = 64 * 1024;
/// Records that one look takes at most.
const RECORDS_MAX: usize = 64;

/// [`SignalChannel`] on Kafka. It is in no group: where it stands is part of the source's progress.
pub struct SignalTopic {
    config: KafkaConfig,
    topic: String,
    /// The key of the records that are for this source.
    key: String,
    reading: Option<Reading>,
}

/// Sends a signal to the source with this topic prefix.
pub async fn send(config: &KafkaConfig, topic: &str, topic_prefix: &str, signal: &str) -> Result<(), PortError> {
    let failed = |error: &KafkaError| port_error(format!("sending a signal to topic {topic}"), error);
    let producer: FutureProducer<Logged> = config
        .client()
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "0")
        .set("message.timeout.ms", REQUEST_TIMEOUT.as_millis().to_string())
        .create_with_context(Logged)
        .map_err(|error| failed(&error))?;
    let producer = Background::new(producer);
    let record = FutureRecord::to(topic).key(topic_prefix).payload(signal);
    producer.send(record, Timeout::After(REQUEST_TIMEOUT)).await.map_err(|(error, _)| failed(&error))?;
    Ok(())
}

/// A consumer, and the record that it gives next.
type Reading = (Background<StreamConsumer<Logged>>, i64);

impl SignalTopic {
    /// The signals in `topic` for the source with this topic prefix. Nothing is connected yet.
    pub fn new(config: KafkaConfig, topic: &str, topic_prefix: &str) -> Self {
        Self { config, topic: topic.to_owned(), key: topic_prefix.to_owned(), reading: None }
    }

    fn attempt(&self) -> String {
        format!("reading signals from topic {}", self.topic)
    }

    /// A consumer at a position: the one that is there, if it stands there.
    fn reader(&mut self, from: i64) -> Result<&mut Reading, KafkaError> {
        let reading = if let Some(reading) = self.reading.take().filter(|(_, next)| *next == from) {
            reading
        } else {
            let mut settings = self.config.consumer(PREFETCH_BYTES);
            settings.set("group.id", tail::UNUSED_GROUP).set("auto.offset.reset", "earliest");
            let consumer: StreamConsumer<Logged> = settings.create_with_context(Logged)?;
            let mut assignment = TopicPartitionList::new();
            assignment.add_partition_offset(&self.topic, 0, Offset::Offset(from))?;
            consumer.assign(&assignment)?;
            (Background::new(consumer), from)
        };
        Ok(self.reading.insert(reading))
    }
}

#[async_trait]
impl SignalChannel for SignalTopic {
    async fn end(&mut self) -> Result<i64, PortError> {
        let (config, topic, attempt) = (self.config.clone(), self.topic.clone(), self.attempt());
        let look = move || {
            let partitions = tail::partitions(&config, &topic)?;
            if partitions != 1 {
                let why = format!("topic {topic} has {partitions} partitions, so its signals have no order");
                let hint = "make a signaling topic of one partition, and name it by signal.kafka.topic";
                return Err(plain(ErrorKind::Refused, format!("reading signals from topic {topic}"), why).hint(hint));
            }
            tail::end(&config, &topic, 0)
        };
        let looked = tokio::task::spawn_blocking(look).await;
        looked.map_err(|error| PortError::new(ErrorKind::Retry, attempt).because(error))?
    }

    async fn poll(&mut self, from: i64) -> Result<(Vec<Signal>, i64), PortError> {
        let (attempt, key) = (self.attempt(), self.key.clone());
        let failed = |error: KafkaError| port_error(attempt.clone(), &error);
        let (consumer, next) = self.reader(from).map_err(failed)?;
        let mut signals = Vec::new();
        for _ in 0..RECORDS_MAX {
            match timeout(Duration::ZERO, consumer.recv()).await {
                Err(_) => break,
                Ok(Ok(message)) => {
                    *next = message.offset() + 1;
                    if message.key() != Some(key.as_bytes()) {
                        tracing::debug!(offset = message.offset(), "signal of another source");
                        continue;
                    }
                    match Signal::from_record(message.payload().unwrap_or_default()) {
                        Ok(signal) => signals.push(signal),
                        Err(why) => tracing::warn!(offset = message.offset(), "record is no signal: {why}"),
                    }
                }
                Ok(Err(KafkaError::PartitionEOF(_))) => {}
                Ok(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {}
                Ok(Err(error)) if tail::is_passing(&error) => break,
                Ok(Err(error)) => return Err(failed(error)),
            }
        }
        Ok((signals, *next))
    }
}
