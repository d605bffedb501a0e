//! One table's worker: the internal topics, the group, the runs, and what is shown of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datapipe_core::port::clock::Clock;
use datapipe_core::port::connect::ConnectStore;
use datapipe_core::port::{ErrorKind, PortError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::adapters::{Adapters, Jvm, Observation, Ownership};
use crate::connectors::Connector;
use crate::fleet::Fleet;
use crate::follow::follow;
use crate::lifecycle::{TaskKey, task_records};
use crate::status::{Author, Standing, Written, given_up, standing};
use crate::tasks::Task;
use crate::topics::TopicsSeen;
use crate::view::{Reading, View};
use crate::{Backoff, WorkerSettings, rest};

/// How often statuses are looked at without a change, and the surroundings.
const WATCH: Duration = Duration::from_secs(2);
/// How long a new owner waits until it has read what was written before.
const READ_MAX: Duration = Duration::from_secs(30);

/// How long the statuses of a worker that stops may take; without them the next owner's come a little later.
const GIVE_UP_MAX: Duration = Duration::from_secs(5);

/// What the parts of a worker share.
pub(crate) struct Shown {
    pub(crate) settings: WorkerSettings,
    pub(crate) adapters: Arc<dyn Adapters>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) view: watch::Sender<View>,
    /// What goes on.
    pub(crate) tasks: Mutex<BTreeMap<TaskKey, Arc<Task>>>,
    /// The number of restarts that each run has seen.
    pub(crate) runs: Mutex<BTreeMap<TaskKey, u64>>,
    pub(crate) cluster_id: Mutex<Option<String>>,
    pub(crate) observation: Mutex<Observation>,
    pub(crate) generation: Mutex<Option<i32>>,
    /// Where an owner writes; none in standby.
    pub(crate) store: Mutex<Option<Arc<dyn ConnectStore>>>,
    /// The JVM worker of a hybrid.
    pub(crate) jvm: Option<Arc<dyn Jvm>>,
    /// Since when a hybrid's JVM worker does not answer; none while it does.
    pub(crate) jvm_away_since: Mutex<Option<std::time::Instant>>,
    /// Changes by REST take turns: each looks at what the last one left.
    pub(crate) turn: tokio::sync::Mutex<()>,
}

/// Locks without caring whether another thread panicked while it held the lock: the values are replaced whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shown {
    /// How a connector stands by what is known here; none if there is none.
    pub(crate) fn standing(&self, view: &View, name: &str, author: &Author) -> Option<Standing> {
        let (tasks, now_us) = (lock(&self.tasks).clone(), self.clock.now_us());
        let state = |number| tasks.get(&(name.to_owned(), number)).map(|task| task.state(now_us));
        standing(view, name, state, author)
    }

    /// Who this worker is as an owner; none in standby.
    pub(crate) fn author(&self) -> Option<Author> {
        let generation = (*lock(&self.generation))?;
        Some(Author { worker_id: self.settings.worker_id(), generation })
    }

    /// Waits until a view is as it should be.
    pub(crate) async fn until(&self, limit: Duration, is_so: impl FnMut(&View) -> bool) -> bool {
        let mut views = self.view.subscribe();
        let waited = tokio::time::timeout(limit, views.wait_for(is_so)).await;
        matches!(waited, Ok(Ok(_)))
    }
}

/// One table's worker.
pub struct Worker {
    shown: Arc<Shown>,
}

impl Worker {
    /// A worker that does nothing yet.
    pub fn new(settings: WorkerSettings, adapters: Arc<dyn Adapters>, clock: Arc<dyn Clock>) -> Self {
        Self::beside(None, settings, adapters, clock)
    }

    /// The same beside a JVM worker, which runs every connector that is no sink of ours; the adapters lead to internal
    /// topics of its own.
    pub fn beside(
        jvm: Option<Arc<dyn Jvm>>,
        settings: WorkerSettings,
        adapters: Arc<dyn Adapters>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let shown = Shown {
            settings,
            adapters,
            clock,
            view: watch::Sender::new(View::default()),
            tasks: Mutex::default(),
            runs: Mutex::default(),
            cluster_id: Mutex::default(),
            observation: Mutex::default(),
            generation: Mutex::default(),
            store: Mutex::default(),
            jvm,
            jvm_away_since: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        };
        Self { shown: Arc::new(shown) }
    }

    /// Serves REST and runs the table's connectors whenever this worker owns the group, until told to stop. A
    /// failure of any part is shown and tried again; it never ends the worker.
    pub async fn run(&self, stop: &CancellationToken) {
        let rest = tokio::spawn(rest::serve(Arc::clone(&self.shown), stop.clone()));
        tokio::join!(follow(&self.shown, stop), self.serve(stop));
        // It bounds its own end.
        if rest.await.is_err() {
            tracing::error!(table = %self.shown.settings.slug, "the REST server ended by a panic");
        }
    }

    /// One membership after the other.
    async fn serve(&self, stop: &CancellationToken) {
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
    }

    /// One membership: wait for ownership, run until it is lost or the stop signal comes, leave.
    async fn serve_group(&self, stop: &CancellationToken) -> Result<(), PortError> {
        let shown = &self.shown;
        let join = async {
            *lock(&shown.cluster_id) = Some(shown.adapters.cluster_id().await?);
            shown.adapters.join().await
        };
        let mut membership = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            joined = join => joined?,
        };
        tracing::info!(table = %shown.settings.slug, group = %shown.settings.group, "waiting to own the group");
        let generation = tokio::select! {
            biased;
            () = stop.cancelled() => return membership.leave().await,
            generation = membership.acquired() => generation?,
        };
        let ended = self.own(membership.as_mut(), generation, stop).await;
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
        let store: Arc<dyn ConnectStore> = Arc::from(shown.adapters.connect_store().await?);
        let mut fleet = Fleet::new(Arc::clone(shown));
        let owned = tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            lost = membership.lost() => lost,
            failed = self.drive(&mut fleet, &store, generation) => Err(failed),
            () = self.observe() => Ok(()),
        };
        *lock(&shown.store) = None;
        let author = shown.author();
        *lock(&shown.generation) = None;
        fleet.drain().await;
        if let Some(author) = author.filter(|_| stop.is_cancelled()) {
            let standings = self.standings(&author).into_iter().map(|(name, standing)| (name, given_up(standing)));
            let (standings, mut written) = (standings.collect(), Written::default());
            let write = self.write_statuses(store.as_ref(), &standings, &mut written);
            if tokio::time::timeout(GIVE_UP_MAX, write).await.is_err() {
                let limit_s = GIVE_UP_MAX.as_secs();
                tracing::warn!(table = %shown.settings.slug, limit_s, "the last statuses could not be written in time");
            }
        }
        owned
    }

    /// Keeps the runs as the configurations topic wants them. Ends only by a failure.
    async fn drive(&self, fleet: &mut Fleet, store: &Arc<dyn ConnectStore>, generation: i32) -> PortError {
        let shown = &self.shown;
        if let Err(error) = self.take_over(store.as_ref()).await {
            return error;
        }
        *lock(&shown.store) = Some(Arc::clone(store));
        *lock(&shown.generation) = Some(generation);
        let (mut written, mut seen) = (Written::default(), TopicsSeen::default());
        let mut views = shown.view.subscribe();
        tracing::info!(table = %shown.settings.slug, generation, "owning the group");
        loop {
            self.record_tasks(store.as_ref()).await;
            let view = views.borrow_and_update().clone();
            fleet.steer(&view);
            if let Some(author) = shown.author() {
                self.write_statuses(store.as_ref(), &self.standings(&author), &mut written).await;
            }
            seen.write(shown, store.as_ref(), &view).await;
            tokio::select! {
                changed = views.changed() => drop(changed),
                ended = fleet.ended() => {
                    if let Some(task) = ended {
                        seen.write_of(&task, shown, store.as_ref(), &view).await;
                    }
                }
                () = tokio::time::sleep(WATCH) => {}
            }
        }
    }

    /// Puts the tasks on record. A request's records are all there before, and these are waited for: a view that has
    /// only some of either would have tasks written that are there, or are no longer wanted.
    async fn record_tasks(&self, store: &dyn ConnectStore) {
        let shown = &self.shown;
        let missing = || task_records(&shown.view.borrow());
        if missing().is_empty() {
            return;
        }
        let _turn = shown.turn.lock().await;
        match store.write(&missing()).await {
            Ok(last) => {
                shown.until(WATCH, |view| view.last_config >= last).await;
            }
            Err(error) => {
                let table = &shown.settings.slug;
                tracing::warn!(%table, "task configurations not written: {}", error.report());
            }
        }
    }

    /// A new owner first ends the last one's right to write, and then knows all that it wrote.
    async fn take_over(&self, store: &dyn ConnectStore) -> Result<(), PortError> {
        let end = store.claim(&self.shown.settings.leader_id()).await?;
        let read = |view: &View| view.reading == Reading::Current && view.last_config >= end;
        if self.shown.until(READ_MAX, read).await {
            return Ok(());
        }
        let attempt = "reading the configurations topic up to the takeover";
        let cause = match &self.shown.view.borrow().reading {
            Reading::Broken(why) => why.clone(),
            Reading::Behind | Reading::Current => format!("not done within {} s", READ_MAX.as_secs()),
        };
        Err(PortError::new(ErrorKind::Retry, attempt).because(cause))
    }

    fn standings(&self, author: &Author) -> BTreeMap<String, Standing> {
        let view = self.shown.view.borrow().clone();
        let all = view.all().filter_map(|(name, _, _)| Some((name.clone(), self.shown.standing(&view, name, author)?)));
        all.collect()
    }

    async fn write_statuses(
        &self,
        store: &dyn ConnectStore,
        standings: &BTreeMap<String, Standing>,
        written: &mut Written,
    ) {
        let changes = written.missing(&self.shown.view.borrow(), standings);
        for change in changes {
            match store.put_status(&change).await {
                Ok(()) => written.note(&change),
                Err(error) => {
                    let table = &self.shown.settings.slug;
                    tracing::warn!(%table, "status not written: {}", error.report());
                }
            }
        }
    }

    /// Looks at the surroundings, for ever.
    async fn observe(&self) {
        loop {
            let (mut source, mut sink) = (None, None);
            for (_, _, connector) in self.shown.view.borrow().clone().all() {
                match connector {
                    Connector::Source(config) => source = Some(config.clone()),
                    Connector::Sink(config) => sink = Some(config.clone()),
                    Connector::Unusable(_) => {}
                }
            }
            let seen = self.shown.adapters.observe(source.as_deref(), sink.as_deref()).await;
            *lock(&self.shown.observation) = seen;
            tokio::time::sleep(WATCH).await;
        }
    }
}
