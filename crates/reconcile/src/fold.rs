//! The state of one key, and what an event makes of it.

use crate::event::Op;
use crate::row;
use crate::spill::Record;

/// What the events of a key have led to so far.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The row; none if it is not there.
    pub(crate) row: Option<Vec<u8>>,
    /// The last event's object.
    pub(crate) object: u32,
    /// The last event's place in the order of folding; 0 for a row of the last proof.
    pub(crate) place: u64,
    /// The last event's LSN.
    pub(crate) lsn: u64,
    /// The highest LSN of a change; 0 before the first.
    changed: u64,
    /// The LSN of the last snapshot that read the row; 0 before the first.
    read: u64,
    /// The LSN of the snapshot whose row this is; none if a change came later.
    fresh: Option<u64>,
    /// True after the first event.
    seen: bool,
    /// True after an event that the table's rows do not hold.
    later: bool,
    /// Events that what was said before them does not fit; an incremental snapshot that looks at the row settles them.
    pub(crate) orphans: Option<Orphans>,
}

/// How many there are, and the first one.
#[derive(Debug)]
pub(crate) struct Orphans {
    pub(crate) count: u64,
    pub(crate) what: &'static str,
    pub(crate) lsn: u64,
    pub(crate) object: u32,
}

/// What is wrong with an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It was delivered twice.
    Doubled(String),
    /// Its row is not there, or is there already: an event before it is missing.
    Orphaned(&'static str),
}

impl State {
    /// Applies an event; the events of a key come in the order of the log. A fault that it returns stays; others are kept
    /// until the key's last event. With `rereads` a later snapshot may have read the row again.
    pub(crate) fn apply(
        &mut self,
        record: &Record<'_>,
        op: Op,
        rereads: bool,
    ) -> Result<Option<String>, serde_json::Error> {
        // What an incremental snapshot has read contains everything that comes before it.
        if op == Op::Later || (op.is_reread() && self.later) {
            self.later = true;
            return Ok(None);
        }
        if matches!(op, Op::RereadAgain | Op::MissingAgain) && self.place == 0 {
            return Ok(None);
        }
        if op.is_reread() {
            self.orphans = None;
        }
        let doubled = match self.judge(record, op, rereads) {
            Some(Fault::Doubled(what)) => Some(what),
            Some(Fault::Orphaned(what)) => {
                let first = Orphans { count: 0, what, lsn: record.lsn, object: record.object };
                self.orphans.get_or_insert(first).count += 1;
                None
            }
            None => None,
        };
        self.row = match op {
            Op::Delete | Op::Later | Op::Missing | Op::MissingAgain => None,
            Op::PartialUpdate => Some(match &self.row {
                Some(old) => row::keep_unavailable(record.row, old)?,
                None => record.row.to_vec(),
            }),
            Op::Read | Op::Reread | Op::RereadAgain | Op::Kept | Op::Create | Op::Update => Some(record.row.to_vec()),
        };
        self.fresh = (op == Op::Read).then_some(record.lsn);
        if op == Op::Read {
            self.read = self.read.max(record.lsn);
        } else if !op.is_reread() {
            self.changed = self.changed.max(record.lsn);
        }
        (self.object, self.place, self.lsn, self.seen) = (record.object, record.place, record.lsn, true);
        Ok(doubled)
    }

    /// Memory that the row takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.row.as_ref().map_or(0, Vec::capacity)
    }

    fn judge(&self, record: &Record<'_>, op: Op, rereads: bool) -> Option<Fault> {
        if op.is_reread() || op == Op::Kept {
            return None;
        }
        let at = lsn_text(record.lsn);
        let later = self.read < record.lsn && self.changed <= record.lsn;
        if op == Op::Read && rereads && later {
            return None;
        }
        if op == Op::Read {
            return self
                .seen
                .then(|| Fault::Doubled(format!("its snapshot row at {at} comes after another event of it")));
        }
        if record.lsn > 0 && record.lsn <= self.changed {
            let what = format!("its change at {at} comes after its change at {}", lsn_text(self.changed));
            return Some(Fault::Doubled(what));
        }
        match op {
            Op::Create if self.row.is_some() && record.lsn > self.read => {
                Some(Fault::Orphaned("is created, but is there already"))
            }
            Op::Create if self.row.is_some() => {
                Some(Fault::Doubled(format!("it is created at {at} while it is there")))
            }
            Op::Update if self.contained(record) => {
                Some(Fault::Doubled(format!("its update at {at} is contained in its snapshot row before")))
            }
            Op::Update | Op::PartialUpdate if self.row.is_none() => {
                Some(Fault::Orphaned("is updated, but is not there"))
            }
            Op::Delete if self.row.is_none() => Some(Fault::Orphaned("is deleted, but is not there")),
            _ => None,
        }
    }

    fn contained(&self, record: &Record<'_>) -> bool {
        self.fresh.is_some_and(|point| record.lsn < point) && self.row.as_deref() == Some(record.row)
    }
}

/// An LSN as `PostgreSQL` prints it.
pub(crate) fn lsn_text(lsn: u64) -> String {
    datapipe_core::Lsn(lsn).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies `(op, lsn, row)` one after another; the faults' kinds in short and the row in the end.
    fn fold(events: &[(char, u64, &str)]) -> (String, Option<String>) {
        fold_with(events, false)
    }

    fn fold_with(events: &[(char, u64, &str)], rereads: bool) -> (String, Option<String>) {
        let mut state = State::default();
        let mut faults = String::new();
        for (place, (op, lsn, row)) in events.iter().enumerate() {
            let op = Op::of(*op as u8).unwrap();
            let record = Record {
                hash: 0,
                place: place as u64,
                lsn: *lsn,
                object: 0,
                op: op.letter(),
                key: b"{}",
                row: row.as_bytes(),
            };
            let orphans = |state: &State| state.orphans.as_ref().map_or(0, |orphans| orphans.count);
            let before = orphans(&state);
            let doubled = state.apply(&record, op, rereads).unwrap();
            faults.push(match (doubled, orphans(&state) > before) {
                (Some(_), _) => 'D',
                (None, true) => 'O',
                (None, false) => '-',
            });
        }
        (faults, state.row.map(|row| String::from_utf8(row).unwrap()))
    }

    #[test]
    fn histories_without_faults() {
        let last = |row: &str| Some(row.to_owned());
        assert_eq!(fold(&[('c', 1, "a"), ('u', 2, "b"), ('d', 3, "b"), ('c', 4, "e")]), ("----".to_owned(), last("e")));
        // The update was in flight at the snapshot's point and is not contained in its row.
        assert_eq!(fold(&[('r', 10, "a"), ('u', 9, "b"), ('u', 11, "b")]), ("---".to_owned(), last("b")));
    }

    #[test]
    fn a_row_of_an_incremental_snapshot_holds_whatever_was_said_before() {
        let last = |row: &str| Some(row.to_owned());
        let told = [('c', 5, "a"), ('i', 0, "a"), ('i', 0, "a"), ('u', 7, "b"), ('d', 9, "b")];
        assert_eq!(fold(&told), ("-----".to_owned(), None));
        assert_eq!(fold(&[('i', 0, "lost"), ('u', 7, "b")]), ("--".to_owned(), last("b")));
        // So does what it has found missing, whether the row was there before or not.
        let told = [('c', 5, "surplus"), ('m', 0, ""), ('m', 0, ""), ('c', 7, "b")];
        assert_eq!(fold(&told), ("----".to_owned(), last("b")));
        assert_eq!(fold(&told[..3]), ("---".to_owned(), None));
    }

    #[test]
    fn each_kind_of_doubling() {
        for (events, faults) in [
            (vec![('r', 10, "a"), ('r', 10, "a")], "-D"),
            (vec![('c', 5, "a"), ('r', 10, "a")], "-D"),
            (vec![('c', 5, "a"), ('d', 6, "a"), ('r', 10, "a")], "--D"),
            (vec![('c', 5, "a"), ('c', 5, "a")], "-D"),
            (vec![('c', 5, "a"), ('u', 6, "b"), ('u', 6, "b")], "--D"),
            (vec![('c', 5, "a"), ('u', 6, "b"), ('c', 5, "a"), ('u', 6, "b")], "--DD"),
            (vec![('c', 5, "a"), ('d', 6, "a"), ('d', 6, "a")], "--D"),
            (vec![('r', 10, "a"), ('c', 8, "a")], "-D"),
            (vec![('r', 10, "a"), ('u', 8, "a")], "-D"),
        ] {
            assert_eq!(fold(&events).0, faults, "{events:?}");
        }
    }

    #[test]
    fn rows_that_a_later_snapshot_read_again() {
        for (events, faults) in [
            (vec![('r', 10, "a"), ('r', 20, "a"), ('u', 25, "b"), ('r', 30, "b")], "----"),
            (vec![('r', 10, "a"), ('r', 10, "a")], "-D"),
            (vec![('r', 10, "a"), ('r', 20, "a"), ('r', 10, "a")], "--D"),
            (vec![('c', 5, "a"), ('u', 25, "b"), ('r', 20, "a")], "--D"),
            (vec![('r', 10, "a"), ('d', 15, "a"), ('c', 18, "b"), ('r', 20, "b")], "----"),
        ] {
            assert_eq!(fold_with(&events, true).0, faults, "{events:?}");
        }
    }

    #[test]
    fn events_of_rows_that_are_not_there() {
        assert_eq!(fold(&[('u', 5, "a")]).0, "O");
        // The delete between them is missing: nothing was delivered twice.
        assert_eq!(fold(&[('c', 5, "a"), ('c', 7, "b")]).0, "-O");
        assert_eq!(fold(&[('r', 5, "a"), ('c', 7, "b")]).0, "-O");
        assert_eq!(fold(&[('d', 5, "a")]).0, "O");
        assert_eq!(fold(&[('c', 5, "a"), ('d', 6, "a"), ('u', 7, "a")]).0, "--O");
    }
}
