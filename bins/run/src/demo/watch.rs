//! What has arrived, seen from outside of the worker: records in Kafka, objects in S3.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use datapipe_boot::SystemClock;
use datapipe_core::object::ObjectMeta;
use datapipe_core::port::PortError;
use datapipe_core::port::clock::Clock;
use datapipe_core::port::log::{LogReader, RecordBatch};
use datapipe_core::port::store::ObjectStore;
use datapipe_kafka::{KafkaConfig, ReaderSettings, TopicReader};
use datapipe_s3::S3Store;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

/// What has arrived of one table.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    /// Records with a value in the log.
    pub(super) records: AtomicU64,
    /// The offset of the last of them; -1 without one.
    last_offset: AtomicI64,
    /// Milliseconds from the last record's commit in PostgreSQL to its arrival here.
    pub(super) log_delay_ms: AtomicI64,
    /// Records in objects.
    pub(super) in_objects: AtomicU64,
    /// Objects.
    pub(super) objects: AtomicU64,
    /// Their bytes.
    pub(super) bytes: AtomicU64,
    /// The last offset that an object holds; -1 without one.
    last_in_object: AtomicI64,
    /// Milliseconds from the newest object's first record to its appearance here.
    pub(super) object_delay_ms: AtomicI64,
}

impl Arrived {
    pub(super) fn new() -> Arc<Self> {
        let arrived = Self::default();
        arrived.last_offset.store(-1, Ordering::Relaxed);
        arrived.last_in_object.store(-1, Ordering::Relaxed);
        Arc::new(arrived)
    }

    /// Everything that is in the log is in an object.
    pub(super) fn drained(&self) -> bool {
        self.last_in_object.load(Ordering::Relaxed) >= self.last_offset.load(Ordering::Relaxed)
    }
}

/// Counts the records of a table's topic as a read-committed consumer sees them.
pub(super) async fn log(
    kafka: KafkaConfig,
    topic: String,
    arrived: Arc<Arrived>,
    stop: CancellationToken,
) -> Result<(), PortError> {
    let mut reader = TopicReader::new(&kafka, ReaderSettings::new(topic, "datapipe-demo"))?;
    let identity = loop {
        match reader.identity().await {
            Ok(identity) => break identity,
            // The worker makes the topic.
            Err(_) if !stop.is_cancelled() => tokio::time::sleep(Duration::from_millis(200)).await,
            Err(error) => return Err(error),
        }
    };
    for partition in 0..identity.partitions {
        reader.seek(partition, 0).await?;
    }
    let mut batch = RecordBatch::default();
    while !stop.is_cancelled() {
        batch.clear();
        reader.poll(Duration::from_millis(200), &mut batch).await?;
        let (mut count, mut last) = (0, None);
        for record in batch.iter().filter(|record| record.value.is_some()) {
            count += 1;
            last = Some(record);
        }
        if let Some(last) = last {
            arrived.records.fetch_add(count, Ordering::Relaxed);
            arrived.last_offset.fetch_max(last.offset, Ordering::Relaxed);
            if let Some(committed_ms) = last.value.and_then(commit_time_ms) {
                let delay_ms = SystemClock.now_us() / 1000 - committed_ms;
                arrived.log_delay_ms.store(delay_ms.max(0), Ordering::Relaxed);
            }
        }
    }
    Ok(())
}

fn commit_time_ms(envelope: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Envelope {
        source: Source,
    }
    #[derive(Deserialize)]
    struct Source {
        ts_ms: i64,
    }
    serde_json::from_slice::<Envelope>(envelope).ok().map(|envelope| envelope.source.ts_ms)
}

/// Counts the objects of a table, each once, by their own metadata.
pub(super) async fn objects(
    store: Arc<S3Store>,
    prefix: String,
    arrived: Arc<Arrived>,
    stop: CancellationToken,
) -> Result<(), PortError> {
    let mut seen = BTreeSet::new();
    while !stop.is_cancelled() {
        let mut from = None;
        loop {
            let page = store.list(&prefix, false, from.as_deref()).await?;
            for key in page.keys {
                if !seen.contains(&key) {
                    look_at(&store, &key, &arrived).await?;
                    seen.insert(key);
                }
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
    }
    Ok(())
}

async fn look_at(store: &S3Store, key: &str, arrived: &Arrived) -> Result<(), PortError> {
    let Some(head) = store.head(key).await? else { return Ok(()) };
    arrived.objects.fetch_add(1, Ordering::Relaxed);
    arrived.bytes.fetch_add(head.size, Ordering::Relaxed);
    if let Ok(meta) = ObjectMeta::from_map(&head.metadata) {
        arrived.in_objects.fetch_add(meta.written, Ordering::Relaxed);
        arrived.last_in_object.fetch_max(meta.last, Ordering::Relaxed);
        let delay_ms = SystemClock.now_us() / 1000 - meta.time_min_ms;
        arrived.object_delay_ms.store(delay_ms.max(0), Ordering::Relaxed);
    }
    Ok(())
}
