//! The source as PostgreSQL shows it: what is written, what a slot sends, and how a place in it is named.

/// Transactions in the write-ahead log.
pub const TRANSACTIONS: u8 = 2;
/// Rows changed by each transaction. All of them share one LSN, as the rows of one COPY on one heap page do.
pub const ROWS: u8 = 2;
/// Changes of the whole run; change `n` is row `n % ROWS` of transaction `n / ROWS`.
pub const CHANGES: u8 = TRANSACTIONS * ROWS;

/// Messages of one transaction on the wire: its rows, then its Commit.
const EVENTS_PER_TRANSACTION: u8 = ROWS + 1;

/// Number of messages a server with `committed` transactions can send.
pub(super) fn events(committed: u8) -> u8 {
    committed * EVENTS_PER_TRANSACTION
}

/// One message of the replication stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A row of a transaction.
    Row {
        /// Transaction, counted from 0.
        transaction: u8,
        /// Row in the transaction, counted from 0.
        row: u8,
    },
    /// The end of a transaction: only now is its end LSN known.
    Commit {
        /// Transaction, counted from 0.
        transaction: u8,
    },
}

impl Event {
    /// Message number `cursor` of the stream.
    pub(super) fn at(cursor: u8) -> Self {
        let transaction = cursor / EVENTS_PER_TRANSACTION;
        match cursor % EVENTS_PER_TRANSACTION {
            row if row < ROWS => Self::Row { transaction, row },
            _ => Self::Commit { transaction },
        }
    }
}

/// The LSN of every row of a transaction. From the second on it equals the LSN where the transaction before ended: a
/// COMMIT's LSN is also the LSN of the next BEGIN and of the next row.
pub(super) fn row_lsn(transaction: u8) -> u8 {
    if transaction == 0 { 1 } else { end_lsn(transaction - 1) }
}

/// The LSN of a transaction's commit record: with the row's index it identifies a change.
pub(super) fn commit_lsn(transaction: u8) -> u8 {
    4 * transaction + 2
}

/// The LSN just after a transaction's commit record: what may be confirmed once the transaction is durable.
pub(super) fn end_lsn(transaction: u8) -> u8 {
    commit_lsn(transaction) + 1
}

/// The LSN just after the last of `committed` transactions.
pub(super) fn last_end_lsn(committed: u8) -> u8 {
    if committed == 0 { 0 } else { end_lsn(committed - 1) }
}

/// The LSN that a keepalive names when `committed` transactions are written and others, of unpublished tables, have moved
/// the log on. It lies before the commit of the next transaction.
pub(super) fn quiet_lsn(committed: u8) -> u8 {
    last_end_lsn(committed) + 1
}

/// The first message of a session that starts at `confirmed`: a transaction that committed before it is not sent, any other
/// is sent whole.
pub(super) fn session_start(confirmed: u8) -> u8 {
    let skipped = (0..TRANSACTIONS).take_while(|&transaction| commit_lsn(transaction) < confirmed).count();
    events(u8::try_from(skipped).unwrap_or(TRANSACTIONS))
}

/// A place in the source: everything up to it is in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Commit LSN of the last transaction that is in the log, wholly or in part.
    pub lsn: u8,
    /// How many of its rows are in the log.
    pub index: u8,
    /// All that committed before this LSN is in the log. It moves only with a whole transaction, or with an idle advance.
    pub end_lsn: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_lsn_alone_is_ambiguous_here() {
        assert_eq!(row_lsn(1), end_lsn(0));
        assert!(row_lsn(1) < commit_lsn(1));
        assert!(quiet_lsn(0) <= commit_lsn(0) && quiet_lsn(1) <= commit_lsn(1));
    }

    #[test]
    fn a_session_repeats_whole_transactions_from_the_confirmed_position() {
        assert_eq!(session_start(0), 0);
        assert_eq!(session_start(commit_lsn(0)), 0);
        assert_eq!(session_start(end_lsn(0)), events(1));
        assert_eq!(session_start(quiet_lsn(1)), events(1));
        assert_eq!(session_start(end_lsn(1)), events(2));
    }
}
