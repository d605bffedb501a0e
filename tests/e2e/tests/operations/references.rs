//! References in connector configurations: whoever writes a configuration must not read the process' environment by it.

use datapipe_core::port::connect::{ConfigMap, ConnectStore as _};
use datapipe_e2e::clients;
use datapipe_e2e::process::{Settings, Worker};
use datapipe_e2e::stage::{PATIENCE, PG15, Stage, eventually, names};
use datapipe_kafka::KafkaConnectStore;

const TABLE: &str = "users";
const REFERENCE: &str = "${env:OTHER_PASSWORD}";
const SETTING: &str = "run.config_providers.env.allowlist_pattern";

/// A worker whose environment holds the password under another name too.
fn start(stage: &Stage, name: &str, more: &[(&str, &str)]) -> Worker {
    let more = more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let settings = Settings { tables: vec![TABLE.to_owned()], more, ..stage.settings.clone() };
    let mut command = settings.command(&stage.servers, "start", name).unwrap();
    command.env("OTHER_PASSWORD", stage.servers.stack.postgres().password());
    Worker::run(command, stage.root.path(), name, vec![settings.ports[0]]).unwrap()
}

async fn put(stage: &Stage, path: &str, config: &ConfigMap) -> (u16, String) {
    let url = format!("http://127.0.0.1:{}{path}", stage.settings.ports[0]);
    let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
    let answer = client.put(url).json(config).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn references_lead_only_where_they_may() {
    let stage = Stage::for_load(PG15).await;
    let names = names(TABLE);
    let path = format!("/connectors/{}/config", names.source_connector);
    let worker = start(&stage, "strict", &[]);
    stage.running(&[TABLE]).await;
    let (_, text) = stage.get(TABLE, &path).await.unwrap();
    let mut config: ConfigMap = serde_json::from_str(&text).unwrap();
    config.insert("database.password".to_owned(), REFERENCE.to_owned());
    let (code, words) = put(&stage, &path, &config).await;
    println!("{code} {words}");
    assert!(code == 400 && words.contains("database.password: ") && told(&stage, &words), "{code} {words}");

    // Whoever writes into the topic is not asked before.
    let kafka = clients::kafka(&stage.servers.stack).unwrap();
    let store = KafkaConnectStore::new(kafka, &names.configs_topic, &names.status_topic).unwrap();
    store.put_config(&names.source_connector, &config).await.unwrap();
    let failed = async || {
        let (found, trace) = stage.task(TABLE, "source").await.unwrap_or_default();
        found == "FAILED" && told(&stage, &trace)
    };
    eventually("the task to fail with the setting's name", PATIENCE, failed).await;
    worker.stop().await.unwrap();

    let worker = start(&stage, "open", &[(SETTING, "OTHER_.*")]);
    stage.running(&[TABLE]).await;
    let (code, words) = put(&stage, &path, &config).await;
    assert_eq!(code, 200, "{words}");
    stage.sql("INSERT INTO users (name) VALUES ('by another name')").await;
    stage.captured(&[TABLE], PATIENCE).await;
    let (_, text) = stage.get(TABLE, &path).await.unwrap();
    assert!(text.contains(REFERENCE), "{text}");
    worker.stop().await.unwrap();
    stage.end().await;
}

/// Whether words name the reference and the setting, and not the value.
fn told(stage: &Stage, words: &str) -> bool {
    let password = stage.servers.stack.postgres().password();
    words.contains(REFERENCE) && words.contains(SETTING) && !words.contains(password)
}
