//! Everything outside of the engine, behind one lock, and the gate that every call of a port goes through.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use datapipe_core::port::{ErrorKind, PortError};
use datapipe_core::signal::Signal;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fault::{Coverage, Fault, Point};
use crate::memory::kafka::Kafka;
use crate::memory::objects::Objects;
use crate::memory::postgres::Postgres;

/// A contract that the ports break on purpose, to show that the oracle sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// A claim reads the progress before it fences the earlier owner.
    ClaimReadsFirst,
    /// A claim fences nobody.
    ClaimFencesNobody,
    /// A create overwrites what is there.
    CreateOverwrites,
    /// What was sent is confirmed, whether it is durable or not.
    ConfirmsWhatWasSent,
    /// A reader sees records of aborted transactions.
    ReadsAborted,
    /// A commit makes only its first half readable.
    CommitIsNotAtomic,
    /// The stream starts after the transaction that it was asked to start at.
    StartSkipsATransaction,
    /// A snapshot reads the table as it is by now.
    SnapshotDrifts,
    /// A chunk's watermark lies before what it holds.
    WatermarkIsEarly,
    /// A chunk claims to hold changes that it lacks.
    ChunkClaimsAll,
    /// The watermark of keys that no row has lies before what was looked at.
    MissingIsEarly,
    /// Whoever says that no row has a key claims to know of changes that it does not know of.
    MissingClaimsAll,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::ClaimReadsFirst,
        Self::ClaimFencesNobody,
        Self::CreateOverwrites,
        Self::ConfirmsWhatWasSent,
        Self::ReadsAborted,
        Self::CommitIsNotAtomic,
        Self::StartSkipsATransaction,
        Self::SnapshotDrifts,
        Self::WatermarkIsEarly,
        Self::ChunkClaimsAll,
        Self::MissingIsEarly,
        Self::MissingClaimsAll,
    ];
}

/// How often, and where, a schedule interferes.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The chance of a fault at a gate, in thousandths.
    pub per_mille: u32,
    /// Faults left to give out.
    pub budget: u32,
    /// Faults at one point each, after this many passes of it.
    pub targets: Vec<(Point, Fault, u32)>,
}

/// The outside world of a simulation.
pub struct World {
    pub(crate) rng: SmallRng,
    /// The database.
    pub postgres: Postgres,
    /// The log.
    pub kafka: Kafka,
    /// The objects.
    pub objects: Objects,
    pub(crate) mutation: Option<Mutation>,
    pub(crate) faults: Faults,
    pub(crate) slow_source: bool,
    /// The signaling topic.
    pub(crate) channel: Vec<Signal>,
    /// Callers that do not move for now.
    frozen: BTreeSet<u64>,
    pub(crate) coverage: Coverage,
    /// What must never be and was.
    pub(crate) violations: Vec<String>,
    pub(crate) changed: Arc<Notify>,
    started: Instant,
    wall_start_us: i64,
    trace: Option<Vec<String>>,
    digest: u64,
    gates: u64,
    next_id: u64,
}

/// A handle to the world.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<World>>);

impl Shared {
    /// A world of this seed. Must be made inside of a runtime.
    pub fn new(seed: u64, traced: bool) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        // Runs start shortly before a full hour, so that records fall on both sides of it.
        let wall_start_us = 1_795_395_600_000_000 - rng.random_range(0..20_000_000);
        let world = World {
            postgres: Postgres::default(),
            kafka: Kafka::default(),
            objects: Objects::default(),
            mutation: None,
            faults: Faults::default(),
            slow_source: false,
            channel: Vec::new(),
            frozen: BTreeSet::new(),
            coverage: Coverage::default(),
            violations: Vec::new(),
            changed: Arc::new(Notify::new()),
            started: Instant::now(),
            wall_start_us,
            trace: traced.then(Vec::new),
            digest: 0xcbf2_9ce4_8422_2325,
            gates: 0,
            next_id: 0,
            rng,
        };
        Self(Arc::new(Mutex::new(world)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        let mut world = self.0.lock().expect("no test panics while it holds the world");
        let now_ms = world.now_ms();
        // Timestamps of a broker and its clients go back at times; here by up to 0.4 s.
        let back_ms = i64::try_from(now_ms.wrapping_mul(7919) % 400).expect("below 400");
        world.kafka.wall_ms = world.wall_us() / 1000 - back_ms;
        world.postgres.tick(now_ms);
        if let Some(owner) = world.kafka.tick(now_ms)
            && !world.frozen.contains(&owner)
        {
            world.violations.push(format!("the log aborted a transaction that capture{owner} kept open for too long"));
        }
        world.check_confirmed();
        world
    }

    /// A caller of ports, to be killed, frozen or stopped by the gates.
    pub fn instance(&self, name: &str, stop: CancellationToken) -> Instance {
        let id = self.lock().new_id();
        let (kill, frozen) = (CancellationToken::new(), Arc::new(Notify::new()));
        Instance { id, name: format!("{name}{id}").into(), shared: self.clone(), kill, stop, frozen }
    }

    /// Runs a test's own look at, or change of, the world.
    pub fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut self.lock())
    }
}

impl World {
    /// Milliseconds of virtual time since the start.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The wall clock in microseconds since 1970-01-01 UTC.
    pub(crate) fn wall_us(&self) -> i64 {
        self.wall_start_us + i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    pub(crate) fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        let now_ms = self.now_ms();
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now_ms:>8} {}", text()));
        }
    }

    /// The lines of the trace, if one was asked for.
    pub fn take_trace(&mut self) -> Vec<String> {
        self.trace.take().unwrap_or_default()
    }

    /// A number that two runs have in common only if they met the same gates in the same order and at the same times.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many gates were passed.
    pub fn gates(&self) -> u64 {
        self.gates
    }

    /// What PostgreSQL may forget must be in the log, and said to be.
    fn check_confirmed(&mut self) {
        let stored = self.kafka.stored.as_ref().map_or(0, |progress| progress.confirmable.0);
        for position in std::mem::take(&mut self.postgres.confirmed_log) {
            if position > stored {
                self.violations.push(format!("slot confirmed at {position}, but only {stored} is stored"));
            }
        }
    }

    fn mix(&mut self, value: u64) {
        self.digest = (self.digest ^ value).wrapping_mul(0x0100_0000_01b3).rotate_left(17);
    }

    /// Decides what happens to a call.
    fn arrive(&mut self, instance: &Instance, point: Point) -> Option<Fault> {
        self.gates += 1;
        let now_ms = self.now_ms();
        self.mix(now_ms << 16 ^ (point as u64) << 8 ^ instance.id);
        let mut fault = None;
        if let Some(index) = self.faults.targets.iter().position(|(at, ..)| *at == point) {
            let (_, what, left) = &mut self.faults.targets[index];
            if *left == 0 {
                fault = Some(*what);
                self.faults.targets.remove(index);
            } else {
                *left -= 1;
            }
        }
        if fault.is_none() && self.faults.budget > 0 && self.rng.random_range(0..1000) < self.faults.per_mille {
            let any = Fault::ALL[self.rng.random_range(0..Fault::ALL.len())];
            if Coverage::applies(point, any) {
                self.faults.budget -= 1;
                fault = Some(any);
            }
        }
        if let Some(fault) = fault {
            self.coverage.add(point, fault);
            self.mix(fault as u64 + 1);
            self.note(|| format!("{} {} ({}) FAULT {fault:?}", instance.name, point.method(), point.context()));
        } else {
            self.note(|| format!("{} {} ({})", instance.name, point.method(), point.context()));
        }
        fault
    }

    /// How long the server keeps a call of the source waiting, beyond the usual.
    fn slowness(&mut self, point: Point) -> u64 {
        match point {
            Point::ReadRows if self.slow_source && self.rng.random_bool(0.2) => self.rng.random_range(0..40_000),
            // A stream is waited for in short turns; many of them in a row make a slow one.
            Point::NextStream | Point::NextCatchUp if self.slow_source && self.rng.random_bool(0.4) => {
                self.rng.random_range(0..1_500)
            }
            _ => 0,
        }
    }

    fn short_delay(&mut self, point: Point) -> u64 {
        // Polling is what a run does most: it gets no delay of its own.
        if matches!(point, Point::Poll | Point::NextStream) { 0 } else { self.rng.random_range(0..4) }
    }
}

/// One run of a capture or a delivery, seen from the outside.
#[derive(Clone)]
pub struct Instance {
    pub(crate) id: u64,
    pub(crate) name: Arc<str>,
    pub(crate) shared: Shared,
    /// Cancelled when the process is to die.
    pub kill: CancellationToken,
    /// Cancelled when it is told to stop.
    pub stop: CancellationToken,
    /// Told when it is frozen.
    pub frozen: Arc<Notify>,
}

/// What a call fails with.
pub(crate) fn failed(kind: ErrorKind, point: Point, why: &str) -> PortError {
    PortError::new(kind, point.method()).because(why.to_owned())
}

impl Instance {
    /// Passes a call through: waits, lets the effect take place, or not, and answers, or not.
    pub(crate) async fn gate<T: Send + 'static>(
        &self,
        point: Point,
        effect: impl FnOnce(&mut World) -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        let (fault, before, after) = {
            let mut world = self.shared.lock();
            let fault = world.arrive(self, point);
            (fault, world.short_delay(point) + world.slowness(point), world.short_delay(point))
        };
        pass(before).await;
        match fault {
            Some(Fault::Delay) => {
                let long = self.shared.lock().rng.random_range(5..300);
                pass(long).await;
            }
            Some(Fault::Fail) => return Err(failed(ErrorKind::Retry, point, "the connection broke before the call")),
            Some(Fault::CrashBefore) => self.crash().await,
            Some(Fault::Pause) => self.freeze().await,
            Some(Fault::Stop) => self.stop.cancel(),
            Some(Fault::Late) => {
                self.later(effect);
                if self.shared.lock().rng.random_bool(0.5) {
                    self.crash().await;
                }
                return Err(failed(ErrorKind::Ambiguous, point, "no reply in time"));
            }
            _ => {}
        }
        let result = {
            let mut world = self.shared.lock();
            let result = effect(&mut world);
            if let Err(error) = &result {
                world.note(|| format!("{} {} failed: {}", self.name, point.method(), error.report()));
            }
            result
        };
        match fault {
            Some(Fault::CrashAfter) => self.crash().await,
            Some(Fault::PauseAfter) => self.freeze().await,
            Some(Fault::Lost) => return Err(failed(ErrorKind::Ambiguous, point, "the reply was lost")),
            _ => {}
        }
        pass(after).await;
        result
    }

    fn later<T>(&self, effect: impl FnOnce(&mut World) -> Result<T, PortError> + Send + 'static) {
        let (shared, name) = (self.shared.clone(), self.name.clone());
        let delay_ms = shared.lock().rng.random_range(0..2000);
        tokio::spawn(async move {
            pass(delay_ms).await;
            let mut world = shared.lock();
            let took_effect = effect(&mut world).is_ok();
            world.note(|| format!("{name} late effect: {took_effect}"));
        });
    }

    async fn crash(&self) {
        self.kill.cancel();
        std::future::pending::<()>().await;
    }

    async fn freeze(&self) {
        let pause_ms = {
            let mut world = self.shared.lock();
            let now_ms = world.now_ms();
            world.postgres.freeze(self.id, now_ms);
            world.frozen.insert(self.id);
            world.rng.random_range(1_000..60_000)
        };
        self.frozen.notify_one();
        pass(pause_ms).await;
        let mut world = self.shared.lock();
        let now_ms = world.now_ms();
        world.postgres.thaw(self.id, now_ms);
        world.frozen.remove(&self.id);
        world.note(|| format!("{} thaws", self.name));
    }
}

async fn pass(delay_ms: u64) {
    if delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    }
}
