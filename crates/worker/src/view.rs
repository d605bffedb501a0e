//! What the internal topics say, as this worker has read them. Pure.

use std::collections::BTreeMap;

use datapipe_connect::ConnectorKind;
use datapipe_core::connector::{Registered, Registry};
use datapipe_core::port::connect::{ConfigRecord, FeedItem, Statuses};

use crate::connectors::{Connector, read};
use crate::lifecycle::TaskKey;

/// How far the reading has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The topics have not been read to their end yet.
    #[default]
    Behind,
    /// What is written is read at once.
    Current,
    /// It broke off, and is tried again; what was read stays in sight.
    Broken(String),
}

/// What the internal topics say.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) registry: Registry,
    pub(crate) statuses: Statuses,
    /// What each configuration comes to.
    pub(crate) connectors: BTreeMap<String, Connector>,
    pub(crate) reading: Reading,
    /// The offset of the last record read of the configurations topic.
    pub(crate) last_config: Option<i64>,
    /// How often each task was to be started anew.
    pub(crate) restarts: BTreeMap<TaskKey, u64>,
}

impl View {
    /// An empty view to read into anew. Restarts are counted on: a run knows itself by them.
    pub(crate) fn anew(&self) -> Self {
        Self { restarts: self.restarts.clone(), ..Self::default() }
    }

    /// Takes an item into account. Restarts and log levels are no state: whoever reads them acts on them.
    pub(crate) fn apply(&mut self, item: FeedItem) {
        match item {
            FeedItem::Config { offset, record } => {
                self.last_config = Some(offset);
                self.registry.apply(&record);
                if let ConfigRecord::Connector { connector, config } = record {
                    match config {
                        Some(config) => self.connectors.insert(connector, read(&config)),
                        None => self.connectors.remove(&connector),
                    };
                }
            }
            FeedItem::Skipped { offset } => self.last_config = Some(offset),
            FeedItem::Status(change) => self.statuses.apply(change),
            FeedItem::CaughtUp => self.reading = Reading::Current,
        }
    }

    /// A task is to be started anew; returns how often it was.
    pub(crate) fn restart(&mut self, connector: &str, task: u32) -> u64 {
        let restarts = self.restarts.entry((connector.to_owned(), task)).or_default();
        *restarts += 1;
        *restarts
    }

    /// A connector with what its configuration comes to.
    pub(crate) fn get(&self, connector: &str) -> Option<(&Registered, &Connector)> {
        self.registry.get(connector).zip(self.connectors.get(connector))
    }

    /// All connectors.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, &Registered, &Connector)> {
        let connectors = self.registry.connectors().iter();
        connectors.filter_map(|(name, registered)| Some((name, registered, self.connectors.get(name)?)))
    }

    /// Which way a connector's rows flow.
    pub(crate) fn kind(&self, connector: &str) -> ConnectorKind {
        self.get(connector).map_or(ConnectorKind::Unknown, |(registered, _)| kind(&registered.config))
    }
}

/// Which way rows flow, by the class alone.
pub(crate) fn kind(config: &datapipe_core::port::connect::ConfigMap) -> ConnectorKind {
    match datapipe_core::connector::Plugin::of(config) {
        Some(plugin) if plugin.source => ConnectorKind::Source,
        Some(_) => ConnectorKind::Sink,
        None => ConnectorKind::Unknown,
    }
}
