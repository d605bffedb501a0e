//! One schedule from its start to the oracle, and many of them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use datapipe_core::port::{ErrorKind, PortError};
use rand::Rng;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::fault::Coverage;
use super::oracle;
use super::plan::{Plan, RunSettings};
use super::workload::Writer;
use super::world::{Faults, Instance, Mutation, Shared, World};
use crate::memory::{MemoryDeadLetters, MemoryLog, MemoryReader, MemorySignals, MemorySource, MemoryStore, SimClock};

/// The code under test.
#[async_trait]
pub trait Subject: Send + Sync + 'static {
    /// A capture process that has just started.
    fn capture(&self, settings: &RunSettings) -> Box<dyn CaptureRunner>;

    /// Runs a delivery until it is told to stop or fails.
    async fn deliver(
        &self,
        settings: &RunSettings,
        reader: &mut MemoryReader,
        store: &MemoryStore,
        dead_letters: &mut MemoryDeadLetters,
        clock: &SimClock,
        stop: &CancellationToken,
    ) -> Result<(), PortError>;
}

/// A capture process: it may be run again after a failure, and keeps what a process keeps.
#[async_trait]
pub trait CaptureRunner: Send {
    /// Runs until it is told to stop or fails.
    async fn run(
        &mut self,
        source: &mut MemorySource,
        log: &mut MemoryLog,
        signals: Option<&mut MemorySignals>,
        clock: &SimClock,
        stop: &CancellationToken,
    ) -> Result<(), PortError>;
}

/// What became of a schedule.
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// What was wrong.
    pub wrong: Vec<String>,
    /// Which faults took place where.
    pub coverage: Coverage,
    /// See [`World::digest`].
    pub digest: u64,
    /// Gates passed.
    pub gates: u64,
    /// What happened, if asked for.
    pub trace: Vec<String>,
}

/// How long a schedule may take to come to rest once nothing disturbs it any more, in virtual time.
const REST_MAX: Duration = Duration::from_mins(20);
/// How long a process may take to stop when told to.
const STOP_MAX: Duration = Duration::from_mins(2);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Capture,
    Deliver,
}

pub(super) struct Sim {
    subject: Arc<dyn Subject>,
    pub(super) plan: Plan,
    pub(super) shared: Shared,
    zombies: std::sync::Mutex<Vec<Process>>,
}

/// How a run ended: with its result, or killed. A capture's runner lives on if it was not killed.
type Ended = (Option<Result<(), PortError>>, Option<Box<dyn CaptureRunner>>);

struct Process {
    instance: Instance,
    task: JoinHandle<Ended>,
}

impl Sim {
    pub(super) fn new(plan: Plan, subject: Arc<dyn Subject>, mutation: Option<Mutation>, traced: bool) -> Arc<Self> {
        let shared = Shared::new(plan.seed, traced);
        shared.with(|world| {
            world.mutation = mutation;
            world.faults = plan.faults.clone();
            world.slow_source = plan.slow_source;
            world.kafka.foreign = plan.foreign;
            world.kafka.settings = plan.kafka.clone();
            Writer::fill(world, &plan);
        });
        Arc::new(Self { subject, plan, shared, zombies: std::sync::Mutex::default() })
    }

    fn start(self: &Arc<Self>, role: Role, runner: Option<Box<dyn CaptureRunner>>) -> Process {
        let name = if role == Role::Capture { "capture" } else { "deliver" };
        let instance = self.shared.instance(name, CancellationToken::new());
        let (sim, own) = (self.clone(), instance.clone());
        let task = tokio::spawn(async move {
            let kill = own.kill.clone();
            tokio::select! {
                biased;
                () = kill.cancelled() => (None, None),
                ended = sim.process(role, own, runner) => ended,
            }
        });
        Process { instance, task }
    }

    async fn process(&self, role: Role, own: Instance, runner: Option<Box<dyn CaptureRunner>>) -> Ended {
        let (settings, clock) = (&self.plan.settings, SimClock(self.shared.clone()));
        match role {
            Role::Capture => {
                let mut log = MemoryLog::new(&own);
                let mut source = MemorySource::new(&own, &log);
                let mut runner = runner.unwrap_or_else(|| self.subject.capture(settings));
                let mut signals = self.plan.channel.then(|| MemorySignals(own.clone()));
                let result = runner.run(&mut source, &mut log, signals.as_mut(), &clock, &own.stop).await;
                (Some(result), Some(runner))
            }
            Role::Deliver => {
                let store = MemoryStore::new(&own);
                let mut reader = MemoryReader::new(&own, &store);
                let mut letters = MemoryDeadLetters(own.clone());
                let deliver = self.subject.deliver(settings, &mut reader, &store, &mut letters, &clock, &own.stop);
                (Some(deliver.await), None)
            }
        }
    }

    /// Keeps a role running until told to end: restarts what fails, and replaces what is frozen.
    pub(super) async fn keep(self: Arc<Self>, role: Role, end: CancellationToken) {
        let mut runner = None;
        while !end.is_cancelled() {
            let Process { instance, mut task } = self.start(role, runner.take());
            let ended = tokio::select! {
                biased;
                ended = &mut task => Some(ended),
                () = instance.frozen.notified() => None,
                () = end.cancelled() => {
                    self.end(Process { instance, task }).await;
                    return;
                }
            };
            let Some(ended) = ended else {
                let replaced = self.shared.with(|world| world.rng.random_bool(0.5));
                let process = Process { instance, task };
                if replaced {
                    self.zombies.lock().expect("never poisoned").push(process);
                } else {
                    runner = self.wait(process, &end).await;
                }
                continue;
            };
            runner = self.note_end(&instance, ended);
            let back_off_ms = self.shared.with(|world| world.rng.random_range(20..1_000));
            tokio::time::sleep(Duration::from_millis(back_off_ms)).await;
        }
    }

    async fn wait(&self, process: Process, end: &CancellationToken) -> Option<Box<dyn CaptureRunner>> {
        let Process { instance, mut task } = process;
        tokio::select! {
            biased;
            ended = &mut task => self.note_end(&instance, ended),
            () = end.cancelled() => {
                self.end(Process { instance, task }).await;
                None
            }
        }
    }

    fn note_end(
        &self,
        instance: &Instance,
        ended: Result<Ended, tokio::task::JoinError>,
    ) -> Option<Box<dyn CaptureRunner>> {
        let mut world = self.shared.lock();
        let (result, runner) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                world.violations.push(format!("{} panicked: {error}", instance.name));
                (None, None)
            }
        };
        world.note(|| match &result {
            None => format!("{} was killed", instance.name),
            Some(Ok(())) => format!("{} stopped", instance.name),
            Some(Err(error)) => format!("{} failed: {:?} {}", instance.name, error.kind(), error.report()),
        });
        if let Some(Err(error)) = &result
            && error.kind() == ErrorKind::Refused
        {
            world.violations.push(format!("refused: {}", error.report()));
        }
        runner
    }

    /// Tells a process to stop, and sees that it does.
    async fn end(&self, process: Process) {
        let Process { instance, mut task } = process;
        instance.stop.cancel();
        let Ok(ended) = tokio::time::timeout(STOP_MAX, &mut task).await else {
            instance.kill.cancel();
            self.shared.lock().violations.push(format!("{} does not stop", instance.name));
            return;
        };
        let in_order = matches!(&ended, Ok((Some(Ok(())), Some(_))));
        drop(self.note_end(&instance, ended));
        let mut world = self.shared.lock();
        if in_order && world.kafka.has_open() && world.kafka.claimed_by == Some(instance.id) {
            world.violations.push(format!("{} stopped and left a transaction open", instance.name));
        }
    }

    /// Runs a second process of a role for a while.
    async fn double(self: Arc<Self>, role: Role, end: CancellationToken) {
        let (from_ms, killed) =
            self.shared.with(|world| (world.rng.random_range(0..8_000), world.rng.random_bool(0.5)));
        tokio::time::sleep(Duration::from_millis(from_ms)).await;
        if end.is_cancelled() {
            return;
        }
        let process = self.start(role, None);
        end.cancelled().await;
        if killed {
            process.instance.kill.cancel();
        } else {
            process.instance.stop.cancel();
        }
        if let Ok(ended) = tokio::time::timeout(STOP_MAX, process.task).await {
            drop(self.note_end(&process.instance, ended));
        }
    }

    pub(super) async fn write(&self, transactions: u32) {
        let mut writer = Writer::default();
        for _ in 0..transactions {
            let pause_ms = self.shared.with(|world| world.rng.random_range(0..=self.plan.spacing_ms_max));
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            self.shared.with(|world| {
                writer.step(world, &self.plan);
                if self.plan.garbage && world.rng.random_bool(0.1) {
                    let topic = world.kafka.settings.data_topic.clone();
                    world.kafka.produce(&topic, Some(b"x"), Some(b"this is no JSON"));
                }
                world.changed.notify_waiters();
            });
        }
        self.shared.with(|world| {
            writer.finish(world);
            world.changed.notify_waiters();
        });
    }

    async fn run(self: Arc<Self>) {
        let (end, end_doubles) = (CancellationToken::new(), CancellationToken::new());
        let main = [Role::Capture, Role::Deliver].map(|role| tokio::spawn(self.clone().keep(role, end.clone())));
        let doubles: Vec<_> = [Role::Capture, Role::Deliver]
            .into_iter()
            .filter(|_| self.plan.doubles)
            .map(|role| tokio::spawn(self.clone().double(role, end_doubles.clone())))
            .collect();
        self.write(self.plan.transactions).await;
        let longer_ms = self.shared.with(|world| world.rng.random_range(0..15_000));
        tokio::time::sleep(Duration::from_millis(longer_ms)).await;
        self.shared.with(|world| {
            world.faults = Faults::default();
            world.note(|| "the faults end".to_owned());
        });
        end_doubles.cancel();
        for double in doubles {
            let _ = double.await;
        }
        let zombies = std::mem::take(&mut *self.zombies.lock().expect("never poisoned"));
        for zombie in zombies {
            zombie.instance.kill.cancel();
            let ended = zombie.task.await;
            drop(self.note_end(&zombie.instance, ended));
        }
        self.rest_or_complain().await;
        end.cancel();
        for task in main {
            let _ = task.await;
        }
    }

    pub(super) async fn rest_or_complain(&self) {
        if tokio::time::timeout(REST_MAX, self.rest()).await.is_err() {
            self.shared.lock().violations.push("stuck: it did not come to rest".to_owned());
        }
    }

    /// Waits until everything committed is in the log, and everything in the log is in objects.
    async fn rest(&self) {
        while !self.shared.with(|world| is_at_rest(world)) {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

fn is_at_rest(world: &World) -> bool {
    let end = world.postgres.history.last().map_or(0, |transaction| transaction.end);
    let stored = world.kafka.stored.as_ref();
    let done = stored.is_some_and(|stored| {
        stored.confirmable.0 >= end && stored.snapshot.is_none() && stored.signals.snapshots.is_empty()
    });
    let asked = i64::try_from(world.channel.len()).unwrap_or(i64::MAX);
    let heard = asked == 0 || stored.is_some_and(|stored| stored.signals.next_record == Some(asked));
    if !done || !heard {
        return false;
    }
    (0..world.kafka.settings.partitions).all(|partition| {
        let from = world.objects.chain_end(partition).unwrap_or(world.kafka.start);
        let valued = |value: &Vec<u8>| value.first() == Some(&b'{');
        !world.kafka.visible(partition, from, false).any(|entry| entry.value.as_ref().is_some_and(valued))
    })
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without drivers for files and sockets")
}

/// Runs one schedule.
pub fn simulate(plan: Plan, subject: Arc<dyn Subject>, mutation: Option<Mutation>, traced: bool) -> Outcome {
    let seed = plan.seed;
    runtime().block_on(async move {
        let sim = Sim::new(plan, subject, mutation, traced);
        sim.clone().run().await;
        let mut world = sim.shared.lock();
        let wrong = oracle::check(&world, &sim.plan);
        let trace = world.take_trace();
        Outcome { seed, wrong, coverage: world.coverage.clone(), digest: world.digest(), gates: world.gates(), trace }
    })
}

/// What many schedules came to.
#[derive(Default)]
pub struct Exploration {
    /// Schedules run.
    pub schedules: u64,
    /// Gates passed.
    pub gates: u64,
    /// Which faults took place where.
    pub coverage: Coverage,
    /// The first failures, by seed.
    pub failures: Vec<(u64, Vec<String>)>,
}

/// Runs the schedules of these seeds on some threads, and ends early after `failures_max` failures.
pub fn explore(
    seeds: Range<u64>,
    threads: usize,
    failures_max: usize,
    subject: &Arc<dyn Subject>,
    mutation: Option<Mutation>,
) -> Exploration {
    let next = AtomicU64::new(seeds.start);
    let enough = AtomicBool::new(false);
    let total = std::sync::Mutex::new(Exploration::default());
    let work = || {
        while !enough.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            let outcome = simulate(Plan::of(seed), subject.clone(), mutation, false);
            let mut total = total.lock().expect("never poisoned");
            total.schedules += 1;
            total.gates += outcome.gates;
            total.coverage.merge(&outcome.coverage);
            if !outcome.wrong.is_empty() {
                total.failures.push((seed, outcome.wrong));
                enough.fetch_or(total.failures.len() >= failures_max, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut total = total.into_inner().expect("never poisoned");
    total.failures.sort();
    total
}
