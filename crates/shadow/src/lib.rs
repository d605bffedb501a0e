//! The native capture beside the worker that runs a table, on a slot of its own: what it would have written is compared
//! with what is in the topic. It writes nothing but that slot, which it drops at the end.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod compare;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use datapipe_core::Secret;
use datapipe_core::connector::{ConfigSecret, SourceConfig};
use datapipe_core::plan::PipelinePlan;
use datapipe_core::port::clock::Clock;
use datapipe_core::port::connect::ConnectStore as _;
use datapipe_core::port::log::{Committed, LogReader, Record, RecordBatch, Sent, TransactionalLog};
use datapipe_core::port::{ErrorKind, PortError};
use datapipe_core::settings::Role;
use datapipe_core::table::SnapshotMode;
use datapipe_engine::capture::{self, Carried};
use datapipe_engine::gauges::CaptureGauges;
use datapipe_kafka::{KafkaConfig, KafkaConnectStore, ReaderSettings, TopicReader};
use datapipe_postgres::{PgConfig, PgSource, SourceSpec, drop_slot};
use tokio_util::sync::CancellationToken;

use self::compare::{Taken, compare};

pub use self::compare::{Difference, Verdict};

/// Records that are kept of either side; then the comparison ends.
const RECORDS_MAX: usize = 200_000;
/// How long the other worker may take to come as far as we did.
const CATCH_UP_MAX: Duration = Duration::from_secs(30);

/// Runs beside workers.
pub struct Shadow<'a> {
    /// The cluster.
    pub kafka: &'a KafkaConfig,
    /// Gives a secret of a connector configuration, by its key.
    pub secret: &'a (dyn Fn(&ConfigSecret, &str) -> Result<Secret, PortError> + Sync),
    /// The clock of whoever runs it.
    pub clock: &'a dyn Clock,
    /// How long it runs beside a worker.
    pub span: Duration,
}

impl Shadow<'_> {
    /// Runs beside a table's worker, and compares. A stop ends it earlier.
    pub async fn of(&self, pipeline: &PipelinePlan, stop: &CancellationToken) -> Result<Verdict, PortError> {
        let config = running_config(pipeline, self.kafka).await?;
        let spec = self.spec(&config)?;
        // One that a killed shadow left would hold back the server's log.
        drop_slot(&spec).await?;
        let mut reader = TopicReader::new(self.kafka, ReaderSettings::new(config.topic(), "datapipe-shadow"))?;
        for partition in 0..reader.identity().await?.partitions {
            let (_, end) = reader.bounds(partition).await?;
            reader.seek(partition, end).await?;
        }

        let native = Arc::new(Mutex::new(Vec::new()));
        let ended = self.capture(&config, &spec, Arc::clone(&native), stop).await;
        let dropped = drop_slot(&spec).await;
        ended?;
        dropped?;
        let native = std::mem::take(&mut *native.lock().unwrap_or_else(PoisonError::into_inner));
        let topic = read(&mut reader, native.len()).await?;
        Ok(compare(&topic, &native))
    }

    /// The database that the connector names, and a slot of our own.
    fn spec(&self, config: &SourceConfig) -> Result<SourceSpec, PortError> {
        let mut server = PgConfig::new(&config.host, &config.user, &config.database);
        server.port = config.port;
        let password = config.password.as_ref();
        server.password = password.map(|value| (self.secret)(value, "database.password")).transpose()?;
        let slot = format!("datapipe_shadow_{}", config.table);
        let spec = SourceSpec::new(server, &config.schema, &config.table, slot, &config.publication);
        Ok(SourceSpec { columns: config.columns.clone(), ..spec })
    }

    async fn capture(
        &self,
        config: &SourceConfig,
        spec: &SourceSpec,
        taken: Arc<Mutex<Vec<Taken>>>,
        stop: &CancellationToken,
    ) -> Result<(), PortError> {
        let settings = datapipe_worker::capture_settings(config, "datapipe-shadow");
        let mut log = Memory { topic: config.topic(), taken };
        let (mut source, gauges) = (PgSource::new(spec.clone()), CaptureGauges::default());
        let (until, span) = (stop.child_token(), self.span);
        let timer = until.clone();
        let timing = tokio::spawn(async move {
            tokio::time::sleep(span).await;
            timer.cancel();
        });
        let ports = capture::Ports { source: &mut source, log: &mut log, signals: None };
        let run = capture::run(ports, &settings, self.clock, &gauges, &mut Carried::default(), &until).await;
        timing.abort();
        run
    }
}

/// The configuration that the table's worker runs, or else the plan's. No rows are read.
async fn running_config(pipeline: &PipelinePlan, kafka: &KafkaConfig) -> Result<SourceConfig, PortError> {
    let names = &pipeline.names;
    let store = KafkaConnectStore::new(kafka.clone(), &names.configs_topic, &names.status_topic)?;
    let stored = store.configs().await?;
    let stored = stored.get(&names.source_connector).and_then(|map| SourceConfig::from_map(map).ok());
    let planned = || SourceConfig::from_map(&pipeline.connector(Role::Source)?.config).ok();
    let mut config = stored.or_else(planned).ok_or_else(|| {
        PortError::new(ErrorKind::Refused, format!("shadowing table {}", names.table))
            .because("it has no source connector".to_owned())
            .hint("name \"source\" among its connectors")
    })?;
    config.snapshot = SnapshotMode::NoData;
    // Signals are for the worker, and it writes the heartbeats.
    config.signals.table = None;
    config.heartbeat_topic = None;
    config.heartbeat_query = None;
    Ok(config)
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
