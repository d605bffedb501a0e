//! Configurations from the internal topic, read into what a worker can run.

use datapipe_core::connector::{ConfigProblem, Plugin, SinkConfig, SourceConfig};
use datapipe_core::port::connect::ConfigMap;

/// A connector that this worker can run, or why it cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Connector {
    Source(Box<SourceConfig>),
    Sink(Box<SinkConfig>),
    Unusable(String),
}

impl Connector {
    /// How many tasks it has.
    pub(crate) fn tasks(&self) -> u32 {
        match self {
            Self::Source(_) => 1,
            Self::Sink(config) => config.tasks.get(),
            Self::Unusable(_) => 0,
        }
    }

    /// Keys that nobody knows, and that are passed over.
    pub(crate) fn unknown(&self) -> &[String] {
        match self {
            Self::Source(config) => &config.unknown,
            Self::Sink(config) => &config.unknown,
            Self::Unusable(_) => &[],
        }
    }

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
        Some(_) => SinkConfig::from_map(map).map(|config| Connector::Sink(Box::new(config))),
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
