//! Capture: a table's rows and changes, once each and in order, into the log.
//!
//! The log's writer is claimed before anything is read, so whoever claimed it earlier can change nothing any more.
//! Progress travels in the same log transaction as the rows. PostgreSQL is told to forget only what a committed
//! progress record holds. After any failure the run ends; the next one starts from what the log holds.

mod cursor;
mod dead_letter;
mod handover;
mod incremental;
mod output;
mod recover;
mod signals;
mod snapshot;
mod stream;
mod window;

use std::time::Duration;

use bytes::Bytes;
use datapipe_core::change::{Action, Change, OldRow};
use datapipe_core::envelope::{Encoder, EnvelopeSettings, Lost};
use datapipe_core::key;
use datapipe_core::lsn::Position;
use datapipe_core::port::clock::Clock;
use datapipe_core::port::log::TransactionalLog;
use datapipe_core::port::signal::SignalChannel;
use datapipe_core::port::source::ChangeSource;
use datapipe_core::port::{ErrorKind, PortError};
use datapipe_core::progress::Progress;
use datapipe_core::table::SnapshotMode;
use datapipe_core::transform::Transforms;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::cursor::{Cursor, Next};
use self::incremental::Pursuit;
use self::output::{Diverted, Output};
pub use self::recover::{Start, decide};
use self::signals::Channel;
use crate::gauges::CaptureGauges;

/// What a capture needs to know.
#[derive(Clone, Debug)]
pub struct CaptureSettings {
    /// The form of the records.
    pub envelope: EnvelopeSettings,
    /// What is done to a row's records before they go into the log.
    pub transforms: Transforms,
    /// The topic for rows that cannot be encoded or are too large; without one, such a record ends the run.
    pub dead_letter_topic: Option<String>,
    /// The topic of the progress record.
    pub offsets_topic: String,
    /// The progress record's key.
    pub offsets_key: Vec<u8>,
    /// Whether a TRUNCATE becomes a record.
    pub truncates: bool,
    /// What to do about rows that are there before the first start.
    pub snapshot: SnapshotMode,
    /// Copy a table without a primary key, which starts anew when it is interrupted, instead of refusing it.
    pub keyless_snapshot: bool,
    /// The longest time between two commits of progress on an idle table.
    pub heartbeat: Duration,
    /// The topic of heartbeat records; none if nobody waits for any.
    pub heartbeat_topic: Option<String>,
    /// How often the signaling topic is looked at.
    pub signal_poll: Duration,
    /// The most rows of an incremental snapshot that are read at once.
    pub chunk_rows: u32,
    /// The longest time that a log transaction stays open while the source gives nothing more. It must be well below
    /// the time after which the log aborts a transaction.
    pub transaction_age_max: Duration,
    /// A log transaction is committed when it has this many bytes of keys and values.
    pub transaction_bytes_max: usize,
    /// A log transaction is committed when it has this many records.
    pub transaction_records_max: usize,
}

/// How long to wait for events before looking at the clock and the stop signal again.
const WAIT: Duration = Duration::from_millis(200);

/// What a task keeps from one run to the next.
#[derive(Clone, Debug, Default)]
pub struct Carried {
    /// A row that the log refuses as too large ends the run; the next one sends a reference to it to the dead letter
    /// queue instead.
    diverted: Diverted,
    /// This task has read the rows, or begun to.
    snapshot_begun: bool,
}

impl Carried {
    /// How many rows are to be sent as references.
    pub fn diverted(&self) -> usize {
        self.diverted.len()
    }
}

/// What a capture works on.
pub struct Ports<'a> {
    /// Where changes come from.
    pub source: &'a mut dyn ChangeSource,
    /// Where they go.
    pub log: &'a mut dyn TransactionalLog,
    /// Where signals come from that do not come with the changes.
    pub signals: Option<&'a mut dyn SignalChannel>,
}

/// Runs until told to stop, or until something fails.
pub async fn run(
    Ports { source, log, signals }: Ports<'_>,
    settings: &CaptureSettings,
    clock: &dyn Clock,
    gauges: &CaptureGauges,
    carried: &mut Carried,
    stop: &CancellationToken,
) -> Result<(), PortError> {
    // The log is taken over before anything else is looked at.
    let value = claim(log).await?;
    let state = source.inspect().await?;
    let stored = handover::progress_of(value, &state, log, settings).await?;
    let start = if let Ok(start) = decide(stored, &state, settings, carried) {
        start
    } else {
        // Another owner may have gone on in between, and then the slot is rightly ahead of what was read. What is
        // read after the look at the slot is never behind it.
        let value = claim(log).await?;
        let stored = handover::progress_of(value, &state, log, settings).await?;
        let is_stored = stored.is_some();
        match decide(stored, &state, settings, carried) {
            Err(error) if is_stored => recover::instead(error, &state, settings)?,
            start => start?,
        }
    };
    let Carried { diverted, snapshot_begun } = carried;
    let encoder = Encoder::new(settings.envelope.clone());
    let output = Output::new(log, settings, diverted);
    let writer = Writer { output, settings, clock, gauges, committed_at: Instant::now() };
    let channel = signals.map(|channel| Channel { channel, due_at: Instant::now() });
    let mut capture = Capture {
        source,
        writer,
        encoder,
        settings,
        clock,
        gauges,
        stop,
        snapshot_begun,
        channel,
        pursuit: Pursuit::default(),
        beat_at: Instant::now(),
        table: format!("{}.{}", state.relation.schema, state.relation.name),
    };
    capture.run(start, &state).await
}

/// Takes the log over, and reads what it holds of the progress.
async fn claim(log: &mut dyn TransactionalLog) -> Result<Option<Bytes>, PortError> {
    log.claim().await
}

/// The log's side of a run.
struct Writer<'a> {
    output: Output<'a>,
    settings: &'a CaptureSettings,
    clock: &'a dyn Clock,
    gauges: &'a CaptureGauges,
    committed_at: Instant,
}

impl Writer<'_> {
    /// Ends the open log transaction with this progress in it.
    async fn store(&mut self, progress: &Progress) -> Result<(), PortError> {
        let sums = self.output.commit(progress).await?;
        self.gauges.rows.add(sums.rows);
        self.gauges.bytes.add(sums.bytes as u64);
        self.gauges.dead_letters.add(sums.dead_letters);
        self.gauges.commits.add(1);
        let now_us = self.clock.now_us();
        self.gauges.committed_at_us.set(now_us);
        if sums.rows > 0 {
            self.gauges.delay_us.set((now_us - progress.last.time_us).max(0));
        }
        self.gauges.confirmed_lsn.set(progress.confirmable.0.cast_signed());
        self.committed_at = Instant::now();
        Ok(())
    }

    /// When what is open must be committed: a transaction that stays open hides its rows, and the log aborts it in the
    /// end.
    fn due_at(&self) -> Instant {
        self.committed_at + self.settings.transaction_age_max.min(self.settings.heartbeat)
    }
}

/// One run, with what it holds.
struct Capture<'a> {
    source: &'a mut dyn ChangeSource,
    writer: Writer<'a>,
    encoder: Encoder,
    settings: &'a CaptureSettings,
    clock: &'a dyn Clock,
    gauges: &'a CaptureGauges,
    stop: &'a CancellationToken,
    snapshot_begun: &'a mut bool,
    channel: Option<Channel<'a>>,
    pursuit: Pursuit,
    beat_at: Instant,
    /// As `schema.table`.
    table: String,
}

impl Capture<'_> {
    /// Starts the stream at a stored progress. The slot may have been moved since it was looked at; now that it is
    /// held it cannot be, so what it says now counts. If it is ahead, either rows are gone or another owner has gone on:
    /// the next run reads progress again, and decides.
    async fn start(&mut self, progress: &Progress) -> Result<(), PortError> {
        let confirmed = self.source.start(progress.position.commit).await?;
        if confirmed <= progress.confirmable {
            return Ok(());
        }
        let why = format!("the slot has moved to {confirmed}, ahead of the stored {}", progress.confirmable);
        let hint =
            "it is looked at again at once: if nobody has gone on in between, rows are gone, and that is said then";
        Err(PortError::new(ErrorKind::Retry, "starting the stream").because(why).hint(hint))
    }

    /// Ends the open log transaction with this progress in it, and then lets PostgreSQL forget what it may.
    async fn commit(&mut self, progress: &Progress) -> Result<(), PortError> {
        self.writer.store(progress).await?;
        self.source.confirm(progress.confirmable);
        if let Some(Lost { values, first }) = self.encoder.take_lost() {
            tracing::warn!(table = self.table, values, %first, "values without a form are written as NULL");
        }
        Ok(())
    }

    /// Commits how far the cursor is.
    async fn commit_at(&mut self, cursor: &mut Cursor) -> Result<(), PortError> {
        self.commit(cursor.progress()).await?;
        cursor.saved();
        Ok(())
    }

    /// Whether records have been open for as long as they may be, or a position unsaved for a heartbeat: rows that
    /// become no records must not keep PostgreSQL from forgetting.
    fn is_due(&self, cursor: &Cursor) -> bool {
        let Writer { output, settings, committed_at, .. } = &self.writer;
        if output.has_records() {
            self.writer.due_at() <= Instant::now()
        } else {
            cursor.is_unsaved() && committed_at.elapsed() >= settings.heartbeat
        }
    }

    /// Sends what a change becomes; a row that cannot be encoded goes to the dead letter queue.
    async fn send(
        &mut self,
        part: Part,
        change: &Change,
        cursor: &Cursor,
        position: Position,
    ) -> Result<(), PortError> {
        if change.action == Action::Truncate && !self.settings.truncates {
            return Ok(());
        }
        let now_us = self.clock.now_us();
        let transaction = cursor.transaction();
        let (encoder, output) = (&mut self.encoder, &mut self.writer.output);
        if output.is_diverted_change(position) {
            encoder.count(change, &transaction, &mut |record| output.push_note(record));
            return output.divert_change(encoder, change, position).await;
        }
        let mut emit = |record: datapipe_core::port::log::Record<'_>| output.push_change(record, position);
        let outcome = match part {
            Part::Whole => encoder.encode(change, &transaction, now_us, &mut emit),
            Part::AsInsert => encoder.encode_as_insert(change, &transaction, now_us, &mut emit),
            Part::AsDelete => encoder.encode_as_delete(change, &transaction, now_us, &mut emit),
        };
        match outcome {
            Ok(()) => output.settle().await,
            Err(error) => {
                encoder.pass_over(change);
                output.dead_letter_change(change, position, &error).await
            }
        }
    }
}

/// Which part of a change is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// All of it.
    Whole,
    /// An update whose old key is not in the log yet.
    AsInsert,
    /// An update whose new key will be read by the snapshot.
    AsDelete,
}

/// What of a change is sent, and as which position.
fn to_send(next: Next, change: &Change) -> Option<(Part, Position)> {
    match next {
        Next::Known => None,
        Next::New(position) => Some((Part::Whole, position)),
        Next::AfterDelete(position) => changes_key(change).then_some((Part::AsInsert, position)),
    }
}

fn changes_key(change: &Change) -> bool {
    let Action::Update { old: Some(OldRow::Key(old) | OldRow::Full(old)), new } = &change.action else { return false };
    key::key_of(&change.relation, old) != key::key_of(&change.relation, new)
}
