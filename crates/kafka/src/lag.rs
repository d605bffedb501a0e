//! How much of a topic a group has yet to read.

use std::sync::Arc;

use datapipe_core::port::PortError;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::client::{Background, Logged, REQUEST_TIMEOUT, blocking};
use crate::config::KafkaConfig;
use crate::error::port_error;
use crate::tail;

/// One partition, as a group sees it. Offsets count control records too, so a lag is an upper bound in records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionLag {
    /// The partition.
    pub partition: i32,
    /// The first offset that is still kept.
    pub first: i64,
    /// The end of the committed part.
    pub end: i64,
    /// The group's next offset; none if it has none.
    pub committed: Option<i64>,
}

impl PartitionLag {
    /// Offsets that the group has yet to read.
    pub fn offsets(&self) -> i64 {
        (self.end - self.committed.unwrap_or(self.first)).max(0)
    }
}

/// Watches a topic and a group over one connection that is kept.
pub struct LagWatch {
    client: Arc<Background<BaseConsumer<Logged>>>,
    topic: String,
    group: String,
}

impl LagWatch {
    /// A watch; does not wait for the cluster.
    pub fn new(config: &KafkaConfig, topic: impl Into<String>, group: impl Into<String>) -> Result<Self, PortError> {
        let (topic, group) = (topic.into(), group.into());
        let client = config
            .consumer(64 * 1024)
            .set("group.id", &group)
            .create_with_context(Logged)
            .map_err(|error: KafkaError| port_error(format!("watching group {group}"), &error))?;
        Ok(Self { client: Arc::new(Background::new(client)), topic, group })
    }

    /// All partitions now.
    pub async fn look(&self) -> Result<Vec<PartitionLag>, PortError> {
        let (client, topic, group) = (Arc::clone(&self.client), self.topic.clone(), self.group.clone());
        blocking("measuring a group's lag", move || {
            let failed = |error: KafkaError| {
                port_error(format!("reading the offsets of group {group} in topic {topic}"), &error)
            };
            let partitions = tail::partition_count(client.client(), &topic)?;
            let mut list = TopicPartitionList::new();
            list.add_partition_range(&topic, 0, partitions - 1);
            let committed = client.committed_offsets(list, REQUEST_TIMEOUT).map_err(failed)?;
            let mut lags = Vec::new();
            for element in committed.elements() {
                let partition = element.partition();
                let (first, end) = tail::watermarks(client.client(), &topic, partition)?;
                let committed = if let Offset::Offset(offset) = element.offset() { Some(offset) } else { None };
                lags.push(PartitionLag { partition, first, end, committed });
            }
            Ok(lags)
        })
        .await
    }
}
