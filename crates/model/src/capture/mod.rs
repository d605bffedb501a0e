//! Capture: PostgreSQL's slot -> Kafka's log.
//!
//! See the crate's front page for what each action stands for.

pub mod invariants;
mod rank;
mod rules;
mod state;
mod step;
mod wal;

pub use state::{Changes, Faults, Flight, INSTANCES, Instance, Kafka, Leftover, Phase, Slot, State, Transaction};
pub use wal::{CHANGES, Position, ROWS, TRANSACTIONS};

use stateright::{Model, Property};

/// One rule of the capture broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Confirms to PostgreSQL what was received, before the Kafka transaction is committed.
    ConfirmBeforeCommit,
    /// Confirms a transaction's end as soon as its rows are durable, though the progress record does not hold that end yet.
    ConfirmBeyondProgress,
    /// Confirms a keepalive's position without committing it to Kafka first.
    ConfirmIdleDirectly,
    /// Reads the stored position first, then fences the older producer.
    ReadBeforeInit,
    /// Reads progress records of transactions that are open or aborted.
    ReadUncommitted,
    /// Reads up to the last stable offset and does not wait until it meets the high watermark.
    ReadWithoutWaiting,
    /// Takes the row's LSN for its position and skips rows at or below it.
    LsnAloneSkipping,
    /// Takes the row's LSN for its position and skips only rows below it.
    LsnAloneRepeating,
    /// Writes the progress record after the data's transaction, not in it.
    ProgressOutside,
    /// Sends the batch again after an ambiguous end of its transaction, with the same producer.
    RetryWithoutReading,
    /// Does not compare the slot with the stored position before streaming.
    NoGapCheck,
    /// Compares before `START_REPLICATION` only, not again once the slot is held.
    NoGapCheckOnceHeld,
    /// Refuses when the slot, looked at once it is held, is ahead of a position that was read earlier.
    RefuseOnStalePosition,
}

impl Mutation {
    /// Every mutation.
    pub const ALL: [Self; 13] = [
        Self::ConfirmBeforeCommit,
        Self::ConfirmBeyondProgress,
        Self::ConfirmIdleDirectly,
        Self::ReadBeforeInit,
        Self::ReadUncommitted,
        Self::ReadWithoutWaiting,
        Self::LsnAloneSkipping,
        Self::LsnAloneRepeating,
        Self::ProgressOutside,
        Self::RetryWithoutReading,
        Self::NoGapCheck,
        Self::NoGapCheckOnceHeld,
        Self::RefuseOnStalePosition,
    ];

    /// The property that this mutation breaks.
    pub const fn breaks(self) -> &'static str {
        match self {
            Self::ConfirmBeforeCommit => invariants::CONFIRMED_IS_DURABLE,
            Self::ConfirmBeyondProgress | Self::ConfirmIdleDirectly | Self::ReadUncommitted => {
                invariants::STORED_IS_AHEAD
            }
            Self::LsnAloneSkipping | Self::NoGapCheck | Self::NoGapCheckOnceHeld => invariants::NOTHING_LOST,
            Self::RefuseOnStalePosition => invariants::REFUSED_FOR_A_GAP,
            Self::ReadBeforeInit
            | Self::ReadWithoutWaiting
            | Self::LsnAloneRepeating
            | Self::ProgressOutside
            | Self::RetryWithoutReading => invariants::NOTHING_DOUBLED,
        }
    }
}

/// The capture model: bounds, and at most one broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Faults that may happen in one run.
    pub faults: Faults,
    /// The rule that is broken; none in the real protocol.
    pub mutation: Option<Mutation>,
    /// Take two states that differ only in the instances' names for one. It halves the work, but the steps of a
    /// counter-example then name the instances anew after each step.
    pub nameless: bool,
}

impl Capture {
    /// The bounds of the exhaustive check.
    pub const BOUNDS: Faults = Faults { crashes: 2, pauses: 1, lost_replies: 1, restarts: 1, slot_changes: 0 };
    /// The bounds of the variation in which somebody drops, recreates or advances the slot.
    pub const SLOT_CHANGE_BOUNDS: Faults =
        Faults { crashes: 1, pauses: 1, lost_replies: 0, restarts: 1, slot_changes: 1 };

    /// The protocol as it is.
    pub const fn correct() -> Self {
        Self { faults: Self::BOUNDS, mutation: None, nameless: true }
    }

    /// The protocol as it is, while the slot may be changed by hand.
    pub const fn with_slot_change() -> Self {
        Self { faults: Self::SLOT_CHANGE_BOUNDS, mutation: None, nameless: true }
    }

    /// The protocol with one rule broken, under the bounds in which that matters.
    pub const fn broken(mutation: Mutation) -> Self {
        let faults = match mutation {
            Mutation::NoGapCheck | Mutation::NoGapCheckOnceHeld => Self::SLOT_CHANGE_BOUNDS,
            _ => Self::BOUNDS,
        };
        Self { faults, mutation: Some(mutation), nameless: false }
    }

    fn is_broken(self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }
}

/// One atomic step; the argument is the instance that takes it or suffers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// PostgreSQL commits its next transaction.
    DatabaseCommits,
    /// `init_transactions`: fences the older producer and aborts its open transaction.
    InitTransactions(u8),
    /// Looks at the slot, then reads progress to the high watermark, and compares.
    ReadProgress(u8),
    /// `START_REPLICATION`, and a second look at the slot once it is held.
    StartReplication(u8),
    /// Receives messages, as many as given, and writes them as a batch with its progress record in a new transaction.
    Send(u8, u8),
    /// Sends `EndTxn(commit)`.
    EndTransaction(u8),
    /// The coordinator decides the requested commit.
    Decide,
    /// The markers are written: readers see the transaction.
    WriteMarkers,
    /// The answer to `EndTxn` arrives.
    ReceiveReply(u8),
    /// The broker's refusal of an old epoch arrives: the instance stops.
    LearnFenced(u8),
    /// The end of the replication session is noticed: the instance begins again.
    LearnDisconnected(u8),
    /// Confirms a durable position to PostgreSQL.
    Confirm(u8),
    /// Fault: the process dies and starts anew, its memory gone.
    Crash(u8),
    /// Fault: paused beyond `wal_sender_timeout`; the server ends the session, the process does not know yet. It has
    /// received the given number of messages that are in no batch so far.
    SessionTimesOut(u8, u8),
    /// Fault: paused beyond `transaction.timeout.ms`; the coordinator aborts the open transaction.
    TransactionTimesOut,
    /// Fault: the answer to `EndTxn` is lost. The producer is thrown away, everything begins again.
    LoseReply(u8),
    /// Fault: the answer to `InitProducerId` is lost: applied, and asked again.
    LoseInitReply(u8),
    /// A fenced instance is started again.
    Restart(u8),
    /// Fault: somebody drops and recreates, or advances, a slot that nobody holds.
    SlotMoved,
}

impl Model for Capture {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            committed: 0,
            slot: Slot::default(),
            kafka: Kafka::default(),
            instances: [Instance::default(), Instance::default()],
            faults: self.faults,
            gap: false,
        };
        for instance in &mut state.instances {
            *instance = self.fresh();
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.enabled(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.apply(&mut state, action);
        if self.nameless {
            state.forget_names();
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        invariants::properties(*self)
    }
}
