//! Each kind of worker starts from what the other left in the internal topics. Never both at once.

use std::collections::BTreeMap;

use datapipe_core::convention::Names;
use datapipe_core::port::log::ReadRecord;
use datapipe_e2e::clients;
use datapipe_e2e::process::Worker;
use datapipe_e2e::stage::{PATIENCE, PG15, Stage, eventually};
use datapipe_e2e::topic;
use datapipe_kafka::topics::{self, TopicSpec};
use datapipe_kafka::{ReaderSettings, TopicReader};
use serde_json::{Value, json};

use crate::side::{Side, config, reference};

const RESTART: &str = "SELECT (restart_lsn - '0/0')::bigint";

/// Leaves a table alone until its slot needs nothing of the log any more up to its last change, and beyond.
async fn quiet(stage: &Stage, names: &Names) {
    let end = stage.end_of_log().await;
    let slot = &names.slot;
    let moved =
        format!("SELECT (restart_lsn >= '{end}')::int::bigint FROM pg_replication_slots WHERE slot_name = '{slot}'");
    eventually("the slot to move on", 2 * PATIENCE, async || {
        // A checkpoint writes which transactions are open: from there on a slot can start.
        stage.sql("CHECKPOINT").await;
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        stage.number(&moved).await == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_worker_reads_what_the_other_wrote() {
    let mut stage = Stage::for_load(PG15).await;
    stage.sql("INSERT INTO users (name) VALUES ('one'), ('two')").await;
    stage.settings.tables = vec!["users".to_owned()];
    // A JVM worker has the environment of this test, which holds no password.
    let secrets = stage.root.path().join("secrets.properties");
    std::fs::write(&secrets, format!("password={}\n", stage.servers.stack.postgres().password())).unwrap();
    let password = format!("${{file:{}:password}}", secrets.display());
    stage.settings.more.push(("postgres.password".to_owned(), password));
    let names = Names::derive("cdc", "public", "users").unwrap();
    let (source, sink) = (names.source_connector.as_str(), names.sink_connector.as_str());
    let of = |path: &str| format!("/connectors/{source}{path}");

    // What the native worker leaves: one connector stopped, one paused.
    let mut worker = Worker::start(&stage.servers, &stage.settings, "native").unwrap();
    worker.flows(PATIENCE).await.unwrap();
    let port = stage.settings.ports[0];
    let native = Side::new("native", format!("http://127.0.0.1:{port}"));
    native.until(source, "RUNNING", &["RUNNING"]).await;
    let running = native.get(&of("/tasks")).await;
    // A snapshot that is not finished would be begun anew by the other kind.
    native.until_holds(&of("/offsets"), |offsets| offsets["offsets"][0]["offset"].get("snapshot").is_none()).await;
    stage.sql("INSERT INTO users (name) VALUES ('while native')").await;
    native.until_holds(&of("/offsets"), |offsets| offsets["offsets"][0]["offset"]["txId"] != json!(0)).await;
    quiet(&stage, &names).await;
    tell(&native, source, "stop").await;
    native.until(source, "STOPPED", &[]).await;
    tell(&native, sink, "pause").await;
    native.until(sink, "PAUSED", &["PAUSED"]).await;
    let left = Left::settled(&native, source, sink).await;
    worker.stop().await.unwrap();

    let needed =
        stage.number(&format!("{} FROM pg_replication_slots WHERE slot_name = '{}'", RESTART, names.slot)).await;
    let offset = &left.offsets["offsets"][0]["offset"];
    println!("the slot needs the log from {needed} on, the last change was at {}", offset["lsn"]);
    assert!(needed > offset["lsn"].as_i64().unwrap(), "the table was not quiet for long enough");

    // A real Kafka Connect finds it so. Its heartbeats need a topic, which a native worker does not.
    let heartbeats = TopicSpec::new(format!("{}.cdc", names.heartbeat_prefix), 1, 1);
    topics::ensure(&clients::kafka(&stage.servers.stack).unwrap(), &[heartbeats]).await.unwrap();
    let mut theirs = reference(&stage, "users", None).await;
    let jvm = Side::new("reference", theirs.url());
    // It answers before it has read the topics.
    jvm.until_holds("/connectors", |names| names.as_array().is_some_and(|names| names.len() == 2)).await;
    jvm.until(source, "STOPPED", &[]).await;
    let found = Left::by(&jvm, source, sink).await;
    println!("left by the native worker, found by Kafka Connect: {}", found.offsets);
    assert_eq!((found.names, found.config, found.offsets), (left.names, left.config, left.offsets.clone()));
    assert_eq!(found.sink["config"], left.sink["config"]);
    assert_eq!(found.sink["tasks"], left.sink["tasks"], "a paused connector keeps its tasks");
    jvm.until_holds(&of("/topics"), |topics| topics[source]["topics"] == json!(["cdc.public.users"])).await;
    tell(&jvm, source, "resume").await;
    jvm.until(source, "RUNNING", &["RUNNING"]).await;
    assert_eq!(jvm.get(&of("/tasks")).await, running, "the task's configuration is the one that was on record");
    stage.sql("INSERT INTO users (name) VALUES ('three')").await;
    let goes_on = |offsets: &Value| offsets["offsets"][0]["offset"]["messageType"] == "INSERT";
    let found = jvm.until_holds(&of("/offsets"), goes_on).await;
    println!("Debezium went on from there: {found}");

    // A native worker does not join while the other kind is in the group.
    let newcomer = Worker::start(&stage.servers, &stage.settings, "newcomer").unwrap();
    native.up().await;
    let refused = newcomer_words(&newcomer).await;
    println!("a native worker beside a JVM one: {refused}");
    let answer = native.send("PUT", &of("/pause"), None, ("", "")).await;
    assert_eq!(answer.status, 409, "{}", answer.body);
    newcomer.stop().await.unwrap();

    // What the JVM worker leaves.
    tell(&jvm, source, "pause").await;
    jvm.until(source, "PAUSED", &["PAUSED"]).await;
    let mut second = config(&stage);
    second["slot.name"] = json!("another_slot");
    second["publication.name"] = json!(names.publication);
    second["topic.prefix"] = json!("cdc");
    let second = json!({ "name": "second", "config": second, "initial_state": "STOPPED" });
    assert_eq!(jvm.json("POST", "/connectors", &second).await.status, 201);
    jvm.until("second", "STOPPED", &[]).await;
    let left = Left::by(&jvm, source, sink).await;
    theirs.stop().await.unwrap();

    let worker = Worker::start(&stage.servers, &stage.settings, "native").unwrap();
    native.up().await;
    native.until(source, "PAUSED", &["PAUSED"]).await;
    native.until("second", "STOPPED", &[]).await;
    let found = Left::by(&native, source, sink).await;
    println!("left by Kafka Connect, found by the native worker: {}", found.offsets);
    assert_eq!((found.names, found.config, found.offsets), (left.names, left.config, left.offsets));
    assert_eq!(native.get(&of("/tasks")).await, running);

    // And goes on from there: what Debezium has sent is not sent again, what it has not seen is sent.
    stage.sql("INSERT INTO users (name) SELECT 'late ' || n FROM generate_series(1, 20) n").await;
    tell(&native, source, "resume").await;
    native.until(source, "RUNNING", &["RUNNING"]).await;
    stage.sql("INSERT INTO users (name) VALUES ('last')").await;
    let events = until_sent(&stage, &names, "[c] last").await;
    let count = |event: &str| events.get(event).copied().unwrap_or(0);
    for name in ["one", "two"] {
        assert_eq!(count(&format!("[r] {name}")), 1, "{events:?}");
    }
    for name in ["while native", "three", "late 1", "late 20", "last"] {
        assert_eq!(count(&format!("[c] {name}")), 1, "{events:?}");
    }
    println!("each event once, in the topic that both have written to: {} events", events.len());
    assert!(worker.words().contains("going on where another kind of worker stopped"), "{}", worker.words());
    worker.stop().await.unwrap();
    stage.end().await;
}

/// How often each event is in the data topic, once one of them is there.
async fn until_sent(stage: &Stage, names: &Names, last: &str) -> BTreeMap<String, u32> {
    let begun = std::time::Instant::now();
    loop {
        let config = clients::kafka(&stage.servers.stack).unwrap();
        let mut reader = TopicReader::new(&config, ReaderSettings::new(&names.data_topic, "datapipe-e2e")).unwrap();
        let mut events: BTreeMap<String, u32> = BTreeMap::new();
        let see = |record: ReadRecord<'_>| {
            let Some(value) = record.value else { return };
            let envelope: Value = serde_json::from_slice(value).unwrap();
            let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
            *events.entry(format!("[{}] {}", text(&envelope["op"]), text(&envelope["after"]["name"]))).or_default() +=
                1;
        };
        topic::read(&mut reader, 0, see).await.unwrap();
        if events.contains_key(last) {
            return events;
        }
        assert!(begun.elapsed() < PATIENCE, "no {last:?} in {events:?}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

/// What a worker shows of what is in the topics.
struct Left {
    names: Value,
    config: Value,
    offsets: Value,
    sink: Value,
}

impl Left {
    /// Once nothing moves any more: a task that ends stores how far it has come.
    async fn settled(side: &Side, source: &str, sink: &str) -> Self {
        let mut left = Self::by(side, source, sink).await;
        loop {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            let now = Self::by(side, source, sink).await;
            if now.offsets == left.offsets {
                return now;
            }
            left = now;
        }
    }

    async fn by(side: &Side, source: &str, sink: &str) -> Self {
        let mut names: Vec<_> = side.get("/connectors").await.as_array().unwrap().clone();
        names.sort_by_key(ToString::to_string);
        Self {
            names: json!(names),
            config: side.get(&format!("/connectors/{source}/config")).await,
            offsets: side.get(&format!("/connectors/{source}/offsets")).await,
            sink: side.get(&format!("/connectors/{sink}")).await,
        }
    }
}

/// As any client does, once more while the group has no owner yet.
async fn tell(side: &Side, name: &str, action: &str) {
    let begun = std::time::Instant::now();
    loop {
        let answer = side.send("PUT", &format!("/connectors/{name}/{action}"), None, ("", "")).await;
        if answer.status < 300 {
            return;
        }
        let may_change = answer.status == 409 && begun.elapsed() < PATIENCE;
        assert!(may_change, "{} {name} {action}: {} {}", side.name, answer.status, answer.body);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

/// The line of its log in which a worker says that the group refuses it.
async fn newcomer_words(worker: &Worker) -> String {
    let begun = std::time::Instant::now();
    loop {
        let words = worker.words();
        if let Some(line) = words.lines().find(|line| line.contains("worker failed") && line.contains("group")) {
            return line.to_owned();
        }
        assert!(begun.elapsed() < PATIENCE, "no word of the group in:\n{words}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
