//! Looking at one record without reading on.

use std::time::Duration;

use datapipe_core::port::log::{LogReader, RecordBatch, TransactionalLog};

use crate::{Bench, put};

#[tokio::test(flavor = "multi_thread")]
async fn a_peek_sees_the_first_record_and_leaves_the_reader_alone() {
    let bench = Bench::new("peek").await;
    let mut producer = bench.producer();
    producer.claim().await.unwrap();
    // Offsets: a 0, marker 1, b 2, marker 3.
    for value in ["a", "b"] {
        put(&mut producer, &bench.data, b"k", value.as_bytes()).await;
        producer.commit().await.unwrap();
    }
    let mut reader = bench.reader();
    let (enough, brief) = (Duration::from_secs(10), Duration::from_millis(500));
    for (from, offset, value) in [(1, 2, "b"), (0, 0, "a"), (2, 2, "b")] {
        let mut batch = RecordBatch::default();
        reader.peek(0, from, enough, &mut batch).await.unwrap();
        let first = batch.iter().next().unwrap();
        assert_eq!((first.offset, first.value), (offset, Some(value.as_bytes())), "from {from}");
        assert_eq!(reader.position(0), None, "nothing is read on from a peek");
        batch.clear();
        reader.poll(brief, &mut batch).await.unwrap();
        assert!(batch.is_empty());
    }

    let mut batch = RecordBatch::default();
    put(&mut producer, &bench.data, b"k", b"open").await;
    reader.peek(0, 4, brief, &mut batch).await.unwrap();
    assert!(batch.is_empty(), "a record of an open transaction is not there yet");
    producer.commit().await.unwrap();
    reader.peek(0, 4, enough, &mut batch).await.unwrap();
    assert_eq!(batch.iter().next().unwrap().value, Some(&b"open"[..]));
}
