//! Whatever a person sends as a connector's configuration or offset is read or refused, and what is read stays the
//! same when it is written and read again.
#![allow(clippy::unwrap_used)]

use datapipe_core::connector::keys::{POSTGRES_SOURCE, S3_SINK};
use datapipe_core::connector::{Plugin, SinkConfig, SourceConfig, masked, sink_offset, source_offset_problem};
use datapipe_core::envelope::Nulls;
use datapipe_core::port::connect::{ConfigMap, JsonMap};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

fn map(keys: &[(&str, &str)]) -> ConfigMap {
    keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn source() -> ConfigMap {
    map(&[
        ("name", "postgres-cdc-users-connector"),
        ("connector.class", POSTGRES_SOURCE.class),
        ("database.hostname", "localhost"),
        ("database.dbname", "shop"),
        ("database.user", "cdc"),
        ("database.password", "${env:PGPASSWORD}"),
        ("topic.prefix", "cdc"),
        ("table.include.list", "public.users"),
        ("slot.name", "debezium_slot_users"),
        ("publication.name", "dbz_publication_users"),
        ("publication.autocreate.mode", "disabled"),
        ("plugin.name", "pgoutput"),
        ("extended.headers.enabled", "false"),
        ("value.converter.replace.null.with.default", "false"),
        ("transforms", "route"),
        ("transforms.route.type", "org.apache.kafka.connect.transforms.RegexRouter"),
        ("transforms.route.regex", "(.*)"),
        ("transforms.route.replacement", "$1"),
    ])
}

fn with(mut base: ConfigMap, keys: &[(&str, &str)]) -> ConfigMap {
    base.extend(map(keys));
    base
}

fn sink() -> ConfigMap {
    map(&[
        ("name", "s3-sink-users-connector"),
        ("connector.class", S3_SINK.class),
        ("topics", "cdc.public.users"),
        ("aws.access.key.id", "id"),
        ("aws.secret.access.key", "${env:SECRET}"),
        ("aws.s3.bucket.name", "cdc"),
        ("aws.s3.region", "us-east-1"),
        ("file.name.timestamp.source", "EVENT"),
        ("format.output.type", "jsonl"),
        ("transforms", "drop"),
        ("transforms.drop.type", "org.apache.kafka.connect.transforms.Filter"),
        ("transforms.drop.predicate", "tomb"),
        ("predicates", "tomb"),
        ("predicates.tomb.type", "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"),
    ])
}

/// Texts that are near to what some key takes, and any others.
fn value() -> impl Strategy<Value = String> {
    let near = select(vec![
        "",
        "0",
        "-1",
        "1",
        "99999999999999999999",
        "true",
        "none",
        "public.users",
        "a.b.c",
        "a,b,,c",
        "(",
        "(.*)",
        "$9",
        "${env:X}",
        "${",
        "{{topic}}",
        "{{",
        "{{timestamp:unit=yyyy}}",
        "{{start_offset:padding=true}}",
        "gzip",
        "jsonl",
        "when_needed",
        "t,u",
        "precise",
        "\u{0}",
        "ü\u{202e}",
    ]);
    prop_oneof![near.prop_map(str::to_owned), ".{0,20}", "[{}$:.,*()a-z0-9]{0,12}"]
}

/// A key that the connector has, one of a transformation, or any.
fn key(plugin: &'static Plugin, sound: ConfigMap) -> impl Strategy<Value = String> {
    let names: Vec<_> = plugin.groups.iter().flat_map(|group| group.keys).map(|key| key.name.to_owned()).collect();
    prop_oneof![
        select(names),
        select(sound.into_keys().collect::<Vec<_>>()),
        "(transforms|predicates)[.a-z]{0,20}",
        ".{0,12}"
    ]
}

/// A sound configuration with a few keys set or taken away.
fn altered(plugin: &'static Plugin, sound: fn() -> ConfigMap) -> impl Strategy<Value = ConfigMap> {
    vec((key(plugin, sound()), proptest::option::of(value())), 0..4).prop_map(move |edits| {
        let mut map = sound();
        for (key, value) in edits {
            match value {
                Some(value) => map.insert(key, value),
                None => map.remove(&key),
            };
        }
        map
    })
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        "-?[0-9]{1,22}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| vec(inner, 0..3).prop_map(Value::from))
}

fn object(fields: &'static [&'static str]) -> impl Strategy<Value = JsonMap> {
    vec((prop_oneof![select(fields).prop_map(str::to_owned), ".{0,6}"], any_json()), 0..4)
        .prop_map(|pairs| pairs.into_iter().collect())
}

#[test]
fn the_sound_configurations_are_read() {
    SourceConfig::from_map(&source()).unwrap();
    SinkConfig::from_map(&sink()).unwrap();
}

proptest! {
    #[test]
    fn configurations_of_sources(map in altered(&POSTGRES_SOURCE, source)) {
        let _ = masked(&map);
        if let Ok(config) = SourceConfig::from_map(&map) {
            let again = SourceConfig::from_map(&config.to_map()).unwrap();
            prop_assert_eq!(again.to_map(), config.to_map());
        }
    }

    #[test]
    fn configurations_of_sinks(map in altered(&S3_SINK, sink)) {
        let _ = masked(&map);
        if let Ok(config) = SinkConfig::from_map(&map) {
            let again = SinkConfig::from_map(&config.to_map()).unwrap();
            prop_assert_eq!(again.to_map(), config.to_map());
        }
    }

    #[test]
    fn offsets_of_sources(
        offset in object(&["lsn", "lsn_proc", "txId", "snapshot", "datapipe", "transaction_id", "incremental_snapshot_x"]),
        other in object(&["server"]),
    ) {
        let partition = json!({ "server": "cdc" }).as_object().unwrap().clone();
        let problem = source_offset_problem("cdc", &partition, Some(&offset));
        prop_assert!(problem.is_some() || offset["lsn"].as_i64().is_some_and(|lsn| lsn >= 0), "{:?}", offset);
        let refused = source_offset_problem("cdc", &other, None).is_some();
        prop_assert_eq!(refused, other != partition);
    }

    #[test]
    fn offsets_of_sinks(
        mut partition in object(&["kafka_topic", "kafka_partition"]),
        offset in proptest::option::of(object(&["kafka_offset"])),
        number in proptest::option::of(any::<Index>()),
    ) {
        if let Some(number) = number {
            partition.insert("kafka_topic".to_owned(), json!("cdc.public.users"));
            partition.insert("kafka_partition".to_owned(), json!(number.index(5)));
        }
        if let Ok(read) = sink_offset("cdc.public.users", 4, &partition, offset.as_ref()) {
            prop_assert!((0..4).contains(&read.partition));
            prop_assert!(read.offset.is_none_or(|offset| offset >= 0));
        }
    }
}

#[test]
fn schemas_and_nulls_are_read_and_written() {
    let keys = [
        ("key.converter.schemas.enable", "true"),
        ("value.converter.schemas.enable", "true"),
        ("key.converter.replace.null.with.default", "false"),
        ("value.converter.replace.null.with.default", "true"),
        ("provide.transaction.metadata", "true"),
        ("column.mask.with.5.chars", "public.users.email"),
    ];
    let map = with(source(), &keys);
    let config = SourceConfig::from_map(&map).unwrap();
    assert!(config.key_schemas && config.schemas);
    let written = config.to_map();
    assert!(keys.iter().all(|(key, value)| written[*key] == *value), "{written:?}");
    assert_eq!(config.nulls, Nulls { default_in_keys: false, default_in_values: true });
    // Comments would stand in schemas: without these they make no difference.
    let comments = ("include.schema.comments", "true");
    assert!(SourceConfig::from_map(&with(map, &[comments])).is_err());
    assert!(SourceConfig::from_map(&with(source(), &[comments])).is_ok());
    let others = SourceConfig::from_map(&source()).unwrap();
    assert_eq!(others.nulls, Nulls { default_in_keys: true, default_in_values: false });
}

#[test]
fn keys_that_nobody_knows_are_passed_over_where_that_is_asked_for() {
    let unknown = [("vendor.audit", "on"), ("x", "1")];
    let refused = SourceConfig::from_map(&with(source(), &unknown)).unwrap_err();
    assert_eq!(refused.len(), 2, "{refused:?}");
    let lenient = ("datapipe.unknown.keys", "ignore");
    for (planned, read) in [
        (source(), (|map| SourceConfig::from_map(map).map(|config| config.unknown)) as fn(&ConfigMap) -> _),
        (sink(), |map| SinkConfig::from_map(map).map(|config| config.unknown)),
    ] {
        let map = with(with(planned, &unknown), &[lenient]);
        assert_eq!(read(&map).unwrap(), ["vendor.audit", "x"]);
    }
    // What would change the records, or was meant to, is refused all the same.
    let known = [
        ("snapshot.select.statement.overrides", "public.users"),
        ("column.mask.wiht.5.chars", "public.users.email"),
        ("datapipe.unknown", "1"),
        ("value.converter.decimal.format", "NUMERIC"),
        ("internal.something", "true"),
        ("transforms.x.type", "y"),
        ("decimal.handling.mod", "string"),
    ];
    let map = with(with(source(), &known), &[lenient]);
    let refused = SourceConfig::from_map(&map).unwrap_err();
    assert_eq!(refused.len(), known.len() - 1, "a transform that is not in `transforms` is none: {refused:?}");
    assert!(SourceConfig::from_map(&with(source(), &[("datapipe.unknown.keys", "warn")])).is_err());
}
