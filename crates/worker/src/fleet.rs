//! The runs that an owner of the group has going.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::connectors::Connector;
use crate::lifecycle::{Going, Run, Step, TaskKey, steps, wanted};
use crate::tasks::{self, Task};
use crate::view::View;
use crate::worker::{Shown, lock};

/// The runs of one ownership. Dropping it drops them where they are.
pub(crate) struct Fleet {
    shown: Arc<Shown>,
    going: BTreeMap<TaskKey, Going>,
    stops: BTreeMap<TaskKey, CancellationToken>,
    running: JoinSet<()>,
    keys: BTreeMap<Id, TaskKey>,
}

impl Fleet {
    pub(crate) fn new(shown: Arc<Shown>) -> Self {
        let (going, stops, keys) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { shown, going, stops, running: JoinSet::new(), keys }
    }

    /// Starts what should run and tells the rest to end.
    pub(crate) fn steer(&mut self, view: &View) {
        for step in steps(&wanted(view), &self.going) {
            match step {
                Step::Start(key, run) => self.start(key, run),
                Step::End(key) => self.end(&key),
            }
        }
    }

    fn start(&mut self, key: TaskKey, run: Run) {
        let task = match &run.connector {
            Connector::Source(config) => Task::source(config),
            Connector::Sink(config) => Task::sink(config, key.1),
            Connector::Unusable(_) => return,
        };
        let task = Arc::new(task);
        let ignored = run.connector.ignored();
        let (connector, number) = (&key.0, key.1);
        let restarts = run.restarts;
        tracing::info!(%connector, task = number, restarts, ?ignored, "starting; ignored keys change nothing here");
        let unknown = run.connector.unknown();
        if !unknown.is_empty() {
            tracing::warn!(%connector, task = number, ?unknown, "keys that are not known are passed over");
        }
        lock(&self.shown.tasks).insert(key.clone(), Arc::clone(&task));
        lock(&self.shown.runs).insert(key.clone(), restarts);
        let stop = CancellationToken::new();
        let work = work(Arc::clone(&self.shown), task, run.connector.clone(), stop.clone());
        let handle = self.running.spawn(work);
        self.keys.insert(handle.id(), key.clone());
        self.stops.insert(key.clone(), stop);
        self.going.insert(key, Going { run, ending: false });
    }

    fn end(&mut self, key: &TaskKey) {
        if let (Some(stop), Some(going)) = (self.stops.get(key), self.going.get_mut(key)) {
            tracing::info!(connector = %key.0, task = key.1, "ending");
            stop.cancel();
            going.ending = true;
        }
    }

    /// Waits until a run has ended, and returns what it showed of itself; for ever if none is going.
    pub(crate) async fn ended(&mut self) -> Option<Arc<Task>> {
        let (id, failed) = match self.running.join_next_with_id().await {
            None => return std::future::pending().await,
            Some(Ok((id, ()))) => (id, None),
            Some(Err(error)) => (error.id(), Some(error)),
        };
        let key = self.keys.remove(&id)?;
        if let Some(error) = failed {
            tracing::error!(connector = %key.0, task = key.1, "the task ended by a defect: {error}");
        }
        self.going.remove(&key);
        self.stops.remove(&key);
        lock(&self.shown.runs).remove(&key);
        lock(&self.shown.tasks).remove(&key)
    }

    /// Ends all runs and waits for them.
    pub(crate) async fn drain(mut self) {
        self.stops.values().for_each(CancellationToken::cancel);
        while !self.running.is_empty() {
            self.ended().await;
        }
    }
}

/// One run. After the stop it has a bounded time to finish what it has begun; what it leaves is read again.
async fn work(shown: Arc<Shown>, task: Arc<Task>, connector: Connector, stop: CancellationToken) {
    let Shown { settings, adapters, clock, .. } = shown.as_ref();
    let (adapters, clock) = (adapters.as_ref(), clock.as_ref());
    let run = async {
        match &connector {
            Connector::Source(config) => tasks::run_source(&task, config, settings, adapters, clock, &stop).await,
            Connector::Sink(config) => tasks::run_sink(&task, config, settings, adapters, clock, &stop).await,
            Connector::Unusable(_) => {}
        }
    };
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(settings.drain_max).await;
    };
    tokio::select! {
        biased;
        () = run => {}
        () = overdue => {
            let limit_s = settings.drain_max.as_secs();
            tracing::warn!(connector = %task.connector, task = task.number, limit_s, "the task did not end in time and is dropped");
        }
    }
}
