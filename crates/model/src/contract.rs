//! What the two models agree on: the log between them.
//!
//! Capture promises, and [`crate::capture`] is checked to keep it; deliver relies on it, and [`crate::chain`] is built on it:
//!
//! 1. a record has one offset for ever, and the log only grows at its end;
//! 2. whether a record is visible is decided once. A reader of committed records sees nothing at or past an undecided
//!    transaction, so what it sees later lies after what it has seen;
//! 3. markers and records of aborted transactions take offsets and are never visible;
//! 4. the visible data records are the changes of the source, each exactly once, in the order of the source.

/// What an offset of the log holds for a reader of committed records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A visible record that becomes a line of an object.
    Record,
    /// A visible record that becomes no line: a dropped tombstone, or a dead letter.
    Skipped,
    /// A transaction marker, or a record of an aborted transaction.
    Invisible,
}

/// A log of a handful of offsets.
pub type Log = Vec<Kind>;

/// Point 4, first half: no change stands twice.
pub fn has_no_doubles(delivered: &[u8]) -> bool {
    delivered.iter().enumerate().all(|(at, change)| !delivered[..at].contains(change))
}

/// Point 4, second half: the changes stand in the source's order.
pub fn is_in_order(delivered: &[u8]) -> bool {
    delivered.is_sorted()
}

/// Point 4 for a run that is not over: what stands in the log is the beginning of the source, with nothing left out.
pub fn has_no_holes(delivered: &[u8]) -> bool {
    delivered.iter().max().is_none_or(|last| (0..=*last).all(|change| delivered.contains(&change)))
}

/// Every log of `length` offsets.
pub fn all_logs(length: usize) -> Vec<Log> {
    let mut logs = vec![Log::new()];
    for _ in 0..length {
        logs = logs
            .iter()
            .flat_map(|log| [Kind::Record, Kind::Skipped, Kind::Invisible].map(|kind| grown(log, kind)))
            .collect();
    }
    logs
}

fn grown(log: &Log, kind: Kind) -> Log {
    let mut log = log.clone();
    log.push(kind);
    log
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_clause_refuses_its_own_fault() {
        assert!(has_no_doubles(&[0, 1, 2]) && is_in_order(&[0, 1, 2]) && has_no_holes(&[0, 1, 2]));
        assert!(!has_no_doubles(&[0, 1, 1]));
        assert!(!is_in_order(&[1, 0]));
        assert!(!has_no_holes(&[0, 2]));
        assert!(has_no_holes(&[]));
    }

    #[test]
    fn all_logs_are_listed_once() {
        let logs = all_logs(3);
        assert_eq!(logs.len(), 27);
        assert!(logs.iter().enumerate().all(|(at, log)| !logs[..at].contains(log)));
    }
}
