//! What must hold in every state of the chain model.

use stateright::{Model, Property};

use super::{Chain, Phase, State, rank};

/// Walking from the start of the log from end to next start meets every object.
pub const NO_HOLE: &str = "no hole";
/// No record is in two objects.
pub const NO_OVERLAP: &str = "no overlap";
/// Each object holds exactly the records of the offsets it covers.
pub const OBJECT_HOLDS_WHAT_IT_COVERS: &str = "each object holds what it covers";
/// The group's offset is never beyond the end of the chain.
pub const GROUP_IS_A_LOWER_BOUND: &str = "the group's offset is a lower bound";
/// Every run ends, and at its end every record is in an object.
pub const CAN_BE_FINISHED: &str = "the work can be finished";

/// The properties, named as the counter-examples print them.
pub(super) fn properties() -> Vec<Property<Chain>> {
    vec![
        Property::always(NO_HOLE, |model: &Chain, state: &State| chain(model, state).0 == state.objects.len()),
        Property::always(NO_OVERLAP, |_, state: &State| has_no_overlap(state)),
        Property::always(OBJECT_HOLDS_WHAT_IT_COVERS, holds_what_it_covers),
        Property::always(GROUP_IS_A_LOWER_BOUND, |model: &Chain, state: &State| state.group <= chain(model, state).1),
        Property::always(CAN_BE_FINISHED, can_be_finished),
        // Without these the bounds would be too small to mean anything.
        Property::sometimes("a stored object ends before the buffer", |model: &Chain, state: &State| {
            meets(model, state, |stored, own| stored < own)
        }),
        Property::sometimes("a stored object ends after the buffer", |model: &Chain, state: &State| {
            meets(model, state, |stored, own| stored > own)
        }),
        Property::sometimes("a PUT under way whose sender is gone", |_, state: &State| !state.strays.is_empty()),
        Property::sometimes("three objects or more", |_, state: &State| state.objects.len() >= 3),
        Property::sometimes("the group's offset is behind the chain", |model: &Chain, state: &State| {
            state.group < chain(model, state).1
        }),
    ]
}

/// Whether a sink whose object exists already finds that the ends compare so: the stored one's, its own.
fn meets(model: &Chain, state: &State, compare: impl Fn(u8, u8) -> bool) -> bool {
    let mut refused = state.sinks.iter().filter(|sink| sink.phase == Phase::Exists);
    refused.any(|sink| {
        let first = model.first_record(state.log, sink.from);
        state.objects.iter().any(|object| Some(object.first) == first && compare(object.next, sink.end))
    })
}

/// Objects on the chain that begins at offset 0, and its end.
fn chain(model: &Chain, state: &State) -> (usize, u8) {
    let (mut length, mut end) = (0, 0);
    while let Some(object) = model
        .first_record(state.log, end)
        .and_then(|first| state.objects.iter().find(|object| object.first == first))
        .filter(|object| object.next > end)
    {
        (length, end) = (length + 1, object.next);
    }
    (length, end)
}

fn has_no_overlap(state: &State) -> bool {
    let mut seen = 0;
    state.objects.iter().all(|object| {
        let is_new = seen & object.records == 0;
        seen |= object.records;
        is_new
    })
}

fn holds_what_it_covers(model: &Chain, state: &State) -> bool {
    state
        .objects
        .iter()
        .all(|object| object.records != 0 && object.records == model.records(state.log, object.first, object.next))
}

/// A state without a next step is the end of the work; and as every step goes up in rank, every run comes to such an end.
fn can_be_finished(model: &Chain, state: &State) -> bool {
    let next = model.next_states(state);
    if next.is_empty() {
        return is_finished(model, state);
    }
    // A broken rule may well send a sink round in circles; what it breaks is to be seen elsewhere.
    let here = rank::of(model, state);
    model.mutation.is_some() || next.iter().all(|next| rank::of(model, next) > here)
}

fn is_finished(model: &Chain, state: &State) -> bool {
    let end = u8::try_from(model.logs[state.log].len()).unwrap_or(u8::MAX);
    let written = state.objects.iter().fold(0, |records, object| records | object.records);
    let idle = state.sinks.iter().all(|sink| sink.phase == Phase::Filling);
    idle && written == model.records(state.log, 0, end)
}
