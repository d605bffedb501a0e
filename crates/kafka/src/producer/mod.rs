//! The writing side of the log: one transactional producer per capture.
//!
//! # Latency
//!
//! The broker answers a commit before it has written the markers that make the transaction visible, and refuses the
//! first record of the next transaction until it has (`CONCURRENT_TRANSACTIONS`). librdkafka then waits 20 ms, fixed in
//! `rd_kafka_txn_handle_AddPartitionsToTxn`; no setting changes it. So the producer rests for a moment after each
//! commit: [`Sent::Full`] until then, and [`TransactionalLog::room`] waits. The rest is 1 ms, and up to
//! [`ProducerSettings::rest_max`] while ends of small transactions take as long as a back-off.
//!
//! Measured by `examples/latency_floor.rs` at 1,000 records/s of 500 bytes, from when a record is due to when a
//! consumer of committed records has it; Apache Kafka 4.3.1, debug build, two cores at a load of 7:
//!
//! | rest | transactions/s | commit p50 | commit p99 | readable p50 | readable p90 |
//! |---|---|---|---|---|---|
//! | none | 54 | 8.4 ms | 116 ms | 38 ms | 159 ms |
//! | 1 ms | 127 | 4.1 ms | 32 ms | 13 ms | 35 ms |
//! | 3 ms | 110 | 4.1 ms | 11 ms | 15 ms | 22 ms |
//! | 5 ms | 84 | 4.7 ms | 14 ms | 20 ms | 30 ms |
//! | 1 to 5 ms, as it is (load of 15) | 155 | 3.1 ms | 16 ms | 10 ms | 16 ms |
//!
//! Two more waits are avoided: the binding's flush looks at the queue every 100 ms, so the queue is drained here
//! before it is called; and the linger is 1 ms.
//!
//! # Visibility
//!
//! [`TransactionalLog::commit`] returns when the commit is decided and durable. The markers follow within
//! milliseconds; a claim ends only after they are written.

mod delivery;
mod last;
mod pace;
mod settle;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use datapipe_core::port::log::{Committed, Record, RecordBatch, Sent, TransactionalLog};
use datapipe_core::port::{ErrorKind, PortError};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header as NativeHeader, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use crate::client::{Background, blocking};
use crate::config::{KafkaConfig, MESSAGE_BYTES_MAX};
use crate::error::{plain, port_error};
use crate::murmur2::partition_of;
use crate::tail;
use delivery::Deliveries;
use last::Last;
use pace::Pace;

/// A batch is closed at this size. It stays below the broker's default limit of 1 MiB per batch, so that a batch
/// which is refused as too large holds nothing but the one record that is.
pub(crate) const BATCH_BYTES: usize = 512 * 1024;
/// How often a full queue, or a flush, is looked at.
const STEP: Duration = Duration::from_millis(1);

/// What a capture's producer is.
#[derive(Clone, Debug)]
pub struct ProducerSettings {
    /// The transactional id: claiming it fences whoever had it before.
    pub transactional_id: String,
    /// How long a transaction may stay open before the broker aborts it; an abandoned one holds every reader back for as
    /// long, until its id is claimed. Well above the time that a broker takes to start: Kafka 4.3.1 loses the markers of
    /// a transaction that ends while its broker starts, because a partition that has no leader yet passes for a deleted one,
    /// and the transaction then stays open for good.
    pub transaction_timeout: Duration,
    /// How long each wait of this producer may take.
    pub answer_max: Duration,
    /// The topic of the progress records.
    pub progress_topic: String,
    /// The key of this capture's progress records.
    pub progress_key: Vec<u8>,
    /// The most bytes of records that wait to be written.
    pub queue_bytes: u32,
    /// The longest pause between the end of a transaction and the first record of the next one; zero rests never.
    pub rest_max: Duration,
}

impl ProducerSettings {
    /// Settings with the defaults: 60 s as in Kafka's own clients, 20 s, 8 MiB, at most 5 ms of rest.
    pub fn new(transactional_id: impl Into<String>, progress_topic: impl Into<String>, progress_key: Vec<u8>) -> Self {
        Self {
            transactional_id: transactional_id.into(),
            transaction_timeout: Duration::from_secs(60),
            answer_max: Duration::from_secs(20),
            progress_topic: progress_topic.into(),
            progress_key,
            queue_bytes: 8 * 1024 * 1024,
            rest_max: Duration::from_millis(5),
        }
    }
}

type Client = Background<ThreadedProducer<Deliveries>>;

/// A producer with a claimed transactional id, in the middle of a transaction or before its first record.
struct Live {
    client: Arc<Client>,
    /// Records of the open transaction.
    sent: usize,
    /// The next transaction does not begin before this.
    rested: Option<Instant>,
    pace: Pace,
}

/// [`TransactionalLog`] on Kafka.
pub struct TransactionalProducer {
    config: KafkaConfig,
    settings: ProducerSettings,
    live: Option<Live>,
}

impl TransactionalProducer {
    /// A producer that owns nothing yet; does not connect.
    pub const fn new(config: KafkaConfig, settings: ProducerSettings) -> Self {
        Self { config, settings, live: None }
    }

    fn connect(config: &KafkaConfig, settings: &ProducerSettings) -> Result<Client, KafkaError> {
        config
            .client()
            .set("transactional.id", &settings.transactional_id)
            .set("transaction.timeout.ms", settings.transaction_timeout.as_millis().to_string())
            .set("message.timeout.ms", settings.answer_max.as_millis().to_string())
            .set("enable.idempotence", "true")
            .set("delivery.report.only.error", "true")
            .set("partitioner", "murmur2_random")
            .set("compression.type", "lz4")
            .set("linger.ms", "1")
            .set("batch.size", BATCH_BYTES.to_string())
            .set("message.max.bytes", settings.queue_bytes.min(MESSAGE_BYTES_MAX).to_string())
            .set("queue.buffering.max.kbytes", (settings.queue_bytes / 1024).max(1).to_string())
            .set("queue.buffering.max.messages", "65536")
            .create_with_context(Deliveries::default())
            .map(Background::new)
    }

    /// Blocks: fences, then reads.
    fn claim_blocking(config: &KafkaConfig, settings: &ProducerSettings) -> Result<(Live, Option<Bytes>), PortError> {
        let attempt = || format!("claiming transactional id {}", settings.transactional_id);
        let client = Self::connect(config, settings).map_err(|error| port_error(attempt(), &error))?;
        settle::initialise(&client, settings)?;
        let progress = Self::read_progress(config, settings)?;
        client.begin_transaction().map_err(|error| port_error(attempt(), &error))?;
        Ok((Live { client: Arc::new(client), sent: 0, rested: None, pace: Pace::new(settings.rest_max) }, progress))
    }

    fn read_progress(config: &KafkaConfig, settings: &ProducerSettings) -> Result<Option<Bytes>, PortError> {
        let ProducerSettings { progress_topic, progress_key, .. } = settings;
        let partitions = tail::partitions(config, progress_topic)?;
        let partition = partition_of(progress_key, partitions);
        // Another producer's open transaction ends by its own timeout, which is at most the broker's default of 15
        // minutes; waiting so long would look like a hang, so the caller is told and tries again.
        let wait = settings.answer_max * 2;
        let mut last: Option<Vec<u8>> = None;
        tail::read_to_end(config, progress_topic, partition, wait, |_, key, value| {
            if key == Some(progress_key.as_slice()) {
                match (value, &mut last) {
                    (None, last) => *last = None,
                    (Some(value), Some(last)) => {
                        last.clear();
                        last.extend_from_slice(value);
                    }
                    (Some(value), last) => *last = Some(value.to_vec()),
                }
            }
        })?;
        Ok(last.map(Bytes::from))
    }

    fn attempt(&self, what: &str) -> String {
        format!("{what} of transactional id {}", self.settings.transactional_id)
    }

    fn unclaimed(&self) -> PortError {
        plain(ErrorKind::Retry, self.attempt("using the producer"), "it is not claimed")
    }
}

#[async_trait]
impl TransactionalLog for TransactionalProducer {
    async fn claim(&mut self) -> Result<Option<Bytes>, PortError> {
        self.live = None;
        let (config, settings) = (self.config.clone(), self.settings.clone());
        let (live, progress) =
            blocking("claiming a transactional id", move || Self::claim_blocking(&config, &settings)).await?;
        self.live = Some(live);
        Ok(progress)
    }

    async fn tail(&mut self, topic: &str, offsets: u32, batch: &mut RecordBatch) -> Result<(), PortError> {
        let (config, topic, wait) = (self.config.clone(), topic.to_owned(), self.settings.answer_max * 2);
        let read = move || {
            let mut last = Last::default();
            for partition in 0..tail::partitions(&config, &topic)? {
                tail::read_last(&config, &topic, partition, wait, offsets.into(), |message| last.push(message))?;
            }
            Ok(last)
        };
        blocking("reading a topic's last records", read).await?.give(batch);
        Ok(())
    }

    fn send(&mut self, record: Record<'_>) -> Result<Sent, PortError> {
        let Some(live) = self.live.as_mut() else { return Err(self.unclaimed()) };
        if live.is_resting() {
            return Ok(Sent::Full);
        }
        let size = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        let code = match live.client.send(native(record, live.sent)) {
            Ok(()) => {
                live.sent += 1;
                return Ok(Sent::Queued);
            }
            Err((error, _)) => error,
        };
        match code.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => Ok(Sent::Full),
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                live.client.context().too_large(live.sent, size);
                live.sent += 1;
                Ok(Sent::Queued)
            }
            // The transaction cannot be committed any more, and commit() will say why; until then records are taken
            // and dropped.
            _ if live.client.context().failed() => {
                live.sent += 1;
                Ok(Sent::Queued)
            }
            _ => {
                let error = settle::fatal(&live.client).unwrap_or(code);
                self.live = None;
                Err(port_error(self.attempt("sending a record in a transaction"), &error))
            }
        }
    }

    async fn room(&mut self) -> Result<(), PortError> {
        let Some(live) = self.live.as_mut() else { return Err(self.unclaimed()) };
        if let Some(rested) = live.rested {
            tokio::time::sleep_until(rested.into()).await;
            return Ok(());
        }
        // Half of the queue: the broker is kept busy while it is filled again.
        let enough = live.client.in_flight_count() / 2;
        let deadline = Instant::now() + self.settings.answer_max;
        while live.client.in_flight_count() > enough && !live.client.context().failed() {
            if Instant::now() >= deadline {
                self.live = None;
                let cause = format!("the broker took no record for {} s", self.settings.answer_max.as_secs());
                return Err(plain(ErrorKind::Retry, self.attempt("waiting for room in the queue"), cause));
            }
            tokio::time::sleep(STEP).await;
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<Committed, PortError> {
        // It is put back only after a known end: a dropped future leaves the producer unclaimed.
        let Some(mut live) = self.live.take() else { return Err(self.unclaimed()) };
        if live.sent == 0 {
            self.live = Some(live);
            return Ok(Committed::Yes);
        }
        let begun = Instant::now();
        let (client, settings) = (Arc::clone(&live.client), self.settings.clone());
        let committed = blocking("ending a transaction", move || settle::end(&client, &settings)).await?;
        let ended = Instant::now();
        live.rested = Some(ended + live.pace.after(live.sent, ended - begun));
        live.sent = 0;
        self.live = Some(live);
        Ok(committed)
    }
}

impl Live {
    /// True before the first record of a transaction that follows too closely on the last one.
    fn is_resting(&mut self) -> bool {
        match self.rested {
            Some(rested) if Instant::now() < rested => true,
            Some(_) => {
                self.rested = None;
                false
            }
            None => false,
        }
    }
}

fn native(record: Record<'_>, ordinal: usize) -> BaseRecord<'_, [u8], [u8], usize> {
    let headers = (!record.headers.is_empty()).then(|| {
        record.headers.iter().fold(OwnedHeaders::new_with_capacity(record.headers.len()), |headers, header| {
            headers.insert(NativeHeader { key: header.name, value: Some(header.value) })
        })
    });
    BaseRecord {
        topic: record.topic,
        partition: None,
        payload: record.value,
        key: record.key,
        timestamp: None,
        headers,
        delivery_opaque: ordinal,
    }
}
