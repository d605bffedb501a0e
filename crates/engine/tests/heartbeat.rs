//! What a capture shows of itself: that it is alive, by what it has committed, and its delay, by the rows among that.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use datapipe_core::change::{Event, Relation, Tuple};
use datapipe_core::lsn::{Lsn, Position};
use datapipe_core::port::PortError;
use datapipe_core::port::clock::Clock;
use datapipe_core::port::log::{Committed, Record, RecordBatch, Sent, TransactionalLog};
use datapipe_core::port::source::{ChangeSource, ChunkRequest, KeyBound, SlotState, SourceState};
use datapipe_core::progress::{LastChange, Progress};
use datapipe_core::signal::Signals;
use datapipe_engine::capture::{self, Carried};
use datapipe_engine::gauges::CaptureGauges;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

#[path = "harness/fixtures.rs"]
mod fixtures;

use fixtures::{fingerprint, insert, relation, settings};

const START_US: i64 = 1_000_000_000;
/// When the only row is committed, and how long its way takes.
const ROW_AT: Duration = Duration::from_secs(15);
const WAY: Duration = Duration::from_secs(3);

/// The wall clock, in step with the virtual time.
#[derive(Clone, Copy)]
struct Wall(Instant);

impl Clock for Wall {
    fn now_us(&self) -> i64 {
        START_US + i64::try_from(self.0.elapsed().as_micros()).unwrap()
    }
}

/// A server that has one row to send, and is idle before and after it.
struct Idle {
    begun: Instant,
    sent: bool,
}

#[async_trait]
impl ChangeSource for Idle {
    async fn inspect(&mut self) -> Result<SourceState, PortError> {
        let slot = SlotState { confirmed: Lsn(100), lost: false, retained_bytes: 0 };
        let (fingerprint, relation) = (fingerprint(), relation());
        Ok(SourceState { fingerprint, timeline: 1, forked_at: None, slot: Some(slot), relation })
    }

    async fn create_slot(&mut self) -> Result<Lsn, PortError> {
        panic!("it is there")
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

    async fn next(&mut self, wait: Duration, events: &mut Vec<Event>) -> Result<(), PortError> {
        tokio::time::sleep(wait).await;
        if !self.sent && self.begun.elapsed() >= ROW_AT + WAY {
            self.sent = true;
            let commit_time_us = START_US + i64::try_from(ROW_AT.as_micros()).unwrap();
            events.extend(insert(1, 200, commit_time_us));
        }
        let position = Lsn(if self.sent { 210 } else { 100 });
        events.push(Event::Keepalive { position, urgent: false });
        Ok(())
    }

    fn ready(&self) -> bool {
        false
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

/// A log that holds progress, and takes more or never answers.
struct Log {
    answers: bool,
}

#[async_trait]
impl TransactionalLog for Log {
    async fn claim(&mut self) -> Result<Option<Bytes>, PortError> {
        let progress = Progress {
            fingerprint: fingerprint(),
            timeline: 1,
            position: Position::at(Lsn(100)),
            confirmable: Lsn(100),
            snapshot: None,
            last: LastChange { lsn: Lsn(90), lsn_commit: Lsn(90), xid: 6, time_us: 1 },
            handover: None,
            signals: Signals::default(),
        };
        Ok(Some(progress.to_offset_value().into()))
    }

    async fn tail(&mut self, _: &str, _: u32, _: &mut RecordBatch) -> Result<(), PortError> {
        panic!("nobody was here before")
    }

    fn send(&mut self, _: Record<'_>) -> Result<Sent, PortError> {
        Ok(Sent::Queued)
    }

    async fn room(&mut self) -> Result<(), PortError> {
        Ok(())
    }

    async fn commit(&mut self) -> Result<Committed, PortError> {
        if self.answers { Ok(Committed::Yes) } else { std::future::pending().await }
    }
}

/// Runs for a while, and returns what it has shown at each of these moments.
async fn shown(answers: bool, at_s: &[u64]) -> Vec<(i64, i64, u64)> {
    let wall = Wall(Instant::now());
    let gauges = CaptureGauges::default();
    let (mut source, mut log) = (Idle { begun: wall.0, sent: false }, Log { answers });
    let (settings, stop, mut carried) = (settings(), CancellationToken::new(), Carried::default());
    let ports = capture::Ports { source: &mut source, log: &mut log, signals: None };
    let run = capture::run(ports, &settings, &wall, &gauges, &mut carried, &stop);
    let look = async {
        let mut shown = Vec::new();
        for second in at_s {
            tokio::time::sleep_until(wall.0 + Duration::from_secs(*second)).await;
            let alive_us = gauges.committed_at_us.get();
            shown.push((
                (alive_us - START_US).max(-1).div_euclid(1_000_000),
                gauges.delay_us.get(),
                gauges.commits.get(),
            ));
        }
        shown
    };
    tokio::select! {
        ended = run => panic!("it ended: {ended:?}"),
        shown = look => shown,
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_begins_with_a_heartbeat_and_nothing_is_alive_without_a_commit() {
    let alive = shown(true, &[1, 9]).await;
    assert_eq!(alive.iter().map(|(alive_s, ..)| *alive_s).collect::<Vec<_>>(), [0, 0], "{alive:?}");
    assert_eq!(alive[0].2, 1, "{alive:?}");
    let stuck = shown(false, &[1, 9]).await;
    assert!(stuck.iter().all(|(alive_s, _, commits)| (*alive_s, *commits) == (-1, 0)), "{stuck:?}");
}

#[tokio::test(start_paused = true)]
async fn the_delay_is_that_of_rows_however_long_nothing_comes_after_them() {
    let shown = shown(true, &[14, 19, 60]).await;
    assert_eq!(shown[0].1, 0, "{shown:?}");
    let delay_us = shown[1].1;
    assert!((3_000_000..3_500_000).contains(&delay_us), "{shown:?}");
    assert!(shown[2].1 == delay_us && shown[2].0 > 45, "heartbeats went on: {shown:?}");
}
