//! What must be true in the end, from what was committed to what lies in the objects.

mod log;
mod objects;
mod removals;
mod rereads;
mod transactions;

use datapipe_core::table::SnapshotMode;

use super::plan::Plan;
use super::world::World;

/// All that is wrong; empty if nothing is.
pub fn check(world: &World, plan: &Plan) -> Vec<String> {
    let mut wrong = world.violations.clone();
    match log::Found::read(world) {
        Ok(found) => {
            let snapshot = plan.settings.mode == SnapshotMode::Initial;
            found.check_rereads(world, snapshot, &mut wrong);
            found.check_removals(world, &mut wrong);
            let placed = found.check(world, snapshot, &mut wrong);
            transactions::check(world, plan.settings.transaction_metadata, &placed, &mut wrong);
        }
        Err(why) => wrong.push(why),
    }
    objects::check(world, &mut wrong);
    wrong
}
