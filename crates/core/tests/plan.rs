//! Settings to plan, and connector configurations both ways, with the contract's four tables declared here, so that
//! nothing is linked.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use datapipe_core::catalog::Catalog;
use datapipe_core::connector::{ConfigSecret, JvmFlavour, SinkConfig, SourceConfig, for_jvm};
use datapipe_core::layout::Layout;
use datapipe_core::output::Output;
use datapipe_core::plan::{Plan, Problems};
use datapipe_core::port::connect::ConfigMap;
use datapipe_core::settings::{Role, Settings, SinkFlavour};
use datapipe_core::table::{Compression, Sink, SnapshotMode, Table, TablePipeline, WorkerKind};
use datapipe_core::value::{Modes, TimeMode};
use proptest::prelude::*;
use serde_json::json;

struct Declared(Table);

impl TablePipeline for Declared {
    fn table(&self) -> Table {
        self.0.clone()
    }

    fn sink(&self, convention: Sink) -> Sink {
        if self.0.name == "orders" { convention.with_rows_max(777) } else { convention }
    }
}

fn catalog() -> Catalog {
    let tables = [("users", 8083), ("products", 8084), ("orders", 8085), ("order_items", 8086)];
    let declared = tables.map(|(name, port)| Arc::new(Declared(Table::new(name, port))) as Arc<dyn TablePipeline>);
    Catalog::of(declared).unwrap()
}

fn settings(value: &serde_json::Value) -> Settings {
    let mut all = json!({
        "postgres": { "url": "postgres://cdc@db:5433/shop", "password": "${env:PGPASSWORD}" },
        "kafka": { "bootstrap": "kafka:9092" },
        "s3": { "endpoint": "http://s3:9000", "bucket": "lake" },
    });
    for (key, section) in value.as_object().unwrap() {
        all[key] = section.clone();
    }
    serde_json::from_value(all).unwrap()
}

fn plan(value: &serde_json::Value) -> Result<Plan, Problems> {
    Plan::new(&catalog(), &settings(value))
}

fn refusals(value: &serde_json::Value) -> Vec<String> {
    plan(value).unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn the_whole_plan() {
    insta::assert_json_snapshot!(plan(&json!({})).unwrap());
}

#[test]
fn what_is_planned_is_served_by_the_native_worker_and_printed_alike() {
    for pipeline in plan(&json!({})).unwrap().tables {
        let source = &pipeline.connector(Role::Source).unwrap().config;
        let sink = &pipeline.connector(Role::Sink).unwrap().config;
        assert_eq!(&SourceConfig::from_map(source).unwrap().to_map(), source);
        assert_eq!(&SinkConfig::from_map(sink).unwrap().to_map(), sink);
        assert_eq!(SinkConfig::from_map(sink).unwrap().group(), pipeline.names.sink_group);
        assert_eq!(SourceConfig::from_map(source).unwrap().topic(), pipeline.names.data_topic);
    }
}

#[test]
fn the_table_overrides_the_section_and_its_own_settings_override_it() {
    let planned = plan(&json!({
        "sink": { "rows": 10, "age": "5s" },
        "source": { "snapshot": "no_data" },
        "worker": { "kind": "native" },
        "tables": {
            "users": { "sink": { "rows": 20 }, "source": { "snapshot": "initial" }, "connectors": ["sink"], "port": 9000 },
            "orders": { "worker": { "kind": "hybrid" } },
        },
    }))
    .unwrap();
    let of = |table: &str| planned.tables.iter().find(|pipeline| pipeline.names.table == table).unwrap();
    let sink = |table| SinkConfig::from_map(&of(table).connector(Role::Sink).unwrap().config).unwrap();
    assert_eq!((sink("users").rows_max, sink("orders").rows_max, sink("products").rows_max), (20, 777, 10));
    assert_eq!(sink("users").age_max, Duration::from_secs(5));
    assert_eq!(of("users").connector(Role::Source), None);
    assert_eq!(of("users").port, 9000);
    assert_eq!((of("orders").worker.kind, of("products").worker.kind), (WorkerKind::Hybrid, WorkerKind::Native));
    let source = SourceConfig::from_map(&of("products").connector(Role::Source).unwrap().config).unwrap();
    assert_eq!(source.snapshot, SnapshotMode::NoData);
}

#[test]
fn further_keys_are_part_of_the_plan() {
    let planned = plan(&json!({
        "source": { "config": { "decimal.handling.mode": "precise", "provide.transaction.metadata": "true" } },
        "sink": { "config": { "format.output.fields": "value,offset", "format.output.envelope": "true" } },
        "worker": { "kind": "native" },
        "tables": {
            "users": { "source": { "config": { "decimal.handling.mode": "double" } } },
            "orders": { "sink": { "config": { "format.output.type": "json", "topics": "cdc.all" } } },
            "products": { "worker": { "kind": "kafka-connect" }, "source": { "config": { "snapshot.fetch.size": "100" } } },
        },
    }))
    .unwrap();
    let of = |table: &str, role| {
        let pipeline = planned.tables.iter().find(|pipeline| pipeline.names.table == table).unwrap();
        (pipeline, pipeline.connector(role).unwrap())
    };
    let decimal = |table| of(table, Role::Source).1.config["decimal.handling.mode"].clone();
    assert_eq!((decimal("users"), decimal("orders")), ("double".to_owned(), "precise".to_owned()));
    let (orders, sink) = of("orders", Role::Sink);
    assert!(sink.config["file.name.template"].ends_with(".json.gz"), "names go by the form: {:?}", sink.config);
    let topics: Vec<&str> = orders.topics.iter().map(|topic| topic.name.as_str()).collect();
    assert!(topics.contains(&"cdc.transaction") && topics.contains(&"cdc.all"), "{topics:?}");
    let (products, source) = of("products", Role::Source);
    let flavour = JvmFlavour { exactly_once: true, sink: SinkFlavour::Confluent, replication_factor: 1 };
    assert_eq!(for_jvm(products, source, flavour).unwrap()["snapshot.fetch.size"], "100");
    assert_eq!(source.further().len(), 3, "{:?}", source.further());
    assert_eq!(of("users", Role::Sink).1.further()["format.output.fields"], "value,offset");
}

#[test]
fn further_keys_that_cannot_be_are_told_where_they_stand() {
    insta::assert_snapshot!(
        refusals(&json!({
            "source": { "config": {
                "snapshot.mode": "no_data", "slot.name": "mine", "database.password": "x", "driver.password": "x",
            } },
            "worker": { "kind": "native" },
            "tables": {
                "users": { "source": { "config": { "slot.name": "mine", "table.include.list": "x" } } },
                "orders": { "sink": { "config": { "aws.s3.bucket.name": "x", "tasks.max": "3" } } },
            },
        }))
        .join("\n")
    );
    insta::assert_snapshot!(
        refusals(&json!({
            "source": { "config": { "decimal.handling.mode": "exact", "snapshot.fetch.sise": "1" } },
            "sink": { "config": { "format.output.type": "xml" } },
            "worker": { "kind": "native" },
        }))
        .join("\n")
    );
}

#[test]
fn a_hybrid_needs_a_second_port_and_names_of_its_own() {
    let refused = refusals(&json!({ "worker": { "kind": "hybrid" }, "tables": { "users": { "port": 60_000 } } }));
    assert!(refused.len() == 1 && refused[0].contains("60000 + 10000 is no port"), "{refused:?}");

    let tables = [("users", 8083), ("users_sink", 8084)];
    let declared = tables.map(|(name, port)| Arc::new(Declared(Table::new(name, port))) as Arc<dyn TablePipeline>);
    let catalog = Catalog::of(declared).unwrap();
    let refused = Plan::new(&catalog, &settings(&json!({ "worker": { "kind": "hybrid" } }))).unwrap_err().to_string();
    assert!(refused.contains("connect-configs-users-sink, and so does table users_sink"), "{refused}");
    assert!(Plan::new(&catalog, &settings(&json!({ "worker": { "kind": "native" } }))).is_ok());
}

#[test]
fn a_profile_gives_all_keys_by_reference() {
    let s3 = json!({ "bucket": "lake", "profile": "data-lake" });
    let planned = plan(&json!({ "s3": s3, "worker": { "kind": "native" } })).unwrap();
    let map = &planned.tables[0].connector(Role::Sink).unwrap().config;
    assert_eq!(map["aws.access.key.id"], "${profile:data-lake:aws_access_key_id}");
    assert_eq!(map["aws.secret.access.key"], "${profile:data-lake:aws_secret_access_key}");
    assert_eq!(map["datapipe.s3.session.token"], "${profile:data-lake:aws_session_token}");
    assert_eq!(&SinkConfig::from_map(map).unwrap().to_map(), map);
    assert!(plan(&json!({ "s3": s3, "worker": { "kind": "hybrid" } })).is_ok());
    let refused = refusals(&json!({ "s3": s3, "worker": { "kind": "kafka-connect" } }));
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].starts_with("s3.profile: is read by the native sink only"), "{refused:?}");
}

#[test]
fn temporary_keys_come_with_their_token() {
    let s3 = json!({ "bucket": "lake", "session_token": "${env:AWS_SESSION_TOKEN}" });
    let planned = plan(&json!({ "s3": s3, "worker": { "kind": "native" } })).unwrap();
    let map = &planned.tables[0].connector(Role::Sink).unwrap().config;
    assert_eq!(map["datapipe.s3.session.token"], "${env:AWS_SESSION_TOKEN}");
    assert_eq!(map["aws.access.key.id"], "${env:AWS_ACCESS_KEY_ID}");
    let refused = refusals(&json!({ "s3": s3, "worker": { "kind": "kafka-connect" } }));
    assert!(refused.len() == 1 && refused[0].starts_with("s3.session_token: "), "{refused:?}");
    let clear = with(map.clone(), &[("datapipe.s3.session.token", "hunter2")]);
    assert!(!format!("{:?}", SinkConfig::from_map(&clear).unwrap()).contains("hunter2"));
}

#[test]
fn all_problems_are_reported_at_once() {
    let refused = refusals(&json!({
        "postgres": { "url": "postgres://cdc:hunter2@db/shop" },
        "kafka": { "bootstrap": "kafka", "properties": { "sasl.password": "hunter2", "acks": "1" } },
        "s3": { "bucket": "Lake", "endpoint": "s3:9000" },
        "run": { "listen": "localhost" },
        "tables": { "order-items": {}, "users": { "port": 8084, "sink": { "rows": 0 } } },
    }));
    assert!(refused.iter().all(|text| !text.contains("hunter2")));
    insta::assert_json_snapshot!(refused);
}

#[test]
fn one_wrong_prefix_is_one_problem() {
    assert_eq!(refusals(&json!({ "topic": { "prefix": "a b" } })).len(), 1);
}

#[test]
fn some_tables_only() {
    let planned = plan(&json!({})).unwrap();
    let some = planned.clone().only(&["orders".to_owned()]).unwrap();
    assert_eq!(some.tables.len(), 1);
    let problems = planned.only(&["order".to_owned()]).unwrap_err();
    assert_eq!(problems.to_string(), "--table: no table \"order\" is declared; did you mean \"orders\"?");
}

fn planned_map(role: Role) -> ConfigMap {
    plan(&json!({})).unwrap().tables[3].connector(role).unwrap().config.clone()
}

fn with(mut map: ConfigMap, changes: &[(&str, &str)]) -> ConfigMap {
    for (key, value) in changes {
        map.insert((*key).to_owned(), (*value).to_owned());
    }
    map
}

#[test]
fn keys_that_are_not_served_are_named_with_the_nearest() {
    let source = with(
        planned_map(Role::Source),
        &[
            ("slot.nam", "x"),
            ("column.propagate.source.type", "public.users.email"),
            ("decimal.handling.mode", "precise"),
            ("table.include.list", "public.users,public.orders"),
            ("heartbeat.interval.ms", "99"),
            ("max.queue.size.in.bytes", "1048575"),
            ("transforms", "route"),
            ("lsn.flush.mode", "connector_and_driver"),
        ],
    );
    let sink = with(
        planned_map(Role::Sink),
        &[
            ("aws.s3.bucket", "x"),
            ("topics", "a,b"),
            ("file.name.template", "{{topic}}-{{partition}}"),
            ("format.output.type", "parquet"),
            ("predicates.isTombstone.type", "Other"),
            ("consumer.override.group.id", "mine"),
        ],
    );
    let texts = |problems: Vec<datapipe_core::connector::ConfigProblem>| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let source = texts(SourceConfig::from_map(&source).unwrap_err());
    let sink = texts(SinkConfig::from_map(&sink).unwrap_err());
    let empty = texts(SourceConfig::from_map(&ConfigMap::new()).unwrap_err());
    let empty_sink = texts(SinkConfig::from_map(&ConfigMap::new()).unwrap_err());
    insta::assert_json_snapshot!(
        json!({ "source": source, "sink": sink, "empty source": empty, "empty sink": empty_sink })
    );
}

#[test]
fn keys_that_only_tune_a_jvm_are_listed() {
    let source = with(planned_map(Role::Source), &[("poll.interval.ms", "5"), ("producer.override.linger.ms", "5")]);
    let ignored = SourceConfig::from_map(&source).unwrap().ignored;
    assert!(
        ignored.contains(&"poll.interval.ms".to_owned()) && ignored.contains(&"producer.override.linger.ms".to_owned())
    );
    let sink = SinkConfig::from_map(&planned_map(Role::Sink)).unwrap();
    assert_eq!(sink.ignored, ["consumer.override.max.poll.records"]);
}

#[test]
fn the_reference_configurations_are_served() {
    let text = |pairs: &[(&str, &str)]| with(ConfigMap::new(), pairs);
    let source = text(&[
        ("name", "postgres-cdc-users-connector"),
        ("connector.class", "io.debezium.connector.postgresql.PostgresConnector"),
        ("tasks.max", "1"),
        ("database.hostname", "localhost"),
        ("database.port", "5432"),
        ("database.user", "cdc"),
        ("database.password", "hunter2"),
        ("database.dbname", "shop"),
        ("topic.prefix", "cdc"),
        ("table.include.list", "public.users"),
        ("plugin.name", "pgoutput"),
        ("slot.name", "debezium_slot_users"),
        ("publication.name", "dbz_publication_users"),
        ("publication.autocreate.mode", "disabled"),
        ("snapshot.mode", "initial"),
        ("decimal.handling.mode", "string"),
        ("time.precision.mode", "isostring"),
        ("tombstones.on.delete", "true"),
        ("heartbeat.interval.ms", "10000"),
        ("value.converter.replace.null.with.default", "false"),
        ("extended.headers.enabled", "false"),
    ]);
    let source = SourceConfig::from_map(&source).unwrap();
    assert_eq!(source.dead_letter_topic, None);
    assert!(!source.truncates, "Debezium skips truncates unless told otherwise");
    assert!(matches!(&source.password, Some(ConfigSecret::Plain(_))));
    assert!(!format!("{source:?}").contains("hunter2"));
    let sink = text(&[
        ("name", "s3-sink-users-connector"),
        ("connector.class", "io.aiven.kafka.connect.s3.AivenKafkaConnectS3SinkConnector"),
        ("topics", "cdc.public.users"),
        ("aws.access.key.id", "id"),
        ("aws.secret.access.key", "hunter2"),
        ("aws.s3.bucket.name", "cdc"),
        ("aws.s3.endpoint", "http://localhost:9000"),
        ("aws.s3.region", "us-east-1"),
        (
            "file.name.template",
            "table=users/year={{timestamp:unit=yyyy}}/month={{timestamp:unit=MM}}/day={{timestamp:unit=dd}}/hour={{timestamp:unit=HH}}/{{topic}}-{{partition:padding=true}}-{{start_offset:padding=true}}.jsonl.gz",
        ),
        ("file.name.timestamp.source", "EVENT"),
        ("file.name.timestamp.timezone", "UTC"),
        ("file.compression.type", "gzip"),
        ("format.output.type", "jsonl"),
        ("format.output.fields", "value"),
        ("format.output.envelope", "false"),
        ("file.max.records", "50000"),
        ("transforms", "drop"),
        ("transforms.drop.type", "org.apache.kafka.connect.transforms.Filter"),
        ("transforms.drop.predicate", "tomb"),
        ("predicates", "tomb"),
        ("predicates.tomb.type", "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "connect-dlq-users"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
        ("consumer.override.max.poll.records", "500"),
    ]);
    let sink = SinkConfig::from_map(&sink).unwrap();
    assert_eq!(sink.layout, Layout::contract("users", ".jsonl.gz"));
    assert_eq!(sink.output, Output::lines(Compression::Gzip));
    assert!(!format!("{sink:?}").contains("hunter2"));
}

proptest! {
    #[test]
    fn any_map_is_read_or_refused_with_keys_and_reasons(map in proptest::collection::btree_map("[a-z.]{1,12}", "[ -~]{0,12}", 0..6)) {
        let merged: ConfigMap = planned_map(Role::Source).into_iter().chain(map.clone()).collect();
        match SourceConfig::from_map(&merged) {
            Ok(config) => prop_assert!(map.keys().all(|key| config.ignored.contains(key) || config.to_map().contains_key(key))),
            Err(problems) => prop_assert!(problems.iter().all(|problem| merged.contains_key(&problem.key))),
        }
    }
}

#[test]
fn modes_of_values_are_read_and_written() {
    let planned = plan(&json!({})).unwrap();
    let mut map = planned.tables[0].connector(Role::Source).unwrap().config.clone();
    assert_eq!(SourceConfig::from_map(&map).unwrap().modes, Modes::PLAN);
    for (key, value) in [
        ("decimal.handling.mode", "double"),
        ("time.precision.mode", "nanoseconds"),
        ("interval.handling.mode", "string"),
        ("binary.handling.mode", "hex"),
        ("hstore.handling.mode", "map"),
    ] {
        map.insert(key.to_owned(), value.to_owned());
    }
    let config = SourceConfig::from_map(&map).unwrap();
    assert_eq!(SourceConfig::from_map(&config.to_map()).unwrap(), config);
    assert_eq!(config.modes.time, TimeMode::Nanoseconds);
    for key in map.keys().filter(|key| key.contains(".handling.")) {
        assert_eq!(config.to_map().get(key), map.get(key));
        let other = SourceConfig::from_map(&map.clone().into_iter().filter(|(found, _)| found != key).collect());
        assert_ne!(other.unwrap(), config, "{key} has another default");
    }
}
