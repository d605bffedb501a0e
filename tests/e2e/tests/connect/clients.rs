//! Clients that others wrote, against the native worker: three published libraries, and curl.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use datapipe_core::convention::Names;
use datapipe_e2e::clients;
use datapipe_e2e::process::Worker;
use datapipe_e2e::stage::{PATIENCE, PG18, Stage};
use datapipe_e2e::traffic::SCHEMA;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// The class path of the Java client, by Maven.
fn class_path(stage: &Stage) -> String {
    let file = stage.root.path().join("classpath");
    let output = format!("-Dmdep.outputFile={}", file.display());
    run(Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(folder().join("pom.xml"))
        .args(["org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath", &output]));
    std::fs::read_to_string(file).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn published_clients_find_a_connect_worker() {
    let mut stage = Stage::new(PG18, SCHEMA).await;
    stage.settings.tables = vec!["users".to_owned()];
    let mut worker = Worker::start(&stage.servers, &stage.settings, "native").unwrap();
    worker.flows(PATIENCE).await.unwrap();
    let url = format!("http://localhost:{}", stage.settings.ports[0]);
    let source = Names::derive("cdc", "public", "users").unwrap().source_connector;

    let java = run(Command::new("java")
        .arg("-cp")
        .arg(class_path(&stage))
        .arg(folder().join("SourcelabClient.java"))
        .args([&url, &source, "made-by-java"]));
    println!("org.sourcelab:kafka-connect-client 4.0.4\n{java}");
    assert_eq!(java.lines().last(), Some("ok it is gone"));
    let first = run(Command::new(clients::python()).arg(folder().join("with_kafka_connect_py.py")).args([
        &url,
        &source,
        "made-by-python",
    ]));
    println!("kafka-connect-py 1.0.0\n{first}");
    assert_eq!(first.lines().last(), Some("ok it is gone"));
    let second =
        run(Command::new(clients::python()).arg(folder().join("with_kafka_connect_api.py")).args([&url, &source]));
    println!("kafka-connect-api 0.5.10\n{second}");
    assert_eq!(second.lines().last(), Some("ok loggers"));

    for (arguments, words) in curl(&url) {
        let answer = run(Command::new("curl").args(["--silent", "--show-error", "--include"]).args(&arguments));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        println!(
            "curl {} -> {} {}",
            arguments.join(" "),
            head.lines().next().unwrap_or_default(),
            body.chars().take(80).collect::<String>()
        );
        assert!(answer.contains(words), "curl {arguments:?}: {words:?} is missing in {answer}");
    }
    worker.stop().await.unwrap();
    stage.end().await;
}

/// The lines of this architecture's own documentation, and the kinds of requests that Kafka Connect's documentation has
/// as examples; and what the answer must hold.
fn curl(url: &str) -> Vec<(Vec<String>, &'static str)> {
    let source = format!("{url}/connectors/postgres-cdc-users-connector");
    let json = "Content-Type: application/json";
    let made = r#"{"name": "by-curl", "initial_state": "STOPPED", "config": {"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1"}}"#;
    let offsets = r#"{"offsets": [{"partition": {"server": "nobody"}, "offset": {"lsn": 1}}]}"#;
    let lines: Vec<(Vec<&str>, &'static str)> = vec![
        (vec!["{url}/"], "\"kafka_cluster_id\""),
        (vec!["{url}/connectors"], "\"postgres-cdc-users-connector\""),
        (vec!["{source}/status"], "\"RUNNING\""),
        (vec!["{url}/connectors/s3-sink-users-connector/status"], "\"type\":\"sink\""),
        (vec!["{url}/health"], "\"healthy\""),
        (vec!["{url}/connectors?expand=status&expand=info"], "\"info\""),
        (vec!["-X", "POST", "-H", json, "--data", made, "{url}/connectors"], "HTTP/1.1 400"),
        (vec!["-X", "PUT", "-H", json, "--data", "{}", "{url}/connectors/nobody/config"], "HTTP/1.1 400"),
        (vec!["{url}/connectors/nobody"], "HTTP/1.1 404"),
        (vec!["-X", "POST", "{source}/restart?includeTasks=true&onlyFailed=true"], "HTTP/1.1 202"),
        (vec!["{source}/offsets"], "\"server\":\"cdc\""),
        (vec!["-X", "PATCH", "-H", json, "--data", offsets, "{source}/offsets"], "HTTP/1.1 400"),
        (vec!["-X", "PUT", "{source}/stop"], "HTTP/1.1 204"),
        (vec!["-X", "PUT", "{source}/resume"], "HTTP/1.1 202"),
        (vec!["{url}/connector-plugins"], "\"version\""),
        (vec!["-s", "{url}/admin/loggers"], "\"root\""),
        (
            vec![
                "-s",
                "-X",
                "PUT",
                "-H",
                json,
                "--data",
                r#"{"level": "DEBUG"}"#,
                "{url}/admin/loggers/datapipe_engine",
            ],
            "datapipe_engine",
        ),
    ];
    let fill = |text: &str| text.replace("{source}", &source).replace("{url}", url);
    lines.into_iter().map(|(line, words)| (line.into_iter().map(fill).collect(), words)).collect()
}
