//! Incremental snapshots: rows are read again in chunks, beside the stream, because a signal asks for them.
//!
//! Each chunk is written at one place of the stream, together with how far the snapshot has come: see [`Window`]. So a
//! row that is read again says what the stream has said of it up to there, and comes once per snapshot. So does the delete
//! of a row that a signal names and the table does not have: an insert that the stream has sent is never undone by it.

use std::sync::Arc;
use std::time::Duration;

use datapipe_core::change::{Change, Relation, Tuple};
use datapipe_core::envelope::SnapshotMarker;
use datapipe_core::key;
use datapipe_core::lsn::Lsn;
use datapipe_core::port::PortError;
use datapipe_core::port::log::Record;
use datapipe_core::port::source::{Bounds, Chunk, ChunkRequest};
use tokio::time::Instant;

use super::Capture;
use super::cursor::Cursor;
use super::window::{Ready, Window};

/// How long to wait for a transaction that was open when the snapshot began.
const EARLY_WAIT: Duration = Duration::from_secs(1);
/// How long to wait for a transaction that the stream has sent to be seen by others.
const BEHIND_WAIT: Duration = Duration::from_millis(20);

/// What the source is asked for.
#[derive(Debug, Default)]
pub(super) struct Pursuit {
    window: Window,
    step: Step,
    told_early: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    /// No snapshot is under way.
    #[default]
    Rest,
    /// The bounds are asked for.
    Bounds,
    /// They are to be asked for again.
    Early(Instant),
    /// The next chunk is to be asked for.
    Due(Instant),
    /// A chunk is asked for, or waits for its place.
    Rows,
}

impl Pursuit {
    /// The stream sends a change.
    pub(super) fn change(&mut self, xid: u32, change: &Change) {
        if self.step != Step::Rest {
            self.window.change(xid, change);
        }
    }
}

impl Capture<'_> {
    /// Asks for what the snapshot under way needs next. It must be called when every event that came was taken.
    pub(super) fn pursue(&mut self, cursor: &Cursor) {
        let Some(snapshot) = cursor.signals().current() else {
            self.pursuit = Pursuit::default();
            return;
        };
        if self.pursuit.window.has_overflowed() {
            let id = &snapshot.id;
            tracing::warn!(id, "too many rows change while a chunk of the snapshot is read: it is read again");
            self.pursuit = Pursuit::default();
        }
        match (self.pursuit.step, &snapshot.last) {
            (Step::Early(at), _) if at > Instant::now() => {}
            (Step::Rest | Step::Early(_), _) => {
                self.source.request_chunk(ChunkRequest::Bounds { filter: snapshot.filter.clone() });
                self.pursuit.step = Step::Bounds;
            }
            (Step::Due(at), _) if at > Instant::now() => {}
            (Step::Due(_), _) if !snapshot.missing.is_empty() => {
                self.ask_for(ChunkRequest::Missing { keys: snapshot.missing.clone() });
            }
            (Step::Due(_), Some(last)) => {
                let (after, upto, filter) = (snapshot.upper.clone(), last.clone(), snapshot.filter.clone());
                self.ask_for(ChunkRequest::Rows { after, upto, filter, rows_max: self.settings.chunk_rows });
            }
            _ => {}
        }
    }

    fn ask_for(&mut self, request: ChunkRequest) {
        self.source.request_chunk(request);
        self.pursuit.window.ask();
        self.pursuit.step = Step::Rows;
    }

    /// The bounds have come.
    pub(super) fn bound(&mut self, cursor: &mut Cursor, bounds: &Bounds) {
        if self.pursuit.step != Step::Bounds {
            return;
        }
        if !self.pursuit.window.bound(bounds) {
            if !std::mem::replace(&mut self.pursuit.told_early, true) {
                let oldest = bounds.visible.xmin;
                tracing::info!(oldest, "the snapshot waits until transactions have ended that were open before it");
            }
            self.pursuit.step = Step::Early(Instant::now() + EARLY_WAIT);
            return;
        }
        let Some(snapshot) = cursor.signals_mut().snapshots.first_mut() else { return };
        self.pursuit.step = Step::Due(Instant::now());
        if !snapshot.missing.is_empty() {
            return;
        }
        if snapshot.last.is_none() {
            tracing::info!(id = snapshot.id, filter = snapshot.filter, "incremental snapshot begins");
            snapshot.last.clone_from(&bounds.last);
        }
        if snapshot.last.is_none() {
            self.end_snapshot(cursor);
        }
    }

    /// A chunk has come.
    pub(super) fn chunk(&mut self, chunk: &Chunk) {
        if self.pursuit.step != Step::Rows || self.pursuit.window.has_overflowed() {
            return;
        }
        if !self.pursuit.window.take(chunk.clone()) {
            self.pursuit.step = Step::Due(Instant::now() + BEHIND_WAIT);
        }
    }

    /// Writes the chunk whose place is here, between two transactions.
    pub(super) async fn settle_chunk(&mut self, cursor: &mut Cursor, position: Lsn) -> Result<(), PortError> {
        if !self.pursuit.window.is_due(position) || cursor.in_transaction() {
            return Ok(());
        }
        let Some(Ready { relation, rows, last }) = self.pursuit.window.close() else { return Ok(()) };
        if cursor.signals().current().is_some_and(|snapshot| !snapshot.missing.is_empty()) {
            return self.delete_missing(cursor, &relation, &rows).await;
        }
        self.pursuit.step = Step::Due(Instant::now());
        let mut rows = rows.iter().peekable();
        while let Some(row) = rows.next() {
            let seen = cursor.progress().last;
            let marker = SnapshotMarker::Incremental { last_commit: seen.lsn_commit };
            self.send_row(&relation, row, marker, seen.lsn).await?;
            if let Some(snapshot) = cursor.signals_mut().snapshots.first_mut() {
                snapshot.rows += 1;
                snapshot.upper = Some(key::key_of(&relation, row));
            }
            if self.writer.output.is_full() && rows.peek().is_some() {
                self.commit_at(cursor).await?;
            }
        }
        let Some(snapshot) = cursor.signals_mut().snapshots.first_mut() else { return Ok(()) };
        let ended = last.is_none() || last == snapshot.last;
        snapshot.upper = last.or(snapshot.upper.take());
        if ended {
            self.end_snapshot(cursor);
        }
        self.commit_at(cursor).await
    }

    /// Writes a delete for each key that no row has, and ends the snapshot. They are few, and go into one log transaction
    /// with its end: so each comes once.
    async fn delete_missing(
        &mut self,
        cursor: &mut Cursor,
        relation: &Arc<Relation>,
        keys: &[Tuple],
    ) -> Result<(), PortError> {
        if !self.settings.envelope.columns.keyed_by_primary_key(relation) {
            self.give_up(cursor, "message.key.columns names columns that a row which is not there has no values of");
            return self.commit_at(cursor).await;
        }
        let seen = cursor.progress().last;
        let marker = SnapshotMarker::Incremental { last_commit: seen.lsn_commit };
        for key in keys {
            let now_us = self.clock.now_us();
            let (encoder, output) = (&mut self.encoder, &mut self.writer.output);
            let mut emit = |record: Record<'_>| output.push_row(record, relation, key);
            match encoder.encode_missing_row(relation, key, marker, seen.lsn, now_us, &mut emit) {
                Ok(()) => output.settle().await?,
                Err(error) => output.dead_letter_row(relation, key, (marker, seen.lsn), &error).await?,
            }
        }
        if let Some(snapshot) = cursor.signals_mut().snapshots.first_mut() {
            snapshot.rows = keys.len() as u64;
            self.end_snapshot(cursor);
        }
        self.commit_at(cursor).await
    }

    /// The snapshot cannot be taken.
    pub(super) fn give_up(&mut self, cursor: &mut Cursor, why: &str) {
        if !matches!(self.pursuit.step, Step::Bounds | Step::Rows) {
            return;
        }
        let given_up = cursor.signals_mut().snapshots.remove(0);
        let (id, rows) = (given_up.id, given_up.rows);
        tracing::error!(id, rows, "incremental snapshot given up, correct the signal and send it again: {why}");
        self.pursuit = Pursuit::default();
    }

    fn end_snapshot(&mut self, cursor: &mut Cursor) {
        let ended = cursor.signals_mut().snapshots.remove(0);
        tracing::info!(id = ended.id, rows = ended.rows, "incremental snapshot done");
        self.pursuit = Pursuit::default();
    }
}
