//! Secrets are shown nowhere: the servers' own passwords are the canaries.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use datapipe_core::port::connect::ConnectStore as _;
use datapipe_core::port::log::LogReader as _;
use datapipe_e2e::load::{self, Load};
use datapipe_e2e::process::Worker;
use datapipe_e2e::servers::TABLES;
use datapipe_e2e::stage::{PATIENCE, PG15, Stage, eventually, names};
use datapipe_e2e::{clients, topic};
use datapipe_kafka::topics::{self, TopicSpec};
use datapipe_kafka::{KafkaConnectStore, ReaderSettings, TopicReader};

/// Secrets that somebody wrote in clear into a connector's configuration.
const IN_CLEAR: [&str; 2] = ["canary-database-password", "canary-secret-access-key"];
/// Secrets that are wrong, and lead to errors.
const WRONG: [&str; 2] = ["canary-wrong-password", "canary-wrong-secret-key"];

/// Texts in which no canary may be, by where they come from.
#[derive(Default)]
struct Searched(BTreeMap<String, String>);

impl Searched {
    fn add(&mut self, from: impl Into<String>, text: impl Into<String>) {
        self.0.insert(from.into(), text.into());
    }

    /// A search that finds nothing must have had something to find: `control` stands in some of these texts.
    fn holds(&self, from: &str, control: &str) {
        let found = self.0.iter().any(|(name, text)| name.starts_with(from) && text.contains(control));
        assert!(found, "nothing from {from} holds {control:?}: the search looks at the wrong place");
    }

    fn holds_none(&self, canaries: &[&str]) {
        for (from, text) in &self.0 {
            for canary in canaries {
                assert!(!canary.is_empty());
                let line = text.lines().find(|line| line.contains(canary));
                assert_eq!(line, None, "{from} shows a secret");
            }
        }
        let bytes: usize = self.0.values().map(String::len).sum();
        println!("{} texts of {bytes} bytes hold none of {} secrets", self.0.len(), canaries.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_shown_anywhere() {
    let mut stage = Stage::for_load(PG15).await;
    let mut searched = Searched::default();
    load::fill(&stage.db, 500).await.unwrap();
    refusals(&stage, &mut searched);
    connector_in_clear(&stage).await;

    let mut command = stage.settings.command(&stage.servers, "start", "worker").unwrap();
    command.env("DATAPIPE_LOG", "debug");
    let ports = stage.settings.ports.to_vec();
    let mut worker = Worker::run(command, stage.root.path(), "worker", ports).unwrap();
    worker.flows(PATIENCE).await.unwrap();
    let loads = Load::start(&stage.servers, 41, true).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    troubles(&mut stage).await;
    pages(&stage, &mut searched).await;
    stage.running(&TABLES).await;
    loads.end().await.unwrap();
    pages(&stage, &mut searched).await;
    worker.stop().await.unwrap();
    searched.add("log", std::fs::read_to_string(stage.root.path().join("worker.log")).unwrap());
    plans(&stage, &mut searched);
    internal_topics(&stage, &mut searched).await;

    searched.holds("log", " DEBUG ");
    searched.holds("log", "task failed: ");
    searched.holds("plan", "${env:PGPASSWORD}");
    searched.holds("REST", "${env:AWS_SECRET_ACCESS_KEY}");
    searched.holds("REST", "com.example.Foreign");
    searched.holds("topic connect-configs", "${env:PGPASSWORD}");
    searched.holds("topic connect-offsets", "debezium_slot_users");
    searched.holds("topic connect-status", "RUNNING");
    searched.holds("refusal", "password");
    let (postgres, s3) = (stage.servers.stack.postgres(), stage.servers.stack.s3());
    let own = [postgres.password(), s3.secret_key(), WRONG[0], WRONG[1]];
    searched.holds_none(&own);
    // Whoever wrote secrets in clear into the topic can read them there, and nowhere else.
    searched.0.retain(|from, _| !from.starts_with("topic connect-configs"));
    searched.holds_none(&IN_CLEAR);
    stage.end().await;
}

/// A connector of a class that nobody here serves, with its secrets in clear.
async fn connector_in_clear(stage: &Stage) {
    let (kafka, names) = (clients::kafka(&stage.servers.stack).unwrap(), names("users"));
    let compacted = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
    let spec = TopicSpec { name: names.configs_topic.clone(), partitions: 1, replication: 1, configs: compacted };
    topics::ensure(&kafka, &[spec]).await.unwrap();
    let config = [
        ("connector.class", "com.example.Foreign"),
        ("database.password", IN_CLEAR[0]),
        ("aws.secret.access.key", IN_CLEAR[1]),
    ];
    let config = config.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
    let store = KafkaConnectStore::new(kafka, &names.configs_topic, &names.status_topic).unwrap();
    store.put_config("foreign", &config).await.unwrap();
}

fn output(mut command: Command) -> String {
    let output = command.env("DATAPIPE_LOG", "debug").output().unwrap();
    format!("{}\n{}", String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// Starts that are refused: secrets that are wrong, and secrets that stand where references belong.
fn refusals(stage: &Stage, searched: &mut Searched) {
    let start = || stage.settings.command(&stage.servers, "start", "refused").unwrap();
    let mut wrong = start();
    wrong.env("PGPASSWORD", WRONG[0]).env("AWS_SECRET_ACCESS_KEY", WRONG[1]);
    let words = output(wrong);
    assert!(words.contains("password authentication failed") && words.contains("s3.bucket"), "{words}");
    searched.add("refusal of wrong secrets", words);
    let url = format!("postgres.url=postgres://datapipe:{}@127.0.0.1:5432/postgres", WRONG[0]);
    let password = format!("postgres.password={}", WRONG[0]);
    let secret = format!("s3.secret_access_key={}", WRONG[1]);
    for setting in [url, password, secret] {
        let key = setting.split('=').next().unwrap().to_owned();
        let mut command = start();
        command.args(["--set", &setting]);
        let words = output(command);
        println!("{words}");
        assert!(words.contains(&key), "{words}");
        searched.add(format!("refusal of {key}"), words);
    }
}

/// Streams that are cut, a role whose password is another one now, and a store that is away: errors in logs and traces.
async fn troubles(stage: &mut Stage) {
    let (role, password) =
        (stage.servers.stack.postgres().user(), stage.servers.stack.postgres().password().to_owned());
    stage.sql(&format!("ALTER ROLE {role} PASSWORD 'another one'")).await;
    stage.servers.stack.s3_mut().stop().await;
    stage.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active").await;
    let refused = async || {
        let task = stage.task("users", "source").await;
        task.is_some_and(|(state, trace)| state == "FAILED" && trace.contains("password authentication failed"))
    };
    eventually("the password to be refused", PATIENCE, refused).await;
    let away = async || stage.task("users", "sink").await.is_some_and(|(state, _)| state == "FAILED");
    eventually("the sink to fail", PATIENCE, away).await;
    stage.sql(&format!("ALTER ROLE {role} PASSWORD '{password}'")).await;
    stage.servers.stack.s3_mut().resume().await.unwrap();
}

/// All pages of all ports.
async fn pages(stage: &Stage, searched: &mut Searched) {
    for table in TABLES {
        let names = names(table);
        let mut paths = vec!["/".to_owned(), "/connectors".to_owned(), "/metrics".to_owned()];
        for connector in [names.source_connector.as_str(), names.sink_connector.as_str(), "foreign"] {
            paths.extend([format!("/connectors/{connector}"), format!("/connectors/{connector}/status")]);
        }
        for path in paths {
            let (_, body) = stage.get(table, &path).await.unwrap();
            searched.add(format!("REST {table} {path} {}", searched.0.len()), body);
        }
    }
}

fn plans(stage: &Stage, searched: &mut Searched) {
    for form in ["table", "json", "yaml"] {
        let mut command = stage.settings.command(&stage.servers, "plan", "plan").unwrap();
        command.args(["-o", form]);
        searched.add(format!("plan -o {form}"), output(command));
    }
}

async fn internal_topics(stage: &Stage, searched: &mut Searched) {
    let kafka = clients::kafka(&stage.servers.stack).unwrap();
    for table in TABLES {
        let names = names(table);
        for topic in [names.configs_topic, names.offsets_topic, names.status_topic, names.dead_letter_topic] {
            let mut reader = TopicReader::new(&kafka, ReaderSettings::new(&topic, "datapipe-e2e")).unwrap();
            let mut text = String::new();
            for partition in 0..reader.identity().await.unwrap().partitions {
                let part = |part: Option<&[u8]>| String::from_utf8_lossy(part.unwrap_or_default()).into_owned() + "\n";
                let take = |record: datapipe_core::port::log::ReadRecord<'_>| {
                    text.extend([part(record.key), part(record.value)]);
                };
                topic::read(&mut reader, partition, take).await.unwrap();
            }
            searched.add(format!("topic {topic}"), text);
        }
    }
}
