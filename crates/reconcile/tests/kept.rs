//! A proof that goes on from an earlier one finds what a whole one finds, and reads less.
#![allow(clippy::unwrap_used, clippy::panic)]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod lake;

use std::collections::{BTreeMap, BTreeSet};

use datapipe_core::Lsn;
use datapipe_core::port::rows::Moment;
use datapipe_core::port::source::Visible;
use datapipe_reconcile::{Report, Scope};
use lake::{Event, Lake, event, missing, reread, scope};
use proptest::prelude::*;

const KEYS: u32 = 5;

type Table = BTreeMap<u32, String>;

fn moment(visible: &[u32], xmax: u32, fence: u64) -> Moment {
    let in_progress = (1..xmax).filter(|xid| !visible.contains(xid)).map(u64::from).collect();
    Moment { visible: Visible { xmin: 1, xmax: xmax.into(), in_progress }, fence: Lsn(fence) }
}

fn kept(folder: &std::path::Path, moment: Moment, end: i64) -> Scope {
    let mut scope = Scope { moment: Some(moment), keep: Some(folder.join("users")), ..scope() };
    scope.ends.insert(0, end);
    scope.answered.insert(0, 0..end);
    scope
}

fn rows(table: &Table) -> Vec<String> {
    table.iter().map(|(id, rest)| format!(r#"{{"id":{id}{rest}}}"#)).collect()
}

fn prove(lake: &Lake, table: &Table, scope: &Scope) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(lake.compare_in(&rows(table), scope)).unwrap()
}

#[test]
fn the_second_proof_reads_only_what_came_since() {
    let folder = tempfile::tempdir().unwrap();
    let (mut lake, mut table) = (Lake::default(), Table::new());
    let next = lake.add(0, 0, &[event('c', 1, 10, r#","v":1"#), event('c', 2, 20, r#","v":1"#)]);
    table.extend([(1, r#","v":1"#.to_owned()), (2, r#","v":1"#.to_owned())]);
    let first = kept(folder.path(), moment(&[1], 2, 25), next);
    assert!(prove(&lake, &table, &first).proven());

    let next = lake.add(0, next, &[event('u', 2, 30, r#","v":2"#).in_transaction(2)]);
    table.insert(2, r#","v":2"#.to_owned());
    // What lies before is not looked at again, and may go.
    let old = lake.key(0);
    let old_object = lake.0.remove(&old).unwrap();
    let second = kept(folder.path(), moment(&[1, 2], 3, 35), next);
    let report = prove(&lake, &table, &second);
    assert!(report.proven(), "{report}");
    assert_eq!((report.events, report.objects, report.rows, report.since), (1, 1, 2, Some(Lsn(25))));
    assert!(report.to_string().contains("beginning with the rows that were proven at 0/19"), "{report}");

    // Rows in other forms are no beginning.
    let other = Scope { forms: "others".to_owned(), ..second.clone() };
    lake.0.insert(old, old_object);
    let report = prove(&lake, &table, &other);
    assert!(report.proven() && report.since.is_none() && report.events == 3, "{report}");
}

#[test]
fn what_is_not_proven_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::default();
    let next = lake.add(0, 0, &[event('c', 1, 10, "")]);
    let scope = kept(folder.path(), moment(&[1], 2, 25), next);
    let table = Table::from([(1, String::new()), (2, String::new())]);
    assert_eq!(prove(&lake, &table, &scope).lost.count, 1);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn kept_rows_that_were_cut_short_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::default();
    let next = lake.add(0, 0, &[event('c', 1, 10, "")]);
    let scope = kept(folder.path(), moment(&[1], 2, 25), next);
    let table = Table::from([(1, String::new())]);
    assert!(prove(&lake, &table, &scope).proven());
    let file = std::fs::read_dir(folder.path().join("users")).unwrap().map(|entry| entry.unwrap().path());
    for file in file.filter(|path| path.extension().is_some_and(|extension| extension == "zst")) {
        std::fs::remove_file(file).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(lake.compare_in(&rows(&table), &scope)).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("holds 0 rows, and its proof.json says 1"));
}

/// A change, one to a transaction: its key, what is done, and which of two moments sees it first, if nothing before forbids.
type Step = (u32, u8, u8);

/// All events; which transactions each moment sees; and the rows as each sees them.
struct Played {
    events: Vec<Event>,
    visible: [Vec<u32>; 2],
    tables: [Table; 2],
}

fn play(steps: &[Step], first: usize) -> Played {
    let mut played = Played { events: Vec::new(), visible: Default::default(), tables: Default::default() };
    let mut now = Table::new();
    let (mut levels, mut least, mut most) = (BTreeMap::<u32, u8>::new(), 1, 1);
    for (number, (id, value, wish)) in steps.iter().enumerate() {
        let xid = u32::try_from(number).unwrap() + 1;
        let lsn = u64::from(xid) * 8;
        let there = now.contains_key(id);
        let rest = format!(r#","v":{value},"at":"{lsn}""#);
        let op = match value {
            255 => 't',
            // Nothing has such a row here, and an incremental snapshot says so.
            240.. if !there => {
                played.events.push(missing(*id, lsn - 1).in_transaction(xid));
                continue;
            }
            240.. => {
                // It holds what the table holds here, whoever sees that.
                played.events.push(reread(*id, lsn - 1, &now[id]).in_transaction(xid));
                continue;
            }
            200.. if there => 'd',
            _ if there => 'u',
            _ => 'c',
        };
        let earlier = if op == 't' { most } else { levels.get(id).copied().unwrap_or(1).max(least) };
        let level = (*wish).max(earlier).max(if number < first { 1 } else { 2 });
        most = most.max(level);
        if op == 't' {
            least = level;
        }
        levels.insert(*id, level);
        played.events.push(event(op, *id, lsn, if op == 'd' { "" } else { &rest }).in_transaction(xid));
        let apply = |table: &mut Table| match op {
            't' => table.clear(),
            'd' => drop(table.remove(id)),
            _ => drop(table.insert(*id, rest.clone())),
        };
        apply(&mut now);
        for (moment, table) in [1, 2].into_iter().zip(&mut played.tables) {
            if level <= moment {
                apply(table);
                played.visible[usize::from(moment) - 1].push(xid);
            }
        }
    }
    played
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_proof_that_goes_on_is_as_good_as_a_whole_one(
        steps in proptest::collection::vec((0..KEYS, any::<u8>(), 1u8..4), 2..60),
        first in 1usize..60,
        length in 1usize..7,
        hurt in any::<proptest::sample::Index>(),
    ) {
        let first = first.min(steps.len() - 1);
        let Played { events, visible, tables } = play(&steps, first);
        let folder = tempfile::tempdir().unwrap();
        let (mut lake, mut next) = (Lake::default(), 0);
        for object in events[..first].chunks(length) {
            next = lake.add(0, next, object);
        }
        let xmax = u32::try_from(events.len()).unwrap() + 1;
        let scope = kept(folder.path(), moment(&visible[0], xmax, 0), next);
        let report = prove(&lake, &tables[0], &scope);
        prop_assert!(report.proven(), "{}", report);
        for object in events[first..].chunks(length) {
            next = lake.add(0, next, object);
        }
        let scope = kept(folder.path(), moment(&visible[1], xmax, 0), next);
        // Hurt first: what is not proven leaves the earlier proof as it is.
        let mut altered = tables[1].clone();
        let seen: BTreeSet<u32> = altered.keys().copied().collect();
        if !seen.is_empty() {
            let id = *hurt.get(&seen.into_iter().collect::<Vec<_>>());
            altered.insert(id, r#","v":-1"#.to_owned());
            prop_assert_eq!(prove(&lake, &altered, &scope).differing.count, 1);
        }
        let mut doubled = lake.clone();
        let again = hurt.get(&events).clone();
        if !['i', 'm', 't'].contains(&again.op) && visible[1].contains(&again.xid) {
            let end = doubled.add(0, next, &[again]);
            let mut scope = scope.clone();
            scope.ends.insert(0, end);
            prop_assert!(prove(&doubled, &tables[1], &scope).doubled.count > 0);
        }
        let report = prove(&lake, &tables[1], &scope);
        prop_assert!(report.proven() && report.since.is_some(), "{}", report);
    }
}
