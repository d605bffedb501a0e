//! The open log transaction: what is in it, when it is full, and what becomes of it.

use std::collections::HashSet;
use std::sync::Arc;

use datapipe_core::change::{Relation, Tuple};
use datapipe_core::envelope::Columns;
use datapipe_core::key;
use datapipe_core::lsn::Position;
use datapipe_core::port::log::{Committed, Record, Sent, TransactionalLog};
use datapipe_core::port::source::KeyBound;
use datapipe_core::port::{ErrorKind, PortError};
use datapipe_core::progress::Progress;
use datapipe_core::transform::Draft;

use super::CaptureSettings;

/// Smaller records are never refused as too large: the writer's batches are smaller than the log's limit.
const LARGE_BYTES: usize = 16 * 1024;
/// More rows than this cannot be set aside as too large; the topic's limit is wrong then.
const DIVERTED_MAX: usize = 10_000;

/// Rows that the log refused as too large, to be sent to the dead letter queue by reference.
#[derive(Clone, Debug, Default)]
pub(super) struct Diverted(HashSet<Origin>);

impl Diverted {
    /// How many rows wait for their reference to be committed.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Where a record comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Origin {
    Change(Position),
    Row(KeyBound),
}

/// What a committed transaction held.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) rows: u64,
    pub(super) bytes: usize,
    pub(super) dead_letters: u64,
}

pub(super) struct Output<'a> {
    log: &'a mut dyn TransactionalLog,
    settings: &'a CaptureSettings,
    diverted: &'a mut Diverted,
    /// Those that the open transaction holds a reference to.
    referred: Vec<Origin>,
    records: usize,
    sums: Sums,
    large: Vec<(usize, Origin)>,
    /// Records that the log had no room for.
    waiting: Vec<Draft>,
    failed: Option<PortError>,
}

impl<'a> Output<'a> {
    pub(super) fn new(
        log: &'a mut dyn TransactionalLog,
        settings: &'a CaptureSettings,
        diverted: &'a mut Diverted,
    ) -> Self {
        Self {
            log,
            settings,
            diverted,
            referred: Vec::new(),
            records: 0,
            sums: Sums::default(),
            large: Vec::new(),
            waiting: Vec::new(),
            failed: None,
        }
    }

    pub(super) fn dead_letter_topic(&self) -> Option<&'a str> {
        self.settings.dead_letter_topic.as_deref()
    }

    pub(super) fn columns(&self) -> &'a Columns {
        &self.settings.envelope.columns
    }

    pub(super) fn has_records(&self) -> bool {
        self.records > 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.sums.bytes >= self.settings.transaction_bytes_max || self.records >= self.settings.transaction_records_max
    }

    /// Whether a change is to be sent as a reference; once that is committed, it is forgotten.
    pub(super) fn is_diverted_change(&mut self, position: Position) -> bool {
        self.is_diverted(|| Origin::Change(position))
    }

    /// As [`Output::is_diverted_change`], for a snapshot's row.
    pub(super) fn is_diverted_row(&mut self, relation: &Relation, row: &Tuple) -> bool {
        self.is_diverted(|| Origin::Row(key::key_of(relation, row)))
    }

    fn is_diverted(&mut self, origin: impl FnOnce() -> Origin) -> bool {
        if self.diverted.0.is_empty() {
            return false;
        }
        let origin = origin();
        let diverted = self.diverted.0.contains(&origin);
        if diverted {
            self.referred.push(origin);
        }
        diverted
    }

    /// Adds a record of a change; what did not fit waits for [`Output::settle`].
    pub(super) fn push_change(&mut self, record: Record<'_>, position: Position) {
        self.push_transformed(record, Some(&|| Origin::Change(position)));
    }

    /// Adds a record of a snapshot's row.
    pub(super) fn push_row(&mut self, record: Record<'_>, relation: &Arc<Relation>, row: &Tuple) {
        self.push_transformed(record, Some(&|| Origin::Row(key::key_of(relation, row))));
    }

    /// Adds a record that is of no row; what did not fit waits for [`Output::flush`].
    pub(super) fn push_note(&mut self, record: Record<'_>) {
        self.push_transformed(record, None);
    }

    /// A record that cannot be transformed ends the run, as it ends the task in Kafka Connect.
    fn push_transformed(&mut self, record: Record<'_>, origin: Option<&dyn Fn() -> Origin>) {
        let transforms = &self.settings.transforms;
        if transforms.is_empty() {
            return self.push_row_record(record, origin);
        }
        match transforms.apply(record) {
            Ok(Some(draft)) => draft.lend(|record| self.push_row_record(record, origin)),
            Ok(None) => {}
            Err(error) => {
                let attempt = format!("transforming a record of topic {}", record.topic);
                let refused = PortError::new(ErrorKind::Refused, attempt).because(error);
                let hint = "correct the connector's transforms, or let a predicate keep such records from this one";
                self.failed.get_or_insert(refused.hint(hint));
            }
        }
    }

    fn push_row_record(&mut self, record: Record<'_>, origin: Option<&dyn Fn() -> Origin>) {
        if let Some(origin) = origin.filter(|_| size_of_record(&record) > LARGE_BYTES) {
            self.large.push((self.records, origin()));
        }
        self.push(record);
    }

    pub(super) fn count_dead_letter(&mut self) {
        self.sums.dead_letters += 1;
    }

    pub(super) fn push(&mut self, record: Record<'_>) {
        self.records += 1;
        self.sums.bytes += size_of_record(&record);
        if self.failed.is_some() {
            return;
        }
        if self.waiting.is_empty() {
            match self.log.send(record) {
                Ok(Sent::Queued) => return,
                Ok(Sent::Full) => {}
                Err(error) => {
                    self.failed = Some(error);
                    return;
                }
            }
        }
        self.waiting.push(Draft::of(record));
    }

    /// Ends a row: sends what of it had to wait for room, so that at most one row's records ever wait.
    pub(super) async fn settle(&mut self) -> Result<(), PortError> {
        self.sums.rows += 1;
        self.flush().await
    }

    /// Ends a record that is of no row: sends what had to wait for room.
    pub(super) async fn flush(&mut self) -> Result<(), PortError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        for draft in waiting.drain(..) {
            while draft.lend(|record| self.log.send(record))? == Sent::Full {
                self.log.room().await?;
            }
        }
        self.waiting = waiting;
        Ok(())
    }

    /// Commits everything sent, and the progress with it.
    pub(super) async fn commit(&mut self, progress: &Progress) -> Result<Sums, PortError> {
        let value = progress.to_offset_value();
        let settings = self.settings;
        let key = Some(settings.offsets_key.as_slice());
        self.push(Record { topic: &settings.offsets_topic, key, value: Some(&value), headers: &[] });
        self.flush().await?;
        match self.log.commit().await? {
            Committed::Yes => {}
            Committed::TooLarge(places) => return Err(self.too_large(&places)),
        }
        self.records = 0;
        self.large.clear();
        for origin in self.referred.drain(..) {
            self.diverted.0.remove(&origin);
        }
        Ok(std::mem::take(&mut self.sums))
    }

    /// Remembers the rows to set aside, and ends the run: the next one replays the transaction.
    fn too_large(&mut self, places: &[usize]) -> PortError {
        let attempt = format!("writing {} records of one log transaction", self.records);
        let known: Vec<_> = self.large.iter().filter(|(place, _)| places.contains(place)).collect();
        if known.is_empty() || self.diverted.0.len() + known.len() > DIVERTED_MAX {
            let why = format!("the log refuses records as too large, at places {places:?}");
            return PortError::new(ErrorKind::Refused, attempt).because(why).hint(format!(
                "raise max.message.bytes of the topic: it must be above {LARGE_BYTES} bytes, and fit all but a few rows"
            ));
        }
        let origins: Vec<_> = known.into_iter().map(|(_, origin)| origin.clone()).collect();
        let count = origins.len();
        self.diverted.0.extend(origins);
        PortError::new(ErrorKind::Retry, attempt).because(format!(
            "{count} of them are too large for the log; they go to the dead letter queue by reference"
        ))
    }
}

fn size_of_record(record: &Record<'_>) -> usize {
    record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len)
}
