//! Where changes come from: a table behind a logical replication slot.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::PortError;
use crate::change::{Event, Relation, Tuple};
use crate::lsn::Lsn;

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

    /// Ends the stream in order, after telling the server the confirmed position. An open snapshot stays open, and
    /// [`ChangeSource::start`] may be called again.
    async fn stop(&mut self) -> Result<(), PortError>;
}
