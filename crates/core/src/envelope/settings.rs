//! What an encoder is told.

use super::Columns;
use crate::lsn::Lsn;
use crate::value::{Modes, ValueError};

/// What all records of a capture have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct EnvelopeSettings {
    /// `source.version`.
    pub version: String,
    /// `source.name`: the connector's `topic.prefix`.
    pub server_name: String,
    /// `source.db`.
    pub database: String,
    /// The data topic.
    pub data_topic: String,
    /// A tombstone follows each delete.
    pub tombstones_on_delete: bool,
    /// Keys carry their schema.
    pub key_schemas: bool,
    /// Values carry their schema.
    pub schemas: bool,
    /// Values carry it also where a column that may be NULL has a default: for transforms that put it in NULL's place, and
    /// take the schema off ([`crate::transform::Transforms::replaces_nulls`]).
    pub schemas_for_defaults: bool,
    /// What stands in the place of NULL in a column with a default, in keys and in values.
    pub nulls: Nulls,
    /// The forms of values.
    pub modes: Modes,
    /// A value that its mode has no form for, and an array of two dimensions, is NULL if its column may be.
    pub formless_null: bool,
    /// Values that Debezium loses are lost here too: see [`crate::value::Loss`].
    pub losses_too: bool,
    /// Which columns records hold, and how.
    pub columns: Columns,
    /// The topic of transactions' begins and ends (`provide.transaction.metadata`); none if nothing is told of them.
    pub transaction_topic: Option<String>,
}

/// Whether a column's default is written in the place of NULL, as Kafka Connect's JSON converter does unless
/// `replace.null.with.default=false`. (Under that, `source.snapshot` of a streamed change is null too, its default being
/// `false`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nulls {
    /// In keys.
    pub default_in_keys: bool,
    /// In values.
    pub default_in_values: bool,
}

impl Nulls {
    /// NULL is null.
    pub const KEPT: Self = Self { default_in_keys: false, default_in_values: false };
    /// What the converter does unless it is told otherwise.
    pub const REPLACED: Self = Self { default_in_keys: true, default_in_values: true };
}

/// What the records of one transaction have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionInfo {
    /// The transaction id.
    pub xid: u32,
    /// Where its commit record starts.
    pub commit: Lsn,
    /// When it committed, in microseconds since 1970-01-01 UTC.
    pub commit_time_us: i64,
    /// The end of the last complete transaction before it, as far as the capture saw one; else [`Lsn::ZERO`].
    pub last_commit: Lsn,
}

/// A row's place in its snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotMarker {
    /// The first row of several.
    First,
    /// The first row of a table that is not the first one.
    FirstInTable,
    /// Any other row.
    True,
    /// The last row of a table that is not the last one, also if it is the table's only row.
    LastInTable,
    /// The last row, also if it is the only one.
    Last,
    /// A row of an incremental snapshot. Its point is the last change that the capture saw, and only `source.sequence`
    /// tells it.
    Incremental {
        /// The end of the last complete transaction; [`Lsn::ZERO`] before the first.
        last_commit: Lsn,
    },
}

/// Values that were written as NULL because they have no form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// How many there were.
    pub values: u64,
    /// What was wrong with the first one.
    pub first: RowError,
}

/// A row that has no form in the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column} of type {kind} cannot be written: {why}")]
pub struct RowError {
    /// The column.
    pub column: String,
    /// Its type.
    pub kind: String,
    /// What is wrong with its value.
    pub why: ValueError,
}
