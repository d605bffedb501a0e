//! What a worker tells on its tables' ports: Kafka Connect's answers, and metrics that move.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use datapipe_core::port::log::{GroupOffset, LogReader as _, Record, TransactionalLog as _};
use datapipe_e2e::servers::TABLES;
use datapipe_e2e::stage::{BUCKET, PATIENCE, PG15, Stage, eventually, names};
use datapipe_e2e::{clients, load, topic};
use datapipe_kafka::{ProducerSettings, ReaderSettings, TopicReader, TransactionalProducer};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

async fn json_at(stage: &Stage, table: &str, path: &str) -> (u16, Value) {
    let (status, body) = stage.get(table, path).await.unwrap_or_else(|| panic!("{table}: {path} is not answered"));
    (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("{table}: {path} is no JSON: {body}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_port_answers_as_kafka_connect_does() {
    let stage = Stage::for_load(PG15).await;
    load::fill(&stage.db, 100).await.unwrap();
    let plan = stage.settings.command(&stage.servers, "plan", "plan").unwrap().args(["-o", "json"]).output().unwrap();
    let plan: Value = serde_json::from_slice(&plan.stdout).unwrap();
    let worker = stage.worker("worker", &[], &[]);
    stage.running(&TABLES).await;
    for table in TABLES {
        let names = names(table);
        let (status, server) = json_at(&stage, table, "/").await;
        println!("{table}: {server}");
        assert_eq!(status, 200);
        assert_eq!(server["kafka_cluster_id"], stage.servers.stack.kafka().cluster_id());
        assert!(server["version"].as_str().unwrap().starts_with("4."), "the Kafka Connect that it stands for");
        assert!(!server["commit"].as_str().unwrap().is_empty());

        let (_, connectors) = json_at(&stage, table, "/connectors").await;
        assert_eq!(connectors, json!([names.source_connector, names.sink_connector]));
        let planned = plan["tables"].as_array().unwrap().iter().find(|one| one["names"]["table"] == table).unwrap();
        for (name, kind) in [(&names.source_connector, "source"), (&names.sink_connector, "sink")] {
            connector(&stage, table, name, kind, planned).await;
        }
        for path in ["/connectors/nobody", "/connectors/nobody/status", "/nowhere"] {
            let (status, body) = json_at(&stage, table, path).await;
            assert_eq!((status, &body["error_code"]), (404, &json!(404)), "{path}");
            assert!(!body["message"].as_str().unwrap().is_empty());
        }
    }
    worker.stop().await.unwrap();
    stage.end().await;
}

/// A connector's page and status: the planned configuration, secrets as references, one task, RUNNING.
async fn connector(stage: &Stage, table: &str, name: &str, kind: &str, planned: &Value) {
    let planned = planned["connectors"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
    let (status, page) = json_at(stage, table, &format!("/connectors/{name}")).await;
    assert_eq!((status, &page["name"], &page["type"]), (200, &json!(name), &json!(kind)));
    assert_eq!(page["tasks"], json!([{ "connector": name, "task": 0 }]));
    for (key, value) in planned["config"].as_object().unwrap() {
        assert_eq!(page["config"][key], *value, "{key} of {name}");
    }
    let secrets =
        page["config"].as_object().unwrap().values().filter(|value| value.as_str().unwrap().starts_with("${"));
    assert_eq!(secrets.count(), if kind == "source" { 1 } else { 2 }, "secrets of {name} are references");

    let (code, shown) = json_at(stage, table, &format!("/connectors/{name}/status")).await;
    assert_eq!((code, &shown["name"], &shown["type"]), (200, &json!(name), &json!(kind)));
    assert_eq!(shown["connector"]["state"], "RUNNING", "{shown}");
    assert_eq!((&shown["tasks"][0]["id"], &shown["tasks"][0]["state"]), (&json!(0), &json!("RUNNING")), "{shown}");
    let port = stage.settings.ports[TABLES.iter().position(|one| *one == table).unwrap()];
    assert!(shown["tasks"][0]["worker_id"].as_str().unwrap().ends_with(&format!(":{port}")), "{shown}");
}

/// The metrics that the documentation names.
fn documented() -> BTreeSet<&'static str> {
    let page = include_str!("../../../../docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    rows.flat_map(|names| names.split('`')).filter(|name| name.starts_with("datapipe_")).collect()
}

/// The least and the greatest value seen, by metric and table.
type Seen = BTreeMap<(String, String), (f64, f64)>;

/// Looks at all pages until told to stop.
async fn watch(ports: [u16; 4], stop: CancellationToken) -> Seen {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(2)).build().unwrap();
    let mut seen = Seen::new();
    while !stop.is_cancelled() {
        for port in ports {
            let Ok(response) = http.get(format!("http://127.0.0.1:{port}/metrics")).send().await else { continue };
            let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
            assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
            let Ok(page) = response.text().await else { continue };
            for line in page.lines().filter(|line| !line.starts_with('#')) {
                let (name, labels) = line.split_once('{').unwrap_or_else(|| panic!("no label in {line}"));
                let (labels, value) = labels.split_once("} ").unwrap();
                let (_, rest) = labels.split_once("table=\"").unwrap_or_else(|| panic!("no table in {line}"));
                let (slug, _) = rest.split_once('"').unwrap();
                assert!(
                    page.contains(&format!("# HELP {name} ")) && page.contains(&format!("# TYPE {name} ")),
                    "{name}"
                );
                let value: f64 = value.parse().unwrap();
                let range = seen.entry((name.to_owned(), slug.to_owned())).or_insert((value, value));
                *range = (range.0.min(value), range.1.max(value));
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    seen
}

const SCHEMA: &str = "(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, numbers int[])";

/// Every metric of the documentation is on every port and moves, and there is no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_is_there_and_moves() {
    let schema = TABLES.map(|table| {
        format!("CREATE TABLE {table} {SCHEMA}; INSERT INTO {table} (name) SELECT n FROM generate_series(1, 30000) n;")
    });
    let mut stage = Stage::new(PG15, &schema.concat()).await;
    let stop = CancellationToken::new();
    let watching: JoinHandle<Seen> = tokio::spawn(watch(stage.settings.ports, stop.clone()));

    let worker = stage.worker("worker", &[], &[]);
    stage.running(&TABLES).await;
    of_every_kind(&stage).await;
    stage.captured(&TABLES, PATIENCE).await;
    failures(&mut stage).await;
    stage.running(&TABLES).await;
    worker.stop().await.unwrap();
    a_step_back(&stage).await;
    let worker = stage.worker("worker", &[], &[]);
    stage.running(&TABLES).await;
    of_every_kind(&stage).await;
    stage.captured(&TABLES, PATIENCE).await;
    // What the worker sees of the servers around it is looked at every two seconds: the log must grow all the while, or a
    // stream that keeps up has no lag at each look.
    stage.sql("CREATE TABLE noise (text text)").await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        stage.sql("INSERT INTO noise SELECT repeat('x', 200) FROM generate_series(1, 2000)").await;
    }
    stop.cancel();
    let seen = watching.await.unwrap();
    worker.stop().await.unwrap();

    let documented = documented();
    let shown: BTreeSet<&str> = seen.keys().map(|(name, _)| name.as_str()).collect();
    assert_eq!(shown, documented, "shown, and documented");
    let mut still = Vec::new();
    for name in &documented {
        for slug in TABLES.map(|table| names(table).slug) {
            let (least, most) = seen[&((*name).to_owned(), slug.clone())];
            println!("{name} of {slug}: {least} to {most}");
            if most <= least {
                still.push(format!("{name} of {slug} stays {least}"));
            }
        }
    }
    assert!(still.is_empty(), "{still:#?}");
    println!("{} metrics of {} tables are there and move", documented.len(), TABLES.len());
    stage.end().await;
}

/// Rows, deletes, rows that have no form, and records in the topics that are none of ours.
async fn of_every_kind(stage: &Stage) {
    for _ in 0..20 {
        for table in TABLES {
            stage.sql(&format!("INSERT INTO {table} (name) SELECT 'row' FROM generate_series(1, 50)")).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let kafka = clients::kafka(&stage.servers.stack).unwrap();
    for table in TABLES {
        stage.sql(&format!("DELETE FROM {table} WHERE id = (SELECT max(id) FROM {table})")).await;
        stage.sql(&format!("INSERT INTO {table} (numbers) VALUES ('{{{{1,2}},{{3,4}}}}')")).await;
        let names = names(table);
        let settings = ProducerSettings::new("somebody-else", &names.offsets_topic, b"somebody else".to_vec());
        let mut producer = TransactionalProducer::new(kafka.clone(), settings);
        producer.claim().await.unwrap();
        let value: Option<&[u8]> = Some(b"no JSON");
        producer.send(Record { topic: &names.data_topic, key: None, value, headers: &[] }).unwrap();
        producer.commit().await.unwrap();
    }
}

/// Every task fails once, and comes back.
async fn failures(stage: &mut Stage) {
    stage.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active").await;
    stage.servers.stack.s3_mut().stop().await;
    for table in TABLES {
        stage.sql(&format!("INSERT INTO {table} (name) VALUES ('waits for S3')")).await;
    }
    for table in TABLES {
        for role in ["source", "sink"] {
            let metric = format!("datapipe_{role}_restarts_total");
            let failed = async || stage.metric(table, &metric).await.is_some_and(|restarts| restarts >= 1.0);
            eventually(&format!("the {role} of {table} to fail"), PATIENCE, failed).await;
        }
    }
    stage.servers.stack.s3_mut().resume().await.unwrap();
}

/// Each sink's group goes back to the end of its first object, as if the commits after it had been lost.
async fn a_step_back(stage: &Stage) {
    let (kafka, store) = (clients::kafka(&stage.servers.stack).unwrap(), clients::store(&stage.servers.stack, BUCKET));
    for table in TABLES {
        let names = names(table);
        let objects = topic::objects(&store, table, &names.data_topic).await.unwrap();
        assert!(objects.len() > 1, "{table} has one object only");
        let offset = GroupOffset { offset: objects[0].meta.next, note: objects[0].key.clone() };
        let settings = ReaderSettings::new(&names.data_topic, &names.sink_group);
        TopicReader::new(&kafka, settings).unwrap().commit(0, &offset).await.unwrap();
    }
}
