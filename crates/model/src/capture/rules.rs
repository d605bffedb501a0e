//! The decisions of one capture instance: what it takes for a position, what it skips, what it may confirm.

use super::wal::{self, Event, Position};
use super::{Capture, Changes, Flight, Instance, Kafka, Leftover, Mutation, Phase, State, Transaction};

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
        !waits || !self.is_unstable(&state.kafka)
    }

    /// Whether readers of committed records are held back, by an open transaction or by a marker that is not written yet.
    pub(super) fn is_unstable(self, kafka: &Kafka) -> bool {
        // Progress that is written on its own is no part of the transaction.
        let marker_is_missing = kafka.stored != kafka.decided && !self.is_broken(Mutation::ProgressOutside);
        kafka.open.is_some() || marker_is_missing
    }

    /// The position that a reader of the progress topic finds.
    pub(super) fn position_read(self, state: &State) -> Position {
        if self.is_broken(Mutation::ReadUncommitted) { state.kafka.written } else { state.kafka.stored }
    }

    /// How many messages the instance could put into one batch; the keepalive, if any, is the last of them.
    pub(super) fn available(self, state: &State, id: u8, instance: &Instance) -> u8 {
        let (end, keepalive) = self.received(state, id, instance);
        end - instance.cursor + u8::from(keepalive > 0)
    }

    /// The end of what is received, and the position of the keepalive behind it, or 0. A live session has received as much
    /// as the batch wants: receiving touches nothing but memory, so it is free to happen as late as the batch.
    pub(super) fn received(self, state: &State, id: u8, instance: &Instance) -> (u8, u8) {
        if state.slot.holder != Some(id) {
            return (instance.leftover.end, instance.leftover.keepalive);
        }
        let keepalive = wal::quiet_lsn(state.committed);
        (wal::events(state.committed), if self.is_broken(Mutation::ConfirmIdleDirectly) { 0 } else { keepalive })
    }

    /// What is received when a session ends after `messages` more messages.
    pub(super) fn leftover(self, state: &State, id: u8, instance: &Instance, messages: u8) -> Leftover {
        let (end, keepalive) = self.received(state, id, instance);
        let with_keepalive = instance.cursor + messages > end;
        Leftover { end: end.min(instance.cursor + messages), keepalive: if with_keepalive { keepalive } else { 0 } }
    }

    /// The transaction that holds the next `messages` messages; none if the log has all of them.
    pub(super) fn batch(self, state: &State, id: u8, instance: &Instance, messages: u8) -> Option<Transaction> {
        let (end, keepalive) = self.received(state, id, instance);
        let stop = instance.cursor + messages;
        let mut position = instance.durable;
        let mut changes = 0;
        for event in (instance.cursor..stop.min(end)).map(Event::at) {
            match event {
                Event::Row { transaction, row } => {
                    let here = self.position_of(transaction, row, position.end_lsn);
                    if !self.is_covered(here, instance) {
                        changes |= change(transaction, row);
                        position = here;
                    }
                }
                Event::Commit { transaction } => position.end_lsn = position.end_lsn.max(wal::end_lsn(transaction)),
            }
        }
        if stop > end {
            position.end_lsn = position.end_lsn.max(keepalive);
        }
        let is_new = changes != 0 || position != instance.durable;
        is_new.then_some(Transaction { changes, position, end_requested: false })
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

    /// The highest LSN that the instance may confirm.
    pub(super) fn confirmable(self, state: &State, instance: &Instance) -> u8 {
        let durable = instance.durable;
        let idle = instance.flight == Flight::None && durable.end_lsn >= wal::last_end_lsn(state.committed);
        match self.mutation {
            Some(Mutation::ConfirmBeforeCommit) => wal::last_end_lsn(state.committed),
            Some(Mutation::ConfirmBeyondProgress) if durable.index == wal::ROWS => durable.end_lsn.max(durable.lsn + 1),
            Some(Mutation::ConfirmIdleDirectly) if idle => wal::quiet_lsn(state.committed),
            _ => durable.end_lsn,
        }
    }
}

/// The bit of a change.
fn change(transaction: u8, row: u8) -> Changes {
    1 << (transaction * wal::ROWS + row)
}
