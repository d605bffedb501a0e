//! A JVM sink's configuration holds keys that its connector documents, with values of their types.
#![allow(clippy::unwrap_used, clippy::panic)]

mod declared;

use datapipe_core::connector::keys::{S3_SINK, Type};
use datapipe_core::port::connect::ConfigMap;
use serde_json::{Value, json};

use declared::rendered;

/// A type of values of Kafka's `ConfigDef`, or the only values that are valid.
#[derive(Clone, Copy)]
enum Values {
    Of(Type),
    Only(&'static [&'static str]),
}
use Values::{Of, Only};

const BOOLEAN: Values = Of(Type::Boolean);
const CLASS: Values = Of(Type::Class);
const INT: Values = Of(Type::Int);
const LONG: Values = Of(Type::Long);
const TEXT: Values = Of(Type::String);

/// Of Confluent's S3 sink: "Configuration Reference for Amazon S3 Sink Connector for Confluent Platform".
const CONFLUENT: &[(&str, Values)] = &[
    ("format.class", CLASS),
    ("flush.size", INT),
    ("rotate.interval.ms", LONG),
    ("rotate.schedule.interval.ms", LONG),
    ("schema.cache.size", INT),
    ("retry.backoff.ms", LONG),
    ("filename.offset.zero.pad.width", INT),
    ("schema.compatibility", Only(&["NONE", "BACKWARD", "FORWARD", "FULL"])),
    ("behavior.on.null.values", Only(&["ignore", "fail", "write"])),
    ("s3.bucket.name", TEXT),
    ("s3.region", TEXT),
    ("s3.part.size", INT),
    ("s3.credentials.provider.class", CLASS),
    ("aws.access.key.id", TEXT),
    ("aws.secret.access.key", TEXT),
    ("s3.ssea.name", TEXT),
    ("s3.acl.canned", TEXT),
    ("s3.wan.mode", BOOLEAN),
    ("s3.compression.type", Only(&["none", "gzip"])),
    ("s3.compression.level", INT),
    ("s3.part.retries", INT),
    ("s3.retry.backoff.ms", LONG),
    ("s3.path.style.access.enabled", BOOLEAN),
    ("storage.class", CLASS),
    ("topics.dir", TEXT),
    ("store.url", TEXT),
    ("directory.delim", TEXT),
    ("file.delim", TEXT),
    ("partitioner.class", CLASS),
    ("partition.field.name", TEXT),
    ("partition.duration.ms", LONG),
    ("path.format", TEXT),
    ("locale", TEXT),
    ("timezone", TEXT),
    ("timestamp.extractor", Only(&["Wallclock", "Record", "RecordField"])),
    ("timestamp.field", TEXT),
];

/// What a table's sink must have in any case.
const CONFLUENT_REQUIRED: [&str; 4] = ["format.class", "flush.size", "s3.bucket.name", "storage.class"];
const AIVEN_REQUIRED: [&str; 3] = ["aws.access.key.id", "aws.secret.access.key", "aws.s3.bucket.name"];

fn sinks(settings: &Value) -> Vec<ConfigMap> {
    let tree = rendered(settings).unwrap();
    let files = tree.files().filter(|(path, _)| path.ends_with("-s3-sink-connector.json"));
    let configs = files.map(|(_, file)| serde_json::from_str::<Value>(&file.text).unwrap()["config"].take());
    configs.map(|config| serde_json::from_value(config).unwrap()).collect()
}

/// The settings that change which keys are written, for one connector or the other.
fn variants(flavour: &str) -> Vec<Value> {
    let base = json!({ "deploy": { "s3_sink": flavour } });
    let with = |more: Value| {
        let mut all = base.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    vec![
        base.clone(),
        with(json!({ "s3": { "endpoint": "https://store.example.org", "region": "eu-west-1", "bucket": "lake" } })),
        with(json!({ "sink": { "rows": 2_147_483_647, "age": "7s", "bytes": "1GiB", "compression": "none" } })),
        with(json!({ "kafka": { "bootstrap": "k:9092", "replication_factor": 3 } })),
    ]
}

/// Keys of Kafka Connect itself for every sink, and the families of keys below a name that somebody chose.
fn of_the_framework(key: &str) -> Option<Values> {
    let declared = S3_SINK.groups.iter().filter(|group| group.framework).flat_map(|group| group.keys);
    let families = ["transforms.", "predicates.", "key.converter.", "value.converter.", "consumer.override."];
    let known = declared.into_iter().find(|known| known.name == key).map(|known| Of(known.kind));
    known.or_else(|| families.iter().any(|family| key.starts_with(family)).then_some(TEXT))
}

fn fits(value: &str, values: Values) -> bool {
    match values {
        Only(valid) => valid.contains(&value),
        Of(Type::Boolean) => value == "true" || value == "false",
        Of(Type::Class) => value.contains('.') && !value.contains(char::is_whitespace),
        Of(Type::Int) => value.parse::<i32>().is_ok(),
        Of(Type::Long) => value.parse::<i64>().is_ok(),
        Of(Type::Short) => value.parse::<i16>().is_ok(),
        Of(Type::List | Type::Password | Type::String) => !value.is_empty(),
    }
}

#[test]
fn aivens_sink_gets_keys_that_it_documents() {
    for settings in variants("aiven") {
        for config in sinks(&settings) {
            let own = || S3_SINK.groups.iter().filter(|group| !group.framework);
            for (key, value) in &config {
                let documented = own().filter(|group| group.name != "datapipe").flat_map(|group| group.keys);
                let found = documented.into_iter().find(|known| known.name == key).map(|known| Of(known.kind));
                // What the table keeps for a native sink, under names that no other connector has.
                let ours = own().filter(|group| group.name == "datapipe").flat_map(|group| group.keys);
                let ours = ours.into_iter().find(|known| known.name == key && key.starts_with("datapipe."));
                let values = found.or_else(|| of_the_framework(key)).or(ours.map(|known| Of(known.kind)));
                let values = values.unwrap_or_else(|| panic!("{key} is no key of Aiven's sink"));
                assert!(fits(value, values), "{key}={value}");
            }
            for key in AIVEN_REQUIRED.iter().chain(&["name", "connector.class", "topics", "tasks.max"]) {
                assert!(config.contains_key(*key), "{key} is missing");
            }
        }
    }
}

#[test]
fn confluents_sink_gets_keys_that_it_documents() {
    for settings in variants("confluent") {
        for config in sinks(&settings) {
            for (key, value) in &config {
                let found = CONFLUENT.iter().find(|(known, _)| known == key).map(|(_, values)| *values);
                let values = found.or_else(|| of_the_framework(key));
                let values = values.unwrap_or_else(|| panic!("{key} is no key of Confluent's sink"));
                assert!(fits(value, values), "{key}={value}");
            }
            for key in CONFLUENT_REQUIRED.iter().chain(&["name", "connector.class", "topics", "tasks.max"]) {
                assert!(config.contains_key(*key), "{key} is missing");
            }
            // A part of an upload has 5 MiB at least; `Record` takes the record's time, which a path by time needs.
            assert!(config["s3.part.size"].parse::<u32>().unwrap() >= 5 << 20);
            assert!(["path.format", "locale", "timezone"].iter().all(|key| config.contains_key(*key)));
        }
    }
}
