//! What was seen once: a pipeline that is well, and everything that can be wrong with it; and the page that shows what is
//! said of each.
#![allow(clippy::unwrap_used, clippy::panic, dead_code, reason = "shared by tests and an example")]

pub(crate) mod deployed;
mod kafka;
mod network;
mod postgres;
mod several;
mod store;
mod worker;

use std::fmt::Write as _;
use std::sync::Arc;

use datapipe_checks::judge::{fold, judge};
use datapipe_checks::{Finding, Outcome, Seen};
use datapipe_core::catalog::Catalog;
use datapipe_core::plan::{PipelinePlan, Plan};
use datapipe_core::settings::Settings;
use datapipe_core::table::{Table, TablePipeline};
use serde_json::{Value, json};

struct Users;

impl TablePipeline for Users {
    fn table(&self) -> Table {
        Table::new("users", 8083)
    }
}

pub(crate) const NOW_MS: i64 = 1_795_395_600_000;

pub(crate) fn plan() -> Plan {
    plan_of("native")
}

pub(crate) fn plan_of(worker: &str) -> Plan {
    let settings: Settings = serde_json::from_value(json!({
        "postgres": { "url": "postgres://cdc@db:5432/shop", "password": "${env:PGPASSWORD}" },
        "kafka": { "bootstrap": "kafka:9092" },
        "s3": { "endpoint": "http://s3:9000", "bucket": "lake" },
        "worker": { "kind": worker },
    }))
    .unwrap();
    Plan::new(&Catalog::of([Arc::new(Users) as Arc<dyn TablePipeline>]).unwrap(), &settings).unwrap()
}

/// What a healthy pipeline shows.
pub(crate) fn healthy(pipeline: &PipelinePlan) -> Value {
    let connector = |role: usize, kind: &str| {
        let planned = &pipeline.connectors[role];
        json!({
            "info": { "name": planned.name, "config": planned.config, "tasks": [], "type": kind },
            "status": {
                "name": planned.name, "type": kind,
                "connector": { "state": "RUNNING", "worker_id": "a:8083" },
                "tasks": [{ "id": 0, "state": "RUNNING", "worker_id": "a:8083" }],
            },
        })
    };
    let topics: Vec<Value> = pipeline
        .topics
        .iter()
        .map(|topic| json!({ "name": topic.name, "partitions": topic.partitions, "configs": topic.config }))
        .collect();
    let (source, sink) = (&pipeline.connectors[0].name, &pipeline.connectors[1].name);
    json!({
        "worker": { "seen": {
            "url": "http://localhost:8083", "version": "4.3.1", "health": "healthy", "health_message": "ready",
            "connectors": { source: connector(0, "source"), sink: connector(1, "sink") },
            "plugins": [
                { "class": "io.debezium.connector.postgresql.PostgresConnector", "type": "source", "version": "3.7.0.Final" },
                { "class": "io.aiven.kafka.connect.s3.AivenKafkaConnectS3SinkConnector", "type": "sink", "version": "0.1.0" },
            ],
            "metrics": { "resident_bytes": 41_943_040, "failed_runs": 0, "owner": true },
        } },
        "postgres": { "seen": {
            "version": 150_018, "system_id": "7391", "timeline": 1, "wal_bytes_per_s": 1_048_576,
            "wal_level": "logical", "slots": [8, 4], "senders": [8, 4], "slot_wal_mib": 8192, "replication": true,
            "slot": {
                "active_pid": 7, "plugin": "pgoutput", "database": "shop", "own_database": "shop", "wal_status": "reserved",
                "safe_bytes": 8_000_000_000_i64, "retained_bytes": 5000, "confirmed": 1000, "failover": null,
                "invalidated": null,
            },
            "publication": { "tables": ["public.users"], "left_out": [] },
            "relation": {
                "kind": "r", "persistence": "p", "identity": "d", "has_key": true, "toastable": ["name"], "readable": true,
            },
            "orphans": [], "left_publications": [],
        } },
        "kafka": { "seen": {
            "bootstrap": "kafka:9092", "topics": topics, "dead_letters": 0, "stored": 1000,
            "lag": { "offsets": 12, "records": true, "lost": 0, "committed": true, "oldest_ms": NOW_MS - 2000 },
            "stored_of": {
                "system_id": "7391", "database": "shop", "slot": pipeline.names.slot,
                "publication": pipeline.names.publication, "timeline": 1,
            },
            "group": { "state": "Stable", "protocol": "consumer", "members": ["datapipe at 10.0.0.7"] },
            "hidden": [], "last_letter": null,
        } },
        "store": { "seen": {
            "newest": "table=users/a.jsonl.gz", "newest_ms": NOW_MS - 3000, "clock_ms": NOW_MS - 1000,
            "recent": [{ "bytes": 2_000_000, "records": 50_000, "from_ms": NOW_MS - 9000, "to_ms": NOW_MS - 3000 }],
        } },
        "edges": { "seen": { "inside": true, "edges": [
            { "to": "postgres", "host": "db", "port": 5432, "way": "open" },
            { "to": "kafka", "host": "kafka", "port": 9092, "way": "open" },
            { "to": "kafka", "host": "kafka-1.brokers", "port": 9092, "way": "open" },
            { "to": "s3", "host": "s3", "port": 9000, "way": "open" },
        ] } },
        "rest": null,
    })
}

pub(crate) fn judged(pipeline: &PipelinePlan, seen: &Value) -> Vec<Finding> {
    let seen: Seen = serde_json::from_value(seen.clone()).unwrap();
    fold(judge(pipeline, &seen, NOW_MS))
}

pub(crate) type Change = (String, Value);
pub(crate) type Case = (&'static str, Vec<Change>);

/// What of the healthy pipeline is replaced, and by what.
fn change(path: impl Into<String>, value: Value) -> Change {
    (path.into(), value)
}

fn one(name: &'static str, path: impl Into<String>, value: Value) -> Case {
    (name, vec![change(path, value)])
}

fn state(connector: &str, path: &str) -> String {
    format!("/worker/seen/connectors/{connector}/status/{path}")
}

fn failed_task() -> Value {
    json!([{ "id": 0, "state": "FAILED", "worker_id": "a", "trace": "slot is gone\n\tat x" }])
}

/// Every pipeline that is hurt.
pub(crate) fn cases(source: &str, sink: &str) -> Vec<Case> {
    let all = [
        worker::cases(source, sink),
        postgres::cases(),
        kafka::cases(),
        store::cases(),
        network::cases(),
        several::cases(source),
    ];
    all.concat()
}

/// A healthy pipeline with these replaced.
fn healthy_but(pipeline: &PipelinePlan, changes: Vec<Change>) -> Value {
    let mut seen = healthy(pipeline);
    for (path, value) in changes {
        let (parent, key) = path.rsplit_once('/').unwrap();
        let parent = seen.pointer_mut(parent).unwrap_or_else(|| panic!("{path}"));
        match parent {
            Value::Array(all) => all[key.parse::<usize>().unwrap()] = value,
            _ => parent[key] = value,
        }
    }
    seen
}

/// What is found where the healthy pipeline is hurt.
pub(crate) fn hurt(pipeline: &PipelinePlan, changes: Vec<Change>) -> Vec<Finding> {
    judged(pipeline, &healthy_but(pipeline, changes))
}

/// Every fault with what is said of it.
pub(crate) fn page() -> String {
    let plan = plan();
    let pipeline = &plan.tables[0];
    let (source, sink) = (&pipeline.connectors[0].name, &pipeline.connectors[1].name);
    let mut text = String::from(
        "# Faults, and what is said of them\n\nWhat `datapipe-verify` says of a table `users` with a native worker, one fault \
         at a time. What follows from another finding stands below it, with `>`. This page is made from the tests: \
         `cargo run -p datapipe-checks --example pages -- docs/checks`.\n\n",
    );
    text += HEAD;
    for (name, changes) in cases(source, sink) {
        lines(name, hurt(pipeline, changes), &mut text);
    }
    text += "\n## On a cluster\n\nWith `--pods` and `--deployed`. Each of these is made for real on Kubernetes by \
             `tests/e2e/tests/deployment/roots`, or `room.rs` beside it, and must be named so. Of those above it \
             makes, too: a source that is paused, configurations, a publication and a topic that are changed, a slot that is \
             dropped, and servers that are away: PostgreSQL scaled to 0, Kafka and S3 hung.\n\n";
    text += HEAD;
    for (name, changes, seen) in deployed::cases() {
        lines(name, deployed::hurt_deployed(pipeline, changes, seen), &mut text);
    }
    text
}

const HEAD: &str = "| fault | code | what it says | next step |\n|---|---|---|---|\n";

/// A fault's lines.
fn lines(name: &str, findings: Vec<Finding>, text: &mut String) {
    let cell = |text: &str| text.replace('|', "\\|");
    let mut name = Some(name);
    for finding in findings {
        if finding.outcome < Outcome::Warning {
            continue;
        }
        let Finding { code, outcome, seen, next, caused_by, .. } = finding;
        let (outcome, next) = (outcome.word(), next.unwrap_or_default());
        let (mark, next) = if caused_by.is_empty() { ("", next) } else { ("> ", String::new()) };
        let _ = writeln!(
            text,
            "| {} | {mark}[{code}]({code}.md) | {outcome}: {} | {} |",
            name.take().unwrap_or_default(),
            cell(&seen),
            if next.is_empty() { String::new() } else { format!("`{}`", cell(&next)) }
        );
    }
    assert!(name.is_none(), "nothing is said of it: {name:?}");
}
