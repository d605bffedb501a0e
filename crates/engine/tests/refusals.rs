//! What would lose rows is refused with words; what cannot be delivered goes to the dead letters; the rest goes on.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test says what is wrong by panicking")]

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use datapipe_core::table::SnapshotMode;
use datapipe_testkit::sim::{Plan, Stage};

mod harness;

use harness::{engine, engine_and_diverted};

/// A stage on which a quiet plan has run to its end, so that there is progress, a log and a chain.
fn after_a_run() -> Stage {
    let mut stage = Stage::new(Plan::quiet(1), engine());
    stage.run(10);
    assert_eq!(stage.wrong(), Vec::<String>::new());
    stage
}

#[track_caller]
fn refused(stage: &mut Stage, words: &[&str]) {
    let report = stage.run_until_refused();
    for word in words {
        assert!(report.contains(word), "{word:?} is missing in: {report}");
    }
}

#[test]
fn a_dropped_slot() {
    let mut stage = after_a_run();
    stage.world(|world| world.postgres.drop_slot());
    refused(&mut stage, &["the slot is gone", "debezium_slot_users", "pg_drop_replication_slot"]);
}

#[test]
fn a_recreated_slot() {
    let mut stage = after_a_run();
    stage.world(|world| {
        world.postgres.drop_slot();
        world.postgres.insert_rows(3);
        world.postgres.recreate_slot();
    });
    refused(&mut stage, &["ahead of the stored position", "start anew with a snapshot"]);
}

#[test]
fn a_slot_that_is_moved_between_the_look_and_the_start() {
    let mut stage = after_a_run();
    stage.world(|world| world.postgres.move_slot_after_the_next_look());
    refused(&mut stage, &["ahead of the stored position", "start anew with a snapshot"]);
}

#[test]
fn a_slot_whose_log_is_gone() {
    let mut stage = after_a_run();
    stage.world(|world| world.postgres.lose_slot());
    refused(&mut stage, &["wal_status is lost"]);
}

#[test]
fn another_server() {
    let mut stage = after_a_run();
    stage.world(|world| world.postgres.settings.system_id = "8888".to_owned());
    refused(&mut stage, &["system identifier was 7391 and is 8888"]);
}

#[test]
fn a_promotion_before_the_stored_position() {
    let mut stage = after_a_run();
    stage.world(|world| {
        world.postgres.settings.timeline = 2;
        world.postgres.settings.forked_at = Some(1);
    });
    refused(&mut stage, &["timeline 2", "forked at 0/1"]);
}

#[test]
fn a_promotion_after_the_stored_position_is_followed() {
    let mut stage = after_a_run();
    stage.world(|world| {
        world.postgres.settings.timeline = 2;
        world.postgres.settings.forked_at = Some(world.postgres.end());
        world.postgres.insert_rows(3);
    });
    stage.run(3);
    assert_eq!(stage.wrong(), Vec::<String>::new());
}

#[test]
fn a_group_offset_beyond_the_chain() {
    let mut stage = after_a_run();
    stage.world(|world| world.kafka.set_group_offset(0, 10_000, ""));
    refused(&mut stage, &["its offset 10000 is beyond the objects", "delete the group's offsets"]);
}

#[test]
fn a_lost_group_offset_is_found_again_in_the_objects() {
    let mut stage = after_a_run();
    stage.world(|world| {
        world.kafka.forget_group_offsets();
        world.postgres.insert_rows(5);
    });
    stage.run(3);
    assert_eq!(stage.wrong(), Vec::<String>::new());
}

#[test]
fn a_recreated_topic_that_is_shorter() {
    let mut stage = after_a_run();
    stage.world(|world| {
        world.kafka.recreate_data_topic();
        world.kafka.forget_group_offsets();
    });
    refused(&mut stage, &["the topic ends at", "created anew"]);
}

/// The topic as it would be after somebody deleted it, and rows came in as many as before and as many again.
fn outgrown(stage: &mut Stage) {
    stage.world(|world| {
        let records = i64::try_from(world.kafka.data_records()).unwrap() * 2;
        world.kafka.recreate_data_topic();
        let topic = world.kafka.settings.data_topic.clone();
        for number in 0..records {
            world.kafka.produce(&topic, None, Some(format!("{{\"other\":{number}}}").as_bytes()));
        }
    });
}

#[test]
fn a_recreated_topic_that_has_outgrown_the_objects() {
    let mut stage = after_a_run();
    outgrown(&mut stage);
    refused(&mut stage, &["first record", "is not in the topic: it was created anew", "old objects"]);
}

#[test]
fn a_recreated_topic_that_has_outgrown_the_objects_and_forgot_the_group() {
    let mut stage = after_a_run();
    outgrown(&mut stage);
    stage.world(|world| world.kafka.forget_group_offsets());
    refused(&mut stage, &["first record", "is not in the topic: it was created anew"]);
}

#[test]
fn objects_of_another_cluster() {
    let mut stage = after_a_run();
    stage.world(|world| world.kafka.settings.cluster_id = "another".to_owned());
    refused(&mut stage, &["it holds records of topic", "sim-cluster"]);
}

#[test]
fn too_large_rows_go_to_the_dead_letters_by_reference() {
    let (engine, diverted) = engine_and_diverted();
    let mut stage = Stage::new(Plan { large_rows: true, transactions: 60, ..Plan::quiet(5) }, engine);
    stage.run(60);
    assert_eq!(stage.wrong(), Vec::<String>::new());
    let letters = stage.world(|world| world.kafka.dead_letters());
    assert!(!letters.is_empty());
    assert_eq!(diverted.load(Ordering::Relaxed), 0, "what was sent as a reference is forgotten");
    for letter in letters {
        let letter = String::from_utf8(letter).unwrap();
        assert!(letter.contains("too large") && letter.len() < 1_000, "{letter}");
    }
}

#[test]
fn a_table_without_a_key_is_refused() {
    let mut plan = Plan::quiet(2);
    plan.postgres.keyed = false;
    refused(&mut Stage::new(plan, engine()), &["no primary key", "datapipe.snapshot.without.key"]);
}

#[test]
fn a_table_without_a_key_is_copied_on_request() {
    let mut plan = Plan { transactions: 0, ..Plan::quiet(2) };
    plan.postgres.keyed = false;
    plan.settings.keyless_snapshot = true;
    let rows = {
        let mut stage = Stage::new(plan, engine());
        stage.run(0);
        assert_eq!(stage.wrong(), Vec::<String>::new());
        stage.world(|world| world.kafka.data_records())
    };
    assert!(rows > 3, "{rows}");
}

#[test]
fn rows_can_be_left_out() {
    let mut plan = Plan::quiet(3);
    plan.settings.mode = SnapshotMode::NoData;
    let mut stage = Stage::new(plan, engine());
    stage.run(10);
    assert_eq!(stage.wrong(), Vec::<String>::new());
}

#[test]
fn told_to_stop_it_ends_with_nothing_open() {
    // At many moments, in the middle of the snapshot among them: the harness itself looks for open transactions.
    for seed in 0..60 {
        let mut plan = Plan { rows: 30, ..Plan::quiet(seed) };
        plan.settings.transaction_records_max = 7;
        let mut stage = Stage::new(plan, engine());
        stage.stop_after(seed * 2);
        assert!(!stage.world(|world| world.kafka.is_open()), "after {} ms", seed * 2);
        stage.run(5);
        assert_eq!(stage.wrong(), Vec::<String>::new(), "after {} ms", seed * 2);
    }
}

#[test]
fn objects_are_cut_at_the_hour() {
    let mut plan = Plan { spacing_ms_max: 2_000, ..Plan::quiet(4) };
    plan.settings.object_rows_max = 1_000_000;
    plan.settings.object_age_max_ms = 60_000;
    let mut stage = Stage::new(plan, engine());
    stage.run(40);
    assert_eq!(stage.wrong(), Vec::<String>::new());
    let keys = stage.world(|world| world.objects.keys());
    let hours: BTreeSet<&str> = keys.iter().map(|key| &key.split_once("hour=").unwrap().1[..2]).collect();
    assert_eq!((keys.len(), hours.len()), (2, 2), "{keys:?}");
}
