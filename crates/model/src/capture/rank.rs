//! A measure that every step increases. Its values are bounded, so no run is endless: no livelock hides between the states.

use super::{Capture, Flight, Instance, Phase, State};

/// The measure, compared from left to right: faults suffered, then work done.
pub(super) fn of(model: Capture, state: &State) -> (u32, u32) {
    let suffered = suffered(model, state);
    let broker = steps(state.kafka.decided.end_lsn)
        + steps(state.kafka.stored.end_lsn)
        + index(state.kafka.decided.lsn, state.kafka.decided.index)
        + index(state.kafka.stored.lsn, state.kafka.stored.index);
    let instances: u32 = state.instances.iter().map(instance).sum();
    (suffered, u32::from(state.committed) + u32::from(state.slot.confirmed) + broker + instances)
}

/// Faults so far. A session that timed out counts a second time when the instance learns of it and begins again.
fn suffered(model: Capture, state: &State) -> u32 {
    let (all, left) = (model.faults, state.faults);
    let unaware = (0u8..)
        .zip(&state.instances)
        .filter(|(id, instance)| instance.phase == Phase::Running && state.slot.holder != Some(*id))
        .count();
    let pauses = 2 * u32::from(all.pauses - left.pauses);
    let others =
        [all.crashes - left.crashes, all.lost_replies - left.lost_replies, all.slot_changes - left.slot_changes];
    let restarts = 8 + u32::from(all.restarts) - u32::from(left.restarts);
    8 * others.into_iter().map(u32::from).sum::<u32>() + 8 * pauses + restarts - u32::try_from(unaware).unwrap_or(0)
}

fn instance(instance: &Instance) -> u32 {
    let phase = match instance.phase {
        Phase::Initialising => 0,
        Phase::Reading => 10,
        Phase::Connecting => 20,
        Phase::Running => return 10_000 + running(instance),
        Phase::Fenced | Phase::Refused => return 100_000,
    };
    100 * u32::from(instance.seen) + phase
}

fn running(instance: &Instance) -> u32 {
    let flight = match instance.flight {
        Flight::None => 0,
        Flight::Sent => 1,
        Flight::Ending => 2,
        Flight::Acknowledged => 3,
    };
    let durable = steps(instance.durable.end_lsn) + index(instance.durable.lsn, instance.durable.index);
    flight + 4 * durable
}

fn steps(lsn: u8) -> u32 {
    u32::from(lsn)
}

fn index(lsn: u8, index: u8) -> u32 {
    4 * u32::from(lsn) + u32::from(index)
}
