//! A small Kafka: topics of partitions, transactional producers, group offsets.

use std::collections::BTreeMap;

use datapipe_core::lsn::Position;
use datapipe_core::port::log::{GroupOffset, ReadHeaders, ReadRecord, Record};
use datapipe_core::progress::Progress;

/// The cluster as a schedule has it.
#[derive(Clone, Debug)]
pub struct KafkaSettings {
    /// Its id.
    pub cluster_id: String,
    /// The data topic.
    pub data_topic: String,
    /// Partitions of the data topic.
    pub partitions: i32,
    /// The topic of the progress.
    pub offsets_topic: String,
    /// The topic of transactions' begins and ends.
    pub transaction_topic: String,
    /// The source's dead letters.
    pub dead_letter_topic: String,
    /// `transaction.timeout.ms`
    pub transaction_timeout_ms: u64,
    /// The largest record that is taken, in bytes.
    pub record_bytes_max: usize,
    /// What a producer holds back, in bytes.
    pub queue_bytes_max: usize,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            cluster_id: "sim-cluster".to_owned(),
            data_topic: "cdc.public.users".to_owned(),
            partitions: 1,
            offsets_topic: "connect-offsets-users".to_owned(),
            transaction_topic: "cdc.transaction".to_owned(),
            dead_letter_topic: "connect-dlq-users".to_owned(),
            transaction_timeout_ms: 10_000,
            record_bytes_max: 17 * 1024,
            queue_bytes_max: 4096,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    Committed,
    Aborted,
    Marker,
}

/// A record as it lies in a partition.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in milliseconds since 1970-01-01 UTC.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    pub(crate) state: State,
}

impl LogEntry {
    pub(crate) fn lent(&self, partition: i32) -> ReadRecord<'_> {
        ReadRecord {
            partition,
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: ReadHeaders::default(),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct OwnedRecord {
    pub(crate) topic: String,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
}

impl OwnedRecord {
    pub(crate) fn of(record: &Record<'_>) -> Self {
        let owned = |part: Option<&[u8]>| part.map(<[u8]>::to_vec);
        Self { topic: record.topic.to_owned(), key: owned(record.key), value: owned(record.value) }
    }

    pub(crate) fn size(&self) -> usize {
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len)
    }
}

#[derive(Debug, Default)]
struct Producer {
    epoch: u64,
    /// Topic, partition and offset of what the open transaction holds.
    open: Vec<(String, usize, usize)>,
    opened_at_ms: u64,
}

/// A producer of an earlier epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fenced;

/// The cluster.
#[derive(Debug, Default)]
pub struct Kafka {
    /// How it is set up.
    pub settings: KafkaSettings,
    pub(crate) topics: BTreeMap<String, Vec<Vec<LogEntry>>>,
    /// The first offset kept of the data topic's partitions.
    pub(crate) start: i64,
    pub(crate) groups: BTreeMap<i32, GroupOffset>,
    pub(crate) letters: Vec<OwnedRecord>,
    /// The furthest progress that was committed.
    pub(crate) stored: Option<Progress>,
    producer: Producer,
    /// The capture that claimed the log, while it lives.
    pub(crate) owner: Option<u64>,
    /// The capture that claimed the log last, whether it lives or not.
    pub(crate) claimed_by: Option<u64>,
    /// Offsets are often shown as Debezium would have left them.
    pub(crate) foreign: bool,
    pub(crate) wall_ms: i64,
}

impl Kafka {
    fn partitions(&mut self, topic: &str) -> &mut Vec<Vec<LogEntry>> {
        let count = if topic == self.settings.data_topic { self.settings.partitions } else { 1 };
        let count = usize::try_from(count).expect("a count of partitions is positive");
        self.topics.entry(topic.to_owned()).or_insert_with(|| vec![Vec::new(); count])
    }

    /// Fences earlier owners, and ends what they left open.
    pub(crate) fn fence(&mut self) -> u64 {
        self.end(State::Aborted);
        self.producer.epoch += 1;
        self.producer.epoch
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.producer.epoch
    }

    pub(crate) fn has_open(&self) -> bool {
        !self.producer.open.is_empty()
    }

    /// Aborts a transaction that is open for too long, and fences who left it; returns its owner, if it lives.
    pub(crate) fn tick(&mut self, now_ms: u64) -> Option<u64> {
        let open_ms = now_ms.saturating_sub(self.producer.opened_at_ms);
        if !self.has_open() || open_ms <= self.settings.transaction_timeout_ms {
            return None;
        }
        self.fence();
        self.owner.take()
    }

    /// Appends records of the open transaction; they are hidden until it ends.
    pub(crate) fn append(&mut self, epoch: u64, records: &[OwnedRecord], now_ms: u64) -> Result<(), Fenced> {
        if epoch != self.producer.epoch {
            return Err(Fenced);
        }
        for record in records {
            if !self.has_open() {
                self.producer.opened_at_ms = now_ms;
            }
            let place = self.put(record, State::Open);
            self.producer.open.push(place);
        }
        Ok(())
    }

    fn put(&mut self, record: &OwnedRecord, state: State) -> (String, usize, usize) {
        let timestamp_ms = self.wall_ms;
        let partitions = self.partitions(&record.topic);
        let partition = record.key.as_ref().map_or(0, |key| hash(key) % partitions.len());
        let entries = &mut partitions[partition];
        let place = entries.len();
        let offset = i64::try_from(place).expect("a simulated log is short");
        let (key, value) = (record.key.clone(), record.value.clone());
        entries.push(LogEntry { offset, timestamp_ms, key, value, state });
        (record.topic.clone(), partition, place)
    }

    /// Ends the open transaction with a marker in each of its partitions.
    fn end(&mut self, state: State) -> Vec<(String, usize, usize)> {
        let open = std::mem::take(&mut self.producer.open);
        let timestamp_ms = self.wall_ms;
        let mut touched: Vec<(String, usize)> = Vec::new();
        for (topic, partition, place) in &open {
            self.partitions(topic)[*partition][*place].state = state;
            if !touched.iter().any(|(at, number)| at == topic && number == partition) {
                touched.push((topic.clone(), *partition));
            }
        }
        for (topic, partition) in touched {
            let entries = &mut self.partitions(&topic)[partition];
            let offset = i64::try_from(entries.len()).expect("a simulated log is short");
            entries.push(LogEntry { offset, timestamp_ms, key: None, value: None, state: State::Marker });
        }
        open
    }

    /// Commits the open transaction.
    pub(crate) fn commit(&mut self, epoch: u64, halved: bool) -> Result<(), Fenced> {
        if epoch != self.producer.epoch {
            return Err(Fenced);
        }
        let places = self.end(State::Committed);
        if halved && places.len() > 2 {
            // Deliberately wrong: the progress becomes readable, the last of the rows do not.
            for (topic, partition, place) in &places[places.len() / 2..] {
                if *topic == self.settings.data_topic {
                    self.partitions(topic)[*partition][*place].state = State::Aborted;
                }
            }
        }
        self.stored = self.progress().and_then(|value| Progress::from_offset_value(&value).ok());
        Ok(())
    }

    /// Aborts the open transaction.
    pub(crate) fn abort(&mut self, epoch: u64) -> Result<(), Fenced> {
        if epoch != self.producer.epoch {
            return Err(Fenced);
        }
        self.end(State::Aborted);
        Ok(())
    }

    /// The last committed progress record's value.
    pub(crate) fn progress(&self) -> Option<Vec<u8>> {
        let entries = self.topics.get(&self.settings.offsets_topic)?.first()?;
        entries.iter().rev().find(|entry| entry.state == State::Committed)?.value.clone()
    }

    /// The progress as Debezium would have left it, if it would have left one that says the same: between two changes of a
    /// stream, and the slot not moved beyond; or in a first snapshot, at the slot's beginning, before any change was sent.
    pub(crate) fn foreign_progress(&self, confirmed: u64) -> Option<Vec<u8>> {
        let value = self.progress()?;
        let progress = Progress::from_offset_value(&value).ok()?;
        let last = progress.last;
        let ended = progress.position == Position::at(last.lsn_commit);
        let says_all = ended || progress.position.index > 0;
        let told = confirmed <= last.lsn.max(last.lsn_commit).0;
        let first = || confirmed == progress.position.commit.0 && self.holds_rows_only();
        let says_all = if progress.snapshot.is_some() { first() } else { says_all };
        if !says_all || !told || progress.handover.is_some() {
            return None;
        }
        let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&value).ok()?;
        fields.remove("datapipe");
        serde_json::to_vec(&fields).ok()
    }

    fn holds_rows_only(&self) -> bool {
        let is_row = |value: &Vec<u8>| String::from_utf8_lossy(value).contains("\"op\":\"r\"");
        let entries = self.topics.get(&self.settings.data_topic).into_iter().flatten().flatten();
        let mut committed = entries.filter(|entry| entry.state == State::Committed);
        committed.all(|entry| entry.value.as_ref().is_some_and(is_row))
    }

    /// The end of a partition's part in which nothing is open.
    pub(crate) fn stable_end(&self, partition: i32) -> i64 {
        let Some(entries) = self.data(partition) else { return self.start };
        let open = entries.iter().find(|entry| entry.state == State::Open).map(|entry| entry.offset);
        open.unwrap_or_else(|| entries.last().map_or(self.start, |entry| entry.offset + 1))
    }

    fn data(&self, partition: i32) -> Option<&Vec<LogEntry>> {
        let partition = usize::try_from(partition).ok()?;
        self.topics.get(&self.settings.data_topic)?.get(partition)
    }

    /// The committed records of a data partition from an offset on, as a reader sees them.
    pub(crate) fn visible(&self, partition: i32, from: i64, aborted: bool) -> impl Iterator<Item = &LogEntry> {
        let end = self.stable_end(partition);
        let from = usize::try_from(from).unwrap_or(0);
        let entries = self.data(partition).and_then(|entries| entries.get(from..)).unwrap_or_default();
        let seen = move |state| state == State::Committed || (aborted && state == State::Aborted);
        entries.iter().take_while(move |entry| entry.offset < end).filter(move |entry| seen(entry.state))
    }

    /// The committed records of any topic's first partition.
    pub(crate) fn committed_of(&self, topic: &str) -> impl Iterator<Item = &LogEntry> {
        let entries = self.topics.get(topic).and_then(|partitions| partitions.first());
        entries.into_iter().flatten().filter(|entry| entry.state == State::Committed)
    }

    /// The committed records among the last offsets of each partition of a topic.
    pub(crate) fn last_of(&self, topic: &str, offsets: u32) -> Vec<(i32, LogEntry)> {
        let partitions = self.topics.get(topic).into_iter().flatten();
        let last = |entries: &Vec<LogEntry>| entries.len().saturating_sub(offsets as usize);
        let entries = (0..)
            .zip(partitions)
            .flat_map(|(partition, entries)| entries[last(entries)..].iter().map(move |entry| (partition, entry)));
        let committed = entries.filter(|(_, entry)| entry.state == State::Committed);
        committed.map(|(partition, entry)| (partition, entry.clone())).collect()
    }

    /// Writes a record outside of any transaction, as a foreign producer would.
    pub fn produce(&mut self, topic: &str, key: Option<&[u8]>, value: Option<&[u8]>) {
        let owned = |part: Option<&[u8]>| part.map(<[u8]>::to_vec);
        self.put(&OwnedRecord { topic: topic.to_owned(), key: owned(key), value: owned(value) }, State::Committed);
    }
}

fn hash(key: &[u8]) -> usize {
    let mix = |sum: u32, byte: &u8| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    key.iter().fold(0x811c_9dc5, mix) as usize
}
