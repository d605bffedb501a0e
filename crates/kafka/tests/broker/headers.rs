//! Headers come with records only if they are asked for.

use std::time::Duration;

use datapipe_core::port::log::{Header, LogReader, Record, RecordBatch, Sent, TransactionalLog};
use datapipe_kafka::{ReaderSettings, TopicReader};

use crate::{Bench, put};

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_read_if_they_are_asked_for() {
    let bench = Bench::new("headers").await;
    let mut producer = bench.producer();
    producer.claim().await.unwrap();
    let headers =
        [Header { name: "a", value: b"1" }, Header { name: "b", value: b"" }, Header { name: "a", value: b"2" }];
    let record = Record { topic: &bench.data, key: Some(b"k"), value: Some(b"with"), headers: &headers };
    assert_eq!(producer.send(record).unwrap(), Sent::Queued);
    put(&mut producer, &bench.data, b"k", b"without").await;
    producer.commit().await.unwrap();
    for asked in [true, false] {
        let mut settings = ReaderSettings::new(&bench.data, format!("connect-s3-sink-{}", bench.name));
        settings.headers = asked;
        let mut reader = TopicReader::new(&bench.config, settings).unwrap();
        reader.seek(0, 0).await.unwrap();
        let mut batch = RecordBatch::default();
        while batch.len() < 2 {
            reader.poll(Duration::from_secs(10), &mut batch).await.unwrap();
        }
        let read: Vec<Vec<_>> = batch.iter().map(|record| record.headers.iter().collect()).collect();
        let expected = vec![("a", Some(&b"1"[..])), ("b", Some(&b""[..])), ("a", Some(&b"2"[..]))];
        assert_eq!(read, [if asked { expected } else { Vec::new() }, Vec::new()], "asked: {asked}");
    }
}
