//! How late changes are readable, under a steady load: from a transaction's commit to a reader that has it.
//!
//! Both times are the same machine's clock: PostgreSQL writes the time of the commit into its log, the envelope carries it
//! as `source.ts_us`, and the reader takes the time when it has the record.

use std::time::Duration;

use datapipe_boot::SystemClock;
use datapipe_core::port::clock::Clock as _;
use datapipe_core::port::log::{LogReader as _, RecordBatch};
use datapipe_kafka::TopicReader;
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use crate::Result;

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it was committed, in microseconds since 1970.
    pub committed_us: i64,
    /// When a reader had it.
    pub read_us: i64,
}

impl Sample {
    /// A change that is read at this moment.
    pub fn read_now(committed_us: i64) -> Self {
        Self { committed_us, read_us: SystemClock.now_us() }
    }

    /// How late it was readable, in milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "microseconds are far below 2^52")]
    pub fn latency_ms(self) -> f64 {
        (self.read_us - self.committed_us) as f64 / 1000.0
    }
}

/// The latencies of samples, the shortest first.
pub fn sorted_ms(samples: impl IntoIterator<Item = Sample>) -> Vec<f64> {
    let mut latencies: Vec<f64> = samples.into_iter().map(Sample::latency_ms).collect();
    latencies.sort_by(f64::total_cmp);
    latencies
}

/// What so many of a hundred do not exceed; not a number if there are none.
pub fn at_percent(sorted: &[f64], percent: usize) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * percent / 100).copied().unwrap_or(f64::NAN)
}

/// Runs a statement `rate` times a second, each when it is due; a late one does not move the later ones.
pub async fn write(
    db: &Client,
    statement: &str,
    rate: u32,
    stop: &CancellationToken,
    mut written: impl FnMut(),
) -> Result<()> {
    let (begun, mut number) = (Instant::now(), 0);
    while !stop.is_cancelled() {
        sleep_until(begun + Duration::from_secs(1) * number / rate).await;
        db.batch_execute(statement).await?;
        number += 1;
        written();
    }
    Ok(())
}

#[derive(Deserialize)]
struct Envelope {
    source: Source,
}

#[derive(Deserialize)]
struct Source {
    ts_us: i64,
}

/// Hands on what is read from where the reader stands, until told to stop.
pub async fn read(mut reader: TopicReader, stop: &CancellationToken, mut each: impl FnMut(Sample)) -> Result<()> {
    let mut batch = RecordBatch::default();
    while !stop.is_cancelled() {
        batch.clear();
        reader.poll(Duration::from_millis(200), &mut batch).await?;
        let now_us = SystemClock.now_us();
        for value in batch.iter().filter_map(|record| record.value) {
            let Envelope { source } = serde_json::from_slice(value)?;
            each(Sample { committed_us: source.ts_us, read_us: now_us });
        }
    }
    Ok(())
}
