//! What the stream changes of a chunk while the chunk is on its way. Pure.
//!
//! A chunk is read by a transaction of its own, so it may miss changes that the stream has sent, and hold changes that
//! the stream has yet to send. It becomes true at one place of the stream: behind the chunk's watermark everything that
//! it holds has been sent; and a row is left out if the stream has sent a change of it that the chunk does not hold.
//! Of keys that are named the chunk holds those that no row has, and the same is true of these.
//! Which changes it holds is told by transaction ids, as PostgreSQL itself tells: a commit record is sent before its
//! transaction is seen by others, so positions alone would not do.

use std::collections::HashMap;
use std::sync::Arc;

use datapipe_core::change::{Action, Change, OldRow, Relation, Tuple};
use datapipe_core::key;
use datapipe_core::lsn::Lsn;
use datapipe_core::port::source::{Bounds, Chunk, KeyBound, Visible};

/// The most changed keys that are remembered while one chunk is read.
const TOUCHED_MAX: usize = 65_536;
/// The most transactions that are remembered from one chunk to the next: 4 MiB.
const SENT_MAX: usize = 1 << 20;

/// Follows the stream from the moment at which a snapshot's bounds are asked for.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Transactions that the stream has sent changes of, and that no chunk has shown to be visible.
    sent: Vec<u32>,
    /// How many of them had been begun when the chunk was asked for.
    sent_before: usize,
    /// Every transaction that was sent before is older than this one.
    horizon: Option<u64>,
    /// What was changed since the chunk was asked for; no key means all rows.
    touched: Vec<(u32, Option<KeyBound>)>,
    asked: bool,
    overflowed: bool,
    open: Option<Open>,
}

/// A chunk that waits for its place in the stream.
#[derive(Debug)]
struct Open {
    relation: Arc<Relation>,
    rows: Vec<Option<Tuple>>,
    at: HashMap<KeyBound, usize>,
    last: Option<KeyBound>,
    visible: Visible,
    watermark: Lsn,
}

/// The rows of a chunk that are to be written, and where the chunk ends.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) relation: Arc<Relation>,
    pub(super) rows: Vec<Tuple>,
    /// The key of the last row read, written or not; none if there was no row.
    pub(super) last: Option<KeyBound>,
}

impl Window {
    /// The bounds have come. False if a transaction that the stream had sent before may be missing in them.
    pub(super) fn bound(&mut self, bounds: &Bounds) -> bool {
        let horizon = *self.horizon.get_or_insert(bounds.horizon);
        bounds.visible.is_past(horizon)
    }

    /// A chunk is asked for now.
    pub(super) fn ask(&mut self) {
        self.asked = true;
        self.sent_before = self.sent.len();
        self.touched.clear();
    }

    /// The stream sends a change.
    pub(super) fn change(&mut self, xid: u32, change: &Change) {
        if self.sent.last() != Some(&xid) {
            self.sent.push(xid);
        }
        if self.sent.len() > SENT_MAX || self.touched.len() >= TOUCHED_MAX {
            *self = Self { overflowed: true, ..Self::default() };
        }
        if self.overflowed {
            return;
        }
        keys_of(change, &mut |key| match &mut self.open {
            Some(open) if !open.visible.sees(xid) => open.leave_out(key.as_ref()),
            None if self.asked => self.touched.push((xid, key)),
            _ => {}
        });
    }

    /// Too much was changed to be remembered, and the snapshot's bounds are to be asked for again.
    pub(super) fn has_overflowed(&self) -> bool {
        self.overflowed
    }

    /// A chunk has come; it waits for its place. False if it lacks a transaction that the stream had sent before it was
    /// asked for: then it is to be asked for again.
    pub(super) fn take(&mut self, chunk: Chunk) -> bool {
        self.asked = false;
        let Chunk { relation, rows, visible, watermark } = chunk;
        // What was sent since it was asked for is known by its keys.
        let touched = std::mem::take(&mut self.touched);
        let lacks = |xid: &u32| !visible.sees(*xid);
        let behind = self.sent.iter().take(self.sent_before).any(lacks);
        self.sent.retain(lacks);
        if behind {
            return false;
        }
        let keys = rows.iter().map(|row| key::key_of(&relation, row));
        let at: HashMap<KeyBound, usize> = keys.zip(0..).collect();
        let last = rows.last().map(|row| key::key_of(&relation, row));
        let rows = rows.into_iter().map(Some).collect();
        let mut open = Open { relation, rows, at, last, visible, watermark };
        for (xid, key) in &touched {
            if !open.visible.sees(*xid) {
                open.leave_out(key.as_ref());
            }
        }
        self.open = Some(open);
        true
    }

    /// Whether the stream has come to the place of the chunk that waits.
    pub(super) fn is_due(&self, position: Lsn) -> bool {
        self.open.as_ref().is_some_and(|open| position >= open.watermark)
    }

    /// The chunk that was waiting.
    pub(super) fn close(&mut self) -> Option<Ready> {
        let Open { relation, rows, last, .. } = self.open.take()?;
        Some(Ready { relation, rows: rows.into_iter().flatten().collect(), last })
    }
}

impl Open {
    fn leave_out(&mut self, key: Option<&KeyBound>) {
        match key {
            None => self.rows.fill(None),
            Some(key) => {
                if let Some(row) = self.at.get(key).and_then(|at| self.rows.get_mut(*at)) {
                    *row = None;
                }
            }
        }
    }
}

/// The keys that a change concerns; none for all rows.
fn keys_of(change: &Change, each: &mut dyn FnMut(Option<KeyBound>)) {
    let relation = &change.relation;
    let key = |row: &Tuple| Some(key::key_of(relation, row));
    let old_key = |old: &OldRow| {
        let (OldRow::Key(row) | OldRow::Full(row)) = old;
        key(row)
    };
    match &change.action {
        Action::Insert(row) => each(key(row)),
        Action::Delete(old) => each(old_key(old)),
        Action::Update { old, new } => {
            if let Some(old) = old {
                each(old_key(old));
            }
            each(key(new));
        }
        Action::Truncate => each(None),
    }
}
