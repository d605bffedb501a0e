//! `datapipe-run shadow`: the native capture beside the worker that runs a table, on a slot of its own. It writes
//! nothing but that slot, which it drops at the end, and compares what it would have written with what is in the topic.

mod compare;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use datapipe_boot::{SystemClock, report};
use datapipe_core::connector::SourceConfig;
use datapipe_core::plan::{PipelinePlan, Plan};
use datapipe_core::port::PortError;
use datapipe_core::port::connect::ConnectStore as _;
use datapipe_core::port::log::{Committed, LogReader, Record, RecordBatch, Sent, TransactionalLog};
use datapipe_core::table::SnapshotMode;
use datapipe_engine::capture::{self, Carried};
use datapipe_engine::gauges::CaptureGauges;
use datapipe_kafka::{KafkaConfig, ReaderSettings, TopicReader};
use datapipe_postgres::{PgSource, drop_slot};
use tokio_util::sync::CancellationToken;

use self::compare::{Taken, Verdict, compare};
use crate::adapters::{connect_store, source_spec};
use crate::start::{StartError, kafka_config, source_of};

/// Records that are kept of either side; then the comparison ends.
const RECORDS_MAX: usize = 200_000;
/// How long the other worker may take to come as far as we did.
const CATCH_UP_MAX: Duration = Duration::from_secs(30);

/// Runs beside the table's worker for `span`, and prints what differs. True if nothing does.
pub(crate) async fn run(plan: &Plan, span: Duration, stop: &CancellationToken) -> Result<bool, StartError> {
    let kafka = kafka_config(plan)?;
    let mut sound = true;
    for pipeline in &plan.tables {
        let verdict = shadow(plan, pipeline, &kafka, span, stop).await?;
        let Verdict { alike, beyond, differing, examples } = &verdict;
        let table = &pipeline.names.table;
        let mut text = format!(
            "{table}: {alike} records alike, {differing} differing; {beyond} of transactions that only one side has seen\n"
        );
        text.extend(examples.iter().map(|example| format!("{example}\n")));
        if *alike == 0 {
            text.push_str("nothing was compared: change rows of the table meanwhile, and see that its worker runs\n");
        }
        report::print(&text);
        sound &= *differing == 0 && *alike > 0;
    }
    Ok(sound)
}

async fn shadow(
    plan: &Plan,
    pipeline: &PipelinePlan,
    kafka: &KafkaConfig,
    span: Duration,
    stop: &CancellationToken,
) -> Result<Verdict, StartError> {
    let config = running_config(pipeline, kafka).await?;
    let mut spec = source_spec(&config, &plan.run.config_providers)?;
    spec.slot = format!("datapipe_shadow_{}", config.table);
    // One that a killed shadow left would hold back the server's log.
    drop_slot(&spec).await?;
    let mut reader = TopicReader::new(kafka, ReaderSettings::new(config.topic(), "datapipe-shadow"))?;
    for partition in 0..reader.identity().await?.partitions {
        let (_, end) = reader.bounds(partition).await?;
        reader.seek(partition, end).await?;
    }

    let native = Arc::new(Mutex::new(Vec::new()));
    let ended = capture(&config, &spec, Arc::clone(&native), span, stop).await;
    let dropped = drop_slot(&spec).await;
    ended?;
    dropped?;
    let native = std::mem::take(&mut *native.lock().unwrap_or_else(PoisonError::into_inner));
    let topic = read(&mut reader, native.len()).await?;
    Ok(compare(&topic, &native))
}

/// The configuration that the table's worker runs, or else the plan's. No rows are read.
async fn running_config(pipeline: &PipelinePlan, kafka: &KafkaConfig) -> Result<SourceConfig, StartError> {
    let stored = connect_store(kafka, &pipeline.names)?.configs().await?;
    let stored = stored.get(&pipeline.names.source_connector);
    let config = stored.and_then(|map| SourceConfig::from_map(map).ok()).or_else(|| source_of(pipeline));
    let mut config = config.ok_or_else(|| {
        let attempt = format!("shadowing table {}", pipeline.names.table);
        PortError::new(datapipe_core::port::ErrorKind::Refused, attempt)
            .because("it has no source connector".to_owned())
            .hint("name \"source\" among its connectors")
    })?;
    config.snapshot = SnapshotMode::NoData;
    // Signals are for the worker, and it writes the heartbeats.
    config.signals.table = None;
    config.heartbeat_topic = None;
    Ok(config)
}

async fn capture(
    config: &SourceConfig,
    spec: &datapipe_postgres::SourceSpec,
    taken: Arc<Mutex<Vec<Taken>>>,
    span: Duration,
    stop: &CancellationToken,
) -> Result<(), PortError> {
    let settings = datapipe_worker::capture_settings(config, "datapipe-shadow");
    let mut log = Memory { topic: config.topic(), taken };
    let (mut source, gauges, mut carried) = (PgSource::new(spec.clone()), CaptureGauges::default(), Carried::default());
    let until = stop.child_token();
    let timer = until.clone();
    let timing = tokio::spawn(async move {
        tokio::time::sleep(span).await;
        timer.cancel();
    });
    let ports = capture::Ports { source: &mut source, log: &mut log, signals: None };
    let run = capture::run(ports, &settings, &SystemClock, &gauges, &mut carried, &until).await;
    timing.abort();
    run
}

/// What the other worker has written since the beginning, until it has as much as we have or nothing comes any more.
async fn read(reader: &mut TopicReader, wanted: usize) -> Result<Vec<Taken>, PortError> {
    let (mut taken, mut batch) = (Vec::new(), RecordBatch::default());
    let mut heard = Instant::now();
    while taken.len() < RECORDS_MAX {
        batch.clear();
        reader.poll(Duration::from_millis(500), &mut batch).await?;
        if !batch.is_empty() {
            heard = Instant::now();
        }
        let owned = |part: Option<&[u8]>| part.map(<[u8]>::to_vec);
        taken.extend(
            batch.iter().map(|record| Taken { key: owned(record.key).unwrap_or_default(), value: owned(record.value) }),
        );
        let quiet = heard.elapsed();
        if quiet > CATCH_UP_MAX || (taken.len() >= wanted && quiet > Duration::from_secs(2)) {
            break;
        }
    }
    Ok(taken)
}

/// A log that keeps what it is given.
struct Memory {
    topic: String,
    taken: Arc<Mutex<Vec<Taken>>>,
}

#[async_trait]
impl TransactionalLog for Memory {
    async fn claim(&mut self) -> Result<Option<Bytes>, PortError> {
        Ok(None)
    }

    async fn tail(&mut self, _: &str, _: u32, _: &mut RecordBatch) -> Result<(), PortError> {
        Ok(())
    }

    fn send(&mut self, record: Record<'_>) -> Result<Sent, PortError> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if record.topic == self.topic && taken.len() < RECORDS_MAX {
            let owned = |part: Option<&[u8]>| part.map(<[u8]>::to_vec);
            taken.push(Taken { key: owned(record.key).unwrap_or_default(), value: owned(record.value) });
        }
        Ok(Sent::Queued)
    }

    async fn room(&mut self) -> Result<(), PortError> {
        Ok(())
    }

    async fn commit(&mut self) -> Result<Committed, PortError> {
        Ok(Committed::Yes)
    }
}
