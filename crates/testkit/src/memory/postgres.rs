//! A small PostgreSQL: one table, its log, one slot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datapipe_core::change::{Action, Cell, Change, Column, Event, OldRow, Relation, ReplicaIdentity, Tuple};
use datapipe_core::lsn::Lsn;
use datapipe_core::port::source::{Bounds, Chunk, ChunkRequest, Fingerprint, KeyBound, Visible};
use datapipe_core::signal::Signal;
use datapipe_core::value::ColumnType;

/// A primary key's value; the order is the one in which a snapshot reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// An `int8`.
    Number(i64),
    /// A `text`, ordered by its bytes.
    Text(String),
}

impl Key {
    /// Its text form.
    pub fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// A row. No two versions of rows have the same `version`, so that each change can be told from every other one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Column `id`, the primary key.
    pub key: Key,
    /// Column `v`, as text.
    pub version: u64,
    /// How many bytes column `note` has; null if zero.
    pub note_bytes: usize,
}

/// A logged change of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowChange {
    /// A new row.
    Insert(Row),
    /// A changed one; its key may change.
    Update {
        /// As it was.
        old: Row,
        /// As it is.
        new: Row,
    },
    /// A row less.
    Delete(Row),
    /// All rows gone.
    Truncate,
}

impl RowChange {
    /// Whether it changes what the table has under a key.
    pub(crate) fn concerns(&self, key: &Key) -> bool {
        match self {
            Self::Insert(row) | Self::Delete(row) => row.key == *key,
            Self::Update { old, new } => old.key == *key || new.key == *key,
            Self::Truncate => true,
        }
    }

    /// Whether one of two transactions with these changes would wait for the other.
    fn conflicts(&self, other: &Self) -> bool {
        match self {
            Self::Insert(row) | Self::Delete(row) => other.concerns(&row.key),
            Self::Update { old, new } => other.concerns(&old.key) || other.concerns(&new.key),
            Self::Truncate => true,
        }
    }
}

/// A change and where its record starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The record's position; rows of one COPY share it.
    pub lsn: u64,
    /// What happened.
    pub change: RowChange,
}

/// A committed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its id.
    pub xid: u32,
    /// Where the commit record starts.
    pub commit: u64,
    /// Where it ends.
    pub end: u64,
    /// When, in microseconds since 1970-01-01 UTC.
    pub time_us: i64,
    /// What it did, in order.
    pub changes: Vec<Logged>,
    /// What it wrote into the signaling table.
    pub signals: Vec<Signal>,
}

/// The server as a schedule has it.
#[derive(Clone, Debug)]
pub struct PostgresSettings {
    /// The key is a text, not a number.
    pub text_keys: bool,
    /// REPLICA IDENTITY FULL.
    pub full_identity: bool,
    /// The table has a primary key.
    pub keyed: bool,
    /// After this long without a sign of life a walsender ends, in milliseconds.
    pub wal_sender_timeout_ms: u64,
    /// `IDENTIFY_SYSTEM`'s systemid.
    pub system_id: String,
    /// The timeline.
    pub timeline: u32,
    /// Where it forked.
    pub forked_at: Option<u64>,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self {
            text_keys: false,
            full_identity: false,
            keyed: true,
            wal_sender_timeout_ms: 20_000,
            system_id: "7391".to_owned(),
            timeline: 1,
            forked_at: None,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) confirmed: u64,
    pub(crate) active: Option<u64>,
    pub(crate) lost: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) instance: u64,
    pub(crate) dead_at_ms: Option<u64>,
}

/// The server.
pub struct Postgres {
    /// How it is set up.
    pub settings: PostgresSettings,
    pub(crate) wal: u64,
    pub(crate) next_xid: u32,
    pub(crate) next_version: u64,
    /// The rows before the first transaction of `history`.
    pub(crate) base: BTreeMap<Key, Row>,
    pub(crate) rows: BTreeMap<Key, Row>,
    pub(crate) history: Vec<Transaction>,
    pub(crate) slot: Option<Slot>,
    pub(crate) sessions: BTreeMap<u64, Session>,
    /// Confirmations on their way: when they arrive, and what they say.
    pub(crate) confirming: Vec<(u64, u64)>,
    pub(crate) frozen: BTreeMap<u64, u64>,
    /// Every boundary that a snapshot was opened at.
    pub(crate) points: Vec<u64>,
    /// Positions that the slot was confirmed to, to be checked by the world.
    pub(crate) confirmed_log: Vec<u64>,
    /// Transactions that have written and not committed.
    pub(crate) open: BTreeSet<u32>,
    /// Transactions whose commit is in the log, but not seen by others until then, in milliseconds.
    pub(crate) hidden: BTreeMap<u32, u64>,
    /// Somebody moves the slot to the end of the log just before it is held the next time.
    pub(crate) meddled: bool,
    relation: Option<Arc<Relation>>,
}

impl Default for Postgres {
    fn default() -> Self {
        Self {
            settings: PostgresSettings::default(),
            wal: 0x0100_0000,
            next_xid: 700,
            next_version: 1,
            base: BTreeMap::new(),
            rows: BTreeMap::new(),
            history: Vec::new(),
            slot: None,
            sessions: BTreeMap::new(),
            confirming: Vec::new(),
            frozen: BTreeMap::new(),
            points: Vec::new(),
            confirmed_log: Vec::new(),
            open: BTreeSet::new(),
            hidden: BTreeMap::new(),
            meddled: false,
            relation: None,
        }
    }
}

impl Postgres {
    pub(crate) fn key(&self, number: i64) -> Key {
        if self.settings.text_keys { Key::Text(format!("k{number}")) } else { Key::Number(number) }
    }

    pub(crate) fn new_row(&mut self, key: Key, note_bytes: usize) -> Row {
        let version = self.next_version;
        self.next_version += 1;
        Row { key, version, note_bytes }
    }

    /// Takes room in the log, and returns where it starts.
    pub(crate) fn log(&mut self, bytes: u64) -> u64 {
        let at = self.wal;
        self.wal += bytes;
        at
    }

    /// A transaction writes for the first time.
    pub(crate) fn begin(&mut self) -> u32 {
        let xid = self.next_xid;
        self.next_xid += 1;
        self.open.insert(xid);
        xid
    }

    /// Ends a transaction: its changes become visible, and are in the log for the slot.
    pub(crate) fn commit(&mut self, xid: u32, changes: Vec<Logged>, signals: Vec<Signal>, time_us: i64) {
        for logged in &changes {
            apply(&mut self.rows, &logged.change);
        }
        // Whoever waits for a row waits until the other transaction is over for everybody.
        let history = &self.history;
        self.hidden.retain(|hidden, _| {
            let earlier = history.iter().filter(|one| one.xid == *hidden).flat_map(|one| &one.changes);
            !earlier.into_iter().any(|one| changes.iter().any(|new| new.change.conflicts(&one.change)))
        });
        self.open.remove(&xid);
        let commit = self.log(48);
        let end = self.wal;
        self.history.push(Transaction { xid, commit, end, time_us, changes, signals });
    }

    /// The rows that a new transaction would see, and whose changes these are.
    fn visible(&self) -> (BTreeMap<Key, Row>, Visible) {
        let seen = |one: &&Transaction| !self.hidden.contains_key(&one.xid);
        let mut rows = self.base.clone();
        let changes = self.history.iter().filter(seen).flat_map(|one| &one.changes);
        changes.for_each(|logged| apply(&mut rows, &logged.change));
        // The highest id that has ended; what is in progress above it is not listed.
        let ended = (0..self.next_xid).rev().find(|xid| !self.open.contains(xid) && !self.hidden.contains_key(xid));
        let xmax = u64::from(ended.map_or(0, |xid| xid + 1));
        let in_progress: Vec<u64> = self.open.iter().chain(self.hidden.keys()).copied().map(u64::from).collect();
        let in_progress: Vec<u64> = in_progress.into_iter().filter(|xid| *xid < xmax).collect();
        let xmin = in_progress.iter().min().copied().unwrap_or(xmax);
        (rows, Visible { xmin, xmax, in_progress })
    }

    /// Answers a question beside the stream.
    pub(crate) fn answer(&mut self, request: &ChunkRequest) -> Event {
        let bound = |key: &Key| KeyBound(vec![key.text()]);
        match request {
            ChunkRequest::Bounds { .. } => {
                let horizon = self.begin();
                self.open.remove(&horizon);
                let (rows, visible) = self.visible();
                let last = rows.keys().next_back().map(bound);
                Event::Bounds(Bounds { horizon: u64::from(horizon), last, visible })
            }
            ChunkRequest::Rows { after, upto, rows_max, .. } => {
                let (rows, visible) = self.visible();
                let after = after.as_ref().map(|after| self.key_of(after));
                let upto = self.key_of(upto);
                let wanted = rows.values().filter(|row| after.as_ref().is_none_or(|after| row.key > *after));
                let wanted = wanted.filter(|row| row.key <= upto).take(*rows_max as usize);
                let rows = wanted.map(|row| tuple(row, false)).collect();
                let chunk = Chunk { relation: self.relation(), rows, visible, watermark: Lsn(self.wal) };
                Event::Chunk(Box::new(chunk))
            }
            ChunkRequest::Missing { keys } => {
                let (rows, visible) = self.visible();
                let named = keys.iter().filter_map(|key| Some(self.key_of(&KeyBound(vec![key.get("id")?.clone()]))));
                let missing: BTreeSet<Key> = named.filter(|key| !rows.contains_key(key)).collect();
                let rows = missing.iter().map(key_tuple).collect();
                let chunk = Chunk { relation: self.relation(), rows, visible, watermark: Lsn(self.wal) };
                Event::Chunk(Box::new(chunk))
            }
        }
    }

    /// The key that a bound stands for.
    pub(crate) fn key_of(&self, KeyBound(bound): &KeyBound) -> Key {
        let text = bound.first().cloned().unwrap_or_default();
        if self.settings.text_keys { Key::Text(text) } else { Key::Number(text.parse().unwrap_or(i64::MIN)) }
    }

    /// The table as of a position: all transactions whose commit record starts before it.
    pub(crate) fn rows_at(&self, position: u64) -> BTreeMap<Key, Row> {
        let mut rows = self.base.clone();
        let before = self.history.iter().take_while(|transaction| transaction.commit < position);
        before.flat_map(|transaction| &transaction.changes).for_each(|logged| apply(&mut rows, &logged.change));
        rows
    }

    /// Lets time pass: sessions end, confirmations arrive.
    pub(crate) fn tick(&mut self, now_ms: u64) {
        self.hidden.retain(|_, until_ms| *until_ms > now_ms);
        let timeout_ms = self.settings.wal_sender_timeout_ms;
        for session in self.sessions.values_mut() {
            if let Some(since_ms) = self.frozen.get(&session.instance) {
                session.dead_at_ms = session.dead_at_ms.or(Some(since_ms + timeout_ms));
            }
        }
        let sessions = &self.sessions;
        if let Some(slot) = &mut self.slot
            && slot.active.is_some_and(|id| sessions.get(&id).is_none_or(|session| is_dead(session, now_ms)))
        {
            slot.active = None;
        }
        if self.confirming.iter().any(|(at_ms, _)| *at_ms <= now_ms) {
            let due: Vec<_> = self.confirming.extract_if(.., |(at_ms, _)| *at_ms <= now_ms).collect();
            for (_, position) in due {
                self.confirm(position);
            }
        }
    }

    pub(crate) fn confirm(&mut self, position: u64) {
        if let Some(slot) = &mut self.slot
            && position > slot.confirmed
        {
            slot.confirmed = position;
            self.confirmed_log.push(position);
        }
    }

    pub(crate) fn freeze(&mut self, instance: u64, now_ms: u64) {
        self.frozen.insert(instance, now_ms);
    }

    pub(crate) fn thaw(&mut self, instance: u64, now_ms: u64) {
        self.tick(now_ms);
        self.frozen.remove(&instance);
        for session in self.sessions.values_mut().filter(|session| session.instance == instance) {
            session.dead_at_ms = session.dead_at_ms.filter(|at_ms| *at_ms <= now_ms);
        }
    }

    pub(crate) fn alive(&self, session: u64, now_ms: u64) -> bool {
        self.sessions.get(&session).is_some_and(|session| !is_dead(session, now_ms))
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint {
            system_id: self.settings.system_id.clone(),
            database: "shop".to_owned(),
            slot: "debezium_slot_users".to_owned(),
            publication: "dbz_publication_users".to_owned(),
        }
    }

    pub(crate) fn relation(&mut self) -> Arc<Relation> {
        if let Some(relation) = &self.relation {
            return relation.clone();
        }
        let column = Column::new;
        let kind = if self.settings.text_keys { ColumnType::Text } else { ColumnType::Int8 };
        let columns = vec![
            column("id", kind, false),
            column("v", ColumnType::Text, false),
            column("note", ColumnType::Text, true),
        ];
        let identity = if self.settings.full_identity { ReplicaIdentity::Full } else { ReplicaIdentity::Default };
        let key = if self.settings.keyed { vec![0] } else { Vec::new() };
        let (schema, name) = ("public".to_owned(), "users".to_owned());
        let relation = Arc::new(Relation { schema, name, columns, key, identity });
        self.relation = Some(relation.clone());
        relation
    }

    /// A change as logical decoding reports it.
    pub(crate) fn decode(&mut self, logged: &Logged) -> Change {
        let full = self.settings.full_identity;
        let old_row = |row: &Row| if full { OldRow::Full(tuple(row, false)) } else { OldRow::Key(key_tuple(&row.key)) };
        let action = match &logged.change {
            RowChange::Insert(row) => Action::Insert(tuple(row, false)),
            RowChange::Delete(row) => Action::Delete(old_row(row)),
            RowChange::Truncate => Action::Truncate,
            RowChange::Update { old, new } => {
                let sends_old = full || old.key != new.key;
                // A long note that stays is TOASTed, and not sent again.
                let unchanged = old.key == new.key && new.note_bytes > 0 && new.note_bytes == old.note_bytes;
                Action::Update { old: sends_old.then(|| old_row(old)), new: tuple(new, unchanged) }
            }
        };
        Change { lsn: Lsn(logged.lsn), relation: self.relation(), action }
    }
}

fn is_dead(session: &Session, now_ms: u64) -> bool {
    session.dead_at_ms.is_some_and(|at_ms| at_ms <= now_ms)
}

pub(crate) fn apply(rows: &mut BTreeMap<Key, Row>, change: &RowChange) {
    match change {
        RowChange::Insert(row) => drop(rows.insert(row.key.clone(), row.clone())),
        RowChange::Update { old, new } => {
            rows.remove(&old.key);
            rows.insert(new.key.clone(), new.clone());
        }
        RowChange::Delete(row) => drop(rows.remove(&row.key)),
        RowChange::Truncate => rows.clear(),
    }
}

pub(crate) fn tuple(row: &Row, note_unchanged: bool) -> Tuple {
    let (key, version, note) = (row.key.text(), row.version.to_string(), "n".repeat(row.note_bytes));
    let note = match (row.note_bytes, note_unchanged) {
        (0, _) => Cell::Null,
        (_, true) => Cell::Unchanged,
        (_, false) => Cell::Text(note.as_bytes()),
    };
    Tuple::from_cells([Cell::Text(key.as_bytes()), Cell::Text(version.as_bytes()), note])
}

fn key_tuple(key: &Key) -> Tuple {
    Tuple::from_cells([Cell::Text(key.text().as_bytes()), Cell::Null, Cell::Null])
}
