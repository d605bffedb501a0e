//! Reading a partition from its first record to its end, for topics whose last record per key counts.

use std::time::{Duration, Instant};

use datapipe_core::port::{ErrorKind, PortError};
use rdkafka::Message;
use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::client::{Background, Logged, REQUEST_TIMEOUT};
use crate::config::KafkaConfig;
use crate::error::{plain, port_error};

/// Fetched ahead while reading; a compacted topic may hold any number of records.
const PREFETCH_BYTES: u32 = 2 * 1024 * 1024;
/// The name that every such reader has.
pub(crate) const UNUSED_GROUP: &str = "datapipe-tail";
/// How often the end of the committed part is looked at while an open transaction hides the log's end.
const SETTLE_STEP: Duration = Duration::from_millis(20);

/// How many partitions a topic has. It must exist. Blocks.
pub(crate) fn partitions(config: &KafkaConfig, topic: &str) -> Result<i32, PortError> {
    let attempt = || format!("looking up topic {topic}");
    let failed = |error: KafkaError| port_error(attempt(), &error);
    let consumer = consumer(config, "read_committed").map_err(failed)?;
    partition_count(consumer.client(), topic)
}

/// The same by a client that exists.
pub(crate) fn partition_count<C: ClientContext>(client: &Client<C>, topic: &str) -> Result<i32, PortError> {
    let attempt = || format!("looking up topic {topic}");
    let failed = |error: KafkaError| port_error(attempt(), &error);
    let metadata = client.fetch_metadata(Some(topic), REQUEST_TIMEOUT).map_err(failed)?;
    let found = metadata.topics().iter().find(|candidate| candidate.name() == topic);
    let Some(found) = found else {
        return Err(plain(ErrorKind::Refused, attempt(), "the cluster does not know it").hint("create the topic"));
    };
    if let Some(error) = found.error() {
        return Err(crate::error::code_error(attempt(), error.into()));
    }
    i32::try_from(found.partitions().len())
        .map_err(|_| plain(ErrorKind::Refused, attempt(), "it has more partitions than Kafka allows"))
}

/// Waits until each partition of a topic has a leader that answers. Blocks.
pub(crate) fn wait_for_leaders(config: &KafkaConfig, topic: &str, deadline: Instant) -> Result<(), PortError> {
    let attempt = format!("waiting for the leaders of topic {topic}");
    let consumer = consumer(config, "read_committed").map_err(|error| port_error(attempt, &error))?;
    let led = || -> Result<(), PortError> {
        for partition in 0..partition_count(consumer.client(), topic)? {
            watermarks(consumer.client(), topic, partition)?;
        }
        Ok(())
    };
    loop {
        match led() {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => std::thread::sleep(SETTLE_STEP),
        }
    }
}

/// Gives every committed record of a partition, up to the end that the log has now, to `each` (offset, key, value).
///
/// Records of a transaction that is still open hide the end: they are waited for, at most `wait`. Blocks.
pub(crate) fn read_to_end(
    config: &KafkaConfig,
    topic: &str,
    partition: i32,
    wait: Duration,
    mut each: impl FnMut(i64, Option<&[u8]>, Option<&[u8]>),
) -> Result<(), PortError> {
    read_last(config, topic, partition, wait, i64::MAX, |message| {
        each(message.offset(), message.key(), message.payload());
    })
}

/// The same for the last `offsets` offsets of a partition.
pub(crate) fn read_last(
    config: &KafkaConfig,
    topic: &str,
    partition: i32,
    wait: Duration,
    offsets: i64,
    mut each: impl FnMut(&BorrowedMessage<'_>),
) -> Result<(), PortError> {
    let attempt = || format!("reading topic {topic}, partition {partition}, to its end");
    let failed = |error: KafkaError| port_error(attempt(), &error);
    let consumer = consumer(config, "read_committed").map_err(failed)?;
    let (low, high) = settled_bounds(config, &consumer, topic, partition, wait)?;
    if low >= high {
        return Ok(());
    }
    let mut assignment = TopicPartitionList::new();
    let from = low.max(high.saturating_sub(offsets));
    assignment.add_partition_offset(topic, partition, Offset::Offset(from)).map_err(failed)?;
    consumer.assign(&assignment).map_err(failed)?;
    let mut last_progress = Instant::now();
    // The first end that is reported lies at or behind `high`, because fetching began after `high` was known.
    while last_progress.elapsed() < REQUEST_TIMEOUT {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                each(&message);
                last_progress = Instant::now();
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
            // The right to a group that is not used need not be there.
            Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {}
            Some(Err(error)) if is_passing(&error) => {}
            Some(Err(error)) => return Err(failed(error)),
            None => {}
        }
    }
    Err(plain(ErrorKind::Retry, attempt(), format!("no record came for {} s", REQUEST_TIMEOUT.as_secs())))
}

/// The bounds of the committed part, once it reaches the end that the log has at the time of the call.
fn settled_bounds(
    config: &KafkaConfig,
    committed: &BaseConsumer<Logged>,
    topic: &str,
    partition: i32,
    wait: Duration,
) -> Result<(i64, i64), PortError> {
    let attempt = || format!("looking up the end of topic {topic}, partition {partition}");
    let failed = |error: KafkaError| port_error(attempt(), &error);
    let uncommitted = consumer(config, "read_uncommitted").map_err(failed)?;
    let (_, end) = watermarks(uncommitted.client(), topic, partition)?;
    let deadline = Instant::now() + wait;
    loop {
        let (low, high) = watermarks(committed.client(), topic, partition)?;
        if high >= end {
            return Ok((low, high));
        }
        if Instant::now() >= deadline {
            let cause = format!(
                "an open transaction of another producer hides the offsets {high} to {end}, and did not end within {} s",
                wait.as_secs()
            );
            return Err(plain(ErrorKind::Retry, attempt(), cause)
                .hint("the broker aborts it after its own timeout; kafka-transactions.sh find-hanging names it"));
        }
        std::thread::sleep(SETTLE_STEP);
    }
}

/// Where a partition ends, as far as it is committed. Blocks.
pub(crate) fn end(config: &KafkaConfig, topic: &str, partition: i32) -> Result<i64, PortError> {
    let failed = |error: KafkaError| port_error(format!("looking up the end of topic {topic}"), &error);
    let consumer = consumer(config, "read_committed").map_err(failed)?;
    watermarks(consumer.client(), topic, partition).map(|(_, end)| end)
}

/// The first offset kept and the end, as far as the client's isolation level sees it. A partition that is just being
/// moved or created is asked again. Blocks.
pub(crate) fn watermarks<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    partition: i32,
) -> Result<(i64, i64), PortError> {
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    loop {
        match client.fetch_watermarks(topic, partition, REQUEST_TIMEOUT) {
            Ok(bounds) => return Ok(bounds),
            Err(error) if is_passing(&error) && Instant::now() < deadline => std::thread::sleep(SETTLE_STEP),
            Err(error) => {
                return Err(port_error(format!("looking up the end of topic {topic}, partition {partition}"), &error));
            }
        }
    }
}

fn consumer(config: &KafkaConfig, isolation: &str) -> Result<Background<BaseConsumer<Logged>>, KafkaError> {
    let mut settings = config.consumer(PREFETCH_BYTES);
    // librdkafka assigns nothing without a group's name; the group is never joined and nothing is committed.
    // The end is told by the answer to a fetch that finds nothing: the broker must not hold that back.
    settings.set("isolation.level", isolation).set("group.id", UNUSED_GROUP).set("fetch.wait.max.ms", "10");
    settings.create_with_context(Logged).map(Background::new)
}

/// True for errors that librdkafka reports and then mends by itself.
pub(crate) fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::NotLeaderForPartition
                | Code::LeaderNotAvailable
                | Code::NotCoordinator
                | Code::CoordinatorNotAvailable
                | Code::CoordinatorLoadInProgress
                | Code::Resolve
        )
    )
}
