//! The change source in memory, and the clock.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datapipe_core::change::{Begin, Event, Relation, Tuple};
use datapipe_core::lsn::Lsn;
use datapipe_core::port::clock::Clock;
use datapipe_core::port::source::{ChangeSource, ChunkRequest, KeyBound, SlotState, SourceState, Visible};
use datapipe_core::port::{ErrorKind, PortError};
use rand::Rng;
use tokio::time::Instant;

use super::postgres::{Row, Session, Slot, tuple};
use crate::sim::fault::Point;
use crate::sim::world::{Instance, Mutation, Shared, World, failed};

/// The wall clock of a simulated world.
#[derive(Clone)]
pub struct SimClock(pub Shared);

impl Clock for SimClock {
    fn now_us(&self) -> i64 {
        self.0.lock().wall_us()
    }
}

/// A change source on the world's PostgreSQL.
pub struct MemorySource {
    instance: Instance,
    session: Option<u64>,
    snapshot: Option<Snapshot>,
    cursor: Cursor,
    confirmed: u64,
    /// A question beside the stream.
    asked: Option<ChunkRequest>,
    /// Its answer, on its way.
    answered: Option<Event>,
    /// What the log's adapter needs to name its points by.
    step: StepHandle,
}

/// What the capture is at, as its ports see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Step {
    #[default]
    Start,
    Opened,
    CatchUp,
    Copy,
    CopyEnd,
    Stream,
}

/// A step that the source's adapter sets and the log's reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct StepHandle(Arc<std::sync::Mutex<(Step, bool)>>);

impl StepHandle {
    pub(crate) fn get(&self) -> Step {
        self.0.lock().expect("never poisoned").0
    }

    fn set(&self, step: Step) {
        self.0.lock().expect("never poisoned").0 = step;
    }

    pub(crate) fn resumes(&self) -> bool {
        self.0.lock().expect("never poisoned").1
    }

    pub(crate) fn set_resumes(&self, resumes: bool) {
        self.0.lock().expect("never poisoned").1 = resumes;
    }
}

struct Snapshot {
    point: u64,
    rows: Vec<Row>,
    at: Option<usize>,
    resumed: bool,
}

/// How far a walsender has sent.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    /// The transaction's place in the history.
    transaction: usize,
    /// What of it was sent: 0 nothing, 1 its Begin, and so on.
    part: usize,
    keepalive: u64,
    keepalive_at_ms: u64,
}

/// How often an idle walsender says where it is, in milliseconds.
const KEEPALIVE_MS: u64 = 3_000;

impl MemorySource {
    /// A source for one run of a capture; the second value belongs into the same run's [`super::MemoryLog`].
    pub fn new(instance: &Instance, log: &super::MemoryLog) -> Self {
        Self {
            instance: instance.clone(),
            session: None,
            snapshot: None,
            cursor: Cursor::default(),
            confirmed: 0,
            asked: None,
            answered: None,
            step: log.step(),
        }
    }

    async fn open(&mut self, point: Point, creates: bool) -> Result<Lsn, PortError> {
        let opened = self.instance.gate(point, move |world| open(world, creates)).await?;
        self.snapshot = Some(Snapshot { resumed: point == Point::OpenSnapshotResume, ..opened });
        self.step.set(Step::Opened);
        Ok(Lsn(self.snapshot.as_ref().map_or(0, |snapshot| snapshot.point)))
    }

    fn catches_up(&self) -> bool {
        self.snapshot.as_ref().is_some_and(|snapshot| snapshot.resumed && snapshot.at.is_none())
    }

    fn due(&self, world: &World) -> bool {
        let idle = self.cursor;
        let waits = self.asked.is_some() || self.answered.is_some();
        let now_ms = world.now_ms();
        waits
            || idle.transaction < world.postgres.history.len()
            || world.postgres.wal > idle.keepalive
            || now_ms >= idle.keepalive_at_ms + KEEPALIVE_MS
            || self.session.is_none_or(|session| !world.postgres.alive(session, now_ms))
    }
}

fn open(world: &mut World, creates: bool) -> Result<Snapshot, PortError> {
    let postgres = &mut world.postgres;
    if creates {
        if postgres.slot.is_some() {
            return Err(PortError::new(ErrorKind::Retry, "creating the slot").because("it exists".to_owned()));
        }
        let point = postgres.log(24) + 24;
        postgres.slot = Some(Slot { confirmed: point, active: None, lost: false });
    }
    let point = postgres.wal;
    postgres.points.push(point);
    let rows = postgres.rows.values().cloned().collect();
    world.note(|| format!("snapshot opened at {point}"));
    Ok(Snapshot { point, rows, at: None, resumed: false })
}

fn answer(world: &mut World, request: &ChunkRequest) -> Event {
    let mut answer = world.postgres.answer(request);
    let of_missing = matches!(request, ChunkRequest::Missing { .. });
    if let (Event::Chunk(chunk), Some(mutation)) = (&mut answer, world.mutation) {
        match (mutation, of_missing) {
            (Mutation::WatermarkIsEarly, false) | (Mutation::MissingIsEarly, true) => chunk.watermark = Lsn::ZERO,
            (Mutation::ChunkClaimsAll, false) | (Mutation::MissingClaimsAll, true) => {
                chunk.visible = Visible { xmin: u64::MAX, ..Visible::default() };
            }
            _ => {}
        }
    }
    answer
}

#[async_trait]
impl ChangeSource for MemorySource {
    async fn inspect(&mut self) -> Result<SourceState, PortError> {
        let look = |world: &mut World| {
            let postgres = &mut world.postgres;
            let wal = postgres.wal;
            let slot = postgres.slot.as_ref().map(|slot| SlotState {
                confirmed: Lsn(slot.confirmed),
                lost: slot.lost,
                retained_bytes: wal - slot.confirmed,
            });
            Ok(SourceState {
                fingerprint: postgres.fingerprint(),
                timeline: postgres.settings.timeline,
                forked_at: postgres.settings.forked_at.map(Lsn),
                slot,
                relation: postgres.relation(),
            })
        };
        self.instance.gate(Point::Inspect, look).await
    }

    async fn create_slot(&mut self) -> Result<Lsn, PortError> {
        self.open(Point::CreateSlot, true).await
    }

    async fn open_snapshot(&mut self) -> Result<Lsn, PortError> {
        let point = if self.step.resumes() { Point::OpenSnapshotResume } else { Point::OpenSnapshotBegin };
        self.open(point, false).await
    }

    async fn read_rows(&mut self, after: Option<&KeyBound>, rows: &mut Vec<Tuple>) -> Result<Arc<Relation>, PortError> {
        let mut snapshot =
            self.snapshot.take().ok_or_else(|| failed(ErrorKind::Retry, Point::ReadRows, "no snapshot is open"))?;
        let after = after.cloned();
        let read = move |world: &mut World| {
            if world.mutation == Some(Mutation::SnapshotDrifts) {
                snapshot.rows = world.postgres.rows.values().cloned().collect();
            }
            let from = snapshot.at.unwrap_or_else(|| {
                let Some(after) = &after else { return 0 };
                let bound = world.postgres.key_of(after);
                snapshot.rows.partition_point(|row| row.key <= bound)
            });
            let count = world.rng.random_range(1..8);
            let read: Vec<_> = snapshot.rows.iter().skip(from).take(count).map(|row| tuple(row, false)).collect();
            snapshot.at = Some(from + read.len());
            Ok((snapshot, read, world.postgres.relation()))
        };
        let (snapshot, read, relation) = self.instance.gate(Point::ReadRows, read).await?;
        self.step.set(if read.is_empty() { Step::CopyEnd } else { Step::Copy });
        self.snapshot = (!read.is_empty()).then_some(snapshot);
        rows.extend(read);
        Ok(relation)
    }

    async fn start(&mut self, from: Lsn) -> Result<Lsn, PortError> {
        let catches_up = self.catches_up();
        let point = if catches_up { Point::StartCatchUp } else { Point::StartStream };
        let instance = self.instance.id;
        let attach = move |world: &mut World| {
            let (id, now_ms) = (world.new_id(), world.now_ms());
            let postgres = &mut world.postgres;
            postgres.meddle();
            let busy = |why: &str| failed(ErrorKind::Retry, point, why);
            let slot = postgres.slot.as_mut().ok_or_else(|| busy("the slot does not exist"))?;
            if slot.active.is_some() {
                return Err(busy("the slot is active for another process"));
            }
            slot.active = Some(id);
            let confirmed = slot.confirmed;
            let from = from.0.max(confirmed);
            postgres.sessions.insert(id, Session { instance, dead_at_ms: None });
            let mut first = postgres.history.partition_point(|transaction| transaction.commit < from);
            if world.mutation == Some(Mutation::StartSkipsATransaction) && first < postgres.history.len() {
                first += 1;
            }
            let cursor = Cursor { transaction: first, part: 0, keepalive: from, keepalive_at_ms: now_ms };
            Ok((id, confirmed, cursor))
        };
        let (session, confirmed, cursor) = self.instance.gate(point, attach).await?;
        self.session = Some(session);
        self.cursor = cursor;
        self.step.set(if catches_up { Step::CatchUp } else { Step::Stream });
        Ok(Lsn(confirmed))
    }

    async fn next(&mut self, wait: Duration, events: &mut Vec<Event>) -> Result<(), PortError> {
        let point = if self.catches_up() { Point::NextCatchUp } else { Point::NextStream };
        let until = Instant::now() + wait;
        loop {
            let (due, changed, next_ms) = {
                let world = self.instance.shared.lock();
                let next_ms = (self.cursor.keepalive_at_ms + KEEPALIVE_MS).saturating_sub(world.now_ms());
                (self.due(&world), world.changed.clone(), next_ms)
            };
            if due || Instant::now() >= until || self.instance.stop.is_cancelled() {
                break;
            }
            let wake = until.min(Instant::now() + Duration::from_millis(next_ms.max(1)));
            let _ = tokio::time::timeout_at(wake, changed.notified()).await;
        }
        let (session, mut cursor) = (self.session, self.cursor);
        let (mut asked, mut answered) = (self.asked.take(), self.answered.take());
        let take = move |world: &mut World| {
            let now_ms = world.now_ms();
            if !session.is_some_and(|session| world.postgres.alive(session, now_ms)) {
                return Err(failed(ErrorKind::Retry, point, "the server closed the connection"));
            }
            let mut events = cursor.send(world);
            // The answer is read at one moment, and comes at another one.
            if asked.is_some() && world.rng.random_bool(0.5) {
                answered = asked.take().map(|request| answer(world, &request));
            }
            if answered.is_some() && world.rng.random_bool(0.5) {
                let at = world.rng.random_range(0..=events.len());
                events.extend(answered.take());
                events[at..].rotate_right(1);
            }
            Ok((cursor, events, asked, answered))
        };
        let (cursor, sent, asked, answered) = self.instance.gate(point, take).await?;
        self.cursor = cursor;
        (self.asked, self.answered) = (asked, answered);
        events.extend(sent);
        Ok(())
    }

    fn ready(&self) -> bool {
        let world = self.instance.shared.lock();
        self.cursor.transaction < world.postgres.history.len()
    }

    fn confirm(&mut self, lsn: Lsn) {
        let mut world = self.instance.shared.lock();
        self.confirmed = self.confirmed.max(lsn.0);
        let position = if world.mutation == Some(Mutation::ConfirmsWhatWasSent) {
            self.confirmed.max(self.cursor.keepalive)
        } else {
            self.confirmed
        };
        // Only a stream tells the server, and what it says may come late or never.
        if self.session.is_some() && world.rng.random_bool(0.8) {
            let at_ms = world.now_ms() + world.rng.random_range(0..2_000);
            world.postgres.confirming.push((at_ms, position));
        }
    }

    fn request_chunk(&mut self, request: ChunkRequest) {
        (self.asked, self.answered) = (Some(request), None);
    }

    fn beat(&mut self) {}

    async fn stop(&mut self) -> Result<(), PortError> {
        let point = match (self.catches_up(), self.instance.stop.is_cancelled()) {
            (true, true) => Point::StopCatchUpTold,
            (true, false) => Point::StopCatchUp,
            (false, _) => Point::StopStream,
        };
        let (session, confirmed) = (self.session.take(), self.confirmed);
        let stop = move |world: &mut World| {
            if let Some(session) = session {
                let now_ms = world.now_ms();
                if world.postgres.alive(session, now_ms) {
                    world.postgres.confirm(confirmed);
                }
                world.postgres.sessions.remove(&session);
                world.postgres.tick(now_ms);
            }
            Ok(())
        };
        let stopped = self.instance.gate(point, stop).await;
        self.step.set(Step::Opened);
        stopped
    }
}

impl Cursor {
    /// The next events, up to a few at a time.
    fn send(&mut self, world: &mut World) -> Vec<Event> {
        let mut events = Vec::new();
        let (count, chatty, now_ms) = (world.rng.random_range(1..12), world.rng.random_bool(0.1), world.now_ms());
        let urgent = world.rng.random_bool(0.2);
        let postgres = &mut world.postgres;
        while events.len() < count && self.transaction < postgres.history.len() {
            let transaction = &postgres.history[self.transaction];
            let (changes, end) = (transaction.changes.len(), transaction.end);
            let (commit, xid) = (Lsn(transaction.commit), transaction.xid);
            let begin = Begin { commit, xid, commit_time_us: transaction.time_us };
            let part = self.part;
            self.part += 1;
            if part == 0 {
                events.push(Event::Begin(begin));
                events.extend(transaction.signals.iter().cloned().map(Event::Signal));
            } else if part <= changes {
                let logged = transaction.changes[part - 1].clone();
                events.push(Event::Change(postgres.decode(&logged)));
            } else {
                events.push(Event::Commit { end: Lsn(end) });
                self.transaction += 1;
                self.part = 0;
                self.keepalive = self.keepalive.max(end);
            }
        }
        if self.transaction < postgres.history.len() {
            // A server under load asks for a sign of life in the middle of a transaction, too.
            if chatty {
                events.push(Event::Keepalive { position: Lsn(self.keepalive), urgent });
            }
        } else {
            self.keepalive = postgres.wal;
            self.keepalive_at_ms = now_ms;
            events.push(Event::Keepalive { position: Lsn(postgres.wal), urgent });
        }
        events
    }
}

impl Drop for MemorySource {
    fn drop(&mut self) {
        let mut world = self.instance.shared.lock();
        let at_ms = world.now_ms() + world.rng.random_range(0..300);
        let instance = self.instance.id;
        for session in world.postgres.sessions.values_mut().filter(|session| session.instance == instance) {
            session.dead_at_ms = Some(session.dead_at_ms.map_or(at_ms, |dead_ms| dead_ms.min(at_ms)));
        }
    }
}
