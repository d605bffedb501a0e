//! Where changes come from: a table behind a logical replication slot.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::PortError;
use crate::change::{Event, Relation, Tuple};
use crate::lsn::Lsn;
use crate::signal::NamedKey;

/// What a stored position belongs to. A position read under another fingerprint means nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// `IDENTIFY_SYSTEM`'s systemid: one cluster's identity, given by initdb.
    pub system_id: String,
    /// The database.
    pub database: String,
    /// The slot's name.
    pub slot: String,
    /// The publication's name: it decides which changes are counted by an index.
    pub publication: String,
}

/// What the source finds at the server before anything is changed.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceState {
    /// What positions belong to now.
    pub fingerprint: Fingerprint,
    /// The server's current timeline, raised by each promotion.
    pub timeline: u32,
    /// Where the current timeline forked off its predecessor; `None` on the first.
    pub forked_at: Option<Lsn>,
    /// The slot, if it exists.
    pub slot: Option<SlotState>,
    /// The table's schema now.
    pub relation: Arc<Relation>,
}

/// A slot as `pg_replication_slots` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotState {
    /// `confirmed_flush_lsn`: the server sends nothing that committed before it, ever again.
    pub confirmed: Lsn,
    /// `wal_status` is `lost`: the log that the slot needs is gone.
    pub lost: bool,
    /// How much log the slot holds back, in bytes.
    pub retained_bytes: u64,
}

/// The upper bound of the rows that a snapshot has delivered: the key columns' values in text form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyBound(pub Vec<String>);

/// A question about the table beside the stream, for an incremental snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkRequest {
    /// Between what the snapshot lies: answered by [`Event::Bounds`].
    Bounds {
        /// A condition in SQL on the rows.
        filter: Option<String>,
    },
    /// Some rows in the key's order: answered by [`Event::Chunk`].
    Rows {
        /// Rows above this key; from the first one without it.
        after: Option<KeyBound>,
        /// Rows up to this key.
        upto: KeyBound,
        /// A condition in SQL on the rows.
        filter: Option<String>,
        /// The most rows.
        rows_max: u32,
    },
    /// Which of these keys no row has: answered by [`Event::Chunk`], whose rows hold the key's columns alone, each key once.
    /// Keys of other columns than the primary key's are refused.
    Missing {
        /// The keys, one at least.
        keys: Vec<NamedKey>,
    },
}

/// Between what an incremental snapshot lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// A transaction id that the server gave out just before it looked, with its epoch. Every transaction that the stream
    /// had sent before the question was asked has a lower one.
    pub horizon: u64,
    /// The last key that the table has; none if there is no row.
    pub last: Option<KeyBound>,
    /// Whose changes that look saw.
    pub visible: Visible,
}

/// Rows as one transaction saw them.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// The schema that they were read under.
    pub relation: Arc<Relation>,
    /// The rows, in the key's order; of [`ChunkRequest::Missing`] the missing ones, in any order.
    pub rows: Vec<Tuple>,
    /// Whose changes they hold.
    pub visible: Visible,
    /// A position that no commit record of a visible transaction starts at or after.
    pub watermark: Lsn,
}

/// Which transactions a snapshot sees: PostgreSQL's `pg_snapshot` (its chapter "Transaction ID and Snapshot Information
/// Functions"). Ids carry their epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visible {
    /// Everything below has ended.
    pub xmin: u64,
    /// Nothing from here on had ended.
    pub xmax: u64,
    /// What had not ended in between.
    pub in_progress: Vec<u64>,
}

impl Visible {
    /// Whether the changes of a committed transaction are seen. The stream's ids have no epoch: of all transactions
    /// with this id the one nearest to the snapshot is meant, because ids more than half of their range apart never
    /// meet.
    pub fn sees(&self, xid: u32) -> bool {
        let xid = self.with_epoch(xid);
        xid < self.xmin || (xid < self.xmax && !self.in_progress.contains(&xid))
    }

    /// Whether every transaction up to this one has ended.
    pub fn is_past(&self, xid: u64) -> bool {
        self.xmin > xid
    }

    fn with_epoch(&self, xid: u32) -> u64 {
        const EPOCH: u64 = 1 << 32;
        let near = self.xmax & !(EPOCH - 1) | u64::from(xid);
        if near > self.xmax + EPOCH / 2 {
            near.saturating_sub(EPOCH)
        } else if near + EPOCH / 2 < self.xmax {
            near + EPOCH
        } else {
            near
        }
    }
}

impl FromStr for Visible {
    type Err = VisibleError;

    /// Reads `xmin:xmax:xip_list`.
    fn from_str(text: &str) -> Result<Self, VisibleError> {
        let refuse = || VisibleError(text.to_owned());
        let number = |text: &str| text.parse::<u64>().map_err(|_| refuse());
        let mut parts = text.splitn(3, ':');
        let mut part = || parts.next().ok_or_else(refuse);
        let (xmin, xmax, list) = (number(part()?)?, number(part()?)?, part()?);
        let in_progress = list.split(',').filter(|xid| !xid.is_empty()).map(number).collect::<Result<_, _>>()?;
        Ok(Self { xmin, xmax, in_progress })
    }
}

/// A text that is no `pg_snapshot`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no snapshot of transactions: expected xmin:xmax:xip,xip as in 10:20:10,14")]
pub struct VisibleError(String);

/// A table's change source.
///
/// * **Order**: events arrive in commit order, transactions whole and not interleaved; a change's index is its place
///   among its transaction's [`Event::Change`]s, the same each time the transaction is sent.
/// * **Duplicates**: after [`ChangeSource::start`], every transaction whose commit record starts at or after the
///   slot's confirmed position is sent again, from its first change. The caller drops what it has.
/// * **Durability**: the source forgets only what [`ChangeSource::confirm`] names; that call is the only place from
///   which the server's flush position comes. It may reach the server late or never.
/// * **Snapshots**: rows read after a call that returned boundary `L` are exactly those visible after all
///   transactions whose commit record starts before `L`, and no others.
/// * **Parallelism**: one caller. Replies to the server never wait for that caller: a slow caller holds back the
///   stream, not the keepalives.
/// * **Cancellation**: dropping a future leaves the source unusable but harmless; make a new one.
#[async_trait]
pub trait ChangeSource: Send {
    /// Looks at the server, the slot and the table; changes nothing.
    async fn inspect(&mut self) -> Result<SourceState, PortError>;

    /// Creates the slot, and opens a snapshot at its consistent point, which is returned.
    async fn create_slot(&mut self) -> Result<Lsn, PortError>;

    /// Opens a snapshot at a new point by a temporary slot, and returns that point.
    async fn open_snapshot(&mut self) -> Result<Lsn, PortError>;

    /// Reads the next rows of the open snapshot in the key's order, starting above `after` at the first call.
    /// The relation is the one that the rows were read under. Empty `rows` afterwards mean the end; the snapshot is
    /// closed then.
    async fn read_rows(&mut self, after: Option<&KeyBound>, rows: &mut Vec<Tuple>) -> Result<Arc<Relation>, PortError>;

    /// Starts streaming from the slot, and returns what the slot has confirmed now that it is held: nobody else can move
    /// it any more. `from` is where the caller stands; the server goes on from its own confirmed position if that is
    /// later, which is why the caller compares the two.
    async fn start(&mut self, from: Lsn) -> Result<Lsn, PortError>;

    /// Waits up to `wait` for events and appends what there is, bounded in bytes. No event in time is no error.
    /// It returns as soon as there is an event, so that latency does not depend on `wait`.
    async fn next(&mut self, wait: Duration, events: &mut Vec<Event>) -> Result<(), PortError>;

    /// True if a call of [`ChangeSource::next`] would return at once.
    fn ready(&self) -> bool;

    /// Everything before `lsn` is durable elsewhere: the server may forget it. Never goes back.
    fn confirm(&mut self, lsn: Lsn);

    /// Asks something beside the stream; the answer comes from [`ChangeSource::next`] as an event of its own, never
    /// inside a transaction's events of one call before it was read. After a chunk the source sees to it that a
    /// [`Event::Keepalive`] or a transaction at or behind its watermark comes soon. A question that is asked while
    /// another one waits takes its place. An answer that fails ends the stream.
    fn request_chunk(&mut self, request: ChunkRequest);

    /// Runs the heartbeat's statement, if there is one, without waiting for its end. It has no effect on the stream,
    /// and its failure is only told.
    fn beat(&mut self);

    /// Ends the stream in order, after telling the server the confirmed position. An open snapshot stays open, and
    /// [`ChangeSource::start`] may be called again.
    async fn stop(&mut self) -> Result<(), PortError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_of_transactions_is_read() {
        let visible: Visible = "10:20:10,14".parse().unwrap();
        assert_eq!(visible, Visible { xmin: 10, xmax: 20, in_progress: vec![10, 14] });
        assert!("7:7:".parse::<Visible>().unwrap().in_progress.is_empty());
        for text in ["", "1", "1:2", "a:2:", "1:2:x", "1:2:3;4"] {
            assert!(text.parse::<Visible>().is_err(), "{text}");
        }
        let seen: Vec<u32> = (8..22).filter(|xid| visible.sees(*xid)).collect();
        assert_eq!(seen, [8, 9, 11, 12, 13, 15, 16, 17, 18, 19]);
        assert!(visible.is_past(9) && !visible.is_past(10));
    }

    #[test]
    fn ids_of_the_stream_are_taken_in_the_epoch_nearest_to_the_snapshot() {
        let epoch = 1 << 32;
        let visible = Visible { xmin: epoch + 5, xmax: epoch + 5, in_progress: Vec::new() };
        assert!(visible.sees(u32::MAX), "just before the wrap");
        assert!(visible.sees(4) && !visible.sees(5));
        let before = Visible { xmin: epoch - 3, xmax: epoch - 3, in_progress: Vec::new() };
        assert!(!before.sees(3), "just after the wrap");
        assert!(before.sees(u32::MAX - 3) && !before.sees(u32::MAX - 2));
    }
}
