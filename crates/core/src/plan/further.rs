//! Further keys of connector configurations, as settings and declarations give them.

use super::Problem;
use crate::connector::{ConfigProblem, SinkConfig, SourceConfig, is_secret_key};
use crate::convention::Names;
use crate::layout::Layout;
use crate::port::connect::ConfigMap;
use crate::secret::SecretRef;
use crate::settings::Role;

/// Names and places, which follow from the convention and from the settings' sections.
const DERIVED: [&str; 21] = [
    "name",
    "connector.class",
    "database.hostname",
    "database.port",
    "database.dbname",
    "database.user",
    "database.password",
    "topic.prefix",
    "topic.heartbeat.prefix",
    "slot.name",
    "publication.name",
    "schema.include.list",
    "table.include.list",
    "table.exclude.list",
    "datapipe.errors.deadletterqueue.topic.name",
    "aws.access.key.id",
    "aws.secret.access.key",
    "aws.s3.bucket.name",
    "aws.s3.endpoint",
    "aws.s3.region",
    "aws.s3.prefix",
];

/// What has a setting of its own.
const SETTINGS: [(Role, &str, &str); 13] = [
    (Role::Source, "snapshot.mode", "source.snapshot"),
    (Role::Source, "datapipe.snapshot.without.key", "source.keyless_snapshot"),
    (Role::Source, "heartbeat.interval.ms", "source.heartbeat"),
    (Role::Source, "signal.enabled.channels", "source.signals"),
    (Role::Source, "tombstones.on.delete", "source.tombstones"),
    (Role::Source, "skipped.operations", "source.truncates"),
    (Role::Source, "max.batch.size", "source.batch_rows"),
    (Role::Source, "max.queue.size.in.bytes", "source.queue_bytes"),
    (Role::Sink, "file.max.records", "sink.rows"),
    (Role::Sink, "datapipe.object.max.bytes", "sink.bytes"),
    (Role::Sink, "datapipe.object.max.age.ms", "sink.age"),
    (Role::Sink, "file.compression.type", "sink.compression"),
    (Role::Sink, "tasks.max", "sink.tasks"),
];

/// Who is to take the configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Taker {
    /// Ours: what it does not serve is a problem now.
    Native,
    /// A JVM worker, whose plugins have keys that are not known here.
    Jvm,
}

/// Adds keys to what is planned. `origin` says of a key where it was set.
pub(super) fn add(
    planned: &ConfigMap,
    further: &ConfigMap,
    (role, taker): (Role, Taker),
    names: &Names,
    origin: &dyn Fn(&str) -> String,
    problems: &mut Vec<Problem>,
) -> ConfigMap {
    let before = problems.len();
    for (key, value) in further {
        problems.extend(refused(role, key, value).map(|(what, fix)| Problem::new(origin(key), what, fix)));
    }
    let mut config = planned.clone();
    config.extend(further.clone());
    if further.is_empty() || taker == Taker::Jvm || problems.len() > before {
        return config;
    }
    let told =
        |found: Vec<ConfigProblem>| found.into_iter().map(|one| Problem::new(origin(&one.key), one.why, one.fix));
    match role {
        Role::Source => problems.extend(SourceConfig::from_map(&config).err().into_iter().flat_map(told)),
        Role::Sink => match SinkConfig::from_map(&config) {
            Ok(sink) if !further.contains_key("file.name.template") => {
                let layout = Layout::contract(&names.table, &sink.output.ending());
                return SinkConfig { layout, ..sink }.to_map();
            }
            Ok(_) => {}
            Err(found) => problems.extend(told(found)),
        },
    }
    config
}

fn refused(role: Role, key: &str, value: &str) -> Option<(String, String)> {
    if let Some((.., setting)) = SETTINGS.iter().find(|(of, name, _)| *of == role && *name == key) {
        return Some(("has a setting of its own".to_owned(), format!("set {setting}")));
    }
    if DERIVED.contains(&key) {
        let what = "is a name or a place, and these follow from the table and the other sections";
        return Some((what.to_owned(), "leave it out".to_owned()));
    }
    if is_secret_key(key) && value.parse::<SecretRef>().is_err() {
        let what = "is no reference to a secret (the text is not shown here)";
        return Some((what.to_owned(), "refer to it: \"${file:/path:key}\" or \"${env:NAME}\"".to_owned()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::keys::{POSTGRES_SOURCE, S3_SINK};

    #[test]
    fn what_is_refused_are_keys() {
        for (role, key, _) in SETTINGS {
            let plugin = if role == Role::Source { &POSTGRES_SOURCE } else { &S3_SINK };
            assert!(plugin.key(key).is_some(), "{key}");
        }
        for key in DERIVED {
            assert!(POSTGRES_SOURCE.key(key).is_some() || S3_SINK.key(key).is_some(), "{key}");
        }
    }
}
