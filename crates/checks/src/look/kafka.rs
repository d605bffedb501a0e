use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use datapipe_core::Lsn;
use datapipe_core::plan::{KafkaPlan, PipelinePlan};
use datapipe_core::port::PortError;
use datapipe_core::port::connect::OffsetStore;
use datapipe_core::port::log::{LogReader, ReadRecord, RecordBatch};
use datapipe_core::port::source::Fingerprint;
use datapipe_core::progress::{Progress, ProgressError};
use datapipe_core::settings::Role;
use datapipe_kafka::lag::{LagWatch, PartitionLag};
use datapipe_kafka::{KafkaConfig, KafkaOffsetStore, ReaderSettings, TopicReader, groups, hidden, topics};
use serde_json::Value;

use super::Resolve;
use crate::seen::{GroupSeen, HiddenSeen, KafkaSeen, Lag, LetterSeen, StoredOf, TopicSeen};

/// One wait for records; the look as a whole has a limit of its own.
const STEP: Duration = Duration::from_millis(200);
/// The last dead letters are looked for in so many offsets: markers lie between.
const LETTER_OFFSETS: i64 = 512;
/// A text of a dead letter is cut after so many characters.
const LETTER_CHARS_MAX: usize = 200;

/// The plan's cluster, with its secrets.
pub fn config(plan: &KafkaPlan, resolve: Resolve<'_>) -> Result<KafkaConfig, String> {
    let (mut texts, mut secrets) = (BTreeMap::new(), BTreeMap::new());
    for (key, value) in &plan.properties {
        match value.parse() {
            Ok(reference) => drop(secrets.insert(key.clone(), resolve(&reference)?)),
            Err(_) => drop(texts.insert(key.clone(), value.clone())),
        }
    }
    KafkaConfig::new(plan.bootstrap.join(","), texts, secrets).map_err(|error| error.to_string())
}

pub(super) async fn look(config: &KafkaConfig, pipeline: &PipelinePlan, limit: Duration) -> Result<KafkaSeen, String> {
    let told = |error: PortError| error.report();
    let names: Vec<String> = pipeline.topics.iter().map(|topic| topic.name.clone()).collect();
    let found = topics::look(config, &names).await.map_err(told)?;
    let is_there = |name: &str| names.iter().zip(&found).any(|(one, found)| one == name && found.is_some());
    let sink = pipeline.connector(Role::Sink);
    let topic = sink.and_then(|sink| sink.config.get("topics")).filter(|topic| is_there(topic));
    let letters = &pipeline.names.dead_letter_topic;
    let letters = if is_there(letters) {
        partitions(config, letters, &pipeline.names.sink_group).await.map_err(told)?
    } else {
        Vec::new()
    };
    let dead = last_letters(config, &pipeline.names.dead_letter_topic, &letters).await.map_err(told)?;
    let lag = match topic {
        Some(topic) => {
            let partitions = partitions(config, topic, &pipeline.names.sink_group).await.map_err(told)?;
            let oldest_ms = oldest_unread(config, topic, &partitions, &dead.places).await.map_err(told)?;
            Some(Lag { records: oldest_ms.is_some(), oldest_ms, ..lag(&partitions) })
        }
        None => None,
    };
    let written = [&pipeline.names.data_topic, &pipeline.names.offsets_topic];
    let written: Vec<String> = written.into_iter().filter(|name| is_there(name)).cloned().collect();
    let hidden = hidden::look(config, &written).await.map_err(told)?;
    let (stored, stored_of) = match pipeline.connector(Role::Source) {
        Some(source) if is_there(&pipeline.names.offsets_topic) => {
            // An open transaction may hide it for long: that is another check's.
            let stored = tokio::time::timeout(limit / 3, stored(config, pipeline, &source.name)).await;
            stored.unwrap_or(Ok((None, None))).map_err(told)?
        }
        _ => (None, None),
    };
    // Who may read topics need not be allowed to describe groups.
    let group = groups::find(config, &pipeline.names.group).await.ok().flatten();
    let topics = names.into_iter().zip(found).map(|(name, found)| match found {
        Some(found) => TopicSeen { name, partitions: Some(found.partitions), configs: found.configs },
        None => TopicSeen { name, partitions: None, configs: BTreeMap::new() },
    });
    Ok(KafkaSeen {
        bootstrap: config.bootstrap().to_owned(),
        topics: topics.collect(),
        lag,
        dead_letters: letters.iter().map(|one| (one.end - one.first).max(0).unsigned_abs()).sum(),
        stored,
        stored_of,
        group: group.map(|found| GroupSeen {
            state: found.state,
            protocol: found.protocol_type,
            members: found.members,
        }),
        hidden: hidden.into_iter().map(hidden_seen).collect(),
        last_letter: dead.last,
    })
}

fn hidden_seen(found: hidden::Hidden) -> HiddenSeen {
    let hidden::Hidden { topic, partition, from, to, since_ms } = found;
    HiddenSeen { topic, partition, offsets: (to - from).unsigned_abs(), since_ms }
}

pub(super) async fn partitions(config: &KafkaConfig, topic: &str, group: &str) -> Result<Vec<PartitionLag>, PortError> {
    LagWatch::new(config, topic, group)?.look().await
}

fn lag(partitions: &[PartitionLag]) -> Lag {
    let lost = partitions.iter().filter(|one| one.committed.is_some_and(|next| next < one.first));
    Lag {
        records: false,
        oldest_ms: None,
        offsets: partitions.iter().map(|one| one.offsets().unsigned_abs()).sum(),
        lost: u32::try_from(lost.count()).unwrap_or(u32::MAX),
        committed: partitions.iter().any(|one| one.committed.is_some()),
    }
}

/// Whether a record that objects are to hold lies where the sink has yet to read.
pub(super) async fn unread(
    config: &KafkaConfig,
    pipeline: &PipelinePlan,
    topic: &str,
    partitions: &[PartitionLag],
) -> Result<bool, PortError> {
    if partitions.iter().all(|one| one.offsets() == 0) {
        return Ok(false);
    }
    let letters = &pipeline.names.dead_letter_topic;
    let dead = match topics::look(config, std::slice::from_ref(letters)).await?.as_slice() {
        [Some(_)] => {
            let all = self::partitions(config, letters, &pipeline.names.sink_group).await?;
            last_letters(config, letters, &all).await?.places
        }
        _ => BTreeSet::new(),
    };
    Ok(oldest_unread(config, topic, partitions, &dead).await?.is_some())
}

/// The time of the oldest record with a value that a group has yet to read; none if there is none. Of each partition the
/// first one tells. Dead letters are in no object: the last ones of a quiet table stay unread until another record comes.
async fn oldest_unread(
    config: &KafkaConfig,
    topic: &str,
    partitions: &[PartitionLag],
    dead: &BTreeSet<String>,
) -> Result<Option<i64>, PortError> {
    let behind: Vec<&PartitionLag> = partitions.iter().filter(|one| one.offsets() > 0).collect();
    if behind.is_empty() {
        return Ok(None);
    }
    let mut reader = TopicReader::new(config, ReaderSettings::new(topic, "datapipe-verify"))?;
    let (mut batch, mut oldest) = (RecordBatch::default(), None);
    for one in behind {
        reader.seek(one.partition, one.committed.unwrap_or(one.first).max(one.first)).await?;
        let mut first = None;
        while first.is_none() && reader.position(one.partition).is_none_or(|position| position < one.end) {
            batch.clear();
            reader.poll(STEP, &mut batch).await?;
            let counts = |record: &ReadRecord<'_>| {
                let place = || format!("{topic}/{}/{}", record.partition, record.offset);
                record.partition == one.partition && record.value.is_some() && !dead.contains(&place())
            };
            first = batch.iter().find(counts).map(|record| record.timestamp_ms);
        }
        oldest = oldest.into_iter().chain(first).min();
    }
    Ok(oldest)
}

/// Dead letters, the newest ones of each partition.
#[derive(Default)]
struct Letters {
    last: Option<LetterSeen>,
    /// Where they come from.
    places: BTreeSet<String>,
}

/// The last dead letters' headers. Keys and values are not looked at.
async fn last_letters(config: &KafkaConfig, topic: &str, partitions: &[PartitionLag]) -> Result<Letters, PortError> {
    let filled: Vec<&PartitionLag> = partitions.iter().filter(|one| one.end > one.first).collect();
    let mut letters = Letters::default();
    if filled.is_empty() {
        return Ok(letters);
    }
    let settings = ReaderSettings { headers: true, ..ReaderSettings::new(topic, "datapipe-verify") };
    let mut reader = TopicReader::new(config, settings)?;
    let (mut batch, mut newest_ms) = (RecordBatch::default(), i64::MIN);
    for one in filled {
        reader.seek(one.partition, one.first.max(one.end - LETTER_OFFSETS)).await?;
        while reader.position(one.partition).is_none_or(|position| position < one.end) {
            batch.clear();
            reader.poll(STEP, &mut batch).await?;
            for record in batch.iter().filter(|record| record.partition == one.partition) {
                let letter = letter(&record);
                letters.places.extend(letter.place.clone());
                if record.timestamp_ms >= newest_ms {
                    (newest_ms, letters.last) = (record.timestamp_ms, Some(letter));
                }
            }
        }
    }
    Ok(letters)
}

fn letter(record: &ReadRecord<'_>) -> LetterSeen {
    let header = |name: &str| {
        let value = record.headers.iter().find(|(found, _)| found.strip_prefix("__connect.errors.") == Some(name));
        let text = String::from_utf8_lossy(value?.1?).into_owned();
        Some(text.lines().next().unwrap_or_default().chars().take(LETTER_CHARS_MAX).collect::<String>())
    };
    let place = [header("topic"), header("partition"), header("offset")].into_iter().collect::<Option<Vec<_>>>();
    LetterSeen {
        place: place.map(|parts| parts.join("/")),
        stage: header("stage"),
        class: header("exception.class.name"),
        message: header("exception.message"),
    }
}

/// What PostgreSQL may forget by what is stored, whoever stored it, and what that belongs to.
pub(super) async fn stored(
    config: &KafkaConfig,
    pipeline: &PipelinePlan,
    source: &str,
) -> Result<(Option<Lsn>, Option<StoredOf>), PortError> {
    let store = KafkaOffsetStore::new(config.clone(), &pipeline.names.offsets_topic);
    let offsets = store.source_offsets(source).await?;
    let Some(offset) = offsets.into_iter().next() else { return Ok((None, None)) };
    let value = Value::Object(offset.offset).to_string();
    Ok(match Progress::from_offset_value(value.as_bytes()) {
        Ok(Progress { fingerprint, timeline, confirmable, .. }) => {
            let Fingerprint { system_id, database, slot, publication } = fingerprint;
            (Some(confirmable), Some(StoredOf { system_id, database, slot, publication, timeline }))
        }
        Err(ProgressError::Foreign(offset)) => (Some(offset.lsn.max(offset.lsn_commit.unwrap_or(Lsn::ZERO))), None),
        Err(ProgressError::Malformed(_)) => (None, None),
    })
}
