//! Where records go that cannot be delivered: a plain idempotent producer, made when the first one comes.

use std::sync::Arc;

use async_trait::async_trait;
use datapipe_core::port::PortError;
use datapipe_core::port::log::{DeadLetterQueue, Record};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;

use crate::client::{Background, Logged, REQUEST_TIMEOUT};
use crate::config::{KafkaConfig, MESSAGE_BYTES_MAX};
use crate::error::port_error;

type Producer = Arc<Background<FutureProducer<Logged>>>;

/// [`DeadLetterQueue`] on Kafka.
pub struct DeadLetters {
    config: KafkaConfig,
    producer: Option<Producer>,
}

impl DeadLetters {
    /// A queue that costs nothing until its first record.
    pub const fn new(config: KafkaConfig) -> Self {
        Self { config, producer: None }
    }

    fn producer(&mut self) -> Result<Producer, PortError> {
        if let Some(producer) = &self.producer {
            return Ok(Arc::clone(producer));
        }
        let producer = self
            .config
            .client()
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "0")
            .set("message.timeout.ms", REQUEST_TIMEOUT.as_millis().to_string())
            .set("message.max.bytes", MESSAGE_BYTES_MAX.to_string())
            .set("queue.buffering.max.kbytes", (MESSAGE_BYTES_MAX / 1024 * 2).to_string())
            .create_with_context(Logged)
            .map_err(|error: KafkaError| port_error("making the dead letter producer", &error))?;
        let producer = Arc::new(Background::new(producer));
        self.producer = Some(Arc::clone(&producer));
        Ok(producer)
    }
}

#[async_trait]
impl DeadLetterQueue for DeadLetters {
    async fn put(&mut self, record: Record<'_>) -> Result<(), PortError> {
        let producer = self.producer()?;
        let headers = record.headers.iter().fold(OwnedHeaders::new_with_capacity(record.headers.len()), |all, one| {
            all.insert(Header { key: one.name, value: Some(one.value) })
        });
        let message = FutureRecord::<[u8], [u8]> {
            key: record.key,
            payload: record.value,
            headers: Some(headers),
            ..FutureRecord::to(record.topic)
        };
        match producer.send(message, Timeout::After(REQUEST_TIMEOUT)).await {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(port_error(format!("writing a dead letter to topic {}", record.topic), &error)),
        }
    }
}
