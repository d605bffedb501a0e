//! A real Kafka Connect worker with Debezium.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests: a failure is a panic, figures are printed"
)]

use datapipe_embedded::{
    CONNECT_VERSION, Cache, ConnectOptions, ConnectWorker, Debezium, Kafka, KafkaOptions, Progress,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The body of `GET path`.
async fn get(worker: &ConnectWorker, path: &str) -> String {
    let address = worker.url().strip_prefix("http://").unwrap().to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_has_debezium_and_comes_back_after_kill_and_stop() {
    let root = tempfile::tempdir().unwrap();
    let progress = Progress::new(|line| println!("{line}"));
    let cache = Cache::of_user();
    let mut kafka = Kafka::start(&root.path().join("kafka"), KafkaOptions::default(), &cache, &progress).await.unwrap();
    let options = ConnectOptions::new(kafka.bootstrap(), "users");
    let mut worker = ConnectWorker::start(&root.path().join("connect"), options, &cache, &progress)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let about = get(&worker, "/").await;
    assert!(about.contains(CONNECT_VERSION) && about.contains(kafka.cluster_id()), "{about}");
    let plugins = get(&worker, "/connector-plugins?connectorsOnly=false").await;
    for part in [
        "io.debezium.connector.postgresql.PostgresConnector",
        Debezium::default().version(),
        "io.debezium.transforms.ExtractNewRecordState",
        "org.apache.kafka.connect.transforms.RegexRouter",
        "org.apache.kafka.connect.file.FileStreamSinkConnector",
    ] {
        assert!(plugins.contains(part), "{part} is missing in {plugins}");
    }
    let url = worker.url();
    worker.kill().await.unwrap();
    assert_eq!(worker.pid(), None);
    worker.resume().await.unwrap();
    assert_eq!((worker.url(), get(&worker, "/connectors").await.as_str()), (url, "[]"));
    worker.stop().await.unwrap();
    kafka.stop().await.unwrap();
}
