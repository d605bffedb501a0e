//! What lies in a topic, and whether the objects hold exactly that.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use datapipe_core::convention::Names;
use datapipe_core::layout::Layout;
use datapipe_core::object::ObjectMeta;
use datapipe_core::port::log::{LogReader, ReadRecord, RecordBatch};
use datapipe_core::port::store::ObjectStore;
use datapipe_core::progress::Progress;
use datapipe_kafka::{ReaderSettings, TopicReader};
use datapipe_s3::S3Store;
use flate2::read::MultiGzDecoder;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::time::sleep;

use crate::servers::Servers;
use crate::{Result, clients};

/// The committed records of a partition.
#[derive(Debug, Default)]
pub struct Topic {
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub start: i64,
    /// Offset and digest of each record with a value, in order.
    pub values: Vec<(i64, u64)>,
}

/// One object.
#[derive(Debug)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Its metadata.
    pub meta: ObjectMeta,
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

impl Topic {
    /// Reads each partition of a topic to its end, as a read-committed consumer sees it.
    pub async fn read(servers: &Servers, topic: &str) -> Result<Vec<Self>> {
        let mut reader =
            TopicReader::new(&clients::kafka(&servers.stack)?, ReaderSettings::new(topic, "datapipe-e2e"))?;
        Self::of(&mut reader, |_| {}).await
    }

    /// Reads each partition of a reader's topic to its end, and hands each value on.
    pub async fn of(reader: &mut TopicReader, mut each: impl FnMut(&[u8])) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        for partition in 0..reader.identity().await?.partitions {
            let mut values = Vec::new();
            let take = |record: ReadRecord<'_>| {
                if let Some(value) = record.value {
                    values.push((record.offset, digest(value)));
                    each(value);
                }
            };
            let start = read(reader, partition, take).await?;
            found.push(Self { partition, start, values });
        }
        Ok(found)
    }
}

/// The progress that a table's worker has stored.
pub async fn progress(servers: &Servers, names: &Names) -> Result<Option<Progress>> {
    let settings = ReaderSettings::new(&names.offsets_topic, "datapipe-e2e");
    let mut reader = TopicReader::new(&clients::kafka(&servers.stack)?, settings)?;
    let mut last = None;
    for partition in 0..reader.identity().await?.partitions {
        let key = names.offset_key.as_bytes();
        let see = |record: ReadRecord<'_>| {
            if record.key == Some(key) {
                last = record.value.map(<[u8]>::to_vec);
            }
        };
        read(&mut reader, partition, see).await?;
    }
    Ok(last.as_deref().map(Progress::from_offset_value).transpose()?)
}

/// Writes a record.
pub async fn produce(bootstrap: &str, topic: &str, key: &str, value: &str) -> Result<()> {
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let record = FutureRecord::to(topic).key(key).payload(value);
    producer.send(record, Duration::from_secs(60)).await.map_err(|(error, _)| error)?;
    Ok(())
}

/// Hands on the records of a partition up to its end, as a read-committed consumer sees them.
pub async fn read(reader: &mut TopicReader, partition: i32, mut record: impl FnMut(ReadRecord<'_>)) -> Result<i64> {
    let (start, end) = reader.bounds(partition).await?;
    if start == end {
        return Ok(start);
    }
    reader.seek(partition, start).await?;
    let mut batch = RecordBatch::default();
    let mut heard = Instant::now();
    while reader.position(partition).is_none_or(|position| position < end) {
        batch.clear();
        reader.poll(Duration::from_millis(200), &mut batch).await?;
        if !batch.is_empty() {
            heard = Instant::now();
        }
        batch.iter().filter(|found| found.partition == partition && found.offset < end).for_each(&mut record);
        if heard.elapsed() > Duration::from_secs(60) {
            return Err(format!("partition {partition} gave nothing for 60 s before its end at {end}").into());
        }
    }
    Ok(start)
}

/// The objects of a table, in the order of the log.
pub async fn objects(store: &S3Store, table: &str, topic: &str) -> Result<Vec<Object>> {
    let (mut keys, mut from) = (Vec::new(), None);
    loop {
        let page = store.list(&format!("table={table}/"), false, from.as_deref()).await?;
        keys.extend(page.keys);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    let layout = Layout::contract(table, ".jsonl.gz");
    keys.sort_by_key(|key| layout.parse(key, topic));
    let mut objects = Vec::new();
    for key in keys {
        let head = store.head(&key).await?.ok_or("a listed object is gone")?;
        objects.push(Object { meta: ObjectMeta::from_map(&head.metadata)?, key });
    }
    Ok(objects)
}

/// The objects of a partition, once they reach its last record.
pub async fn delivered(
    store: &S3Store,
    table: &str,
    name: &str,
    topic: &Topic,
    limit: Duration,
) -> Result<Vec<Object>> {
    let last = topic.values.last().map_or(-1, |(last, _)| *last);
    let begun = Instant::now();
    loop {
        let mut objects = objects(store, table, name).await?;
        objects.retain(|object| object.meta.partition == topic.partition);
        if last < 0 || objects.last().is_some_and(|object| object.meta.next > last) {
            return Ok(objects);
        }
        if begun.elapsed() > limit {
            return Err(format!("the objects of {table} do not reach offset {last} after {} s", limit.as_secs()).into());
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Checks that a partition's objects tile the log and hold its records, each once and in order; hands each line on. Returns what
/// is wrong.
pub async fn check(
    store: &S3Store,
    topic: &Topic,
    objects: &[Object],
    mut line: impl FnMut(&str),
) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let mut expected = topic.values.iter();
    let mut next = topic.start;
    for Object { key, meta } in objects {
        if meta.covers_from != next {
            faults.push(format!("{key} covers from {}, and the one before ends at {next}", meta.covers_from));
        }
        next = meta.next;
        let head = store.head(key).await?.ok_or("an object is gone")?;
        let content = store.read(key, 0, head.size).await?;
        let mut rows = 0;
        for text in BufReader::new(MultiGzDecoder::new(content.as_ref())).lines() {
            let text = text?;
            rows += 1;
            match expected.next() {
                Some((offset, wanted)) if *wanted == digest(text.as_bytes()) => {
                    if !(meta.first..=meta.last).contains(offset) {
                        faults.push(format!("{key} holds offset {offset}, outside of {}..={}", meta.first, meta.last));
                    }
                }
                Some((offset, _)) => faults.push(format!("{key} line {rows} is not the record at offset {offset}")),
                None => faults.push(format!("{key} line {rows} is beyond the topic's records")),
            }
            line(&text);
        }
        if rows != meta.written {
            faults.push(format!("{key} says {} records and holds {rows}", meta.written));
        }
    }
    let left = expected.count();
    if left > 0 {
        faults.push(format!("{left} records of the topic are in no object"));
    }
    Ok(faults)
}
