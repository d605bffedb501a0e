//! The protocol with one rule broken: each must give a counter-example to the property that the rule is there for.

#![allow(clippy::print_stdout, reason = "the figures are there to be read")]

use datapipe_model::report::Outcome;
use datapipe_model::{capture, chain, table};

#[track_caller]
fn assert_counter_example(outcome: &Outcome) {
    println!("{outcome}");
    for step in outcome.violations.iter().flat_map(|violation| &violation.steps) {
        println!("    {step}");
    }
    assert_eq!(outcome.violations.len(), 1, "no counter-example: {outcome}");
}

#[test]
fn each_broken_rule_of_the_capture_is_found_out() {
    for mutation in capture::Mutation::ALL {
        assert_counter_example(&table::capture_broken(mutation));
    }
}

#[test]
fn each_broken_rule_of_the_chain_is_found_out() {
    for mutation in chain::Mutation::ALL {
        assert_counter_example(&table::chain_broken(mutation));
    }
}
