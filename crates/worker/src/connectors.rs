//! Configurations from the internal topic, read into what a worker can run.

use std::collections::BTreeMap;

use datapipe_connect::ConnectorKind;
use datapipe_core::connector::{ConfigProblem, SinkConfig, SourceConfig};
use datapipe_core::port::connect::ConfigMap;

/// A connector that this worker can run, or why it cannot.
#[derive(Clone, Debug)]
pub(crate) enum Connector {
    Source(Box<SourceConfig>),
    Sink(Box<SinkConfig>),
    Unusable(String),
}

/// A connector, with the configuration as it was given.
#[derive(Clone, Debug)]
pub(crate) struct Configured {
    pub(crate) map: ConfigMap,
    pub(crate) connector: Connector,
}

impl Configured {
    /// Which way its rows flow; what cannot be used is told by its class alone.
    pub(crate) fn kind(&self) -> ConnectorKind {
        match &self.connector {
            Connector::Source(_) => ConnectorKind::Source,
            Connector::Sink(_) => ConnectorKind::Sink,
            Connector::Unusable(_) => match self.map.get("connector.class") {
                Some(class) if class.contains("Sink") => ConnectorKind::Sink,
                _ => ConnectorKind::Source,
            },
        }
    }
}

/// Reads all configurations. One that cannot be used does not keep the others from running.
pub(crate) fn read(configs: BTreeMap<String, ConfigMap>) -> BTreeMap<String, Configured> {
    let configured = configs.into_iter().map(|(name, map)| {
        let connector = connector(&map);
        (name, Configured { map, connector })
    });
    configured.collect()
}

/// Why a worker would not run a connector of this configuration; none if it would.
pub fn refusal(map: &ConfigMap) -> Option<String> {
    match connector(map) {
        Connector::Unusable(why) => Some(why),
        Connector::Source(_) | Connector::Sink(_) => None,
    }
}

fn connector(map: &ConfigMap) -> Connector {
    let class = map.get("connector.class").map_or("", String::as_str);
    match class.rsplit('.').next() {
        Some("PostgresConnector") => match SourceConfig::from_map(map) {
            Ok(config) => Connector::Source(Box::new(config)),
            Err(problems) => unusable(&problems),
        },
        Some("AivenKafkaConnectS3SinkConnector") => match SinkConfig::from_map(map).map(served) {
            Ok(Ok(config)) => Connector::Sink(Box::new(config)),
            Ok(Err(why)) => Connector::Unusable(why),
            Err(problems) => unusable(&problems),
        },
        _ => Connector::Unusable(format!("connector.class {class:?} is not one that the native worker serves")),
    }
}

fn unusable(problems: &[ConfigProblem]) -> Connector {
    let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
    Connector::Unusable(texts.join("; "))
}

/// The native sink's objects are the contract's: one layout, gzip.
fn served(config: SinkConfig) -> Result<SinkConfig, String> {
    if table_of(&config.prefix).is_none() {
        let prefix = &config.prefix;
        return Err(format!("file.name.template starts with {prefix:?}; the native sink writes table={{table}}/ only"));
    }
    if config.suffix != datapipe_core::object::SUFFIX {
        let suffix = &config.suffix;
        return Err(format!("file.name.template ends with {suffix:?}; the native sink writes .jsonl.gz only"));
    }
    Ok(config)
}

/// The table in an object prefix `table={table}/`.
pub(crate) fn table_of(prefix: &str) -> Option<&str> {
    let table = prefix.strip_prefix("table=")?.strip_suffix('/')?;
    (!table.is_empty() && !table.contains('/')).then_some(table)
}
