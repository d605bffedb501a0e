//! Configurations from the internal topic, read into what a worker can run.

use datapipe_core::connector::{ConfigProblem, Plugin, SinkConfig, SourceConfig};
use datapipe_core::port::connect::ConfigMap;
use datapipe_core::table::Compression;

/// A connector that this worker can run, or why it cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Connector {
    Source(Box<SourceConfig>),
    Sink(Box<SinkConfig>),
    Unusable(String),
}

impl Connector {
    /// Keys that were given and change nothing here.
    pub(crate) fn ignored(&self) -> &[String] {
        match self {
            Self::Source(config) => &config.ignored,
            Self::Sink(config) => &config.ignored,
            Self::Unusable(_) => &[],
        }
    }
}

/// What a configuration comes to. One that cannot be used does not keep others from running.
pub(crate) fn read(map: &ConfigMap) -> Connector {
    check(map).unwrap_or_else(|problems| {
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        Connector::Unusable(texts.join("; "))
    })
}

/// Why a worker would not run a connector of this configuration; none if it would.
pub fn refusal(map: &ConfigMap) -> Option<String> {
    match read(map) {
        Connector::Unusable(why) => Some(why),
        Connector::Source(_) | Connector::Sink(_) => None,
    }
}

/// Reads a configuration; all problems at once, by key.
pub(crate) fn check(map: &ConfigMap) -> Result<Connector, Vec<ConfigProblem>> {
    match Plugin::of(map) {
        Some(plugin) if plugin.source => SourceConfig::from_map(map).map(|config| Connector::Source(Box::new(config))),
        Some(_) => SinkConfig::from_map(map).and_then(served).map(|config| Connector::Sink(Box::new(config))),
        None => {
            let class = map.get("connector.class").map_or("", String::as_str);
            let why = format!("{class:?} is not one that the native worker serves");
            let fix = format!("set one of {}", classes().join(", "));
            Err(vec![ConfigProblem { key: "connector.class".to_owned(), why, fix }])
        }
    }
}

/// The classes that are served.
pub(crate) fn classes() -> Vec<&'static str> {
    datapipe_core::connector::keys::PLUGINS.iter().map(|plugin| plugin.class).collect()
}

/// The native sink's objects are the contract's: one layout, gzip.
fn served(config: SinkConfig) -> Result<SinkConfig, Vec<ConfigProblem>> {
    let key = "file.name.template".to_owned();
    if table_of(&config.prefix).is_none() {
        let why = format!("it starts with {:?}", config.prefix);
        return Err(vec![ConfigProblem { key, why, fix: "the native sink writes table={table}/ only".to_owned() }]);
    }
    if config.suffix != datapipe_core::object::SUFFIX {
        let why = format!("it ends with {:?}", config.suffix);
        return Err(vec![ConfigProblem { key, why, fix: "the native sink writes .jsonl.gz only".to_owned() }]);
    }
    if config.compression != Compression::Gzip {
        let fix = "leave it out for gzip, which the ending .gz says too".to_owned();
        let why = "\"none\" would not be heeded: the native sink writes gzip".to_owned();
        return Err(vec![ConfigProblem { key: "file.compression.type".to_owned(), why, fix }]);
    }
    Ok(config)
}

/// The table in an object prefix `table={table}/`.
pub(crate) fn table_of(prefix: &str) -> Option<&str> {
    let table = prefix.strip_prefix("table=")?.strip_suffix('/')?;
    (!table.is_empty() && !table.contains('/')).then_some(table)
}
