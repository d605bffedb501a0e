//! Kafka Connect's configs and status topics: writing them, and reading configurations once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use datapipe_core::connector::Registry;
use datapipe_core::port::connect::{ConfigMap, ConfigRecord, ConnectFeed, ConnectStore, StatusChange, Statuses};
use datapipe_core::port::{ErrorKind, PortError};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, FutureProducer, FutureRecord, Producer};
use rdkafka::util::Timeout;
use serde_json::Value;

use crate::client::{Background, Logged, REQUEST_TIMEOUT, blocking};
use crate::config::KafkaConfig;
use crate::connect_feed::KafkaConnectFeed;
use crate::connect_records::{KeyValue, config_bytes, config_record, status_bytes, status_change};
use crate::error::{plain, port_error};
use crate::tail;

/// How long an open transaction of a JVM worker may hide the end of a topic: Kafka's default is 60 s.
const SETTLE: Duration = Duration::from_secs(75);

/// [`ConnectStore`] on Kafka.
pub struct KafkaConnectStore {
    config: KafkaConfig,
    configs_topic: String,
    status_topic: String,
    /// Made for the first record: a worker in standby only reads.
    producer: Mutex<Option<Arc<Background<FutureProducer<Logged>>>>>,
}

impl KafkaConnectStore {
    /// A store on these two topics; does not wait for the cluster.
    pub fn new(
        config: KafkaConfig,
        configs_topic: impl Into<String>,
        status_topic: impl Into<String>,
    ) -> Result<Self, PortError> {
        let (configs_topic, status_topic) = (configs_topic.into(), status_topic.into());
        Ok(Self { config, configs_topic, status_topic, producer: Mutex::default() })
    }

    fn producer(&self) -> Result<Arc<Background<FutureProducer<Logged>>>, PortError> {
        let mut kept = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = &*kept {
            return Ok(Arc::clone(producer));
        }
        let producer = self
            .config
            .client()
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "0")
            .set("message.timeout.ms", REQUEST_TIMEOUT.as_millis().to_string())
            .set("queue.buffering.max.kbytes", "1024")
            .create_with_context(Logged)
            .map_err(|error: KafkaError| port_error("making the connector store's producer", &error))?;
        Ok(Arc::clone(kept.insert(Arc::new(Background::new(producer)))))
    }

    /// All statuses, read up to the topic's end.
    pub async fn statuses(&self) -> Result<Statuses, PortError> {
        let (config, topic) = (self.config.clone(), self.status_topic.clone());
        blocking("reading statuses", move || {
            let mut statuses = Statuses::default();
            for partition in 0..tail::partitions(&config, &topic)? {
                tail::read_to_end(&config, &topic, partition, SETTLE, |_, key, value| {
                    if let Some(change) = status_change(key, value) {
                        statuses.apply(change);
                    }
                })?;
            }
            Ok(statuses)
        })
        .await
    }

    /// Forgets a connector's configuration, as `DELETE /connectors/{name}` does.
    pub async fn delete_config(&self, connector: &str) -> Result<(), PortError> {
        let connector = connector.to_owned();
        let target = ConfigRecord::Target { connector: connector.clone(), state: None };
        self.write(&[ConfigRecord::Connector { connector, config: None }, target]).await.map(drop)
    }

    /// Every record of the configurations topic up to its end, and the last one's offset.
    async fn read_configs(&self) -> Result<(Registry, Option<i64>), PortError> {
        let (config, topic) = (self.config.clone(), self.configs_topic.clone());
        blocking("reading connector configurations", move || {
            one_partition(&config, &topic)?;
            let (mut registry, mut last) = (Registry::default(), None);
            tail::read_to_end(&config, &topic, 0, SETTLE, |offset, key, value| {
                last = Some(offset);
                if let Some(record) = config_record(key, value) {
                    registry.apply(&record);
                }
            })?;
            Ok((registry, last))
        })
        .await
    }

    async fn put(&self, topic: &str, (key, value): &KeyValue) -> Result<i64, PortError> {
        let attempt = || format!("writing {key} to topic {topic}");
        let bytes = value.as_ref().map(serde_json::to_vec::<Value>).transpose();
        let bytes = bytes.map_err(|error| PortError::new(ErrorKind::Refused, attempt()).because(error))?;
        let record = FutureRecord::<str, [u8]> { payload: bytes.as_deref(), ..FutureRecord::to(topic).key(key) };
        match self.producer()?.send(record, Timeout::After(REQUEST_TIMEOUT)).await {
            Ok(delivery) => Ok(delivery.offset),
            Err((error, _)) => Err(port_error(attempt(), &error)),
        }
    }
}

/// A configurations topic has one partition, or its order is lost. Blocks.
pub(crate) fn one_partition(config: &KafkaConfig, topic: &str) -> Result<(), PortError> {
    match tail::partitions(config, topic)? {
        1 => Ok(()),
        partitions => {
            let cause = format!("it has {partitions} partitions; a configs topic has one, or its order is lost");
            Err(plain(ErrorKind::Refused, format!("reading topic {topic}"), cause))
        }
    }
}

#[async_trait]
impl ConnectStore for KafkaConnectStore {
    async fn configs(&self) -> Result<BTreeMap<String, ConfigMap>, PortError> {
        let (registry, _) = self.read_configs().await?;
        Ok(registry.connectors().iter().map(|(name, registered)| (name.clone(), registered.config.clone())).collect())
    }

    async fn claim(&self, transactional_id: &str) -> Result<Option<i64>, PortError> {
        let (config, id) = (self.config.clone(), transactional_id.to_owned());
        blocking("claiming the configurations topic", move || {
            let attempt = || format!("claiming transactional id {id}");
            let failed = |error: KafkaError| port_error(attempt(), &error);
            let producer: BaseProducer<Logged> =
                config.client().set("transactional.id", &id).create_with_context(Logged).map_err(failed)?;
            let producer = Background::new(producer);
            producer.init_transactions(REQUEST_TIMEOUT).map_err(failed)
        })
        .await?;
        self.read_configs().await.map(|(_, last)| last)
    }

    async fn write(&self, records: &[ConfigRecord]) -> Result<Option<i64>, PortError> {
        let mut last = None;
        for record in records {
            last = Some(self.put(&self.configs_topic, &config_bytes(record)).await?);
        }
        Ok(last)
    }

    async fn put_status(&self, change: &StatusChange) -> Result<(), PortError> {
        self.put(&self.status_topic, &status_bytes(change)).await.map(drop)
    }

    async fn feed(&self) -> Result<Box<dyn ConnectFeed>, PortError> {
        let (config, configs, statuses) = (self.config.clone(), self.configs_topic.clone(), self.status_topic.clone());
        let open = move || KafkaConnectFeed::open(&config, &configs, &statuses);
        Ok(Box::new(blocking("following the internal topics", open).await?))
    }
}
