//! Rows that were read while others write: of each transaction its changes count exactly if the rows hold them.
#![allow(clippy::unwrap_used, clippy::panic)]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod lake;

use std::collections::{BTreeMap, BTreeSet};

use datapipe_core::Lsn;
use datapipe_core::port::rows::Moment;
use datapipe_core::port::source::Visible;
use datapipe_reconcile::{Proving, Scope};
use lake::{Event, Lake, Listed, event, missing, reread, scope};
use proptest::prelude::*;

const KEYS: u32 = 6;

/// The rows hold these transactions, and nothing of what a snapshot read beyond LSN 100.
fn moment(visible: impl IntoIterator<Item = u32>, xmax: u32) -> Scope {
    let visible: BTreeSet<u32> = visible.into_iter().collect();
    let in_progress = (1..xmax).filter(|xid| !visible.contains(xid)).map(u64::from).collect();
    let visible = Visible { xmin: 1, xmax: xmax.into(), in_progress };
    Scope { moment: Some(Moment { visible, fence: Lsn(100) }), ..scope() }
}

fn rows(rows: &[&str]) -> Vec<String> {
    rows.iter().map(|row| (*row).to_owned()).collect()
}

#[tokio::test]
async fn a_transaction_counts_by_what_the_rows_hold_and_not_by_its_place() {
    let mut lake = Lake::default();
    lake.add(
        0,
        0,
        &[
            event('r', 1, 50, r#","v":0"#),
            // It ended first in the log, and is seen by others after the second one.
            event('u', 1, 60, r#","v":1"#).in_transaction(7),
            event('c', 2, 70, r#","v":1"#).in_transaction(8),
        ],
    );
    let report = lake.compare_in(&rows(&[r#"{"id":1,"v":0}"#, r#"{"id":2,"v":1}"#]), &moment([8], 9)).await.unwrap();
    assert!(report.proven(), "{report}");
    assert_eq!((report.events, report.later), (2, 1));
    assert!(report.to_string().contains("1 events are of transactions after the moment of the rows"), "{report}");
    let all = lake.compare_in(&rows(&[r#"{"id":1,"v":1}"#, r#"{"id":2,"v":1}"#]), &moment([7, 8], 9)).await.unwrap();
    assert!(all.proven() && all.later == 0, "{all}");
}

#[tokio::test]
async fn rows_that_a_later_snapshot_has_read_do_not_count() {
    let mut lake = Lake::default();
    lake.add(0, 0, &[event('r', 1, 100, ""), event('r', 1, 101, r#","v":1"#), event('r', 2, 101, "")]);
    let scope = Scope { rereads: true, ..moment([], 2) };
    let report = lake.compare_in(&rows(&[r#"{"id":1}"#]), &scope).await.unwrap();
    assert!(report.proven(), "{report}");
    assert_eq!((report.events, report.later), (1, 2));
}

#[tokio::test]
async fn a_row_of_an_incremental_snapshot_counts_unless_something_later_is_in_it() {
    let mut lake = Lake::default();
    lake.add(
        0,
        0,
        &[
            event('c', 1, 50, r#","v":0"#).in_transaction(2),
            reread(1, 50, r#","v":0"#),
            event('u', 1, 60, r#","v":1"#).in_transaction(3),
            reread(1, 60, r#","v":1"#),
            reread(2, 60, r#","v":9"#),
            event('c', 3, 55, "").in_transaction(2),
            event('d', 3, 65, "").in_transaction(3),
            missing(3, 65),
            event('c', 4, 56, "").in_transaction(2),
            missing(4, 65),
        ],
    );
    let scope = moment([2], 3);
    let report =
        lake.compare_in(&rows(&[r#"{"id":1,"v":0}"#, r#"{"id":2,"v":9}"#, r#"{"id":3}"#]), &scope).await.unwrap();
    assert!(report.proven(), "{report}");
}

#[tokio::test]
async fn an_incremental_snapshot_of_a_table_that_was_emptied_later_does_not_count() {
    let mut lake = Lake::default();
    lake.add(0, 0, &[event('c', 1, 50, ""), event('t', 0, 60, "").in_transaction(2), missing(1, 60)]);
    // In another partition the LSN tells what was before it.
    lake.add(1, 0, &[event('c', 2, 52, ""), missing(3, 52), missing(2, 60)]);
    lake.add(2, 0, &[event('c', 4, 54, ""), missing(4, 54)]);
    let report = lake.compare_in(&rows(&[r#"{"id":1}"#, r#"{"id":2}"#]), &moment([1], 2)).await.unwrap();
    assert!(report.proven(), "{report}");
    let report = lake.compare_in(&[], &moment([1, 2], 3)).await.unwrap();
    assert!(report.proven(), "{report}");
}

#[tokio::test]
async fn a_row_that_was_read_again_is_not_emptied_by_what_was_before_it_in_another_partition() {
    let mut lake = Lake::default();
    lake.add(0, 0, &[event('c', 1, 50, ""), event('t', 0, 60, "")]);
    lake.add(1, 0, &[event('c', 2, 52, ""), event('c', 3, 70, ""), reread(3, 70, "")]);
    let report = lake.compare_in(&rows(&[r#"{"id":3}"#]), &moment([1], 2)).await.unwrap();
    assert!(report.proven(), "{report}");
}

#[tokio::test]
async fn objects_beyond_the_end_are_not_read() {
    let mut lake = Lake::default();
    let next = lake.add(0, 0, &[event('c', 1, 50, "")]);
    // One that is written meanwhile, after another one that this listing has missed.
    lake.add(0, next + 7, &[event('c', 2, 60, "").in_transaction(9)]);
    let mut scope = moment([1], 2);
    assert_eq!(lake.compare_in(&rows(&[r#"{"id":1}"#]), &scope).await.unwrap().chain.count, 1);
    scope.ends.insert(0, next);
    let report = lake.compare_in(&rows(&[r#"{"id":1}"#]), &scope).await.unwrap();
    assert!(report.proven() && report.objects == 1, "{report}");
}

#[tokio::test]
async fn what_the_scope_learns_after_the_rows_counts() {
    let mut lake = Lake::default();
    let next = lake.add(0, 0, &[event('c', 1, 50, "")]);
    let mut scope = moment([1], 2);
    let proving = Proving::begin(&scope).unwrap();
    let proving = proving.rows(&mut Listed(rows(&[r#"{"id":1}"#])), &scope).await.unwrap();
    scope.answered.insert(0, 0..next + 1);
    let report = proving.objects(&lake, &scope).await.unwrap().finish().await.unwrap();
    assert_eq!(report.chain.count, 1, "{report}");
}

/// A change, one to a transaction: a key, a value that decides what is done, and whether it is seen if nothing that came
/// before it forbids that.
type Step = (u32, u8, bool);

/// The events of all changes, and the rows as those see them who see the visible ones: whoever changes a row sees who has
/// changed it before, and a TRUNCATE sees everybody.
fn play(steps: &[Step]) -> (Vec<Event>, Vec<u32>, BTreeMap<u32, String>) {
    let (mut events, mut visible) = (Vec::new(), Vec::new());
    let (mut now, mut seen) = (BTreeMap::new(), BTreeMap::new());
    let mut unseen_keys = BTreeSet::new();
    let mut all_unseen = false;
    for (number, (id, value, wish)) in steps.iter().enumerate() {
        let xid = u32::try_from(number).unwrap() + 1;
        let lsn = u64::from(xid) * 8;
        let truncates = *value == 255;
        let is_visible =
            *wish && !all_unseen && if truncates { unseen_keys.is_empty() } else { !unseen_keys.contains(id) };
        let there = now.contains_key(id);
        let rest = format!(r#","v":{value},"at":"{lsn}""#);
        let op = match value {
            255 => 't',
            200.. if there => 'd',
            _ if there => 'u',
            _ => 'c',
        };
        events.push(event(op, *id, lsn, if op == 'd' { "" } else { &rest }).in_transaction(xid));
        for (rows, applies) in [(&mut now, true), (&mut seen, is_visible)] {
            match op {
                _ if !applies => {}
                't' => rows.clear(),
                'd' => drop(rows.remove(id)),
                _ => drop(rows.insert(*id, rest.clone())),
            }
        }
        match (is_visible, truncates) {
            (true, _) => visible.push(xid),
            (false, true) => all_unseen = true,
            (false, false) => drop(unseen_keys.insert(*id)),
        }
    }
    (events, visible, seen)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_moment_of_any_history_is_proven(
        steps in proptest::collection::vec((0..KEYS, prop_oneof![9 => 0u8..=254, 1 => Just(255)], any::<bool>()), 1..60),
        length in 1usize..9,
    ) {
        let (events, visible, seen) = play(&steps);
        let (mut lake, mut next) = (Lake::default(), 0);
        for object in events.chunks(length) {
            next = lake.add(0, next, object);
        }
        let count = u32::try_from(events.len()).unwrap();
        let scope = moment(visible.iter().copied(), count + 1);
        let rows: Vec<String> = seen.iter().map(|(id, rest)| format!(r#"{{"id":{id}{rest}}}"#)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let report = runtime.block_on(lake.compare_in(&rows, &scope)).unwrap();
        prop_assert!(report.proven(), "{}", report);
        prop_assert_eq!(report.events, visible.len() as u64);
        prop_assert_eq!(report.events + report.later, u64::from(count));
    }
}
