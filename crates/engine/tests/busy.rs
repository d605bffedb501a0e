//! A stream that never rests: what is read is committed in time, and a position that moves is stored, whether the rows
//! become records or not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use datapipe_core::change::{Action, Begin, Change, Column, Event, Relation, ReplicaIdentity, Tuple, push_cell};
use datapipe_core::envelope::EnvelopeSettings;
use datapipe_core::lsn::Lsn;
use datapipe_core::port::PortError;
use datapipe_core::port::clock::Clock;
use datapipe_core::port::connect::ConfigMap;
use datapipe_core::port::log::{Committed, Record, RecordBatch, Sent, TransactionalLog};
use datapipe_core::port::source::{ChangeSource, Fingerprint, KeyBound, SourceState};
use datapipe_core::table::SnapshotMode;
use datapipe_core::transform::Transforms;
use datapipe_core::value::{ColumnType, Modes};
use datapipe_engine::capture::{self, CaptureSettings, Carried};
use datapipe_engine::gauges::CaptureGauges;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A transaction of one row every 10 ms, without a pause in which the server could say where it is.
struct Busy {
    relation: Arc<Relation>,
    sent: u64,
}

fn relation() -> Arc<Relation> {
    Arc::new(Relation {
        schema: "public".to_owned(),
        name: "users".to_owned(),
        columns: vec![Column { name: "id".to_owned(), kind: ColumnType::Int4, nullable: false }],
        key: vec![0],
        identity: ReplicaIdentity::Default,
    })
}

fn row(number: u64) -> Tuple {
    let mut bytes = 1u16.to_be_bytes().to_vec();
    push_cell(&mut bytes, datapipe_core::change::Cell::Text(number.to_string().as_bytes()));
    Tuple::parse(&Bytes::from(bytes)).unwrap().0
}

#[async_trait]
impl ChangeSource for Busy {
    async fn inspect(&mut self) -> Result<SourceState, PortError> {
        let text = || "x".to_owned();
        let fingerprint = Fingerprint { system_id: text(), database: text(), slot: text(), publication: text() };
        let relation = Arc::clone(&self.relation);
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
        let lsn = Lsn(100 + self.sent * 10);
        events.push(Event::Begin(Begin { commit: lsn, xid: 7, commit_time_us: 1 }));
        let action = Action::Insert(row(self.sent));
        events.push(Event::Change(Change { relation: Arc::clone(&self.relation), lsn, action }));
        events.push(Event::Commit { end: Lsn(lsn.0 + 5) });
        Ok(())
    }

    fn ready(&self) -> bool {
        true
    }

    fn confirm(&mut self, _: Lsn) {}

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
        self.records += usize::from(record.topic == "cdc.public.users");
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

fn settings(transforms: Transforms) -> CaptureSettings {
    CaptureSettings {
        envelope: EnvelopeSettings {
            version: "test".to_owned(),
            server_name: "cdc".to_owned(),
            database: "shop".to_owned(),
            data_topic: "cdc.public.users".to_owned(),
            tombstones_on_delete: true,
            modes: Modes::PLAN,
        },
        transforms,
        dead_letter_topic: None,
        offsets_topic: "connect-offsets-users".to_owned(),
        offsets_key: b"key".to_vec(),
        truncates: true,
        snapshot: SnapshotMode::NoData,
        keyless_snapshot: false,
        heartbeat: Duration::from_secs(10),
        transaction_age_max: Duration::from_secs(2),
        transaction_bytes_max: usize::MAX,
        transaction_records_max: usize::MAX,
    }
}

/// Runs for 65 s of virtual time, and returns the commits and the longest time between two of them.
fn run(transforms: Transforms) -> (Vec<(Instant, usize)>, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (mut source, mut log) = (Busy { relation: relation(), sent: 0 }, Noted::default());
        let (stop, settings) = (CancellationToken::new(), settings(transforms));
        let told = stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(65)).await;
            told.cancel();
        });
        let (gauges, mut carried) = (CaptureGauges::default(), Carried::default());
        capture::run(&mut source, &mut log, &settings, &Zero, &gauges, &mut carried, &stop).await.unwrap();
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
