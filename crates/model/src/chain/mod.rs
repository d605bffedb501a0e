//! Deliver: Kafka's log -> a chain of objects.
//!
//! See the crate's front page for what each action stands for.

pub mod invariants;
mod rank;
mod state;
mod step;

pub use state::{Faults, Object, Phase, Records, SINKS, Sink, State};

use stateright::{Model, Property};

use crate::contract::{self, Kind, Log};

/// One rule of the chain broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Overwrites instead of creating.
    Overwrite,
    /// Looks whether the object exists, then writes: two requests, as on a store without atomic conditional writes.
    CheckThenPut,
    /// Takes the next start from memory, not from the stored object, when the object exists.
    NextFromMemory,
    /// Lets the name carry the object's end too.
    NameCarriesEnd,
    /// Writes under another name when the object exists.
    AnotherNameIfExists,
    /// Commits the group's offset before the object is stored.
    CommitBeforePut,
}

impl Mutation {
    /// Every mutation.
    pub const ALL: [Self; 6] = [
        Self::Overwrite,
        Self::CheckThenPut,
        Self::NextFromMemory,
        Self::NameCarriesEnd,
        Self::AnotherNameIfExists,
        Self::CommitBeforePut,
    ];

    /// The property that this mutation breaks.
    pub const fn breaks(self) -> &'static str {
        match self {
            Self::NextFromMemory => invariants::NO_HOLE,
            Self::CommitBeforePut => invariants::GROUP_IS_A_LOWER_BOUND,
            Self::Overwrite | Self::CheckThenPut | Self::NameCarriesEnd | Self::AnotherNameIfExists => {
                invariants::NO_OVERLAP
            }
        }
    }
}

/// The chain model: logs, bounds, and at most one broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The logs to deliver; each is a run of its own.
    pub logs: Vec<Log>,
    /// Faults that may happen in one run.
    pub faults: Faults,
    /// The rule that is broken; none in the real protocol.
    pub mutation: Option<Mutation>,
}

impl Chain {
    /// The bounds of the exhaustive check.
    pub const BOUNDS: Faults = Faults { crashes: 2, lost_replies: 1, offsets_moved_back: 1 };
    /// The bounds of the check over every log.
    pub const EVERY_LOG_BOUNDS: Faults = Faults { crashes: 1, lost_replies: 1, offsets_moved_back: 0 };
    /// Offsets of each log in the check over every log.
    pub const EVERY_LOG_LENGTH: usize = 4;

    /// Four records, hence one to four objects, with a dropped tombstone and what a transaction and an abort leave behind.
    pub fn log() -> Log {
        use Kind::{Invisible, Record, Skipped};
        vec![Record, Record, Invisible, Record, Skipped, Invisible, Record, Invisible]
    }

    /// The protocol as it is, on one log with everything in it.
    pub fn correct() -> Self {
        Self { logs: vec![Self::log()], faults: Self::BOUNDS, mutation: None }
    }

    /// The protocol as it is, on every log of a length.
    pub fn on_every_log() -> Self {
        let logs = contract::all_logs(Self::EVERY_LOG_LENGTH);
        Self { logs, faults: Self::EVERY_LOG_BOUNDS, mutation: None }
    }

    /// The protocol with one rule broken.
    pub fn broken(mutation: Mutation) -> Self {
        Self { mutation: Some(mutation), ..Self::correct() }
    }

    fn is_broken(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }
}

/// One atomic step; the argument is the sink that takes it or suffers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Reads the group's offset.
    Start(usize),
    /// HEAD of the object that would begin at the chain's end: adopts its end, or finds the end of the chain.
    Head(usize),
    /// Reads the visible records before the given offset, closes the buffer there, for whatever reason the clock or a size
    /// gave, and sends the PUT.
    Close(usize, u8),
    /// The store answers the PUT.
    Apply(usize),
    /// The store writes, having looked a moment ago; only without atomic conditional writes.
    Write(usize),
    /// The answer arrives; if the object exists, a HEAD tells where it ends.
    Adopt(usize),
    /// Commits the group's offset.
    CommitOffset(usize),
    /// Fault: the process dies. Its requests are lost with it, or stay in the network.
    Crash(usize, Leaves),
    /// Fault: the answer to the PUT, or the PUT itself, is lost on the way; it is sent again.
    LoseReply(usize, Leaves),
    /// A PUT without a sender arrives after all.
    StrayArrives(usize),
    /// Fault: the group's offset falls back to the given one.
    MoveOffsetBack(u8),
}

/// What a sink that no longer waits leaves in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// Nothing.
    Nothing,
    /// Its PUT.
    Put,
}

impl Model for Chain {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let start = |log| State {
            log,
            objects: Vec::new(),
            group: 0,
            sinks: [Sink::default(), Sink::default()],
            strays: Vec::new(),
            faults: self.faults,
        };
        (0..self.logs.len()).map(start).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.enabled(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.apply(&mut state, action);
        self.drop_refused(&mut state);
        state.forget_names();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        invariants::properties()
    }
}
