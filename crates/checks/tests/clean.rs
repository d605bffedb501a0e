//! What goes to others: no secret in it, no value of a row, and yet what helps.
#![allow(clippy::unwrap_used)]

mod recorded;

use datapipe_checks::clean::Clean;
use datapipe_checks::{Finding, Outcome, Seen};
use datapipe_core::Secret;
use serde_json::json;

use recorded::{healthy, plan_of};

const PASSWORD: &str = "pa\"ss\\word-7f3a";
const KEY: &str = "AKIA7F3ACANARY";
const RESOLVED: &str = "from-the-environment-7f3a";
const LIVE: &str = "only-the-worker-knows-7f3a";
const ROW: &str = "canary-row-7f3a";

/// A pipeline whose every text holds what must not get out.
fn hurt(kind: &str) -> (datapipe_core::plan::Plan, Seen) {
    let plan = plan_of(kind);
    let pipeline = &plan.tables[0];
    let mut seen = healthy(pipeline);
    let (source, sink) = (&pipeline.connectors[0].name, &pipeline.connectors[1].name);
    let connectors = &mut seen["worker"]["seen"]["connectors"];
    let config = &mut connectors[source]["info"]["config"];
    config["database.password"] = json!(LIVE);
    config["database.hostname"] = json!(format!("db-of-{RESOLVED}"));
    config["heartbeat.action.query"] = json!(format!("INSERT INTO beat VALUES ({ROW})"));
    connectors[sink]["info"]["config"]["aws.secret.access.key"] = json!(KEY);
    let trace = format!(
        "org.apache.kafka.connect.errors.DataException: value {ROW} of {ROW} is bad\n\tat a.B.c(B.java:7)\n{ROW}\n\
         Caused by: java.lang.NumberFormatException: For input string: \"{ROW}\""
    );
    let words = format!(
        "reading slot \"debezium_slot_users\" as {LIVE}: invalid input for integer: \"{ROW}\" Key (email)=({ROW}) \
         '{ROW}' {{\"id\": \"{ROW}\"}}"
    );
    let trace = if kind == "native" { words.clone() } else { trace };
    let task = json!([{ "id": 0, "state": "FAILED", "worker_id": "a", "trace": trace }]);
    connectors[source]["status"]["tasks"] = task.clone();
    connectors[sink]["status"]["tasks"] = task;
    seen["worker"]["seen"]["health_message"] = json!(words);
    seen["kafka"]["seen"]["dead_letters"] = json!(1);
    seen["kafka"]["seen"]["last_letter"] =
        json!({ "place": "t/0/1", "stage": "VALUE_CONVERTER", "class": "a.B", "message": format!("no {ROW}") });
    seen["store"] =
        json!({ "silent": format!("postgres://cdc:{PASSWORD}@db:5432 and http://me:x@s3:9000/ say {RESOLVED}") });
    (plan, serde_json::from_value(seen).unwrap())
}

fn holds_none(text: &str) {
    for secret in [PASSWORD, KEY, RESOLVED, LIVE, ROW, "pa\\\"ss", "me:x"] {
        assert!(!text.contains(secret), "{secret} is in it: {text}");
    }
}

#[test]
fn no_secret_and_no_row_is_in_what_was_seen() {
    for kind in ["native", "kafka-connect", "hybrid"] {
        let (plan, seen) = hurt(kind);
        let secrets = [PASSWORD, KEY, RESOLVED].map(Secret::new);
        let mut clean = Clean::new(&plan, secrets.into());
        clean.learn(&seen);
        let text = serde_json::to_string(&clean.seen(&plan.tables[0], &seen)).unwrap();
        holds_none(&text);
        for word in ["debezium_slot_users", "FAILED", "VALUE_CONVERTER", "t/0/1", "reading slot"] {
            assert!(text.contains(word), "{kind}: {word} is gone: {text}");
        }
        if kind == "kafka-connect" {
            assert!(text.contains("DataException: .."), "{text}");
            assert!(text.contains("at a.B.c(B.java:7)") && text.contains("NumberFormatException"), "{text}");
        }
    }
}

#[test]
fn no_secret_and_no_row_is_in_lines_of_a_log() {
    let (plan, seen) = hurt("native");
    let mut clean = Clean::new(&plan, [PASSWORD, KEY, RESOLVED].map(Secret::new).into());
    clean.learn(&seen);
    let line = format!(
        "2026-11-26T07:00:00Z  WARN datapipe_worker::tasks: failed error=\"{ROW}\" slot=\"debezium_slot_users\" {LIVE}"
    );
    let line = clean.line(&line);
    holds_none(&line);
    assert!(line.contains("WARN datapipe_worker::tasks: failed") && line.contains("\"debezium_slot_users\""), "{line}");
    let fields = json!({ "message": format!("refused '{ROW}'"), "rows": 7, "key": [ROW], "why": RESOLVED });
    let json = json!({ "timestamp": "t", "level": "WARN", "target": "a::b", "fields": fields, "spans": [ROW] });
    let json = clean.line(&json.to_string());
    holds_none(&json);
    assert!(json.contains("refused") && json.contains("\"rows\":7") && json.contains("a::b"), "{json}");
}

#[test]
fn a_finding_about_rows_names_none() {
    let clean = Clean::new(&plan_of("native"), Vec::new());
    let seen = format!("lost: key {ROW}");
    let finding = Finding {
        code: "DP0601".to_owned(),
        table: "users".to_owned(),
        outcome: Outcome::Failed,
        seen,
        next: None,
        caused_by: Vec::new(),
    };
    let text = serde_json::to_string(&clean.about_rows(&finding)).unwrap();
    holds_none(&text);
    assert!(text.contains("failed"), "{text}");
}
