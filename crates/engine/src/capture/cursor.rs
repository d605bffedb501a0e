//! Which events are new, and how far they bring the progress. Pure.

use datapipe_core::change::Begin;
use datapipe_core::envelope::TransactionInfo;
use datapipe_core::lsn::{Lsn, Position};
use datapipe_core::port::{ErrorKind, PortError};
use datapipe_core::progress::{Handover, Progress, SnapshotProgress};
use datapipe_core::signal::{Ask, Signal, Signals};

/// Follows the events of one stream from a stored progress on.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    progress: Progress,
    open: Option<Open>,
    idle: Option<Idle>,
    unsaved: bool,
    /// Signals of the open transaction. They hold once it has ended, so that a transaction that is sent again gives
    /// them once.
    signals: Vec<Signal>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    begin: Begin,
    index: u64,
}

/// A position that an idle stream has reached. Storing it again, unchanged, is the heartbeat of a quiet server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Idle {
    pub(super) position: Lsn,
    pub(super) urgent: bool,
}

/// More signals of one transaction than this are passed over.
const SIGNALS_MAX: usize = 64;

/// What of a change is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: it is in the log.
    Known,
    /// All of it.
    New(Position),
    /// A delete of its row is in the log. If it was an update that changed the key, the other half is missing.
    AfterDelete(Position),
}

impl Cursor {
    pub(super) fn new(progress: Progress) -> Self {
        Self { progress, open: None, idle: None, unsaved: false, signals: Vec::new() }
    }

    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// True once the progress has gone on since [`Cursor::saved`].
    pub(super) fn is_unsaved(&self) -> bool {
        self.unsaved
    }

    pub(super) fn saved(&mut self) {
        self.unsaved = false;
    }

    pub(super) fn into_progress(self) -> Progress {
        self.progress
    }

    pub(super) fn begin(&mut self, begin: Begin) -> Result<(), PortError> {
        if self.open.is_some() {
            return Err(out_of_order("a transaction began inside another one"));
        }
        self.idle = None;
        self.open = Some(Open { begin, index: 0 });
        // A transaction after the position that is not the other worker's is one it had not come to.
        let passed = self.progress.handover.is_some_and(|left| left.xid != begin.xid);
        if passed && Position::at(begin.commit) >= self.progress.position {
            self.progress.handover = None;
        }
        Ok(())
    }

    /// What of the next change is not in the log yet.
    pub(super) fn change(&mut self, lsn: Lsn) -> Result<Next, PortError> {
        let open = self.open.as_mut().ok_or_else(|| out_of_order("a change came outside of a transaction"))?;
        let position = Position { commit: open.begin.commit, index: open.index };
        open.index += 1;
        if position < self.progress.position {
            return Ok(Next::Known);
        }
        self.unsaved = true;
        self.progress.position = Position { index: open.index, ..position };
        let next = self.progress.handover.as_mut().map_or(Next::New(position), |left| left_of(left, lsn, position));
        if next != Next::Known {
            self.progress.last.lsn = lsn;
            self.progress.last.xid = open.begin.xid;
            self.progress.last.time_us = open.begin.commit_time_us;
        }
        Ok(next)
    }

    /// Whether the end of the open transaction is not in the log yet.
    pub(super) fn ends_new(&self) -> bool {
        self.open.is_some_and(|open| open.begin.commit >= self.progress.position.commit)
    }

    pub(super) fn commit(&mut self, end: Lsn) -> Result<(), PortError> {
        let ends_new = self.ends_new();
        self.open.take().ok_or_else(|| out_of_order("a commit came outside of a transaction"))?;
        if ends_new {
            self.progress.handover = None;
            self.advance(end);
            self.progress.last.lsn_commit = end;
        } else {
            self.signals.clear();
        }
        Ok(())
    }

    pub(super) fn signal(&mut self, signal: &Signal) {
        if self.signals.len() < SIGNALS_MAX {
            self.signals.push(signal.clone());
        }
    }

    /// The signals of the transaction that has just ended.
    pub(super) fn take_signals(&mut self) -> Vec<Signal> {
        std::mem::take(&mut self.signals)
    }

    pub(super) fn in_transaction(&self) -> bool {
        self.open.is_some()
    }

    pub(super) fn signals(&self) -> &Signals {
        &self.progress.signals
    }

    /// What is asked for changes, or how far it is done.
    pub(super) fn signals_mut(&mut self) -> &mut Signals {
        self.unsaved = true;
        &mut self.progress.signals
    }

    /// Follows a signal to the source of `table`.
    pub(super) fn follow(&mut self, signal: &Signal, table: &str) {
        let accepted = signal.ask(table).and_then(|ask| {
            match &ask {
                Ask::Log(message) => tracing::info!(id = signal.id, "signal log: {message}"),
                Ask::DeleteMissing(keys) => {
                    tracing::info!(id = signal.id, keys = keys.len(), "signal delete-if-missing");
                }
                ask => tracing::info!(id = signal.id, ?ask, "signal"),
            }
            self.signals_mut().accept(&signal.id, ask)
        });
        match accepted {
            // Rows that are being read are not read from the beginning again.
            Ok(true) if self.progress.snapshot.is_some() => {}
            Ok(true) => self.progress.snapshot = Some(SnapshotProgress { again: true, ..SnapshotProgress::default() }),
            Ok(false) => {}
            Err(error) => tracing::warn!("{error}"),
        }
    }

    /// True if a signal asked for all rows, and the stream is to end for it.
    pub(super) fn rereads(&self) -> bool {
        self.progress.snapshot.is_some() && self.open.is_none()
    }

    pub(super) fn keepalive(&mut self, position: Lsn, urgent: bool) {
        if self.open.is_none() && position >= self.progress.confirmable {
            let urgent = urgent && position > self.progress.confirmable;
            let urgent = urgent || self.idle.is_some_and(|idle| idle.urgent);
            self.idle = Some(Idle { position, urgent });
        }
    }

    /// An idle position that waits to be stored.
    pub(super) fn idle(&self) -> Option<Idle> {
        self.idle
    }

    /// Takes the idle position into the progress: nothing that ends before it is missing.
    pub(super) fn settle_idle(&mut self) {
        if let Some(idle) = self.idle.take() {
            self.advance(idle.position);
        }
    }

    /// Moves to a snapshot's boundary: what committed before it is in the rows read there.
    pub(super) fn advance(&mut self, end: Lsn) {
        self.unsaved = true;
        self.progress.position = self.progress.position.max(Position::at(end));
        self.progress.confirmable = self.progress.confirmable.max(end);
    }

    /// What the records of the open transaction say of it.
    pub(super) fn transaction(&self) -> TransactionInfo {
        let begin = self.open.map_or(Begin { commit: Lsn::ZERO, xid: 0, commit_time_us: 0 }, |open| open.begin);
        TransactionInfo {
            xid: begin.xid,
            commit: begin.commit,
            commit_time_us: begin.commit_time_us,
            last_commit: self.progress.last.lsn_commit,
        }
    }
}

/// What another kind of worker has left to be sent of a change.
fn left_of(left: &mut Handover, lsn: Lsn, position: Position) -> Next {
    if lsn < left.lsn {
        return Next::Known;
    }
    if lsn > left.lsn || left.changes == 0 {
        return Next::New(position);
    }
    left.changes -= 1;
    if left.changes == 0 && left.deleted { Next::AfterDelete(position) } else { Next::Known }
}

fn out_of_order(what: &str) -> PortError {
    PortError::new(ErrorKind::Retry, "following the change stream").because(what.to_owned())
}

#[cfg(test)]
mod tests {
    use datapipe_core::port::source::Fingerprint;
    use datapipe_core::progress::LastChange;
    use proptest::prelude::*;

    use super::*;

    fn start() -> Progress {
        let empty = String::new;
        Progress {
            fingerprint: Fingerprint { system_id: empty(), database: empty(), slot: empty(), publication: empty() },
            timeline: 1,
            position: Position::at(Lsn(100)),
            confirmable: Lsn(100),
            snapshot: None,
            last: LastChange::default(),
            handover: None,
            signals: Signals::default(),
        }
    }

    /// Transactions as (commit record, end, changes), as a server would send them again and again.
    fn history(sizes: &[u64]) -> Vec<(Lsn, Lsn, u64)> {
        let commits = (0..).map(|n| (Lsn(100 + n * 10), Lsn(110 + n * 10)));
        commits.zip(sizes).map(|((commit, end), size)| (commit, end, *size)).collect()
    }

    proptest! {
        /// Crash anywhere, start again from the stored progress and the confirmed position: each change is taken
        /// once, in order, and nothing is confirmable that was not taken.
        #[test]
        fn each_change_is_taken_once(
            sizes in proptest::collection::vec(0u64..5, 1..8),
            crashes in proptest::collection::vec((0usize..30, any::<bool>()), 0..6),
        ) {
            let history = history(&sizes);
            let mut taken = Vec::new();
            let mut stored = start();
            let mut confirmed = Lsn(100);
            for (events_max, stored_confirms) in crashes.into_iter().chain([(usize::MAX, true)]) {
                let mut cursor = Cursor::new(stored.clone());
                let mut events = 0;
                'stream: for (commit, end, size) in history.iter().filter(|(commit, ..)| *commit >= confirmed) {
                    cursor.begin(Begin { commit: *commit, xid: 1, commit_time_us: 1 }).unwrap();
                    for _ in 0..*size {
                        if events >= events_max { break 'stream; }
                        events += 1;
                        if let Next::New(position) = cursor.change(*commit).unwrap() {
                            taken.push(position);
                        }
                    }
                    if events >= events_max { break 'stream; }
                    events += 1;
                    cursor.commit(*end).unwrap();
                }
                stored = cursor.into_progress();
                prop_assert!(stored.confirmable >= confirmed);
                if stored_confirms { confirmed = stored.confirmable; }
            }
            let all: Vec<_> = history
                .iter()
                .flat_map(|(commit, _, size)| (0..*size).map(|index| Position { commit: *commit, index }))
                .collect();
            prop_assert_eq!(taken, all);
        }
    }

    #[test]
    fn a_keepalive_inside_a_transaction_says_nothing() {
        let mut cursor = Cursor::new(start());
        cursor.begin(Begin { commit: Lsn(200), xid: 1, commit_time_us: 1 }).unwrap();
        cursor.keepalive(Lsn(900), true);
        assert_eq!(cursor.idle(), None);
        cursor.commit(Lsn(210)).unwrap();
        cursor.keepalive(Lsn(900), false);
        cursor.settle_idle();
        assert_eq!(cursor.progress().confirmable, Lsn(900));
    }

    #[test]
    fn events_out_of_order_end_the_stream() {
        let mut cursor = Cursor::new(start());
        assert!(cursor.change(Lsn(1)).is_err());
        assert!(cursor.commit(Lsn(1)).is_err());
        cursor.begin(Begin { commit: Lsn(200), xid: 1, commit_time_us: 1 }).unwrap();
        assert!(cursor.begin(Begin { commit: Lsn(300), xid: 2, commit_time_us: 1 }).is_err());
    }
}
