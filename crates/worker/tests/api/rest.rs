//! Everything else: the worker itself, plugins, loggers, topics, the `OpenAPI` document.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use datapipe_core::port::connect::{ActiveTopic, ConfigRecord, ConnectStore, StatusChange};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::bench::{Bench, SINK};

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_tells_what_it_is() {
    let bench = Bench::owner().await;
    let server = bench.client.server().await.unwrap();
    assert_eq!((server.version.as_str(), server.kafka_cluster_id.as_str()), ("4.3.1", "memory"));
    assert_eq!(bench.client.health().await.unwrap().status, "healthy");
    let plugins = bench.client.plugins(true).await.unwrap();
    assert_eq!(plugins.iter().map(|plugin| plugin.kind.as_str()).collect::<Vec<_>>(), ["sink", "source"]);
    assert!(bench.client.plugins(false).await.unwrap().iter().any(|plugin| plugin.kind == "predicate"));
    let keys = bench.client.plugin_config("PostgresConnector").await.unwrap();
    assert_eq!((keys[0].name.as_str(), keys[0].group.as_deref()), ("database.hostname", Some("CONNECTION")));
    assert!(keys.len() > 150, "{}", keys.len());
    let (status, _, document) = bench.ask("GET", "/openapi.json", None).await;
    assert_eq!((status, document["openapi"].as_str()), (200, Some("3.1.0")));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_are_set_for_one_worker_or_for_all() {
    let bench = Bench::owner().await;
    assert_eq!(bench.client.loggers().await.unwrap()["root"].level, "INFO");
    assert_eq!(bench.client.set_logger("datapipe_kafka", "debug").await.unwrap(), ["datapipe_kafka"]);
    assert_eq!(bench.client.logger("datapipe_kafka").await.unwrap().unwrap().level, "DEBUG");
    let path = "/admin/loggers/root";
    let (status, _, answer) = bench.ask("PUT", path, Some(r#"{"level":"LOUD"}"#)).await;
    assert_eq!((status, answer["message"].as_str()), (404, Some("invalid log level 'LOUD'.")));
    assert_eq!(bench.ask("PUT", path, Some("{}")).await.0, 400);
    let standby = bench.standby().await;
    assert_eq!(bench.ask("PUT", &format!("{path}?scope=cluster"), Some(r#"{"level":"warn"}"#)).await.0, 204);
    let level = ConfigRecord::LoggerLevel { logger: "root".to_owned(), level: "WARN".to_owned() };
    assert_eq!(bench.around.topics.records(), [level]);
    for worker in [&bench, &standby] {
        let warned = async |worker: &Bench| worker.client.logger("root").await.unwrap().unwrap().level == "WARN";
        worker.until("all of the group follow", warned).await;
    }
    bench.stop().await;
    standby.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_forgotten_on_demand() {
    let bench = Bench::owner().await;
    bench.make_sink().await;
    let active =
        ActiveTopic { name: "cdc.public.users".to_owned(), connector: SINK.to_owned(), task: 0, discover_timestamp: 1 };
    let (connector, topic) = (SINK.to_owned(), active.name.clone());
    bench.around.topics.put_status(&StatusChange::Topic { connector, topic, active: Some(active) }).await.unwrap();
    let told = async |bench: &Bench| bench.client.topics(SINK).await.unwrap() == ["cdc.public.users"];
    bench.until("the topic is told", told).await;
    assert_eq!(bench.ask("PUT", &format!("/connectors/{SINK}/topics/reset"), None).await.0, 202);
    assert_eq!(
        bench.ask("GET", &format!("/connectors/{SINK}/topics"), None).await.2,
        json!({ SINK: { "topics": [] } })
    );
    bench.stop().await;
}

/// A client that has sent half a request, and one whose request waits for something, do not keep the process.
#[tokio::test(flavor = "multi_thread")]
async fn open_requests_do_not_hold_up_the_end() {
    let bench = Bench::owner().await;
    let address = bench.base.strip_prefix("http://").unwrap();
    let mut half = tokio::net::TcpStream::connect(address).await.unwrap();
    half.write_all(b"POST /connectors HTTP/1.1\r\nHost: localhost\r\nContent-").await.unwrap();
    let mut body = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = "PUT /connectors/x/config HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Content-Length: 100\r\n\r\n{";
    body.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begun = Instant::now();
    bench.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    let mut answer = String::new();
    body.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("This worker is stopping"), "{answer}");
}

/// A broker that answers no more does not keep the process either, nor leave a request without an answer.
#[tokio::test(flavor = "multi_thread")]
async fn writes_that_are_not_answered_do_not_hold_up_the_end() {
    let bench = Bench::owner().await;
    bench.make_sink().await;
    bench.around.stuck.store(true, Ordering::Relaxed);
    let pause = bench.http.put(format!("{}/connectors/{SINK}/pause", bench.base));
    let pause = tokio::spawn(async move { pause.send().await.unwrap().status().as_u16() });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begun = Instant::now();
    bench.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(pause.await.unwrap(), 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_and_those_that_wait_get_their_turn() {
    let bench = Bench::owner().await;
    let address = bench.base.strip_prefix("http://").unwrap();
    let mut idle = Vec::new();
    for _ in 0..80 {
        idle.push(tokio::net::TcpStream::connect(address).await.unwrap());
    }
    let ask = async || {
        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    };
    assert!(tokio::time::timeout(Duration::from_millis(500), ask()).await.is_err(), "there was room for all");
    drop(idle);
    let answer = tokio::time::timeout(Duration::from_secs(10), ask()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    bench.stop().await;
}
