//! Kafka Connect's internal topics in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use datapipe_core::connector::Registry;
use datapipe_core::port::connect::{
    ConfigMap, ConfigRecord, ConnectFeed, ConnectStore, FeedItem, GroupOffset, JsonMap, OffsetStore, SourceOffset,
    StatusChange, StatusRecord, Statuses,
};
use datapipe_core::port::{ErrorKind, PortError};
use tokio::sync::Notify;

/// Both topics as logs, and offsets, the last one per name. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryConnectStore {
    state: Arc<Mutex<Topics>>,
    written: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Topics {
    log: Vec<Entry>,
    configs: i64,
    sources: BTreeMap<Vec<u8>, SourceOffset>,
    groups: BTreeMap<String, BTreeMap<(String, i32), i64>>,
}

#[derive(Clone, Debug)]
enum Entry {
    Config(i64, ConfigRecord),
    Status(StatusChange),
}

impl MemoryConnectStore {
    /// What the status topic says.
    pub fn statuses(&self) -> Statuses {
        let mut statuses = Statuses::default();
        for entry in &self.topics().log {
            if let Entry::Status(change) = entry {
                statuses.apply(change.clone());
            }
        }
        statuses
    }

    /// The last status of a connector.
    pub fn status(&self, connector: &str) -> Option<StatusRecord> {
        self.statuses().connectors.get(connector).cloned()
    }

    /// What the configurations topic adds up to.
    pub fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        for record in &self.records() {
            registry.apply(record);
        }
        registry
    }

    /// Every record of the configurations topic, in order.
    pub fn records(&self) -> Vec<ConfigRecord> {
        let topics = self.topics();
        let records = topics.log.iter().filter_map(|entry| match entry {
            Entry::Config(_, record) => Some(record.clone()),
            Entry::Status(_) => None,
        });
        records.collect()
    }

    fn topics(&self) -> MutexGuard<'_, Topics> {
        self.state.lock().expect("never poisoned")
    }
}

#[async_trait]
impl ConnectStore for MemoryConnectStore {
    async fn configs(&self) -> Result<BTreeMap<String, ConfigMap>, PortError> {
        let registry = self.registry();
        Ok(registry.connectors().iter().map(|(name, registered)| (name.clone(), registered.config.clone())).collect())
    }

    async fn claim(&self, _transactional_id: &str) -> Result<Option<i64>, PortError> {
        let topics = self.topics();
        Ok((topics.configs > 0).then_some(topics.configs - 1))
    }

    async fn write(&self, records: &[ConfigRecord]) -> Result<Option<i64>, PortError> {
        let mut last = None;
        {
            let mut topics = self.topics();
            for record in records {
                let offset = topics.configs;
                topics.log.push(Entry::Config(offset, record.clone()));
                topics.configs += 1;
                last = Some(offset);
            }
        }
        self.written.notify_waiters();
        Ok(last)
    }

    async fn put_status(&self, change: &StatusChange) -> Result<(), PortError> {
        self.topics().log.push(Entry::Status(change.clone()));
        self.written.notify_waiters();
        Ok(())
    }

    async fn feed(&self) -> Result<Box<dyn ConnectFeed>, PortError> {
        let there = self.topics().log.len();
        Ok(Box::new(MemoryFeed { store: self.clone(), next: 0, there: Some(there) }))
    }
}

struct MemoryFeed {
    store: MemoryConnectStore,
    next: usize,
    /// How long the log was when the feed was opened, until that has been told.
    there: Option<usize>,
}

#[async_trait]
impl ConnectFeed for MemoryFeed {
    async fn next(&mut self) -> Result<FeedItem, PortError> {
        loop {
            if self.there.is_some_and(|there| self.next >= there) {
                self.there = None;
                return Ok(FeedItem::CaughtUp);
            }
            let written = Arc::clone(&self.store.written);
            let written = written.notified();
            let entry = self.store.topics().log.get(self.next).cloned();
            if let Some(entry) = entry {
                self.next += 1;
                return Ok(match entry {
                    Entry::Config(offset, record) => FeedItem::Config { offset, record },
                    Entry::Status(change) => FeedItem::Status(change),
                });
            }
            written.await;
        }
    }
}

#[async_trait]
impl OffsetStore for MemoryConnectStore {
    async fn source_offsets(&self, connector: &str) -> Result<Vec<SourceOffset>, PortError> {
        let start = serde_json::json!([connector]).to_string();
        let start = start.trim_end_matches(']').as_bytes();
        let topics = self.topics();
        Ok(topics.sources.iter().filter(|(key, _)| key.starts_with(start)).map(|(_, offset)| offset.clone()).collect())
    }

    async fn put_source_offsets(
        &self,
        _transactional_id: &str,
        offsets: &[(Vec<u8>, Option<JsonMap>)],
    ) -> Result<(), PortError> {
        let mut topics = self.topics();
        for (key, offset) in offsets {
            let Some(offset) = offset.clone() else {
                topics.sources.remove(key);
                continue;
            };
            let malformed = |error| PortError::new(ErrorKind::Refused, "reading an offset's key").because(error);
            let (_, partition): (String, JsonMap) = serde_json::from_slice(key).map_err(malformed)?;
            topics.sources.insert(key.clone(), SourceOffset { key: key.clone(), partition, offset });
        }
        Ok(())
    }

    async fn group_offsets(&self, group: &str, topic: &str) -> Result<Vec<GroupOffset>, PortError> {
        let topics = self.topics();
        let held = topics.groups.get(group).into_iter().flatten().filter(|((name, _), _)| name == topic);
        let offsets = held.map(|((topic, partition), offset)| GroupOffset {
            topic: topic.clone(),
            partition: *partition,
            offset: Some(*offset),
        });
        Ok(offsets.collect())
    }

    async fn partitions(&self, _topic: &str) -> Result<i32, PortError> {
        Ok(1)
    }

    async fn put_group_offsets(&self, group: &str, offsets: &[GroupOffset]) -> Result<(), PortError> {
        let mut topics = self.topics();
        let held = topics.groups.entry(group.to_owned()).or_default();
        for GroupOffset { topic, partition, offset } in offsets {
            let key = (topic.clone(), *partition);
            match offset {
                Some(offset) => held.insert(key, *offset),
                None => held.remove(&key),
            };
        }
        Ok(())
    }

    async fn delete_group(&self, group: &str) -> Result<(), PortError> {
        self.topics().groups.remove(group);
        Ok(())
    }
}
