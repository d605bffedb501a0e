//! Judging what was seen once: a pipeline that is well, and everything that can be wrong with it.
#![allow(clippy::unwrap_used)]

mod recorded;

use datapipe_checks::judge::{fold, judge_canary, judge_inside};
use datapipe_checks::{CHECKS, CanarySeen, Category, Finding, Hop, Looked, Outcome, Seen, worst};
use datapipe_core::connector::{JvmFlavour, for_jvm};
use datapipe_core::plan::Problem;
use datapipe_core::settings::SinkFlavour;
use serde_json::json;

use recorded::{NOW_MS, cases, healthy, hurt, judged, plan, plan_of};

#[test]
fn a_healthy_pipeline_passes_every_check() {
    let plan = plan();
    let findings = judged(&plan.tables[0], &healthy(&plan.tables[0]));
    let codes: Vec<&str> = findings.iter().map(|finding| finding.code.as_str()).collect();
    let all = CHECKS
        .iter()
        .filter(|check| check.category < Category::Data || check.category == Category::Network)
        .map(|check| check.code);
    assert_eq!(codes, all.collect::<Vec<_>>(), "every check, each once, in order");
    assert_eq!(worst(&findings), Outcome::Ok, "{findings:#?}");
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
fn runs_that_failed_are_no_warning_once_they_are_over() {
    let plan = plan();
    let mut seen = healthy(&plan.tables[0]);
    let metrics = &mut seen["worker"]["seen"]["metrics"];
    (metrics["failed_runs"], metrics["failed_ago_ms"]) = (json!(40), json!(30_000));
    let findings = judged(&plan.tables[0], &seen);
    assert_eq!(worst(&findings), Outcome::Ok, "{findings:#?}");
    let told = findings.iter().find(|finding| finding.code == "DP0103").unwrap();
    assert!(told.seen.ends_with("40 failed runs of its tasks, the last 30 s ago"), "{told:?}");
    seen["worker"]["seen"]["metrics"]["failed_ago_ms"] = json!(29_999);
    assert_eq!(causes(&judged(&plan.tables[0], &seen)), [("DP0103", vec![])]);
    // A server that is away is what they follow from; memory that is nearly full is not its doing.
    seen["store"] = json!({ "silent": "no answer within 10 s" });
    assert_eq!(causes(&judged(&plan.tables[0], &seen)), [("DP0501", vec![]), ("DP0103", vec!["DP0501"])]);
    seen["worker"]["seen"]["metrics"]["resident_bytes"] = json!(250_000_000);
    assert_eq!(causes(&judged(&plan.tables[0], &seen)), [("DP0103", vec![]), ("DP0501", vec![])]);
}

#[test]
fn what_was_not_asked_is_skipped_with_the_reason() {
    let plan = plan();
    let mut seen = healthy(&plan.tables[0]);
    seen["store"] = json!({ "left": "the table has no sink connector" });
    let findings = judged(&plan.tables[0], &seen);
    let skipped: Vec<_> = findings.iter().filter(|finding| finding.outcome == Outcome::Skipped).collect();
    assert_eq!(skipped.len(), 5, "{skipped:?}");
    assert!(skipped.iter().all(|finding| finding.seen == "the table has no sink connector"));
    let read: Seen = serde_json::from_value(seen).unwrap();
    assert!(matches!(read.store, Looked::Left(_)));
}

/// Code and causes of what is wrong, in order.
fn causes(findings: &[Finding]) -> Vec<(&str, Vec<&str>)> {
    let wrong = findings.iter().filter(|finding| finding.outcome >= Outcome::Warning);
    wrong.map(|it| (it.code.as_str(), it.caused_by.iter().map(String::as_str).collect())).collect()
}

#[test]
fn whatever_follows_has_a_root_before_it() {
    let plan = plan();
    let pipeline = &plan.tables[0];
    let (source, sink) = (&pipeline.connectors[0].name, &pipeline.connectors[1].name);
    for (name, changes) in cases(source, sink) {
        let findings = hurt(pipeline, changes);
        for (at, finding) in findings.iter().enumerate().filter(|(_, finding)| !finding.caused_by.is_empty()) {
            let before = |it: &Finding| it.code == finding.caused_by[0] && it.outcome >= Outcome::Warning;
            assert!(findings[..at].iter().any(before), "{name}: {finding:?}");
        }
    }
}

#[test]
fn each_connector_that_is_down_has_its_own_root() {
    let plan = plan();
    let pipeline = &plan.tables[0];
    let tasks = |at: usize| format!("/worker/seen/connectors/{}/status/tasks", pipeline.connectors[at].name);
    let failed = json!([{ "id": 0, "state": "FAILED", "worker_id": "a", "trace": "x" }]);
    let away = json!({ "silent": "connection refused" });
    let both = vec![
        (tasks(0), failed.clone()),
        (tasks(1), failed.clone()),
        ("/postgres".to_owned(), away.clone()),
        ("/store".to_owned(), away.clone()),
    ];
    let findings = hurt(pipeline, both);
    let expected = vec![("DP0301", vec![]), ("DP0202", vec!["DP0301", "DP0501"]), ("DP0501", vec![])];
    assert_eq!(causes(&findings), expected);
    // The sink has failed as well, and nothing says why: that is told for itself.
    let findings = hurt(pipeline, vec![(tasks(0), failed.clone()), (tasks(1), failed), ("/postgres".to_owned(), away)]);
    assert_eq!(causes(&findings), [("DP0202", vec![]), ("DP0301", vec![])]);
}

#[test]
fn a_jvm_worker_is_judged_as_one() {
    let plan = plan_of("kafka-connect");
    let pipeline = &plan.tables[0];
    let (source, sink) = (&pipeline.connectors[0].name, &pipeline.connectors[1].name);
    let config = |name: &str| format!("/worker/seen/connectors/{name}/info/config");
    let codes = |findings: &[Finding], outcome: Outcome| -> Vec<String> {
        findings.iter().filter(|it| it.outcome == outcome).map(|it| it.code.clone()).collect()
    };
    let jvm = |key: &str, version: &str| {
        let flavour = JvmFlavour { exactly_once: true, sink: SinkFlavour::Aiven, replication_factor: 1 };
        let of = |at: usize| for_jvm(pipeline, &pipeline.connectors[at], flavour).unwrap();
        let mut own = of(0);
        own.remove(key);
        vec![
            (config(source), json!(own)),
            (config(sink), json!(of(1))),
            ("/worker/seen/metrics".to_owned(), json!(null)),
            ("/worker/seen/plugins/0/version".to_owned(), json!(version)),
            ("/kafka/seen/group/protocol".to_owned(), json!("connect")),
            ("/kafka/seen/stored_of".to_owned(), json!(null)),
        ]
    };
    let well = hurt(pipeline, jvm("no such key", "3.7.0.Final"));
    assert_eq!(worst(&well), Outcome::Skipped, "{well:#?}");
    assert_eq!(codes(&well, Outcome::Skipped), ["DP0103", "DP0311"]);
    let twice = hurt(pipeline, jvm("exactly.once.support", "3.7.0.Final"));
    assert_eq!(codes(&twice, Outcome::Warning), ["DP0205"]);
    // Where the version is not safe for exactly once, that is what is told.
    let old = hurt(pipeline, jvm("exactly.once.support", "3.6.3.Final"));
    assert_eq!(codes(&old, Outcome::Warning), ["DP0204"]);
    let mut ahead = jvm("no such key", "3.7.0.Final");
    ahead.push(("/postgres/seen/slot/confirmed".to_owned(), json!(2000)));
    assert_eq!(codes(&hurt(pipeline, ahead.clone()), Outcome::Failed), ["DP0405"]);
    // Where the driver confirms by its own rule, a slot that is ahead is no proof of a gap.
    let mut plan = plan.clone();
    plan.tables[0].connectors[0].config.insert("lsn.flush.mode".to_owned(), "connector_and_driver".to_owned());
    assert!(codes(&hurt(&plan.tables[0], ahead), Outcome::Failed).is_empty());
    let mut shared = jvm("no such key", "3.7.0.Final");
    shared.push(("/kafka/seen/group/members".to_owned(), json!(["a at 10.0.0.7", "b at 10.0.0.8"])));
    assert_eq!(codes(&hurt(pipeline, shared), Outcome::Warning), ["DP0406"]);
}

#[test]
fn a_young_transaction_is_a_writer_at_work() {
    let plan = plan();
    let young = json!([{ "topic": "t", "partition": 0, "offsets": 7, "since_ms": NOW_MS - 4000 }]);
    let findings = hurt(&plan.tables[0], vec![("/kafka/seen/hidden".to_owned(), young)]);
    assert_eq!(worst(&findings), Outcome::Ok, "{findings:#?}");
}

#[test]
fn what_was_seen_before_these_checks_were_there_is_judged_too() {
    let plan = plan();
    let mut seen = healthy(&plan.tables[0]);
    for (path, keys) in [
        ("/worker/seen", vec!["plugins", "metrics"]),
        ("/postgres/seen", vec!["version", "system_id", "timeline", "wal_bytes_per_s", "left_publications"]),
        ("/kafka/seen", vec!["bootstrap", "stored_of", "group", "hidden", "last_letter"]),
        ("/store/seen", vec!["clock_ms", "recent"]),
    ] {
        let map = seen.pointer_mut(path).unwrap().as_object_mut().unwrap();
        map.retain(|key, _| !keys.contains(&key.as_str()));
    }
    let findings = judged(&plan.tables[0], &seen);
    assert_eq!(worst(&findings), Outcome::Skipped, "{findings:#?}");
}

#[test]
fn a_canary_says_how_far_it_got_and_how_long_each_hop_took() {
    let plan = plan();
    let hop = |place: &str, took_ms: u64| Hop { place: place.to_owned(), took_ms };
    let arrived = CanarySeen {
        message: vec![hop("in the log", 10), hop("in Kafka", 900), hop("confirmed", 1500)],
        row_allowed: true,
        row: vec![hop("in PostgreSQL", 4), hop("in the topic", 30), hop("in an object", 2100)],
        stopped: None,
    };
    let told = |seen: &CanarySeen| -> Vec<(Outcome, String)> {
        judge_canary(&plan.tables[0], seen).into_iter().map(|it| (it.outcome, it.seen)).collect()
    };
    let well = told(&arrived);
    assert_eq!(
        well[0],
        (Outcome::Ok, "in the log after 0.0 s, in Kafka after 0.9 s, confirmed after 1.5 s".to_owned())
    );
    assert!(well[1].0 == Outcome::Ok && well[1].1.ends_with("in an object after 2.1 s"), "{well:?}");

    let quiet = CanarySeen { row_allowed: false, row: Vec::new(), ..arrived.clone() };
    assert_eq!(told(&quiet).iter().map(|it| it.0).collect::<Vec<_>>(), [Outcome::Ok, Outcome::Skipped]);

    let mut stuck = arrived.clone();
    stuck.message.truncate(1);
    stuck.row.clear();
    stuck.stopped = Some("it is not in Kafka after 60 s".to_owned());
    let stuck = told(&stuck);
    assert_eq!(stuck[0], (Outcome::Failed, "it is not in Kafka after 60 s; in the log after 0.0 s".to_owned()));
    assert_eq!(stuck[1].0, Outcome::Skipped);

    let mut refused = arrived.clone();
    refused.row.clear();
    refused.stopped = Some("permission denied".to_owned());
    let refused = told(&refused);
    assert_eq!(
        (refused[0].0, refused[1].0, refused[1].1.as_str()),
        (Outcome::Ok, Outcome::Failed, "permission denied")
    );

    let mut unwritten = arrived;
    unwritten.row.truncate(2);
    unwritten.stopped = Some("it is not in an object after 60 s".to_owned());
    let unwritten = told(&unwritten);
    assert!(unwritten[1].0 == Outcome::Failed && unwritten[1].1.contains("in the topic after 0.0 s"), "{unwritten:?}");
}

#[test]
fn a_closed_way_is_the_root_of_what_lies_behind_it() {
    let plan = plan();
    let pipeline = &plan.tables[0];
    let way = |edge: usize, way: &str| (format!("/edges/seen/edges/{edge}/way"), json!(way));
    let away = |server: &str| (format!("/{server}"), json!({ "silent": "no answer within 10 s" }));
    let mut findings = hurt(pipeline, vec![way(3, "refused"), away("store")]);
    findings.extend(judge_inside(pipeline, &Looked::Seen(vec![Problem::new("s3.bucket", "does not answer", "look")])));
    let findings = fold(findings);
    let expected = vec![("DP0904", vec![]), ("DP0501", vec!["DP0904"]), ("DP0804", vec!["DP0904"])];
    assert_eq!(causes(&findings), expected);
    let root = &findings.iter().find(|finding| finding.code == "DP0904").unwrap();
    assert!(root.seen.starts_with("from where the worker is: s3:9000 refuses"), "{}", root.seen);
    assert!(root.next.as_ref().unwrap().starts_with("kubectl describe networkpolicy -n data-ingestion"), "{root:?}");
}

#[test]
fn outside_of_a_cluster_a_port_that_refuses_is_no_fault_of_the_network() {
    let plan = plan();
    let pipeline = &plan.tables[0];
    let refused = json!({ "to": "postgres", "host": "localhost", "port": 5432, "way": "refused" });
    let edges = json!({ "seen": { "inside": false, "edges": [refused] } });
    let worker = json!({ "to": "worker", "host": "localhost", "port": 8083, "way": "refused" });
    let away = json!({ "silent": "connection refused" });
    let findings = hurt(
        pipeline,
        vec![
            ("/edges".to_owned(), edges),
            ("/postgres".to_owned(), away.clone()),
            ("/worker".to_owned(), away),
            ("/rest".to_owned(), worker),
        ],
    );
    let of = |code: &str| findings.iter().find(|finding| finding.code == code).map(|finding| finding.outcome);
    assert_eq!((of("DP0902"), of("DP0905")), (Some(Outcome::Skipped), Some(Outcome::Skipped)));
    assert_eq!(causes(&findings), [("DP0101", vec![]), ("DP0301", vec![])]);
}

#[test]
fn the_look_from_inside_is_a_finding_itself() {
    let plan = plan();
    let outcomes = |inside| {
        let findings = judge_inside(&plan.tables[0], &inside);
        findings.iter().map(|finding| finding.outcome).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(Looked::Seen(Vec::new())), [Outcome::Ok, Outcome::Ok]);
    assert_eq!(outcomes(Looked::Left("no --inside".to_owned())), [Outcome::Skipped, Outcome::Skipped]);
    assert_eq!(outcomes(Looked::Silent("exceeded quota".to_owned())), [Outcome::Failed, Outcome::Skipped]);
    assert_eq!(outcomes(Looked::Seen(vec![Problem::new("s3", "a", "b")])), [Outcome::Ok, Outcome::Failed]);
}
