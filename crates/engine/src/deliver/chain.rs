//! One partition's chain: where it ends, and the object that will be its next link. No IO but the spool.

use std::time::Duration;

use datapipe_core::object::{Cut, Filling};
use datapipe_core::port::log::{LogIdentity, ReadRecord};
use datapipe_core::port::{ErrorKind, PortError};
use tokio::time::Instant;

use super::DeliverSettings;
use super::object::OpenObject;
use super::record::Content;

pub(super) struct Chain {
    partition: i32,
    /// Where the chain ends: the `next` of the last object, or where the log starts.
    next: i64,
    /// The first offset after the last record taken.
    seen: i64,
    /// Records since `next` that are in no object.
    skipped: u64,
    dead_lettered: u64,
    /// No object has been created since the chain's end was read from outside: the next link may exist already.
    unsure: bool,
    /// The reader was sent back: what is left of the batch in hand has a hole before it.
    sent_back: bool,
    open: Option<OpenObject>,
    opened_at: Option<Instant>,
    since_us: Option<i64>,
}

impl Chain {
    pub(super) fn new(partition: i32, next: i64) -> Self {
        Self {
            partition,
            next,
            seen: next,
            skipped: 0,
            dead_lettered: 0,
            unsure: true,
            sent_back: false,
            open: None,
            opened_at: None,
            since_us: None,
        }
    }

    pub(super) fn partition(&self) -> i32 {
        self.partition
    }

    pub(super) fn next(&self) -> i64 {
        self.next
    }

    pub(super) fn unwritten(&self) -> u64 {
        self.open.as_ref().map_or(0, OpenObject::rows)
    }

    pub(super) fn since_us(&self) -> Option<i64> {
        self.since_us
    }

    /// The log's timestamp of the oldest record in the open object.
    pub(super) fn oldest_ms(&self) -> Option<i64> {
        self.open.as_ref().map(OpenObject::oldest_ms)
    }

    /// How long the open object has been open.
    pub(super) fn age(&self) -> Option<Duration> {
        self.opened_at.map(|at| at.elapsed())
    }

    /// False for a record that was taken before, lies before the chain's end, or comes after a hole.
    pub(super) fn expects(&self, offset: i64) -> bool {
        !self.sent_back && offset >= self.seen
    }

    /// What comes now was read after the last seek.
    pub(super) fn new_batch(&mut self) {
        self.sent_back = false;
    }

    pub(super) fn skip(&mut self, offset: i64) {
        self.seen = offset + 1;
        self.skipped += 1;
    }

    pub(super) fn dead_letter(&mut self, offset: i64) {
        self.seen = offset + 1;
        self.dead_lettered += 1;
    }

    pub(super) fn cut_before(
        &self,
        settings: &DeliverSettings,
        record: &ReadRecord<'_>,
        content: &Content<'_>,
    ) -> Option<Cut> {
        let open = self.open.as_ref()?;
        let filling: Filling = open.filling();
        if open.of_another_schema(content) {
            return Some(Cut::Schema);
        }
        settings.limits.before(&filling, settings.layout.period(record.timestamp_ms), content.size())
    }

    /// Whether an object of this first record may exist already.
    pub(super) fn must_look(&self) -> bool {
        self.unsure && self.open.is_none()
    }

    /// The link does not exist: it is ours to make.
    pub(super) fn looked(&mut self) {
        self.unsure = false;
    }

    pub(super) fn write(
        &mut self,
        settings: &DeliverSettings,
        identity: &LogIdentity,
        record: &ReadRecord<'_>,
        content: Content<'_>,
        now_us: i64,
    ) -> Result<(), PortError> {
        let failed = |error| {
            PortError::new(ErrorKind::Retry, format!("spooling an object in {}", settings.spool_folder.display()))
                .because(error)
                .hint("free space there, or set another data folder")
        };
        let open = match &mut self.open {
            Some(open) => open,
            closed => {
                let open = OpenObject::new(settings, identity, record, &content, self.next).map_err(failed)?;
                self.opened_at = Some(Instant::now());
                self.since_us = Some(now_us);
                closed.insert(open)
            }
        };
        open.add(record, content).map_err(failed)?;
        self.seen = record.offset + 1;
        Ok(())
    }

    /// Takes the open object out, with the offset up to which it answers and what was left out.
    pub(super) fn take_open(&mut self) -> Option<(OpenObject, Covered)> {
        let open = self.open.take()?;
        self.opened_at = None;
        let covered = Covered { next: self.seen, skipped: self.skipped, dead_lettered: self.dead_lettered };
        Some((open, covered))
    }

    /// The chain ends at `next` now: an object up to there exists.
    pub(super) fn linked(&mut self, next: i64, ours: bool) {
        self.next = next;
        self.skipped = 0;
        self.dead_lettered = 0;
        self.unsure = !ours;
        self.sent_back = !ours;
        self.open = None;
        self.opened_at = None;
        self.since_us = None;
        self.seen = next;
    }
}

/// What an object answers for beside its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Covered {
    pub(super) next: i64,
    pub(super) skipped: u64,
    pub(super) dead_lettered: u64,
}
