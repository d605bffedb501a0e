//! Debezium in a real Kafka Connect, the native sink beside it, one worker to whoever asks.

use std::process::Command;

use datapipe_boot::memory;
use datapipe_connect::JVM_FLAGS;
use datapipe_core::convention::Names;
use datapipe_e2e::limit::MemoryLimit;
use datapipe_e2e::process::{Worker, program_named};
use datapipe_e2e::stage::{PATIENCE, PG18, Stage, eventually, names};
use datapipe_e2e::traffic::SCHEMA;
use datapipe_embedded::{ConnectOptions, ConnectWorker};
use serde_json::{Value, json};

use crate::side::{Side, start};

/// How the two share 250 MiB, page cache included.
const JVM_MIB: u64 = 196;
const NATIVE_MIB: u64 = 54;

/// A process's limit, or why there is none.
fn limit(name: &str, mib: u64) -> Option<MemoryLimit> {
    let limit = MemoryLimit::new(name, mib);
    limit
        .inspect_err(|error| {
            println!(
                "no limit of {mib} MiB for {name} on this machine, only its resident memory is held to it: {error}"
            );
        })
        .ok()
}

async fn within<T>(limit: Option<&MemoryLimit>, start: impl Future<Output = T>) -> T {
    match limit {
        Some(limit) => limit.with(start).await.unwrap(),
        None => start.await,
    }
}

async fn jvm_worker(stage: &Stage, port: Option<u16>, limit: Option<&MemoryLimit>) -> ConnectWorker {
    let mut options = ConnectOptions::new(stage.servers.stack.kafka().bootstrap(), "users");
    options.port = port;
    options.jvm_flags = JVM_FLAGS.map(str::to_owned).to_vec();
    within(limit, start(stage, options)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn debezium_and_the_native_sink_are_one_worker() {
    let mut stage = Stage::new(PG18, SCHEMA).await;
    stage.settings.tables = vec!["users".to_owned()];
    let secrets = stage.root.path().join("secrets.properties");
    std::fs::write(&secrets, format!("password={}\n", stage.servers.stack.postgres().password())).unwrap();
    let password = format!("${{file:{}:password}}", secrets.display());
    stage.settings.more.push(("postgres.password".to_owned(), password));
    stage.settings.more.push(("worker.kind".to_owned(), "hybrid".to_owned()));
    let derived = Names::derive("cdc", "public", "users").unwrap();
    let (source, sink) = (derived.source_connector.as_str(), derived.sink_connector.as_str());
    let status = |name: &str| format!("/connectors/{name}/status");
    stage.sql("INSERT INTO users (name) VALUES ('one'), ('two')").await;

    // Both parts start; whichever is first waits for the other.
    let port = stage.settings.ports[0];
    let (jvm_limit, native_limit) = (limit("datapipe-jvm", JVM_MIB), limit("datapipe-native", NATIVE_MIB));
    let mut jvm = jvm_worker(&stage, None, jvm_limit.as_ref()).await;
    stage.settings.more.push(("tables.users.worker.jvm_url".to_owned(), jvm.url()));
    let worker = async { Worker::start(&stage.servers, &stage.settings, "hybrid").unwrap() };
    let worker = within(native_limit.as_ref(), worker).await;
    let hybrid = Side::new("hybrid", format!("http://127.0.0.1:{port}"));
    hybrid.up().await;
    hybrid.until(source, "RUNNING", &["RUNNING"]).await;
    hybrid.until(sink, "RUNNING", &["RUNNING"]).await;

    // One list, one set of plugins, one health.
    let mut list: Vec<String> = serde_json::from_value(hybrid.get("/connectors").await).unwrap();
    list.sort();
    assert_eq!(list, [source, sink]);
    let expanded = hybrid.get("/connectors?expand=status&expand=info").await;
    for (name, kind) in [(source, "source"), (sink, "sink")] {
        assert_eq!(expanded[name]["status"]["type"], kind, "{expanded}");
        assert_eq!(expanded[name]["info"]["name"], name, "{expanded}");
    }
    let plugins = hybrid.get("/connector-plugins").await;
    let classes: Vec<&str> = plugins.as_array().unwrap().iter().filter_map(|plugin| plugin["class"].as_str()).collect();
    for class in ["PostgresConnector", "AivenKafkaConnectS3SinkConnector"] {
        assert_eq!(classes.iter().filter(|found| found.ends_with(class)).count(), 1, "{classes:?}");
    }
    assert_eq!(hybrid.send("GET", "/health", None, ("", "")).await.status, 200);
    assert!(hybrid.get("/metrics").await.as_str().unwrap().contains("datapipe_jvm_up{table=\"users\"} 1"));

    // The JVM worker knows nothing of the sink, and is told nothing of it.
    let theirs = Side::new("jvm", jvm.url());
    assert_eq!(theirs.get("/connectors").await, json!([source]));

    // Rows flow through both parts, and the source's calls reach the JVM.
    stage.sql("INSERT INTO users (name) VALUES ('three'); UPDATE users SET name = 'changed' WHERE id = 1").await;
    let events = stage.arrived("users", 4).await;
    let ops: Vec<&str> = events.iter().filter_map(|event| event["op"].as_str()).collect();
    assert_eq!(ops, ["r", "r", "c", "u"]);
    let pause = hybrid.send("PUT", &format!("/connectors/{source}/pause"), None, ("", "")).await;
    assert_eq!(pause.status, 202);
    hybrid.until(source, "PAUSED", &["PAUSED"]).await;
    assert_eq!(theirs.get(&status(source)).await["connector"]["state"], "PAUSED");
    hybrid.send("PUT", &format!("/connectors/{source}/resume"), None, ("", "")).await;
    hybrid.until(source, "RUNNING", &["RUNNING"]).await;
    let validated = hybrid
        .json(
            "PUT",
            "/connector-plugins/PostgresConnector/config/validate",
            &json!({ "connector.class": "io.debezium.connector.postgresql.PostgresConnector" }),
        )
        .await;
    assert!(validated.status == 200 && validated.body["error_count"].as_u64() > Some(0), "{}", validated.body);

    shadowed(&stage).await;
    verified(&stage).await;

    // Without the JVM: it is said where it is asked, and the sink goes on.
    jvm.stop().await.unwrap();
    let gone = hybrid.until_holds(&status(source), |status| status["connector"]["state"] == "UNASSIGNED").await;
    println!("{gone}");
    let (code, findings) = verify(&stage, &[]).await;
    let wrong: Vec<&Value> = findings.iter().filter(|finding| is_wrong(finding)).collect();
    let roots = wrong.iter().filter(|finding| finding["caused_by"].as_array().is_none_or(Vec::is_empty));
    let roots: Vec<&str> = roots.filter_map(|finding| finding["code"].as_str()).collect();
    assert_eq!((code, roots), (1, vec!["DP0102"]), "{wrong:#?}");
    let said = wrong.iter().find(|finding| finding["code"] == "DP0102").unwrap()["seen"].as_str().unwrap();
    assert!(wrong.len() > 1 && said.contains("which runs the source connector, does not answer"), "{wrong:#?}");
    assert!(gone["connector"]["trace"].as_str().unwrap().contains("does not answer"), "{gone}");
    let refused = hybrid.send("PUT", &format!("/connectors/{source}/pause"), None, ("", "")).await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    println!("{}", refused.body);
    assert_eq!(hybrid.send("GET", "/health", None, ("", "")).await.status, 503);
    let listed = hybrid.get("/connectors?expand=status").await;
    assert_eq!(listed[source]["status"]["connector"]["state"], "UNASSIGNED", "{listed}");
    hybrid.until(sink, "RUNNING", &["RUNNING"]).await;

    // And with it again.
    let port = jvm.url().rsplit(':').next().unwrap().parse().unwrap();
    let mut jvm = jvm_worker(&stage, Some(port), jvm_limit.as_ref()).await;
    hybrid.until(source, "RUNNING", &["RUNNING"]).await;
    stage.sql("INSERT INTO users (name) VALUES ('four')").await;
    stage.arrived("users", 85).await;
    stage.sql("INSERT INTO users (name) SELECT repeat('x', 500) FROM generate_series(1, 20000)").await;
    stage.arrived("users", 20_085).await;
    let resident = (memory_mib(jvm.pid().unwrap()), memory_mib(worker.pid()));
    println!("resident: JVM worker {} MiB, native part {} MiB, of 250 MiB in all", resident.0, resident.1);
    assert!(resident.0 + resident.1 <= JVM_MIB + NATIVE_MIB, "{resident:?}");
    for (name, limit, mib) in [("JVM worker", &jvm_limit, JVM_MIB), ("native part", &native_limit, NATIVE_MIB)] {
        if let Some((most, stops)) = limit.as_ref().map(|limit| limit.used().unwrap()) {
            println!("{name}: at most {most} of {mib} MiB, page cache included; {stops} times at its limit");
        }
    }
    jvm.stop().await.unwrap();
    worker.stop().await.unwrap();
    stage.end().await;
}

/// The exit code and findings of `datapipe-verify`.
async fn verify(stage: &Stage, more: &[&str]) -> (i32, Vec<Value>) {
    let program = Command::new(program_named("datapipe-verify").unwrap());
    let mut command = stage.settings.given(program, &stage.servers, "verify");
    command.args(["--host", "127.0.0.1", "--table", "users", "-o", "json"]).args(more);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let findings = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code().unwrap(), findings)
}

fn is_wrong(finding: &Value) -> bool {
    finding["outcome"] == "failed" || finding["outcome"] == "warning"
}

/// Nothing is wrong with a hybrid, and its rows are proven; what of it cannot be repaired is said.
async fn verified(stage: &Stage) {
    let (code, findings) = verify(stage, &["--data", "--wait", "60s", "--fail-on", "warning"]).await;
    let of = |outcome: &str| findings.iter().filter(|finding| finding["outcome"] == outcome).collect::<Vec<_>>();
    println!("hybrid: exit {code}, {} ok, skipped {:#?}", of("ok").len(), of("skipped"));
    let wrong: Vec<&Value> = findings.iter().filter(|finding| is_wrong(finding)).collect();
    assert_eq!((code, wrong), (0, Vec::new()));
    let proof = |findings: &[Value]| findings.iter().find(|finding| finding["code"] == "DP0601").unwrap().clone();
    assert_eq!(proof(&findings)["outcome"], "ok");

    let publication = names("users").publication;
    stage.sql(&format!("ALTER PUBLICATION \"{publication}\" DROP TABLE users")).await;
    stage.sql("DELETE FROM users WHERE id = 2").await;
    stage.sql(&format!("ALTER PUBLICATION \"{publication}\" ADD TABLE users")).await;
    let (code, findings) = verify(stage, &["--only", "data", "--repair", "--catch-up", "30s"]).await;
    let said = proof(&findings)["seen"].as_str().unwrap().to_owned();
    println!("{said}");
    assert!(code == 1 && said.contains("surplus 1,") && said.contains("no signal makes it write a delete"), "{said}");
}

/// A process's resident memory.
fn memory_mib(pid: u32) -> u64 {
    memory::of(pid).unwrap().resident_bytes >> 20
}

/// The native capture beside Debezium, on a slot of its own: what it would write is what Debezium has written.
async fn shadowed(stage: &Stage) {
    let mut command = stage.settings.command(&stage.servers, "shadow", "shadow").unwrap();
    command.args(["users", "--for", "4s"]);
    let shadow = tokio::task::spawn_blocking(move || command.output().unwrap());
    let slot = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'datapipe_shadow_users' AND active";
    eventually("the shadow to stream", PATIENCE, async || stage.number(slot).await == 1).await;
    for n in 0..20 {
        let sql = "INSERT INTO users (name) VALUES ('shadowed'); UPDATE users SET name = 'changed', id = id + 10000 \
                   WHERE name = 'shadowed'; DELETE FROM users WHERE name = 'changed' AND id > 10000";
        stage.sql(&format!("{sql}; SELECT {n}")).await;
    }
    let output = shadow.await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = told.lines().find(|line| line.contains("records alike")).unwrap_or_default();
    println!("{line}");
    assert!(output.status.success() && line.contains(" 0 differing"), "{}\n{told}", output.status);
    let left = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'datapipe_shadow_users'";
    assert_eq!(stage.number(left).await, 0, "its slot is gone");
}
