//! The engine as the simulation's code under test.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use datapipe_core::assignment::Assignment;
use datapipe_core::envelope::{Columns, EnvelopeSettings, Nulls};
use datapipe_core::layout::Layout;
use datapipe_core::object::CutLimits;
use datapipe_core::output::Output;
use datapipe_core::port::PortError;
use datapipe_core::port::signal::SignalChannel;
use datapipe_core::table::Compression;
use datapipe_core::transform::Transforms;
use datapipe_core::value::Modes;
use datapipe_engine::capture::{self, CaptureSettings, Carried};
use datapipe_engine::deliver::{self, DeliverSettings};
use datapipe_engine::gauges::{CaptureGauges, DeliverGauges};
use datapipe_testkit::memory::{
    MemoryDeadLetters, MemoryLog, MemoryReader, MemorySignals, MemorySource, MemoryStore, SimClock,
};
use datapipe_testkit::sim::{CaptureRunner, RunSettings, Subject};
use tokio_util::sync::CancellationToken;

/// The engine.
pub(crate) struct Engine {
    diverted: Arc<AtomicUsize>,
    layout: Layout,
    tasks: NonZeroU32,
}

impl Default for Engine {
    fn default() -> Self {
        Self { diverted: Arc::default(), layout: Layout::contract("users", ".jsonl.gz"), tasks: NonZeroU32::MIN }
    }
}

/// The engine, to be given to the simulation.
pub(crate) fn engine() -> Arc<dyn Subject> {
    Arc::new(Engine::default())
}

/// The engine with objects named in another way.
pub(crate) fn engine_with(layout: Layout) -> Arc<dyn Subject> {
    Arc::new(Engine { layout, ..Engine::default() })
}

/// The engine with three tasks to deliver.
pub(crate) fn engine_with_three_tasks() -> Arc<dyn Subject> {
    Arc::new(Engine { tasks: NonZeroU32::new(3).expect("three"), ..Engine::default() })
}

/// The engine, and how many rows its last run left to be sent as references.
pub(crate) fn engine_and_diverted() -> (Arc<dyn Subject>, Arc<AtomicUsize>) {
    let engine = Engine::default();
    let diverted = engine.diverted.clone();
    (Arc::new(engine), diverted)
}

struct Capture {
    left: Arc<AtomicUsize>,
    settings: CaptureSettings,
    carried: Carried,
}

#[async_trait]
impl CaptureRunner for Capture {
    async fn run(
        &mut self,
        source: &mut MemorySource,
        log: &mut MemoryLog,
        signals: Option<&mut MemorySignals>,
        clock: &SimClock,
        stop: &CancellationToken,
    ) -> Result<(), PortError> {
        let gauges = CaptureGauges::default();
        let signals = signals.map(|signals| signals as &mut dyn SignalChannel);
        let ports = capture::Ports { source, log, signals };
        let ended = capture::run(ports, &self.settings, clock, &gauges, &mut self.carried, stop).await;
        self.left.store(self.carried.diverted(), Ordering::Relaxed);
        ended
    }
}

#[async_trait]
impl Subject for Engine {
    fn capture(&self, settings: &RunSettings) -> Box<dyn CaptureRunner> {
        let settings = CaptureSettings {
            envelope: EnvelopeSettings {
                version: "test".to_owned(),
                server_name: "cdc".to_owned(),
                database: "shop".to_owned(),
                data_topic: "cdc.public.users".to_owned(),
                tombstones_on_delete: true,
                key_schemas: false,
                schemas: false,
                schemas_for_defaults: false,
                formless_null: false,
                losses_too: false,
                nulls: Nulls::KEPT,
                modes: Modes::PLAN,
                columns: Columns::default(),
                transaction_topic: settings.transaction_metadata.then(|| "cdc.transaction".to_owned()),
            },
            transforms: Transforms::default(),
            dead_letter_topic: Some("connect-dlq-users".to_owned()),
            offsets_topic: "connect-offsets-users".to_owned(),
            offsets_key: b"[\"postgres-cdc-users-connector\",{\"server\":\"cdc\"}]".to_vec(),
            snapshot: settings.mode,
            keyless_snapshot: settings.keyless_snapshot,
            truncates: true,
            heartbeat: Duration::from_millis(settings.heartbeat_ms),
            heartbeat_topic: Some("__debezium-heartbeat-users.cdc".to_owned()),
            signal_poll: Duration::from_millis(500),
            chunk_rows: settings.chunk_rows,
            transaction_bytes_max: 1 << 20,
            transaction_age_max: Duration::from_millis(settings.transaction_age_max_ms),
            transaction_records_max: settings.transaction_records_max,
        };
        Box::new(Capture { left: self.diverted.clone(), settings, carried: Carried::default() })
    }

    async fn deliver(
        &self,
        settings: &RunSettings,
        reader: &mut MemoryReader,
        store: &MemoryStore,
        dead_letters: &mut MemoryDeadLetters,
        clock: &SimClock,
        stop: &CancellationToken,
    ) -> Result<(), PortError> {
        let of = |task| DeliverSettings {
            connector: "s3-sink-users-connector".to_owned(),
            assignment: Assignment::new(task, self.tasks),
            layout: self.layout.clone(),
            output: Output::lines(Compression::Gzip),
            topic: "cdc.public.users".to_owned(),
            group: "connect-s3-sink-users-connector".to_owned(),
            dead_letter_topic: Some("connect-dlq-users".to_owned()),
            dead_letter_context: true,
            limits: CutLimits {
                rows_max: settings.object_rows_max,
                bytes_max: settings.object_bytes_max,
                age_max: Duration::from_millis(settings.object_age_max_ms),
            },
            compression_level: 1,
            memory_max: usize::MAX,
            spool_folder: PathBuf::from("."),
        };
        let run = async |task, reader: &mut MemoryReader, dead_letters: &mut MemoryDeadLetters| {
            let (settings, gauges) = (of(task), DeliverGauges::default());
            let ports = deliver::Ports { reader, store, dead_letters, clock };
            deliver::run(ports, &settings, &gauges, stop).await
        };
        if self.tasks == NonZeroU32::MIN {
            return run(0, reader, dead_letters).await;
        }
        // As in a worker, each task has a reader of its own; they start and crash together.
        assert_eq!(self.tasks.get(), 3);
        let (mut second, mut third) = (reader.beside(), reader.beside());
        let (mut letters, mut more) =
            (MemoryDeadLetters(dead_letters.0.clone()), MemoryDeadLetters(dead_letters.0.clone()));
        tokio::try_join!(run(0, reader, dead_letters), run(1, &mut second, &mut letters), run(2, &mut third, &mut more))
            .map(drop)
    }
}

/// A number from the environment.
pub(crate) fn setting(name: &str) -> Option<u64> {
    #[allow(clippy::disallowed_methods, reason = "a test's own knobs are no settings of the product")]
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("the setting is a number"))
}
