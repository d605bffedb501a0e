//! Judging what was seen once: a pipeline that is well, and everything that can be wrong with it, in one file that a
//! reviewer reads.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::sync::Arc;

use datapipe_checks::judge::judge;
use datapipe_checks::{CHECKS, Category, Finding, Looked, Outcome, Seen, worst};
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

const NOW_MS: i64 = 1_795_395_600_000;

fn plan() -> Plan {
    let settings: Settings = serde_json::from_value(json!({
        "postgres": { "url": "postgres://cdc@db:5432/shop", "password": "${env:PGPASSWORD}" },
        "kafka": { "bootstrap": "kafka:9092" },
        "s3": { "endpoint": "http://s3:9000", "bucket": "lake" },
        "worker": { "kind": "native" },
    }))
    .unwrap();
    Plan::new(&Catalog::of([Arc::new(Users) as Arc<dyn TablePipeline>]).unwrap(), &settings).unwrap()
}

/// What a healthy pipeline shows.
fn healthy(pipeline: &PipelinePlan) -> Value {
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
        } },
        "postgres": { "seen": {
            "wal_level": "logical", "slots": [8, 4], "senders": [8, 4], "slot_wal_mib": 8192, "replication": true,
            "slot": {
                "active_pid": 7, "plugin": "pgoutput", "database": "shop", "own_database": "shop", "wal_status": "reserved",
                "safe_bytes": 8_000_000_000_i64, "retained_bytes": 5000, "confirmed": 1000,
            },
            "publication": { "tables": ["public.users"], "left_out": [] },
            "relation": {
                "kind": "r", "persistence": "p", "identity": "d", "has_key": true, "toastable": ["name"], "readable": true,
            },
            "orphans": [],
        } },
        "kafka": { "seen": {
            "topics": topics, "lag": { "offsets": 12, "records": true, "lost": 0, "committed": true }, "dead_letters": 0, "stored": 1000,
        } },
        "store": { "seen": { "newest": "table=users/a.jsonl.gz", "newest_ms": NOW_MS - 3000 } },
    })
}

fn judged(pipeline: &PipelinePlan, seen: &Value) -> Vec<Finding> {
    let seen: Seen = serde_json::from_value(seen.clone()).unwrap();
    judge(pipeline, &seen, NOW_MS)
}

#[test]
fn a_healthy_pipeline_passes_every_check() {
    let plan = plan();
    let findings = judged(&plan.tables[0], &healthy(&plan.tables[0]));
    let codes: Vec<&str> = findings.iter().map(|finding| finding.code.as_str()).collect();
    let all = CHECKS.iter().filter(|check| check.category != Category::Data).map(|check| check.code);
    assert_eq!(codes, all.collect::<Vec<_>>(), "every check, each once, in order");
    assert_eq!(worst(&findings), Outcome::Ok, "{findings:#?}");
}

type Case = (&'static str, Vec<(String, Value)>);

/// A pipeline that is hurt: what of the healthy one is replaced.
fn cases(source: &str, sink: &str) -> Vec<Case> {
    let state = |connector: &str, path: &str| format!("/worker/seen/connectors/{connector}/status/{path}");
    let failed_task = json!([{ "id": 0, "state": "FAILED", "worker_id": "a", "trace": "slot is gone\n\tat x" }]);
    vec![
        ("the worker is away", vec![("/worker".into(), json!({ "silent": "connection refused" }))]),
        (
            "the worker is not well",
            vec![
                ("/worker/seen/health".into(), json!("unhealthy")),
                ("/worker/seen/health_message".into(), json!("no broker answers")),
            ],
        ),
        ("no connectors", vec![("/worker/seen/connectors".into(), json!({}))]),
        ("a task failed", vec![(state(source, "tasks"), failed_task)]),
        ("no tasks", vec![(state(sink, "tasks"), json!([]))]),
        ("a connector is unassigned", vec![(state(sink, "connector/state"), json!("UNASSIGNED"))]),
        (
            "the source is paused",
            vec![
                (state(source, "connector/state"), json!("PAUSED")),
                ("/postgres/seen/slot/active_pid".into(), Value::Null),
            ],
        ),
        (
            "somebody changed a configuration",
            vec![(format!("/worker/seen/connectors/{sink}/info/config/file.max.records"), json!("7"))],
        ),
        ("PostgreSQL is away", vec![("/postgres".into(), json!({ "silent": "no answer within 10 s" }))]),
        ("no logical log", vec![("/postgres/seen/wal_level".into(), json!("replica"))]),
        ("no slot", vec![("/postgres/seen/slot".into(), Value::Null)]),
        ("a slot of another plugin", vec![("/postgres/seen/slot/plugin".into(), json!("wal2json"))]),
        ("nobody holds the slot", vec![("/postgres/seen/slot/active_pid".into(), Value::Null)]),
        ("a lost slot", vec![("/postgres/seen/slot/wal_status".into(), json!("lost"))]),
        (
            "a slot near its end",
            vec![
                ("/postgres/seen/slot/retained_bytes".into(), json!(7_000_000_000_u64)),
                ("/postgres/seen/slot/safe_bytes".into(), json!(1_000_000_000)),
            ],
        ),
        (
            "much log without a bound",
            vec![
                ("/postgres/seen/slot/retained_bytes".into(), json!(7_000_000_000_u64)),
                ("/postgres/seen/slot/safe_bytes".into(), Value::Null),
                ("/postgres/seen/slot_wal_mib".into(), Value::Null),
            ],
        ),
        ("no publication", vec![("/postgres/seen/publication".into(), Value::Null)]),
        (
            "a publication of another table",
            vec![("/postgres/seen/publication/tables".into(), json!(["public.orders"]))],
        ),
        (
            "a publication of more",
            vec![("/postgres/seen/publication/tables".into(), json!(["public.orders", "public.users"]))],
        ),
        ("an operation left out", vec![("/postgres/seen/publication/left_out".into(), json!(["delete"]))]),
        ("no table", vec![("/postgres/seen/relation".into(), Value::Null)]),
        ("a partitioned table", vec![("/postgres/seen/relation/kind".into(), json!("p"))]),
        ("an unlogged table", vec![("/postgres/seen/relation/persistence".into(), json!("u"))]),
        ("no replica identity", vec![("/postgres/seen/relation/identity".into(), json!("n"))]),
        ("no key", vec![("/postgres/seen/relation/has_key".into(), json!(false))]),
        ("no room for a slot", vec![("/postgres/seen/slots".into(), json!([8, 8]))]),
        ("no right to replicate", vec![("/postgres/seen/replication".into(), json!(false))]),
        ("no right to read", vec![("/postgres/seen/relation/readable".into(), json!(false))]),
        ("a slot left over", vec![("/postgres/seen/orphans".into(), json!(["debezium_slot_carts"]))]),
        ("Kafka is away", vec![("/kafka".into(), json!({ "silent": "no broker answered" }))]),
        ("a topic is missing", vec![("/kafka/seen/topics/0/partitions".into(), Value::Null)]),
        ("a topic is not compacted", vec![("/kafka/seen/topics/0/configs/cleanup.policy".into(), json!("delete"))]),
        ("the sink is behind", vec![("/kafka/seen/lag/offsets".into(), json!(900_000))]),
        ("dead letters", vec![("/kafka/seen/dead_letters".into(), json!(3))]),
        ("a silent gap", vec![("/postgres/seen/slot/confirmed".into(), json!(2000))]),
        ("the store is away", vec![("/store".into(), json!({ "silent": "403" }))]),
        ("no object comes", vec![("/store/seen/newest_ms".into(), json!(NOW_MS - 3_600_000))]),
        (
            "no object at all",
            vec![("/store/seen/newest".into(), Value::Null), ("/store/seen/newest_ms".into(), Value::Null)],
        ),
    ]
}

#[test]
fn everything_that_can_be_wrong_is_told_in_words() {
    let plan = plan();
    let pipeline = &plan.tables[0];
    let (source, sink) = (&pipeline.connectors[0].name, &pipeline.connectors[1].name);
    let mut text = String::new();
    for (name, changes) in cases(source, sink) {
        let mut seen = healthy(pipeline);
        for (path, value) in changes {
            *seen.pointer_mut(&path).unwrap_or_else(|| panic!("{path}")) = value;
        }
        let findings = judged(pipeline, &seen);
        assert!(worst(&findings) >= Outcome::Warning, "{name}");
        let _ = writeln!(text, "## {name}");
        let mut skipped = Vec::new();
        for finding in findings {
            match finding.outcome {
                Outcome::Ok => {}
                Outcome::Skipped => skipped.push(finding.code),
                outcome => {
                    let _ = writeln!(
                        text,
                        "{} {}: {}\n    next: {}",
                        finding.code,
                        outcome.word(),
                        finding.seen,
                        finding.next.unwrap()
                    );
                }
            }
        }
        if !skipped.is_empty() {
            let _ = writeln!(text, "skipped: {}", skipped.join(", "));
        }
        text.push('\n');
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_quiet_table_is_well() {
    let plan = plan();
    let mut seen = healthy(&plan.tables[0]);
    // The marker of the last transaction is never read by a group that counts records.
    seen["kafka"]["seen"]["lag"] = json!({ "offsets": 1, "records": false, "lost": 0, "committed": true });
    seen["store"]["seen"]["newest_ms"] = json!(NOW_MS - 86_400_000);
    let findings = judged(&plan.tables[0], &seen);
    assert_eq!(worst(&findings), Outcome::Ok, "{findings:#?}");
}

#[test]
fn what_was_not_asked_is_skipped_with_the_reason() {
    let plan = plan();
    let mut seen = healthy(&plan.tables[0]);
    seen["store"] = json!({ "left": "the table has no sink connector" });
    let findings = judged(&plan.tables[0], &seen);
    let skipped: Vec<_> = findings.iter().filter(|finding| finding.outcome == Outcome::Skipped).collect();
    assert_eq!(skipped.len(), 2, "{skipped:?}");
    assert!(skipped.iter().all(|finding| finding.seen == "the table has no sink connector"));
    let read: Seen = serde_json::from_value(seen).unwrap();
    assert!(matches!(read.store, Looked::Left(_)));
}
