//! What must hold in every state of the capture model.

use stateright::{Model, Property};

use super::{CHANGES, Capture, Phase, ROWS, State, TRANSACTIONS, rank, wal};
use crate::contract;

/// Every change before one that is in the log is in the log too.
pub const NOTHING_LOST: &str = "nothing lost";
/// No change is in the log twice.
pub const NOTHING_DOUBLED: &str = "nothing doubled";
/// The changes are in the log in the order of the source.
pub const ORDER_KEPT: &str = "order kept";
/// What the slot will not send again is in the log.
pub const CONFIRMED_IS_DURABLE: &str = "nothing confirmed that is not durable";
/// The position in Kafka is never behind the slot.
pub const STORED_IS_AHEAD: &str = "stored >= confirmed";
/// No instance refuses to go on unless somebody moved the slot.
pub const REFUSED_FOR_A_GAP: &str = "a slot is refused only for a gap";
/// Every run ends, and at its end all is delivered and the idle position confirmed; or, if rows are gone, refused.
pub const CAN_BE_FINISHED: &str = "the work can be finished";

/// The properties, named as the counter-examples print them.
pub(super) fn properties(model: Capture) -> Vec<Property<Capture>> {
    let mut properties = vec![
        Property::always(NOTHING_LOST, |_, state: &State| nothing_lost(state)),
        Property::always(NOTHING_DOUBLED, |_, state: &State| contract::has_no_doubles(&state.kafka.delivered)),
        Property::always(ORDER_KEPT, |_, state: &State| contract::is_in_order(&state.kafka.delivered)),
        Property::always(CONFIRMED_IS_DURABLE, |_, state: &State| nothing_confirmed_early(state)),
        Property::always(STORED_IS_AHEAD, |_, state: &State| stored_is_ahead(state)),
        Property::always(REFUSED_FOR_A_GAP, |_, state: &State| refused_for_a_gap(state)),
        Property::always(CAN_BE_FINISHED, |model: &Capture, state: &State| can_be_finished(*model, state)),
    ];
    properties.extend(milestones(model));
    properties
}

/// States that a check must meet, or its bounds are too small to mean anything.
fn milestones(model: Capture) -> Vec<Property<Capture>> {
    let mut milestones = vec![
        Property::sometimes("a source transaction split over two batches", |_, state: &State| {
            (1..ROWS).contains(&state.kafka.decided.index)
        }),
        Property::sometimes("a commit under way whose sender is gone", |_, state: &State| {
            state.kafka.owner.is_none() && state.kafka.open.as_ref().is_some_and(|open| open.end_requested)
        }),
        Property::sometimes("an instance fenced", |_, state: &State| has_phase(state, Phase::Fenced)),
        Property::sometimes("a repeated change skipped", |model: &Capture, state: &State| {
            repeats_a_change(*model, state)
        }),
        Property::sometimes("an idle position confirmed", |_, state: &State| {
            state.slot.confirmed == wal::quiet_lsn(TRANSACTIONS)
        }),
    ];
    if model.faults.slot_changes > 0 {
        milestones.push(Property::sometimes("a gap refused", |_, state: &State| has_phase(state, Phase::Refused)));
    }
    milestones
}

fn has_phase(state: &State, phase: Phase) -> bool {
    state.instances.iter().any(|instance| instance.phase == phase)
}

fn repeats_a_change(model: Capture, state: &State) -> bool {
    (0u8..).zip(&state.instances).any(|(id, instance)| {
        instance.phase == Phase::Running
            && state.slot.holder == Some(id)
            && model.available(state, id, instance) > 1
            && model.batch(state, id, instance, 1).is_none()
    })
}

fn nothing_lost(state: &State) -> bool {
    contract::has_no_holes(&state.kafka.delivered)
}

fn nothing_confirmed_early(state: &State) -> bool {
    let not_sent_again = wal::session_start(state.slot.confirmed) / (ROWS + 1) * ROWS;
    state.gap || (0..not_sent_again).all(|change| state.kafka.delivered.contains(&change))
}

fn stored_is_ahead(state: &State) -> bool {
    state.gap || state.kafka.decided.end_lsn >= state.slot.confirmed
}

fn refused_for_a_gap(state: &State) -> bool {
    state.gap || !has_phase(state, Phase::Refused)
}

/// A state without a next step is the end of the work; and as every step goes up in rank, every run comes to such an end.
fn can_be_finished(model: Capture, state: &State) -> bool {
    let next = model.next_states(state);
    if next.is_empty() {
        return is_finished(state);
    }
    // A broken rule may well send an instance round in circles; what it breaks is to be seen elsewhere.
    let here = rank::of(model, state);
    model.mutation.is_some() || next.iter().all(|next| rank::of(model, next) > here)
}

fn is_finished(state: &State) -> bool {
    let all_delivered = state.kafka.delivered.len() == usize::from(CHANGES);
    let idle_confirmed = state.slot.confirmed == wal::quiet_lsn(TRANSACTIONS);
    (all_delivered && idle_confirmed) || (state.gap && has_phase(state, Phase::Refused))
}
