//! The protocol as it is: every reachable state within the bounds, no counter-example.

#![allow(clippy::print_stdout, reason = "the figures are there to be read")]

use datapipe_model::report::Outcome;
use datapipe_model::table;

#[track_caller]
fn assert_proof(outcome: &Outcome) {
    println!("{outcome}");
    for violation in &outcome.violations {
        println!("{}:\n  {}", violation.property, violation.steps.join("\n  "));
    }
    assert!(outcome.is_proof(), "{outcome}");
}

#[test]
fn capture_delivers_each_change_once_in_order() {
    assert_proof(&table::capture());
}

#[test]
fn capture_refuses_a_slot_that_was_moved() {
    assert_proof(&table::capture_with_slot_change());
}

#[test]
fn the_chain_tiles_the_log() {
    assert_proof(&table::chain());
}

#[test]
fn the_chain_tiles_every_short_log() {
    assert_proof(&table::chain_on_every_log());
}
