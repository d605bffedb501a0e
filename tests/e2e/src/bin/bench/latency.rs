//! How late a change is readable: from its commit in PostgreSQL to a consumer that reads committed records only.
//!
//! Both times are the same machine's clock: PostgreSQL writes the time of the commit into its log, the envelope
//! carries it as `source.ts_us`, and the consumer takes the time when it has the record.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use datapipe_core::convention::Names;
use datapipe_core::port::PortError;
use datapipe_core::port::log::{LogReader as _, RecordBatch};
use datapipe_kafka::{ReaderSettings, TopicReader};
use datapipe_postgres::Session;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};

use crate::BenchError;
use crate::scene::{COLUMNS, Scene, VALUES};

/// What is let pass before anything counts: connections and caches are cold.
const WARM_UP: Duration = Duration::from_micros(WARM_UP_US);
const WARM_UP_US: u64 = 3_000_000;
/// The longest latency that can be told from longer ones, in microseconds.
const LATENCY_MAX_US: u64 = 60_000_000;
/// Sessions that insert: one waits for each commit and may be late, two keep the rate.
const SESSIONS: u32 = 2;

/// Latency in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    /// Changes that were counted.
    pub(crate) changes: u64,
    /// Transactions per second that were reached.
    pub(crate) rate: f64,
}

#[derive(Deserialize)]
struct Envelope {
    source: Source,
}

#[derive(Deserialize)]
struct Source {
    ts_us: u64,
}

/// Inserts at a steady rate, one row per transaction, and reads what arrives.
#[expect(clippy::cast_precision_loss, reason = "microseconds and counts are far below 2^52")]
pub(crate) async fn measure(
    scene: &Scene<'_>,
    names: &Names,
    rate: u32,
    span: Duration,
) -> Result<Latency, BenchError> {
    let mut reader = TopicReader::new(&scene.kafka, ReaderSettings::new(&names.data_topic, "bench-latency"))?;
    for partition in 0..reader.identity().await?.partitions {
        reader.seek(partition, 0).await?;
    }
    let begun = Instant::now();
    let end = begun + WARM_UP + span;
    let mut inserting = tokio::task::JoinSet::new();
    for offset in 0..SESSIONS {
        let session = Session::connect(&scene.server).await?;
        inserting.spawn(async move { insert(&session, offset, rate, begun, end).await });
    }
    let counted_from_us = now_us() + WARM_UP_US;
    let mut latencies = Histogram::<u64>::new_with_bounds(1, LATENCY_MAX_US, 3).expect("the bounds are in order");
    let mut batch = RecordBatch::default();
    let mut last_us = counted_from_us;
    let drained = end + Duration::from_secs(2);
    while Instant::now() < drained {
        batch.clear();
        reader.poll(Duration::from_millis(200), &mut batch).await?;
        let now_us = now_us();
        for value in batch.iter().filter_map(|record| record.value) {
            let Ok(Envelope { source }) = serde_json::from_slice(value) else { continue };
            if source.ts_us >= counted_from_us {
                latencies.saturating_record(now_us.saturating_sub(source.ts_us));
                last_us = last_us.max(source.ts_us);
            }
        }
    }
    while let Some(ended) = inserting.join_next().await {
        ended.map_err(|error| BenchError::Unexpected(format!("inserting ended early: {error}")))??;
    }
    let ms = |quantile: f64| latencies.value_at_quantile(quantile) as f64 / 1000.0;
    let seconds = last_us.saturating_sub(counted_from_us) as f64 / 1e6;
    Ok(Latency {
        p50_ms: ms(0.5),
        p90_ms: ms(0.9),
        p99_ms: ms(0.99),
        max_ms: latencies.max() as f64 / 1000.0,
        changes: latencies.len(),
        rate: latencies.len() as f64 / seconds.max(1e-6),
    })
}

/// Every `SESSIONS`th row of the rate, each when it is due; a late one does not move the later ones.
async fn insert(session: &Session, offset: u32, rate: u32, begun: Instant, end: Instant) -> Result<(), PortError> {
    let mut number = u64::from(offset);
    loop {
        let due = begun + Duration::from_nanos(number * 1_000_000_000 / u64::from(rate));
        if due >= end {
            return Ok(());
        }
        sleep_until(due).await;
        let sql = format!("INSERT INTO public.users ({COLUMNS}) SELECT {VALUES} FROM (VALUES ({number})) AS v(n)");
        session.run(&sql).await?;
        number += u64::from(SESSIONS);
    }
}

#[expect(clippy::disallowed_methods, reason = "what is measured is the distance to the server's wall clock")]
fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
