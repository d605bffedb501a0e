//! Kafka Connect's configs and status topics, in its own record forms.
//!
//! The forms are those of `KafkaConfigBackingStore` and `KafkaStatusBackingStore` of Apache Kafka 4, as their JSON
//! converter without schemas writes them. Kinds of records that only a JVM worker needs (tasks, commits, target
//! states, session keys, loggers) are skipped when reading and never written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datapipe_core::port::connect::{ConfigMap, ConnectStore, StatusRecord};
use datapipe_core::port::{ErrorKind, PortError};
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use serde_json::{Value, json};

use crate::client::{Background, Logged, REQUEST_TIMEOUT, blocking};
use crate::config::KafkaConfig;
use crate::error::{plain, port_error};
use crate::tail;

const CONNECTOR: &str = "connector-";
const CONNECTOR_STATUS: &str = "status-connector-";
const TASK_STATUS: &str = "status-task-";
/// How long an open transaction of a JVM worker may hide the end of a topic.
const SETTLE: Duration = Duration::from_secs(30);

/// The last status of a connector and of its tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses {
    /// By connector.
    pub connectors: BTreeMap<String, StatusRecord>,
    /// By connector and task number.
    pub tasks: BTreeMap<(String, i32), StatusRecord>,
}

/// [`ConnectStore`] on Kafka.
pub struct KafkaConnectStore {
    config: KafkaConfig,
    configs_topic: String,
    status_topic: String,
    producer: Arc<Background<FutureProducer<Logged>>>,
}

impl KafkaConnectStore {
    /// A store on these two topics; does not wait for the cluster.
    pub fn new(
        config: KafkaConfig,
        configs_topic: impl Into<String>,
        status_topic: impl Into<String>,
    ) -> Result<Self, PortError> {
        let producer = config
            .client()
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "0")
            .set("message.timeout.ms", REQUEST_TIMEOUT.as_millis().to_string())
            .set("queue.buffering.max.kbytes", "1024")
            .create_with_context(Logged)
            .map_err(|error: KafkaError| port_error("making the connector store's producer", &error))?;
        Ok(Self {
            config,
            configs_topic: configs_topic.into(),
            status_topic: status_topic.into(),
            producer: Arc::new(Background::new(producer)),
        })
    }

    /// All statuses, read up to the topic's end.
    pub async fn statuses(&self) -> Result<Statuses, PortError> {
        let (config, topic) = (self.config.clone(), self.status_topic.clone());
        blocking("reading statuses", move || {
            let mut statuses = Statuses::default();
            for partition in 0..tail::partitions(&config, &topic)? {
                tail::read_to_end(&config, &topic, partition, SETTLE, |key, value| {
                    apply_status(&mut statuses, key, value);
                })?;
            }
            Ok(statuses)
        })
        .await
    }

    /// Forgets a connector's configuration, as `DELETE /connectors/{name}` does.
    pub async fn delete_config(&self, connector: &str) -> Result<(), PortError> {
        self.put(&self.configs_topic, &format!("{CONNECTOR}{connector}"), None).await
    }

    /// Forgets a connector's status and that of its tasks below `tasks`.
    pub async fn delete_statuses(&self, connector: &str, tasks: i32) -> Result<(), PortError> {
        self.put(&self.status_topic, &format!("{CONNECTOR_STATUS}{connector}"), None).await?;
        for task in 0..tasks {
            self.put(&self.status_topic, &task_key(connector, task), None).await?;
        }
        Ok(())
    }

    async fn put(&self, topic: &str, key: &str, value: Option<&Value>) -> Result<(), PortError> {
        let attempt = || format!("writing {key} to topic {topic}");
        let bytes = value.map(serde_json::to_vec).transpose();
        let bytes = bytes.map_err(|error| PortError::new(ErrorKind::Refused, attempt()).because(error))?;
        let record = FutureRecord::<str, [u8]> { payload: bytes.as_deref(), ..FutureRecord::to(topic).key(key) };
        match self.producer.send(record, Timeout::After(REQUEST_TIMEOUT)).await {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(port_error(attempt(), &error)),
        }
    }
}

#[async_trait]
impl ConnectStore for KafkaConnectStore {
    async fn configs(&self) -> Result<BTreeMap<String, ConfigMap>, PortError> {
        let (config, topic) = (self.config.clone(), self.configs_topic.clone());
        blocking("reading connector configurations", move || {
            let partitions = tail::partitions(&config, &topic)?;
            if partitions != 1 {
                let cause = format!("it has {partitions} partitions; a configs topic has one, or its order is lost");
                return Err(plain(ErrorKind::Refused, format!("reading topic {topic}"), cause));
            }
            let mut configs = BTreeMap::new();
            tail::read_to_end(&config, &topic, 0, SETTLE, |key, value| apply_config(&mut configs, key, value))?;
            Ok(configs)
        })
        .await
    }

    async fn put_config(&self, connector: &str, config: &ConfigMap) -> Result<(), PortError> {
        self.put(&self.configs_topic, &format!("{CONNECTOR}{connector}"), Some(&json!({ "properties": config }))).await
    }

    async fn put_connector_status(&self, connector: &str, status: &StatusRecord) -> Result<(), PortError> {
        let value = status_value(status);
        self.put(&self.status_topic, &format!("{CONNECTOR_STATUS}{connector}"), Some(&value)).await
    }

    async fn put_task_status(&self, connector: &str, task: i32, status: &StatusRecord) -> Result<(), PortError> {
        self.put(&self.status_topic, &task_key(connector, task), Some(&status_value(status))).await
    }
}

fn task_key(connector: &str, task: i32) -> String {
    format!("{TASK_STATUS}{connector}-{task}")
}

fn status_value(status: &StatusRecord) -> Value {
    serde_json::to_value(status).expect("plain fields serialise")
}

/// One record of the configs topic. What is no connector's, or is damaged, is left out with a warning at most: a
/// JVM worker does the same.
fn apply_config(configs: &mut BTreeMap<String, ConfigMap>, key: Option<&[u8]>, value: Option<&[u8]>) {
    let Some(name) = name(key, CONNECTOR) else { return };
    let Some(value) = value else {
        configs.remove(name);
        return;
    };
    if let Some(config) = parse_config(value) {
        configs.insert(name.to_owned(), config);
    } else {
        tracing::warn!(connector = name, "a malformed configuration record is skipped");
    }
}

fn parse_config(value: &[u8]) -> Option<ConfigMap> {
    let value: Value = serde_json::from_slice(value).ok()?;
    let properties = value.get("properties")?.as_object()?;
    properties
        .iter()
        // Connect keeps a property that was set to null as null; to a connector it is absent.
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn apply_status(statuses: &mut Statuses, key: Option<&[u8]>, value: Option<&[u8]>) {
    let status = value.and_then(|value| serde_json::from_slice::<StatusRecord>(value).ok());
    if value.is_some() && status.is_none() {
        tracing::warn!("a malformed status record is skipped");
        return;
    }
    if let Some(connector) = name(key, CONNECTOR_STATUS) {
        change(&mut statuses.connectors, connector.to_owned(), status);
    } else if let Some((connector, task)) = name(key, TASK_STATUS).and_then(|rest| rest.rsplit_once('-'))
        && let Ok(task) = task.parse()
    {
        change(&mut statuses.tasks, (connector.to_owned(), task), status);
    }
}

fn change<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

fn name<'a>(key: Option<&'a [u8]>, prefix: &str) -> Option<&'a str> {
    std::str::from_utf8(key?).ok()?.strip_prefix(prefix)
}

#[cfg(test)]
mod tests {
    use datapipe_core::port::connect::State;

    use super::*;

    #[test]
    fn only_connectors_are_read_and_tombstones_delete() {
        let mut configs = BTreeMap::new();
        let records: &[(&str, Option<&str>)] = &[
            ("connector-a", Some(r#"{"properties":{"x":"1","gone":null}}"#)),
            ("connector-b", Some(r#"{"properties":{"y":"2"}}"#)),
            ("task-a-0", Some(r#"{"properties":{"x":"9"}}"#)),
            ("commit-a", Some(r#"{"tasks":1}"#)),
            ("target-state-a", Some(r#"{"state":"PAUSED","state.v2":"STOPPED"}"#)),
            ("session-key", Some(r#"{"key":"s","algorithm":"HmacSHA256","creation-timestamp":1}"#)),
            ("connector-c", Some("{")),
            ("connector-c", Some(r#"{"properties":{"x":1}}"#)),
            ("connector-b", None),
        ];
        for (key, value) in records {
            apply_config(&mut configs, Some(key.as_bytes()), value.map(str::as_bytes));
        }
        apply_config(&mut configs, None, None);
        let a = ConfigMap::from([("x".to_owned(), "1".to_owned())]);
        assert_eq!(configs, BTreeMap::from([("a".to_owned(), a)]));
    }

    #[test]
    fn statuses_keep_connect_s_form() {
        let status =
            StatusRecord { state: State::Running, trace: None, worker_id: "127.0.0.1:8083".to_owned(), generation: 5 };
        let value = status_value(&status);
        assert_eq!(value, json!({ "state": "RUNNING", "trace": null, "worker_id": "127.0.0.1:8083", "generation": 5 }));
        let mut statuses = Statuses::default();
        // Connect 4.1 and later add the version of the plugin.
        let theirs = br#"{"state":"FAILED","trace":"boom","worker_id":"w:8083","generation":2,"version":"3.6.3"}"#;
        apply_status(&mut statuses, Some(b"status-task-s3-sink-a-connector-0"), Some(theirs));
        apply_status(&mut statuses, Some(b"status-connector-a"), Some(value.to_string().as_bytes()));
        apply_status(&mut statuses, Some(b"status-connector-b"), Some(value.to_string().as_bytes()));
        apply_status(&mut statuses, Some(b"status-connector-b"), None);
        apply_status(&mut statuses, Some(b"status-topic-t:connector-a"), Some(b"{}"));
        assert_eq!(statuses.connectors, BTreeMap::from([("a".to_owned(), status)]));
        assert_eq!(statuses.tasks[&("s3-sink-a-connector".to_owned(), 0)].state, State::Failed);
    }
}
