//! Records that readers of committed records cannot see yet, because a transaction before them is open.

use std::time::{Duration, Instant};

use datapipe_core::port::PortError;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::client::{Background, Logged, REQUEST_TIMEOUT, blocking};
use crate::config::KafkaConfig;
use crate::error::port_error;
use crate::tail;

/// Fetched to see one record.
const PREFETCH_BYTES: u32 = 64 * 1024;
/// How long the first hidden record is waited for.
const RECORD_WAIT: Duration = Duration::from_secs(2);

/// A partition of which the end is hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The last stable offset: the first one that is hidden.
    pub from: i64,
    /// The log's end.
    pub to: i64,
    /// The time of the first hidden record in milliseconds since 1970-01-01 UTC: its transaction is open since then, at
    /// the latest. None if it could not be read.
    pub since_ms: Option<i64>,
}

/// The partitions of these topics of which an open transaction hides the end. While a writer works that is so at nearly
/// every moment: how long it has been so tells whether something is wrong.
///
/// # Errors
/// If a topic is missing, or the cluster cannot be asked.
pub async fn look(config: &KafkaConfig, topics: &[String]) -> Result<Vec<Hidden>, PortError> {
    let (config, topics) = (config.clone(), topics.to_vec());
    blocking("looking for open transactions", move || {
        let failed = |error: KafkaError| port_error(format!("looking up the ends of {}", topics.join(", ")), &error);
        let consumer = |isolation: &str| -> Result<Background<BaseConsumer<Logged>>, KafkaError> {
            let mut settings = config.consumer(PREFETCH_BYTES);
            settings.set("isolation.level", isolation).set("group.id", tail::UNUSED_GROUP);
            settings.create_with_context(Logged).map(Background::new)
        };
        let (committed, all) =
            (consumer("read_committed").map_err(failed)?, consumer("read_uncommitted").map_err(failed)?);
        let mut wanted = TopicPartitionList::new();
        for topic in &topics {
            wanted.add_partition_range(topic, 0, tail::partition_count(all.client(), topic)? - 1);
        }
        // An offset in the place of a time: -1 asks for the end, as far as the client's isolation lets it see.
        wanted.set_all_offsets(Offset::End).map_err(failed)?;
        // The committed ends first: the other way round a writer at work would seem to hide nothing.
        let stable = committed.offsets_for_times(wanted.clone(), REQUEST_TIMEOUT).map_err(failed)?;
        let ends = all.offsets_for_times(wanted, REQUEST_TIMEOUT).map_err(failed)?;
        let mut hidden = Vec::new();
        for (stable, end) in stable.elements().iter().zip(ends.elements()) {
            let (Offset::Offset(from), Offset::Offset(to)) = (stable.offset(), end.offset()) else { continue };
            if from < to {
                let (topic, partition) = (stable.topic().to_owned(), stable.partition());
                let since_ms = time_of(&all, &topic, partition, from).map_err(failed)?;
                hidden.push(Hidden { topic, partition, from, to, since_ms });
            }
        }
        Ok(hidden)
    })
    .await
}

/// The timestamp of the record at an offset, committed or not.
fn time_of(
    consumer: &BaseConsumer<Logged>,
    topic: &str,
    partition: i32,
    offset: i64,
) -> Result<Option<i64>, KafkaError> {
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    consumer.assign(&assignment)?;
    let begun = Instant::now();
    while begun.elapsed() < RECORD_WAIT {
        // Whatever hinders it, the offsets are known.
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            return Ok(message.timestamp().to_millis());
        }
    }
    Ok(None)
}
