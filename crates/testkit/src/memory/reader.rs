//! The reading side of the log in memory.

use std::time::Duration;

use async_trait::async_trait;
use datapipe_core::port::log::{GroupOffset, LogIdentity, LogReader, RecordBatch};
use datapipe_core::port::{ErrorKind, PortError};
use rand::Rng;
use tokio::time::Instant;

use super::kafka::LogEntry;
use super::store::LinkHandle;
use crate::sim::fault::Point;
use crate::sim::world::{Instance, Mutation, World, failed};

/// A reader of the world's data topic.
pub struct MemoryReader {
    instance: Instance,
    positions: Vec<Option<i64>>,
    link: LinkHandle,
}

impl MemoryReader {
    /// A reader for one run of a delivery.
    pub fn new(instance: &Instance, store: &super::MemoryStore) -> Self {
        Self { instance: instance.clone(), positions: Vec::new(), link: store.link() }
    }

    /// Another reader of the same process, which has sought nothing yet.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self { instance: self.instance.clone(), positions: Vec::new(), link: self.link.clone() }
    }

    fn due(&self, world: &World) -> bool {
        (0..).zip(&self.positions).any(|(partition, position)| {
            position.is_some_and(|position| read(world, partition, position).next().is_some())
        })
    }
}

fn read(world: &World, partition: i32, from: i64) -> impl Iterator<Item = &LogEntry> {
    world.kafka.visible(partition, from, world.mutation == Some(Mutation::ReadsAborted))
}

/// What a poll took: the records with their partition, and where each partition goes on.
type Polled = (Vec<(i32, LogEntry)>, Vec<Option<i64>>);

fn poll(world: &mut World, mut positions: Vec<Option<i64>>) -> Polled {
    let mut taken = Vec::new();
    for (partition, position) in (0..).zip(&mut positions) {
        let Some(position) = position else { continue };
        let count = world.rng.random_range(1..20);
        let records: Vec<_> = read(world, partition, *position).take(count).cloned().collect();
        let read_all = records.len() < count;
        let last = records.last().map(|record| record.offset + 1);
        *position = if read_all { world.kafka.stable_end(partition).max(*position) } else { last.unwrap_or(*position) };
        taken.extend(records.into_iter().map(|record| (partition, record)));
    }
    (taken, positions)
}

#[async_trait]
impl LogReader for MemoryReader {
    async fn identity(&mut self) -> Result<LogIdentity, PortError> {
        let look = |world: &mut World| {
            let settings = &world.kafka.settings;
            Ok(LogIdentity {
                cluster_id: settings.cluster_id.clone(),
                topic: settings.data_topic.clone(),
                partitions: settings.partitions,
            })
        };
        self.instance.gate(Point::Identity, look).await
    }

    async fn committed(&mut self, partition: i32) -> Result<Option<GroupOffset>, PortError> {
        let look = move |world: &mut World| Ok(world.kafka.groups.get(&partition).cloned());
        self.instance.gate(Point::Committed, look).await
    }

    async fn bounds(&mut self, partition: i32) -> Result<(i64, i64), PortError> {
        let look = move |world: &mut World| Ok((world.kafka.start, world.kafka.stable_end(partition)));
        self.instance.gate(Point::Bounds, look).await
    }

    async fn peek(
        &mut self,
        partition: i32,
        offset: i64,
        wait: Duration,
        batch: &mut RecordBatch,
    ) -> Result<(), PortError> {
        let until = Instant::now() + wait;
        loop {
            let first = move |world: &mut World| Ok(read(world, partition, offset).next().cloned());
            if let Some(record) = self.instance.gate(Point::Peek, first).await? {
                batch.push(record.lent(partition));
                return Ok(());
            }
            let changed = self.instance.shared.lock().changed.clone();
            let next = until.min(Instant::now() + Duration::from_millis(100));
            let _ = tokio::time::timeout_at(next, changed.notified()).await;
            if Instant::now() >= until || self.instance.stop.is_cancelled() {
                return Ok(());
            }
        }
    }

    async fn seek(&mut self, partition: i32, offset: i64) -> Result<(), PortError> {
        let point = if self.link.running() { Point::SeekAdopt } else { Point::SeekStart };
        self.instance.gate(point, |_| Ok(())).await?;
        let index = usize::try_from(partition).map_err(|_| failed(ErrorKind::Refused, point, "no such partition"))?;
        if self.positions.len() <= index {
            self.positions.resize(index + 1, None);
        }
        self.positions[index] = Some(offset);
        Ok(())
    }

    async fn poll(&mut self, wait: Duration, batch: &mut RecordBatch) -> Result<(), PortError> {
        self.link.run();
        let until = Instant::now() + wait;
        loop {
            let (due, changed) = {
                let world = self.instance.shared.lock();
                (self.due(&world), world.changed.clone())
            };
            if due || Instant::now() >= until || self.instance.stop.is_cancelled() {
                break;
            }
            let _ = tokio::time::timeout_at(until, changed.notified()).await;
        }
        let positions = self.positions.clone();
        let (records, positions) = self.instance.gate(Point::Poll, move |world| Ok(poll(world, positions))).await?;
        self.positions = positions;
        for (partition, record) in &records {
            batch.push(record.lent(*partition));
        }
        Ok(())
    }

    fn position(&self, partition: i32) -> Option<i64> {
        self.positions.get(usize::try_from(partition).ok()?).copied().flatten()
    }

    async fn commit(&mut self, partition: i32, offset: &GroupOffset) -> Result<(), PortError> {
        let point = if self.link.own() { Point::CommitOwn } else { Point::CommitAdopted };
        let offset = offset.clone();
        let put = move |world: &mut World| {
            let end = world.objects.chain_end(partition).unwrap_or(world.kafka.start);
            if offset.offset > end {
                let text =
                    format!("group offset {} of partition {partition} is beyond the chain at {end}", offset.offset);
                world.violations.push(text);
            }
            world.note(|| format!("group offset {}", offset.offset));
            world.kafka.groups.insert(partition, offset);
            Ok(())
        };
        self.instance.gate(point, put).await
    }
}
