//! The whole tree: each file a snapshot, the contract's names, the same bytes each time.
#![allow(clippy::unwrap_used, clippy::panic)]

mod declared;

use std::fmt::Write as _;
use std::path::Path;

use datapipe_core::connector::{SinkConfig, SourceConfig};
use datapipe_core::plan::Plan;
use datapipe_core::port::connect::ConfigMap;
use datapipe_core::settings::Settings;
use datapipe_k8s::{RenderOptions, Tree, render};
use proptest::prelude::*;
use serde_json::{Value, json};

use declared::{catalog, rendered, settings};

fn snapshots(name: &str, tree: &Tree) {
    for (path, file) in tree.files() {
        let mode = if file.executable { "executable\n" } else { "" };
        insta::assert_snapshot!(format!("{name}-{}", path.replace('/', "_")), format!("{mode}{}", file.text));
    }
}

#[test]
fn each_file_of_the_defaults() {
    let tree = rendered(&json!({})).unwrap();
    let paths: Vec<&str> = tree.files().map(|(path, _)| path).collect();
    assert_eq!(
        paths,
        [
            "03-network-policies-multi-instance.yaml",
            "MULTI-INSTANCE-ARCHITECTURE.md",
            "connectors/order-items-debezium-connector.json",
            "connectors/order-items-s3-sink-connector.json",
            "connectors/orders-debezium-connector.json",
            "connectors/orders-s3-sink-connector.json",
            "connectors/products-debezium-connector.json",
            "connectors/products-s3-sink-connector.json",
            "connectors/users-debezium-connector.json",
            "connectors/users-s3-sink-connector.json",
            "deploy-multi-instance.sh",
            "kafka-connect-order-items-deployment.yaml",
            "kafka-connect-orders-deployment.yaml",
            "kafka-connect-products-deployment.yaml",
            "kafka-connect-users-deployment.yaml",
            "kind-config-multi-instance.yaml",
            "task4-postgresql-statefulset.yaml",
            "verify-multi-instance.sh",
        ]
    );
    snapshots("default", &tree);
}

/// What differs from the defaults: other kinds, trial servers, plugins, Confluent's sink.
#[test]
fn each_file_of_a_mixed_trial() {
    let tree = rendered(&json!({
        "kafka": {}, "s3": {},
        "tables": {
            "users": { "worker": { "kind": "hybrid" } },
            "orders": { "worker": { "kind": "native" } },
            "order_items": { "connectors": ["source"] },
        },
        "deploy": {
            "with": ["kafka", "s3"], "s3_sink": "confluent", "class_archive": "/opt/kafka/connect.jsa",
            "plugins": [{ "name": "s3-sink", "url": "https://plugins.example.org/s3.tar.gz", "sha256": "ab".repeat(32) }],
            "postgres": { "sample_tables": true, "storage_class": "fast" },
        },
    }))
    .unwrap();
    assert!(tree.get("connectors/order-items-s3-sink-connector.json").is_none());
    assert!(tree.get("trial-kafka.yaml").is_some() && tree.get("trial-s3.yaml").is_some());
    snapshots("mixed", &tree);
}

#[test]
fn as_json_the_objects_are_the_same() {
    let value = json!({});
    let (settings, yaml) = (settings(&value), rendered(&value).unwrap());
    let mut options = RenderOptions::new(&settings.deploy).unwrap();
    options.format = datapipe_k8s::ManifestFormat::Json;
    let json = render(&Plan::new(&catalog(), &settings).unwrap(), &options).unwrap();
    let list: Value = serde_json::from_str(&json.get("kafka-connect-users-deployment.json").unwrap().text).unwrap();
    let text = &yaml.get("kafka-connect-users-deployment.yaml").unwrap().text;
    let documents: Vec<Value> = text.split("\n---\n").map(|one| serde_yaml_ng::from_str(one).unwrap()).collect();
    assert_eq!(list["items"], Value::Array(documents));
}

fn objects(tree: &Tree) -> Vec<Value> {
    let manifests = tree.files().filter(|(path, _)| {
        Path::new(path).extension().is_some_and(|ending| ending == "yaml") && !path.starts_with("kind-")
    });
    manifests
        .flat_map(|(_, file)| file.text.split("\n---\n").map(|one| serde_yaml_ng::from_str(one).unwrap()))
        .collect()
}

/// What the API server asks of a pod in a namespace of Pod Security `restricted`, and what the contract asks.
#[test]
fn pods_are_restricted_and_workers_within_their_limits() {
    for kind in ["kafka-connect", "hybrid", "native"] {
        let settings =
            json!({ "worker": { "kind": kind }, "kafka": {}, "s3": {}, "deploy": { "with": ["kafka", "s3"] } });
        for object in objects(&rendered(&settings).unwrap()) {
            let pod = &object["spec"]["template"]["spec"];
            if pod.is_null() {
                continue;
            }
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
            let all = |key: &str| pod[key].as_array().cloned().unwrap_or_default();
            let mut memory = 0;
            for container in all("containers").iter().chain(&all("initContainers")) {
                let security = &container["securityContext"];
                assert_eq!(security["allowPrivilegeEscalation"], false);
                assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
                assert_eq!(security["readOnlyRootFilesystem"], true);
            }
            for container in all("containers") {
                let limit = container["resources"]["limits"]["memory"].as_str().unwrap();
                memory += limit.strip_suffix("Mi").unwrap().parse::<u32>().unwrap();
                let volumes: Vec<Value> = all("volumes").iter().map(|volume| volume["name"].clone()).collect();
                for mount in container["volumeMounts"].as_array().unwrap() {
                    let claimed = mount["name"] == "data" && object["kind"] == "StatefulSet";
                    assert!(claimed || volumes.contains(&mount["name"]), "{mount} has no volume");
                }
            }
            if object["metadata"]["labels"]["component"] == "worker" {
                assert_eq!(memory, 250, "{kind}");
            }
        }
    }
}

/// The settings in a pod make the same plan as here, whatever was set by section, table or declaration.
#[test]
fn a_native_pod_plans_what_was_planned_here() {
    let value = json!({
        "worker": { "kind": "native" }, "topic": { "prefix": "shop.cdc", "partitions": 3, "retention": "2d" },
        "source": { "heartbeat": "3s", "tombstones": false }, "sink": { "age": "7s" },
        "kafka": { "bootstrap": "a:1,b:2", "properties": { "security.protocol": "sasl_plaintext",
                   "sasl.mechanism": "PLAIN", "sasl.username": "me", "sasl.password": "${dir:/run/kafka:password}" } },
        "tables": { "orders": { "sink": { "compression": "zstd", "rows": 9 }, "source": { "snapshot": "no_data" } },
                    "users": { "connectors": ["sink"], "worker": { "kind": "hybrid", "memory": "300MiB" } } },
        "run": { "hosts": ["cdc.example.org"], "config_providers": { "dir": { "allowed_paths": ["/run/more"] } } },
    });
    let tree = rendered(&value).unwrap();
    let mut here = Plan::new(&catalog(), &settings(&value)).unwrap();
    here.run.listen = "0.0.0.0".parse().unwrap();
    here.run.data_dir = "/var/lib/datapipe".into();
    for pipeline in &here.tables {
        let path = format!("{}-deployment.yaml", pipeline.names.worker);
        let text = &tree.get(&path).unwrap().text;
        let config: Value = serde_yaml_ng::from_str(text.split("\n---\n").next().unwrap()).unwrap();
        let file = config["data"]["datapipe.toml"].as_str().unwrap();
        let read: Settings = toml::from_str(file).unwrap();
        let there = Plan::new(&catalog(), &read).unwrap();
        let same = there.tables.iter().find(|one| one.names == pipeline.names).unwrap();
        assert_eq!(same, pipeline, "{file}");
        assert_eq!((&there.kafka, &there.s3, &there.run), (&here.kafka, &here.s3, &here.run));
        assert_eq!(there.postgres, here.postgres);
    }
}

/// A table may be moved between the kinds: a native worker reads what a JVM worker is given.
#[test]
fn a_native_worker_takes_the_files_of_a_jvm_worker() {
    let tree = rendered(&json!({})).unwrap();
    let config = |path: &str| {
        let file: Value = serde_json::from_str(&tree.get(path).unwrap().text).unwrap();
        serde_json::from_value::<ConfigMap>(file["config"].clone()).unwrap()
    };
    SourceConfig::from_map(&config("connectors/users-debezium-connector.json")).unwrap();
    SinkConfig::from_map(&config("connectors/users-s3-sink-connector.json")).unwrap();
}

#[test]
fn without_sound_restarts_nothing_claims_exactly_once() {
    let tree = rendered(&json!({ "deploy": { "debezium": "3.6.3.Final" } })).unwrap();
    let all: String = tree.files().fold(String::new(), |mut all, (_, file)| {
        let _ = writeln!(all, "{}", file.text);
        all
    });
    assert!(!all.contains("exactly.once.support") && !all.contains("exactly.once.source.support=enabled"));
    assert!(all.contains("exactly.once.source.support=disabled"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_same_settings_give_the_same_bytes(
        kinds in proptest::collection::vec(prop_oneof![Just("kafka-connect"), Just("hybrid"), Just("native")], 4),
        trial: bool, samples: bool, confluent: bool, memory in 250_u32..600,
    ) {
        let mut value = json!({
            "deploy": { "s3_sink": if confluent { "confluent" } else { "aiven" }, "postgres": { "sample_tables": samples } },
            "worker": { "memory": format!("{memory}MiB") },
        });
        for (table, kind) in ["users", "products", "orders", "order_items"].into_iter().zip(kinds) {
            value["tables"][table]["worker"]["kind"] = json!(kind);
        }
        if trial {
            value["kafka"] = json!({});
            value["s3"] = json!({});
            value["deploy"]["with"] = json!(["s3", "kafka"]);
        }
        let tree = rendered(&value).unwrap();
        prop_assert_eq!(&tree, &rendered(&value).unwrap());
        for (path, file) in tree.files() {
            prop_assert!(file.text.ends_with('\n') && !file.text.contains('\r'), "{}", path);
        }
    }
}
