//! One table's worker: the group, the configurations, the tasks, and what is shown of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datapipe_core::port::PortError;
use datapipe_core::port::clock::Clock;
use datapipe_core::port::connect::{ConnectStore, State, StatusRecord};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::adapters::{Adapters, Observation, Ownership};
use crate::connectors::{self, Configured, Connector};
use crate::tasks::{self, Task};
use crate::{Backoff, WorkerSettings, rest};

/// How often statuses are written and the surroundings looked at.
const WATCH: Duration = Duration::from_secs(2);

/// What REST and metrics show. Shared with the parts that serve them.
pub(crate) struct Shown {
    pub(crate) settings: WorkerSettings,
    pub(crate) adapters: Arc<dyn Adapters>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) connectors: Mutex<BTreeMap<String, Configured>>,
    pub(crate) tasks: Mutex<BTreeMap<String, Arc<Task>>>,
    pub(crate) cluster_id: Mutex<Option<String>>,
    pub(crate) observation: Mutex<Observation>,
    pub(crate) generation: Mutex<Option<i32>>,
}

/// Locks without caring whether another thread panicked while it held the lock: the values are replaced whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One table's worker.
pub struct Worker {
    shown: Arc<Shown>,
}

impl Worker {
    /// A worker that does nothing yet.
    pub fn new(settings: WorkerSettings, adapters: Arc<dyn Adapters>, clock: Arc<dyn Clock>) -> Self {
        let shown = Shown {
            settings,
            adapters,
            clock,
            connectors: Mutex::default(),
            tasks: Mutex::default(),
            cluster_id: Mutex::default(),
            observation: Mutex::default(),
            generation: Mutex::default(),
        };
        Self { shown: Arc::new(shown) }
    }

    /// Serves REST and runs the table's connectors whenever this worker owns the group, until told to stop. A
    /// failure of any part is shown and tried again; it never ends the worker.
    pub async fn run(&self, stop: &CancellationToken) {
        let rest = tokio::spawn(rest::serve(Arc::clone(&self.shown), stop.clone()));
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        while !stop.is_cancelled() {
            match self.serve_group(stop).await {
                Ok(()) => backoff.reset(),
                Err(error) => {
                    let wait = backoff.after_failure();
                    tracing::error!(table = %self.shown.settings.slug, "worker failed: {}", error.report());
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(wait) => {}
                    }
                }
            }
        }
        if rest.await.is_err() {
            tracing::error!(table = %self.shown.settings.slug, "the REST server ended by a panic");
        }
    }

    /// One membership: wait for ownership, run until it is lost or the stop signal comes, leave.
    async fn serve_group(&self, stop: &CancellationToken) -> Result<(), PortError> {
        let shown = &self.shown;
        *lock(&shown.cluster_id) = Some(shown.adapters.cluster_id().await?);
        let mut membership = shown.adapters.join().await?;
        tracing::info!(table = %shown.settings.slug, group = %shown.settings.group, "waiting to own the group");
        let generation = tokio::select! {
            biased;
            () = stop.cancelled() => return membership.leave().await,
            generation = membership.acquired() => generation?,
        };
        *lock(&shown.generation) = Some(generation);
        let ended = self.own(membership.as_mut(), generation, stop).await;
        *lock(&shown.generation) = None;
        lock(&shown.tasks).clear();
        membership.leave().await?;
        ended
    }

    /// Runs every connector while this worker owns the group.
    async fn own(
        &self,
        membership: &mut dyn Ownership,
        generation: i32,
        stop: &CancellationToken,
    ) -> Result<(), PortError> {
        let shown = &self.shown;
        let store = shown.adapters.connect_store().await?;
        let configured = connectors::read(store.configs().await?);
        tracing::info!(table = %shown.settings.slug, generation, connectors = configured.len(), "owning the group");
        lock(&shown.connectors).clone_from(&configured);
        let ending = stop.child_token();
        let mut running = JoinSet::new();
        for configured in configured.values() {
            self.spawn(&mut running, configured, &ending);
        }
        let lost = tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            lost = membership.lost() => lost,
            () = self.watch(store.as_ref(), generation) => Ok(()),
        };
        ending.cancel();
        let drain_max = shown.settings.drain_max;
        let drained = tokio::time::timeout(drain_max, async { while running.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            let limit_s = drain_max.as_secs();
            tracing::warn!(table = %shown.settings.slug, limit_s, "tasks did not end in time and are dropped");
        }
        running.shutdown().await;
        if stop.is_cancelled() {
            self.write_statuses(store.as_ref(), generation, &mut BTreeMap::new()).await;
        }
        lost
    }

    fn spawn(&self, running: &mut JoinSet<()>, configured: &Configured, ending: &CancellationToken) {
        let (shown, ending) = (Arc::clone(&self.shown), ending.clone());
        match configured.connector.clone() {
            Connector::Source(config) => {
                let task = self.show_task(Task::source(&config));
                running.spawn(async move {
                    let Shown { settings, adapters, clock, .. } = shown.as_ref();
                    tasks::run_source(&task, &config, settings, adapters.as_ref(), clock.as_ref(), &ending).await;
                });
            }
            Connector::Sink(config) => {
                let task = self.show_task(Task::sink(&config));
                running.spawn(async move {
                    let Shown { settings, adapters, clock, .. } = shown.as_ref();
                    tasks::run_sink(&task, &config, settings, adapters.as_ref(), clock.as_ref(), &ending).await;
                });
            }
            Connector::Unusable(why) => tracing::error!(table = %shown.settings.slug, "connector not started: {why}"),
        }
    }

    fn show_task(&self, task: Task) -> Arc<Task> {
        let task = Arc::new(task);
        lock(&self.shown.tasks).insert(task.connector.clone(), Arc::clone(&task));
        task
    }

    /// Writes statuses as they change, and looks at the surroundings.
    async fn watch(&self, store: &dyn ConnectStore, generation: i32) {
        let mut written = BTreeMap::new();
        loop {
            self.write_statuses(store, generation, &mut written).await;
            let (source, sink) = self.configs();
            let seen = self.shown.adapters.observe(source.as_deref(), sink.as_deref()).await;
            *lock(&self.shown.observation) = seen;
            tokio::time::sleep(WATCH).await;
        }
    }

    fn configs(
        &self,
    ) -> (Option<Box<datapipe_core::connector::SourceConfig>>, Option<Box<datapipe_core::connector::SinkConfig>>) {
        let (mut source, mut sink) = (None, None);
        for configured in lock(&self.shown.connectors).values() {
            match &configured.connector {
                Connector::Source(config) => source = Some(config.clone()),
                Connector::Sink(config) => sink = Some(config.clone()),
                Connector::Unusable(_) => {}
            }
        }
        (source, sink)
    }

    async fn write_statuses(
        &self,
        store: &dyn ConnectStore,
        generation: i32,
        written: &mut BTreeMap<String, StatusRecord>,
    ) {
        let now_us = self.shown.clock.now_us();
        let tasks: Vec<_> = lock(&self.shown.tasks).values().cloned().collect();
        for task in tasks {
            let (state, trace) = task.state(now_us);
            let worker_id = self.shown.settings.worker_id();
            let record = StatusRecord { state, trace, worker_id, generation };
            // Traces of a stall count seconds: only a change of state is worth a record.
            if written.get(&task.connector).is_some_and(|last| last.state == record.state) {
                continue;
            }
            let connector_record = StatusRecord { trace: None, state: connector_state(record.state), ..record.clone() };
            let put = async {
                store.put_connector_status(&task.connector, &connector_record).await?;
                store.put_task_status(&task.connector, 0, &record).await
            };
            match put.await {
                Ok(()) => drop(written.insert(task.connector.clone(), record)),
                Err(error) => tracing::warn!(connector = %task.connector, "status not written: {}", error.report()),
            }
        }
    }
}

/// A connector runs as long as it has a task to run: a failure is its task's.
pub(crate) fn connector_state(task: State) -> State {
    if task == State::Failed { State::Running } else { task }
}
