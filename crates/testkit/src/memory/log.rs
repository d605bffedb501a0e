//! The transactional log and the dead letter queue in memory.

use async_trait::async_trait;
use bytes::Bytes;
use datapipe_core::port::log::{Committed, DeadLetterQueue, Record, RecordBatch, Sent, TransactionalLog};
use datapipe_core::port::{ErrorKind, PortError};
use rand::Rng;

use super::kafka::OwnedRecord;
use super::source::{Step, StepHandle};
use crate::sim::fault::Point;
use crate::sim::world::{Instance, Mutation, World, failed};

/// The writing side of the world's log.
pub struct MemoryLog {
    instance: Instance,
    epoch: Option<u64>,
    queue: Vec<OwnedRecord>,
    queued_bytes: usize,
    /// Records of the open transaction, and which of them are too large.
    sent: usize,
    too_large: Vec<usize>,
    data_records: usize,
    step: StepHandle,
}

impl MemoryLog {
    /// A writer for one run of a capture.
    pub fn new(instance: &Instance) -> Self {
        Self {
            instance: instance.clone(),
            epoch: None,
            queue: Vec::new(),
            queued_bytes: 0,
            sent: 0,
            too_large: Vec::new(),
            data_records: 0,
            step: StepHandle::default(),
        }
    }

    pub(crate) fn step(&self) -> StepHandle {
        self.step.clone()
    }

    fn take_queue(&mut self) -> Vec<OwnedRecord> {
        self.queued_bytes = 0;
        std::mem::take(&mut self.queue)
    }

    /// What the client's own thread does meanwhile: it sends what is queued.
    fn send_ahead(&mut self, world: &mut World) {
        let Some(epoch) = self.epoch else { return };
        let (queue, now_ms) = (self.take_queue(), world.now_ms());
        // A fenced writer learns of it at its next call that waits.
        let _ = world.kafka.append(epoch, &queue, now_ms);
    }

    fn point(&self) -> Point {
        match self.step.get() {
            Step::Opened if self.step.resumes() => Point::CommitBoundary,
            Step::Start | Step::Opened => Point::CommitFirst,
            Step::CatchUp => Point::CommitCatchUp,
            Step::Copy => Point::CommitCopy,
            Step::CopyEnd => Point::CommitCopyEnd,
            Step::Stream if self.data_records == 0 => Point::CommitIdle,
            Step::Stream => Point::CommitStream,
        }
    }
}

fn fenced(point: Point) -> PortError {
    failed(ErrorKind::Fenced, point, "another owner has taken over")
}

fn unclaimed(point: Point) -> PortError {
    failed(ErrorKind::Retry, point, "the writer is not claimed")
}

#[async_trait]
impl TransactionalLog for MemoryLog {
    async fn claim(&mut self) -> Result<Option<Bytes>, PortError> {
        self.take_queue();
        (self.sent, self.data_records, self.epoch) = (0, 0, None);
        self.too_large.clear();
        let mutation = self.instance.shared.lock().mutation;
        let early = match mutation {
            Some(Mutation::ClaimReadsFirst) => {
                let (progress, delay_ms) = self
                    .instance
                    .shared
                    .with(|world| (world.kafka.progress(), if world.rng.random_bool(0.3) { 400 } else { 1 }));
                tokio::time::sleep(std::time::Duration::from_millis(delay_ms)).await;
                Some(progress)
            }
            _ => None,
        };
        let instance = self.instance.id;
        let claim = move |world: &mut World| {
            (world.kafka.owner, world.kafka.claimed_by) = (Some(instance), Some(instance));
            let epoch = match mutation {
                Some(Mutation::ClaimFencesNobody) => world.kafka.epoch(),
                _ => world.kafka.fence(),
            };
            let foreign = world.kafka.foreign && world.rng.random_bool(0.5);
            let confirmed = world.postgres.slot.as_ref().map_or(0, |slot| slot.confirmed);
            let foreign = foreign.then(|| world.kafka.foreign_progress(confirmed)).flatten();
            if foreign.is_some() {
                world.note(|| "the offset is Debezium's".to_owned());
            }
            Ok((epoch, foreign.or_else(|| early.unwrap_or_else(|| world.kafka.progress()))))
        };
        let (epoch, progress) = self.instance.gate(Point::Claim, claim).await?;
        self.epoch = Some(epoch);
        self.step.set_resumes(progress.is_some());
        Ok(progress.map(Bytes::from))
    }

    async fn tail(&mut self, topic: &str, offsets: u32, batch: &mut RecordBatch) -> Result<(), PortError> {
        let topic = topic.to_owned();
        let read = move |world: &mut World| Ok(world.kafka.last_of(&topic, offsets));
        for (partition, entry) in self.instance.gate(Point::Tail, read).await? {
            batch.push(entry.lent(partition));
        }
        Ok(())
    }

    fn send(&mut self, record: Record<'_>) -> Result<Sent, PortError> {
        if self.epoch.is_none() {
            return Err(unclaimed(Point::Room));
        }
        let shared = self.instance.shared.clone();
        let mut world = shared.lock();
        let record = OwnedRecord::of(&record);
        let size = record.size();
        if self.queued_bytes > 0 && self.queued_bytes + size > world.kafka.settings.queue_bytes_max {
            return Ok(Sent::Full);
        }
        if size > world.kafka.settings.record_bytes_max {
            self.too_large.push(self.sent);
        }
        if record.topic == world.kafka.settings.data_topic {
            self.data_records += 1;
        }
        self.sent += 1;
        self.queued_bytes += size;
        self.queue.push(record);
        if world.rng.random_bool(0.2) {
            self.send_ahead(&mut world);
        }
        Ok(Sent::Queued)
    }

    async fn room(&mut self) -> Result<(), PortError> {
        let epoch = self.epoch.ok_or_else(|| unclaimed(Point::Room))?;
        let queue = self.take_queue();
        let pass_on = move |world: &mut World| {
            let now_ms = world.now_ms();
            world.kafka.append(epoch, &queue, now_ms).map_err(|_| fenced(Point::Room))
        };
        let result = self.instance.gate(Point::Room, pass_on).await;
        if result.is_err() {
            self.epoch = None;
        }
        result
    }

    async fn commit(&mut self) -> Result<Committed, PortError> {
        let point = self.point();
        let epoch = self.epoch.ok_or_else(|| unclaimed(point))?;
        let shared = self.instance.shared.clone();
        {
            let mut world = shared.lock();
            if world.rng.random_bool(0.5) {
                self.send_ahead(&mut world);
            }
        }
        let (queue, too_large) = (self.take_queue(), std::mem::take(&mut self.too_large));
        (self.sent, self.data_records) = (0, 0);
        let end = move |world: &mut World| {
            let now_ms = world.now_ms();
            let halved = world.mutation == Some(Mutation::CommitIsNotAtomic);
            world.kafka.append(epoch, &queue, now_ms).map_err(|_| fenced(point))?;
            if !too_large.is_empty() {
                world.kafka.abort(epoch).map_err(|_| fenced(point))?;
                return Ok(Committed::TooLarge(too_large));
            }
            world.kafka.commit(epoch, halved).map_err(|_| fenced(point))?;
            world.changed.notify_waiters();
            world.note(|| "committed".to_owned());
            Ok(Committed::Yes)
        };
        let ended = self.instance.gate(point, end).await;
        if ended.is_err() {
            self.epoch = None;
        }
        ended
    }
}

impl Drop for MemoryLog {
    fn drop(&mut self) {
        let owner = &mut self.instance.shared.lock().kafka.owner;
        if *owner == Some(self.instance.id) {
            *owner = None;
        }
    }
}

/// The world's dead letters of the delivery.
pub struct MemoryDeadLetters(pub Instance);

#[async_trait]
impl DeadLetterQueue for MemoryDeadLetters {
    async fn put(&mut self, record: Record<'_>) -> Result<(), PortError> {
        let offset = record.headers.iter().find(|header| header.name == "__connect.errors.offset");
        let offset = offset.map(|header| header.value.to_vec());
        let letter = OwnedRecord { key: offset, ..OwnedRecord::of(&record) };
        let put = move |world: &mut World| {
            world.kafka.letters.push(letter);
            Ok(())
        };
        self.0.gate(Point::PutLetter, put).await
    }
}
