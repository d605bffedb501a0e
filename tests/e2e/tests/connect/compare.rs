//! The same requests to both.

use std::time::Duration;

use datapipe_e2e::process::Worker;
use datapipe_e2e::stage::{PATIENCE, PG15, Stage};
use serde_json::{Value, json};

use crate::keys;
use crate::requests::{self, Request};
use crate::side::{Answer, NAME, Side, allowed_secrets, config, reference};

/// Where they differ.
#[derive(Default)]
struct Report {
    asked: usize,
    equal: usize,
    differences: Vec<String>,
}

impl Report {
    async fn ask(&mut self, sides: &[Side; 2], requests: Vec<Request>) {
        for request in requests {
            let mut answers = Vec::new();
            for side in sides {
                let Request { method, path, body, header, .. } = &request;
                answers.push(side.send(method, path, body.as_deref(), *header).await);
            }
            let [native, reference] = answers.try_into().unwrap();
            self.compare(&request, native, reference);
        }
    }

    fn compare(&mut self, request: &Request, mut native: Answer, mut reference: Answer) {
        self.asked += 1;
        for (pointer, _) in &request.but {
            for answer in [&mut native, &mut reference] {
                if let Some(value) = answer.body.pointer_mut(pointer) {
                    *value = json!("(left out)");
                }
            }
        }
        let what = format!("{} {}", request.method, request.path);
        let left_out: Vec<_> = request.but.iter().map(|(pointer, reason)| format!("{pointer}: {reason}")).collect();
        if native == reference {
            self.equal += 1;
            println!("equal      {} {what} {}", native.status, left_out.join("; "));
            return;
        }
        let mut lines = Vec::new();
        if (native.status, &native.location) != (reference.status, &reference.location) {
            lines.push(format!(
                "{} {:?} / {} {:?}",
                native.status, native.location, reference.status, reference.location
            ));
        }
        difference("", &native.body, &reference.body, &mut lines);
        let body = request.body.as_deref().unwrap_or_default();
        self.differences.push(format!("{what} {body:.200}\n  {}", lines.join("\n  ")));
        println!("DIFFERENT  {}", self.differences.last().unwrap());
    }
}

/// Every place where two values differ.
fn difference(at: &str, native: &Value, reference: &Value, lines: &mut Vec<String>) {
    match (native, reference) {
        (Value::Object(native), Value::Object(reference)) => {
            for key in native.keys().chain(reference.keys().filter(|key| !native.contains_key(*key))) {
                let (native, reference) = (native.get(key), reference.get(key));
                match (native, reference) {
                    (Some(native), Some(reference)) => difference(&format!("{at}/{key}"), native, reference, lines),
                    _ => lines.push(format!("{at}/{key}: {native:?} / {reference:?}")),
                }
            }
        }
        (Value::Array(native), Value::Array(reference)) if native.len() == reference.len() => {
            for (number, (native, reference)) in native.iter().zip(reference).enumerate() {
                difference(&format!("{at}/{number}"), native, reference, lines);
            }
        }
        _ if native != reference => lines.push(format!("{at}: {native} / {reference}")),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_requests_get_the_same_answers() {
    let mut stage = Stage::for_load(PG15).await;
    for side in ["native", "reference"] {
        stage.sql(&format!("CREATE PUBLICATION publication_{side} FOR TABLE users")).await;
    }
    stage.sql("INSERT INTO users (name) VALUES ('one'), ('two')").await;
    "native".clone_into(&mut stage.settings.prefix);
    stage.settings.tables = vec!["users".to_owned()];
    stage.settings.more.push(allowed_secrets(&stage));
    let mut worker = Worker::start(&stage.servers, &stage.settings, "native").unwrap();
    worker.flows(PATIENCE).await.unwrap();
    let mut theirs = reference(&stage, "reference", None).await;
    let address = format!("http://127.0.0.1:{}", stage.settings.ports[0]);
    let sides = [Side::new("native", address), Side::new("reference", theirs.url())];
    for name in sides[0].get("/connectors").await.as_array().unwrap() {
        let path = format!("/connectors/{}", name.as_str().unwrap());
        assert_eq!(sides[0].send("DELETE", &path, None, ("", "")).await.status, 204);
    }

    let config = config(&stage);
    let mut report = Report::default();
    report.ask(&sides, requests::without_connectors(&config)).await;
    report.ask(&sides, requests::create(&config)).await;
    settle(&sides, "STOPPED", &[]).await;
    report.ask(&sides, requests::looks()).await;
    report.ask(&sides, requests::stopped()).await;
    tell(&sides, "resume", 202).await;
    settle(&sides, "RUNNING", &["RUNNING"]).await;
    report.ask(&sides, requests::looks()).await;
    flow(&stage, &sides).await;
    for request in requests::running() {
        report.ask(&sides, vec![request]).await;
        settle(&sides, "RUNNING", &["RUNNING"]).await;
    }
    tell(&sides, "pause", 202).await;
    settle(&sides, "PAUSED", &["PAUSED"]).await;
    report.ask(&sides, requests::looks()).await;
    report.ask(&sides, requests::changes(&config)).await;
    tell(&sides, "stop", 204).await;
    settle(&sides, "STOPPED", &[]).await;
    report.ask(&sides, requests::looks()).await;
    offsets(&sides).await;
    report.ask(&sides, requests::loggers()).await;
    keys::compare(&sides, &config).await;
    for side in &sides {
        assert_eq!(side.send("DELETE", &format!("/connectors/{NAME}"), None, ("", "")).await.status, 204);
        side.until_holds(&format!("/connectors/{NAME}/status"), |status| status["error_code"] == 404).await;
    }
    println!("{} of {} answers are equal", report.equal, report.asked);
    assert!(report.differences.is_empty(), "{}", report.differences.join("\n"));
    theirs.stop().await.unwrap();
    worker.stop().await.unwrap();
    stage.end().await;
}

async fn settle(sides: &[Side; 2], connector: &str, tasks: &[&str]) {
    for side in sides {
        side.until(NAME, connector, tasks).await;
    }
}

async fn tell(sides: &[Side; 2], action: &str, status: u16) {
    for side in sides {
        let answer = side.send("PUT", &format!("/connectors/{NAME}/{action}"), None, ("", "")).await;
        assert_eq!((answer.status, answer.body), (status, json!("")), "{} {action}", side.name);
    }
}

/// Rows flow, and both tell their topic and where they have come, in the same form.
async fn flow(stage: &Stage, sides: &[Side; 2]) {
    stage.sql("INSERT INTO users (name) VALUES ('three')").await;
    let data = "{side}.public.users";
    for side in sides {
        let topics = side
            .until_holds(&format!("/connectors/{NAME}/topics"), |topics| {
                topics[NAME]["topics"].as_array().unwrap().contains(&json!(data))
            })
            .await;
        println!("topics of {}: {topics}", side.name);
        // Debezium's offset has not all of them before the stream has begun.
        let told = |offset: &Value| ["lsn", "lsn_proc", "txId", "ts_usec"].iter().all(|field| offset[field].is_u64());
        let offsets = side
            .until_holds(&format!("/connectors/{NAME}/offsets"), |offsets| {
                let offset = &offsets["offsets"][0]["offset"];
                told(offset) && offset.get("snapshot").is_none()
            })
            .await;
        println!("offsets of {}: {offsets}", side.name);
        assert_eq!(offsets["offsets"].as_array().unwrap().len(), 1);
        assert_eq!(offsets["offsets"][0]["partition"], json!({ "server": "{side}" }));
    }
}

/// Offsets of a stopped connector: set as they were told, and taken back. What Debezium lets pass is refused by us.
async fn offsets(sides: &[Side; 2]) {
    let path = format!("/connectors/{NAME}/offsets");
    for side in sides {
        let told = side.get(&path).await;
        let answer = side.json("PATCH", &path, &told).await;
        println!("PATCH offsets of {}: {} {}", side.name, answer.status, answer.body);
        assert_eq!((answer.status, side.get(&path).await), (200, told.clone()), "{}", side.name);
        let wrong = json!({ "offsets": [{ "partition": { "server": "another" }, "offset": { "lsn": 1 } }] });
        let answer = side.json("PATCH", &path, &wrong).await;
        println!("PATCH offsets of {} with another server: {} {}", side.name, answer.status, answer.body);
        if side.name == "native" {
            assert_eq!((answer.status, side.get(&path).await), (400, told), "a wrong partition is refused");
        }
        let answer = side.send("DELETE", &path, None, ("", "")).await;
        let message = answer.body["message"].as_str().unwrap();
        assert!(message.contains("offsets for this connector have been reset successfully"), "{message}");
        let none = json!({ "offsets": [] });
        side.until_holds(&path, |offsets| *offsets == none).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
}
