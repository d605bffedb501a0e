//! How long a record takes from being produced to being readable by a consumer of committed records, in
//! back-to-back transactions, and how fast the producer is in bulk.
//!
//! `cargo run --release --example latency_floor -- BOOTSTRAP [REST_MAX_US] [SECONDS]`
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, clippy::cast_precision_loss)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::too_many_lines)]

use std::time::{Duration, Instant};

use datapipe_core::port::log::{Record, Sent, TransactionalLog};
use datapipe_kafka::topics::{self, TopicSpec};
use datapipe_kafka::{KafkaConfig, ProducerSettings, TransactionalProducer};
use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

const RATE_PER_S: u32 = 1000;

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let bootstrap = args.first().expect("BOOTSTRAP is given").clone();
    let rest = Duration::from_micros(args.get(1).map_or(5000, |text| text.parse().unwrap()));
    let seconds: u64 = args.get(2).map_or(10, |text| text.parse().unwrap());
    let config = KafkaConfig::plaintext(bootstrap.as_str()).unwrap();
    let nonce = std::process::id();
    let (data, offsets) = (format!("floor-data-{nonce}"), format!("floor-offsets-{nonce}"));
    let specs = [TopicSpec::new(&data, 1, 1), TopicSpec::compacted(&offsets, 25, 1)];
    topics::ensure(&config, &specs).await.unwrap();

    let epoch = Instant::now();
    let reader = spawn_reader(bootstrap, &data, epoch, seconds);
    let mut settings =
        ProducerSettings::new(format!("floor-{nonce}"), &offsets, b"[\"c\",{\"server\":\"cdc\"}]".to_vec());
    settings.rest_max = rest;
    let mut producer = TransactionalProducer::new(config, settings.clone());
    producer.claim().await.unwrap();

    let total = u64::from(RATE_PER_S) * seconds;
    let mut sent = 0_u64;
    let mut commits = Vec::new();
    let start = Instant::now();
    while sent < total {
        let due = (start.elapsed().as_secs_f64() * f64::from(RATE_PER_S)) as u64;
        if due <= sent {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        // The age of a record counts from the moment it was due, not from when it was taken.
        for number in sent..due.min(total) {
            let at = (start - epoch).as_micros() as u64 + number * 1_000_000 / u64::from(RATE_PER_S);
            let mut value = vec![b'x'; 500];
            value[..8].copy_from_slice(&at.to_le_bytes());
            put(&mut producer, &data, &number.to_le_bytes(), &value).await;
        }
        sent = due.min(total);
        put(&mut producer, &offsets, &settings.progress_key, b"{\"lsn\":1}").await;
        let began = Instant::now();
        producer.commit().await.unwrap();
        commits.push(began.elapsed().as_micros() as u64);
    }
    let mut ages = reader.join().unwrap();
    println!("rest up to {rest:?}: {} Kafka transactions/s", commits.len() as u64 / seconds);
    show("commit()", &mut commits);
    show("produced -> readable", &mut ages);
}

async fn put(producer: &mut TransactionalProducer, topic: &str, key: &[u8], value: &[u8]) {
    let record = Record { topic, key: Some(key), value: Some(value), headers: &[] };
    while producer.send(record).unwrap() == Sent::Full {
        producer.room().await.unwrap();
    }
}

fn spawn_reader(bootstrap: String, topic: &str, epoch: Instant, seconds: u64) -> std::thread::JoinHandle<Vec<u64>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "floor")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "500")
        .create()
        .unwrap();
    let mut assignment = rdkafka::TopicPartitionList::new();
    assignment.add_partition(topic, 0);
    consumer.assign(&assignment).unwrap();
    std::thread::spawn(move || {
        let total = u64::from(RATE_PER_S) * seconds;
        let mut ages = Vec::new();
        while ages.len() < total as usize {
            if let Some(Ok(message)) = consumer.poll(Duration::from_secs(1)) {
                let value = message.payload().unwrap();
                let at = u64::from_le_bytes(value[..8].try_into().unwrap());
                ages.push((epoch.elapsed().as_micros() as u64).saturating_sub(at));
            }
        }
        // The first second is warming up.
        ages.split_off(RATE_PER_S as usize)
    })
}

fn show(name: &str, values: &mut [u64]) {
    values.sort_unstable();
    let at = |part: f64| values[((values.len() - 1) as f64 * part) as usize] as f64 / 1000.0;
    println!("{name}: p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, max {:.1} ms", at(0.5), at(0.9), at(0.99), at(1.0));
}
