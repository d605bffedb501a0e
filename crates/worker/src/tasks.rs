//! Running a connector: again and again, with a back-off, and never in the way of another one.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use datapipe_core::assignment::Assignment;
use datapipe_core::connector::{DEBEZIUM_VERSION, SinkConfig, SourceConfig};
use datapipe_core::envelope::EnvelopeSettings;
use datapipe_core::object::CutLimits;
use datapipe_core::port::clock::Clock;
use datapipe_core::port::signal::SignalChannel;
use datapipe_core::port::{ErrorKind, PortError};
use datapipe_core::progress::offset_key;
use datapipe_engine::capture::{self, CaptureSettings, Carried};
use datapipe_engine::deliver::{self, DeliverSettings, Ports};
use datapipe_engine::gauges::{CaptureGauges, Counter, DeliverGauges, Gauge};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::adapters::Adapters;
use crate::health::{Limits, Observed, Phase, judge};
use crate::lifecycle::TaskKey;
use crate::{Backoff, WorkerSettings};
use datapipe_core::port::connect::State;

/// A log transaction is committed at the latest at this size, so that readers and memory are not kept waiting.
const TRANSACTION_BYTES_MAX: usize = 8 << 20;
/// And at the latest at this age, far below the 60 s after which the broker aborts it.
const TRANSACTION_AGE_MAX: Duration = Duration::from_secs(5);
/// Bytes of compressed content of an open object in memory; above, it goes to a file.
const OBJECT_MEMORY_MAX: usize = 4 << 20;
/// How often a refused run is tried again: a person must act, and a person's time is minutes.
const REFUSED_WAIT: Duration = Duration::from_secs(15);
/// A run that lasted this long has proven itself: the next failure waits the shortest time again.
const PROVEN: Duration = Duration::from_secs(30);

/// What a task shows of itself while it runs.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) connector: String,
    pub(crate) number: u32,
    pub(crate) gauges: Gauges,
    limits: Limits,
    shown: Mutex<(Phase, i64)>,
    pub(crate) restarts: Counter,
    /// When the last run failed; 0 if none has.
    failed_at_us: Gauge,
}

/// The counters of a task's engine.
#[derive(Clone, Debug)]
pub(crate) enum Gauges {
    Capture(Arc<CaptureGauges>),
    /// And what the task takes of the topic.
    Deliver(Arc<DeliverGauges>, Assignment),
}

impl Task {
    pub(crate) fn source(config: &SourceConfig) -> Self {
        let limits = Limits { heartbeat: config.heartbeat, object_age_max: None };
        Self::new((config.name.clone(), 0), Gauges::Capture(Arc::default()), limits)
    }

    /// A sink has no heartbeat of its own: the source's default stands in.
    pub(crate) fn sink(config: &SinkConfig, number: u32) -> Self {
        let limits = Limits { heartbeat: Duration::from_secs(10), object_age_max: Some(config.age_max) };
        let gauges = Gauges::Deliver(Arc::default(), config.assignment(number));
        Self::new((config.name.clone(), number), gauges, limits)
    }

    fn new((connector, number): TaskKey, gauges: Gauges, limits: Limits) -> Self {
        let shown = Mutex::new((Phase::Standby, 0));
        Self { connector, number, gauges, limits, shown, restarts: Counter::default(), failed_at_us: Gauge::default() }
    }

    fn show(&self, phase: Phase, now_us: i64) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = (phase, now_us);
    }

    /// How long ago the last run failed, if one has.
    pub(crate) fn since_failure_ms(&self, now_us: i64) -> Option<i64> {
        let failed_at_us = self.failed_at_us.get();
        (failed_at_us > 0).then(|| (now_us - failed_at_us).max(0) / 1000)
    }

    /// The task's state now.
    pub(crate) fn state(&self, now_us: i64) -> (State, Option<String>) {
        let (phase, started_at_us) = self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (alive_at_us, waiting_since_us) = match &self.gauges {
            Gauges::Capture(gauges) => (gauges.committed_at_us.get(), 0),
            Gauges::Deliver(gauges, _) => (gauges.polled_at_us.get(), gauges.unwritten_since_us.get()),
        };
        // A run that got somewhere after the failure has recovered.
        let phase = match phase {
            Phase::Failed(_) if alive_at_us > started_at_us => Phase::Running,
            phase => phase,
        };
        judge(&Observed { phase, started_at_us, alive_at_us, waiting_since_us }, &self.limits, now_us)
    }

    /// Runs `attempt` until it ends by itself or the stop signal comes.
    pub(crate) async fn supervise<F>(&self, clock: &dyn Clock, stop: &CancellationToken, mut attempt: impl FnMut() -> F)
    where
        F: Future<Output = Result<(), PortError>>,
    {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        let mut failed: Option<String> = None;
        while !stop.is_cancelled() {
            // The reason of a failure stays in sight until a run gets somewhere.
            self.show(failed.take().map_or(Phase::Running, Phase::Failed), clock.now_us());
            let started = Instant::now();
            let Err(error) = guarded(attempt()).await else { break };
            let why = error.report();
            if stop.is_cancelled() {
                tracing::warn!(connector = %self.connector, task = self.number, "ended while stopping: {why}");
                break;
            }
            if started.elapsed() >= PROVEN {
                backoff.reset();
            }
            let wait = if error.kind() == ErrorKind::Refused { REFUSED_WAIT } else { backoff.after_failure() };
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            let (connector, task, kind) = (&self.connector, self.number, error.kind());
            tracing::error!(%connector, task, ?kind, wait_ms, "task failed: {why}");
            let now_us = clock.now_us();
            self.show(Phase::Failed(why.clone()), now_us);
            self.restarts.add(1);
            self.failed_at_us.set(now_us);
            failed = Some(why);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.show(Phase::Standby, clock.now_us());
    }
}

/// A run that ends by a panic has failed like any other: it is shown, and it waits before the next one.
async fn guarded(run: impl Future<Output = Result<(), PortError>>) -> Result<(), PortError> {
    let mut run = std::pin::pin!(run);
    std::future::poll_fn(|context| {
        // Nothing of the run is used again after a panic.
        match std::panic::catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(context))) {
            Ok(poll) => poll,
            Err(payload) => Poll::Ready(Err(defect(payload.as_ref()))),
        }
    })
    .await
}

fn defect(payload: &(dyn Any + Send)) -> PortError {
    let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    let why = format!("it ended by a defect of datapipe: {}", text.unwrap_or("a panic without words"));
    PortError::new(ErrorKind::Retry, "running the task").because(why).hint("report it, with the log's lines before it")
}

/// Runs a source connector's only task.
pub(crate) async fn run_source(
    task: &Task,
    config: &SourceConfig,
    worker: &WorkerSettings,
    adapters: &dyn Adapters,
    clock: &dyn Clock,
    stop: &CancellationToken,
) {
    let Gauges::Capture(gauges) = &task.gauges else { return };
    let settings = capture_settings(config, &worker.offsets_topic);
    let carried = Arc::new(tokio::sync::Mutex::new(Carried::default()));
    let attempt = || {
        let (settings, carried) = (&settings, Arc::clone(&carried));
        async move {
            let mut carried = carried.lock().await;
            let mut source = adapters.source(config).await?;
            let id = worker.transactional_id(&config.name);
            let (topic, key) = (&settings.offsets_topic, &settings.offsets_key);
            let mut log = adapters.transactional_log(config, &id, topic, key).await?;
            let mut signals = adapters.signals(config).await?;
            let signals = signals.as_mut().map(|channel| channel.as_mut() as &mut dyn SignalChannel);
            let ports = capture::Ports { source: source.as_mut(), log: log.as_mut(), signals };
            capture::run(ports, settings, clock, gauges, &mut carried, stop).await
        }
    };
    task.supervise(clock, stop, attempt).await;
}

/// What a source connector's configuration means for the capture, with its progress in `offsets_topic`.
pub fn capture_settings(config: &SourceConfig, offsets_topic: &str) -> CaptureSettings {
    CaptureSettings {
        envelope: EnvelopeSettings {
            version: DEBEZIUM_VERSION.to_owned(),
            server_name: config.topic_prefix.clone(),
            database: config.database.clone(),
            data_topic: config.topic(),
            tombstones_on_delete: config.tombstones,
            key_schemas: config.key_schemas,
            schemas: config.schemas,
            schemas_for_defaults: config.transforms.replaces_nulls(),
            nulls: config.nulls,
            modes: config.modes,
            formless_null: config.formless_null,
            losses_too: config.losses_too,
            columns: config.columns.clone(),
            transaction_topic: config.transaction_topic.clone(),
        },
        transforms: config.transforms.clone(),
        dead_letter_topic: config.dead_letter_topic.clone(),
        offsets_topic: offsets_topic.to_owned(),
        offsets_key: offset_key(&config.name, &config.topic_prefix),
        truncates: config.truncates,
        snapshot: config.snapshot,
        keyless_snapshot: config.keyless_snapshot,
        heartbeat: config.heartbeat,
        heartbeat_topic: config.heartbeat_topic.clone(),
        signal_poll: config.signals.poll,
        chunk_rows: config.signals.chunk_rows,
        transaction_age_max: TRANSACTION_AGE_MAX,
        transaction_bytes_max: TRANSACTION_BYTES_MAX,
        transaction_records_max: 50_000,
    }
}

/// Runs one task of a sink connector.
pub(crate) async fn run_sink(
    task: &Task,
    config: &SinkConfig,
    worker: &WorkerSettings,
    adapters: &dyn Adapters,
    clock: &dyn Clock,
    stop: &CancellationToken,
) {
    let Gauges::Deliver(gauges, assignment) = &task.gauges else { return };
    let settings = deliver_settings(config, *assignment, worker);
    let attempt = || {
        let settings = &settings;
        async move {
            let store = adapters.store(config).await?;
            let mut reader = adapters.reader(config).await?;
            let mut dead_letters = adapters.dead_letters(config).await?;
            let ports =
                Ports { reader: reader.as_mut(), store: store.as_ref(), dead_letters: dead_letters.as_mut(), clock };
            deliver::run(ports, settings, gauges, stop).await
        }
    };
    task.supervise(clock, stop, attempt).await;
}

fn deliver_settings(config: &SinkConfig, assignment: Assignment, worker: &WorkerSettings) -> DeliverSettings {
    DeliverSettings {
        connector: config.name.clone(),
        assignment,
        layout: config.layout.clone(),
        output: config.output.clone(),
        topic: config.topic.clone(),
        group: config.group(),
        dead_letter_topic: config.dead_letter_topic.clone(),
        dead_letter_context: config.dead_letter_context,
        limits: CutLimits { rows_max: config.rows_max, bytes_max: config.bytes_max, age_max: config.age_max },
        compression_level: 1,
        memory_max: OBJECT_MEMORY_MAX,
        spool_folder: worker.spool_folder.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    struct Still;

    impl Clock for Still {
        fn now_us(&self) -> i64 {
            1_000_000
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_panics_is_shown_and_waits_before_the_next_one() {
        let config = SourceConfig::from_map(&crate::fixtures::source("a")).unwrap();
        let (task, stop, runs) = (Task::source(&config), CancellationToken::new(), AtomicU32::new(0));
        let attempt = || {
            runs.fetch_add(1, Ordering::Relaxed);
            async { panic!("an index out of bounds") }
        };
        let begun = Instant::now();
        let seen = async {
            while runs.load(Ordering::Relaxed) < 5 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let (state, why) = task.state(1_000_000);
            stop.cancel();
            (state, why.unwrap())
        };
        let ((), (state, why)) = tokio::join!(task.supervise(&Still, &stop, attempt), seen);
        assert_eq!(state, State::Failed);
        assert!(why.contains("a defect of datapipe: an index out of bounds"), "{why}");
        // 0.1 + 0.2 + 0.4 + 0.8 s before the fifth run.
        assert!(begun.elapsed() >= Duration::from_millis(1500), "{:?}", begun.elapsed());
        assert_eq!(task.restarts.get(), u64::from(runs.load(Ordering::Relaxed)));
        assert_eq!(task.since_failure_ms(3_500_000), Some(2500));
        assert_eq!(Task::source(&config).since_failure_ms(3_500_000), None, "none has failed");
    }
}
