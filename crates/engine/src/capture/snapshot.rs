//! The snapshot: rows that are there before the stream, read in the order of their key.
//!
//! At any time there is one boundary: the rows up to the stored key are in the log as of the stored position. An
//! exported snapshot dies with its session, so a resumed one has a later boundary; the finished rows are brought up
//! to it from the slot first (changes of other keys dropped, because the new snapshot holds them), and then the
//! rest is read.

use std::cmp::Ordering;
use std::sync::Arc;

use datapipe_core::change::{Action, Change, Event, OldRow, Relation, Tuple};
use datapipe_core::envelope::SnapshotMarker;
use datapipe_core::key;
use datapipe_core::lsn::{Lsn, Position};
use datapipe_core::port::source::{ChangeSource, KeyBound, SourceState};
use datapipe_core::port::{ErrorKind, PortError};
use datapipe_core::progress::{LastChange, Progress, SnapshotProgress};
use datapipe_core::signal::Signals;
use datapipe_core::table::SnapshotMode;
use tokio::time::{Duration, Instant};

use super::cursor::Cursor;
use super::{Capture, Part, Start, WAIT, to_send};

/// How long the server may take to say that it has sent everything before a new snapshot's boundary, while it sends
/// nothing at all.
const SILENCE_MAX: Duration = Duration::from_mins(2);

impl Capture<'_> {
    pub(super) async fn run(&mut self, start: Start, state: &SourceState) -> Result<(), PortError> {
        let progress = match start {
            Start::Stream(progress) | Start::Rest(progress) => Some(Progress { timeline: state.timeline, ..progress }),
            Start::Fresh { slot, again } => self.begin(slot, again, state).await?,
            Start::ResumeSnapshot(progress) => self.resume(progress, state).await?,
            Start::Again(progress) => self.begin_again(progress, state).await?,
        };
        let Some(mut progress) = progress else { return Ok(()) };
        if self.settings.snapshot == SnapshotMode::InitialOnly {
            return self.rest(&progress).await;
        }
        while let Some(signalled) = self.stream(progress).await? {
            match self.begin_again(signalled, state).await? {
                Some(read) => progress = read,
                None => break,
            }
        }
        Ok(())
    }

    async fn open_snapshot(&mut self) -> Result<Lsn, PortError> {
        self.source.open_snapshot().await
    }

    /// A first start. Returns none if it was told to stop before the snapshot ended.
    async fn begin(
        &mut self,
        slot: Option<Lsn>,
        again: bool,
        state: &SourceState,
    ) -> Result<Option<Progress>, PortError> {
        let mode = self.settings.snapshot;
        let boundary = match slot {
            // Without a stream a slot would only keep the server from forgetting.
            _ if mode == SnapshotMode::InitialOnly => self.open_snapshot().await?,
            Some(_) if mode.reads_rows() => self.open_snapshot().await?,
            Some(confirmed) => confirmed,
            None => self.source.create_slot().await?,
        };
        let reads_rows = mode.reads_rows();
        let progress = Progress {
            fingerprint: state.fingerprint.clone(),
            timeline: state.timeline,
            position: Position::at(boundary),
            confirmable: boundary,
            snapshot: reads_rows.then(|| SnapshotProgress { again, ..SnapshotProgress::default() }),
            last: LastChange { lsn: boundary, lsn_commit: Lsn::ZERO, xid: 0, time_us: self.clock.now_us() },
            handover: None,
            signals: Signals::default(),
        };
        self.commit(&progress).await?;
        *self.snapshot_begun = true;
        if reads_rows { self.copy(progress).await } else { Ok(Some(progress)) }
    }

    /// Reads all rows again. What changed up to then is sent first: a delete that a snapshot hides would never come.
    async fn begin_again(&mut self, progress: Progress, state: &SourceState) -> Result<Option<Progress>, PortError> {
        let boundary = self.open_snapshot().await?;
        let table = &state.relation.name;
        tracing::info!(%table, %boundary, "all rows are read again");
        let mut cursor = Cursor::new(Progress { timeline: state.timeline, ..progress });
        if !self.catch_up(&mut cursor, None, boundary).await? {
            return Ok(None);
        }
        let snapshot = Some(SnapshotProgress { again: true, ..SnapshotProgress::default() });
        let progress = Progress { snapshot, ..cursor.into_progress() };
        self.go_on_from(progress, boundary).await
    }

    async fn resume(&mut self, progress: Progress, state: &SourceState) -> Result<Option<Progress>, PortError> {
        let boundary = self.open_snapshot().await?;
        let mut cursor = Cursor::new(Progress { timeline: state.timeline, ..progress });
        let snapshot = cursor.progress().snapshot.clone().unwrap_or_default();
        let (table, rows) = (&state.relation.name, snapshot.rows);
        let unordered = state.relation.key.is_empty();
        let anew = unordered || self.settings.snapshot == SnapshotMode::InitialOnly;
        if anew {
            let why = if unordered { "no primary key" } else { "no slot that has the changes since then" };
            tracing::warn!(%table, rows, "{why}: the snapshot starts anew, rows will come twice");
        } else {
            tracing::info!(%table, rows, %boundary, "the snapshot goes on above the rows that are in the log");
        }
        let bound = if anew { None } else { snapshot.upper.as_ref() };
        if snapshot.again || bound.is_some() {
            let below = bound.filter(|_| !snapshot.again);
            if !self.catch_up(&mut cursor, below, boundary).await? {
                return Ok(None);
            }
        }
        let mut progress = cursor.into_progress();
        if anew {
            progress.snapshot = Some(SnapshotProgress { again: snapshot.again, ..SnapshotProgress::default() });
        }
        self.go_on_from(progress, boundary).await
    }

    /// All that was asked for is in the log; that this still holds is stored with each heartbeat.
    async fn rest(&mut self, progress: &Progress) -> Result<(), PortError> {
        loop {
            self.writer.store(progress).await?;
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(self.settings.heartbeat) => {}
            }
        }
    }

    async fn go_on_from(&mut self, progress: Progress, boundary: Lsn) -> Result<Option<Progress>, PortError> {
        let mut cursor = Cursor::new(progress);
        cursor.advance(boundary);
        let progress = cursor.into_progress();
        self.commit(&progress).await?;
        *self.snapshot_begun = true;
        self.copy(progress).await
    }

    /// Brings the rows up to `upper`, or all of them, from the stored position to `boundary`. Returns false if told to
    /// stop.
    async fn catch_up(
        &mut self,
        cursor: &mut Cursor,
        upper: Option<&KeyBound>,
        boundary: Lsn,
    ) -> Result<bool, PortError> {
        self.start(cursor.progress()).await?;
        let mut events = Vec::new();
        let mut heard_at = Instant::now();
        loop {
            events.clear();
            self.source.next(WAIT, &mut events).await?;
            let stopping = self.stop.is_cancelled();
            for event in &events {
                heard_at = Instant::now();
                if self.take_below(cursor, event, upper, boundary).await? {
                    self.commit(cursor.progress()).await?;
                    self.source.stop().await?;
                    return Ok(true);
                }
                if self.writer.output.is_full() {
                    self.commit_at(cursor).await?;
                }
            }
            if self.is_due(cursor) {
                self.commit_at(cursor).await?;
            }
            if stopping {
                self.commit(cursor.progress()).await?;
                self.source.stop().await?;
                return Ok(false);
            }
            if heard_at.elapsed() > SILENCE_MAX {
                let attempt = format!("waiting for the stream to reach the snapshot's boundary {boundary}");
                let why = format!("the server sent nothing for {} s", SILENCE_MAX.as_secs());
                return Err(PortError::new(ErrorKind::Retry, attempt).because(why));
            }
        }
    }

    /// Takes an event of a catch-up. True once the boundary is reached.
    async fn take_below(
        &mut self,
        cursor: &mut Cursor,
        event: &Event,
        upper: Option<&KeyBound>,
        boundary: Lsn,
    ) -> Result<bool, PortError> {
        match event {
            Event::Begin(begin) if begin.commit >= boundary => return Ok(true),
            Event::Begin(begin) => {
                cursor.begin(*begin)?;
                // Of a transaction of which a part is left out, nothing is told.
                if upper.is_none() {
                    self.encoder.begin_transaction();
                }
            }
            Event::Change(change) => {
                let next = to_send(cursor.change(change.lsn)?, change);
                let sent = next.and_then(|(whole, position)| {
                    let part = upper.map_or(Some(whole), |upper| part_below(change, upper))?;
                    Some((part, position))
                });
                match sent {
                    Some((part, position)) => self.send(part, change, cursor, position).await?,
                    None => self.encoder.pass_over(change),
                }
            }
            Event::Commit { end } => {
                self.tell_end(cursor, *end).await?;
                cursor.commit(*end)?;
                self.follow_signals(cursor);
            }
            Event::Keepalive { position, .. } => return Ok(*position >= boundary),
            Event::Signal(signal) => cursor.signal(signal),
            // Nothing is asked for before the stream.
            Event::Bounds(_) | Event::Chunk(_) | Event::Refused(_) => {}
        }
        Ok(false)
    }

    /// Reads the rows above the stored key at the open snapshot. Returns none if told to stop.
    async fn copy(&mut self, progress: Progress) -> Result<Option<Progress>, PortError> {
        self.gauges.in_snapshot.set(1);
        self.encoder.snapshot_taken(self.clock.now_us(), None);
        let point = progress.position.commit;
        let mut copied = Copied::new(progress);
        let mut rows = Vec::new();
        // The last row carries a marker of its own, so one row is held back until the next one comes.
        let mut held: Option<Tuple> = None;
        loop {
            rows.clear();
            let Some(relation) = self.read_rows(&mut copied, &mut rows).await? else { return Ok(None) };
            let ended = rows.is_empty();
            for row in rows.drain(..).map(Some).chain(ended.then_some(None)) {
                let last = row.is_none();
                let Some(ready) = std::mem::replace(&mut held, row) else { continue };
                self.send_row(&relation, &ready, marker(copied.rows, last), point).await?;
                copied.add(&relation, ready);
                if self.writer.output.is_full() && !last {
                    self.commit(copied.progress()).await?;
                }
            }
            if ended {
                let progress = copied.end();
                self.commit(&progress).await?;
                self.gauges.in_snapshot.set(0);
                return Ok(Some(progress));
            }
            let stopping = self.stop.is_cancelled();
            // An open log transaction would hold back every reader until it times out.
            if self.writer.output.has_records() && (stopping || self.writer.due_at() <= Instant::now()) {
                self.commit(copied.progress()).await?;
            }
            if stopping {
                return Ok(None);
            }
        }
    }

    /// Reads the next rows, however long the server takes; what is open in the log meanwhile is committed in time.
    /// Returns none if told to stop.
    async fn read_rows(
        &mut self,
        copied: &mut Copied,
        rows: &mut Vec<Tuple>,
    ) -> Result<Option<Arc<Relation>>, PortError> {
        let after = copied.upper();
        let reading = next_rows(self.source, after.as_ref(), rows);
        tokio::pin!(reading);
        loop {
            let (due_at, open) = (self.writer.due_at(), self.writer.output.has_records());
            let told = tokio::select! {
                biased;
                read = &mut reading => return read.map(Some),
                () = self.stop.cancelled() => true,
                () = tokio::time::sleep_until(due_at), if open => false,
            };
            if open {
                self.writer.store(copied.progress()).await?;
            }
            if told {
                return Ok(None);
            }
        }
    }

    pub(super) async fn send_row(
        &mut self,
        relation: &Arc<Relation>,
        row: &Tuple,
        marker: SnapshotMarker,
        point: Lsn,
    ) -> Result<(), PortError> {
        let now_us = self.clock.now_us();
        self.gauges.snapshot_rows.add(1);
        let (encoder, output) = (&mut self.encoder, &mut self.writer.output);
        if output.is_diverted_row(relation, row) {
            return output.divert_row(encoder, relation, row, (marker, point)).await;
        }
        let mut emit = |record: datapipe_core::port::log::Record<'_>| output.push_row(record, relation, row);
        match encoder.encode_snapshot_row(relation, row, marker, point, now_us, &mut emit) {
            Ok(()) => output.settle().await,
            Err(error) => output.dead_letter_row(relation, row, (marker, point), &error).await,
        }
    }
}

async fn next_rows(
    source: &mut dyn ChangeSource,
    after: Option<&KeyBound>,
    rows: &mut Vec<Tuple>,
) -> Result<Arc<Relation>, PortError> {
    source.read_rows(after, rows).await
}

/// How far a copy is: the stored progress, and the last row sent since then.
struct Copied {
    progress: Progress,
    rows: u64,
    last: Option<(Arc<Relation>, Tuple)>,
}

impl Copied {
    fn new(progress: Progress) -> Self {
        let rows = progress.snapshot.as_ref().map_or(0, |snapshot| snapshot.rows);
        Self { progress, rows, last: None }
    }

    fn add(&mut self, relation: &Arc<Relation>, row: Tuple) {
        self.rows += 1;
        self.last = Some((Arc::clone(relation), row));
    }

    /// The key up to which rows are stored.
    fn upper(&self) -> Option<KeyBound> {
        self.progress.snapshot.as_ref().and_then(|snapshot| snapshot.upper.clone())
    }

    /// The progress up to the last row sent. Rows without a key have no order to go on in: there it is a count.
    fn progress(&mut self) -> &Progress {
        if let Some((relation, row)) = self.last.take() {
            let snapshot = self.progress.snapshot.get_or_insert_default();
            snapshot.upper = (!relation.key.is_empty()).then(|| key::key_of(&relation, &row));
            snapshot.rows = self.rows;
        }
        &self.progress
    }

    /// The progress of a copy that is complete.
    fn end(self) -> Progress {
        Progress { snapshot: None, ..self.progress }
    }
}

fn marker(rows_before: u64, last: bool) -> SnapshotMarker {
    match (rows_before, last) {
        (_, true) => SnapshotMarker::Last,
        (0, false) => SnapshotMarker::First,
        _ => SnapshotMarker::True,
    }
}

/// Which part of a change concerns the rows up to `upper`.
fn part_below(change: &Change, upper: &KeyBound) -> Option<Part> {
    let relation = &change.relation;
    let below = |tuple: &Tuple| key::compare(relation, &key::key_of(relation, tuple), upper) != Ordering::Greater;
    let old_below = |old: &OldRow| match old {
        OldRow::Key(tuple) | OldRow::Full(tuple) => below(tuple),
    };
    match &change.action {
        Action::Truncate => Some(Part::Whole),
        Action::Insert(new) => below(new).then_some(Part::Whole),
        Action::Delete(old) => old_below(old).then_some(Part::Whole),
        Action::Update { old, new } => match (old.as_ref().map_or_else(|| below(new), old_below), below(new)) {
            (true, true) => Some(Part::Whole),
            (true, false) => Some(Part::AsDelete),
            (false, true) => Some(Part::AsInsert),
            (false, false) => None,
        },
    }
}
