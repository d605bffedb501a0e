//! Reading: positions past markers, group offsets, bounds, seeks.

use std::time::Duration;

use datapipe_core::port::ErrorKind;
use datapipe_core::port::log::{GroupOffset, LogReader, RecordBatch, TransactionalLog};
use datapipe_kafka::topics::{self, TopicSpec};
use datapipe_kafka::{identity, lag, partition_of};

use crate::{Bench, put};

const WAIT: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn positions_pass_markers_and_aborted_records() {
    let bench = Bench::new("markers").await;
    let mut producer = bench.producer();
    producer.claim().await.unwrap();
    for value in ["a", "b"] {
        put(&mut producer, &bench.data, b"k", value.as_bytes()).await;
    }
    producer.commit().await.unwrap();
    put(&mut producer, &bench.data, b"k", b"aborted").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    // Claiming aborts; offsets: a 0, b 1, marker 2, aborted 3, marker 4.
    producer.claim().await.unwrap();
    let mut reader = bench.reader();
    assert_eq!(reader.position(0), None);
    assert_eq!(reader.bounds(0).await.unwrap(), (0, 5), "a claim ends after the markers are written");
    reader.seek(0, 0).await.unwrap();
    assert_eq!(reader.position(0), Some(0));
    let mut batch = RecordBatch::default();
    reader.poll(Duration::from_secs(10), &mut batch).await.unwrap();
    let offsets: Vec<i64> = batch.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, [0, 1]);
    batch.clear();
    reader.poll(WAIT, &mut batch).await.unwrap();
    assert_eq!((batch.len(), reader.position(0)), (0, Some(5)));

    // A transaction with nothing for this partition leaves it alone; the next record starts behind the markers.
    put(&mut producer, &bench.data, b"k", b"c").await;
    producer.commit().await.unwrap();
    reader.poll(Duration::from_secs(10), &mut batch).await.unwrap();
    assert_eq!(batch.iter().map(|record| record.offset).collect::<Vec<_>>(), [5]);

    // Seeking back and forth gives exactly what lies there.
    for from in [0, 5, 1, 6, 3, 0] {
        batch.clear();
        reader.seek(0, from).await.unwrap();
        while batch.iter().last().is_none_or(|record| record.offset < 5) {
            let before = batch.len();
            reader.poll(Duration::from_secs(2), &mut batch).await.unwrap();
            if batch.len() == before {
                break;
            }
        }
        let found: Vec<i64> = batch.iter().map(|record| record.offset).collect();
        let wanted: Vec<i64> = [0, 1, 5].into_iter().filter(|offset| *offset >= from).collect();
        assert_eq!(found, wanted, "from {from}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_is_not_read_and_does_not_move_the_position() {
    let bench = Bench::new("open").await;
    let mut producer = bench.producer();
    producer.claim().await.unwrap();
    put(&mut producer, &bench.data, b"k", b"a").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut reader = bench.reader();
    reader.seek(0, 0).await.unwrap();
    let mut batch = RecordBatch::default();
    reader.poll(WAIT, &mut batch).await.unwrap();
    assert_eq!((batch.len(), reader.position(0)), (0, Some(0)));
    assert_eq!(reader.bounds(0).await.unwrap(), (0, 0));
    producer.commit().await.unwrap();
    reader.poll(Duration::from_secs(5), &mut batch).await.unwrap();
    assert_eq!(batch.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_offset_and_its_note_round_trip() {
    let bench = Bench::new("note").await;
    let mut reader = bench.reader();
    assert_eq!(reader.committed(0).await.unwrap(), None);
    let offset = GroupOffset { offset: 17, note: format!("table=users/{}.jsonl.gz", "x".repeat(1000)) };
    reader.commit(0, &offset).await.unwrap();
    assert_eq!(bench.reader().committed(0).await.unwrap(), Some(offset));
    let without = GroupOffset { offset: 3, note: String::new() };
    reader.commit(0, &without).await.unwrap();
    assert_eq!(reader.committed(0).await.unwrap(), Some(without));
    let long = GroupOffset { offset: 3, note: "x".repeat(1025) };
    assert_eq!(reader.commit(0, &long).await.unwrap_err().kind(), ErrorKind::Refused);
    let watch = lag::LagWatch::new(&bench.config, &bench.data, format!("connect-s3-sink-{}", bench.name)).unwrap();
    let lag = watch.look().await.unwrap();
    assert_eq!((lag.len(), lag[0].committed, lag[0].end, lag[0].offsets()), (1, Some(3), 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_that_is_gone_is_refused_with_words() {
    let bench = Bench::new("gone").await;
    let mut reader = bench.reader();
    reader.seek(0, 1000).await.unwrap();
    let mut batch = RecordBatch::default();
    let error = reader.poll(Duration::from_secs(10), &mut batch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{}", error.report());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_who_it_is_and_unknown_topics_are_refused() {
    let bench = Bench::new("identity").await;
    let identity = bench.reader().identity().await.unwrap();
    assert_eq!((identity.topic.as_str(), identity.partitions), (bench.data.as_str(), 1));
    assert_eq!(identity.cluster_id, identity::cluster_id(&bench.config).await.unwrap());
    let missing = datapipe_kafka::ReaderSettings::new("no-such-topic", "g");
    let mut reader = datapipe_kafka::TopicReader::new(&bench.config, missing).unwrap();
    let error = reader.identity().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{}", error.report());
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_created_once_and_compared_afterwards() {
    let bench = Bench::new("topics").await;
    let specs =
        [TopicSpec::new(&bench.data, 1, 1).with("retention.ms", "1"), TopicSpec::compacted(&bench.offsets, 5, 1)];
    let report = topics::ensure(&bench.config, &specs).await.unwrap();
    assert_eq!((report.created.len(), report.existing.len()), (0, 2));
    let differing: Vec<&str> = report.differing.iter().map(|difference| difference.what.as_str()).collect();
    assert_eq!(differing, ["retention.ms", "partitions"]);
    let deleting = TopicSpec::new(&bench.offsets, 25, 1).with("cleanup.policy", "delete");
    let error = topics::ensure(&bench.config, &[deleting]).await.unwrap_err();
    assert!(error.report().contains("cleanup.policy is compact, where delete is needed"), "{}", error.report());
    let impossible = TopicSpec::new("impossible", 1, 3);
    for rehearsal in [true, false] {
        let impossible = std::slice::from_ref(&impossible);
        let error = topics::create_and_compare(&bench.config, impossible, rehearsal).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{}", error.report());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_says_what_would_be_created_and_creates_nothing() {
    let bench = Bench::new("rehearsal").await;
    let new = format!("{}-new", bench.data);
    let specs = [TopicSpec::compacted(&bench.offsets, 25, 1), TopicSpec::compacted(&new, 1, 1)];
    for rehearsal in [true, true, false] {
        let report = topics::create_and_compare(&bench.config, &specs, rehearsal).await.unwrap();
        assert_eq!((&report.created[..], report.existing.len()), (std::slice::from_ref(&new), 1), "{rehearsal}");
    }
    let report = topics::create_and_compare(&bench.config, &specs, true).await.unwrap();
    assert_eq!((report.created.len(), report.existing.len()), (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_finds_keys_where_murmur2_says() {
    let bench = Bench::new("partitions").await;
    let mut producer = bench.producer();
    producer.claim().await.unwrap();
    let keys: Vec<String> = (0..100).map(|number| format!("{{\"id\":{number}}}")).collect();
    for key in &keys {
        put(&mut producer, &bench.offsets, key.as_bytes(), b"x").await;
    }
    producer.commit().await.unwrap();
    let settings = datapipe_kafka::ReaderSettings::new(&bench.offsets, "partitions");
    let mut reader = datapipe_kafka::TopicReader::new(&bench.config, settings).unwrap();
    for partition in 0..25 {
        reader.seek(partition, 0).await.unwrap();
    }
    let mut batch = RecordBatch::default();
    while batch.len() < keys.len() {
        reader.poll(Duration::from_secs(10), &mut batch).await.unwrap();
    }
    for record in batch.iter() {
        assert_eq!(record.partition, partition_of(record.key.unwrap(), 25));
    }
}
