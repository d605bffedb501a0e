//! The contract of [`TransactionalLog`] and [`LogReader`].

use std::time::Duration;

use datapipe_core::port::ErrorKind;
use datapipe_core::port::log::{Committed, GroupOffset, LogReader, Record, RecordBatch, Sent, TransactionalLog};

/// How long one record may take.
const LIMIT: Duration = Duration::from_secs(20);
/// How often a reader is asked before records count as missing.
const POLLS_MAX: usize = 200;

/// Runs the suite with two writers of one transactional id and a reader of `data_topic`, which has one partition and
/// no records. Progress goes to `offsets_topic` under `offsets_key`.
pub async fn suite(
    first: &mut dyn TransactionalLog,
    second: &mut dyn TransactionalLog,
    reader: &mut dyn LogReader,
    (data_topic, offsets_topic, offsets_key): (&str, &str, &[u8]),
) {
    let data = |value| Record { topic: data_topic, key: Some(b"k"), value: Some(value), headers: &[] };
    let progress = |value| Record { topic: offsets_topic, key: Some(offsets_key), value: Some(value), headers: &[] };

    assert_eq!(first.claim().await.expect("a claim"), None, "no progress is stored");
    for record in [data(b"one"), data(b"two"), progress(b"{\"at\":2}")] {
        send(first, record).await;
    }
    assert_eq!(first.commit().await.expect("a commit"), Committed::Yes);
    reader.seek(0, 0).await.expect("a seek");
    assert_eq!(read(reader, 2).await, ["one", "two"], "committed records are read, in order");

    send(first, data(b"lost")).await;
    let stored = second.claim().await.expect("a second claim");
    assert_eq!(stored.as_deref(), Some(&b"{\"at\":2}"[..]), "the claim reads what was committed");
    let zombie = first.commit().await.expect_err("the first owner is fenced");
    assert_eq!(zombie.kind(), ErrorKind::Fenced, "{}", zombie.report());
    for record in [data(b"three"), progress(b"{\"at\":3}")] {
        send(second, record).await;
    }
    assert_eq!(second.commit().await.expect("a commit"), Committed::Yes);
    assert_eq!(read(reader, 1).await, ["three"], "what the fenced owner sent is never read");

    let mut batch = RecordBatch::default();
    reader.peek(0, 0, LIMIT, &mut batch).await.expect("a peek");
    let first = batch.iter().next().map(|record| (record.offset, record.value.map(<[u8]>::to_vec)));
    assert_eq!(first, Some((0, Some(b"one".to_vec()))), "a peek gives the record at its offset");
    batch.clear();
    second.tail(data_topic, 100, &mut batch).await.expect("the end of a topic");
    assert_eq!(texts(&batch), ["one", "two", "three"], "what is committed, and nothing of the fenced owner");

    let offset = GroupOffset { offset: 2, note: "a/key".to_owned() };
    reader.commit(0, &offset).await.expect("a group offset");
    assert_eq!(reader.committed(0).await.expect("a look"), Some(offset), "offset and note are kept");
    let (start, end) = reader.bounds(0).await.expect("a look");
    assert!(start == 0 && end >= 3, "{start}..{end}");
}

async fn send(log: &mut dyn TransactionalLog, record: Record<'_>) {
    while log.send(record).expect("a record is taken") == Sent::Full {
        log.room().await.expect("room");
    }
}

async fn read(reader: &mut dyn LogReader, count: usize) -> Vec<String> {
    let mut batch = RecordBatch::default();
    for _ in 0..POLLS_MAX {
        if batch.len() >= count {
            break;
        }
        reader.poll(Duration::from_millis(100), &mut batch).await.expect("a poll");
    }
    texts(&batch)
}

fn texts(batch: &RecordBatch) -> Vec<String> {
    let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
    batch.iter().map(|record| text(record.value)).collect()
}
