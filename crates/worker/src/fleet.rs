//! The runs that an owner of the group has going.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::connectors::Connector;
use crate::lifecycle::{Going, Run, Step, steps, wanted};
use crate::tasks::{self, Task};
use crate::view::View;
use crate::worker::{Shown, lock};

/// The runs of one ownership. Dropping it drops them where they are.
pub(crate) struct Fleet {
    shown: Arc<Shown>,
    going: BTreeMap<String, Going>,
    stops: BTreeMap<String, CancellationToken>,
    running: JoinSet<()>,
    names: BTreeMap<Id, String>,
}

impl Fleet {
    pub(crate) fn new(shown: Arc<Shown>) -> Self {
        let (going, stops, names) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { shown, going, stops, running: JoinSet::new(), names }
    }

    /// Starts what should run and tells the rest to end.
    pub(crate) fn steer(&mut self, view: &View) {
        for step in steps(&wanted(view), &self.going) {
            match step {
                Step::Start(name, run) => self.start(name, run),
                Step::End(name) => self.end(name),
            }
        }
    }

    fn start(&mut self, name: String, run: Run) {
        let task = match &run.connector {
            Connector::Source(config) => Task::source(config),
            Connector::Sink(config) => Task::sink(config),
            Connector::Unusable(_) => return,
        };
        let task = Arc::new(task);
        let ignored = run.connector.ignored();
        tracing::info!(connector = %name, restarts = run.restarts, ?ignored, "starting; ignored keys change nothing here");
        lock(&self.shown.tasks).insert(name.clone(), Arc::clone(&task));
        lock(&self.shown.runs).insert(name.clone(), run.restarts);
        let stop = CancellationToken::new();
        let work = work(Arc::clone(&self.shown), task, run.connector.clone(), stop.clone());
        let handle = self.running.spawn(work);
        self.names.insert(handle.id(), name.clone());
        self.stops.insert(name.clone(), stop);
        self.going.insert(name, Going::Running(run));
    }

    fn end(&mut self, name: String) {
        if let Some(stop) = self.stops.get(&name) {
            tracing::info!(connector = %name, "ending");
            stop.cancel();
        }
        self.going.insert(name, Going::Ending);
    }

    /// Waits until a run has ended, and returns what it showed of itself; for ever if none is going.
    pub(crate) async fn ended(&mut self) -> Option<Arc<Task>> {
        let (id, failed) = match self.running.join_next_with_id().await {
            None => return std::future::pending().await,
            Some(Ok((id, ()))) => (id, None),
            Some(Err(error)) => (error.id(), Some(error)),
        };
        let name = self.names.remove(&id)?;
        if let Some(error) = failed {
            tracing::error!(connector = %name, "the task ended by a defect: {error}");
        }
        self.going.remove(&name);
        self.stops.remove(&name);
        lock(&self.shown.runs).remove(&name);
        lock(&self.shown.tasks).remove(&name)
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
            tracing::warn!(connector = %task.connector, limit_s, "the task did not end in time and is dropped");
        }
    }
}
