//! What must hold in every state of the capture model.

use stateright::{Model, Property};

use super::{CHANGES, Capture, Phase, ROWS, State, TRANSACTIONS, rank, wal};
use crate::contract;

/// The properties, named as the counter-examples print them.
pub(super) fn properties() -> Vec<Property<Capture>> {
    vec![
        Property::always("nothing lost", |_, state: &State| nothing_lost(state)),
        Property::always("nothing doubled", |_, state: &State| contract::has_no_doubles(&state.kafka.delivered)),
        Property::always("order kept", |_, state: &State| contract::is_in_order(&state.kafka.delivered)),
        Property::always("nothing confirmed that is not durable", |_, state: &State| nothing_confirmed_early(state)),
        Property::always("stored >= confirmed", |_, state: &State| stored_is_ahead(state)),
        Property::always("a slot is refused only for a gap", |_, state: &State| refused_for_a_gap(state)),
        Property::always("the work can be finished", can_be_finished),
    ]
}

/// The names of states that a check must have met, or its bounds were too small to mean anything.
pub(super) type Milestone = (&'static str, fn(&State) -> bool);

fn nothing_lost(state: &State) -> bool {
    contract::has_no_holes(&state.kafka.delivered)
}

fn nothing_confirmed_early(state: &State) -> bool {
    let not_sent_again = wal::session_start(state.slot.confirmed) / (ROWS + 1) * ROWS;
    slot_was_moved(state) || (0..not_sent_again).all(|change| state.kafka.delivered.contains(&change))
}

fn stored_is_ahead(state: &State) -> bool {
    slot_was_moved(state) || state.kafka.decided.end_lsn >= state.slot.confirmed
}

fn slot_was_moved(state: &State) -> bool {
    state.gap
}

fn refused_for_a_gap(state: &State) -> bool {
    state.gap || state.instances.iter().all(|instance| instance.phase != Phase::Refused)
}

/// A state without a next step is the end of the work; and as every step goes up in rank, every run comes to such an end.
fn can_be_finished(model: &Capture, state: &State) -> bool {
    let next = model.next_states(state);
    if next.is_empty() {
        return is_finished(state);
    }
    let here = rank::of(model, state);
    next.iter().all(|next| rank::of(model, next) > here)
}

fn is_finished(state: &State) -> bool {
    let all_delivered = state.kafka.delivered.len() == usize::from(CHANGES);
    let idle_confirmed = state.slot.confirmed == wal::quiet_lsn(TRANSACTIONS);
    let refused = state.instances.iter().any(|instance| instance.phase == Phase::Refused);
    (all_delivered && idle_confirmed) || (state.gap && refused)
}
