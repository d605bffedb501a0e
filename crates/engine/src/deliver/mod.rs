//! Delivery: the log's records, once each and in order, into objects that tile the log.
//!
//! An object is closed locally and then created by one conditional write under a name that its first record alone
//! decides. Whoever comes second is told that it exists, reads from it where it ends, and goes on from there. So
//! crashes, pauses and two deliveries at once all end in one and the same kind of tiling.

mod chain;
mod compress;
mod dead_letter;
mod object;
mod record;
mod recover;
mod spool;

use std::path::PathBuf;
use std::time::Duration;

use datapipe_core::assignment::Assignment;
use datapipe_core::layout::Layout;
use datapipe_core::object::{Cut, CutLimits};
use datapipe_core::output::Output;
use datapipe_core::port::PortError;
use datapipe_core::port::clock::Clock;
use datapipe_core::port::log::{DeadLetterQueue, LogIdentity, LogReader, ReadRecord, RecordBatch};
use datapipe_core::port::store::ObjectStore;
use tokio_util::sync::CancellationToken;

use self::chain::Chain;
use self::record::{Composer, Content, Unusable};
use crate::gauges::DeliverGauges;

/// What a delivery needs to know.
#[derive(Clone, Debug)]
pub struct DeliverSettings {
    /// The connector.
    pub connector: String,
    /// The task, and which partitions it takes.
    pub assignment: Assignment,
    /// How objects are named.
    pub layout: Layout,
    /// What they hold.
    pub output: Output,
    /// The topic.
    pub topic: String,
    /// The group that keeps the offsets.
    pub group: String,
    /// The topic for records that cannot be part of an object; without one, such a record ends the run.
    pub dead_letter_topic: Option<String>,
    /// Dead letters say in headers where they come from and why.
    pub dead_letter_context: bool,
    /// When an object is full.
    pub limits: CutLimits,
    /// gzip's level, 1 (fast) to 9 (small).
    pub compression_level: u32,
    /// Bytes of an object kept in memory; above, it is spooled to a file.
    pub memory_max: usize,
    /// Where spool files go.
    pub spool_folder: PathBuf,
}

/// How long to wait for records before looking at ages and the stop signal again.
const WAIT: Duration = Duration::from_millis(200);

/// The outside world of one delivery.
pub struct Ports<'a> {
    /// The log's reading side.
    pub reader: &'a mut dyn LogReader,
    /// Where objects go.
    pub store: &'a dyn ObjectStore,
    /// Where records go that cannot be part of an object.
    pub dead_letters: &'a mut dyn DeadLetterQueue,
    /// The wall clock, for what is shown.
    pub clock: &'a dyn Clock,
}

/// Runs until told to stop, or until something fails. Records read and not yet in an object are read again by the
/// next run. When told to stop, open objects are closed and written first.
pub async fn run<'a>(
    ports: Ports<'a>,
    settings: &'a DeliverSettings,
    gauges: &'a DeliverGauges,
    stop: &CancellationToken,
) -> Result<(), PortError> {
    let identity = ports.reader.identity().await?;
    let mut delivery =
        Delivery { ports, settings, gauges, identity, chains: Vec::new(), composer: Composer::default() };
    for partition in settings.assignment.partitions(delivery.identity.partitions) {
        let next = tokio::select! {
            biased;
            next = delivery.recover(partition) => next?,
            () = stop.cancelled() => return Ok(()),
        };
        delivery.chains.push(Chain::new(partition, next));
    }
    for index in 0..delivery.chains.len() {
        let (partition, next) = (delivery.chains[index].partition(), delivery.chains[index].next());
        delivery.go_to(partition, next).await?;
    }
    delivery.run(stop).await
}

struct Delivery<'a> {
    ports: Ports<'a>,
    settings: &'a DeliverSettings,
    gauges: &'a DeliverGauges,
    identity: LogIdentity,
    /// One chain per partition of the task, in their order.
    chains: Vec<Chain>,
    composer: Composer,
}

impl Delivery<'_> {
    async fn run(&mut self, stop: &CancellationToken) -> Result<(), PortError> {
        let mut batch = RecordBatch::default();
        loop {
            batch.clear();
            self.chains.iter_mut().for_each(Chain::new_batch);
            self.ports.reader.poll(self.wait(), &mut batch).await?;
            let now_us = self.ports.clock.now_us();
            self.gauges.polled_at_us.set(now_us);
            for record in batch.iter() {
                self.take(record).await?;
            }
            let stopping = stop.is_cancelled();
            for index in 0..self.chains.len() {
                if stopping {
                    self.close(index, Cut::Stop).await?;
                } else if self.chains[index].age().is_some_and(|age| age >= self.settings.limits.age_max) {
                    self.close(index, Cut::Age).await?;
                }
            }
            self.show();
            if stopping {
                return Ok(());
            }
        }
    }

    /// Not beyond the moment when the oldest open object is old enough.
    fn wait(&self) -> Duration {
        let left = |chain: &Chain| chain.age().map(|age| self.settings.limits.age_max.saturating_sub(age));
        self.chains.iter().filter_map(left).fold(WAIT, Duration::min).max(Duration::from_millis(1))
    }

    async fn take(&mut self, record: ReadRecord<'_>) -> Result<(), PortError> {
        let place = self.settings.assignment.place(record.partition);
        let Some(index) = place.filter(|index| *index < self.chains.len()) else {
            return Ok(());
        };
        // After an adoption the rest of the batch may lie before the chain's end, or be read again.
        if !self.chains[index].expects(record.offset) {
            return Ok(());
        }
        if record.value.is_none() {
            self.chains[index].skip(record.offset);
            self.gauges.skipped.add(1);
            return Ok(());
        }
        let mut composer = std::mem::take(&mut self.composer);
        let taken = match composer.compose(&self.settings.output, &record) {
            Ok(content) => self.add(index, &record, content).await,
            Err(unusable) => self.divert(index, &record, &unusable).await,
        };
        self.composer = composer;
        taken
    }

    async fn divert(&mut self, index: usize, record: &ReadRecord<'_>, unusable: &Unusable) -> Result<(), PortError> {
        self.dead_letter(record, unusable).await?;
        self.chains[index].dead_letter(record.offset);
        Ok(())
    }

    /// Adds a record to its partition's open object.
    async fn add(&mut self, index: usize, record: &ReadRecord<'_>, content: Content<'_>) -> Result<(), PortError> {
        let settings = self.settings;
        if let Some(cut) = self.chains[index].cut_before(settings, record, &content) {
            self.close(index, cut).await?;
            if !self.chains[index].expects(record.offset) {
                return Ok(());
            }
        }
        if self.chains[index].must_look() && self.adopt_existing(index, record).await? {
            return Ok(());
        }
        self.chains[index].write(settings, &self.identity, record, content, self.ports.clock.now_us())
    }

    fn show(&self) {
        let unwritten: u64 = self.chains.iter().map(Chain::unwritten).sum();
        self.gauges.unwritten.set(unwritten.cast_signed());
        let since = self.chains.iter().filter_map(Chain::since_us).min();
        self.gauges.unwritten_since_us.set(since.unwrap_or(0));
        let oldest_ms = self.chains.iter().filter_map(Chain::oldest_ms).min();
        self.gauges.unwritten_time_ms.set(oldest_ms.unwrap_or(0));
        self.gauges.next_offset.set(self.chains.iter().map(Chain::next).sum());
    }
}

#[cfg(test)]
mod tests;
