//! kill -9 of the broker in the middle of transactions: after the next claim nothing is lost or doubled.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use datapipe_core::port::ErrorKind;
use datapipe_core::port::log::{Record, Sent, TransactionalLog};
use datapipe_kafka::{KafkaConfig, TransactionalProducer};

use crate::{Bench, KEY, start_broker};

const RECORDS_PER_TRANSACTION: u64 = 50;
/// The broker is killed after so many transactions.
const COMMITTED_FIRST: u64 = 3;
/// How long a transaction stays open for that.
const OPEN: Duration = Duration::from_millis(300);

/// What a worker shows of itself.
#[derive(Default)]
struct Shown {
    committed: AtomicU64,
    /// Whether it has records in an open transaction, and is not about to end it.
    inside: AtomicBool,
}

/// Sends numbered records and their count until something fails; returns the failure's kind. After a few each
/// transaction stays open for a while, so that the broker can be killed inside of it.
///
/// It must not be killed while a transaction ends: Kafka 4.3.1 then loses how it ended. The broker that starts still leads its
/// partitions by what it has on record, cannot reach itself, and is then fenced; a partition without a leader passes for a
/// deleted one (`KRaftMetadataCache.getPartitionLeaderEndpoint` finds none), and its marker is skipped.
async fn work(producer: &mut TransactionalProducer, bench: &Bench, mut next: u64, shown: &Shown) -> ErrorKind {
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
        if shown.committed.load(Ordering::Relaxed) >= COMMITTED_FIRST {
            // The first record is taken only after the last transaction's markers are written.
            tokio::time::sleep(OPEN / 2).await;
            shown.inside.store(true, Ordering::Relaxed);
            tokio::time::sleep(OPEN).await;
            shown.inside.store(false, Ordering::Relaxed);
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
        shown.committed.fetch_add(1, Ordering::Relaxed);
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
        let shown = Shown::default();
        let killer = async {
            while !shown.inside.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // A different place each round.
            tokio::time::sleep(Duration::from_micros(round * 1_700)).await;
            broker.kafka.kill().await.unwrap();
        };
        let (kind, ()) = tokio::join!(work(&mut producer, &bench, next, &shown), killer);
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
