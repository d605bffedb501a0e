//! A row change as PostgreSQL's logical decoding reports it, before it has any outside form.

use std::sync::Arc;

use bytes::Bytes;

use crate::lsn::Lsn;
use crate::port::source::{Bounds, Chunk};
use crate::signal::Signal;
use crate::value::{ColumnType, Loss};

/// The schema that rows were written under. It is made anew whenever the server announces a changed one.
#[derive(Clone, Debug, PartialEq)]
pub struct Relation {
    /// The table's schema, as `public`.
    pub schema: String,
    /// The table's name.
    pub name: String,
    /// The columns in the order of the tuples' cells.
    pub columns: Vec<Column>,
    /// Indices of the columns that make the message key (the primary key), in the key's order; empty without one.
    pub key: Vec<usize>,
    /// What the server sends of a row's old image.
    pub identity: ReplicaIdentity,
}

/// One column of a [`Relation`].
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The column's name.
    pub name: String,
    /// Its type, resolved (domains to their base type, arrays to their elements).
    pub kind: ColumnType,
    /// False if the column is declared NOT NULL.
    pub nullable: bool,
    /// What stands for a value that is not there, as PostgreSQL's text: see [`crate::value::constant_default`].
    pub default: Option<Box<str>>,
    /// What Debezium loses of its values.
    pub loss: Loss,
}

impl Column {
    /// A column without a default, of which nothing is lost.
    pub fn new(name: &str, kind: ColumnType, nullable: bool) -> Self {
        Self { name: name.to_owned(), kind, nullable, default: None, loss: Loss::None }
    }
}

/// `REPLICA IDENTITY` of a table (PostgreSQL's `pg_class.relreplident`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaIdentity {
    /// `d`: the primary key's old values, if they changed or the row was deleted.
    Default,
    /// `n`: nothing; updates and deletes of a published table are refused by the server.
    Nothing,
    /// `f`: all columns' old values.
    Full,
    /// `i`: the old values of a unique index's columns.
    Index,
}

/// A row image: the cells of one row in the layout of pgoutput's `TupleData` (PostgreSQL's protocol chapter, "Logical
/// Replication Message Formats"): a big-endian `u16` count, then per cell a kind byte, `n` for null, `u` for an
/// unchanged TOASTed value, or `t` with a big-endian `u32` length and the value's text.
///
/// Keeping the wire's layout means that a row is never copied on its way to the envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuple(Bytes);

/// One cell of a [`Tuple`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// SQL NULL.
    Null,
    /// A TOASTed value that an update left alone, so that the log does not hold it.
    Unchanged,
    /// The value in PostgreSQL's text form.
    Text(&'a [u8]),
}

/// Bytes that are no `TupleData`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row image is malformed at byte {at}: {what}")]
pub struct TupleError {
    /// Offset in the tuple's bytes.
    pub at: usize,
    /// What was wrong there.
    pub what: &'static str,
}

impl Tuple {
    /// Checks the layout once; afterwards [`Tuple::cells`] cannot fail. Bytes after the last cell are cut off;
    /// the second value is how many bytes the tuple took.
    pub fn parse(bytes: &Bytes) -> Result<(Self, usize), TupleError> {
        let fail = |at, what| TupleError { at, what };
        let count = bytes.get(..2).ok_or(fail(0, "cell count is cut off"))?;
        let count = u16::from_be_bytes([count[0], count[1]]);
        let mut at = 2;
        for _ in 0..count {
            match bytes.get(at) {
                Some(b'n' | b'u') => at += 1,
                Some(b't') => {
                    let length = bytes.get(at + 1..at + 5).ok_or(fail(at, "cell length is cut off"))?;
                    let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
                    at += 5;
                    if bytes.len() - at < length {
                        return Err(fail(at, "cell is cut off"));
                    }
                    at += length;
                }
                Some(_) => return Err(fail(at, "cell kind is none of n, u, t")),
                None => return Err(fail(at, "cell is missing")),
            }
        }
        Ok((Self(bytes.slice(..at)), at))
    }

    /// Builds a tuple from cells; for sources that do not speak pgoutput (COPY, tests).
    pub fn from_cells<'a>(cells: impl IntoIterator<Item = Cell<'a>>) -> Self {
        let mut bytes = vec![0, 0];
        let mut count = 0u16;
        for cell in cells {
            push_cell(&mut bytes, cell);
            count += 1;
        }
        bytes[..2].copy_from_slice(&count.to_be_bytes());
        Self(bytes.into())
    }

    /// The cells in column order.
    pub fn cells(&self) -> Cells<'_> {
        let (count, rest) = self.0.split_at(2);
        Cells { left: u16::from_be_bytes([count[0], count[1]]), rest }
    }

    /// How many cells the tuple has.
    pub fn width(&self) -> usize {
        usize::from(self.cells().left)
    }

    /// The size of the image in bytes.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

/// Appends one cell in the layout of [`Tuple`].
pub fn push_cell(bytes: &mut Vec<u8>, cell: Cell<'_>) {
    match cell {
        Cell::Null => bytes.push(b'n'),
        Cell::Unchanged => bytes.push(b'u'),
        Cell::Text(text) => {
            let length = u32::try_from(text.len()).expect("a PostgreSQL value is at most 1 GiB");
            bytes.push(b't');
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(text);
        }
    }
}

/// Iterator over a tuple's cells.
#[derive(Clone, Debug)]
pub struct Cells<'a> {
    left: u16,
    rest: &'a [u8],
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    fn next(&mut self) -> Option<Cell<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (kind, rest) = self.rest.split_first().expect("checked by Tuple::parse");
        self.rest = rest;
        match kind {
            b'n' => Some(Cell::Null),
            b'u' => Some(Cell::Unchanged),
            _ => {
                let (length, rest) = self.rest.split_at(4);
                let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
                let (text, rest) = rest.split_at(length);
                self.rest = rest;
                Some(Cell::Text(text))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

impl ExactSizeIterator for Cells<'_> {}

/// What the server sent of a row's old image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OldRow {
    /// Only the replica identity's columns hold values (`K`); the other cells are null.
    Key(Tuple),
    /// The whole row (`O`, under `REPLICA IDENTITY FULL`).
    Full(Tuple),
}

/// What happened to a row, or to the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A row was inserted.
    Insert(Tuple),
    /// A row was updated; the old image is there if the replica identity is FULL or the key changed.
    Update {
        /// The old image, as far as sent.
        old: Option<OldRow>,
        /// The new image.
        new: Tuple,
    },
    /// A row was deleted.
    Delete(OldRow),
    /// The table was truncated.
    Truncate,
}

/// One change of a transaction. Its [`crate::Position`] follows from the transaction and the order of arrival.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Where the change's own record starts; Debezium's `source.lsn`. No identity: see [`crate::Position`].
    pub lsn: Lsn,
    /// The schema that the images were written under.
    pub relation: Arc<Relation>,
    /// What happened.
    pub action: Action,
}

/// What a change source reports, in the order of commits; transactions never interleave.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A transaction starts. Its changes follow, then its [`Event::Commit`].
    Begin(Begin),
    /// One change of the open transaction.
    Change(Change),
    /// The open transaction's end.
    Commit {
        /// Where the commit record ends: the first position of what comes after.
        end: Lsn,
    },
    /// Everything the server has to send up to `position` has been sent before this event.
    Keepalive {
        /// The end of what the server has sent or skipped.
        position: Lsn,
        /// The server waits for this position to be confirmed (as it does when it shuts down).
        urgent: bool,
    },
    /// A row of the signaling table was inserted in the open transaction. It is no [`Event::Change`] and has no index.
    Signal(Signal),
    /// The answer to [`crate::port::source::ChunkRequest::Bounds`].
    Bounds(Bounds),
    /// The answer to [`crate::port::source::ChunkRequest::Rows`] and to `Missing`.
    Chunk(Box<Chunk>),
    /// The question beside the stream will never be answered; why.
    Refused(String),
}

/// The start of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Where the commit record starts.
    pub commit: Lsn,
    /// The transaction id.
    pub xid: u32,
    /// When it committed, in microseconds since 1970-01-01 UTC.
    pub commit_time_us: i64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cell() -> impl Strategy<Value = Option<Option<Vec<u8>>>> {
        proptest::option::of(proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)))
    }

    proptest! {
        #[test]
        fn what_is_built_is_read(cells in proptest::collection::vec(cell(), 0..9), tail: Vec<u8>) {
            let cells_of = cells.iter().map(|cell| match cell {
                None => Cell::Null,
                Some(None) => Cell::Unchanged,
                Some(Some(text)) => Cell::Text(text),
            });
            let tuple = Tuple::from_cells(cells_of.clone());
            prop_assert_eq!(tuple.width(), cells.len());
            prop_assert!(tuple.cells().eq(cells_of));
            let mut bytes = tuple.0.to_vec();
            bytes.extend_from_slice(&tail);
            let parsed = Tuple::parse(&bytes.into());
            prop_assert_eq!(parsed, Ok((tuple.clone(), tuple.size())));
        }

        #[test]
        fn any_bytes_are_parsed_or_refused(bytes: Vec<u8>) {
            if let Ok((tuple, taken)) = Tuple::parse(&bytes.into()) {
                prop_assert_eq!(tuple.size(), taken);
                prop_assert_eq!(tuple.cells().count(), tuple.width());
            }
        }
    }
}
