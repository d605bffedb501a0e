//! The checks as one list, for the tests and for the documentation.

use crate::capture::{self, CHANGES, Capture, INSTANCES, ROWS, TRANSACTIONS};
use crate::chain::{self, Chain, SINKS};
use crate::contract::Kind;
use crate::report::{Outcome, explore, falsify};

/// The capture protocol within [`Capture::BOUNDS`].
pub fn capture() -> Outcome {
    explore(capture_title(Capture::BOUNDS), Capture::correct())
}

/// The capture protocol while somebody moves the slot, within [`Capture::SLOT_CHANGE_BOUNDS`].
pub fn capture_with_slot_change() -> Outcome {
    explore(capture_title(Capture::SLOT_CHANGE_BOUNDS), Capture::with_slot_change())
}

/// The chain on one log with everything in it, within [`Chain::BOUNDS`].
pub fn chain() -> Outcome {
    let log = Chain::log();
    let records = log.iter().filter(|kind| **kind == Kind::Record).count();
    let what = format!("{records} records on {} offsets", log.len());
    explore(chain_title(&what, Chain::BOUNDS), Chain::correct())
}

/// The chain on every short log, within [`Chain::EVERY_LOG_BOUNDS`].
pub fn chain_on_every_log() -> Outcome {
    let model = Chain::on_every_log();
    let what = format!("all {} logs of {} offsets", model.logs.len(), Chain::EVERY_LOG_LENGTH);
    explore(chain_title(&what, Chain::EVERY_LOG_BOUNDS), model)
}

/// The capture protocol with one rule broken: the outcome names the property that this breaks.
pub fn capture_broken(mutation: capture::Mutation) -> Outcome {
    falsify(format!("capture, {mutation:?}"), Capture::broken(mutation), mutation.breaks())
}

/// The chain with one rule broken: the outcome names the property that this breaks.
pub fn chain_broken(mutation: chain::Mutation) -> Outcome {
    falsify(format!("chain, {mutation:?}"), Chain::broken(mutation), mutation.breaks())
}

fn capture_title(faults: capture::Faults) -> String {
    let mut title = format!("capture: {TRANSACTIONS} tx x {ROWS} rows ({CHANGES} changes), {INSTANCES} captures");
    title += &bound(faults.crashes, "crash", "crashes");
    title += &bound(faults.pauses, "pause beyond a timeout", "pauses beyond a timeout");
    title += &bound(faults.lost_replies, "lost reply", "lost replies");
    title += &bound(faults.restarts, "restart of a fenced one", "restarts of fenced ones");
    title + &bound(faults.slot_changes, "move of the slot", "moves of the slot")
}

fn chain_title(what: &str, faults: chain::Faults) -> String {
    let mut title = format!("chain: {what}, {SINKS} sinks");
    title += &bound(faults.crashes, "crash", "crashes");
    title += ", any pauses";
    title += &bound(faults.lost_replies, "lost reply", "lost replies");
    title + &bound(faults.offsets_moved_back, "fall of the group's offset", "falls of the group's offset")
}

/// One bound of a title; nothing if the fault does not happen.
fn bound(times: u8, one: &str, more: &str) -> String {
    match times {
        0 => String::new(),
        1 => format!(", 1 {one}"),
        _ => format!(", {times} {more}"),
    }
}
