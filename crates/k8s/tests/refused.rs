//! What cannot work is refused, with the reason and the remedy; all of it in one file that a reviewer reads.
#![allow(clippy::unwrap_used, clippy::panic)]

mod declared;

use std::fmt::Write as _;

use serde_json::{Value, json};

use declared::{rendered, told};

fn cases() -> Vec<(&'static str, Value)> {
    vec![
        ("one MiB", json!({ "worker": { "memory": "16MiB" } })),
        ("no room for the sink", json!({ "tables": { "users": { "worker": { "memory": "200MiB" } } } })),
        (
            "no room for two containers",
            json!({ "tables": { "users": { "worker": { "kind": "hybrid", "memory": "240MiB" } } } }),
        ),
        ("a queue above the heap", json!({ "tables": { "users": { "source": { "queue_bytes": "64MiB" } } } })),
        (
            "parts of many partitions above the heap",
            json!({ "tables": { "users": { "topic": { "partitions": 12 } } } }),
        ),
        (
            "a native queue above the memory",
            json!({ "tables": { "users": { "worker": { "kind": "native" }, "source": { "queue_bytes": "1GiB" } } } }),
        ),
        ("fewer slots than tables", json!({ "deploy": { "postgres": { "slots": 3 } } })),
        ("a volume smaller than the log", json!({ "deploy": { "postgres": { "volume": "5GiB" } } })),
        ("two ports with one NodePort", json!({ "tables": { "users": { "port": 10852 } } })),
        ("a database on loopback", json!({ "postgres": { "url": "postgres://cdc@localhost:5432/shop" } })),
        ("a broker on loopback", json!({ "kafka": { "bootstrap": "[::1]:9092" } })),
        ("a store on loopback", json!({ "s3": { "bucket": "lake", "endpoint": "http://127.0.0.1:9000" } })),
        ("the trial's broker beside one's own", json!({ "deploy": { "with": ["kafka"] } })),
        ("the trial's broker without it", json!({ "kafka": { "bootstrap": "kafka:9092" } })),
        (
            "the trial's store beside one's own",
            json!({ "s3": { "bucket": "lake", "endpoint": "https://s3.example.org" }, "deploy": { "with": ["s3"] } }),
        ),
        ("the trial's store without it", json!({ "s3": { "bucket": "lake", "endpoint": "http://s3:9000" } })),
        (
            "three replicas on one broker",
            json!({ "kafka": { "replication_factor": 3 }, "deploy": { "with": ["kafka"] } }),
        ),
        (
            "the superuser as role",
            json!({ "postgres": { "host": "postgresql", "user": "postgres", "database": "shop" } }),
        ),
        (
            "another port of the own server",
            json!({ "postgres": { "host": "postgresql", "user": "cdc", "database": "shop", "port": 5433 } }),
        ),
        (
            "a profile of this machine",
            json!({ "worker": { "kind": "native" }, "s3": { "bucket": "lake", "profile": "me" } }),
        ),
        (
            "two secrets of one name",
            json!({ "s3": { "bucket": "lake", "access_key_id": "${dir:/a:key}", "secret_access_key": "${dir:/b:key}" } }),
        ),
        (
            "a hybrid's JVM elsewhere",
            json!({ "tables": { "users": { "worker": { "kind": "hybrid", "jvm_url": "http://connect.example.org:8083" } } } }),
        ),
        (
            "Confluent's sink with Zstandard",
            json!({ "sink": { "compression": "zstd" }, "deploy": { "s3_sink": "confluent" } }),
        ),
        ("exactly once with an old Debezium", json!({ "deploy": { "debezium": "3.6.3.Final", "exactly_once": true } })),
        ("an image without version", json!({ "deploy": { "connect_image": "connect" } })),
        (
            "a client property that a JVM has not",
            json!({ "kafka": { "bootstrap": "k:1", "properties": { "socket.keepalive.enable": "true" } } }),
        ),
    ]
}

#[test]
fn every_refusal_in_words() {
    let mut all = String::new();
    for (name, value) in cases() {
        writeln!(all, "## {name}\n{}\n", told(&value)).unwrap();
    }
    insta::assert_snapshot!(all);
}

#[test]
fn several_at_once() {
    let value = json!({
        "deploy": { "postgres": { "slots": 3, "volume": "5GiB" } },
        "tables": { "users": { "worker": { "memory": "100MiB" } }, "orders": { "source": { "queue_bytes": "64MiB" } } },
    });
    assert_eq!(told(&value).lines().count(), 4);
}

/// The bounds themselves are allowed.
#[test]
fn at_the_edge_it_works() {
    for value in [
        json!({ "deploy": { "postgres": { "slots": 4 } } }),
        json!({ "deploy": { "postgres": { "slots": 3 } }, "postgres": { "url": "postgres://cdc@db.example.org/shop" } }),
        json!({ "deploy": { "postgres": { "volume": "10GiB" } } }),
        json!({ "topic": { "partitions": 2 } }),
        json!({ "tables": { "users": { "connectors": ["source"], "worker": { "memory": "196MiB" } } } }),
        json!({ "tables": { "users": { "worker": { "memory": "300MiB" }, "source": { "queue_bytes": "64MiB" } } } }),
    ] {
        rendered(&value).unwrap();
    }
}
