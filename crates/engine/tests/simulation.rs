//! The engine in the seeded simulation.
//!
//! `DATAPIPE_SIM_SCHEDULES=1000000 cargo test -p datapipe-engine --test simulation` runs a million schedules;
//! `DATAPIPE_SIM_SEED=17` replays one and prints what happens in it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test says what is wrong by panicking")]

use std::time::Instant;

use datapipe_testkit::sim::{Coverage, Mutation, Plan, explore, simulate};

mod harness;

use harness::{engine, engine_with_three_tasks, setting};

const SCHEDULES: u64 = 10_000;
const THREADS: usize = 2;

fn replay(seed: u64) -> String {
    let outcome = simulate(Plan::of(seed), engine(), None, true);
    let mut text = format!("{:#?}\n", Plan::of(seed));
    for line in outcome.trace {
        text.push_str(&line);
        text.push('\n');
    }
    for wrong in outcome.wrong {
        text.push_str("WRONG: ");
        text.push_str(&wrong);
        text.push('\n');
    }
    text
}

#[test]
fn nothing_is_lost_nothing_is_doubled_whatever_fails() {
    if let Some(seed) = setting("DATAPIPE_SIM_SEED") {
        let text = replay(seed);
        println!("{text}");
        assert!(!text.contains("\nWRONG: "), "seed {seed} fails");
        return;
    }
    let schedules = setting("DATAPIPE_SIM_SCHEDULES").unwrap_or(SCHEDULES);
    let first = setting("DATAPIPE_SIM_FIRST").unwrap_or(0);
    let started = Instant::now();
    let found = explore(first..first + schedules, THREADS, 10, &engine(), None);
    let cells = Coverage::universe().len();
    let missing = found.coverage.missing();
    println!(
        "{} schedules (seeds {first}..{}), {} calls of ports, {:.1} s; {} of {cells} await points x faults reached",
        found.schedules,
        first + schedules,
        found.gates,
        started.elapsed().as_secs_f64(),
        cells - missing.len(),
    );
    if let Some((seed, wrong)) = found.failures.first() {
        let seeds: Vec<_> = found.failures.iter().map(|(seed, _)| seed).collect();
        for (seed, wrong) in &found.failures {
            println!("seed {seed}: {}", wrong[0]);
        }
        println!("{}", replay(*seed));
        panic!("seeds {seeds:?} fail; replay with DATAPIPE_SIM_SEED={seed}: {wrong:#?}");
    }
    assert!(missing.is_empty(), "not reached: {missing:?}");
}

/// Three tasks share three or four partitions, and are all crashed at any moment.
#[test]
fn several_tasks_keep_every_partition_one_chain() {
    let schedules = setting("DATAPIPE_SIM_SCHEDULES").unwrap_or(SCHEDULES) / 5;
    for seed in 0..schedules {
        let mut plan = Plan::of(seed);
        plan.kafka.partitions = 3 + i32::try_from(seed % 2).unwrap();
        let found = simulate(plan, engine_with_three_tasks(), None, false);
        assert_eq!(found.wrong, Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..40 {
        let [a, b] = [0, 1].map(|_| simulate(Plan::of(seed), engine(), None, true));
        assert!(a.trace.len() > 20, "seed {seed} does something");
        assert_eq!(a.trace, b.trace, "seed {seed}");
        assert_eq!((a.digest, a.gates), (b.digest, b.gates), "seed {seed}");
    }
}

#[test]
fn broken_contracts_are_found_out() {
    for mutation in Mutation::ALL {
        let found = explore(0..2_000, THREADS, 1, &engine(), Some(mutation));
        let (seed, wrong) = found.failures.first().unwrap_or_else(|| panic!("{mutation:?} was not noticed"));
        println!("{mutation:?}: after {} schedules, seed {seed}: {}", found.schedules, wrong[0]);
    }
}
