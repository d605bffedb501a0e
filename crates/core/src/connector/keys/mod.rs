//! The connectors that the native worker serves, and every documented key of theirs.

mod capture;
mod connect;
mod events;
mod further;
mod key;
mod postgres;
mod s3;

pub use key::{ConfigKey, Importance, Served, Type, Width};

use crate::port::connect::ConfigMap;

/// Keys that belong together, in their order.
#[derive(Clone, Copy, Debug)]
pub struct KeyGroup {
    /// The group's name.
    pub name: &'static str,
    /// The number of the first key in its group.
    pub first: i32,
    /// The keys.
    pub keys: &'static [ConfigKey],
    /// True if Kafka Connect itself declares them, for every connector.
    pub framework: bool,
}

/// A connector that the native worker serves.
#[derive(Debug)]
pub struct Plugin {
    /// The full name of its class in the JVM.
    pub class: &'static str,
    /// The class of its tasks.
    pub task_class: &'static str,
    /// True for a source, false for a sink.
    pub source: bool,
    /// The version that it behaves as.
    pub version: &'static str,
    /// All keys by group; those of the framework come last.
    pub groups: &'static [KeyGroup],
    /// Beginnings of keys that are taken note of and left alone.
    pub(super) ignored_prefixes: &'static [&'static str],
}

/// The version of Debezium whose records the native source's are equal to.
pub const DEBEZIUM_VERSION: &str = "3.7.0.Final";

/// Debezium's PostgreSQL connector.
pub static POSTGRES_SOURCE: Plugin = Plugin {
    class: "io.debezium.connector.postgresql.PostgresConnector",
    task_class: "io.debezium.connector.postgresql.PostgresConnectorTask",
    source: true,
    version: DEBEZIUM_VERSION,
    groups: &[
        own("CONNECTION", postgres::CONNECTION),
        own("CONNECTION_ADVANCED", postgres::CONNECTION_ADVANCED),
        own("CONNECTION_ADVANCED_REPLICATION", postgres::REPLICATION),
        own("CONNECTION_ADVANCED_SSL", postgres::SSL),
        own("CONNECTOR", events::CONNECTOR),
        own("CONNECTOR_ADVANCED", events::CONNECTOR_ADVANCED),
        own("CONNECTOR_SNAPSHOT", capture::SNAPSHOT),
        own("ADVANCED", capture::ADVANCED),
        own("ADVANCED_HEARTBEAT", capture::HEARTBEAT),
        own("FILTERS", events::FILTERS),
        own("Further", further::SOURCE),
        own("datapipe", further::SOURCE_EXTENSIONS),
        framework("Common", 1, connect::SOURCE_COMMON),
        framework("Transforms", 12, connect::SOURCE_TRANSFORMS),
        framework("Predicates", 13, connect::SOURCE_PREDICATES),
        framework("Common", 14, connect::RELOAD),
        framework("Error Handling", 1, connect::SOURCE_ERRORS),
        framework("Topic Creation", 1, connect::TOPIC_CREATION),
        framework("Exactly Once Support", 2, connect::EXACTLY_ONCE),
        framework("offsets.topic", 1, connect::OFFSETS_TOPIC),
    ],
    ignored_prefixes: &["producer.override.", "topic.creation."],
};

/// Aiven's S3 sink connector.
pub static S3_SINK: Plugin = Plugin {
    class: "io.aiven.kafka.connect.s3.AivenKafkaConnectS3SinkConnector",
    task_class: "io.aiven.kafka.connect.s3.S3SinkTask",
    source: false,
    version: env!("CARGO_PKG_VERSION"),
    groups: &[
        own("AWS", s3::AWS),
        own("AWS STS", s3::STS),
        own("File", s3::FILE),
        own("Format", s3::FORMAT),
        own("S3 retry backoff policy", s3::RETRY),
        own("Kafka", s3::KAFKA),
        own("Deprecated", s3::DEPRECATED),
        own("datapipe", further::SINK_EXTENSIONS),
        framework("Common", 1, connect::SINK_COMMON),
        framework("Transforms", 12, connect::SINK_TRANSFORMS),
        framework("Predicates", 13, connect::SINK_PREDICATES),
        framework("Common", 14, connect::RELOAD),
        framework("Error Handling", 1, connect::SINK_ERRORS),
        framework("Common", 4, connect::TOPICS),
        framework("Consumer", 1, further::CONSUMER),
    ],
    ignored_prefixes: &[],
};

/// The connectors that the native worker serves.
pub static PLUGINS: [&Plugin; 2] = [&S3_SINK, &POSTGRES_SOURCE];

const fn own(name: &'static str, keys: &'static [ConfigKey]) -> KeyGroup {
    KeyGroup { name, first: 1, keys, framework: false }
}

const fn framework(name: &'static str, first: i32, keys: &'static [ConfigKey]) -> KeyGroup {
    KeyGroup { name, first, keys, framework: true }
}

impl Plugin {
    /// The connector of this class. As in Kafka Connect, a class may be named without its package, and without
    /// `Connector` at its end.
    pub fn named(class: &str) -> Option<&'static Self> {
        PLUGINS.into_iter().find(|plugin| {
            let simple = plugin.simple_name();
            let alias = simple.strip_suffix("Connector").unwrap_or(simple);
            [plugin.class, simple, alias].contains(&class)
        })
    }

    /// The connector of a configuration, by its `connector.class`.
    pub fn of(config: &ConfigMap) -> Option<&'static Self> {
        Self::named(config.get("connector.class")?.trim())
    }

    /// The class without its package.
    pub fn simple_name(&self) -> &'static str {
        self.class.rsplit('.').next().unwrap_or(self.class)
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &'static ConfigKey> + use<> {
        self.groups.iter().flat_map(|group| group.keys)
    }

    /// The key of this name.
    pub fn key(&self, name: &str) -> Option<&'static ConfigKey> {
        self.keys().find(|key| key.name == name)
    }

    /// What a key is without being given; the plugin's version is its own.
    pub fn default_of(&self, key: &ConfigKey) -> Option<&'static str> {
        if key.name == "connector.plugin.version" { Some(self.version) } else { key.default }
    }

    /// True for keys that are taken note of and left alone.
    pub fn ignores(&self, name: &str) -> bool {
        self.key(name).is_some_and(|key| key.served == Served::Ignored)
            || self.ignored_prefixes.iter().any(|prefix| name.starts_with(prefix))
    }

    /// The configurations of so many tasks, as Kafka Connect would keep them: all are alike, and a task's number is that
    /// of its record.
    pub fn task_configs(&self, config: &ConfigMap, tasks: u32) -> Vec<ConfigMap> {
        let mut task = config.clone();
        task.insert("task.class".to_owned(), self.task_class.to_owned());
        (0..tasks).map(|_| task.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_is_declared_once_and_its_default_is_of_its_type() {
        for plugin in PLUGINS {
            let mut seen = BTreeSet::new();
            for key in plugin.keys() {
                assert!(seen.insert(key.name), "{} is declared twice", key.name);
                let default = key.default.unwrap_or("1");
                let fits = match key.kind {
                    Type::Boolean => key.default.is_none() || default.parse::<bool>().is_ok(),
                    Type::Int => default.parse::<i32>().is_ok(),
                    Type::Long => default.parse::<i64>().is_ok(),
                    Type::Short => default.parse::<i16>().is_ok(),
                    Type::Class | Type::List | Type::Password | Type::String => true,
                };
                assert!(fits, "{}: {default}", key.name);
                assert!(key.documentation.ends_with('.') && !key.display_name.is_empty(), "{}", key.name);
                let secret = super::super::is_secret_key(key.name);
                assert!(key.kind != Type::Password || secret, "{} would be shown", key.name);
            }
        }
    }

    #[test]
    fn classes_have_three_names() {
        for name in ["io.debezium.connector.postgresql.PostgresConnector", "PostgresConnector", "Postgres"] {
            assert_eq!(Plugin::named(name).unwrap().class, POSTGRES_SOURCE.class);
        }
        assert_eq!(Plugin::named("AivenKafkaConnectS3Sink").unwrap().class, S3_SINK.class);
        assert!(Plugin::named("com.example.PostgresConnector").is_none());
        assert!(Plugin::of(&ConfigMap::new()).is_none());
    }
}
