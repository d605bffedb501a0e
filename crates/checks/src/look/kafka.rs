use std::collections::BTreeMap;
use std::time::Duration;

use datapipe_core::Lsn;
use datapipe_core::plan::{KafkaPlan, PipelinePlan};
use datapipe_core::port::PortError;
use datapipe_core::port::connect::OffsetStore;
use datapipe_core::port::log::{LogReader, ReadRecord, RecordBatch};
use datapipe_core::progress::{Progress, ProgressError};
use datapipe_core::settings::Role;
use datapipe_kafka::lag::{LagWatch, PartitionLag};
use datapipe_kafka::{KafkaConfig, KafkaOffsetStore, ReaderSettings, TopicReader, topics};
use serde_json::Value;

use super::Resolve;
use crate::seen::{KafkaSeen, Lag, TopicSeen};

/// One wait for records; the look as a whole has a limit of its own.
const STEP: Duration = Duration::from_millis(200);

pub(super) fn config(plan: &KafkaPlan, resolve: Resolve<'_>) -> Result<KafkaConfig, String> {
    let (mut texts, mut secrets) = (BTreeMap::new(), BTreeMap::new());
    for (key, value) in &plan.properties {
        match value.parse() {
            Ok(reference) => drop(secrets.insert(key.clone(), resolve(&reference)?)),
            Err(_) => drop(texts.insert(key.clone(), value.clone())),
        }
    }
    KafkaConfig::new(plan.bootstrap.join(","), texts, secrets).map_err(|error| error.to_string())
}

pub(super) async fn look(config: &KafkaConfig, pipeline: &PipelinePlan) -> Result<KafkaSeen, String> {
    let told = |error: PortError| error.report();
    let names: Vec<String> = pipeline.topics.iter().map(|topic| topic.name.clone()).collect();
    let found = topics::look(config, &names).await.map_err(told)?;
    let is_there = |name: &str| names.iter().zip(&found).any(|(one, found)| one == name && found.is_some());
    let sink = pipeline.connector(Role::Sink);
    let topic = sink.and_then(|sink| sink.config.get("topics")).filter(|topic| is_there(topic));
    let lag = match topic {
        Some(topic) => {
            let partitions = partitions(config, topic, &pipeline.names.sink_group).await.map_err(told)?;
            let records = unread(config, topic, &partitions).await.map_err(told)?;
            Some(Lag { records, ..lag(&partitions) })
        }
        None => None,
    };
    let letters = &pipeline.names.dead_letter_topic;
    let dead_letters = if is_there(letters) {
        let partitions = partitions(config, letters, &pipeline.names.sink_group).await.map_err(told)?;
        partitions.iter().map(|one| (one.end - one.first).max(0).unsigned_abs()).sum()
    } else {
        0
    };
    let stored = match pipeline.connector(Role::Source) {
        Some(source) if is_there(&pipeline.names.offsets_topic) => {
            stored(config, pipeline, &source.name).await.map_err(told)?
        }
        _ => None,
    };
    let seen = names.into_iter().zip(found).map(|(name, found)| match found {
        Some(found) => TopicSeen { name, partitions: Some(found.partitions), configs: found.configs },
        None => TopicSeen { name, partitions: None, configs: BTreeMap::new() },
    });
    Ok(KafkaSeen { topics: seen.collect(), lag, dead_letters, stored })
}

pub(super) async fn partitions(config: &KafkaConfig, topic: &str, group: &str) -> Result<Vec<PartitionLag>, PortError> {
    LagWatch::new(config, topic, group)?.look().await
}

fn lag(partitions: &[PartitionLag]) -> Lag {
    let lost = partitions.iter().filter(|one| one.committed.is_some_and(|next| next < one.first));
    Lag {
        records: false,
        offsets: partitions.iter().map(|one| one.offsets().unsigned_abs()).sum(),
        lost: u32::try_from(lost.count()).unwrap_or(u32::MAX),
        committed: partitions.iter().any(|one| one.committed.is_some()),
    }
}

/// Whether a record with a value lies where a group has yet to read: of each partition the first one tells.
pub(super) async fn unread(config: &KafkaConfig, topic: &str, partitions: &[PartitionLag]) -> Result<bool, PortError> {
    let behind: Vec<&PartitionLag> = partitions.iter().filter(|one| one.offsets() > 0).collect();
    if behind.is_empty() {
        return Ok(false);
    }
    let mut reader = TopicReader::new(config, ReaderSettings::new(topic, "datapipe-verify"))?;
    let mut batch = RecordBatch::default();
    for one in behind {
        reader.seek(one.partition, one.committed.unwrap_or(one.first).max(one.first)).await?;
        while reader.position(one.partition).is_none_or(|position| position < one.end) {
            batch.clear();
            reader.poll(STEP, &mut batch).await?;
            let of_partition = |record: &ReadRecord<'_>| record.partition == one.partition && record.value.is_some();
            if batch.iter().any(|record| of_partition(&record)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// What PostgreSQL may forget by what is stored, whoever stored it.
async fn stored(config: &KafkaConfig, pipeline: &PipelinePlan, source: &str) -> Result<Option<Lsn>, PortError> {
    let store = KafkaOffsetStore::new(config.clone(), &pipeline.names.offsets_topic);
    let offsets = store.source_offsets(source).await?;
    let Some(offset) = offsets.into_iter().next() else { return Ok(None) };
    let value = Value::Object(offset.offset).to_string();
    Ok(match Progress::from_offset_value(value.as_bytes()) {
        Ok(progress) => Some(progress.confirmable),
        Err(ProgressError::Foreign(offset)) => Some(offset.lsn.max(offset.lsn_commit.unwrap_or(Lsn::ZERO))),
        Err(ProgressError::Malformed(_)) => None,
    })
}
