//! The decisions of one capture instance: what it takes for a position, what it skips, what it may confirm.

use super::wal::{self, Event, Position};
use super::{Capture, Changes, Flight, Instance, Mutation, Phase, State};

impl Capture {
    /// An instance with nothing in memory.
    pub(super) fn fresh(self) -> Instance {
        let phase = if self.is_broken(Mutation::ReadBeforeInit) { Phase::Reading } else { Phase::Initialising };
        Instance { phase, ..Instance::default() }
    }

    /// What follows `init_transactions`.
    pub(super) fn after_init(self) -> Phase {
        if self.is_broken(Mutation::ReadBeforeInit) { Phase::Connecting } else { Phase::Reading }
    }

    /// What follows the read of the stored position.
    pub(super) fn after_read(self) -> Phase {
        if self.is_broken(Mutation::ReadBeforeInit) { Phase::Initialising } else { Phase::Connecting }
    }

    /// Whether progress can be read to its end now.
    pub(super) fn may_read(self, state: &State) -> bool {
        let waits = !self.is_broken(Mutation::ReadWithoutWaiting) && !self.is_broken(Mutation::ReadUncommitted);
        !(waits && state.kafka.is_unstable())
    }

    /// The position that a reader of the progress topic finds.
    pub(super) fn position_read(self, state: &State) -> Position {
        if self.is_broken(Mutation::ReadUncommitted) { state.kafka.written } else { state.kafka.stored }
    }

    /// Takes one message of the stream into the instance's memory.
    pub(super) fn take(self, instance: &mut Instance, event: Event) {
        match event {
            Event::Row { transaction, row } => {
                let position = self.position_of(transaction, row, instance.next.end_lsn);
                if !self.is_covered(position, instance) {
                    instance.pending |= change(transaction, row);
                    instance.next = position;
                }
            }
            Event::Commit { transaction } => {
                instance.next.end_lsn = instance.next.end_lsn.max(wal::end_lsn(transaction));
            }
        }
    }

    fn position_of(self, transaction: u8, row: u8, end_lsn: u8) -> Position {
        if self.takes_lsn_alone() {
            Position { lsn: wal::row_lsn(transaction), index: 0, end_lsn }
        } else {
            Position { lsn: wal::commit_lsn(transaction), index: row + 1, end_lsn }
        }
    }

    /// Whether the log holds the row already. A session is in order, so the newest durable position serves as well as the
    /// one it started from; an LSN alone can't tell the rows of one session apart, so there the start is what counts.
    fn is_covered(self, row: Position, instance: &Instance) -> bool {
        match self.mutation {
            Some(Mutation::LsnAloneSkipping) => row.lsn <= instance.start.lsn,
            Some(Mutation::LsnAloneRepeating) => row.lsn < instance.start.lsn,
            _ => (row.lsn, row.index) <= (instance.durable.lsn, instance.durable.index),
        }
    }

    pub(super) fn takes_lsn_alone(self) -> bool {
        self.is_broken(Mutation::LsnAloneSkipping) || self.is_broken(Mutation::LsnAloneRepeating)
    }

    /// Whether the instance has anything that a new transaction would hold.
    pub(super) fn has_work(instance: &Instance) -> bool {
        instance.flight == Flight::None && (instance.pending != 0 || instance.next != instance.durable)
    }

    /// The highest LSN that the instance may confirm.
    pub(super) fn confirmable(self, state: &State, instance: &Instance) -> u8 {
        let durable = instance.durable;
        let rows_are_durable = (durable.lsn, durable.index) == (instance.next.lsn, instance.next.index);
        let all_is_durable = !Self::has_work(instance) && instance.flight == Flight::None;
        let stream_is_drained = instance.cursor == wal::events(state.committed);
        match self.mutation {
            Some(Mutation::ConfirmBeforeCommit) => instance.next.end_lsn,
            Some(Mutation::ConfirmBeyondProgress) if rows_are_durable => instance.next.end_lsn,
            Some(Mutation::ConfirmIdleDirectly) if all_is_durable && stream_is_drained => {
                wal::quiet_lsn(state.committed)
            }
            _ => durable.end_lsn,
        }
    }
}

/// The bit of a change.
fn change(transaction: u8, row: u8) -> Changes {
    1 << (transaction * wal::ROWS + row)
}
