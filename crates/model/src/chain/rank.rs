//! A measure that every step increases. Its values are bounded, so no run is endless.

use super::{Chain, Phase, Sink, State};

/// The measure, compared from left to right: faults suffered, then work done.
pub(super) fn of(model: &Chain, state: &State) -> (u32, u32) {
    let (all, left) = (model.faults, state.faults);
    let suffered = [
        all.crashes - left.crashes,
        all.lost_replies - left.lost_replies,
        all.offsets_moved_back - left.offsets_moved_back,
    ];
    let suffered = suffered.into_iter().map(u32::from).sum();
    let sinks: u32 = state.sinks.iter().map(sink).sum();
    // At most one request stays behind with each fault, and the faults come first.
    let arrived = 100 - u32::try_from(state.strays.len()).unwrap_or(100).min(100);
    (suffered, sinks + arrived)
}

fn sink(sink: &Sink) -> u32 {
    let phase = match sink.phase {
        Phase::Down => 0,
        Phase::Recovering => 1,
        Phase::Filling => 2,
        Phase::Putting => 3,
        Phase::Writing => 4,
        Phase::Created | Phase::Exists => 5,
    };
    8 * u32::from(sink.from) + phase + u32::from(!sink.uncommitted)
}
