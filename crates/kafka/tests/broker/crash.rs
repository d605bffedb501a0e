//! kill -9 of the broker in the middle of transactions: after the next claim nothing is lost or doubled.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use datapipe_core::port::ErrorKind;
use datapipe_core::port::log::{Record, Sent, TransactionalLog};
use datapipe_kafka::{KafkaConfig, TransactionalProducer};

use crate::{Bench, KEY, start_broker};

const RECORDS_PER_TRANSACTION: u64 = 50;

/// Sends numbered records and their count until something fails; returns the failure's kind.
async fn work(producer: &mut TransactionalProducer, bench: &Bench, mut next: u64, committed: &AtomicU64) -> ErrorKind {
    loop {
        for number in next..next + RECORDS_PER_TRANSACTION {
            let value = number.to_string();
            let record = Record { topic: &bench.data, key: Some(b"k"), value: Some(value.as_bytes()), headers: &[] };
            loop {
                match producer.send(record) {
                    Ok(Sent::Queued) => break,
                    Ok(Sent::Full) => {
                        if let Err(error) = producer.room().await {
                            return error.kind();
                        }
                    }
                    Err(error) => return error.kind(),
                }
            }
        }
        next += RECORDS_PER_TRANSACTION;
        let value = next.to_string();
        let record = Record { topic: &bench.offsets, key: Some(KEY), value: Some(value.as_bytes()), headers: &[] };
        if let Err(error) = producer.send(record) {
            return error.kind();
        }
        if let Err(error) = producer.commit().await {
            return error.kind();
        }
        committed.fetch_add(1, Ordering::Relaxed);
    }
}

async fn claim(producer: &mut TransactionalProducer) -> u64 {
    loop {
        match producer.claim().await {
            Ok(progress) => {
                return progress.map_or(0, |bytes| String::from_utf8(bytes.to_vec()).unwrap().parse().unwrap());
            }
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::Refused, "{}", error.report());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_the_broker_is_killed_in_mid_transaction() {
    kill_rounds(4).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "20 restarts of the broker take minutes: run with --ignored"]
async fn nothing_is_lost_or_doubled_over_twenty_kills() {
    kill_rounds(20).await;
}

async fn kill_rounds(rounds: u64) {
    let mut broker = start_broker().await;
    let bench = Bench::on(KafkaConfig::plaintext(broker.kafka.bootstrap()).unwrap(), "crash").await;
    let mut settings = bench.settings();
    settings.answer_max = Duration::from_secs(4);
    let mut producer = TransactionalProducer::new(bench.config.clone(), settings);
    let mut kinds = Vec::new();
    for round in 0..rounds {
        let begun = Instant::now();
        let next = claim(&mut producer).await;
        let claimed = begun.elapsed();
        let committed = AtomicU64::new(0);
        let killer = async {
            // A different place in the cycle of transactions each round, after a few have been committed.
            while committed.load(Ordering::Relaxed) < 3 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::time::sleep(Duration::from_micros(round * 1_700)).await;
            broker.kafka.kill().await.unwrap();
        };
        let (kind, ()) = tokio::join!(work(&mut producer, &bench, next, &committed), killer);
        assert!(matches!(kind, ErrorKind::Retry | ErrorKind::Ambiguous | ErrorKind::Fenced), "{kind:?}");
        kinds.push(kind);
        let failed = begun.elapsed();
        broker.kafka.resume().await.unwrap();
        println!(
            "round {round}: from {next}, claimed {claimed:?}, {kind:?} {failed:?}, broker back {:?}",
            begun.elapsed()
        );
    }
    let count = claim(&mut producer).await;
    let wanted: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    println!("{rounds} rounds, {count} records, {kinds:?}");
    assert!(count >= rounds * RECORDS_PER_TRANSACTION);
    assert_eq!(bench.values().await, wanted);
}
