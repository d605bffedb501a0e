//! The reading side of the log: committed records of one topic, partitions assigned by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use datapipe_core::port::log::{GroupOffset, LogIdentity, LogReader, ReadHeaders, ReadRecord, RecordBatch};
use datapipe_core::port::{ErrorKind, PortError};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::Notify;

use crate::client::{Background, Logged, REQUEST_TIMEOUT, blocking};
use crate::config::KafkaConfig;
use crate::error::{plain, port_error};
use crate::{identity, tail};

/// The longest note that may be committed with a group offset, in bytes.
const NOTE_BYTES_MAX: usize = 1024;

/// What a reader reads, and how far ahead.
#[derive(Clone, Debug)]
pub struct ReaderSettings {
    /// The topic.
    pub topic: String,
    /// The group whose offsets are read and committed; it is never joined.
    pub group: String,
    /// The most bytes of records that are fetched ahead.
    pub prefetch_bytes: u32,
    /// A poll ends when it has gathered this many bytes of keys and values.
    pub batch_bytes: usize,
    /// Records come with their headers.
    pub headers: bool,
}

impl ReaderSettings {
    /// Settings with the defaults: 1 MiB ahead, 256 KiB per poll.
    pub fn new(topic: impl Into<String>, group: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            group: group.into(),
            prefetch_bytes: 1024 * 1024,
            batch_bytes: 256 * 1024,
            headers: false,
        }
    }
}

type Client = Background<BaseConsumer<Logged>>;

/// [`LogReader`] on Kafka.
pub struct TopicReader {
    client: Arc<Client>,
    settings: ReaderSettings,
    /// Signalled by librdkafka when its queue is no longer empty.
    ready: Arc<Notify>,
    /// The next offset of each partition that has been sought.
    positions: BTreeMap<i32, i64>,
    /// The headers of one record, if they are asked for.
    headers: Option<Vec<u8>>,
}

impl TopicReader {
    /// A reader of nothing yet; does not wait for the cluster.
    pub fn new(config: &KafkaConfig, settings: ReaderSettings) -> Result<Self, PortError> {
        let attempt = format!("making a reader of topic {}", settings.topic);
        let mut consumer: BaseConsumer<Logged> = config
            .consumer(settings.prefetch_bytes)
            .set("group.id", &settings.group)
            .create_with_context(Logged)
            .map_err(|error| port_error(attempt, &error))?;
        let ready = Arc::new(Notify::new());
        let signal = Arc::clone(&ready);
        consumer.set_nonempty_callback(move || signal.notify_one());
        let headers = settings.headers.then(Vec::new);
        let client = Arc::new(Background::new(consumer));
        Ok(Self { client, settings, ready, positions: BTreeMap::new(), headers })
    }

    fn attempt(&self, what: &str, partition: i32) -> String {
        let ReaderSettings { topic, group, .. } = &self.settings;
        format!("{what} of topic {topic}, partition {partition}, group {group}")
    }

    fn partition(&self, partition: i32, offset: Offset) -> Result<TopicPartitionList, PortError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.settings.topic, partition, offset)
            .map_err(|error| port_error(self.attempt("naming an offset", partition), &error))?;
        Ok(list)
    }

    /// Takes everything that is there, up to the batch's bound. True if something came or the bound is reached.
    fn drain(&mut self, batch: &mut RecordBatch) -> Result<bool, PortError> {
        let bytes_max = batch.size() + self.settings.batch_bytes;
        let records_before = batch.len();
        while batch.size() < bytes_max {
            match self.client.poll(Duration::ZERO) {
                Some(Ok(message)) => take(&message, &mut self.positions, self.headers.as_mut(), batch),
                // Only in an empty poll the end matters, and there librdkafka's own position tells it.
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) if tail::is_passing(&error) => {}
                Some(Err(error)) => return Err(self.failed(&error)),
                None => break,
            }
        }
        Ok(batch.len() > records_before)
    }

    fn failed(&self, error: &KafkaError) -> PortError {
        let attempt = format!("reading topic {}", self.settings.topic);
        let gone = matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset)
        );
        if gone {
            let cause = "the offset to read from is no longer kept, or not written yet";
            return plain(ErrorKind::Refused, attempt, cause)
                .hint("the topic's retention must exceed the longest outage; compare the group's offset with the topic's bounds");
        }
        port_error(attempt, error)
    }

    /// Moves the positions past control records, which are never given to the caller.
    fn pass_markers(&mut self) -> Result<(), PortError> {
        let passed = self.client.position().map_err(|error| self.failed(&error))?;
        for element in passed.elements() {
            if let (Offset::Offset(offset), Some(position)) =
                (element.offset(), self.positions.get_mut(&element.partition()))
            {
                *position = (*position).max(offset);
            }
        }
        Ok(())
    }
}

fn take(
    message: &BorrowedMessage<'_>,
    positions: &mut BTreeMap<i32, i64>,
    headers: Option<&mut Vec<u8>>,
    batch: &mut RecordBatch,
) {
    let (partition, offset) = (message.partition(), message.offset());
    // A record fetched before a seek may still come out after it.
    let Some(position) = positions.get_mut(&partition).filter(|position| offset >= **position) else { return };
    *position = offset + 1;
    let headers = headers.map_or(ReadHeaders::default(), |written| {
        written.clear();
        for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
            ReadHeaders::write(header.key, header.value, written);
        }
        ReadHeaders::of(written)
    });
    batch.push(ReadRecord {
        partition,
        offset,
        timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
        key: message.key(),
        value: message.payload(),
        headers,
    });
}

#[async_trait]
impl LogReader for TopicReader {
    async fn identity(&mut self) -> Result<LogIdentity, PortError> {
        let (client, topic) = (Arc::clone(&self.client), self.settings.topic.clone());
        blocking("looking up a topic", move || {
            let cluster_id =
                identity::cluster_id_of(client.client(), &format!("looking up the cluster of topic {topic}"))?;
            let partitions = tail::partition_count(client.client(), &topic)?;
            Ok(LogIdentity { cluster_id, topic, partitions })
        })
        .await
    }

    async fn committed(&mut self, partition: i32) -> Result<Option<GroupOffset>, PortError> {
        let (client, list) = (Arc::clone(&self.client), self.partition(partition, Offset::Invalid)?);
        let attempt = self.attempt("reading the group's offset", partition);
        blocking("reading a group's offset", move || {
            let found = client.committed_offsets(list, REQUEST_TIMEOUT).map_err(|error| port_error(attempt, &error))?;
            Ok(found.elements().first().and_then(|element| match element.offset() {
                Offset::Offset(offset) => Some(GroupOffset { offset, note: element.metadata().to_owned() }),
                _ => None,
            }))
        })
        .await
    }

    async fn bounds(&mut self, partition: i32) -> Result<(i64, i64), PortError> {
        let (client, topic) = (Arc::clone(&self.client), self.settings.topic.clone());
        blocking("looking up a topic's bounds", move || tail::watermarks(client.client(), &topic, partition)).await
    }

    async fn peek(
        &mut self,
        partition: i32,
        offset: i64,
        wait: Duration,
        batch: &mut RecordBatch,
    ) -> Result<(), PortError> {
        self.seek(partition, offset).await?;
        let read = self.poll(wait, batch).await;
        self.positions.remove(&partition);
        let list = self.partition(partition, Offset::Offset(offset))?;
        self.client
            .incremental_unassign(&list)
            .map_err(|error| port_error(self.attempt("leaving", partition), &error))?;
        // Retention may have taken the record since the bounds were looked up: whoever tries again sees the new ones.
        read.map_err(|error| error.with_kind(ErrorKind::Retry))
    }

    async fn seek(&mut self, partition: i32, offset: i64) -> Result<(), PortError> {
        // Assigning anew drops what was fetched; librdkafka's own seek waits for the fetcher, and fails before the
        // first fetch. These calls only talk to librdkafka's main thread.
        let attempt = self.attempt("seeking an offset", partition);
        let failed = |error: KafkaError| port_error(attempt.clone(), &error);
        let list = self.partition(partition, Offset::Offset(offset))?;
        if self.positions.contains_key(&partition) {
            self.client.incremental_unassign(&list).map_err(failed)?;
        }
        self.client.incremental_assign(&list).map_err(failed)?;
        self.positions.insert(partition, offset);
        Ok(())
    }

    async fn poll(&mut self, wait: Duration, batch: &mut RecordBatch) -> Result<(), PortError> {
        let deadline = Instant::now() + wait;
        loop {
            if self.drain(batch)? {
                return Ok(());
            }
            let ready = tokio::time::timeout_at(deadline.into(), self.ready.notified()).await;
            if ready.is_err() {
                // One last look: the signal may have come with the deadline.
                return if self.drain(batch)? { Ok(()) } else { self.pass_markers() };
            }
        }
    }

    fn position(&self, partition: i32) -> Option<i64> {
        self.positions.get(&partition).copied()
    }

    async fn commit(&mut self, partition: i32, offset: &GroupOffset) -> Result<(), PortError> {
        let attempt = self.attempt("committing the group's offset", partition);
        if offset.note.len() > NOTE_BYTES_MAX {
            let cause = format!("its note has {} bytes, more than {NOTE_BYTES_MAX}", offset.note.len());
            return Err(plain(ErrorKind::Refused, attempt, cause));
        }
        let list = self.partition(partition, Offset::Offset(offset.offset))?;
        if let Some(mut element) = list.find_partition(&self.settings.topic, partition) {
            element.set_metadata(offset.note.as_str());
        }
        let client = Arc::clone(&self.client);
        blocking("committing a group's offset", move || {
            client.commit(&list, CommitMode::Sync).map_err(|error| in_use(&attempt, &error))
        })
        .await
    }
}

/// Offsets can be committed from outside a group only while it has no members.
fn in_use(attempt: &str, error: &KafkaError) -> PortError {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::UnknownMemberId | RDKafkaErrorCode::IllegalGeneration) => plain(
            ErrorKind::Refused,
            attempt,
            "the group has members of its own: another sink is running under its name",
        )
        .hint("stop the other sink; kafka-consumer-groups.sh --describe --members shows it"),
        _ => port_error(attempt, error),
    }
}
