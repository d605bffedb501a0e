//! Where connectors have come, seen and changed from outside while their tasks are stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use datapipe_core::port::connect::{GroupOffset, JsonMap, OffsetStore, SourceOffset};
use datapipe_core::port::{ErrorKind, PortError};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::client::{Background, Logged, REQUEST_TIMEOUT, blocking};
use crate::config::KafkaConfig;
use crate::connect_records::source_offset;
use crate::error::{code_error, plain, port_error};
use crate::tail;

/// How long an open transaction may hide the end of the offsets topic: Kafka's default is 60 s.
const SETTLE: Duration = Duration::from_secs(75);

/// [`OffsetStore`] on Kafka.
pub struct KafkaOffsetStore {
    config: KafkaConfig,
    offsets_topic: String,
}

impl KafkaOffsetStore {
    /// A store on this topic; does not connect.
    pub fn new(config: KafkaConfig, offsets_topic: impl Into<String>) -> Self {
        Self { config, offsets_topic: offsets_topic.into() }
    }
}

#[async_trait]
impl OffsetStore for KafkaOffsetStore {
    async fn source_offsets(&self, connector: &str) -> Result<Vec<SourceOffset>, PortError> {
        let (config, topic, connector) = (self.config.clone(), self.offsets_topic.clone(), connector.to_owned());
        blocking("reading source offsets", move || {
            let mut found: BTreeMap<Vec<u8>, SourceOffset> = BTreeMap::new();
            for partition in 0..tail::partitions(&config, &topic)? {
                tail::read_to_end(&config, &topic, partition, SETTLE, |_, key, value| {
                    match source_offset(&connector, key, value) {
                        Some((key, Some(offset))) => drop(found.insert(key, offset)),
                        Some((key, None)) => drop(found.remove(&key)),
                        None => {}
                    }
                })?;
            }
            Ok(found.into_values().collect())
        })
        .await
    }

    async fn put_source_offsets(
        &self,
        transactional_id: &str,
        offsets: &[(Vec<u8>, Option<JsonMap>)],
    ) -> Result<(), PortError> {
        let attempt = format!("writing source offsets to topic {}", self.offsets_topic);
        let (config, topic, id) = (self.config.clone(), self.offsets_topic.clone(), transactional_id.to_owned());
        let mut records = Vec::new();
        for (key, offset) in offsets {
            let value = offset.as_ref().map(serde_json::to_vec).transpose();
            let value = value.map_err(|error| PortError::new(ErrorKind::Refused, attempt.clone()).because(error))?;
            records.push((key.clone(), value));
        }
        blocking("writing source offsets", move || {
            commit(&config, &topic, &id, &records).map_err(|error| port_error(attempt, &error))
        })
        .await
    }

    async fn group_offsets(&self, group: &str, topic: &str) -> Result<Vec<GroupOffset>, PortError> {
        let (config, group, topic) = (self.config.clone(), group.to_owned(), topic.to_owned());
        blocking("reading a group's offsets", move || {
            let member = member(&config, &group)?;
            committed(&member, &group, &topic)
        })
        .await
    }

    async fn partitions(&self, topic: &str) -> Result<i32, PortError> {
        let (config, topic) = (self.config.clone(), topic.to_owned());
        blocking("looking up a topic", move || tail::partitions(&config, &topic)).await
    }

    async fn put_group_offsets(&self, group: &str, offsets: &[GroupOffset]) -> Result<(), PortError> {
        let mut wanted: BTreeMap<(String, i32), i64> = BTreeMap::new();
        if offsets.iter().any(|offset| offset.offset.is_none()) {
            let topics: BTreeSet<&str> = offsets.iter().map(|offset| offset.topic.as_str()).collect();
            for topic in topics {
                for GroupOffset { topic, partition, offset } in self.group_offsets(group, topic).await? {
                    wanted.extend(offset.map(|offset| ((topic, partition), offset)));
                }
            }
            self.delete_group(group).await?;
        }
        for GroupOffset { topic, partition, offset } in offsets {
            let key = (topic.clone(), *partition);
            match offset {
                Some(offset) => drop(wanted.insert(key, *offset)),
                None => drop(wanted.remove(&key)),
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let (config, group) = (self.config.clone(), group.to_owned());
        blocking("writing a group's offsets", move || {
            let member = member(&config, &group)?;
            let failed = |error: KafkaError| {
                port_error(format!("committing offsets of group {group}"), &error)
                    .hint("the group may still have members: wait until the connector's tasks have ended")
            };
            let mut list = TopicPartitionList::new();
            for ((topic, partition), offset) in &wanted {
                list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).map_err(failed)?;
            }
            member.commit(&list, CommitMode::Sync).map_err(failed)
        })
        .await
    }

    async fn delete_group(&self, group: &str) -> Result<(), PortError> {
        let attempt = format!("deleting the offsets of group {group}");
        let failed = |error: KafkaError| port_error(attempt.clone(), &error);
        let admin: AdminClient<Logged> = self.config.client().create_with_context(Logged).map_err(failed)?;
        let admin = Background::new(admin);
        let options = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT));
        let results = admin.delete_groups(&[group], &options).await.map_err(failed)?;
        match results.into_iter().next() {
            Some(Err((_, RDKafkaErrorCode::NonEmptyGroup))) => {
                let cause = "it still has members";
                Err(plain(ErrorKind::Retry, attempt, cause).hint("wait until the connector's tasks have ended"))
            }
            Some(Err((_, code))) if code != RDKafkaErrorCode::GroupIdNotFound => Err(code_error(attempt, code)),
            _ => Ok(()),
        }
    }
}

/// Writes all records in one transaction; whoever held the id before can write no more.
fn commit(
    config: &KafkaConfig,
    topic: &str,
    transactional_id: &str,
    records: &[(Vec<u8>, Option<Vec<u8>>)],
) -> Result<(), KafkaError> {
    let mut settings = config.client();
    settings.set("transactional.id", transactional_id).set("partitioner", "murmur2_random").set("linger.ms", "0");
    let producer: BaseProducer<Logged> = settings.create_with_context(Logged)?;
    let producer = Background::new(producer);
    producer.init_transactions(REQUEST_TIMEOUT)?;
    producer.begin_transaction()?;
    for (key, value) in records {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).key(key);
        record.payload = value.as_deref();
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.commit_transaction(REQUEST_TIMEOUT)
}

/// A client in the group's name that joins nothing.
fn member(config: &KafkaConfig, group: &str) -> Result<Background<BaseConsumer<Logged>>, PortError> {
    let member = config.consumer(64 * 1024).set("group.id", group).create_with_context(Logged);
    member.map(Background::new).map_err(|error| port_error(format!("speaking for group {group}"), &error))
}

fn committed(member: &BaseConsumer<Logged>, group: &str, topic: &str) -> Result<Vec<GroupOffset>, PortError> {
    let failed = |error: KafkaError| port_error(format!("reading the offsets of group {group}"), &error);
    let partitions = tail::partition_count(member.client(), topic)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, partitions - 1);
    let found = member.committed_offsets(list, REQUEST_TIMEOUT).map_err(failed)?;
    let offsets = found.elements().into_iter().filter_map(|element| match element.offset() {
        Offset::Offset(offset) => Some(GroupOffset {
            topic: element.topic().to_owned(),
            partition: element.partition(),
            offset: Some(offset),
        }),
        _ => None,
    });
    Ok(offsets.collect())
}
