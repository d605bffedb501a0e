//! The proof from the log itself, on a log in memory.
#![allow(clippy::unwrap_used, clippy::panic)]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod lake;

use std::time::Duration;

use async_trait::async_trait;
use datapipe_core::port::PortError;
use datapipe_core::port::log::{GroupOffset, LogIdentity, LogReader, ReadHeaders, ReadRecord, RecordBatch};
use datapipe_reconcile::{Report, reconcile_log};

use lake::{Event, Listed, TOPIC, event, scope};

/// Records by partition and offset; a tombstone has no value.
struct Log {
    partitions: Vec<Vec<Option<String>>>,
    positions: Vec<Option<i64>>,
}

impl Log {
    fn of(partitions: &[&[Event]]) -> Self {
        let values = |events: &&[Event]| events.iter().flat_map(|event| [Some(event.line()), None]).collect();
        Self { partitions: partitions.iter().map(values).collect(), positions: vec![None; partitions.len()] }
    }
}

#[async_trait]
impl LogReader for Log {
    async fn identity(&mut self) -> Result<LogIdentity, PortError> {
        let partitions = i32::try_from(self.partitions.len()).unwrap();
        Ok(LogIdentity { cluster_id: "c".to_owned(), topic: TOPIC.to_owned(), partitions })
    }

    async fn committed(&mut self, _partition: i32) -> Result<Option<GroupOffset>, PortError> {
        Ok(None)
    }

    async fn bounds(&mut self, partition: i32) -> Result<(i64, i64), PortError> {
        Ok((0, i64::try_from(self.partitions[usize::try_from(partition).unwrap()].len()).unwrap()))
    }

    async fn peek(&mut self, _: i32, _: i64, _: Duration, _: &mut RecordBatch) -> Result<(), PortError> {
        Ok(())
    }

    async fn seek(&mut self, partition: i32, offset: i64) -> Result<(), PortError> {
        self.positions[usize::try_from(partition).unwrap()] = Some(offset);
        Ok(())
    }

    async fn poll(&mut self, _wait: Duration, batch: &mut RecordBatch) -> Result<(), PortError> {
        for (partition, position) in self.positions.iter_mut().enumerate() {
            let Some(at) = position else { continue };
            let Some(value) = self.partitions[partition].get(usize::try_from(*at).unwrap()) else { continue };
            let value = value.as_deref().map(str::as_bytes);
            let partition = i32::try_from(partition).unwrap();
            batch.push(ReadRecord {
                partition,
                offset: *at,
                timestamp_ms: 0,
                key: None,
                value,
                headers: ReadHeaders::default(),
            });
            *at += 1;
        }
        Ok(())
    }

    fn position(&self, partition: i32) -> Option<i64> {
        self.positions[usize::try_from(partition).unwrap()]
    }

    async fn commit(&mut self, _partition: i32, _offset: &GroupOffset) -> Result<(), PortError> {
        Ok(())
    }
}

async fn prove(partitions: &[&[Event]], rows: &[&str]) -> Report {
    let rows = rows.iter().map(|row| (*row).to_owned()).collect();
    reconcile_log(&mut Log::of(partitions), &mut Listed(rows), &scope()).await.unwrap()
}

#[tokio::test]
async fn the_log_is_folded_as_objects_are() {
    let first =
        [event('c', 3, 5, ""), event('d', 3, 8, ""), event('c', 1, 10, r#","v":1"#), event('u', 1, 20, r#","v":2"#)];
    let second = [event('c', 2, 15, r#","v":1"#)];
    let report = prove(&[&first, &second], &[r#"{"id":1,"v":2}"#, r#"{"id":2,"v":1}"#]).await;
    assert!(report.proven(), "{report}");
    assert_eq!((report.events, report.rows, report.folded, report.objects), (5, 2, 2, 0));
}

#[tokio::test]
async fn what_is_lost_doubled_or_differs_is_told() {
    let events = [event('c', 1, 10, r#","v":1"#), event('c', 1, 10, r#","v":1"#)];
    let report = prove(&[&events], &[r#"{"id":1,"v":2}"#, r#"{"id":7}"#]).await;
    assert_eq!((report.doubled.count, report.lost.count, report.differing.count), (1, 1, 1), "{report}");
    let example = &report.doubled.examples[0];
    assert_eq!(example.object.as_deref(), Some("partition 0 of topic cdc.public.users"));
}
