//! The modes of the snapshot, by what a reader of the log ends up with.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use datapipe_core::table::SnapshotMode;
use datapipe_testkit::sim::{Fault, Faults, Plan, Point, Stage};
use serde_json::Value;

mod harness;

use harness::engine;

fn stage(mode: SnapshotMode, seed: u64) -> Stage {
    let mut plan = Plan { rows: 20, ..Plan::quiet(seed) };
    plan.settings.mode = mode;
    plan.settings.transaction_records_max = 7;
    Stage::new(plan, engine())
}

/// The versions of the rows that the data topic's records come to, key by key, and how many a snapshot has read.
fn folded(stage: &mut Stage) -> (BTreeMap<String, String>, usize) {
    let (mut rows, mut reads) = (BTreeMap::new(), 0);
    for value in stage.world(|world| world.kafka.data_values()) {
        let envelope: Value = serde_json::from_slice(&value).unwrap();
        let id = |image: &str| envelope[image]["id"].to_string();
        reads += usize::from(envelope["op"] == "r");
        match envelope["op"].as_str().unwrap() {
            "t" => rows.clear(),
            "d" => drop(rows.remove(&id("before"))),
            _ => drop(rows.insert(id("after"), envelope["after"]["v"].as_str().unwrap().to_owned())),
        }
    }
    (rows, reads)
}

/// Compares the log with the table, and returns how many rows a snapshot has read.
#[track_caller]
fn same(stage: &mut Stage) -> usize {
    let (rows, reads) = folded(stage);
    let versions = stage.world(|world| world.postgres.versions());
    assert_eq!(rows.into_values().collect::<BTreeSet<_>>(), versions);
    reads
}

#[test]
fn always_reads_the_rows_at_each_start_and_loses_no_delete() {
    for seed in 0..20 {
        let mut stage = stage(SnapshotMode::Always, seed);
        stage.run(10);
        let first = same(&mut stage);
        // Changes that a snapshot alone would hide, and starts that are broken off at many moments.
        stage.write(10);
        for after_ms in [3, 9, 27, 60] {
            stage.stop_after(after_ms * (1 + seed % 5));
        }
        stage.run(5);
        let all = same(&mut stage);
        assert!(all > first, "seed {seed}: {first} rows read at first, {all} in all");
    }
}

#[test]
fn always_reads_once_per_task_and_not_once_per_failure() {
    let faults = Faults { targets: vec![(Point::NextStream, Fault::Fail, 4)], ..Faults::default() };
    let mut plan = Plan { rows: 20, faults, ..Plan::quiet(3) };
    plan.settings.mode = SnapshotMode::Always;
    let mut stage = Stage::new(plan, engine());
    let rows = stage.world(|world| world.postgres.versions().len());
    stage.stop_after(2_000);
    assert_eq!(same(&mut stage), rows, "the rows before the start, once, though the stream broke");
}

#[test]
fn initial_only_makes_no_slot_and_sends_no_change() {
    let mut stage = stage(SnapshotMode::InitialOnly, 1);
    let before = stage.world(|world| world.postgres.versions().len());
    stage.stop_after(30_000);
    let (rows, reads) = folded(&mut stage);
    assert_eq!((rows.len(), reads), (before, before));
    assert!(!stage.world(|world| world.postgres.has_slot()));
    stage.write(5);
    stage.stop_after(30_000);
    assert_eq!(folded(&mut stage), (rows, reads), "nothing comes any more");
}

#[test]
fn when_needed_reads_the_rows_again_where_initial_refuses() {
    for recreated in [false, true] {
        let mut stage = stage(SnapshotMode::WhenNeeded, 7);
        stage.run(10);
        let reads = same(&mut stage);
        stage.world(|world| {
            world.postgres.drop_slot();
            world.postgres.insert_rows(3);
            if recreated {
                world.postgres.recreate_slot();
            }
        });
        stage.run(5);
        let again = same(&mut stage);
        assert!(again > reads, "{again} rows were read in all");
        stage.run(5);
        assert_eq!(same(&mut stage), again, "and only when it is needed");
    }
}
