//! A stream that never rests: what is read is committed in time, and a position that moves is stored, whether the rows
//! become records or not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use datapipe_core::change::{Event, Relation, Tuple};
use datapipe_core::lsn::Lsn;
use datapipe_core::port::PortError;
use datapipe_core::port::clock::Clock;
use datapipe_core::port::connect::ConfigMap;
use datapipe_core::port::log::{Committed, Record, RecordBatch, Sent, TransactionalLog};
use datapipe_core::port::source::{ChangeSource, ChunkRequest, KeyBound, SourceState};
use datapipe_core::transform::Transforms;
use datapipe_engine::capture::{self, CaptureSettings, Carried};
use datapipe_engine::gauges::CaptureGauges;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

#[path = "harness/fixtures.rs"]
mod fixtures;

use fixtures::{DATA_TOPIC, fingerprint, insert, relation, settings};

/// A transaction of one row every 10 ms, without a pause in which the server could say where it is.
struct Busy {
    sent: u64,
}

#[async_trait]
impl ChangeSource for Busy {
    async fn inspect(&mut self) -> Result<SourceState, PortError> {
        let (fingerprint, relation) = (fingerprint(), relation());
        Ok(SourceState { fingerprint, timeline: 1, forked_at: None, slot: None, relation })
    }

    async fn create_slot(&mut self) -> Result<Lsn, PortError> {
        Ok(Lsn(100))
    }

    async fn open_snapshot(&mut self) -> Result<Lsn, PortError> {
        panic!("nothing is to be read")
    }

    async fn read_rows(&mut self, _: Option<&KeyBound>, _: &mut Vec<Tuple>) -> Result<Arc<Relation>, PortError> {
        panic!("nothing is to be read")
    }

    async fn start(&mut self, _: Lsn) -> Result<Lsn, PortError> {
        Ok(Lsn(100))
    }

    async fn next(&mut self, _: Duration, events: &mut Vec<Event>) -> Result<(), PortError> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.sent += 1;
        events.extend(insert(self.sent, 100 + self.sent * 20, 1));
        Ok(())
    }

    fn ready(&self) -> bool {
        true
    }

    fn confirm(&mut self, _: Lsn) {}

    fn request_chunk(&mut self, _: ChunkRequest) {
        panic!("nobody signals")
    }

    fn beat(&mut self) {}

    async fn stop(&mut self) -> Result<(), PortError> {
        Ok(())
    }
}

/// Notes when transactions were committed, and with how many records beside the progress.
#[derive(Default)]
struct Noted {
    records: usize,
    commits: Vec<(Instant, usize)>,
}

#[async_trait]
impl TransactionalLog for Noted {
    async fn claim(&mut self) -> Result<Option<Bytes>, PortError> {
        Ok(None)
    }

    async fn tail(&mut self, _: &str, _: u32, _: &mut RecordBatch) -> Result<(), PortError> {
        panic!("nobody was here before")
    }

    fn send(&mut self, record: Record<'_>) -> Result<Sent, PortError> {
        self.records += usize::from(record.topic == DATA_TOPIC);
        Ok(Sent::Queued)
    }

    async fn room(&mut self) -> Result<(), PortError> {
        Ok(())
    }

    async fn commit(&mut self) -> Result<Committed, PortError> {
        self.commits.push((Instant::now(), std::mem::take(&mut self.records)));
        Ok(Committed::Yes)
    }
}

struct Zero;

impl Clock for Zero {
    fn now_us(&self) -> i64 {
        0
    }
}

/// Runs for 65 s of virtual time, and returns the commits and the longest time between two of them.
fn run(transforms: Transforms) -> (Vec<(Instant, usize)>, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (mut source, mut log) = (Busy { sent: 0 }, Noted::default());
        let (stop, settings) = (CancellationToken::new(), CaptureSettings { transforms, ..settings() });
        let told = stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(65)).await;
            told.cancel();
        });
        let (gauges, mut carried) = (CaptureGauges::default(), Carried::default());
        let ports = capture::Ports { source: &mut source, log: &mut log, signals: None };
        capture::run(ports, &settings, &Zero, &gauges, &mut carried, &stop).await.unwrap();
        let longest = log.commits.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
        (log.commits, longest)
    })
}

#[test]
fn records_are_committed_before_the_log_would_abort_them() {
    let (commits, longest) = run(Transforms::default());
    assert!(longest < Duration::from_millis(2_050), "{longest:?}");
    assert!(commits.iter().map(|(_, records)| records).sum::<usize>() > 6_000, "{commits:?}");
}

#[test]
fn a_position_is_stored_even_if_a_filter_drops_every_row() {
    let text = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let map: ConfigMap =
        [("transforms", "drop"), ("transforms.drop.type", "org.apache.kafka.connect.transforms.Filter")]
            .map(text)
            .into();
    let (commits, longest) = run(Transforms::from_config(&map).unwrap());
    assert_eq!(commits.iter().map(|(_, records)| records).sum::<usize>(), 0, "{commits:?}");
    assert!(longest < Duration::from_millis(10_050), "{longest:?}");
    assert!(commits.len() >= 7, "{commits:?}");
}
